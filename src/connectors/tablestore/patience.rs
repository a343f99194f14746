//! When the same request is sent again at once: while the service says that it did nothing, and a read that was lost.
//!
//! Bounded and short: what is not over by then goes up, where the pipeline waits and the status tells it.

use super::{
    failure::{Cause, Failure, Fate},
    operation::Effect,
};
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};
use tokio::time::Instant;

/// As the official clients: 10 ms, doubled up to 320 ms, 10 s in all.
const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(320);
const ALL: Duration = Duration::from_secs(10);

/// Of reads that nobody knows anything about. Each may last as long as the longest answer may.
const LOST_READS: u32 = 2;

#[derive(Debug)]
pub(super) struct Patience {
    since: Instant,
    tries: u32,
    lost: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { since: Instant::now(), tries: 0, lost: 0 }
    }
}

impl Patience {
    /// Waits; false: it is not to be sent again.
    pub async fn again(&mut self, failure: &Failure) -> bool {
        let again = match failure.fate() {
            // It is the pipeline that waits for a service that is not there.
            Fate::NotDone => !matches!(failure.cause, Cause::Unreached(_)),
            Fate::Unknown => {
                self.lost += 1;
                failure.operation.effect == Effect::Read && self.lost <= LOST_READS
            }
            Fate::Refused => false,
        };
        let wait = jittered(FIRST.saturating_mul(1 << self.tries.min(16)).min(LONGEST));
        if !again || self.since.elapsed() + wait > ALL {
            return false;
        }
        self.tries += 1;
        tokio::time::sleep(wait).await;
        true
    }
}

/// From half of it to all of it: many requests that were refused at once do not come again at once.
fn jittered(wait: Duration) -> Duration {
    let chance = RandomState::new().build_hasher().finish() % 512;
    wait.mul_f64(0.5 + chance as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::tablestore::{
        messages::error::Error,
        operation::{GET_RANGE, Operation, PUT_ROW},
    };

    fn told(operation: Operation, code: &str) -> Failure {
        Failure::told(operation, Error { code: Some(code.into()), message: None, access_denied: None })
    }

    async fn tries(failure: &Failure) -> u32 {
        let mut patience = Patience::default();
        while patience.again(failure).await {}
        patience.tries
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_done_is_sent_again_for_ten_seconds() {
        let start = Instant::now();
        let tries = tries(&told(PUT_ROW, "OTSServerBusy")).await;
        assert!((30..70).contains(&tries), "{tries}");
        assert!(start.elapsed() <= ALL + Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_write_is_not_sent_again_and_a_lost_read_twice() {
        assert_eq!(tries(&told(PUT_ROW, "OTSTimeout")).await, 0);
        assert_eq!(tries(&Failure::new(PUT_ROW, Cause::Silent { status: 503 })).await, 0);
        assert_eq!(tries(&told(GET_RANGE, "OTSTimeout")).await, 2);
        assert_eq!(tries(&Failure::new(GET_RANGE, Cause::Silent { status: 503 })).await, 2);
        assert_eq!(tries(&told(GET_RANGE, "OTSParameterInvalid")).await, 0);
    }
}
