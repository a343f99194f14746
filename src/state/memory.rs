//! State that lasts as long as the process: tests and simulation.

use super::{AuditEntry, JobRecord, State};
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
        self.inner.lock().audit.push(entry);
        Ok(())
    }

    async fn history(&self, job: Option<JobId>, limit: usize) -> Result<Vec<AuditEntry>> {
        let inner = self.inner.lock();
        let entries = inner.audit.iter().rev().filter(|entry| job.is_none() || entry.job == job);
        Ok(entries.take(limit).cloned().collect())
    }
}
