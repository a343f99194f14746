//! The contract of a target store: the lane protocol, seen from the store's side.
//!
//! The target keeps tables of ours beside the data, among them `whimbrel_job(uuid, spec, tables, epoch, token)` and
//! `whimbrel_watermark(job, feed, lane, lanes, hash_version, epoch, batch, from_pos, to_pos)`. One instance serves one
//! pipeline: `open` → `prepare` of every table → `apply` of batch after batch → `finish` of every table.

use crate::{
    error::{Error, Result},
    model::{
        Batch, COARSE_HASH_VERSION, Existing, Finding, JobId, Key, Kind, LaneMark, Mutation, Partition, Position, Rows,
        Table, TableName,
    },
    source::Room,
};
use async_trait::async_trait;
use std::sync::Arc;
use uuid::Uuid;

/// A store that can be written. Never retries by itself; a lost connection is `Transient`, and `open` reconnects.
#[async_trait]
pub trait Target: Send + Sync {
    /// What stands in the way, and every mapping that loses something: whatever `open` and `prepare` would refuse a new
    /// job blocks here. Writes nothing.
    async fn check(&self, tables: &[Arc<Table>], existing: Existing) -> Result<Vec<Finding>>;

    /// Takes the job over: at daemon start and at every reconnection. In one transaction that locks all rows of the job
    /// (and so waits for a zombie's open transaction): a stored epoch newer than ours, or equal with another token, is
    /// refused as `Config`; tables that another job owns are refused likewise; else ours is written. Lane rows of
    /// `claim.feeds` that are missing are created at batch 0. Drops every connection that the instance held before.
    async fn open(&self, claim: &Claim) -> Result<Opened>;

    /// Creates the table, or compares it and adds the columns it lacks. Repeatable. Notes it as unfinished in the job's
    /// row: from then on all of its rows are ours. So a table that was never noted, has rows and is not admitted with
    /// them (`Existing::admits`) is left as it is and not noted; the answer says so. Without unique indexes and foreign
    /// keys where the store can add them later (`finish`). `generation`: which copy of the table this is; noted as well,
    /// so that a state that knows of another one is seen. Comes while a transaction is held open where the source changed
    /// the table inside of it, and is then a part of it where the store can do that; so does `finish`.
    async fn prepare(&self, table: &Arc<Table>, generation: u64) -> Result<Prepared>;

    /// One transaction: **first** the watermark rows of `part.lanes` are moved to `part.number` where the epoch is ours
    /// and their batch is lower (invariant 5: each must be one row, or it is rolled back), then the mutations in order,
    /// then commit.
    ///
    /// A store may be restored from a backup, or fail over, while we hold a connection that notices nothing. So nothing
    /// is applied on top of a gap: a batch of the log only where some lane of its feed stands at `number - 1` or after
    /// (a small batch moves lane 0 alone, so any lane will do), a batch of the feed `copy` only where its own lanes
    /// stand at `number - 1`. Else it is `Transient`, "the target stands at batch N, not at M": the engine opens again,
    /// and its start path finds out what is lost. A stored epoch *lower* than ours is the same case and `Transient` too;
    /// a higher one, or ours with another token, is another daemon's: `Config`.
    async fn apply(&self, part: Part<'_>) -> Result<Applied>;

    /// Makes unique indexes and foreign keys, and notes the table as finished. Repeatable; half-built is redone.
    async fn finish(&self, table: &Arc<Table>) -> Result<Finished>;

    /// Removes the job's watermark and job rows; data stays. `Ok` if there are none.
    async fn forget(&self, job: JobId) -> Result<()>;

    /// Every job that has rows here, with its watermarks: `state rebuild`.
    async fn jobs(&self) -> Result<Vec<JobRow>>;

    /// How many lanes serve this store best, where the job does not say.
    fn lanes(&self) -> u16;

    /// The version of `coarse_hash` that chooses the lane of a key; written into the watermark.
    fn hash_version(&self) -> u8 {
        COARSE_HASH_VERSION
    }

    /// Space that is left for it; `None`: not known.
    async fn room(&self) -> Result<Option<Room>> {
        Ok(None)
    }

    /// An empty target of the same kind and setting for a plan to measure with. Nothing of it is in this store or beside
    /// it, and it is gone once it is dropped. `None`: there is no such place.
    async fn scratch(&self) -> Result<Option<Scratch>> {
        Ok(None)
    }

    /// As `Source::place`.
    fn place(&self) -> Option<String> {
        None
    }

    /// Whether it takes named fields beyond the shape, their versions, and `Merge`. If not, it is given columns.
    fn is_wide(&self) -> bool {
        false
    }

    /// Whether rows and watermark commit together. If not, only keyed changes are carried (lane protocol 10).
    fn is_transactional(&self) -> bool {
        true
    }
}

/// Where a plan may write.
pub struct Scratch {
    pub target: Box<dyn Target>,
    /// What it is, for a person: how it differs from the target itself.
    pub about: String,
}

/// Who takes over, and with which lanes.
#[derive(Clone, Debug)]
pub struct Claim {
    pub job: JobId,
    /// The job file and its tables, for `state rebuild`.
    pub spec: String,
    /// Saved in state before it is claimed.
    pub epoch: u64,
    /// This daemon's own, random at each start: two daemons with cloned state have equal epochs, never equal tokens.
    pub token: Uuid,
    /// As named in the target.
    pub tables: Vec<TableName>,
    /// Each feed, its lane count, and where it begins.
    pub feeds: Vec<(Partition, u16, Position)>,
    /// What `prepare` does where rows of others are.
    pub existing: Existing,
    /// A batch that is not complete stays in the open transaction and answers `Held` (lane protocol 11).
    pub transactional: bool,
}

/// What the target knows of the job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Opened {
    /// Every lane of every feed.
    pub marks: Vec<LaneMark>,
    /// Tables noted by `prepare`.
    pub tables: Vec<(TableName, Noted)>,
}

/// What the target remembers of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// As `prepare` was told last.
    pub generation: u64,
    /// `finish` is done.
    pub finished: bool,
}

/// A column that `prepare` found or made is gone: its values are lost, and what comes for it would be, too.
pub fn lost_column(table: &TableName, column: &str) -> Error {
    Error::config(format!("{table}: the target lacks its column `{column}`, which was there")).hint(
        "add it again with the values of its rows, or delete the job and create it again with `existing: replace`",
    )
}

/// One job as a target remembers it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRow {
    pub job: JobId,
    pub spec: String,
    pub epoch: u64,
    pub opened: Opened,
}

/// What `prepare` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    /// The table had rows already, of ours or of others.
    pub has_rows: bool,
    /// Nothing was changed, and the table is to be copied again: a column that comes empty is here already, from before,
    /// and rows have a value in it; or (`has_rows` is false) the table itself is gone.
    pub stale: bool,
}

/// What one transaction has to carry: all of a batch, or one lane's share.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    pub feed: &'a Partition,
    pub number: u64,
    /// Lanes whose rows move: one, or several where they met a unique violation and run together.
    pub lanes: &'a [u16],
    /// Lanes that the batch is split over.
    pub of: u16,
    pub from: &'a Position,
    pub to: &'a Position,
    pub complete: bool,
    pub kind: Kind,
    /// Shared, so that a target may keep them while it writes on a thread of its own.
    pub rows: &'a Arc<Rows>,
    /// The mutations to apply, in order; their rows are in `rows`.
    pub mutations: &'a [Mutation],
}

impl<'a> Part<'a> {
    /// A whole batch as lane 0 of 1.
    pub fn whole(batch: &'a Batch, number: u64) -> Part<'a> {
        Part {
            feed: &batch.partition,
            number,
            lanes: &[0],
            of: 1,
            from: &batch.from,
            to: &batch.to,
            complete: batch.complete,
            kind: batch.kind,
            rows: batch.rows(),
            mutations: &batch.rows().mutations,
        }
    }
}

/// The answer to `apply`. After an error nobody knows whether it was committed: reopen and read the watermark.
///
/// "Rolled back" is to before this call: a transaction that holds earlier batches (`Held`) keeps them.
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// Committed and durable.
    Done,
    /// In the open transaction, to be committed with the batch that completes it.
    Held,
    /// Rolled back by a deadlock or a lock timeout: the same transaction may be repeated at once. (Where that undoes
    /// held batches too it is a `Transient` error.)
    Again,
    /// Rolled back: these mutations (indexes into `part.mutations`) are patches whose row is not there.
    Missing(Vec<usize>),
    /// Rolled back: rows of the part clash with these through unique indexes.
    Taken(Vec<Clash>),
}

/// A mutation whose row does not fit, and the row that holds what it wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Clash {
    /// Index into `part.mutations`.
    pub mutation: usize,
    /// The holder's key, in the same table.
    pub holder: Key,
}

/// The answer to `finish`.
#[derive(Clone, Debug, PartialEq)]
pub enum Finished {
    Done,
    /// These rows hold doubled unique values: fetch them again together, write them, and call `finish` again.
    Taken(Vec<Key>),
}
