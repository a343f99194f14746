//! A value as a store compares it: numbers by what they count, coarse text without case and padding.

use crate::model::{Column, Equality, RowBuilder, Value, ValueRef};
use std::cmp::Ordering;

/// Totally ordered, unlike `Value`. Equal cells are one key to the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell {
    Null,
    Number(Real, i128, String),
    Text(String),
    /// Everything else by its canonical bytes.
    Other(Vec<u8>),
}

/// The key of a row, or the value of a unique index, as the store compares it.
pub type RowKey = Vec<Cell>;

impl Cell {
    pub(super) fn of(value: ValueRef<'_>, coarse: bool) -> Cell {
        match value {
            ValueRef::Null => Cell::Null,
            ValueRef::Bool(v) => Cell::whole(i128::from(v)),
            ValueRef::Int(v) => Cell::whole(i128::from(v)),
            ValueRef::Unsigned(v) => Cell::whole(i128::from(v)),
            ValueRef::Float32(v) => Cell::real(f64::from(v)),
            ValueRef::Float64(v) => Cell::real(v),
            ValueRef::Decimal(v) => Cell::decimal(v.0),
            ValueRef::Text(v) if coarse => Cell::Text(v.trim_end_matches(' ').to_lowercase()),
            ValueRef::Text(v) => Cell::Text(v.to_owned()),
            other => {
                let mut bytes = Vec::new();
                RowBuilder::new(&mut bytes).value(other);
                Cell::Other(bytes)
            }
        }
    }

    pub(super) fn owned(value: &Value, coarse: bool) -> Cell {
        let mut slab = Vec::new();
        let mut row = RowBuilder::new(&mut slab);
        row.owned(value);
        let place = row.finish();
        let row = crate::model::RowRef::new(&slab, place);
        Cell::of(row.get(0).value().unwrap_or(ValueRef::Null), coarse)
    }

    pub(super) fn whole(value: i128) -> Cell {
        Cell::Number(Real(value as f64), value, String::new())
    }

    fn real(value: f64) -> Cell {
        let value = if value == 0.0 { 0.0 } else { value };
        let whole = if value.fract() == 0.0 { value as i128 } else { 0 };
        Cell::Number(Real(value), whole, String::new())
    }

    fn decimal(text: &str) -> Cell {
        let plain = match text.split_once('.') {
            Some((whole, fraction)) if fraction.bytes().all(|b| b == b'0') => whole,
            Some(_) => text.trim_end_matches('0'),
            None => text,
        };
        match plain.parse::<i128>() {
            Ok(whole) => Cell::whole(whole),
            // More digits than a float tells apart: the text decides.
            Err(_) if plain.len() > 15 => Cell::Number(Real(plain.parse().unwrap_or(f64::NAN)), 0, plain.to_owned()),
            Err(_) => Cell::real(plain.parse().unwrap_or(f64::NAN)),
        }
    }
}

/// A float in total order.
#[derive(Clone, Copy, Debug)]
pub struct Real(f64);

impl Ord for Real {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Real {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Real {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Real {}

impl std::hash::Hash for Real {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// Whether a column compares without case in a store that takes all text so, or only what its shape says.
pub(super) fn is_coarse(column: &Column, store: Option<bool>) -> bool {
    store.unwrap_or(column.equality == Equality::Coarse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_where_a_store_would_say_so() {
        let exact = |value: &Value| Cell::owned(value, false);
        assert_eq!(exact(&Value::Int(1)), exact(&Value::Float64(1.0)));
        assert_eq!(exact(&Value::Int(1)), exact(&Value::Decimal("1.00".into())));
        assert_ne!(exact(&Value::Int(i64::MAX)), exact(&Value::Int(i64::MAX - 1)));
        assert!(exact(&Value::Int(-2)) < exact(&Value::Unsigned(1)));
        assert_ne!(exact(&Value::Text("a".into())), exact(&Value::Text("A".into())));
        assert_eq!(Cell::owned(&Value::Text("a ".into()), true), Cell::owned(&Value::Text("A".into()), true));
    }
}
