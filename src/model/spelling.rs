//! Values as text, for stores that have no type of their own for them.

use super::value::{Date, List, ValueRef};
use std::fmt::Write;

/// Writes a value as its text: dates and times as ISO 8601 has them, lists as JSON.
pub fn spell(value: ValueRef<'_>, text: &mut String) {
    let written = match value {
        ValueRef::Decimal(v) => write!(text, "{}", v.0),
        ValueRef::Date(v) => write!(text, "{}", Day(v)),
        ValueRef::Time(v) => write!(text, "{}", Clock(v)),
        ValueRef::DateTime(day, nanos) => write!(text, "{} {}", Day(day), Clock(nanos)),
        ValueRef::Instant(i64::MAX, _) => write!(text, "infinity"),
        ValueRef::Instant(i64::MIN, _) => write!(text, "-infinity"),
        ValueRef::Instant(seconds, nanos) => match jiff::Timestamp::new(seconds, i32::try_from(nanos).unwrap_or(0)) {
            Ok(instant) => write!(text, "{instant}"),
            Err(_) => write!(text, "{seconds}.{nanos:09}"),
        },
        ValueRef::Interval(v) => write!(text, "{} months {} days {} ns", v.months, v.days, v.nanos),
        ValueRef::Uuid(v) => write!(text, "{}", uuid::Uuid::from_bytes(v)),
        ValueRef::List(v) => write!(text, "{}", serde_json::Value::Array(json_list(v))),
        ValueRef::Map(v) => {
            let items = json_list(v);
            let name = |item: &serde_json::Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            let pairs = items.chunks(2).filter(|pair| pair.len() == 2).map(|pair| (name(&pair[0]), pair[1].clone()));
            write!(text, "{}", serde_json::Value::Object(pairs.collect()))
        }
        other => write!(text, "{other:?}"),
    };
    written.expect("a string takes it");
}

fn json_list(list: List<'_>) -> Vec<serde_json::Value> {
    let item = |value: ValueRef<'_>| match value {
        ValueRef::Null => serde_json::Value::Null,
        ValueRef::Bool(v) => v.into(),
        ValueRef::Int(v) => v.into(),
        ValueRef::Unsigned(v) => v.into(),
        ValueRef::Float64(v) => v.into(),
        ValueRef::Text(v) | ValueRef::Json(v) => v.into(),
        ValueRef::List(v) => serde_json::Value::Array(json_list(v)),
        other => {
            let mut text = String::new();
            spell(other, &mut text);
            text.into()
        }
    };
    list.iter().map(item).collect()
}

struct Day(Date);

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Date::INFINITY => f.write_str("infinity"),
            Date::NEGATIVE_INFINITY => f.write_str("-infinity"),
            Date { year, month, day } => write!(f, "{year:04}-{month:02}-{day:02}"),
        }
    }
}

/// Nanoseconds as `-26:03:04.000000005`; no fraction where there is none.
struct Clock(i64);

impl std::fmt::Display for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SECOND: u64 = 1_000_000_000;
        let nanos = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        let seconds = nanos / SECOND;
        write!(f, "{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
        match nanos % SECOND {
            0 => Ok(()),
            rest => write!(f, ".{rest:09}"),
        }
    }
}
