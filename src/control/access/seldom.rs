//! Log lines that a stranger can cause: one at a time, the others counted.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

const APART: Duration = Duration::from_secs(10);

#[derive(Default)]
pub struct Seldom {
    last: Mutex<(Option<Instant>, u64)>,
}

impl Seldom {
    /// How many were left out since the last line, if it is time for one.
    pub fn now(&self) -> Option<u64> {
        let mut last = self.last.lock();
        if last.0.is_some_and(|at| at.elapsed() < APART) {
            last.1 += 1;
            return None;
        }
        last.0 = Some(Instant::now());
        Some(std::mem::take(&mut last.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_waits_for_its_time() {
        let seldom = Seldom::default();
        assert_eq!(seldom.now(), Some(0));
        assert_eq!((seldom.now(), seldom.now()), (None, None));
        seldom.last.lock().0 = Instant::now().checked_sub(APART);
        assert_eq!(seldom.now(), Some(2));
    }
}
