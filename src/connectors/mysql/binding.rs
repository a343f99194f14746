//! Values of ours as parameters: the expression that takes one, so that the server compares it as the column's own. Pure.
//!
//! A plain parameter would be compared by the connection's collation, as a floating-point number where it is a decimal, or
//! by its label's text where the index is by its number.

use super::{text::hex, types::Native, values};
use crate::{
    error::{Error, Result},
    model::{Date, Table, ValueRef},
};
use mysql_async::Value;
use std::fmt::Write;

/// The expression with its one `?`, and what goes there.
pub(super) fn bind(table: &Table, column: usize, native: &Native, value: ValueRef<'_>) -> Result<(String, Value)> {
    bound(&table.columns[column].declared, native, value).ok_or_else(|| {
        let column = &table.columns[column];
        Error::refused(format!("{value:?} is no key of column `{}`, which is `{}`", column.name, column.declared))
            .hint("leave the table out, or give it a key of numbers, times, text or bytes")
    })
}

/// Whether no row can have this value: a label that the column does not know.
pub(super) fn is_absent(native: &Native, value: ValueRef<'_>) -> bool {
    match (native, value) {
        (Native::Enum(labels), ValueRef::Text(text)) => !labels.iter().any(|label| label == text),
        (Native::Set(labels), ValueRef::Text(text)) => bits(labels, text).is_none(),
        _ => false,
    }
}

fn bound(declared: &str, native: &Native, value: ValueRef<'_>) -> Option<(String, Value)> {
    let plain = |value: Value| ("?".to_owned(), value);
    let cast = |kind: &str, text: String| (format!("CAST(? AS {kind})"), Value::Bytes(text.into_bytes()));
    Some(match (native, value) {
        (Native::Int(_) | Native::Unsigned(_) | Native::Year | Native::Bit(_), _) => plain(number(value)?),
        (Native::Enum(labels), ValueRef::Text(text)) => {
            plain(Value::UInt(labels.iter().position(|label| label == text)? as u64 + 1))
        }
        (Native::Enum(_), ValueRef::Native("enum", [0])) => plain(Value::UInt(0)),
        (Native::Set(labels), ValueRef::Text(text)) => plain(Value::UInt(bits(labels, text)?)),
        (Native::Decimal { precision, scale }, ValueRef::Decimal(text)) => {
            cast(&format!("DECIMAL({precision},{scale})"), text.0.to_owned())
        }
        (Native::Decimal { precision, scale }, ValueRef::Int(_) | ValueRef::Unsigned(_)) => {
            cast(&format!("DECIMAL({precision},{scale})"), number(value)?.as_sql(true))
        }
        // Keys that another kind of store keeps as text.
        (Native::Decimal { precision, scale }, ValueRef::Text(text)) => {
            cast(&format!("DECIMAL({precision},{scale})"), text.to_owned())
        }
        (Native::Date, ValueRef::Text(text)) => cast("DATE", text.to_owned()),
        (Native::DateTime(_), ValueRef::Text(text)) => cast("DATETIME(6)", text.to_owned()),
        (Native::Time(_), ValueRef::Text(text)) => cast("TIME(6)", text.to_owned()),
        (Native::Uuid, ValueRef::Text(text)) => cast("UUID", text.to_owned()),
        (Native::Float, ValueRef::Float64(number)) => plain(Value::Double(number)),
        (Native::Float, ValueRef::Float32(number)) => plain(Value::Double(f64::from(number))),
        (Native::Double, ValueRef::Float64(number)) => plain(Value::Double(number)),
        (Native::Date, ValueRef::Date(date)) => cast("DATE", day(date)),
        (Native::DateTime(_), ValueRef::DateTime(date, nanos)) => cast("DATETIME(6)", moment(date, nanos)),
        (Native::Timestamp(_), ValueRef::Instant(seconds, nanos)) => {
            let date = values::date_of(seconds.div_euclid(86_400));
            cast("DATETIME(6)", moment(date, seconds.rem_euclid(86_400) * 1_000_000_000 + i64::from(nanos)))
        }
        (Native::Timestamp(_), value) if value == values::ZERO_TIMESTAMP => {
            cast("DATETIME(6)", "0000-00-00 00:00:00".to_owned())
        }
        (Native::Time(_), ValueRef::Time(nanos)) => {
            let sign = if nanos < 0 { "-" } else { "" };
            cast("TIME(6)", format!("{sign}{}", clock(nanos.unsigned_abs())))
        }
        (Native::Text(charset), ValueRef::Text(text)) => {
            let collation = collation(declared)?;
            let name = &charset.name;
            (format!("CONVERT(? USING {name}) COLLATE {collation}"), Value::Bytes(text.as_bytes().to_vec()))
        }
        // Bytes that the server took for text of this set, though we do not know it.
        (Native::Text(charset), ValueRef::Native(name, bytes))
            if name == charset.name && !charset.is_malformed(bytes) =>
        {
            let collation = collation(declared)?;
            (format!("CONVERT(UNHEX(?) USING {name}) COLLATE {collation}"), Value::Bytes(hex(bytes).into_bytes()))
        }
        (Native::Bytes { .. }, ValueRef::Bytes(bytes)) => {
            ("UNHEX(?)".to_owned(), Value::Bytes(hex(bytes).into_bytes()))
        }
        (Native::Uuid, ValueRef::Uuid(bytes)) => cast("UUID", uuid::Uuid::from_bytes(bytes).to_string()),
        (Native::Inet6, ValueRef::Text(text)) => cast("INET6", text.to_owned()),
        (Native::Inet4, ValueRef::Text(text)) => cast("INET4", text.to_owned()),
        _ => return None,
    })
}

fn number(value: ValueRef<'_>) -> Option<Value> {
    Some(match value {
        ValueRef::Int(number) => Value::Int(number),
        ValueRef::Unsigned(number) => Value::UInt(number),
        ValueRef::Bool(truth) => Value::Int(i64::from(truth)),
        _ => return None,
    })
}

fn bits(labels: &[String], text: &str) -> Option<u64> {
    if text.is_empty() {
        return Some(0);
    }
    text.split(',').try_fold(0, |bits, chosen| Some(bits | 1 << labels.iter().position(|label| label == chosen)?))
}

fn collation(declared: &str) -> Option<&str> {
    declared.rsplit_once(" COLLATE ").map(|(_, collation)| collation)
}

pub(super) fn day(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year, date.month, date.day)
}

pub(super) fn moment(date: Date, nanos: i64) -> String {
    format!("{} {}", day(date), clock(nanos.unsigned_abs()))
}

/// `hhh:mm:ss.micros`.
pub(super) fn clock(nanos: u64) -> String {
    let (micros, seconds) = (nanos / 1_000 % 1_000_000, nanos / 1_000_000_000);
    let mut text = String::new();
    write!(text, "{:02}:{:02}:{:02}.{micros:06}", seconds / 3_600, seconds / 60 % 60, seconds % 60).expect("a string");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Decimal;

    fn of(declared: &str, value: ValueRef<'_>) -> Option<(String, String)> {
        let (expression, value) = bound(declared, &Native::of(declared).unwrap(), value)?;
        Some((expression, value.as_sql(true).trim_matches('\'').to_owned()))
    }

    #[test]
    fn each_is_compared_as_its_column() {
        let told = |expression: &str, value: &str| Some((expression.to_owned(), value.to_owned()));
        let decimal = ValueRef::Decimal(Decimal("1.50"));
        assert_eq!(of("decimal(10,2)", decimal), told("CAST(? AS DECIMAL(10,2))", "1.50"));
        assert_eq!(of("enum('z','a')", ValueRef::Text("a")), told("?", "2"));
        assert_eq!(of("enum('z','a')", ValueRef::Text("b")), None);
        assert_eq!(of("set('z','a')", ValueRef::Text("z,a")), told("?", "3"));
        let latin = "varchar(3) CHARACTER SET latin1 COLLATE latin1_german2_ci";
        assert_eq!(of(latin, ValueRef::Text("x")), told("CONVERT(? USING latin1) COLLATE latin1_german2_ci", "x"));
        assert_eq!(of("binary(2)", ValueRef::Bytes(&[0, 255])), told("UNHEX(?)", "00ff"));
        assert_eq!(
            of("timestamp", ValueRef::Instant(-1, 0)),
            told("CAST(? AS DATETIME(6))", "1969-12-31 23:59:59.000000")
        );
        let long = ValueRef::Time(-(838 * 3_600 + 59 * 60 + 59) * 1_000_000_000);
        assert_eq!(of("time(6)", long), told("CAST(? AS TIME(6))", "-838:59:59.000000"));
        assert_eq!(of("geometry", ValueRef::Native("geometry", &[0])), None);
    }
}
