//! What a job makes of two stores: copy, tail, kills at any moment, judged by reading both without the connectors.

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
        ApplySettings, Column, CopySettings, Existing, JobSpec, Keyless, Limits, SourceSpec, Table, TableName,
        TargetSpec, Type, Value,
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
        proves: "what is there is copied, what changes meanwhile and later arrives, and Streaming is said only then",
        rule: "invariants 1 to 5, R1, R2",
        needs: &[],
        run: |pair| Box::pin(copy_and_tail(pair)),
    },
    Check {
        name: "killed",
        proves: "a job that is killed at any moment loses, doubles and invents nothing",
        rule: "lane protocol 4, 5, A8, B1",
        needs: &[],
        run: |pair| Box::pin(killed(pair, 4)),
    },
    Check {
        name: "killed-in-other-lanes",
        proves: "nor does one that comes back with another number of lanes",
        rule: "lane protocol 5",
        needs: &[],
        run: |pair| Box::pin(killed_in_other_lanes(pair)),
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
                store: "from".into(),
                tables: tables.iter().map(|table| table.name.to_string()).collect(),
                rename: [].into(),
                keyless: Keyless::Refuse,
            },
            targets: vec![TargetSpec { store: "to".into(), existing: Existing::Refuse }],
            copy: CopySettings::default(),
            apply: ApplySettings::default(),
        };
        let record = JobRecord {
            id: JOB,
            spec,
            desired: Desired::Run,
            begun: None,
            created_ms: 0,
            etag: String::new(),
            stopped: None,
            request_id: None,
        };
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

    /// The job says Streaming, and both stores hold the same rows.
    async fn arrives(&mut self, what: &str, tables: &[TableName]) -> Verdict {
        let (started, mut pause) = (tokio::time::Instant::now(), PAUSE);
        loop {
            let running = self.running.as_ref().ok_or_else(|| Failure("nothing runs".into()))?;
            let (observed, tables_streaming) = {
                let status = running.status.borrow();
                let target = status.targets.get("to");
                let all = target.is_some_and(|target| {
                    tables.iter().all(|t| target.tables.get(t).is_some_and(|t| t.observed == Observed::Streaming))
                });
                (status.observed, all)
            };
            if running.task.is_finished() {
                let ended = self.running.take().expect("just seen").task.await;
                return Err(Failure(format!("{what}: the job ended: {ended:?}")));
            }
            let says_so = observed == Observed::Streaming && tables_streaming;
            let late = started.elapsed() >= SOON;
            let differing = if says_so || late { self.differing(tables).await? } else { None };
            if says_so && differing.is_none() {
                return Ok(());
            }
            must(!late, || format!("{what}: after {SOON:?} the job is {observed:?}, and {differing:?}"))?;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn differing(&self, tables: &[TableName]) -> Result<Option<String>, Failure> {
        for table in tables {
            let expected = self.pair.from.rows(table).await?.unwrap_or_default();
            let Some(found) = self.pair.to.rows(table).await? else {
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

fn names(tables: &[Table]) -> Vec<TableName> {
    tables.iter().map(|table| table.name.clone()).collect()
}

/// The story's tables, filled.
async fn filled(pair: &Pair) -> Result<(Job<'_>, Vec<Table>), Failure> {
    let schema = pair.from.schema();
    let tables = vec![plain(&schema), double(&schema), unique(&schema)];
    let job = Job::new(pair, &tables).await?;
    job.write(&(-300..0).map(|id| Write::insert(&tables[0].name, plain_row(id, "there"))).collect::<Vec<_>>()).await?;
    Ok((job, tables))
}

async fn copy_and_tail(pair: &Pair) -> Verdict {
    let (mut job, tables) = filled(pair).await?;
    let names = names(&tables);
    job.start().await?;
    for transaction in scene::story(&names[0], &names[1], &names[2]) {
        job.write(&transaction).await?;
        tokio::task::yield_now().await;
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

async fn killed(pair: &Pair, rounds: i64) -> Verdict {
    let (mut job, tables) = filled(pair).await?;
    let names = names(&tables);
    // Small and then growing: the first kills hit the copy, the later ones the tail.
    let mut story = scene::story(&names[0], &names[1], &names[2]).into_iter();
    let mut n = BUSY;
    for round in 0..rounds * 8 {
        job.start().await?;
        for _ in 0..round * 3 {
            tokio::task::yield_now().await;
        }
        for _ in 0..3 {
            job.write(&busy(&names[0], n)).await?;
            n += 1;
        }
        if let Some(transaction) = story.next() {
            job.write(&transaction).await?;
        }
        if round % 8 == 7 {
            job.arrives(&format!("after {round} kills"), &names).await?;
        } else {
            let moment = Duration::from_micros(u64::try_from(round * round * 20).expect("positive"));
            tokio::time::sleep(moment).await;
        }
        job.kill().await?;
    }
    job.start().await?;
    job.arrives("after the last kill", &names).await?;
    job.stop().await
}

async fn killed_in_other_lanes(pair: &Pair) -> Verdict {
    let (mut job, tables) = filled(pair).await?;
    let names = names(&tables);
    job.start().await?;
    job.arrives("at first", &names).await?;
    for (round, lanes) in (0..).zip([3, 1, 4, 2, 1, 5, 3, 2]) {
        let first = 10_000 + round * 200;
        job.write(&(first..first + 200).map(|id| Write::insert(&names[0], plain_row(id, "v"))).collect::<Vec<_>>())
            .await?;
        job.write(
            &(first..first + 200)
                .step_by(3)
                .map(|id| Write::delete(&names[0], vec![Value::Int(id)]))
                .collect::<Vec<_>>(),
        )
        .await?;
        for step in 0..round * 7 {
            job.write(&busy(&names[0], BUSY + round * 100 + step)).await?;
        }
        job.kill().await?;
        job.lanes = lanes;
        job.start().await?;
        for _ in 0..round * 11 {
            tokio::task::yield_now().await;
        }
    }
    job.arrives("after lanes of many counts", &names).await?;
    job.stop().await
}

async fn swapped(pair: &Pair) -> Verdict {
    let table = unique(&pair.from.schema());
    let name = table.name.clone();
    let mut job = Job::new(pair, std::slice::from_ref(&table)).await?;
    let mail = |n: i64| Some(format!("mail {n}"));
    let row = |id: i64| scene::unique_row(id, mail(id).as_deref(), "v");
    job.write(&(0..40).map(|id| Write::insert(&name, row(id))).collect::<Vec<_>>()).await?;
    let set = |id: i64, mail: Option<String>| {
        Write::update(&name, vec![Value::Int(id)], vec![(1, mail.map_or(Value::Null, Value::Text))])
    };
    // Each transaction turns the values of three rows.
    let turn = |a: i64, b: i64, c: i64, round: i64| {
        let value = |n: i64| Some(format!("turned {round} {n}"));
        vec![set(a, None), set(b, None), set(c, value(a)), set(a, value(b)), set(b, value(c))]
    };
    job.start().await?;
    for round in 0..30 {
        let at = |n: i64| (round * 7 + n * 3) % 39;
        job.write(&turn(at(0), at(1), at(2), round / 3)).await?;
        // A value that one row gives up and another takes at once, in transactions of their own.
        job.write(&[Write::delete(&name, vec![Value::Int(39)])]).await?;
        job.write(&[set(at(0), Some("given up".into()))]).await?;
        job.write(&[
            set(at(0), Some(format!("own {round}"))),
            Write::insert(&name, scene::unique_row(39, Some("given up"), "v")),
        ])
        .await?;
        tokio::task::yield_now().await;
        if round % 10 == 9 {
            job.arrives(&format!("unique values turned {round} times"), std::slice::from_ref(&name)).await?;
        }
    }
    job.stop().await
}

async fn evicted(pair: &Pair) -> Verdict {
    let table = unique(&pair.from.schema());
    let name = table.name.clone();
    let mut job = Job::new(pair, std::slice::from_ref(&table)).await?;
    let row = |id: i64, mail: i64| scene::unique_row(id, Some(&format!("mail {mail}")), "v");
    job.write(&(0..30).map(|id| Write::insert(&name, row(id, id))).collect::<Vec<_>>()).await?;
    job.start().await?;
    for n in 0..60 {
        job.write(&[Write::Replace { table: name.clone(), row: row((n * 11) % 30, (n * 7) % 37) }]).await?;
        if n % 20 == 19 {
            job.arrives("after evictions", std::slice::from_ref(&name)).await?;
        }
    }
    job.stop().await
}

async fn children(pair: &Pair) -> Verdict {
    let schema = pair.from.schema();
    let tables = [plain(&schema), child(&schema)];
    let (parents, children) = (tables[0].name.clone(), tables[1].name.clone());
    let mut job = Job::new(pair, &tables).await?;
    let kid = |id: i64, parent: i64| Write::insert(&children, vec![Value::Int(id), Value::Int(parent)]);
    job.write(&(0..20).map(|id| Write::insert(&parents, plain_row(id, "parent"))).collect::<Vec<_>>()).await?;
    job.write(&(0..100).map(|id| kid(id, id % 20)).collect::<Vec<_>>()).await?;
    job.start().await?;
    for n in 0..10 {
        job.write(&[Write::insert(&parents, plain_row(100 + n, "new")), kid(1000 + n, 100 + n)]).await?;
        job.write(&[Write::delete(&parents, vec![Value::Int(n)])]).await?;
        job.write(&[Write::update(&parents, vec![Value::Int(10 + n)], vec![(0, Value::Int(500 + n))])]).await?;
        if n % 5 == 4 {
            job.arrives("parents and children", &names(&tables)).await?;
        }
    }
    job.stop().await
}

async fn column_added(pair: &Pair) -> Verdict {
    let table = plain(&pair.from.schema());
    let name = table.name.clone();
    let mut job = Job::new(pair, std::slice::from_ref(&table)).await?;
    job.write(&(0..50).map(|id| Write::insert(&name, plain_row(id, "old"))).collect::<Vec<_>>()).await?;
    job.start().await?;
    job.arrives("before", std::slice::from_ref(&name)).await?;
    for (number, extra) in ["extra", "more"].into_iter().enumerate() {
        let number = i64::try_from(number).expect("two");
        job.write(&[Write::AddColumn { table: name.clone(), column: Column::new(extra, Type::Text) }]).await?;
        let width = usize::try_from(number).expect("two") + 5;
        let mut row = plain_row(100 + number, "new");
        row.resize(width, Value::Text("filled".into()));
        job.write(&[Write::insert(&name, row)]).await?;
        let set = vec![(width - 1, Value::Text("set".into()))];
        job.write(&[Write::update(&name, vec![Value::Int(number)], set)]).await?;
        // While the job is away, too.
        job.kill().await?;
        job.write(&[Write::delete(&name, vec![Value::Int(10 + number)])]).await?;
        job.start().await?;
        job.arrives(&format!("with the column `{extra}`"), std::slice::from_ref(&name)).await?;
    }
    job.stop().await
}

async fn put_back(pair: &Pair) -> Verdict {
    let table = plain(&pair.from.schema());
    let name = table.name.clone();
    let mut job = Job::new(pair, std::slice::from_ref(&table)).await?;
    job.start().await?;
    job.write(&[Write::insert(&name, plain_row(1, "kept"))]).await?;
    job.arrives("before", std::slice::from_ref(&name)).await?;
    pair.from.back_up().await?;
    job.write(&[Write::insert(&name, plain_row(2, "forgotten"))]).await?;
    job.arrives("before it was put back", std::slice::from_ref(&name)).await?;
    job.kill().await?;
    pair.from.restore().await?;
    job.write(&[Write::insert(&name, plain_row(3, "instead"))]).await?;
    job.start().await?;
    let running = job.running.take().ok_or_else(|| Failure("nothing runs".into()))?;
    let ended = tokio::time::timeout(SOON, running.task).await;
    let ended = ended.map_err(|_| {
        Failure(format!("the job goes on as if nothing were lost, {:?}", running.status.borrow().observed))
    })?;
    match ended.map_err(|error| Failure(format!("the job died: {error}")))? {
        Ok(()) => Err(Failure("the job ended as if all were well".into())),
        Err(error) => same(&format!("the kind of {error:?}"), &error.kind(), &ErrorKind::Lost),
    }
}
