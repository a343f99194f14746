//! How long the source keeps what is applied already: a target that loses its last commits can be rewound.

use crate::model::Checkpoint;
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// Applied checkpoints wait here before they are acknowledged.
#[derive(Debug)]
pub struct Retention {
    keep: Duration,
    waiting: VecDeque<(Instant, Checkpoint)>,
}

/// One waiting checkpoint a second or less often; more than this are thinned out.
const WAITING: usize = 1024;

impl Retention {
    pub fn new(keep: Duration) -> Self {
        Retention { keep, waiting: VecDeque::new() }
    }

    /// Takes what is applied now, gives what was applied long enough ago.
    pub fn release(&mut self, applied: Checkpoint) -> Option<Checkpoint> {
        if applied.0.is_empty() {
            return None;
        }
        let now = Instant::now();
        if self.waiting.len() < WAITING && self.waiting.back().is_none_or(|(_, last)| *last != applied) {
            self.waiting.push_back((now, applied));
        }
        let mut release = None;
        while self.waiting.front().is_some_and(|(since, _)| now.duration_since(*since) >= self.keep) {
            release = self.waiting.pop_front().map(|(_, checkpoint)| checkpoint);
        }
        release
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Position;

    #[tokio::test(start_paused = true)]
    async fn what_is_applied_is_kept_for_a_while() {
        let at = |n: u64| Checkpoint::only(Position::new(b"x", n));
        let mut retention = Retention::new(Duration::from_secs(10));
        assert_eq!(retention.release(at(1)), None);
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(retention.release(at(2)), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(retention.release(at(3)), Some(at(1)));
    }
}
