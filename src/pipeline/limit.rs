//! Holds a copy to a rate in rows and bytes a second that may change while it runs.

use crate::model::Limits;
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

/// Shared by all copies of a job. Who took more than the rate allows waits before the next batch.
#[derive(Clone)]
pub struct Limit {
    limits: watch::Receiver<Limits>,
    /// When everything taken so far is paid for.
    paid: Arc<Mutex<Instant>>,
}

/// Unused time that is not lost: a copy that waited for its target may catch up this much.
const BURST: Duration = Duration::from_millis(200);

impl Limit {
    pub fn new(limits: watch::Receiver<Limits>) -> Self {
        Limit { limits, paid: Arc::new(Mutex::new(Instant::now())) }
    }

    pub fn limits(&self) -> Limits {
        *self.limits.borrow()
    }

    /// Accounts for a batch; until when that is owed. `None`: there is no limit.
    pub fn take(&self, rows: u64, bytes: u64) -> Option<Instant> {
        let limits = self.limits();
        let seconds = |amount: u64, rate: u64| if rate == 0 { 0.0 } else { amount as f64 / rate as f64 };
        let cost = seconds(rows, limits.rows_per_s).max(seconds(bytes, limits.bytes_per_s));
        if cost == 0.0 {
            return None;
        }
        let mut paid = self.paid.lock();
        let earliest = Instant::now().checked_sub(BURST).unwrap_or_else(Instant::now);
        *paid = (*paid).max(earliest) + Duration::from_secs_f64(cost.min(86_400.0));
        Some(*paid)
    }

    /// Accounts for a batch and waits until it is paid for. A change of the limits ends the wait.
    pub async fn pay(&mut self, rows: u64, bytes: u64) {
        self.limits.mark_unchanged();
        let Some(until) = self.take(rows, bytes) else { return };
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(until) => {}
            changed = self.limits.changed() => {
                // New limits: what was owed under the old ones is forgiven.
                *self.paid.lock() = Instant::now();
                if changed.is_err() {
                    tokio::time::sleep_until(until).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept_and_can_be_lifted() {
        let (change, limits) = watch::channel(Limits { rows_per_s: 100, bytes_per_s: 0 });
        let mut limit = Limit::new(limits);
        let start = Instant::now();
        for _ in 0..10 {
            limit.pay(100, 1 << 20).await;
        }
        let took = start.elapsed();
        assert!(took > Duration::from_secs(9) && took < Duration::from_secs(11), "{took:?}");
        let waiting = tokio::spawn(async move { limit.pay(1_000_000, 0).await });
        tokio::task::yield_now().await;
        change.send(Limits::default()).expect("still listened to");
        tokio::time::timeout(Duration::from_secs(1), waiting).await.expect("lifted").expect("no panic");
    }
}
