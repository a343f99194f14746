//! Whole jobs from file to file, run by the engine under a writer in another process.

use super::support::*;
use crate::support::wait::eventually;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use whimbrel::{
    error::Result,
    model::{ApplySettings, CopySettings, Existing, JobId, JobSpec, Limits, SourceSpec, TargetSpec},
    pipeline::{self, Budget, JobRun, TargetRun, status::JobStatus},
    state::{Desired, JobRecord, MemoryState, State},
};

/// A job on its way.
pub struct Running {
    stop: CancellationToken,
    pub task: JoinHandle<Result<()>>,
    status: Arc<watch::Sender<JobStatus>>,
}

/// A job that can be stopped and started again.
pub struct Job {
    pub id: JobId,
    source: PathBuf,
    targets: Vec<PathBuf>,
    state: Arc<MemoryState>,
    spec: JobSpec,
    /// How long the source keeps what is applied.
    pub retain: Duration,
}

impl Job {
    pub fn new(number: u128, source: &Path, targets: &[&Path]) -> Job {
        let of = |at: usize| TargetSpec { store: format!("target{at}"), existing: Existing::Refuse };
        let spec = JobSpec {
            name: "pair".into(),
            labels: Default::default(),
            source: SourceSpec::new("source"),
            targets: (0..targets.len()).map(of).collect(),
            copy: CopySettings::default(),
            apply: ApplySettings::default(),
        };
        let targets = targets.iter().map(|path| path.to_path_buf()).collect();
        Job {
            id: job(number),
            source: source.to_path_buf(),
            targets,
            state: Arc::default(),
            spec,
            retain: Duration::ZERO,
        }
    }

    pub async fn start(&self) -> Running {
        let known = self.state.jobs().await.expect("state").into_iter().find(|record| record.id == self.id);
        let record = known.unwrap_or_else(|| JobRecord::new(self.id, self.spec.clone(), Desired::Run));
        self.state.save_job(&record).await.expect("state");
        let run = |(at, path): (usize, &PathBuf)| TargetRun {
            name: format!("target{at}"),
            target: target(path),
            reader: source(path),
        };
        let (status, _) = watch::channel(JobStatus::default());
        let status = Arc::new(status);
        let run = JobRun {
            record,
            source: source(&self.source),
            targets: self.targets.iter().enumerate().map(run).collect(),
            state: Arc::clone(&self.state) as Arc<dyn State>,
            token: Uuid::new_v4(),
            limits: watch::channel(Limits::default()).1,
            status: Arc::clone(&status),
            retain_after_apply: self.retain,
            budget: Budget::new(64),
            others: Arc::new(Vec::new),
        };
        let stop = CancellationToken::new();
        Running { task: tokio::spawn(pipeline::run(run, stop.clone())), stop, status }
    }
}

impl Running {
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("no panic").expect("no error");
    }

    /// Waits until the shell sees the same rows on both sides.
    pub async fn until_same(&mut self, a: &Path, b: &Path) {
        let (task, status) = (&self.task, &self.status);
        let start = Instant::now();
        eventually("the same rows on both sides", || {
            if start.elapsed() > DEADLINE / 2 {
                println!("{:#?}", *status.borrow());
                assert_same(a, b);
            }
            async { (task.is_finished() || same(a, b)).then_some(()) }
        })
        .await;
        if self.task.is_finished() {
            panic!("the job ended: {:?}", (&mut self.task).await);
        }
    }
}

fn same(a: &Path, b: &Path) -> bool {
    b.exists() && tables(a) == tables(b) && tables(a).iter().all(|table| rows(a, table) == rows(b, table))
}

const SHOP: &str = "
    CREATE TABLE person(id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT COLLATE NOCASE UNIQUE, name TEXT NOT NULL, n INT DEFAULT 0, big AS (n * 2));
    CREATE TABLE item(person INT REFERENCES person ON DELETE CASCADE ON UPDATE CASCADE, code TEXT, price REAL, data BLOB, PRIMARY KEY (person, code)) WITHOUT ROWID;
    CREATE TABLE note(text);
    CREATE TABLE word(w TEXT PRIMARY KEY COLLATE NOCASE, n);
    CREATE UNIQUE INDEX person_name ON person(lower(name));
    CREATE INDEX item_price ON item(price);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
    INSERT INTO person(email, name) SELECT 'e' || i, 'name ' || i FROM n;
    INSERT INTO item SELECT id, 'c' || (id % 5), id / 3.0, randomblob(id % 50) FROM person;
    INSERT INTO note SELECT name FROM person WHERE id % 2;
    INSERT INTO word SELECT 'w' || id, id FROM person WHERE id % 3 = 0;";

/// Key moves, swaps of unique values, evictions, cascades, deletes and inserts of equal content: one step of a writer.
fn step(step: u64) -> String {
    let at = step * 37 % 2900 + 1;
    format!(
        "PRAGMA foreign_keys = ON;
         BEGIN IMMEDIATE;
         UPDATE person SET n = n + 1 WHERE id BETWEEN {at} AND {at} + 20;
         INSERT OR REPLACE INTO person(id, email, name) VALUES (10000 + {step}, 'E{at}', 'new {step}');
         UPDATE OR REPLACE person SET id = id + 20000 WHERE id = {at} + 5;
         UPDATE person SET email = NULL WHERE id IN ({at} + 7, {at} + 8);
         UPDATE person SET email = CASE id WHEN {at} + 7 THEN 's{at}' ELSE 't{at}' END WHERE id IN ({at} + 7, {at} + 8);
         UPDATE person SET email = 'x{at}' WHERE email = 's{at}';
         UPDATE person SET email = 's{at}' WHERE email = 't{at}';
         UPDATE person SET email = 't{at}' WHERE email = 'x{at}';
         DELETE FROM person WHERE id = {at} + 9;
         DELETE FROM note WHERE rowid % 101 = {step} % 101;
         INSERT INTO note(text) VALUES ('step {step}');
         UPDATE word SET w = CASE WHEN w GLOB 'w*' THEN upper(w) ELSE lower(w) END WHERE n % 17 = {step} % 17;
         DELETE FROM item WHERE person = {at}; INSERT OR IGNORE INTO item SELECT id, 'again', 1, NULL FROM person WHERE id = {at};
         COMMIT;"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_is_kept_in_step_over_restarts_and_changes_of_its_tables() {
    let world = World::new();
    let (a, b, c) = (world.database("a.db", SHOP), world.path("b.db"), world.path("c.db"));
    shell(&a, "PRAGMA journal_mode = WAL;");
    let job = Job::new(1, &a, &[&b, &c]);
    let mut running = job.start().await;
    for at in 0..40 {
        shell(&a, &step(at));
    }
    running.until_same(&a, &b).await;
    running.until_same(&a, &c).await;
    running.stop().await;
    for at in 40..60 {
        shell(&a, &step(at));
    }
    shell(&a, "VACUUM; ALTER TABLE person ADD COLUMN age DEFAULT 30; UPDATE person SET age = id % 90 WHERE id % 2;");
    let mut running = job.start().await;
    running.until_same(&a, &b).await;
    for at in 60..80 {
        shell(&a, &step(at));
        if at == 70 {
            shell(
                &a,
                "CREATE TABLE n2(text, more DEFAULT 1); INSERT INTO n2(text) SELECT text FROM note; DROP TABLE note; ALTER TABLE n2 RENAME TO note; INSERT INTO note(text) VALUES ('anew');",
            );
        }
    }
    running.until_same(&a, &b).await;
    running.until_same(&a, &c).await;
    running.stop().await;
    let check = shell(&b, "PRAGMA integrity_check;");
    assert_eq!(check.trim(), "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_hands_on_what_it_is_given() {
    let world = World::new();
    let (a, b, c) = (world.database("a.db", SHOP), world.path("b.db"), world.path("c.db"));
    let first = Job::new(1, &a, &[&b]);
    let mut running = first.start().await;
    running.until_same(&a, &b).await;
    let second = Job::new(2, &b, &[&c]);
    let mut onward = second.start().await;
    onward.until_same(&b, &c).await;
    for at in 0..20 {
        shell(&a, &step(at));
    }
    running.until_same(&a, &b).await;
    onward.until_same(&a, &c).await;
    // Who wrote it is in the log: the first job, or nobody we know.
    let origins = shell(&b, "SELECT DISTINCT origin FROM whimbrel_log WHERE tbl IS NOT NULL;");
    assert!(origins.lines().all(|origin| origin == first.id.to_string()), "{origins}");
    shell(&b, "INSERT INTO note(text) VALUES ('by hand');");
    onward.until_same(&b, &c).await;
    running.stop().await;
    onward.stop().await;
}
