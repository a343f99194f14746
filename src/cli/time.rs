//! Times as people type and read them.

use crate::client;
use jiff::{SpanRelativeTo, tz::TimeZone};
use std::time::{Duration, SystemTime};

/// `30s`, `1h30m`, `2d`; a day is 24 hours.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = |why: String| format!("{why}; write it as 30s, 1h30m or 2d");
    let span: jiff::Span = text.parse().map_err(|error: jiff::Error| wrong(error.to_string()))?;
    let time = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|error| wrong(error.to_string()))?;
    let time = Duration::try_from(time).map_err(|_| wrong("a negative time".to_owned()))?;
    if time.is_zero() { Err(wrong("no time at all".to_owned())) } else { Ok(time) }
}

/// `2026-11-21 18:30:05`, where the user is.
pub fn of(time: &client::Timestamp) -> String {
    let time = jiff::Timestamp::new(time.seconds, time.nanos).unwrap_or_default();
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

pub fn system(time: &client::Timestamp) -> SystemTime {
    SystemTime::try_from(*time).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// `None`: absent, or none that a daemon sends.
pub fn span(time: Option<client::Duration>) -> Option<Duration> {
    time.and_then(|time| Duration::try_from(time).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_typed() {
        let seconds = |text| parse(text).map(|time| time.as_secs_f64());
        assert_eq!([seconds("30s"), seconds("1h30m"), seconds("2d")], [Ok(30.0), Ok(5400.0), Ok(172_800.0)]);
        assert_eq!(seconds("250ms"), Ok(0.25));
        for wrong in ["", "0s", "-1s", "7", "soon", "1 month"] {
            assert!(seconds(wrong).is_err_and(|why| why.contains("1h30m")), "{wrong}");
        }
    }
}
