//! Turns rows of the binary protocol into rows of a slab.

use super::{types::Native, values};
use crate::{
    error::{Error, Result},
    model::{Date, Place, RowBuilder, Table, ValueRef},
};
use mysql_async::{Row, Value};

/// A whole row: `natives` are those of the table's columns, in order.
pub(super) fn row(row: &Row, table: &Table, natives: &[Native], slab: &mut Vec<u8>) -> Result<Place> {
    let mut builder = RowBuilder::new(slab);
    for (at, native) in natives.iter().enumerate() {
        value(&mut builder, row.as_ref(at), native).ok_or_else(|| strange(table, at, row))?;
    }
    Ok(builder.finish())
}

/// A row of which the query has the key's columns only, in key order.
pub(super) fn key_row(row: &Row, table: &Table, natives: &[Native], slab: &mut Vec<u8>) -> Result<Place> {
    let mut builder = RowBuilder::new(slab);
    for (column, native) in natives.iter().enumerate() {
        match table.key.iter().position(|key| *key == column) {
            Some(at) => value(&mut builder, row.as_ref(at), native).ok_or_else(|| strange(table, column, row))?,
            None => {
                builder.unset();
            }
        }
    }
    Ok(builder.finish())
}

/// How a column is asked for, so that `row` can read the answer: labels by their number, since the text of one that is
/// not there is that of an empty one.
pub(super) fn expression(name: &str, native: &Native) -> String {
    match native {
        Native::Enum(_) | Native::Set(_) => format!("CAST({name} AS UNSIGNED)"),
        _ => name.to_owned(),
    }
}

/// `None`: a value of another kind than its column.
fn value(row: &mut RowBuilder<'_>, value: Option<&Value>, native: &Native) -> Option<()> {
    let value = value?;
    if *value == Value::NULL {
        row.value(ValueRef::Null);
        return Some(());
    }
    match (native, value) {
        (Native::Int(_) | Native::Year, _) => drop(row.value(ValueRef::Int(signed(value)?))),
        (Native::Unsigned(_), _) => drop(row.value(ValueRef::Unsigned(unsigned(value)?))),
        (Native::Bit(_), Value::Bytes(bytes)) => drop(row.value(ValueRef::Unsigned(big_endian(bytes)?))),
        (Native::Decimal { .. }, Value::Bytes(bytes)) => values::decimal(row, std::str::from_utf8(bytes).ok()?),
        (Native::Float, Value::Float(number)) => drop(row.value(ValueRef::Float32(*number))),
        (Native::Double, Value::Double(number)) => drop(row.value(ValueRef::Float64(*number))),
        (Native::Date, Value::Date(year, month, day, ..)) => drop(row.value(ValueRef::Date(date(*year, *month, *day)))),
        (Native::DateTime(_), Value::Date(year, month, day, hour, minute, second, micros)) => {
            let nanos = values::nanos(u64::from(*hour), *minute, *second, *micros);
            row.value(ValueRef::DateTime(date(*year, *month, *day), nanos));
        }
        (Native::Timestamp(_), Value::Date(year, month, day, hour, minute, second, micros)) => {
            values::instant(row, date(*year, *month, *day), values::nanos(u64::from(*hour), *minute, *second, *micros));
        }
        (Native::Time(_), Value::Time(negative, days, hours, minutes, seconds, micros)) => {
            let nanos = values::nanos(u64::from(*days) * 24 + u64::from(*hours), *minutes, *seconds, *micros);
            row.value(ValueRef::Time(if *negative { -nanos } else { nanos }));
        }
        (Native::Text(charset), Value::Bytes(bytes)) => values::text(row, charset, bytes),
        (Native::Bytes { .. }, Value::Bytes(bytes)) => drop(row.value(ValueRef::Bytes(bytes))),
        (Native::Enum(labels), _) => values::label(row, labels, unsigned(value)?)?,
        (Native::Set(labels), _) => values::label_set(row, labels, unsigned(value)?)?,
        (Native::Json, Value::Bytes(bytes)) => drop(row.value(ValueRef::Json(std::str::from_utf8(bytes).ok()?))),
        (Native::Geometry, Value::Bytes(bytes)) => drop(row.value(ValueRef::Native("geometry", bytes))),
        (Native::Vector, Value::Bytes(bytes)) => drop(row.value(ValueRef::Native("vector", bytes))),
        (Native::Uuid, Value::Bytes(bytes)) => {
            let uuid = uuid::Uuid::try_parse_ascii(bytes).ok()?;
            row.value(ValueRef::Uuid(uuid.into_bytes()));
        }
        (Native::Inet6 | Native::Inet4, Value::Bytes(bytes)) => {
            row.value(ValueRef::Text(std::str::from_utf8(bytes).ok()?));
        }
        _ => return None,
    }
    Some(())
}

fn date(year: u16, month: u8, day: u8) -> Date {
    Date { year: i32::from(year), month, day }
}

fn signed(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::UInt(number) => i64::try_from(*number).ok(),
        _ => None,
    }
}

fn unsigned(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::UInt(number) => Some(*number),
        _ => None,
    }
}

fn big_endian(bytes: &[u8]) -> Option<u64> {
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn strange(table: &Table, column: usize, row: &Row) -> Error {
    let column = &table.columns[column];
    let found = row.columns_ref().iter().find(|found| found.name_str() == column.name.as_str());
    let found = found.map_or_else(|| "another kind".to_owned(), |found| format!("{:?}", found.column_type()));
    Error::transient(format!("column `{}` is declared `{}`, but came as {found}", column.name, column.declared)).hint(
        "the table may have been altered this very moment; if it stays, please report it with `SHOW CREATE TABLE`",
    )
}
