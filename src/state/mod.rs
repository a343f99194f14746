//! The durable keeper of jobs, progress and the audit trail: small records, never rows.

mod document;
mod memory;
mod rebuild;
mod sled;

pub use self::{
    document::{Document, export, import},
    memory::MemoryState,
    rebuild::{Rebuilt, rebuild, remember, remembered_name},
    sled::SledState,
};

use crate::{
    error::{ErrorKind, Result},
    model::{Checkpoint, JobId, JobSpec, Progress, TableName},
    telemetry::flushes::Flushes,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whatever a call saved is durable when it returns `Ok`; after an error it may or may not be there.
#[async_trait]
pub trait State: Send + Sync {
    async fn jobs(&self) -> Result<Vec<JobRecord>>;

    /// Adds or replaces.
    async fn save_job(&self, job: &JobRecord) -> Result<()>;

    /// Changes a saved job in one step: two who change different fields of it lose nothing of each other.
    /// `None`: there is no such job.
    async fn change_job(&self, job: JobId, change: JobChange) -> Result<Option<JobRecord>>;

    /// Removes the job, its progress and nothing of its history.
    async fn delete_job(&self, job: JobId) -> Result<()>;

    async fn progress(&self, job: JobId, target: &str) -> Result<Option<Progress>>;

    /// Adds or replaces; writes only the parts that differ from what was saved before.
    async fn save_progress(&self, job: JobId, target: &str, progress: &Progress) -> Result<()>;

    /// Adds to the audit trail, which is bounded by age and count.
    async fn record(&self, entry: AuditEntry) -> Result<()>;

    /// The newest entries first, of one job or of all.
    async fn history(&self, job: Option<JobId>, limit: usize) -> Result<Vec<AuditEntry>>;

    /// How long its writes take to become durable; `None` where nothing is.
    fn flushes(&self) -> Option<Flushes> {
        None
    }
}

/// What `State::change_job` does to the record it finds.
pub type JobChange = Box<dyn FnOnce(&mut JobRecord) + Send>;

/// Who did what stays known for a quarter of a year.
pub const MAX_AUDIT_AGE_MS: u64 = 90 * 24 * 60 * 60 * 1000;
/// A few megabytes; more belongs into a log.
pub const MAX_AUDIT_ENTRIES: usize = 10_000;

/// A job as it survives restarts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    pub id: JobId,
    pub spec: JobSpec,
    /// What the user asked for.
    pub desired: Desired,
    /// What `Source::begin` gave, saved before the first row is copied. `None`: not begun.
    pub begun: Option<Checkpoint>,
    /// What it carries, as named at the source: what its log was reserved for. Tables that come later are not in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableName>,
    pub created_ms: u64,
    /// Changes with every change of the job.
    pub etag: String,
    /// Why it stopped, if it needs a person: shown again after a restart, cleared by a start.
    pub stopped: Option<Stopped>,
    /// Of the call that created it: makes the creation repeatable.
    pub request_id: Option<String>,
    /// The spec as it was created, where that was changed since: the creation stays repeatable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_spec: Option<Box<JobSpec>>,
    /// When a pause ends by itself, ms since 1970. `None`: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_ms: Option<u64>,
    /// Its deletion leaves what `begin` made at the source.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_source_objects: bool,
    /// Its deletion leaves what is its own in the targets.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_target_objects: bool,
}

impl JobRecord {
    /// A job that has not begun.
    pub fn new(id: JobId, spec: JobSpec, desired: Desired) -> JobRecord {
        JobRecord {
            id,
            spec,
            desired,
            begun: None,
            tables: Vec::new(),
            created_ms: 0,
            etag: String::new(),
            stopped: None,
            request_id: None,
            created_spec: None,
            resume_ms: None,
            keep_source_objects: false,
            keep_target_objects: false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    /// Created, not started yet.
    Created,
    Run,
    Pause,
    /// Retried until the source is released.
    Delete,
}

/// An error that stopped a job or one of its targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stopped {
    pub kind: ErrorKind,
    pub text: String,
    pub hint: Option<String>,
    pub at_ms: u64,
}

/// One line of the audit trail: who did what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    pub at_ms: u64,
    pub job: Option<JobId>,
    /// The caller as the control API knows it, or `daemon`.
    pub who: String,
    /// `create`, `start`, `pause`, `delete`, `set-limits`, `state`, … Of a job, `details` has its `name`.
    pub what: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}
