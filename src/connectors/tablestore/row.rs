//! Rows of the wire as rows of the engine, and keys both ways.

use super::plainbuffer::{Act, Cell, Corrupt, Row, Value};
use crate::{
    error::{Error, Result},
    model::{self, Column, Field, Key, RowBuilder, Stamp, Table, ValueRef},
};

/// The type of a text that is no UTF-8, which the service takes as it comes.
const STRING: &str = "string";

const US_PER_MS: i64 = 1_000;

pub(super) fn corrupt(corrupt: &Corrupt) -> Error {
    Error::transient(format!("the service's answer cannot be read: {corrupt}"))
}

/// Writes a whole row. A cell that is more than a value makes none.
pub(super) fn write(table: &Table, row: &Row<'_>, slab: &mut Vec<u8>) -> Result<u32> {
    let mut builder = key_of(table, row, slab)?;
    for cell in &row.cells {
        match cell.act().map_err(|problem| corrupt(&problem))? {
            Act::Put(value, written) => builder.cell(put(cell.name, value, written)?),
            act => return Err(corrupt(&Corrupt::new(format!("a row's cell `{}` is {act:?}", cell.name)))),
        };
    }
    Ok(builder.finish())
}

/// Writes what an update says of some cells. `None`: it counts up, and only the row itself tells what came of it.
pub(super) fn write_merge(table: &Table, row: &Row<'_>, slab: &mut Vec<u8>) -> Result<Option<u32>> {
    let start = slab.len();
    let mut builder = key_of(table, row, slab)?;
    for cell in &row.cells {
        let removed = |written: Option<i64>| model::Cell {
            name: cell.name,
            field: Field::Removed,
            stamp: Stamp { written: written.map(|ms| ms.saturating_mul(US_PER_MS)), expires: None },
            one_version: written.is_some(),
        };
        match cell.act().map_err(|problem| corrupt(&problem))? {
            Act::Put(value, written) => builder.cell(put(cell.name, value, written)?),
            Act::DeleteAll => builder.cell(removed(None)),
            Act::DeleteOne(ms) => builder.cell(removed(Some(ms))),
            Act::Increment(_) => {
                slab.truncate(start);
                return Ok(None);
            }
        };
    }
    Ok(Some(builder.finish()))
}

/// Writes the key alone.
pub(super) fn write_key(table: &Table, row: &Row<'_>, slab: &mut Vec<u8>) -> Result<u32> {
    Ok(key_of(table, row, slab)?.finish())
}

fn key_of<'s>(table: &Table, row: &Row<'_>, slab: &'s mut Vec<u8>) -> Result<RowBuilder<'s>> {
    let same = row.key.len() == table.columns.len()
        && row.key.iter().zip(&table.columns).all(|(cell, column)| cell.name == column.name);
    if !same {
        let names: Vec<&str> = row.key.iter().map(|cell| cell.name).collect();
        let what = format!("a row of {} has the key ({})", table.name, names.join(", "));
        return Err(corrupt(&Corrupt::new(&what)));
    }
    let mut builder = RowBuilder::new(slab);
    for cell in &row.key {
        let value = cell.value.ok_or_else(|| corrupt(&Corrupt::new("a key's column has no value")))?;
        builder.value(value_of(value)?);
    }
    Ok(builder)
}

fn put<'a>(name: &'a str, value: Value<'a>, written_ms: Option<i64>) -> Result<model::Cell<'a>> {
    let stamp = Stamp { written: written_ms.map(|ms| ms.saturating_mul(US_PER_MS)), expires: None };
    Ok(model::Cell { name, field: Field::Value(value_of(value)?), stamp, one_version: false })
}

fn value_of(value: Value<'_>) -> Result<ValueRef<'_>> {
    Ok(match value {
        Value::Integer(number) => ValueRef::Int(number),
        Value::Double(number) => ValueRef::Float64(number),
        Value::Boolean(truth) => ValueRef::Bool(truth),
        Value::String(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => ValueRef::Text(text),
            Err(_) => ValueRef::Native(STRING, bytes),
        },
        Value::Blob(bytes) => ValueRef::Bytes(bytes),
        other => return Err(corrupt(&Corrupt::new(format!("a row holds {other:?}")))),
    })
}

/// A value of the wire as it was; `None`: the service has nothing like it.
pub(super) fn native(value: ValueRef<'_>) -> Option<Value<'_>> {
    Some(match value {
        ValueRef::Bool(truth) => Value::Boolean(truth),
        ValueRef::Int(number) => Value::Integer(number),
        ValueRef::Unsigned(number) => Value::Integer(i64::try_from(number).ok()?),
        ValueRef::Float64(number) => Value::Double(number),
        ValueRef::Text(text) => Value::text(text),
        ValueRef::Bytes(bytes) => Value::Blob(bytes),
        ValueRef::Native(STRING, bytes) => Value::String(bytes),
        _ => return None,
    })
}

/// A key as the service wants it. A field that is NULL, as no key's is, stands for the lowest value: so split points that
/// lack columns are kept.
pub(super) fn wire_key<'k>(columns: &'k [Column], key: &'k Key) -> Result<Vec<Cell<'k>>> {
    let cell = |(column, value): (&'k Column, ValueRef<'k>)| {
        let value = match value {
            ValueRef::Null => Some(Value::InfMin),
            value => native(value),
        };
        let value = value.ok_or_else(|| Error::refused(format!("`{}`: no key holds such a value", column.name)))?;
        Ok(Cell::put(&column.name, value))
    };
    columns.iter().zip(key.values()).map(cell).collect()
}

/// A key of the wire; `None` where a column is above all values.
pub(super) fn model_key(cells: &[Cell<'_>]) -> Result<Option<Key>> {
    let mut values = Vec::with_capacity(cells.len());
    for cell in cells {
        match cell.value {
            Some(Value::InfMin) => values.push(ValueRef::Null),
            Some(Value::InfMax) => return Ok(None),
            Some(value) => values.push(value_of(value)?),
            None => return Err(corrupt(&Corrupt::new("a key's column has no value"))),
        }
    }
    Ok(Some(Key::from_values(values)))
}

/// The order of keys in the service: numbers by value, texts and blobs by their bytes.
pub(super) fn compare(a: &[Cell<'_>], b: &[Cell<'_>]) -> std::cmp::Ordering {
    let rank = |value: Option<Value<'_>>| match value {
        Some(Value::InfMin) | None => 0,
        Some(Value::InfMax) => 2,
        Some(_) => 1,
    };
    let one = |(a, b): (&Cell<'_>, &Cell<'_>)| match (a.value, b.value) {
        (Some(Value::Integer(a)), Some(Value::Integer(b))) => a.cmp(&b),
        (Some(Value::String(a) | Value::Blob(a)), Some(Value::String(b) | Value::Blob(b))) => a.cmp(b),
        (a, b) => rank(a).cmp(&rank(b)),
    };
    a.iter().zip(b).map(one).find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
}
