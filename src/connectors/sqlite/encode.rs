//! Turns the model's values into what SQLite can store, refusing what it would change. Pure.

use super::statement::RAW_TEXT;
use crate::{
    error::{Error, Result},
    model::{ValueRef, spell},
};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Date, Decimal};

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
