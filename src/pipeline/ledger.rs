//! One target's progress in memory, and its way into state.

use crate::{
    error::Result,
    model::{Checkpoint, JobId, Progress},
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
    /// What of `Progress::seen` is durable.
    seen: Mutex<Checkpoint>,
    /// One save at a time, so that an older one never lands on a newer one.
    saving: tokio::sync::Mutex<()>,
}

impl Ledger {
    pub async fn load(job: JobId, target: &str, state: Arc<dyn State>) -> Result<Ledger> {
        let progress = state.progress(job, target).await?.unwrap_or_default();
        let (seen, saving) = (Mutex::new(progress.seen.clone()), tokio::sync::Mutex::new(()));
        Ok(Ledger { job, target: target.to_owned(), state, progress: Mutex::new(progress), seen, saving })
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
        self.state.save_progress(self.job, &self.target, &progress).await?;
        *self.seen.lock() = progress.seen;
        Ok(())
    }

    /// What reads have shown, as far as it is saved: copies go on side by side, and one may still be saving it.
    pub fn seen(&self) -> Checkpoint {
        self.seen.lock().clone()
    }
}
