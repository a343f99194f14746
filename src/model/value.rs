//! Values that lose nothing, borrowed from a slab or owned at the edges.

use super::encoding;
use std::fmt;

/// A calendar date. Parts may be zero (MySQL), the year may be negative (BC: year 0 is 1 BC) or one of the infinities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date {
    pub year: i32,
    pub month: u8,
    pub day: u8,
}

impl Date {
    pub const INFINITY: Date = Date { year: i32::MAX, month: 0, day: 0 };
    pub const NEGATIVE_INFINITY: Date = Date { year: i32::MIN, month: 0, day: 0 };
}

/// A span as PostgreSQL keeps it: months, days and nanoseconds are not convertible into each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub nanos: i64,
}

/// A decimal as its text, with its scale: `12.50`, `-0.001`, `NaN`, `Infinity`, `-Infinity`. Any length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal<'a>(pub &'a str);

/// Values one after the other, in the canonical encoding. A map is a list of keys and values in turn.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct List<'a> {
    pub(super) count: u32,
    pub(super) bytes: &'a [u8],
}

impl<'a> List<'a> {
    pub fn len(&self) -> usize {
        self.count as usize
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = ValueRef<'a>> + use<'a> {
        let mut rest = self.bytes;
        (0..self.count).map(move |_| encoding::read_value(&mut rest))
    }
}

impl fmt::Debug for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// One value, borrowed. The variants are the canonical kinds; their numbers on disk are in `encoding.rs`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Unsigned(u64),
    Float32(f32),
    Float64(f64),
    Decimal(Decimal<'a>),
    /// Valid UTF-8; text that is not travels as `Native`.
    Text(&'a str),
    Bytes(&'a [u8]),
    Date(Date),
    /// Time of day or duration in nanoseconds, signed, may exceed 24 h.
    Time(i64),
    /// Without zone: a date (parts may be zero) and nanoseconds of the day.
    DateTime(Date, i64),
    /// An instant: seconds since 1970 in UTC and nanoseconds; `i64::MAX` and `i64::MIN` seconds are the infinities.
    Instant(i64, u32),
    Interval(Interval),
    Uuid([u8; 16]),
    /// Verbatim text.
    Json(&'a str),
    List(List<'a>),
    Map(List<'a>),
    /// What only equal kinds of store understand: the type's name and its bytes.
    Native(&'a str, &'a [u8]),
}

/// One value, owned. For tests, mapping and the edges; rows in flight are bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Unsigned(u64),
    Float32(f32),
    Float64(f64),
    Decimal(String),
    Text(String),
    Bytes(Vec<u8>),
    Date(Date),
    Time(i64),
    DateTime(Date, i64),
    Instant(i64, u32),
    Interval(Interval),
    Uuid([u8; 16]),
    Json(String),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Native(String, Vec<u8>),
}

impl ValueRef<'_> {
    pub fn to_owned(self) -> Value {
        match self {
            ValueRef::Null => Value::Null,
            ValueRef::Bool(v) => Value::Bool(v),
            ValueRef::Int(v) => Value::Int(v),
            ValueRef::Unsigned(v) => Value::Unsigned(v),
            ValueRef::Float32(v) => Value::Float32(v),
            ValueRef::Float64(v) => Value::Float64(v),
            ValueRef::Decimal(v) => Value::Decimal(v.0.to_owned()),
            ValueRef::Text(v) => Value::Text(v.to_owned()),
            ValueRef::Bytes(v) => Value::Bytes(v.to_owned()),
            ValueRef::Date(v) => Value::Date(v),
            ValueRef::Time(v) => Value::Time(v),
            ValueRef::DateTime(date, nanos) => Value::DateTime(date, nanos),
            ValueRef::Instant(seconds, nanos) => Value::Instant(seconds, nanos),
            ValueRef::Interval(v) => Value::Interval(v),
            ValueRef::Uuid(v) => Value::Uuid(v),
            ValueRef::Json(v) => Value::Json(v.to_owned()),
            ValueRef::List(v) => Value::List(v.iter().map(ValueRef::to_owned).collect()),
            ValueRef::Map(v) => {
                let mut items = v.iter().map(ValueRef::to_owned);
                let mut pairs = Vec::with_capacity(v.len() / 2);
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    pairs.push((key, value));
                }
                Value::Map(pairs)
            }
            ValueRef::Native(kind, bytes) => Value::Native(kind.to_owned(), bytes.to_owned()),
        }
    }
}
