//! State that lasts as long as the process: tests and simulation.

use super::{AuditEntry, JobChange, JobRecord, MAX_AUDIT_AGE_MS, MAX_AUDIT_ENTRIES, State};
use crate::{
    error::Result,
    model::{JobId, Progress},
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// Cloning the `Arc` around it keeps it over a simulated restart.
#[derive(Default)]
pub struct MemoryState {
    inner: Mutex<Inner>,
}

#[derive(Clone, Default)]
struct Inner {
    jobs: BTreeMap<JobId, JobRecord>,
    progress: BTreeMap<(JobId, String), Progress>,
    audit: Vec<AuditEntry>,
}

impl MemoryState {
    /// A copy of the folder as it is now: an older or cloned state in tests.
    pub fn snapshot(&self) -> MemoryState {
        MemoryState { inner: Mutex::new(self.inner.lock().clone()) }
    }
}

#[async_trait]
impl State for MemoryState {
    async fn jobs(&self) -> Result<Vec<JobRecord>> {
        Ok(self.inner.lock().jobs.values().cloned().collect())
    }

    async fn save_job(&self, job: &JobRecord) -> Result<()> {
        self.inner.lock().jobs.insert(job.id, job.clone());
        Ok(())
    }

    async fn change_job(&self, job: JobId, change: JobChange) -> Result<Option<JobRecord>> {
        let mut inner = self.inner.lock();
        let record = inner.jobs.get_mut(&job);
        Ok(record.map(|record| {
            change(record);
            record.clone()
        }))
    }

    async fn delete_job(&self, job: JobId) -> Result<()> {
        let mut inner = self.inner.lock();
        inner.jobs.remove(&job);
        inner.progress.retain(|(id, _), _| *id != job);
        Ok(())
    }

    async fn progress(&self, job: JobId, target: &str) -> Result<Option<Progress>> {
        Ok(self.inner.lock().progress.get(&(job, target.to_owned())).cloned())
    }

    async fn save_progress(&self, job: JobId, target: &str, progress: &Progress) -> Result<()> {
        self.inner.lock().progress.insert((job, target.to_owned()), progress.clone());
        Ok(())
    }

    async fn record(&self, entry: AuditEntry) -> Result<()> {
        let audit = &mut self.inner.lock().audit;
        let oldest_kept = entry.at_ms.saturating_sub(MAX_AUDIT_AGE_MS);
        let place = audit.partition_point(|other| other.at_ms <= entry.at_ms);
        audit.insert(place, entry);
        let too_many = audit.len().saturating_sub(MAX_AUDIT_ENTRIES);
        let too_old = audit.partition_point(|other| other.at_ms < oldest_kept);
        audit.drain(..too_many.max(too_old));
        Ok(())
    }

    async fn history(&self, job: Option<JobId>, limit: usize) -> Result<Vec<AuditEntry>> {
        let inner = self.inner.lock();
        let entries = inner.audit.iter().rev().filter(|entry| job.is_none() || entry.job == job);
        Ok(entries.take(limit).cloned().collect())
    }
}
