//! Keys, ranges of keys, and the coarse hash that chooses a lane.

use super::{Equality, Field, Position, RowBuilder, RowRef, Table, TableName, ValueRef, position::hex};
use serde::{Deserialize, Serialize};
use std::hash::Hasher;
use xxhash_rust::xxh3::Xxh3;

/// A key: the values of the shape's key columns, in key order, as one encoded row. Equal bytes are equal keys; other
/// bytes may still be the same key to the store where a column's equality is coarse.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key(#[serde(with = "hex")] Vec<u8>);

impl Key {
    /// The key of a row of `table`; `None` if the row does not give all of it, or the table has none.
    pub fn of(table: &Table, row: RowRef<'_>) -> Option<Key> {
        if table.is_keyless() {
            return None;
        }
        let mut slab = Vec::with_capacity(3 + 12 * table.key.len());
        let mut key = RowBuilder::new(&mut slab);
        let first_in_order = table.key.iter().enumerate().all(|(place, &column)| place == column);
        if first_in_order {
            let mut fields = row.fields();
            for _ in &table.key {
                key.value(fields.next()?.value()?);
            }
        } else {
            for &column in &table.key {
                key.value(row.get(column).value()?);
            }
        }
        key.finish();
        Some(Key(slab))
    }

    pub fn from_values<'a>(values: impl IntoIterator<Item = ValueRef<'a>>) -> Key {
        let mut slab = Vec::new();
        let mut key = RowBuilder::new(&mut slab);
        for value in values {
            key.value(value);
        }
        key.finish();
        Key(slab)
    }

    /// Reads what `bytes` gave, looking at every byte.
    pub fn from_bytes(bytes: &[u8]) -> Option<Key> {
        let row = RowRef::checked(bytes)?;
        (row.bytes().len() == bytes.len() && row.fields().all(|field| field.value().is_some()))
            .then(|| Key(bytes.to_vec()))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn row(&self) -> RowRef<'_> {
        RowRef::new(&self.0, 0)
    }

    pub fn values(&self) -> impl Iterator<Item = ValueRef<'_>> {
        self.row().fields().filter_map(Field::value)
    }

    /// Writes a row of `table` with this key's fields set and all others unset.
    pub fn write_row(&self, table: &Table, slab: &mut Vec<u8>) -> u32 {
        let mut row = RowBuilder::new(slab);
        for column in 0..table.columns.len() {
            match table.key.iter().position(|&key| key == column) {
                Some(place) => row.field(self.row().get(place)),
                None => row.unset(),
            };
        }
        row.finish()
    }
}

/// Keys after `after` up to and with `upto`, in the order of the store that split the table. `None` is open: the first
/// range of a table starts below every key, the last ends above every key, also of rows that come later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyRange {
    pub after: Option<Key>,
    pub upto: Option<Key>,
}

impl KeyRange {
    /// The whole table.
    pub fn all() -> KeyRange {
        KeyRange::default()
    }

    /// The position of a copy that has applied this range up to and with `done` (`None`: nothing of it yet).
    /// `generation` tells this copy of the table from earlier ones, whose watermarks may still be there.
    ///
    /// ```text
    /// generation u64 · table text · after · upto · done, each of the four: u32 length, bytes; length 0 for `None`
    /// ```
    /// All integers big-endian.
    pub fn position(&self, generation: u64, table: &TableName, done: Option<&Key>) -> Position {
        let mut point = generation.to_be_bytes().to_vec();
        let key = |key: Option<&Key>| key.map_or(&[][..], Key::bytes).to_vec();
        for part in [table.to_string().into_bytes(), key(self.after.as_ref()), key(self.upto.as_ref()), key(done)] {
            point.extend_from_slice(&u32::try_from(part.len()).expect("a key stays below 4 GiB").to_be_bytes());
            point.extend_from_slice(&part);
        }
        Position::new(&point, 0)
    }

    /// What `position` wrote: generation, table, range, last key applied.
    pub fn from_position(position: &Position) -> Option<(u64, TableName, KeyRange, Option<Key>)> {
        let (generation, mut rest) = position.point().split_first_chunk()?;
        let mut part = || {
            let length = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?) as usize;
            let bytes = rest.get(4..4 + length)?;
            rest = &rest[4 + length..];
            Some(bytes)
        };
        let key = |bytes: &[u8]| match bytes.is_empty() {
            true => Some(None),
            false => Key::from_bytes(bytes).map(Some),
        };
        let table = std::str::from_utf8(part()?).ok()?.parse().ok()?;
        let (after, upto, done) = (key(part()?)?, key(part()?)?, key(part()?)?);
        Some((u64::from_be_bytes(*generation), table, KeyRange { after, upto }, done))
    }
}

/// A hash of a row's key that is the same for all keys which any store may take for equal: numbers by value, coarse
/// text by its ASCII letters and digits without case. `None`: the key cannot be grouped safely (a non-ASCII character
/// under a coarse equality, 'é' may equal 'e'; any text under a tailored one), so the batch runs on one lane.
///
/// `version` is the watermark's `hash_version`; a torn batch is split by the one that split it first.
pub fn coarse_hash(version: u8, table: &Table, row: RowRef<'_>) -> Option<u64> {
    let together = match version {
        COARSE_HASH_VERSION => 1.0,
        BLOCK_HASH_VERSION => BLOCK,
        _ => unreachable!("`open` refuses watermarks of another hash version"),
    };
    let mut hash = Xxh3::new();
    for (place, &column) in table.key.iter().enumerate() {
        // Of whole blocks, in the key's last part.
        let number = |hash: &mut Xxh3, value: f64| match place + 1 == table.key.len() && together > 1.0 {
            true => number(hash, (value / together).floor()),
            false => number(hash, value),
        };
        match row.get(column).value().unwrap_or(ValueRef::Null) {
            ValueRef::Text(text) if table.columns[column].equality == Equality::Coarse => {
                if !text.is_ascii() {
                    return None;
                }
                text.bytes().filter(u8::is_ascii_alphanumeric).for_each(|b| hash.write_u8(b.to_ascii_lowercase()));
                hash.write_u8(0xff);
            }
            _ if table.columns[column].equality.is_coarse() && !is_number(row.get(column)) => return None,
            ValueRef::Bool(v) => number(&mut hash, f64::from(u8::from(v))),
            ValueRef::Int(v) => number(&mut hash, v as f64),
            ValueRef::Unsigned(v) => number(&mut hash, v as f64),
            ValueRef::Float32(v) => number(&mut hash, f64::from(v)),
            ValueRef::Float64(v) => number(&mut hash, v),
            ValueRef::Decimal(v) => number(&mut hash, v.0.parse().unwrap_or(f64::NAN)),
            // The same text as text, bytes or JSON may be one key to a store that converts; so all hash alike.
            ValueRef::Text(v) | ValueRef::Json(v) => {
                hash.write(v.as_bytes());
                hash.write_u8(0xff);
            }
            ValueRef::Bytes(v) => {
                hash.write(v);
                hash.write_u8(0xff);
            }
            ValueRef::Uuid(v) => hash.write(&v),
            // Too rare as keys to be told apart: one group.
            _ => hash.write_u8(0xfe),
        }
    }
    Some(hash.finish())
}

/// The version of `coarse_hash` that tells keys apart.
pub const COARSE_HASH_VERSION: u8 = 1;

/// The version that keeps keys together whose numbers are near: for stores that keep rows in the order of their keys,
/// where lanes that write neighbours wait for one page.
pub const BLOCK_HASH_VERSION: u8 = 2;

/// About the rows of two pages.
const BLOCK: f64 = 128.0;

fn is_number(field: Field<'_>) -> bool {
    use ValueRef::{Bool, Decimal, Float32, Float64, Int, Null, Unsigned};
    matches!(field.value(), Some(Null | Bool(_) | Int(_) | Unsigned(_) | Float32(_) | Float64(_) | Decimal(_)))
}

fn number(hash: &mut Xxh3, value: f64) {
    let value = if value == 0.0 { 0.0 } else { value };
    let value = if value.is_nan() { f64::NAN } else { value };
    hash.write_u64(value.to_bits());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Column, Rows, Type, Value};

    fn hash(equality: Equality, value: Value) -> Option<u64> {
        let mut column = Column::new("k", Type::Any);
        column.equality = equality;
        let table = Table::new(TableName::new("main", "t"), vec![column], vec![0]);
        let mut rows = Rows::default();
        let place = rows.add_row(&[Some(value)]);
        coarse_hash(COARSE_HASH_VERSION, &table, rows.row(place))
    }

    #[test]
    fn keys_that_any_store_takes_for_equal_hash_alike() {
        let exact = |value| hash(Equality::Exact, value);
        let coarse = |value: &str| hash(Equality::Coarse, Value::Text(value.into()));
        assert_eq!(exact(Value::Int(1)), exact(Value::Decimal("1.00".into())));
        assert_eq!(exact(Value::Float64(-0.0)), exact(Value::Int(0)));
        assert_ne!(exact(Value::Text("a".into())), exact(Value::Text("A".into())));
        assert_eq!(coarse("a b"), coarse("AB  "));
        assert_ne!(coarse("a"), coarse("b"));
        assert_eq!(coarse("é"), None);
        assert_eq!(hash(Equality::Tailored, Value::Text("i".into())), None);
        assert_eq!(hash(Equality::Tailored, Value::Int(1)), exact(Value::Int(1)));
    }

    #[test]
    fn blocks_keep_neighbours_and_equal_keys_together() {
        let mut column = Column::new("k", Type::Any);
        column.equality = Equality::Exact;
        let table = Table::new(TableName::new("main", "t"), vec![column.clone(), column], vec![0, 1]);
        let hash = |a: Value, b: Value| {
            let mut rows = Rows::default();
            let place = rows.add_row(&[Some(a), Some(b)]);
            coarse_hash(BLOCK_HASH_VERSION, &table, rows.row(place))
        };
        let pair = |a, b| hash(Value::Int(a), Value::Int(b));
        assert_eq!(pair(1, 128), pair(1, 255));
        assert_eq!(pair(1, 129), hash(Value::Decimal("1.0".into()), Value::Unsigned(129)));
        assert_eq!(pair(1, -1), pair(1, -128));
        assert_ne!(pair(1, 127), pair(1, 128));
        assert_ne!(pair(1, -1), pair(1, 0));
        assert_ne!(pair(1, 0), pair(2, 0));
    }

    #[test]
    fn copy_positions_name_range_and_key() {
        let table = TableName::new("main", "t");
        let key = |n| Key::from_values([ValueRef::Int(n)]);
        let range = KeyRange { after: Some(key(1)), upto: None };
        for done in [None, Some(key(7))] {
            let read = KeyRange::from_position(&range.position(3, &table, done.as_ref()));
            assert_eq!(read, Some((3, table.clone(), range.clone(), done)));
        }
    }
}
