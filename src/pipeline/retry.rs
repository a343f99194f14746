//! The one place that waits before trying again.

use std::time::Duration;
use tokio_util::sync::CancellationToken;

const FIRST: Duration = Duration::from_millis(50);
/// Long enough to leave a struggling server alone, short enough that a person watching sees it come back.
const LONGEST: Duration = Duration::from_secs(10);

/// Doubles from 50 ms to 10 s; starts over after a success.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Waits after a failure; false if `stop` came first.
    pub async fn wait(&mut self, stop: &CancellationToken) -> bool {
        let wait = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures += 1;
        tokio::select! {
            biased;
            () = stop.cancelled() => false,
            () = tokio::time::sleep(wait) => true,
        }
    }

    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    pub fn failures(&self) -> u32 {
        self.failures
    }
}
