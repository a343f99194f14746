//! Rows of the engine as writes of the service.

use super::{
    change::Change,
    messages::row::Existence,
    plainbuffer::{Cell, Value},
    row::native,
};
use crate::{
    error::{Error, Result},
    model::{self, Field, Mutation, Rows, Table, Type, ValueRef, spell},
};
use std::borrow::Cow;

/// A value that is the engine's bytes, or a text made of it.
enum Held<'a> {
    Native(Value<'a>),
    Text(String),
    Bytes(Cow<'a, [u8]>),
}

struct HeldCell<'a> {
    name: &'a str,
    /// `None`: removed.
    value: Option<Held<'a>>,
    written_ms: Option<i64>,
    one_version: bool,
}

/// One row on its way out. It lends itself to a [`Change`].
pub(super) struct Draft<'a> {
    key: Vec<(&'a str, Held<'a>)>,
    cells: Vec<HeldCell<'a>>,
}

impl<'a> Draft<'a> {
    /// `times`: cells keep the times at which the source has written them. `whole`: what is NULL is not there; else it is
    /// removed.
    pub fn of(table: &'a Table, rows: &'a Rows, mutation: &Mutation, times: bool, whole: bool) -> Result<Draft<'a>> {
        let row = rows.row(mutation.row);
        let (mut key, mut cells) = (Vec::with_capacity(table.key.len()), Vec::new());
        for (index, (column, field)) in table.columns.iter().zip(row.fields()).enumerate() {
            if table.key.contains(&index) {
                let value = field.value().ok_or_else(|| Error::config("a row without its key reached the target"))?;
                key.push((index, column.name.as_str(), key_value(column.kind, value, &column.name)?));
                continue;
            }
            if column.generated && matches!(field, Field::Unset) {
                continue;
            }
            let value = match field {
                Field::Unset => continue,
                Field::Removed | Field::Value(ValueRef::Null) if whole => continue,
                Field::Removed | Field::Value(ValueRef::Null) => None,
                Field::Value(value) => Some(held(value, &column.name)?),
            };
            cells.push(HeldCell { name: &column.name, value, written_ms: None, one_version: false });
        }
        for model::Cell { name, field, stamp, one_version } in row.cells() {
            let value = match field {
                Field::Value(value) => Some(held(value, name)?),
                Field::Removed | Field::Unset => None,
            };
            let written_ms = stamp.written.filter(|_| times || one_version).map(|micros| micros.div_euclid(1_000));
            if !times && value.is_some() && cells.iter().any(|cell| cell.name == name && cell.value.is_some()) {
                continue; // An older version: the newest comes first.
            }
            cells.push(HeldCell { name, value, written_ms, one_version });
        }
        key.sort_by_key(|(index, ..)| table.key.iter().position(|column| column == index));
        Ok(Draft { key: key.into_iter().map(|(_, name, value)| (name, value)).collect(), cells })
    }

    /// A version is to go, and the times of the target's versions are its own: only the row itself tells which.
    pub fn names_versions(&self) -> bool {
        self.cells.iter().any(|cell| cell.one_version)
    }

    fn wire_key(&self) -> Vec<Cell<'_>> {
        self.key.iter().map(|(name, value)| Cell::put(name, value.wire())).collect()
    }

    pub fn put(&self) -> Change<'_> {
        Change::put(self.wire_key(), self.cells.iter().filter_map(HeldCell::put).collect())
    }

    pub fn update(&self, existence: Existence) -> Change<'_> {
        Change { existence, ..Change::update(self.wire_key(), self.cells.iter().map(HeldCell::act).collect()) }
    }

    pub fn delete(&self) -> Change<'_> {
        Change::delete(self.wire_key())
    }

    pub fn shown_key(&self) -> String {
        let shown: Vec<String> = self.key.iter().map(|(name, value)| format!("{name} = {:?}", value.wire())).collect();
        shown.join(", ")
    }
}

impl HeldCell<'_> {
    fn act(&self) -> Cell<'_> {
        match (self.put(), self.one_version, self.written_ms) {
            (Some(put), ..) => put,
            (None, true, Some(ms)) => Cell::delete_one(self.name, ms),
            _ => Cell::delete_all(self.name),
        }
    }

    fn put(&self) -> Option<Cell<'_>> {
        let value = self.value.as_ref()?.wire();
        Some(match self.written_ms {
            Some(ms) => Cell::put_at(self.name, value, ms),
            None => Cell::put(self.name, value),
        })
    }
}

impl Held<'_> {
    fn wire(&self) -> Value<'_> {
        match self {
            Held::Native(value) => *value,
            Held::Text(text) => Value::text(text),
            Held::Bytes(bytes) => Value::Blob(bytes),
        }
    }
}

fn held<'a>(value: ValueRef<'a>, name: &str) -> Result<Held<'a>> {
    if let Some(value) = native(value) {
        return Ok(Held::Native(value));
    }
    Ok(match value {
        ValueRef::Float32(number) => Held::Native(Value::Double(f64::from(number))),
        ValueRef::Json(text) => Held::Native(Value::text(text)),
        ValueRef::Native("geometry", bytes) => Held::Bytes(Cow::Borrowed(bytes)),
        ValueRef::Native(kind, _) => {
            return Err(Error::refused(format!("`{name}`: Tablestore has nothing like the source's type `{kind}`"))
                .hint("leave the table out, or change the column's type at the source"));
        }
        ValueRef::Unsigned(number) => {
            return Err(Error::refused(format!(
                "`{name}`: {number} does not fit Tablestore's integers, which are signed"
            ))
            .hint("leave the table out, or change the column's type at the source"));
        }
        other => {
            let mut text = String::new();
            spell(other, &mut text);
            Held::Text(text)
        }
    })
}

/// Keys are numbers, texts or blobs; the column of the target's key is made for the source's type.
fn key_value<'a>(kind: Type, value: ValueRef<'a>, name: &str) -> Result<Held<'a>> {
    match (kind, value) {
        (_, ValueRef::Null) => Err(Error::refused(format!("`{name}` of the key is NULL"))),
        (Type::Int | Type::Unsigned | Type::Bool, ValueRef::Bool(truth)) => {
            Ok(Held::Native(Value::Integer(i64::from(truth))))
        }
        (_, ValueRef::Float32(_) | ValueRef::Float64(_)) => {
            Err(Error::refused(format!("`{name}` of the key is a floating-point number, which no Tablestore key is"))
                .hint("leave the table out"))
        }
        (_, value) => match held(value, name)? {
            Held::Native(Value::Boolean(truth)) => Ok(Held::Text(truth.to_string())),
            held => Ok(held),
        },
    }
}
