//! Reading a world: shapes, ranges, rows by key, and where its log begins for a job.

use super::{
    cell::RowKey,
    config::Paging,
    copy::CopyFeed,
    feed::TailFeed,
    heap::{Heap, Stored},
    position::Point,
    world::{Inner, World},
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{
        Batch, Checkpoint, Finding, JobId, Key, KeyRange, Mark, Place, Position, RowBuilder, Severity, Table,
        TableName, ValueRef,
    },
    source::{Backlog, Columns, Feed, Fetched, Size, Source, Survey, Wanted},
};
use async_trait::async_trait;
use std::{cmp::Ordering, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long a read waits until it sees what its caller has seen in the log.
const READ_WAIT: Duration = Duration::from_secs(60);

pub struct MemorySource {
    pub(super) world: Arc<World>,
}

impl MemorySource {
    pub fn new(world: Arc<World>) -> Self {
        MemorySource { world }
    }

    /// Reaches the server, or says that it cannot.
    async fn reach(&self) -> Result<()> {
        self.world.travel().await;
        let mut inner = self.world.lock();
        let per_mille = inner.habits.mishaps.read;
        match inner.is_down() || inner.chance.hits(per_mille) {
            true => Err(self.world.down()),
            false => Ok(()),
        }
    }

    /// R2: waits until reads see everything at or before `after`, and proves that this is the store it came from.
    async fn see(&self, after: &Checkpoint) -> Result<()> {
        let mut newest = 0;
        for position in after.0.values() {
            let point = Point::read(position)?;
            self.prove(point.identity)?;
            self.world.lock().prove_reached(&self.world.name, point)?;
            // Inside a transaction: reads either see all of it or nothing, and nothing would be too old.
            newest = newest.max(point.sequence + u64::from(point.ordinal > 0));
        }
        if faults::on(Saboteur::ReadIgnoresAfter) {
            return Ok(());
        }
        let seen = |inner: &mut Inner| (inner.log.visible >= newest).then_some(());
        let waited = self.world.until(Some(Instant::now() + READ_WAIT), seen).await;
        waited.ok_or_else(|| Error::transient("what the log told is still not visible to reads"))
    }

    fn prove(&self, identity: u64) -> Result<()> {
        match self.world.lock().log.identity == identity {
            true => Ok(()),
            false => {
                Err(Error::lost(format!("memory store `{}` is not the one the job was started on", self.world.name))
                    .hint("compare both stores and repair, or create a new job"))
            }
        }
    }
}

#[async_trait]
impl Source for MemorySource {
    async fn check(&self, job: JobId, tables: &[Arc<Table>]) -> Result<Vec<Finding>> {
        self.reach().await?;
        let inner = self.world.lock();
        let mut findings: Vec<Finding> = tables
            .iter()
            .filter(|table| inner.tables.get(&table.name).is_none())
            .map(|table| Finding::new(Severity::Blocking, table.name.to_string(), "there is no such table"))
            .collect();
        findings.push(Finding::new(Severity::Info, format!("job {job}"), "the log is kept from its start on"));
        Ok(findings)
    }

    async fn tables(&self) -> Result<(Vec<Arc<Table>>, Vec<Finding>)> {
        self.reach().await?;
        let inner = self.world.lock();
        Ok((inner.seen().0.values().map(|heap| Arc::clone(&heap.shape)).collect(), Vec::new()))
    }

    async fn begin(&self, job: JobId, _: &[Arc<Table>]) -> Result<Checkpoint> {
        self.reach().await?;
        let (checkpoint, until) = {
            let mut inner = self.world.lock();
            let down = inner.log.visible.min(inner.log.logged);
            let waits = inner.chance.hits(500);
            let end = inner.log.end;
            let start = match (faults::on(Saboteur::BeginRoundedUp), waits) {
                (true, _) => return Ok(inner.reserve(job, end)),
                (false, true) => end,
                (false, false) => down,
            };
            (inner.reserve(job, start), start)
        };
        // R1: either what is not visible yet comes after the point, or we wait until it is visible.
        let seen = |inner: &mut Inner| (inner.log.visible.min(inner.log.logged) >= until).then_some(());
        let waited = self.world.until(Some(Instant::now() + READ_WAIT), seen).await;
        waited.ok_or_else(|| Error::transient("a transaction before the start is still not visible to reads"))?;
        self.world.travel().await;
        Ok(checkpoint)
    }

    async fn release(&self, job: JobId) -> Result<()> {
        self.reach().await?;
        let mut inner = self.world.lock();
        inner.reserved.remove(&job);
        inner.trim_acknowledged()
    }

    async fn mark(&self) -> Result<Mark> {
        self.reach().await?;
        let inner = self.world.lock();
        // R1, up: what is visible is committed, what is committed is at or before the end.
        let sequence = match faults::on(Saboteur::MarkRoundedDown) {
            true => inner.log.logged.min(inner.log.visible).saturating_sub(1),
            false => inner.log.end,
        };
        Ok(Point::commit(inner.log.identity, sequence).mark())
    }

    async fn split(&self, table: &Arc<Table>, range: &KeyRange, pieces: usize) -> Result<Vec<KeyRange>> {
        self.reach().await?;
        let inner = self.world.lock();
        let Some(heap) = inner.seen().get(&table.name).filter(|heap| !heap.shape.is_keyless()) else {
            return Ok(vec![range.clone()]);
        };
        let span = Span::new(inner.habits.paging, heap, range);
        let rows = span.count(heap);
        let step = rows.div_ceil(pieces.max(1)).max(1);
        let bounds = span.rows(heap).map(|(key, _)| key).enumerate();
        let mut cuts: Vec<Key> = bounds.filter(|(n, _)| (n + 1) % step == 0 && n + 1 < rows).map(|(_, k)| k).collect();
        cuts.truncate(pieces.saturating_sub(1));
        let mut ranges = Vec::new();
        let mut after = range.after.clone();
        for cut in cuts {
            ranges.push(KeyRange { after: after.replace(cut.clone()), upto: Some(cut) });
        }
        ranges.push(KeyRange { after, upto: range.upto.clone() });
        Ok(ranges)
    }

    async fn copy(
        &self,
        table: &Arc<Table>,
        range: &KeyRange,
        columns: Columns,
        after: &Checkpoint,
    ) -> Result<Box<dyn Feed>> {
        self.reach().await?;
        self.see(after).await?;
        let inner = self.world.lock();
        let Some(heap) = inner.seen().get(&table.name) else {
            return Err(Error::transient(format!("table {} is not there any more", table.name)));
        };
        let snapshot = heap.shape.is_keyless().then(|| {
            let at = Point::commit(inner.log.identity, inner.log.visible).position();
            let names = inner.log.partitions(&inner.habits, inner.log.visible);
            (heap.clone(), Checkpoint(names.into_iter().map(|name| (name, at.clone())).collect()))
        });
        Ok(Box::new(CopyFeed::new(Arc::clone(&self.world), inner.incarnation, table, range, columns, snapshot)))
    }

    async fn fetch(&self, wanted: &[Wanted], after: &Checkpoint, max_bytes: usize) -> Result<Vec<Fetched>> {
        self.reach().await?;
        self.see(after).await?;
        let answer = {
            let mut inner = self.world.lock();
            inner.counts.fetches += 1;
            let mut bytes = 0;
            wanted.iter().map(|wanted| fetch_one(&inner, wanted, max_bytes, &mut bytes)).collect()
        };
        // The answer is under way: the world goes on, and the row may be old when it arrives.
        self.world.travel().await;
        Ok(answer)
    }

    async fn tail(
        &self,
        job: JobId,
        from: &Checkpoint,
        edges: &[Checkpoint],
        tables: &[TableName],
    ) -> Result<Box<dyn Feed>> {
        self.reach().await?;
        Ok(Box::new(TailFeed::open(&self.world, job, from, edges, tables)?))
    }

    fn cut(&self, batch: &Batch, taken: usize) -> Position {
        let mutations = &batch.rows().mutations;
        match taken {
            0 => batch.from.clone(),
            _ if taken >= mutations.len() => batch.to.clone(),
            _ => match Point::read(&batch.from) {
                Ok(from) => Point::unpack(from.identity, mutations[taken - 1].at).position(),
                // Not a batch of ours; where it begins is always a place to start again.
                Err(_) => batch.from.clone(),
            },
        }
    }

    fn seen(&self) -> Checkpoint {
        let inner = self.world.lock();
        let end = Point::commit(inner.log.identity, inner.log.end).position();
        let partitions = inner.log.partitions(&inner.habits, u64::MAX);
        Checkpoint(partitions.into_iter().map(|partition| (partition, end.clone())).collect())
    }

    fn order(&self, a: &Position, b: &Position) -> Result<Ordering> {
        let (a, b) = (Point::read(a)?, Point::read(b)?);
        match a.identity == b.identity {
            true => Ok(a.cmp(&b)),
            false => Err(Error::lost("two positions of different stores").hint("create a new job")),
        }
    }

    async fn backlog(&self, _: JobId, from: &Checkpoint) -> Result<Backlog> {
        self.reach().await?;
        let inner = self.world.lock();
        let Some(position) = from.0.values().next() else { return Ok(Backlog::default()) };
        let from = Point::read(position)?;
        let changes: usize = inner.log.after(from.sequence).map(|commit| commit.emitted.len()).sum();
        let oldest_ms = inner.log.after(from.sequence).next().map(|commit| commit.at_ms);
        Ok(Backlog {
            changes: Some((changes as u64).saturating_sub(from.ordinal)),
            bytes: None,
            oldest_ms,
            kept_ms: None,
        })
    }

    async fn survey(&self, tables: &[Arc<Table>], _: Duration) -> Result<Survey> {
        self.reach().await?;
        let inner = self.world.lock();
        let rows = |table: &Arc<Table>| inner.seen().get(&table.name).map(|heap| heap.len() as u64);
        let sizes = tables.iter().map(|table| Size { rows: rows(table), bytes: None }).collect();
        let log = "it is kept in the daemon's memory until every job has applied it".into();
        Ok(Survey { sizes, log, ..Survey::default() })
    }

    fn place(&self) -> Option<String> {
        Some(self.world.place())
    }

    fn is_key_only(&self) -> bool {
        matches!(self.world.habits().images, super::config::Images::Keys | super::config::Images::Mixed)
    }
}

impl Inner {
    /// Keeps the log after `sequence` for a job.
    fn reserve(&mut self, job: JobId, sequence: u64) -> Checkpoint {
        let at = Point::commit(self.log.identity, sequence).position();
        let names = self.log.partitions(&self.habits, sequence);
        let checkpoint = Checkpoint(names.into_iter().map(|name| (name, at.clone())).collect());
        self.reserved.insert(job, checkpoint.clone());
        checkpoint
    }
}

fn fetch_one(inner: &Inner, wanted: &Wanted, max_bytes: usize, bytes: &mut usize) -> Fetched {
    let Some(heap) = inner.seen().get(&wanted.table.name) else {
        return Fetched { table: None, slab: Vec::new(), rows: vec![None; wanted.keys.len()] };
    };
    let mut fetched = Fetched { table: Some(Arc::clone(&heap.shape)), slab: Vec::new(), rows: Vec::new() };
    for key in &wanted.keys {
        let before = fetched.slab.len();
        let row = heap.get(&heap.collate(key)).map(|row| write_row(row, &mut fetched.slab));
        let size = fetched.slab.len() - before;
        if *bytes > 0 && *bytes + size > max_bytes {
            fetched.slab.truncate(before);
            break;
        }
        *bytes += size;
        fetched.rows.push(row);
    }
    fetched
}

pub(super) fn write_row(row: &Stored, slab: &mut Vec<u8>) -> Place {
    let mut built = RowBuilder::new(slab);
    for value in &row.values {
        built.owned(value);
    }
    built.finish()
}

/// A range in the terms of one table: by key or by place.
pub(super) enum Span {
    Keys { after: Option<RowKey>, upto: Option<RowKey> },
    Places { after: Option<u64>, upto: Option<u64> },
}

impl Span {
    pub(super) fn new(paging: Paging, heap: &Heap, range: &KeyRange) -> Span {
        match paging {
            Paging::Place => Span::Places { after: place(range.after.as_ref()), upto: place(range.upto.as_ref()) },
            Paging::Key => Span::Keys {
                after: range.after.as_ref().map(|key| heap.collate(key)),
                upto: range.upto.as_ref().map(|key| heap.collate(key)),
            },
        }
    }

    fn count(&self, heap: &Heap) -> usize {
        self.rows(heap).count()
    }

    /// The rows of the range, each with the key that ends a range behind it.
    pub(super) fn rows<'h>(&'h self, heap: &'h Heap) -> Box<dyn Iterator<Item = (Key, &'h Stored)> + 'h> {
        match self {
            Span::Keys { after, upto } => Box::new(
                heap.after(after.as_ref())
                    .take_while(move |(key, _)| upto.as_ref().is_none_or(|upto| *key <= upto))
                    .map(|(_, row)| (heap.model_key(row), row)),
            ),
            Span::Places { after, upto } => Box::new(
                heap.after_place(*after)
                    .take_while(move |(place, _)| upto.is_none_or(|upto| *place <= upto))
                    .map(|(place, row)| (Key::from_values([ValueRef::Unsigned(place)]), row)),
            ),
        }
    }
}

fn place(key: Option<&Key>) -> Option<u64> {
    match key?.values().next() {
        Some(ValueRef::Unsigned(place)) => Some(place),
        _ => None,
    }
}
