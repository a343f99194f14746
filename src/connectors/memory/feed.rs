//! The tail of a world's log: batches cut at budgets, at edges and around changes that must be alone.

use super::{
    log::{children, parent},
    position::Point,
    world::{Inner, World},
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{Batch, Body, Checkpoint, JobId, Kind, Mark, Partition, Rows, TableName},
    source::{Feed, Next},
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// A batch is cut at this many bytes, whatever the habits say.
const BATCH_BYTES: usize = 4 << 20;

pub(super) struct TailFeed {
    world: Arc<World>,
    job: JobId,
    tables: BTreeSet<TableName>,
    /// Up to where `next` has returned.
    at: BTreeMap<Partition, Point>,
    acknowledged: BTreeMap<Partition, Point>,
    edges: BTreeMap<Partition, BTreeSet<Point>>,
    incarnation: u64,
    turn: usize,
    answers: Answers,
}

impl TailFeed {
    /// Invariant 8: the log reaches back to `from`, and its end is not before it.
    pub(super) fn open(
        world: &World,
        job: JobId,
        from: &Checkpoint,
        edges: &[Checkpoint],
        tables: &[TableName],
    ) -> Result<TailFeed> {
        let mut inner = world.lock();
        inner.counts.tails += 1;
        if from.0.is_empty() {
            return Err(Error::lost("nothing says where the log is to be read from").hint("create a new job"));
        }
        let mut at = BTreeMap::new();
        for (partition, position) in &from.0 {
            let point = Point::read(position)?;
            // Of a partition that has ended before there, nothing more is read, unless its successors begin there.
            let ended = inner.log.end_of(partition).is_some_and(|end| point == Point::commit(point.identity, end));
            if !ended || children(partition).iter().any(|child| from.get(child).is_none()) {
                inner.prove_continuity(&world.name, point)?;
            }
            at.insert(partition.clone(), point);
        }
        let mut by_partition: BTreeMap<Partition, BTreeSet<Point>> = BTreeMap::new();
        for (partition, position) in edges.iter().flat_map(|edge| &edge.0) {
            let edge = Point::read(position)?;
            // A target stands there: what the server has forgotten of it would be given another name.
            inner.prove_reached(&world.name, edge)?;
            by_partition.entry(partition.clone()).or_default().insert(edge);
        }
        Ok(TailFeed {
            world: world.handle(),
            job,
            tables: tables.iter().cloned().collect(),
            acknowledged: at.clone(),
            at,
            edges: by_partition,
            incarnation: inner.incarnation,
            turn: 0,
            answers: Answers::new(inner.habits.keepalive),
        })
    }

    /// One look at the log, from the partition whose turn it is.
    fn look(&mut self, inner: &mut Inner) -> Result<Option<Batch>> {
        if inner.incarnation != self.incarnation || inner.is_down() {
            return Err(self.world.down());
        }
        if !self.answers.came_in_time() {
            inner.counts.tails_closed_by_server += 1;
            inner.breach("the tail left its server's keepalives unanswered");
            return Err(Error::transient("the server closed the tail: its keepalives were not answered"));
        }
        let per_mille = inner.habits.mishaps.read;
        if inner.chance.hits(per_mille) {
            return Err(self.world.down());
        }
        self.follow_splits(inner);
        // Invariant 8, also while it is open: what was thrown away under it was not read, and a log that was put in its
        // place is another one.
        let (identity, trimmed) = (inner.log.identity, inner.log.trimmed);
        for point in self.at.values().filter(|point| point.identity != identity || point.sequence < trimmed) {
            inner.prove_continuity(&self.world.name, *point)?;
        }
        for _ in 0..self.at.len() {
            self.turn = (self.turn + 1) % self.at.len();
            let (partition, from) = self.at.iter().nth(self.turn).map(|(name, at)| (name.clone(), *at)).expect("below");
            if self.waits(inner, &partition) {
                continue;
            }
            let edge = self.edges.get(&partition).and_then(|edges| edges.iter().find(|edge| **edge > from).copied());
            let edge = edge.filter(|_| !faults::on(Saboteur::EdgeCrossed));
            let end = inner.log.end_of(&partition).map(|end| Point::commit(from.identity, end));
            let scan = Scan::new(inner, &self.tables, &partition, from, edge);
            self.at.insert(partition.clone(), scan.to);
            // A partition's end is told by a batch, be it empty: what succeeds it waits until that is applied and saved.
            let told = [edge, end].contains(&Some(scan.to)) && scan.to != from;
            if scan.rows.is_empty() && !told {
                continue;
            }
            return Ok(Some(Batch {
                partition,
                from: from.position(),
                to: scan.to.position(),
                complete: scan.to.ordinal == 0,
                kind: Kind::Log,
                body: Body::Rows(Arc::new(scan.rows)),
                committed_ms: scan.newest_ms,
            }));
        }
        Ok(None)
    }

    /// Invariant 4: whoever rewinds a partition stands at both, its beginning and those of its successors.
    fn waits(&self, inner: &Inner, partition: &Partition) -> bool {
        let is_unfinished = |name: &Partition| {
            let end = inner.log.end_of(name).unwrap_or(u64::MAX);
            self.at.get(name).is_some_and(|at| at.sequence < end)
        };
        let ancestors = std::iter::successors(parent(partition), parent);
        !faults::on(Saboteur::ChildBeforeParent) && ancestors.into_iter().any(|ancestor| is_unfinished(&ancestor))
    }

    /// Invariant 4: a partition that succeeds another opens after its predecessor's end is applied and saved.
    fn follow_splits(&mut self, inner: &Inner) {
        let ended =
            |at: &BTreeMap<Partition, Point>, name: &Partition, end| at.get(name).is_some_and(|p| p.sequence >= end);
        let split: Vec<(Partition, u64)> = self
            .at
            .keys()
            .filter_map(|name| Some((name.clone(), inner.log.end_of(name)?)))
            .filter(|(name, end)| ended(&self.at, name, *end))
            .filter(|(name, end)| {
                // Split before anything was written to it, it ends where its predecessor does: nothing to wait for.
                let is_empty = parent(name).and_then(|parent| inner.log.end_of(&parent)) == Some(*end);
                is_empty || faults::on(Saboteur::ChildBeforeParent) || ended(&self.acknowledged, name, *end)
            })
            .collect();
        for (parent, end) in split {
            self.at.remove(&parent);
            for child in children(&parent) {
                self.at.entry(child).or_insert_with(|| Point::commit(inner.log.identity, end));
            }
        }
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint(self.at.iter().map(|(name, point)| (name.clone(), point.position())).collect())
    }
}

#[async_trait]
impl Feed for TailFeed {
    async fn next(&mut self, patience: Duration) -> Result<Next> {
        let deadline = Instant::now() + patience;
        let world = Arc::clone(&self.world);
        let _ = tokio::time::timeout_at(deadline, world.travel()).await;
        self.answers.give();
        match world.until(Some(deadline), |inner| self.look(inner).transpose()).await {
            Some(Ok(batch)) => Ok(Next::Batch(batch)),
            Some(Err(error)) => Err(error),
            None => Ok(Next::Idle(self.checkpoint())),
        }
    }

    async fn acknowledge(&mut self, upto: &Checkpoint) -> Result<()> {
        self.world.travel().await;
        let mut inner = self.world.lock();
        if inner.incarnation != self.incarnation || inner.is_down() {
            return Err(self.world.down());
        }
        let mut kept = inner.reserved.get(&self.job).cloned().unwrap_or_default();
        tracing::trace!(?upto, "acknowledged");
        for (partition, position) in &upto.0 {
            let point = Point::read(position)?;
            if self.at.get(partition).is_some_and(|at| point > *at) {
                inner.breach(format!("acknowledged {position:?} of {partition}, ahead of what `next` returned"));
            }
            self.acknowledged.insert(partition.clone(), point);
            kept.set(partition, position.clone());
            if let Some(end) = inner.log.end_of(partition).filter(|end| point.sequence >= *end) {
                kept.0.remove(partition);
                let start = Point::commit(inner.log.identity, end).position();
                for child in children(partition) {
                    kept.0.entry(child).or_insert_with(|| start.clone());
                }
            }
        }
        inner.reserved.insert(self.job, kept);
        inner.trim_acknowledged()
    }

    fn passed(&mut self, mark: &Mark) -> bool {
        Point::read_mark(mark)
            .is_some_and(|mark| self.at.values().all(|at| at.identity == mark.identity && at.sequence >= mark.sequence))
    }
}

/// What of one partition's log goes into the next batch.
struct Scan {
    rows: Rows,
    to: Point,
    newest_ms: u64,
}

impl Scan {
    fn new(
        inner: &Inner,
        tables: &BTreeSet<TableName>,
        partition: &Partition,
        from: Point,
        edge: Option<Point>,
    ) -> Scan {
        let mut scan = Scan { rows: Rows::default(), to: from, newest_ms: 0 };
        let last = inner.log.end_of(partition).unwrap_or(u64::MAX);
        let mut commits = 0;
        for commit in inner.log.after(from.sequence).take_while(|commit| commit.sequence <= last) {
            let all = commit.emitted.len();
            let first = if commit.sequence == from.sequence + 1 { from.ordinal as usize } else { 0 };
            let before = scan.rows.mutations.len();
            for (number, emitted) in commit.emitted.iter().enumerate().skip(first) {
                let ours = tables.contains(&emitted.table.name)
                    && inner.log.route(&inner.habits, emitted.hash, commit.sequence) == *partition;
                if !ours {
                    continue;
                }
                // Without this, what lies between the edge and here would be in two batches.
                if edge.is_some_and(|edge| Point::before(from.identity, commit.sequence, number) >= edge) {
                    scan.to = edge.expect("just looked");
                    return scan;
                }
                let alone = emitted.change.is_alone() && !faults::on(Saboteur::TruncateNotAlone);
                if scan.is_full(inner) || (alone && !scan.rows.is_empty()) {
                    return scan;
                }
                scan.to = Point::inside(from.identity, commit.sequence, number + 1, all);
                emitted.push_to(&mut scan.rows, scan.to.pack());
                scan.newest_ms = commit.at_ms;
                if alone || Some(scan.to) == edge {
                    return scan;
                }
            }
            let end = Point::commit(from.identity, commit.sequence);
            if edge.is_some_and(|edge| edge <= end && edge > scan.to) {
                scan.to = edge.expect("just looked");
                return scan;
            }
            scan.to = end;
            commits += usize::from(scan.rows.mutations.len() > before);
            if Some(end) == edge || commits >= inner.habits.batch_commits {
                return scan;
            }
        }
        scan
    }

    fn is_full(&self, inner: &Inner) -> bool {
        self.rows.mutations.len() >= inner.habits.batch_rows || self.rows.slab.len() >= BATCH_BYTES
    }
}

impl Point {
    /// Before mutation `number` of transaction `sequence`.
    fn before(identity: u64, sequence: u64, number: usize) -> Point {
        Point { identity, sequence: sequence - 1, ordinal: number as u64 }
    }
}

impl Inner {
    fn prove_continuity(&self, name: &str, point: Point) -> Result<()> {
        let reason = if point.identity != self.log.identity {
            "is another store than the one the position comes from"
        } else if point.sequence < self.log.trimmed {
            "has thrown away the log that is needed"
        } else {
            return self.prove_reached(name, point);
        };
        Err(Error::lost(format!("memory store `{name}` {reason}")).hint("compare and repair, or create a new job"))
    }

    pub(super) fn prove_reached(&self, name: &str, point: Point) -> Result<()> {
        let newest = point.sequence + u64::from(point.ordinal > 0);
        let forgotten = self.log.forgotten.iter().any(|&(first, last)| (first..=last).contains(&newest));
        if faults::on(Saboteur::SourceBehindIgnored) || (!forgotten && newest <= self.log.end) {
            return Ok(());
        }
        Err(Error::lost(format!("memory store `{name}` has lost transactions that it had shown at the position"))
            .hint("compare and repair, or create a new job"))
    }
}

/// The feed's own task that answers the server's keepalives, whether or not somebody calls `next`.
struct Answers {
    patience: Duration,
    last: Arc<Mutex<Instant>>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Answers {
    fn new(patience: Duration) -> Answers {
        let last = Arc::new(Mutex::new(Instant::now()));
        let task = (!faults::on(Saboteur::KeepaliveUnanswered)).then(|| {
            let last = Arc::clone(&last);
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(patience / 3).await;
                    *last.lock() = Instant::now();
                }
            })
        });
        Answers { patience, last, task }
    }

    fn came_in_time(&self) -> bool {
        self.task.is_some() || self.last.lock().elapsed() <= self.patience
    }

    fn give(&self) {
        if self.came_in_time() {
            *self.last.lock() = Instant::now();
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
