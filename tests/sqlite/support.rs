//! A world of files: the `sqlite3` shell writes and judges, the connector is asked through its contracts.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use uuid::Uuid;
use whimbrel::{
    connectors::{self, Store, StoreSettings},
    error::Result,
    model::{
        Batch, Checkpoint, Existing, JobId, Key, KeyRange, LaneMark, Partition, Position, Rows, Table, TableName, Value,
    },
    source::{Columns, Feed, Next, Source},
    target::{Applied, Claim, Finished, Opened, Part, Target},
};

pub use crate::support::wait::DEADLINE;
pub const PATIENCE: Duration = Duration::from_millis(40);

/// A folder of databases.
pub struct World {
    folder: TempDir,
}

impl World {
    pub fn new() -> World {
        World { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A database made by the shell.
    pub fn database(&self, name: &str, sql: &str) -> PathBuf {
        let path = self.path(name);
        shell(&path, sql);
        path
    }
}

/// Runs SQL in the `sqlite3` shell, another process; its output. Panics if the shell complains.
pub fn shell(path: &Path, sql: &str) -> String {
    let (out, err) = try_shell(path, sql);
    assert!(err.is_empty(), "sqlite3 says {err} to {sql}");
    out
}

/// What the shell says, and what it complains about.
pub fn try_shell(path: &Path, sql: &str) -> (String, String) {
    let mut child = Command::new("sqlite3")
        .args(["-batch", "-cmd", ".timeout 10000"])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the `sqlite3` shell is installed");
    child.stdin.take().expect("piped").write_all(sql.as_bytes()).expect("the shell reads");
    let output = child.wait_with_output().expect("the shell ends");
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Every value of a table with its storage class, as the shell sees it.
pub fn rows(path: &Path, table: &str) -> String {
    let columns = shell(path, &format!("SELECT name FROM pragma_table_xinfo('{table}') ORDER BY name;"));
    let terms: Vec<String> = columns
        .lines()
        .map(|name| format!("'{name}=', typeof(\"{name}\"), quote(\"{name}\"), hex(\"{name}\")"))
        .collect();
    shell(
        path,
        &format!(
            "SELECT {} FROM \"{table}\" ORDER BY {};",
            terms.join(", "),
            (1..=terms.len() * 4).map(|at| at.to_string()).collect::<Vec<_>>().join(", ")
        ),
    )
}

/// Tables of the application.
pub fn tables(path: &Path) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'whimbrel_*' AND name NOT GLOB 'sqlite_*' AND sql NOT LIKE 'create virtual%' ORDER BY name;";
    shell(path, sql).lines().map(str::to_owned).collect()
}

pub fn assert_same(a: &Path, b: &Path) {
    assert_eq!(tables(a), tables(b));
    for table in tables(a) {
        assert_eq!(rows(a, &table), rows(b, &table), "table {table}");
    }
}

pub fn store(path: &Path) -> Arc<dyn Store> {
    let options = [("busy_ms".to_owned(), "300".to_owned())].into();
    open(path, options).expect("good settings")
}

pub fn open(path: &Path, options: std::collections::BTreeMap<String, String>) -> Result<Arc<dyn Store>> {
    let url = format!("sqlite:{}", path.display());
    connectors::open(&StoreSettings { name: "test".into(), url, options, ..StoreSettings::default() })
}

pub fn source(path: &Path) -> Arc<dyn Source> {
    store(path).source().expect("a source")
}

pub fn target(path: &Path) -> Arc<dyn Target> {
    store(path).target().expect("a target")
}

pub fn job(number: u128) -> JobId {
    JobId(Uuid::from_u128(number))
}

pub fn name(table: &str) -> TableName {
    TableName::new("main", table)
}

pub async fn table(source: &Arc<dyn Source>, wanted: &str) -> Arc<Table> {
    let (tables, _) = source.tables().await.expect("tables");
    tables.into_iter().find(|table| table.name.name == wanted).expect("the table is there")
}

pub async fn all_tables(source: &Arc<dyn Source>) -> Vec<Arc<Table>> {
    source.tables().await.expect("tables").0
}

/// The one position in a checkpoint.
pub fn position(checkpoint: &Checkpoint) -> Position {
    checkpoint.get(&Partition::new(Partition::ONLY)).cloned().expect("a position")
}

pub fn at(position: &Position) -> Checkpoint {
    Checkpoint::only(position.clone())
}

/// Every batch of a copy.
pub async fn copy(
    source: &Arc<dyn Source>,
    table: &Arc<Table>,
    range: &KeyRange,
    columns: Columns,
) -> Result<Vec<Batch>> {
    let mut feed = source.copy(table, range, columns, &Checkpoint::default()).await?;
    let mut batches = Vec::new();
    loop {
        match feed.next(DEADLINE).await? {
            Next::Batch(batch) => batches.push(batch),
            Next::Idle(_) => {}
            Next::End => return Ok(batches),
        }
    }
}

/// Keys of batches in order.
pub fn keys(batches: &[Batch]) -> Vec<Key> {
    let keys = batches.iter().flat_map(|batch| {
        let rows = batch.rows();
        rows.mutations.iter().map(|mutation| Key::of(rows.table(mutation), rows.row(mutation.row)).expect("a key"))
    });
    keys.collect()
}

/// A key as values, for expectations.
pub fn values(key: &Key) -> Vec<Value> {
    key.values().map(|value| value.to_owned()).collect()
}

pub fn int(key: &Key) -> i64 {
    match values(key)[..] {
        [Value::Int(number)] => number,
        ref other => panic!("{other:?} is no number"),
    }
}

/// Reads a tail until it is idle: what it gave, and where it stands.
pub async fn drain(feed: &mut Box<dyn Feed>) -> Result<(Vec<Batch>, Position)> {
    let mut batches = Vec::new();
    loop {
        match feed.next(PATIENCE).await? {
            Next::Batch(batch) => batches.push(batch),
            Next::Idle(checkpoint) if checkpoint.0.is_empty() => {}
            Next::Idle(checkpoint) => return Ok((batches, position(&checkpoint))),
            Next::End => panic!("a tail does not end"),
        }
    }
}

/// The next batch of a tail, within the deadline.
pub async fn next_batch(feed: &mut Box<dyn Feed>) -> Result<Batch> {
    let start = Instant::now();
    loop {
        if let Next::Batch(batch) = feed.next(PATIENCE).await? {
            return Ok(batch);
        }
        assert!(start.elapsed() < DEADLINE, "no batch came");
    }
}

/// A tail of all tables that a job follows.
pub async fn tail(source: &Arc<dyn Source>, job: JobId, from: &Checkpoint) -> Result<Box<dyn Feed>> {
    let names: Vec<TableName> = all_tables(source).await.iter().map(|table| table.name.clone()).collect();
    source.tail(job, from, &[], &names).await
}

/// A job's claim on a target.
pub fn claim(job: JobId, epoch: u64, tables: &[Arc<Table>]) -> Claim {
    let start = Position::new(b"start", 0);
    Claim {
        job,
        spec: "name: test".into(),
        epoch,
        token: Uuid::from_u128(7),
        tables: tables.iter().map(|table| table.name.clone()).collect(),
        feeds: vec![(Partition::new(Partition::ONLY), 1, start.clone()), (Partition::new(Partition::COPY), 1, start)],
        existing: Existing::Merge,
        transactional: false,
    }
}

/// A target with everything prepared, and the number of the next batch.
pub struct Applier {
    pub target: Arc<dyn Target>,
    pub opened: Opened,
    pub number: u64,
}

/// A batch of the log from owned rows.
pub fn batch(rows: Rows) -> Batch {
    Batch {
        partition: Partition::new(Partition::ONLY),
        from: Position::new(b"from", 0),
        to: Position::new(b"to", 0),
        complete: true,
        kind: whimbrel::model::Kind::Log,
        body: whimbrel::model::Body::Rows(Arc::new(rows)),
        committed_ms: 0,
    }
}

impl Applier {
    pub async fn open(target: Arc<dyn Target>, claim: &Claim, tables: &[Arc<Table>]) -> Applier {
        let opened = target.open(claim).await.expect("opened");
        for table in tables {
            target.prepare(table, 1).await.expect("prepared");
        }
        let number = newest(&opened);
        Applier { target, opened, number }
    }

    pub async fn apply(&mut self, batch: &Batch) -> Result<Applied> {
        let answer = self.target.apply(Part::whole(batch, self.number + 1)).await;
        if matches!(answer, Ok(Applied::Done | Applied::Held)) {
            self.number += 1;
        }
        answer
    }

    /// Copies a table, fetching nothing.
    pub async fn copy(&mut self, source: &Arc<dyn Source>, table: &Arc<Table>) {
        for batch in copy(source, table, &KeyRange::all(), Columns::All).await.expect("copied") {
            let batch = Batch { partition: Partition::new(Partition::ONLY), ..batch };
            assert_eq!(self.apply(&batch).await.expect("applied"), Applied::Done);
        }
    }

    pub async fn finish(&self, tables: &[Arc<Table>]) {
        for table in tables {
            assert_eq!(self.target.finish(table).await.expect("finished"), Finished::Done);
        }
    }
}

pub fn newest(opened: &Opened) -> u64 {
    let log = |mark: &&LaneMark| mark.feed.as_str() == Partition::ONLY;
    opened.marks.iter().filter(log).map(|mark| mark.batch).max().unwrap_or(0)
}
