//! What is durable for one target of a job: its checkpoint and, per table, what is still to copy.

use super::{Checkpoint, Key, KeyRange, Mark, Partition, Position, TableName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The daemon's view of one target. Where target and state differ, the target is right (lane protocol 8).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The highest epoch we ever claimed at this target; saved before it is claimed.
    pub epoch: u64,
    /// Everything up to here is applied and durable in the target.
    pub checkpoint: Checkpoint,
    /// Where partitions that came after the job's begin (splits) begin for this target.
    #[serde(default, skip_serializing_if = "Checkpoint::is_empty")]
    pub starts: Checkpoint,
    /// What reads have shown of the source's log, where rows that they brought are in the target ahead of its checkpoint.
    #[serde(default, skip_serializing_if = "Checkpoint::is_empty")]
    pub seen: Checkpoint,
    /// Per feed, per lane: the last batch number that the target confirmed.
    pub numbers: BTreeMap<Partition, BTreeMap<u16, u64>>,
    pub tables: BTreeMap<TableName, TableProgress>,
}

/// One table on its way. Named as at the source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableProgress {
    pub state: TableState,
    /// The shape that the target was last prepared for.
    #[serde(default)]
    pub version: u64,
    /// Something was (or may have been) written by a copy of ours: never `fresh` again.
    pub started: bool,
    /// The epoch in which this copy of the table began; names it in watermarks.
    pub generation: u64,
    /// Keyless tables: where the one read stood in the log; changes of the table up to here are in it already.
    pub from: Option<Checkpoint>,
    /// Ranges still to copy, in key order. Empty once copied.
    pub todo: Vec<RangeProgress>,
    /// Ranges of the target's keys still to sweep for rows that the source lacks.
    pub sweep: Vec<KeyRange>,
    /// How many ranges it was cut into, for people.
    pub pieces: u64,
    /// Copied so far, for people.
    pub rows: u64,
    pub bytes: u64,
    /// Why it is not the table's first copy, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<String>,
}

/// A range still to copy. `range` stays as it was cut and names it in watermarks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RangeProgress {
    pub range: KeyRange,
    /// Copied up to and with this key, as read from the watermark at the last start, or by a held range.
    pub done: Option<Key>,
}

impl RangeProgress {
    pub fn new(range: KeyRange) -> Self {
        RangeProgress { range, done: None }
    }

    /// What of the range is still to copy.
    pub fn rest(&self) -> KeyRange {
        KeyRange { after: self.done.clone().or_else(|| self.range.after.clone()), upto: self.range.upto.clone() }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableState {
    /// Being copied before the tail starts.
    Copying,
    /// Being copied again beside the tail, in held ranges.
    Recopying,
    /// Copied; consistent once everything up to the mark, taken after the last range, is applied.
    CatchingUp(Mark),
    /// Consistent; unique indexes and foreign keys stand.
    Streaming {
        /// The batch numbers of the log at which it became so: a target behind them has lost that.
        since: BTreeMap<Partition, u64>,
    },
}

impl TableProgress {
    /// Everything is to be copied, nothing is begun.
    pub fn new(state: TableState, generation: u64) -> Self {
        TableProgress {
            state,
            version: 0,
            started: false,
            generation,
            from: None,
            todo: vec![RangeProgress::new(KeyRange::all())],
            sweep: Vec::new(),
            pieces: 1,
            rows: 0,
            bytes: 0,
            again: None,
        }
    }

    /// Says why it is copied again.
    #[must_use]
    pub fn because(self, why: &str) -> Self {
        TableProgress { again: Some(why.to_owned()), ..self }
    }

    /// All of it is to be copied again: beside the tail and swept, or, without a key, as at the start.
    pub fn recopy(&mut self, generation: u64, keyless: bool, sweeps: bool, why: &str) {
        let state = if keyless { TableState::Copying } else { TableState::Recopying };
        let sweep = if keyless || !sweeps { Vec::new() } else { vec![KeyRange::all()] };
        let new = TableProgress::new(state, generation).because(why);
        *self = TableProgress { started: true, version: self.version, sweep, ..new };
    }

    pub fn is_streaming(&self) -> bool {
        matches!(self.state, TableState::Streaming { .. })
    }
}

/// One row of the watermark table in a target: what one lane has applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaneMark {
    /// A partition, or `Partition::COPY`.
    pub feed: Partition,
    pub lane: u16,
    /// How many lanes batch `batch` was split over.
    pub lanes: u16,
    pub hash_version: u8,
    pub epoch: u64,
    /// The last batch this lane has applied; 0 before the first.
    pub batch: u64,
    pub from: Position,
    pub to: Position,
}
