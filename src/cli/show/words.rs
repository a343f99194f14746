//! Numbers, times and states as people read them.

use super::{Cell, Paint};
use crate::client::{ObservedState, state_name};
use std::time::{Duration, SystemTime};

pub fn state_cell(observed: ObservedState) -> Cell {
    let paint = match observed {
        ObservedState::Streaming => Paint::Good,
        ObservedState::Preparing | ObservedState::Copying | ObservedState::CatchingUp => Paint::Moving,
        ObservedState::Stalled | ObservedState::Paused | ObservedState::Deleting => Paint::Careful,
        ObservedState::Failed | ObservedState::Lost => Paint::Bad,
        ObservedState::Created | ObservedState::Unspecified => Paint::Dim,
    };
    Cell::new(state_name(observed), paint)
}

/// `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 table`, `2,000 tables`.
pub fn counted(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", count(number as u64), if number == 1 { "" } else { "s" })
}

/// `1.2 GiB`.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut size, mut unit) = (number as f64, 0);
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{number} B") } else { format!("{size:.1} {}", UNITS[unit]) }
}

/// `43 %`; 100 only when all is done.
pub fn percent(share: f64) -> String {
    format!("{} %", (share * 100.0).floor().clamp(0.0, 100.0))
}

/// `12,300/s`.
pub fn rate(per_s: f64) -> String {
    format!("{}/s", count(per_s.max(0.0).round() as u64))
}

/// `410 ms`, `3.2 s`, `12 min 5 s`, `2 h 5 min`, `3 d 4 h`.
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {large_unit}"),
        small => format!("{large} {large_unit} {small} {small_unit}"),
    };
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.1} s", time.as_secs_f64()).replace(".0 s", " s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

/// `3 s ago`.
pub fn since(time: SystemTime) -> String {
    match time.elapsed() {
        Ok(time) => format!("{} ago", span(Duration::from_secs(time.as_secs().max(1)))),
        // Two machines' clocks.
        Err(_) => "just now".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_at_a_glance() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1023, 1024, 1_288_490_188].map(bytes), ["0 B", "1023 B", "1.0 KiB", "1.2 GiB"]);
        assert_eq!([0.0, 0.999, 1.0].map(percent), ["0 %", "99 %", "100 %"]);
        let times = [410, 3200, 59_000, 725_000, 7_500_000, 273_600_000].map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(times, ["410 ms", "3.2 s", "59 s", "12 min 5 s", "2 h 5 min", "3 d 4 h"]);
    }

    #[test]
    fn states_are_words() {
        assert_eq!(state_name(ObservedState::CatchingUp), "catching-up");
    }
}
