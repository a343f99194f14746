//! Decorators for every contract: they reject, lose answers, hold, slow down, and die as a process does.

use async_trait::async_trait;
use parking_lot::Mutex;
use std::{
    cmp::Ordering,
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};
use whimbrel::{
    error::{Error, Result},
    model::{Batch, Checkpoint, Existing, Finding, JobId, KeyRange, Mark, Position, Progress, Table, TableName},
    source::{Backlog, Columns, Feed, Fetched, Next, Source, Wanted},
    state::{AuditEntry, JobChange, JobRecord, State},
    target::{Applied, Claim, Finished, JobRow, Opened, Part, Prepared, Target},
};

/// What becomes of one call.
pub enum Fault {
    Pass,
    /// Done, and nobody is told.
    LoseAnswer,
    /// Sent when the gate opens.
    Hold(Arc<Gate>),
    /// The process dies before the call, or after it is done.
    Die {
        done: bool,
    },
}

/// Opens once.
#[derive(Default)]
pub struct Gate {
    open: Mutex<bool>,
    changed: Notify,
}

impl Gate {
    pub fn open(&self) {
        *self.open.lock() = true;
        self.changed.notify_waiters();
    }

    async fn pass(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if *self.open.lock() {
                return;
            }
            changed.await;
        }
    }
}

/// The faults of one process. Whoever calls through its decorators once it is dead never hears anything again.
#[derive(Default)]
pub struct Faults {
    inner: Mutex<Inner>,
    died: Notify,
}

#[derive(Default)]
struct Inner {
    dead: bool,
    calls: u64,
    die_at: Option<u64>,
    /// Calls since time last passed.
    moment: Option<(Instant, u64)>,
    spins: bool,
    queues: BTreeMap<String, VecDeque<Fault>>,
    slow: BTreeMap<String, Duration>,
    counts: BTreeMap<String, u64>,
    mute: bool,
    watching: Vec<Watch>,
}

type Watch = Arc<dyn Fn(&str, &Checkpoint) + Send + Sync>;

impl Faults {
    /// The next calls of an operation (`a.apply`, `source.fetch`, `tail.next`, `state.save_progress`) meet these.
    pub fn queue(&self, operation: &str, faults: impl IntoIterator<Item = Fault>) {
        self.inner.lock().queues.entry(operation.to_owned()).or_default().extend(faults);
    }

    /// Every call of an operation takes so long.
    pub fn slow(&self, operation: &str, lasting: Duration) {
        self.inner.lock().slow.insert(operation.to_owned(), lasting);
    }

    /// The process dies at its `calls`-th step from now.
    pub fn die_after(&self, calls: u64) {
        let mut inner = self.inner.lock();
        inner.die_at = Some(inner.calls + calls);
    }

    /// Tails learn nothing any more, and say so; or they do again.
    pub fn mute(&self, mute: bool) {
        self.inner.lock().mute = mute;
    }

    pub fn kill(&self) {
        self.inner.lock().dead = true;
        self.died.notify_waiters();
    }

    pub fn is_dead(&self) -> bool {
        self.inner.lock().dead
    }

    pub fn count(&self, operation: &str) -> u64 {
        self.inner.lock().counts.get(operation).copied().unwrap_or(0)
    }

    /// Is told of each acknowledgement before it is sent.
    pub fn watch_acknowledge(&self, watch: Watch) {
        self.inner.lock().watching.push(watch);
    }

    /// Whether the process did very much in no time at all: it would do so for ever.
    pub fn spins(&self) -> bool {
        self.inner.lock().spins
    }

    /// Where a process can die between two steps.
    async fn step(&self) {
        const TOO_MANY: u64 = 400_000;
        let dead = {
            let mut inner = self.inner.lock();
            let now = Instant::now();
            let count = inner.moment.filter(|(since, _)| *since == now).map_or(0, |(_, count)| count + 1);
            inner.moment = Some((now, count));
            inner.spins |= count > TOO_MANY;
            inner.dead |= inner.spins;
            inner.calls += 1;
            inner.dead |= inner.die_at.is_some_and(|at| inner.calls >= at);
            inner.dead
        };
        if dead {
            self.died.notify_waiters();
            std::future::pending::<()>().await;
        }
    }

    async fn call<T>(&self, operation: String, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.step().await;
        let (fault, slow) = {
            let mut inner = self.inner.lock();
            *inner.counts.entry(operation.clone()).or_default() += 1;
            let fault = inner.queues.get_mut(&operation).and_then(VecDeque::pop_front);
            (fault, inner.slow.get(&operation).copied())
        };
        if let Some(lasting) = slow.filter(|lasting| *lasting > Duration::ZERO) {
            super::wait::pass(lasting).await;
            self.step().await;
        }
        let mut dies = false;
        let mut lost = false;
        match fault {
            None | Some(Fault::Pass) => {}
            Some(Fault::LoseAnswer) => lost = true,
            Some(Fault::Hold(gate)) => gate.pass().await,
            Some(Fault::Die { done }) => {
                dies = done;
                if !done {
                    self.kill();
                    self.step().await;
                }
            }
        }
        let answer = call.await;
        if dies {
            self.kill();
        }
        self.step().await;
        match answer {
            Ok(_) if lost => Err(Error::transient(format!("the answer to {operation} was lost"))),
            answer => answer,
        }
    }
}

/// Anything behind the faults of a process.
pub struct Faulty<T: ?Sized> {
    /// In front of the operation's name where several are of one kind.
    name: String,
    faults: Arc<Faults>,
    inner: Arc<T>,
}

impl<T: ?Sized> Faulty<T> {
    pub fn new(name: &str, faults: &Arc<Faults>, inner: Arc<T>) -> Arc<Self> {
        Arc::new(Faulty { name: name.to_owned(), faults: Arc::clone(faults), inner })
    }

    async fn call<R>(&self, operation: &str, call: impl Future<Output = Result<R>>) -> Result<R> {
        self.faults.call(format!("{}.{operation}", self.name), call).await
    }

    fn feed(&self, name: &str, feed: Box<dyn Feed>) -> Box<dyn Feed> {
        Box::new(FaultyFeed { name: name.to_owned(), faults: Arc::clone(&self.faults), feed })
    }
}

struct FaultyFeed {
    name: String,
    faults: Arc<Faults>,
    feed: Box<dyn Feed>,
}

#[async_trait]
impl Feed for FaultyFeed {
    async fn next(&mut self, patience: Duration) -> Result<Next> {
        let mute = self.name == "tail" && self.faults.inner.lock().mute;
        if mute {
            self.faults.step().await;
            super::wait::pass(patience).await;
            return Ok(Next::Idle(Checkpoint::default()));
        }
        self.faults.call(format!("{}.next", self.name), self.feed.next(patience)).await
    }

    async fn acknowledge(&mut self, upto: &Checkpoint) -> Result<()> {
        let watching = self.faults.inner.lock().watching.clone();
        watching.iter().filter(|_| !self.faults.is_dead()).for_each(|watch| watch(&self.name, upto));
        self.faults.call(format!("{}.acknowledge", self.name), self.feed.acknowledge(upto)).await
    }

    fn passed(&mut self, mark: &Mark) -> bool {
        self.feed.passed(mark)
    }

    fn gone(&self) -> Vec<TableName> {
        self.feed.gone()
    }

    fn stands_at(&self) -> Option<Checkpoint> {
        self.feed.stands_at()
    }
}

#[async_trait]
impl Source for Faulty<dyn Source> {
    async fn check(&self, job: JobId, tables: &[Arc<Table>]) -> Result<Vec<Finding>> {
        self.call("check", self.inner.check(job, tables)).await
    }

    async fn tables(&self) -> Result<(Vec<Arc<Table>>, Vec<Finding>)> {
        self.call("tables", self.inner.tables()).await
    }

    async fn begin(&self, job: JobId, tables: &[Arc<Table>]) -> Result<Checkpoint> {
        self.call("begin", self.inner.begin(job, tables)).await
    }

    async fn release(&self, job: JobId) -> Result<()> {
        self.call("release", self.inner.release(job)).await
    }

    async fn mark(&self) -> Result<Mark> {
        self.call("mark", self.inner.mark()).await
    }

    async fn split(&self, table: &Arc<Table>, range: &KeyRange, pieces: usize) -> Result<Vec<KeyRange>> {
        self.call("split", self.inner.split(table, range, pieces)).await
    }

    async fn copy(
        &self,
        table: &Arc<Table>,
        range: &KeyRange,
        columns: Columns,
        after: &Checkpoint,
    ) -> Result<Box<dyn Feed>> {
        let feed = self.call("copy", self.inner.copy(table, range, columns, after)).await?;
        Ok(self.feed("copy", feed))
    }

    async fn fetch(&self, wanted: &[Wanted], after: &Checkpoint, max_bytes: usize) -> Result<Vec<Fetched>> {
        self.call("fetch", self.inner.fetch(wanted, after, max_bytes)).await
    }

    async fn tail(
        &self,
        job: JobId,
        from: &Checkpoint,
        edges: &[Checkpoint],
        tables: &[TableName],
    ) -> Result<Box<dyn Feed>> {
        let feed = self.call("tail", self.inner.tail(job, from, edges, tables)).await?;
        Ok(self.feed("tail", feed))
    }

    fn cut(&self, batch: &Batch, taken: usize) -> Position {
        self.inner.cut(batch, taken)
    }

    fn seen(&self) -> Checkpoint {
        self.inner.seen()
    }

    fn order(&self, a: &Position, b: &Position) -> Result<Ordering> {
        self.inner.order(a, b)
    }

    async fn backlog(&self, job: JobId, from: &Checkpoint) -> Result<Backlog> {
        self.call("backlog", self.inner.backlog(job, from)).await
    }

    fn is_key_only(&self) -> bool {
        self.inner.is_key_only()
    }
}

#[async_trait]
impl Target for Faulty<dyn Target> {
    async fn check(&self, tables: &[Arc<Table>], existing: Existing) -> Result<Vec<Finding>> {
        self.call("check", self.inner.check(tables, existing)).await
    }

    async fn open(&self, claim: &Claim) -> Result<Opened> {
        self.call("open", self.inner.open(claim)).await
    }

    async fn prepare(&self, table: &Arc<Table>, generation: u64) -> Result<Prepared> {
        self.call("prepare", self.inner.prepare(table, generation)).await
    }

    async fn apply(&self, part: Part<'_>) -> Result<Applied> {
        self.call("apply", self.inner.apply(part)).await
    }

    async fn finish(&self, table: &Arc<Table>) -> Result<Finished> {
        self.call("finish", self.inner.finish(table)).await
    }

    async fn forget(&self, job: JobId) -> Result<()> {
        self.call("forget", self.inner.forget(job)).await
    }

    async fn jobs(&self) -> Result<Vec<JobRow>> {
        self.call("jobs", self.inner.jobs()).await
    }

    fn lanes(&self) -> u16 {
        self.inner.lanes()
    }

    fn hash_version(&self) -> u8 {
        self.inner.hash_version()
    }

    fn is_transactional(&self) -> bool {
        self.inner.is_transactional()
    }
}

#[async_trait]
impl State for Faulty<dyn State> {
    async fn jobs(&self) -> Result<Vec<JobRecord>> {
        self.call("jobs", self.inner.jobs()).await
    }

    async fn save_job(&self, job: &JobRecord) -> Result<()> {
        self.call("save_job", self.inner.save_job(job)).await
    }

    async fn change_job(&self, job: JobId, change: JobChange) -> Result<Option<JobRecord>> {
        self.call("change_job", self.inner.change_job(job, change)).await
    }

    async fn delete_job(&self, job: JobId) -> Result<()> {
        self.call("delete_job", self.inner.delete_job(job)).await
    }

    async fn progress(&self, job: JobId, target: &str) -> Result<Option<Progress>> {
        self.call("progress", self.inner.progress(job, target)).await
    }

    async fn save_progress(&self, job: JobId, target: &str, progress: &Progress) -> Result<()> {
        self.call("save_progress", self.inner.save_progress(job, target, progress)).await
    }

    async fn record(&self, entry: AuditEntry) -> Result<()> {
        self.call("record", self.inner.record(entry)).await
    }

    async fn history(&self, job: Option<JobId>, limit: usize) -> Result<Vec<AuditEntry>> {
        self.call("history", self.inner.history(job, limit)).await
    }
}
