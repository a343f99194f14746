//! What a job makes of two stores: copy, tail, kills at any moment, judged by reading both without the connectors.

mod changes;

use changes::{children, column_added, evicted, put_back, swapped};

use super::{
    check::{Check, Failure, Verdict, must, same},
    fixture::{
        Scratch,
        Trait::{AddColumns, Backups, Evictions, ForeignKeys, Uniques},
        Write,
    },
    replica::equal_rows,
    scene::{self, JOB, busy, child, double, plain, plain_row, unique},
};
use crate::{
    error::{ErrorKind, Result},
    model::{
        ApplySettings, Column, CopySettings, Existing, JobSpec, Limits, SourceSpec, Table, TableName, TargetSpec, Type,
        Value,
    },
    pipeline::{
        self, JobRun, TargetRun,
        status::{JobStatus, Observed},
    },
    state::{Desired, JobRecord, MemoryState, State},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Far beyond what a job needs for a few hundred rows.
const SOON: Duration = Duration::from_secs(300);
/// Between two looks at the stores.
const PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Keys of large transactions start here.
const WAVES: i64 = 50_000;

/// Rows of `plain` before a job begins, with keys from -1 down.
const FILLED: i64 = 200;

/// `scene::busy` starts here: beyond the keys of the story.
const BUSY: i64 = 20_000;

/// Two scratch stores.
pub struct Pair {
    pub from: Box<dyn Scratch>,
    pub to: Box<dyn Scratch>,
}

impl Pair {
    pub(super) fn complaints(&self) -> Vec<String> {
        self.from.complaints().into_iter().chain(self.to.complaints()).collect()
    }
}

/// Each on two scratch stores of its own.
pub(super) const CHECKS: &[Check<Pair>] = &[
    Check {
        name: "copy-and-tail",
        proves: "what is there is copied, what changes meanwhile and later arrives",
        rule: "invariants 1 to 5, R1, R2",
        needs: &[],
        run: |pair| Box::pin(copy_and_tail(pair)),
    },
    Check {
        name: "streaming-is-true",
        proves: "a job that says Streaming has everything that was written before its copy ended",
        rule: "B5, invariant 9",
        needs: &[],
        run: |pair| Box::pin(streaming(pair)),
    },
    Check {
        name: "killed",
        proves: "a job that is killed at any moment, and comes back with other lanes, loses, doubles and invents nothing",
        rule: "lane protocol 4, 5, A8, B1",
        needs: &[],
        run: |pair| Box::pin(killed(pair)),
    },
    Check {
        name: "values-swapped",
        proves: "unique values that move between rows arrive, in the copy's window and later",
        rule: "A3",
        needs: &[Uniques],
        run: |pair| Box::pin(swapped(pair)),
    },
    Check {
        name: "values-evicted",
        proves: "rows that an insert evicts are gone in the target too",
        rule: "A9",
        needs: &[Evictions, Uniques],
        run: |pair| Box::pin(evicted(pair)),
    },
    Check {
        name: "children",
        proves: "parents and children arrive, and go together",
        rule: "A4",
        needs: &[ForeignKeys],
        run: |pair| Box::pin(children(pair)),
    },
    Check {
        name: "column-added",
        proves: "a column that is added while the job runs arrives",
        rule: "A11",
        needs: &[AddColumns],
        run: |pair| Box::pin(column_added(pair)),
    },
    Check {
        name: "source-put-back",
        proves: "a source that is put back from a backup stops the job as Lost",
        rule: "A13, invariant 8",
        needs: &[Backups],
        run: |pair| Box::pin(put_back(pair)),
    },
];

/// One job over the pair, its state, and whatever runs of it.
struct Job<'p> {
    pair: &'p Pair,
    state: Arc<MemoryState>,
    lanes: u16,
    running: Option<Running>,
}

struct Running {
    task: JoinHandle<Result<()>>,
    stop: CancellationToken,
    status: watch::Receiver<JobStatus>,
    _limits: watch::Sender<Limits>,
}

impl<'p> Job<'p> {
    async fn new(pair: &'p Pair, tables: &[Table]) -> Result<Job<'p>, Failure> {
        for table in tables {
            pair.from.create(table).await?;
            super::source::shown(&*pair.from.source()?, |shape| shape.name == table.name).await?;
        }
        let state = Arc::new(MemoryState::default());
        let spec = JobSpec {
            name: "certify".into(),
            labels: [].into(),
            source: SourceSpec {
                tables: tables.iter().map(|table| table.name.to_string()).collect(),
                rename: renamed(pair),
                ..SourceSpec::new("from")
            },
            targets: vec![TargetSpec { store: "to".into(), existing: Existing::Refuse }],
            copy: CopySettings::default(),
            apply: ApplySettings::default(),
        };
        let record = JobRecord::new(JOB, spec, Desired::Run);
        state.save_job(&record).await?;
        Ok(Job { pair, state, lanes: 0, running: None })
    }

    /// A daemon of its own: new instances, a new token, nothing but state and stores in common with the last.
    async fn start(&mut self) -> Verdict {
        let mut record = self.state.jobs().await?.pop().ok_or_else(|| Failure("state lost the job".into()))?;
        record.spec.apply.lanes = self.lanes;
        let (status, seen) = watch::channel(JobStatus::default());
        let (limits, limited) = watch::channel(Limits::default());
        let to = TargetRun { name: "to".into(), target: self.pair.to.target()?, reader: self.pair.to.source()? };
        let run = JobRun {
            record,
            source: self.pair.from.source()?,
            targets: vec![to],
            state: Arc::clone(&self.state) as Arc<dyn State>,
            token: Uuid::new_v4(),
            limits: limited,
            status: Arc::new(status),
            retain_after_apply: Duration::ZERO,
            budget: pipeline::Budget::new(64),
            others: Arc::new(Vec::new),
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(pipeline::run(run, stop.clone()));
        self.running = Some(Running { task, stop, status: seen, _limits: limits });
        Ok(())
    }

    /// As if the process died: nothing is saved, nothing is said to anybody.
    async fn kill(&mut self) -> Verdict {
        if let Some(running) = self.running.take() {
            running.task.abort();
            if let Ok(Err(error)) = running.task.await {
                return Err(Failure(format!("the job stopped by itself: {error:?}")));
            }
        }
        Ok(())
    }

    async fn write(&self, transaction: &[Write]) -> Verdict {
        Ok(self.pair.from.write(transaction).await?)
    }

    fn observed(&self) -> Observed {
        self.running.as_ref().map_or(Observed::Created, |running| running.status.borrow().observed)
    }

    /// The job says Streaming, of itself and of each table.
    async fn streams(&mut self, what: &str, tables: &[TableName]) -> Verdict {
        let running = self.running.as_mut().ok_or_else(|| Failure("nothing runs".into()))?;
        let says_so = |status: &JobStatus| {
            let all = status.targets.get("to").is_some_and(|target| {
                tables.iter().all(|table| target.tables.get(table).is_some_and(|t| t.observed == Observed::Streaming))
            });
            status.observed == Observed::Streaming && all
        };
        let waited = tokio::time::timeout(SOON, running.status.wait_for(says_so)).await.map(|seen| seen.is_ok());
        match waited {
            Ok(true) => Ok(()),
            // The sender went with the job.
            Ok(false) => {
                let ended = self.running.take().expect("just seen").task.await;
                Err(Failure(format!("{what}: the job ended: {ended:?}")))
            }
            Err(_) => Err(Failure(format!("{what}: after {SOON:?} the job is {:?}", self.observed()))),
        }
    }

    /// The job says Streaming, and both stores hold the same rows.
    async fn arrives(&mut self, what: &str, tables: &[TableName]) -> Verdict {
        let (started, mut pause) = (tokio::time::Instant::now(), PAUSE);
        loop {
            self.streams(what, tables).await?;
            let Some(differing) = self.differing(tables).await? else { return Ok(()) };
            must(started.elapsed() < SOON, || {
                format!("{what}: after {SOON:?} the job is {:?}, and {differing}", self.observed())
            })?;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn differing(&self, tables: &[TableName]) -> Result<Option<String>, Failure> {
        for table in tables {
            let expected = self.pair.from.rows(table).await?.unwrap_or_default();
            let there = TableName::new(self.pair.to.schema(), table.name.clone());
            let Some(found) = self.pair.to.rows(&there).await? else {
                return Ok(Some(format!("there is no {table} in the target")));
            };
            if let Err(Failure(why)) = equal_rows(&table.to_string(), &found, &expected) {
                return Ok(Some(why));
            }
        }
        Ok(None)
    }

    /// Stops it as a person would.
    async fn stop(&mut self) -> Verdict {
        if let Some(running) = self.running.take() {
            running.stop.cancel();
            let ended = tokio::time::timeout(SOON, running.task).await;
            let ended = ended.map_err(|_| Failure(format!("the job did not stop within {SOON:?}")))?;
            ended.map_err(|error| Failure(format!("the job died: {error}")))??;
        }
        Ok(())
    }
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.task.abort();
        }
    }
}

/// Where the stores call their schemas differently.
fn renamed(pair: &Pair) -> std::collections::BTreeMap<String, String> {
    let (from, to) = (pair.from.schema(), pair.to.schema());
    if from == to { [].into() } else { [(format!("{from}.*"), format!("{to}.*"))].into() }
}

fn names(tables: &[Table]) -> Vec<TableName> {
    tables.iter().map(|table| table.name.clone()).collect()
}

/// The story's tables, filled.
async fn filled(pair: &Pair) -> Result<(Job<'_>, Vec<Table>), Failure> {
    let schema = pair.from.schema();
    let tables = vec![plain(&schema), double(&schema), unique(&schema)];
    let job = Job::new(pair, &tables).await?;
    job.write(&(-FILLED..0).map(|id| Write::insert(&tables[0].name, plain_row(id, "there"))).collect::<Vec<_>>())
        .await?;
    Ok((job, tables))
}

/// Some rows of `plain` that were there before the job.
fn touched(plain: &TableName, chance: &mut Chance, below: i64, rows: usize) -> Vec<Write> {
    let touch =
        |id: i64, size: i64| Write::update(plain, vec![Value::Int(-1 - id)], vec![(scene::SIZE, Value::Int(size))]);
    (0..rows).map(|_| touch(chance.below(below), chance.below(1_000_000))).collect()
}

async fn copy_and_tail(pair: &Pair) -> Verdict {
    let (mut job, tables) = filled(pair).await?;
    let names = names(&tables);
    let mut chance = Chance(1);
    job.start().await?;
    let mut story = scene::story(&names[0], &names[1], &names[2]).into_iter();
    // Rows in ranges that are copied, are being copied and are not copied yet.
    for _ in 0..200 {
        job.write(&touched(&names[0], &mut chance, FILLED, 3)).await?;
        if let Some(transaction) = story.next() {
            job.write(&transaction).await?;
        } else if job.observed() > Observed::Copying {
            break;
        }
        tokio::time::sleep(chance.moment(14)).await;
    }
    job.arrives("copied under changes", &names).await?;
    for n in BUSY..BUSY + 55 {
        job.write(&busy(&names[0], n)).await?;
    }
    job.arrives("followed", &names).await?;
    job.stop().await?;
    // Nothing more is written once it has stopped; what changed meanwhile comes with the next start.
    job.write(&[Write::insert(&names[0], plain_row(777, "while it was stopped"))]).await?;
    must(job.differing(&names).await?.is_some(), || "a stopped job still writes".into())?;
    job.start().await?;
    job.arrives("started again", &names).await?;
    job.stop().await
}

/// All is written before the last range is copied, and so before the mark that the tail must pass.
async fn streaming(pair: &Pair) -> Verdict {
    let (mut job, tables) = filled(pair).await?;
    let names = names(&tables);
    let mut chance = Chance(3);
    job.start().await?;
    for transaction in scene::story(&names[0], &names[1], &names[2]) {
        job.write(&transaction).await?;
        job.write(&touched(&names[0], &mut chance, FILLED, 8)).await?;
    }
    let in_time = job.observed() <= Observed::Copying;
    job.streams("copied under changes", &names).await?;
    let differing = job.differing(&names).await?;
    // Where the store was faster than we are, it has proven nothing, and nothing else.
    must(!in_time || differing.is_none(), || format!("the job says Streaming, and {differing:?}"))?;
    job.arrives("copied under changes", &names).await?;
    job.stop().await
}

/// Each round another number of lanes, a large transaction and small ones, and a kill at some moment.
async fn killed(pair: &Pair) -> Verdict {
    const ROUNDS: i64 = 30;
    let (mut job, tables) = filled(pair).await?;
    let names = names(&tables);
    let mut story = scene::story(&names[0], &names[1], &names[2]).into_iter();
    let mut chance = Chance(2);
    for round in 0..ROUNDS {
        job.lanes = [3, 1, 4, 2, 3][usize::try_from(round % 5).expect("small")];
        job.start().await?;
        job.write(&busy(&names[0], BUSY + round)).await?;
        if let Some(transaction) = story.next() {
            job.write(&transaction).await?;
        }
        // Large enough for several lanes. Most of it is never written again: what is lost stays lost.
        let first = WAVES + round * 200;
        let mut wave: Vec<_> = (0..90).map(|id| Write::insert(&names[0], plain_row(first + id, "wave"))).collect();
        wave.extend((0..40).map(|id| Write::delete(&names[0], vec![Value::Int(first - 200 + id)])));
        wave.extend(touched(&names[0], &mut chance, FILLED / 4, 20));
        job.write(&wave).await?;
        if round % 10 == 9 {
            job.arrives(&format!("after {round} kills"), &names).await?;
        } else {
            tokio::time::sleep(chance.moment(18)).await;
        }
        job.kill().await?;
    }
    job.start().await?;
    job.arrives("after the last kill", &names).await?;
    job.stop().await
}

/// A small generator (SplitMix64): the same moments in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((z ^ (z >> 31)) >> 1).expect("positive") % bound
    }

    /// Up to 2^`doublings` µs, each magnitude as likely: stores differ in how long they take for the same.
    fn moment(&mut self, doublings: i64) -> Duration {
        let most = 1 << self.below(doublings + 1);
        Duration::from_micros(u64::try_from(self.below(most) + most).expect("positive"))
    }
}
