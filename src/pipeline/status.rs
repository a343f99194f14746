//! What a job shows of itself, computed from evidence: last feed answer, last durable write, age of both.

use crate::{model::TableName, source::Backlog, state::Stopped};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Observed, not asked for. In the order of a job's life; a job shows its least advanced target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observed {
    /// Needs a person: kind, context, hint.
    Failed,
    /// The position is gone on one side; heal by verify-and-repair or a new copy.
    Lost,
    /// Evidence is stale: retrying, with the cause.
    Stalled,
    #[default]
    Created,
    Deleting,
    Paused,
    Preparing,
    Copying,
    CatchingUp,
    Streaming,
}

/// A job, as `GetJob` and `WatchJob` show it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobStatus {
    pub observed: Observed,
    pub targets: BTreeMap<String, TargetStatus>,
    /// What the job holds of the source's log: everything after the least advanced target.
    pub held: Option<Backlog>,
    /// What stopped or stalls the job as a whole (its source).
    pub error: Option<Stopped>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetStatus {
    pub observed: Observed,
    pub tables: BTreeMap<TableName, TableStatus>,
    /// Changes applied since the daemon started, and per second over the last seconds.
    pub changes: u64,
    pub changes_per_s: f64,
    /// From the source's commit (or from when it was seen) to ours, of the newest batch; 0 when idle and up to date.
    pub lag_ms: Option<u64>,
    /// Changes in the source's log that this target lacks.
    pub behind: Option<u64>,
    /// When a batch was last durable here, ms since 1970.
    pub last_write_ms: Option<u64>,
    /// When the feed last answered (a batch or idle), ms since 1970.
    pub last_answer_ms: Option<u64>,
    /// The last error, with kind and hint; stays after it healed, with its time.
    pub error: Option<Stopped>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableStatus {
    pub observed: Observed,
    pub rows: u64,
    pub bytes: u64,
    pub rows_per_s: f64,
    /// Share of the key ranges done, 0 to 1.
    pub share: f64,
    pub eta_s: Option<u64>,
}
