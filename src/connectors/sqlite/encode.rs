//! Turns the model's values into what SQLite can store, refusing what it would change. Pure.

use super::statement::RAW_TEXT;
use crate::{
    error::{Error, Result},
    model::{Date, List, ValueRef},
};
use std::fmt::Write;

/// The value as one of SQLite's own kinds. `text` is room for those that become text.
pub(super) fn value<'a>(value: ValueRef<'a>, text: &'a mut String) -> Result<ValueRef<'a>> {
    text.clear();
    match value {
        ValueRef::Bool(v) => return Ok(ValueRef::Int(i64::from(v))),
        ValueRef::Null
        | ValueRef::Int(_)
        | ValueRef::Text(_)
        | ValueRef::Json(_)
        | ValueRef::Bytes(_)
        | ValueRef::Native(RAW_TEXT, _) => return Ok(value),
        ValueRef::Float64(v) if v.is_nan() => return Err(no_nan()),
        ValueRef::Float32(v) if v.is_nan() => return Err(no_nan()),
        ValueRef::Float64(_) => return Ok(value),
        ValueRef::Float32(v) => return Ok(ValueRef::Float64(f64::from(v))),
        ValueRef::Unsigned(v) => {
            return i64::try_from(v).map(ValueRef::Int).map_err(|_| {
                Error::refused(format!("{v} does not fit a SQLite integer, which is signed"))
                    .hint("leave the table out, or change the column's type at the source")
            });
        }
        ValueRef::Native(kind, _) => {
            return Err(Error::refused(format!("SQLite has nothing like the source's type `{kind}`"))
                .hint("leave the table out, or change the column's type at the source"));
        }
        _ => spell(value, text),
    }
    Ok(ValueRef::Text(text))
}

fn no_nan() -> Error {
    Error::refused("SQLite stores \"not a number\" as NULL").hint("leave the table out, or store NULL at the source")
}

/// The kinds that are text in SQLite, as its own date functions and JSON read them.
fn spell(value: ValueRef<'_>, text: &mut String) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Decimal;

    #[test]
    fn what_sqlite_would_change_is_text_or_refused() {
        let stored = |given| value(given, &mut String::new()).map(ValueRef::to_owned);
        let text = |text: &str| crate::model::Value::Text(text.to_owned());
        assert_eq!(stored(ValueRef::Decimal(Decimal("1.50"))).unwrap(), text("1.50"));
        assert_eq!(stored(ValueRef::Time(-90_000_000_000_000)).unwrap(), text("-25:00:00"));
        let day = Date { year: 2024, month: 2, day: 9 };
        assert_eq!(stored(ValueRef::DateTime(day, 1)).unwrap(), text("2024-02-09 00:00:00.000000001"));
        assert_eq!(stored(ValueRef::Instant(0, 0)).unwrap(), text("1970-01-01T00:00:00Z"));
        for refused in [ValueRef::Unsigned(u64::MAX), ValueRef::Float64(f64::NAN), ValueRef::Native("pg.point", b"")] {
            assert!(stored(refused).is_err(), "{refused:?}");
        }
    }
}
