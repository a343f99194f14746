//! How long the state's writes take to become durable, and whether one is stuck.

use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Upper bounds of the buckets, in seconds: a good disk takes a millisecond, a bad day takes seconds.
pub const BOUNDS_S: [f64; 9] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

/// Shared by the thread that writes and those who look.
#[derive(Clone, Debug, Default)]
pub struct Flushes(Arc<Mutex<Seen>>);

#[derive(Clone, Debug, Default)]
struct Seen {
    taken: Taken,
    began: Option<Instant>,
    failed: Option<String>,
}

/// All flushes since the daemon started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    pub count: u64,
    pub sum_s: f64,
    /// How many fell into each of `BOUNDS_S`, and, last, above.
    pub buckets: [u64; BOUNDS_S.len() + 1],
}

impl Flushes {
    pub fn begin(&self) {
        self.0.lock().began = Some(Instant::now());
    }

    pub fn end(&self) {
        let mut seen = self.0.lock();
        if let Some(took) = seen.began.take().map(|began| began.elapsed().as_secs_f64()) {
            seen.taken.count += 1;
            seen.taken.sum_s += took;
            seen.taken.buckets[BOUNDS_S.iter().take_while(|bound| took > **bound).count()] += 1;
        }
    }

    /// Nothing is saved any more, as long as this process lives.
    pub fn failed(&self, why: &str) {
        self.0.lock().failed.get_or_insert_with(|| why.to_owned());
    }

    pub fn taken(&self) -> Taken {
        self.0.lock().taken.clone()
    }

    /// Why nothing will be saved before a new process opens the folder: for `/healthz` and the watchdog.
    pub fn failure(&self) -> Option<String> {
        self.0.lock().failed.clone()
    }

    /// Why nothing is saved, or `None` if all is well: for `/readyz`.
    pub fn trouble(&self, patience: Duration) -> Option<String> {
        let seen = self.0.lock();
        let stuck = seen.began.map(|began| began.elapsed()).filter(|stuck| *stuck > patience);
        let stuck = stuck.map(|stuck| format!("the disk has not taken a write of the state for {} s", stuck.as_secs()));
        seen.failed.clone().or(stuck)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flushes_are_counted_in_their_buckets_and_a_stuck_one_is_told() {
        let flushes = Flushes::default();
        assert_eq!(flushes.trouble(Duration::ZERO), None);
        flushes.begin();
        assert!(flushes.trouble(Duration::ZERO).is_some_and(|why| why.contains("disk")));
        assert_eq!(flushes.failure(), None, "it may go through yet");
        flushes.end();
        let taken = flushes.taken();
        assert_eq!((taken.count, taken.buckets.iter().sum::<u64>()), (1, 1));
        assert_eq!(flushes.trouble(Duration::ZERO), None);
        flushes.failed("read-only");
        assert_eq!(flushes.trouble(Duration::ZERO).as_deref(), Some("read-only"));
        assert_eq!(flushes.failure().as_deref(), Some("read-only"));
    }
}
