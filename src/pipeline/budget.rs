//! The bytes of rows that all jobs of a daemon may hold in flight (invariant 6).

use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Shared by every job; what is taken is given back when the batch is dropped.
#[derive(Clone, Debug)]
pub struct Budget {
    kib: u32,
    free: Arc<Semaphore>,
}

/// What one batch holds. Shared where several targets hold the same batch.
pub type Share = Arc<OwnedSemaphorePermit>;

/// A target that is stuck with what it holds must not hold up the others for ever.
const PATIENCE: Duration = Duration::from_secs(60);

impl Budget {
    pub fn new(mib: u32) -> Self {
        let kib = mib.max(1) << 10;
        Budget { kib, free: Arc::new(Semaphore::new(kib as usize)) }
    }

    /// Waits until the bytes are free. A batch larger than the whole budget takes all of it. `None` after a minute: this
    /// one batch goes over.
    pub async fn take(&self, bytes: usize) -> Option<Share> {
        let kib = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).clamp(1, self.kib);
        let taken = timeout(PATIENCE, Arc::clone(&self.free).acquire_many_owned(kib)).await.ok()?;
        Some(Arc::new(taken.expect("never closed")))
    }
}

impl Budget {
    /// Taken now, and the bound.
    pub fn bytes(&self) -> (u64, u64) {
        let kib = u64::from(self.kib);
        ((kib - (self.free.available_permits() as u64).min(kib)) << 10, kib << 10)
    }
}

impl Default for Budget {
    fn default() -> Self {
        Budget::new(64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_held_is_bounded_and_nobody_waits_for_ever() {
        let budget = Budget::new(1);
        let first = budget.take(1 << 20).await.expect("all of it is free");
        assert!(budget.take(1).await.is_none(), "over the budget after a minute");
        assert_eq!(budget.bytes(), (1 << 20, 1 << 20));
        drop(first);
        assert!(budget.take(100 << 20).await.is_some(), "a row larger than the budget");
    }
}
