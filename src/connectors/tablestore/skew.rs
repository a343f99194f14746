//! How far the machine's clock is from the service's, which refuses what differs by more than a quarter of an hour.

use jiff::Timestamp;
use std::sync::atomic::{AtomicI64, Ordering};

/// Where the service ends to answer.
const REFUSED_S: i64 = 15 * 60;
/// Far above any request's time, far below what is refused.
const TOLD_S: i64 = 60;
const UNKNOWN: i64 = i64::MIN;

/// Seconds that we are ahead of the service; of the last answer.
#[derive(Debug)]
pub(super) struct Skew(AtomicI64);

impl Default for Skew {
    fn default() -> Self {
        Skew(AtomicI64::new(UNKNOWN))
    }
}

impl Skew {
    /// What the first answer's `x-ots-date` shows, where a person should know it.
    #[must_use]
    pub fn note(&self, date: &str, now: Timestamp) -> Option<String> {
        let theirs: Timestamp = date.parse().ok()?;
        let ahead_s = now.as_second() - theirs.as_second();
        match self.0.swap(ahead_s, Ordering::Relaxed) {
            UNKNOWN if ahead_s.abs() >= TOLD_S => Some(words(ahead_s)),
            _ => None,
        }
    }

    /// Why the service takes nothing from us, if it is the clock.
    pub fn blame(&self) -> Option<String> {
        let ahead_s = self.0.load(Ordering::Relaxed);
        (ahead_s != UNKNOWN && ahead_s.abs() >= REFUSED_S - TOLD_S).then(|| words(ahead_s))
    }

    pub fn ahead_s(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|ahead_s| *ahead_s != UNKNOWN)
    }
}

fn words(ahead_s: i64) -> String {
    let side = if ahead_s > 0 { "ahead of" } else { "behind" };
    format!("this machine's clock is {} s {side} the service's", ahead_s.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_clock_that_is_wrong_is_told_once_and_blamed_where_it_matters() {
        let skew = Skew::default();
        let now = at(1_767_322_800);
        assert_eq!((skew.ahead_s(), skew.note("soon", now), skew.blame()), (None, None, None));
        let told = skew.note("2026-01-02T03:05:00.000000Z", now).unwrap();
        assert_eq!(told, "this machine's clock is 300 s behind the service's");
        assert_eq!(skew.note("2026-01-02T03:05:00.000000Z", now), None);
        assert_eq!(skew.blame(), None);
        // Any number of digits behind the second.
        assert_eq!(skew.note("2026-01-02T02:44:00.11213Z", now), None);
        assert_eq!(skew.blame().unwrap(), "this machine's clock is 960 s ahead of the service's");
    }
}
