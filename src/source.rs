//! The contract of a source store: what the engine reads, in which order it asks, what an answer promises.
//!
//! A job's life with a source: `check` → `tables` → `begin` (saved before the first row is read) → `copy` of every
//! table, range by range → `tail` from what `begin` gave → … → `release`. After a crash it starts again at `tail` or at
//! the ranges still to copy. `split`, `copy` and `fetch` need no `begin`: they also read targets (sweep, compare).

use crate::{
    error::Result,
    model::{
        Batch, Checkpoint, Finding, JobId, Key, KeyRange, Mark, Partition, Place, Position, RowRef, Table, TableName,
    },
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, sync::Arc, time::Duration};

/// A store that can be copied and followed. All methods may be called again after an error or a crash.
#[async_trait]
pub trait Source: Send + Sync {
    /// What is missing before `tables` can be followed, and what `begin` is going to create. Writes nothing.
    async fn check(&self, job: JobId, tables: &[Arc<Table>]) -> Result<Vec<Finding>>;

    /// The shapes of everything that could be carried, now, and findings for what cannot (views, …).
    async fn tables(&self) -> Result<(Vec<Arc<Table>>, Vec<Finding>)>;

    /// Reserves the log from here on for `job`, and says where "here" is.
    ///
    /// R1, rounding down: nothing at or before the checkpoint is invisible to a read that starts after the call.
    /// Repeatable: a reservation of this job that was never used is dropped and made anew.
    async fn begin(&self, job: JobId, tables: &[Arc<Table>]) -> Result<Checkpoint>;

    /// Undoes `begin`: removes exactly what it made for `job`. `Ok` if there is nothing.
    async fn release(&self, job: JobId) -> Result<()>;

    /// A goal for feeds: R1, rounding up: nothing that an earlier read has seen lies after it.
    async fn mark(&self) -> Result<Mark>;

    /// Cuts `range` into at most `pieces` ranges of about equal size that cover it exactly; one where the key cannot be
    /// paged. Cheap: looks at an index, not at the rows.
    async fn split(&self, table: &Arc<Table>, range: &KeyRange, pieces: usize) -> Result<Vec<KeyRange>>;

    /// The rows of a range, as `Upsert`s in batches of partition `copy` whose positions are `KeyRange::position`s;
    /// then `Next::End`. R2: sees every transaction at or before `after`. Keyless tables are read whole, in one snapshot.
    async fn copy(
        &self,
        table: &Arc<Table>,
        range: &KeyRange,
        columns: Columns,
        after: &Checkpoint,
    ) -> Result<Box<dyn Feed>>;

    /// The rows that have these keys now, in one snapshot over all of `wanted` if the store can. R2 as in `copy`.
    /// Stops before the answer exceeds `max_bytes`, but not before the first row. Answers in the newest shape.
    /// What the store takes for the same key is found: the row with 'A' under 'a' where case does not count. Or a target
    /// that compares as coarsely would be told that this row is gone.
    async fn fetch(&self, wanted: &[Wanted], after: &Checkpoint, max_bytes: usize) -> Result<Vec<Fetched>>;

    /// Opens the log at `from`, for `tables`. No batch crosses an edge: a position of `edges` is always the `to` of a
    /// batch. Of partitions that succeed each other, the later are not read before the earlier, if `from` has both,
    /// have come to their end. Proves first that the log is continuous on both sides: it reaches back to `from`, and
    /// the server's end is not before it; else `Lost` (invariant 8).
    async fn tail(
        &self,
        job: JobId,
        from: &Checkpoint,
        edges: &[Checkpoint],
        tables: &[TableName],
    ) -> Result<Box<dyn Feed>>;

    /// The position after the first `taken` mutations of a batch that one of this source's tails returned: where
    /// `resolve` may cut it, and where a `tail` may start. It vouches for all that reads have shown until now: a tail
    /// from there is `Lost` on a store that has forgotten any of it.
    fn cut(&self, batch: &Batch, taken: usize) -> Position;

    /// Orders two positions of one partition. Positions of another identity are `Lost`.
    fn order(&self, a: &Position, b: &Position) -> Result<Ordering>;

    /// R1, rounding up: a point of the log at or after everything that reads of this instance have shown. A read from
    /// there is `Lost` once the store has forgotten any of it (invariant 8). Asks nobody: called for every copied batch.
    fn seen(&self) -> Checkpoint;

    /// How much of the log lies after `from`: for status, may be rough.
    async fn backlog(&self, job: JobId, from: &Checkpoint) -> Result<Backlog>;

    /// What a plan wants to know beyond `check`. Reads only, changes nothing, and ends within about `within` however large
    /// the store is: what was not found out by then is not known.
    async fn survey(&self, tables: &[Arc<Table>], within: Duration) -> Result<Survey> {
        let _ = within;
        Ok(Survey { sizes: vec![Size::default(); tables.len()], ..Survey::default() })
    }

    /// Which store this is, the same under every name that the config may give it; asks nobody. `None`: not known.
    fn place(&self) -> Option<String> {
        None
    }

    /// Whether its tables have named fields beyond the shape (`Table::beyond`): targets that take none are given columns.
    fn is_schema_free(&self) -> bool {
        false
    }

    /// Whether the log gives keys only (`Touched`): such a source cannot keep transactions whole.
    fn is_key_only(&self) -> bool {
        false
    }
}

/// Which columns a copy reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    All,
    /// The key's only, the rest unset, as `Touched`: sweeping and comparing.
    Key,
}

/// Keys of one table to fetch.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub table: Arc<Table>,
    pub keys: Vec<Key>,
}

/// The answer to one `Wanted`.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The shape the rows have now; `None`: the table is gone, and with it all its rows.
    pub table: Option<Arc<Table>>,
    pub slab: Vec<u8>,
    /// One per key, in order; `None`: no such row. Shorter than the keys where `max_bytes` was reached.
    pub rows: Vec<Option<Place>>,
}

impl Fetched {
    pub fn row(&self, index: usize) -> Option<RowRef<'_>> {
        self.rows[index].map(|place| RowRef::new(&self.slab, place))
    }
}

/// What lies between a position and the end of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    pub changes: Option<u64>,
    /// Of the log as the source keeps it.
    pub bytes: Option<u64>,
    /// When the oldest of them was committed, ms since 1970.
    pub oldest_ms: Option<u64>,
    /// How long the source keeps its log, also where a job needs it; `None`: not known, or without a bound.
    #[serde(default)]
    pub kept_ms: Option<u64>,
}

impl Backlog {
    /// To order them: who holds more of the log. What is not known may be much.
    pub fn weight(&self) -> (Option<u64>, u64) {
        (self.bytes, self.changes.unwrap_or(u64::MAX))
    }
}

/// What a source knows about itself, cheaply.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// One per table asked for, in order.
    pub sizes: Vec<Size>,
    pub findings: Vec<Finding>,
    /// How far back the log reaches as the source is set up; `None`: not known, or without a bound.
    pub log_kept: Option<Duration>,
    /// What it does with a log that a job has reserved, for a person.
    pub log: String,
    pub room: Option<Room>,
}

/// About how large a table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    pub rows: Option<u64>,
    /// As the store keeps it, indexes included.
    pub bytes: Option<u64>,
}

/// Space that is left where a store keeps its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// For a person: a directory, a volume.
    pub place: String,
    /// Stores with the same one share the space.
    pub volume: String,
    pub free: u64,
}

/// What `Feed::next` returns.
#[derive(Debug)]
pub enum Next {
    Batch(Batch),
    /// Nothing for us up to here. May be empty where nothing was learnt.
    Idle(Checkpoint),
    /// A copy has given all rows; a tail never ends.
    End,
}

/// Something that yields batches: a table copy (ends) or the log's tail (does not end).
#[async_trait]
pub trait Feed: Send {
    /// The next batch, or after at most `patience` the news that there is none. Dropping the future loses nothing.
    /// After an error the feed is dropped; the next one starts from what is saved.
    async fn next(&mut self, patience: Duration) -> Result<Next>;

    /// Reads on while nobody takes a batch, so that the next one is as large as one may be; ends only by being dropped, at
    /// any await. What it meets is for `next` to tell.
    async fn ahead(&mut self) {
        std::future::pending().await
    }

    /// Everything up to here is applied and saved: the source may forget it. Never ahead of what `next` returned.
    async fn acknowledge(&mut self, upto: &Checkpoint) -> Result<()>;

    /// Whether everything up to `mark` is among what `next` has returned.
    fn passed(&mut self, mark: &Mark) -> bool;

    /// Tables of a tail that the source had no more when it was looked at last. Asked about once a second.
    fn gone(&self) -> Vec<TableName> {
        Vec::new()
    }

    /// Tables that the log of a tail told of and that were not asked for: made (`true`) or dropped, the last of it. Asked
    /// about once a second.
    fn made(&self) -> Vec<(TableName, bool)> {
        Vec::new()
    }

    /// Copies of keyless tables: exactly where in the log the one snapshot stands.
    fn stands_at(&self) -> Option<Checkpoint> {
        None
    }
}

/// The partition of sources that have one.
pub fn only_partition() -> Partition {
    Partition::new(Partition::ONLY)
}
