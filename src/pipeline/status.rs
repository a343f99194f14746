//! What a job shows of itself, computed from evidence: last feed answer, last durable write, age of both.

use crate::{error::ErrorKind, model::TableName, source::Backlog, state::Stopped};
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
    /// Of the job as a whole, since the daemon started.
    pub errors: Errors,
    /// Tables that the job's globs select and that were made after it began: they are not carried.
    #[serde(default)]
    pub late: Vec<TableName>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetStatus {
    pub observed: Observed,
    pub tables: BTreeMap<TableName, TableStatus>,
    /// Changes applied since the daemon started, and per second over the last seconds.
    pub changes: u64,
    pub changes_per_s: f64,
    /// Bytes of rows of these changes.
    pub bytes: u64,
    /// From the source's commit (or from when it was seen) to ours, of the newest batch; 0 when idle and up to date.
    pub lag_ms: Option<u64>,
    /// Changes in the source's log that this target lacks.
    pub behind: Option<u64>,
    /// When a batch was last durable here, ms since 1970.
    pub last_write_ms: Option<u64>,
    /// When the feed last answered (a batch or idle), ms since 1970.
    pub last_answer_ms: Option<u64>,
    /// The last error, with kind and hint; stays after it has passed, with its time.
    pub error: Option<Stopped>,
    /// It has: what is the case now has another cause, or none.
    #[serde(default)]
    pub passed: bool,
    /// Since the daemon started.
    pub errors: Errors,
}

/// How often, by what should happen next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errors {
    pub transient: u64,
    pub lost: u64,
    pub config: u64,
    pub refused: u64,
}

impl Observed {
    pub const ALL: [Observed; 10] = [
        Observed::Failed,
        Observed::Lost,
        Observed::Stalled,
        Observed::Created,
        Observed::Deleting,
        Observed::Paused,
        Observed::Preparing,
        Observed::Copying,
        Observed::CatchingUp,
        Observed::Streaming,
    ];

    /// As files, metrics and pages spell it.
    pub fn name(self) -> &'static str {
        match self {
            Observed::Failed => "failed",
            Observed::Lost => "lost",
            Observed::Stalled => "stalled",
            Observed::Created => "created",
            Observed::Deleting => "deleting",
            Observed::Paused => "paused",
            Observed::Preparing => "preparing",
            Observed::Copying => "copying",
            Observed::CatchingUp => "catching_up",
            Observed::Streaming => "streaming",
        }
    }
}

impl Errors {
    pub fn count(&mut self, kind: ErrorKind) {
        *match kind {
            ErrorKind::Transient => &mut self.transient,
            ErrorKind::Lost => &mut self.lost,
            ErrorKind::Config => &mut self.config,
            ErrorKind::Refused => &mut self.refused,
        } += 1;
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableStatus {
    pub observed: Observed,
    /// The source has it no more.
    #[serde(default)]
    pub gone: bool,
    pub rows: u64,
    pub bytes: u64,
    pub rows_per_s: f64,
    /// Share of the key ranges done, 0 to 1.
    pub share: f64,
    pub eta_s: Option<u64>,
    /// Why it is copied again, until it streams.
    #[serde(default)]
    pub again: Option<String>,
}
