//! One target's progress in memory, and its way into state.

use crate::{
    error::Result,
    model::{JobId, Progress},
    state::State,
};
use parking_lot::Mutex;
use std::sync::Arc;

/// Shared by the copies and the pump of one target. Changing it saves nothing; `save` does.
pub struct Ledger {
    job: JobId,
    target: String,
    state: Arc<dyn State>,
    progress: Mutex<Progress>,
    /// One save at a time, so that an older one never lands on a newer one.
    saving: tokio::sync::Mutex<()>,
}

impl Ledger {
    pub async fn load(job: JobId, target: &str, state: Arc<dyn State>) -> Result<Ledger> {
        let progress = state.progress(job, target).await?.unwrap_or_default();
        let (progress, saving) = (Mutex::new(progress), tokio::sync::Mutex::new(()));
        Ok(Ledger { job, target: target.to_owned(), state, progress, saving })
    }

    pub fn read<T>(&self, look: impl FnOnce(&Progress) -> T) -> T {
        look(&self.progress.lock())
    }

    pub fn change<T>(&self, change: impl FnOnce(&mut Progress) -> T) -> T {
        change(&mut self.progress.lock())
    }

    /// Durable when it returns `Ok`.
    pub async fn save(&self) -> Result<()> {
        let _one = self.saving.lock().await;
        let progress = self.progress.lock().clone();
        self.state.save_progress(self.job, &self.target, &progress).await
    }
}
