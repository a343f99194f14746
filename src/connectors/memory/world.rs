//! One store that lives in this process: its tables, its log, its server, and all that can happen to them.

use super::{
    chance::Chance,
    config::Habits,
    heap::{Heap, Step, Tables},
    ledger::Ledger,
    log::{Commit, Log, Logged},
    position::Point,
};
use crate::{
    error::{Error, Result},
    model::{Checkpoint, JobId, Partition, Table, TableName, Value},
};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// A store in memory. Everything timed goes through tokio's clock, everything random comes from `Habits::seed`.
pub struct World {
    pub name: String,
    inner: Mutex<Inner>,
    pub(super) changed: Notify,
    itself: Weak<World>,
}

pub(super) struct Inner {
    pub habits: Habits,
    pub chance: Chance,
    pub tables: Tables,
    /// What reads see, where that lags.
    seen: Option<Tables>,
    pub log: Log,
    /// What each job's begin reserved, then what it acknowledged.
    pub reserved: BTreeMap<JobId, Checkpoint>,
    pub ledger: Ledger,
    /// Newest last: what a failover can lose.
    recent: VecDeque<(Vec<Step>, Ledger)>,
    /// Grows when the server dies: transactions of an earlier one cannot commit.
    pub incarnation: u64,
    pub down_until: Option<Instant>,
    stalled_until: Option<Instant>,
    started: Instant,
    pub counts: Counts,
    /// Rules of the contracts that somebody broke.
    pub breaches: Vec<String>,
    history: Vec<(u64, Vec<Step>)>,
}

/// How often something happened here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub tails: u64,
    pub tails_closed_by_server: u64,
    pub pages: u64,
    pub fetches: u64,
    pub applies: u64,
    pub commits: u64,
    pub deadlocks: u64,
    pub cuts: u64,
    pub lost_answers: u64,
    pub hangs: u64,
    pub missing: u64,
    pub taken: u64,
    pub held: u64,
    /// Requests that were still at work in the server when their client had gone, and committed.
    pub zombies: u64,
    pub refused_zombies: u64,
    pub moved_rows: u64,
}

impl World {
    pub fn new(name: impl Into<String>, habits: Habits) -> Arc<World> {
        let mut chance = Chance::new(habits.seed);
        let identity = chance.number();
        let lags = habits.read_delay > Duration::ZERO;
        Arc::new_cyclic(|itself| World {
            name: name.into(),
            changed: Notify::new(),
            itself: itself.clone(),
            inner: Mutex::new(Inner {
                habits,
                chance,
                tables: Tables::default(),
                seen: lags.then(Tables::default),
                log: Log::new(identity),
                reserved: BTreeMap::new(),
                ledger: Ledger::default(),
                recent: VecDeque::new(),
                incarnation: 0,
                down_until: None,
                stalled_until: None,
                started: Instant::now(),
                counts: Counts::default(),
                breaches: Vec::new(),
                history: Vec::new(),
            }),
        })
    }

    /// The world of this name, made at the first call and kept as long as the process lives.
    pub fn named(name: &str, habits: impl FnOnce() -> Habits) -> Arc<World> {
        static WORLDS: Mutex<BTreeMap<String, Arc<World>>> = Mutex::new(BTreeMap::new());
        Arc::clone(WORLDS.lock().entry(name.to_owned()).or_insert_with(|| World::new(name, habits())))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock();
        inner.advance();
        inner
    }

    /// Which store this is.
    pub(super) fn place(&self) -> String {
        format!("memory:{self:p}")
    }

    pub(super) fn handle(&self) -> Arc<World> {
        self.itself.upgrade().expect("a borrowed world lives")
    }

    /// Waits until `ready` says something, at most until `deadline`.
    pub(super) async fn until<T>(
        &self,
        deadline: Option<Instant>,
        mut ready: impl FnMut(&mut Inner) -> Option<T>,
    ) -> Option<T> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let due = {
                let mut inner = self.lock();
                if let Some(answer) = ready(&mut inner) {
                    return Some(answer);
                }
                inner.next_due()
            };
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return None;
            }
            match deadline.into_iter().chain(due).min() {
                Some(wake) => drop(tokio::time::timeout_at(wake, changed).await),
                None => changed.await,
            }
        }
    }

    /// One way of a request over the network.
    pub(super) async fn travel(&self) {
        let (longest, way) = {
            let mut inner = self.lock();
            let longest = inner.habits.latency;
            (longest, inner.chance.upto(longest))
        };
        if longest > Duration::ZERO {
            tokio::time::sleep(way).await;
        }
    }

    /// The server works on nothing until this is over.
    pub(super) async fn stalled(&self) {
        self.until(None, |inner| inner.stalled_until.is_none_or(|until| until <= Instant::now()).then_some(())).await;
    }

    pub(super) fn down(&self) -> Error {
        Error::transient(format!("memory store `{}` does not answer", self.name)).hint("wait until it is up again")
    }

    pub fn create(&self, table: Arc<Table>) {
        let mut inner = self.lock();
        let heap = Heap::new(Arc::clone(&table), inner.habits.coarse, true);
        let mut steps = Vec::new();
        inner.tables.replace(&table.name, Some(heap), &mut steps);
        inner.commit(steps, &[]);
        drop(inner);
        self.changed.notify_waiters();
    }

    pub fn set_habits(&self, change: impl FnOnce(&mut Habits)) {
        change(&mut self.lock().habits);
        self.changed.notify_waiters();
    }

    pub fn habits(&self) -> Habits {
        self.lock().habits.clone()
    }

    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Rules of the contracts that were broken here, in words.
    pub fn breaches(&self) -> Vec<String> {
        self.lock().breaches.clone()
    }

    /// The shape and all committed rows of a table, in key order.
    pub fn rows(&self, table: &TableName) -> Option<(Arc<Table>, Vec<Vec<Value>>)> {
        let inner = self.lock();
        let heap = inner.tables.get(table)?;
        Some((Arc::clone(&heap.shape), heap.rows().map(|(_, row)| row.values.clone()).collect()))
    }

    pub fn table_names(&self) -> Vec<TableName> {
        self.lock().tables.0.keys().cloned().collect()
    }

    /// Everything this store holds for jobs: watermarks, epochs.
    pub fn ledger(&self) -> Ledger {
        self.lock().ledger.clone()
    }

    /// What the source knows to be acknowledged, or reserved, by a job.
    pub fn reserved(&self, job: JobId) -> Option<Checkpoint> {
        self.lock().reserved.get(&job).cloned()
    }

    /// The newest transaction.
    pub(super) fn reservations(&self) -> Vec<JobId> {
        self.lock().reserved.keys().copied().collect()
    }

    pub fn end(&self) -> Point {
        let inner = self.lock();
        Point::commit(inner.log.identity, inner.log.end)
    }

    /// Every transaction after the `known`-th, where `Habits::history` is on.
    pub fn history(&self, known: usize) -> Vec<(u64, Vec<Step>)> {
        self.lock().history.get(known..).unwrap_or_default().to_vec()
    }

    /// The server is gone for a while: connections break, transactions in flight die.
    pub fn go_down(&self, lasting: Duration) {
        let mut inner = self.lock();
        inner.incarnation += 1;
        inner.ledger.locks.clear();
        inner.down_until = Some(Instant::now() + lasting);
        drop(inner);
        self.changed.notify_waiters();
    }

    /// The server takes requests and does nothing with them for a while.
    pub fn stall(&self, lasting: Duration) {
        self.lock().stalled_until = Some(Instant::now() + lasting);
    }

    /// What is committed by now cannot be lost any more.
    pub fn make_durable(&self) {
        self.lock().recent.clear();
    }

    /// A failover to a copy that lacks the newest commits, rows and watermarks together. Says how many were lost.
    pub fn fail_over(&self, commits: usize) -> usize {
        let mut inner = self.lock();
        inner.incarnation += 1;
        let mut lost = 0;
        while lost < commits
            && let Some((steps, ledger)) = inner.recent.pop_back()
        {
            inner.tables.undo(&steps);
            inner.ledger = ledger;
            lost += 1;
        }
        inner.ledger.locks.clear();
        drop(inner);
        self.changed.notify_waiters();
        lost
    }

    /// The log before its end is thrown away, whoever still wants it.
    pub fn trim(&self) {
        let mut inner = self.lock();
        let end = inner.log.end;
        inner.log.trim(end);
    }

    /// The store is put back to what it was `commits` ago, as from a backup: another identity, an empty log.
    pub fn restore(&self, commits: usize) {
        let mut inner = self.lock();
        for _ in 0..commits {
            let Some((steps, _)) = inner.recent.pop_back() else { break };
            inner.tables.undo(&steps);
        }
        inner.log.identity = inner.chance.number();
        inner.start_log_anew();
        drop(inner);
        self.changed.notify_waiters();
    }

    /// The server crashed and forgot its newest commits, but not who it is nor that there was something.
    pub fn forget(&self, commits: usize) {
        let mut inner = self.lock();
        inner.incarnation += 1;
        let shown = inner.log.end;
        for _ in 0..commits {
            let Some((steps, _)) = inner.recent.pop_back() else { break };
            inner.tables.undo(&steps);
            inner.log.end -= 1;
        }
        let end = inner.log.end;
        inner.log.commits.retain(|commit| commit.sequence <= end);
        if end < shown {
            inner.log.forgotten.push((end + 1, shown));
            // An empty transaction tells that there was something: feeds pass it.
            inner.log.end = shown + 1;
            let (sequence, at_ms) = (shown + 1, inner.now_ms());
            inner.log.commits.push_back(Commit { sequence, at_ms, emitted: Arc::default() });
            // What it still has, it has for good: numbers have no gap behind the last one lost.
            inner.recent.clear();
        }
        inner.start_log_anew();
        drop(inner);
        self.changed.notify_waiters();
    }

    /// From now on, the keys of a partition live in two others.
    pub fn split_partition(&self, partition: &Partition) {
        self.lock().log.split(partition);
        self.changed.notify_waiters();
    }

    /// The parts that the log has now.
    pub fn partitions(&self) -> Vec<Partition> {
        let inner = self.lock();
        inner.log.partitions(&inner.habits, u64::MAX)
    }
}

impl Inner {
    fn advance(&mut self) {
        let now = Instant::now();
        self.log.advance(now, self.seen.as_mut());
        self.down_until = self.down_until.filter(|until| *until > now);
    }

    fn next_due(&self) -> Option<Instant> {
        self.log.next_due().into_iter().chain(self.down_until).chain(self.stalled_until.filter(future)).min()
    }

    pub(super) fn is_down(&self) -> bool {
        self.down_until.is_some()
    }

    /// The tables as reads see them.
    pub(super) fn seen(&self) -> &Tables {
        self.seen.as_ref().unwrap_or(&self.tables)
    }

    pub(super) fn now_ms(&self) -> u64 {
        // Any fixed day will do: virtual time starts there.
        1_700_000_000_000 + self.started.elapsed().as_millis() as u64
    }

    /// Notes a transaction whose steps are done in `tables` already.
    pub(super) fn commit(&mut self, steps: Vec<Step>, changes: &[Logged]) -> u64 {
        let before = self.ledger.clone();
        self.commit_with(steps, changes, before)
    }

    /// The same, with the job rows as they were before it.
    pub(super) fn commit_with(&mut self, steps: Vec<Step>, changes: &[Logged], before: Ledger) -> u64 {
        // Where reads or the log lag, a job may begin before what is committed already.
        let lags = self.habits.log_delay + self.habits.read_delay > Duration::ZERO;
        let keep = !self.reserved.is_empty() || !self.habits.trims || lags;
        let at_ms = self.now_ms();
        let sequence = self.log.push(&self.habits, at_ms, changes, keep);
        if self.habits.history {
            self.history.push((sequence, steps.clone()));
        }
        if self.habits.losable > 0 {
            self.recent.push_back((steps.clone(), before));
            if self.recent.len() > self.habits.losable {
                self.recent.pop_front();
            }
        }
        let now = Instant::now();
        let logged = now + self.chance.upto(self.habits.log_delay);
        let visible = now + self.chance.upto(self.habits.read_delay);
        self.log.show_later(logged, visible, if self.seen.is_some() { steps } else { Vec::new() });
        self.advance();
        self.counts.commits += 1;
        sequence
    }

    fn start_log_anew(&mut self) {
        let (identity, end, commits) = (self.log.identity, self.log.end, std::mem::take(&mut self.log.commits));
        let (trimmed, forgotten) = (self.log.trimmed, std::mem::take(&mut self.log.forgotten));
        self.log = Log::new(identity);
        self.log.forgotten = forgotten;
        (self.log.end, self.log.logged, self.log.visible) = (end, end, end);
        self.log.commits = commits;
        self.log.trimmed = trimmed.min(end);
        if self.seen.is_some() {
            self.seen = Some(self.tables.clone());
        }
    }

    pub(super) fn breach(&mut self, rule: impl Into<String>) {
        self.breaches.push(rule.into());
    }

    /// Throws away what every job has acknowledged.
    pub(super) fn trim_acknowledged(&mut self) -> Result<()> {
        if !self.habits.trims {
            return Ok(());
        }
        let mut least = self.log.end;
        for position in self.reserved.values().flat_map(|checkpoint| checkpoint.0.values()) {
            least = least.min(Point::read(position)?.sequence);
        }
        self.log.trim(least);
        Ok(())
    }
}

fn future(until: &Instant) -> bool {
    *until > Instant::now()
}
