//! The one encoding of values: memory, spool, archive, digest and lane hash all use these bytes.
//!
//! ```text
//! field = state u8, payload                        0 unset, 1 null, 2 removed, 16.. a value of that kind
//! ```
//! Kinds and payloads: 16 bool u8 · 17 int i64 · 18 unsigned u64 · 19 float32 · 20 float64 · 21 decimal text ·
//! 22 text · 23 bytes · 24 date i32 u8 u8 · 25 time i64 ns · 26 datetime date, i64 ns · 27 instant i64 s, u32 ns ·
//! 28 interval i32 i32 i64 · 29 uuid 16 bytes · 30 json text · 31 list u32 count, u32 length, values · 32 map, as list ·
//! 33 native text type, bytes. Text and bytes are u32 length and bytes; integers are little-endian.

use super::value::{Date, Decimal, Interval, List, Value, ValueRef};

pub(super) const UNSET: u8 = 0;
pub(super) const NULL: u8 = 1;
pub(super) const REMOVED: u8 = 2;
const BOOL: u8 = 16;
const INT: u8 = 17;
const UNSIGNED: u8 = 18;
const FLOAT32: u8 = 19;
const FLOAT64: u8 = 20;
const DECIMAL: u8 = 21;
pub(super) const TEXT: u8 = 22;
pub(super) const BYTES: u8 = 23;
const DATE: u8 = 24;
const TIME: u8 = 25;
const DATETIME: u8 = 26;
const INSTANT: u8 = 27;
const INTERVAL: u8 = 28;
const UUID: u8 = 29;
const JSON: u8 = 30;
const LIST: u8 = 31;
const MAP: u8 = 32;
const NATIVE: u8 = 33;

fn blob(slab: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("max_row_bytes keeps values below 4 GiB");
    slab.extend_from_slice(&length.to_le_bytes());
    slab.extend_from_slice(bytes);
}

#[inline(always)]
pub(super) fn write_value(slab: &mut Vec<u8>, value: ValueRef<'_>) {
    // One growth of the slab a value: this is the hottest code of a copy.
    #[inline]
    fn fixed<const N: usize>(slab: &mut Vec<u8>, kind: u8, bytes: [u8; N]) {
        slab.reserve(1 + N);
        slab.push(kind);
        slab.extend_from_slice(&bytes);
    }
    #[inline]
    fn sized(slab: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).expect("max_row_bytes keeps values below 4 GiB");
        let mut head = [kind; 5];
        head[1..].copy_from_slice(&length.to_le_bytes());
        slab.reserve(5 + bytes.len());
        slab.extend_from_slice(&head);
        slab.extend_from_slice(bytes);
    }
    fn list(slab: &mut Vec<u8>, kind: u8, list: List<'_>) {
        slab.push(kind);
        slab.extend_from_slice(&list.count.to_le_bytes());
        blob(slab, list.bytes);
    }
    match value {
        ValueRef::Null => slab.push(NULL),
        ValueRef::Bool(v) => fixed(slab, BOOL, [u8::from(v)]),
        ValueRef::Int(v) => fixed(slab, INT, v.to_le_bytes()),
        ValueRef::Unsigned(v) => fixed(slab, UNSIGNED, v.to_le_bytes()),
        ValueRef::Float32(v) => fixed(slab, FLOAT32, v.to_le_bytes()),
        ValueRef::Float64(v) => fixed(slab, FLOAT64, v.to_le_bytes()),
        ValueRef::Decimal(v) => sized(slab, DECIMAL, v.0.as_bytes()),
        ValueRef::Text(v) => sized(slab, TEXT, v.as_bytes()),
        ValueRef::Bytes(v) => sized(slab, BYTES, v),
        ValueRef::Date(v) => {
            slab.push(DATE);
            date(slab, v);
        }
        ValueRef::Time(v) => fixed(slab, TIME, v.to_le_bytes()),
        ValueRef::DateTime(v, nanos) => {
            slab.push(DATETIME);
            date(slab, v);
            slab.extend_from_slice(&nanos.to_le_bytes());
        }
        ValueRef::Instant(seconds, nanos) => {
            fixed(slab, INSTANT, seconds.to_le_bytes());
            slab.extend_from_slice(&nanos.to_le_bytes());
        }
        ValueRef::Interval(v) => {
            fixed(slab, INTERVAL, v.months.to_le_bytes());
            slab.extend_from_slice(&v.days.to_le_bytes());
            slab.extend_from_slice(&v.nanos.to_le_bytes());
        }
        ValueRef::Uuid(v) => fixed(slab, UUID, v),
        ValueRef::Json(v) => sized(slab, JSON, v.as_bytes()),
        ValueRef::List(v) => list(slab, LIST, v),
        ValueRef::Map(v) => list(slab, MAP, v),
        ValueRef::Native(kind, bytes) => {
            sized(slab, NATIVE, kind.as_bytes());
            blob(slab, bytes);
        }
    }
}

pub(super) fn write_owned(slab: &mut Vec<u8>, value: &Value) {
    let items = |count: usize, items: &mut dyn Iterator<Item = &Value>| {
        let mut bytes = Vec::new();
        items.for_each(|item| write_owned(&mut bytes, item));
        (u32::try_from(count).expect("a list fits its row"), bytes)
    };
    match value {
        Value::Null => write_value(slab, ValueRef::Null),
        Value::Bool(v) => write_value(slab, ValueRef::Bool(*v)),
        Value::Int(v) => write_value(slab, ValueRef::Int(*v)),
        Value::Unsigned(v) => write_value(slab, ValueRef::Unsigned(*v)),
        Value::Float32(v) => write_value(slab, ValueRef::Float32(*v)),
        Value::Float64(v) => write_value(slab, ValueRef::Float64(*v)),
        Value::Decimal(v) => write_value(slab, ValueRef::Decimal(Decimal(v))),
        Value::Text(v) => write_value(slab, ValueRef::Text(v)),
        Value::Bytes(v) => write_value(slab, ValueRef::Bytes(v)),
        Value::Date(v) => write_value(slab, ValueRef::Date(*v)),
        Value::Time(v) => write_value(slab, ValueRef::Time(*v)),
        Value::DateTime(date, nanos) => write_value(slab, ValueRef::DateTime(*date, *nanos)),
        Value::Instant(seconds, nanos) => write_value(slab, ValueRef::Instant(*seconds, *nanos)),
        Value::Interval(v) => write_value(slab, ValueRef::Interval(*v)),
        Value::Uuid(v) => write_value(slab, ValueRef::Uuid(*v)),
        Value::Json(v) => write_value(slab, ValueRef::Json(v)),
        Value::Native(kind, bytes) => write_value(slab, ValueRef::Native(kind, bytes)),
        Value::List(v) => {
            let (count, bytes) = items(v.len(), &mut v.iter());
            write_value(slab, ValueRef::List(List { count, bytes: &bytes }));
        }
        Value::Map(v) => {
            let (count, bytes) = items(v.len() * 2, &mut v.iter().flat_map(|(key, value)| [key, value]));
            write_value(slab, ValueRef::Map(List { count, bytes: &bytes }));
        }
    }
}

fn date(slab: &mut Vec<u8>, date: Date) {
    slab.extend_from_slice(&date.year.to_le_bytes());
    slab.extend_from_slice(&[date.month, date.day]);
}

#[inline]
fn take<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (head, tail) = rest.split_at(length);
    *rest = tail;
    head
}

#[inline]
fn array<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    take(rest, N).try_into().expect("take gave N bytes")
}

#[inline]
fn take_blob<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let length = u32::from_le_bytes(array(rest)) as usize;
    take(rest, length)
}

#[inline]
fn take_text<'a>(rest: &mut &'a [u8]) -> &'a str {
    // SAFETY: rows are written by `RowBuilder` from `&str`, by `reserve_bytes` whose callers check what they read,
    // or have passed `RowRef::checked`; a second UTF-8 pass over every value would cost a third of the row path.
    unsafe { std::str::from_utf8_unchecked(take_blob(rest)) }
}

fn take_date(rest: &mut &[u8]) -> Date {
    Date { year: i32::from_le_bytes(array(rest)), month: array::<1>(rest)[0], day: array::<1>(rest)[0] }
}

fn take_list<'a>(rest: &mut &'a [u8]) -> List<'a> {
    let count = u32::from_le_bytes(array(rest));
    List { count, bytes: take_blob(rest) }
}

/// Reads one value (not an unset or removed field) and moves past it.
#[inline(always)]
pub(super) fn read_value<'a>(rest: &mut &'a [u8]) -> ValueRef<'a> {
    match take(rest, 1)[0] {
        NULL => ValueRef::Null,
        BOOL => ValueRef::Bool(array::<1>(rest)[0] != 0),
        INT => ValueRef::Int(i64::from_le_bytes(array(rest))),
        UNSIGNED => ValueRef::Unsigned(u64::from_le_bytes(array(rest))),
        FLOAT32 => ValueRef::Float32(f32::from_le_bytes(array(rest))),
        FLOAT64 => ValueRef::Float64(f64::from_le_bytes(array(rest))),
        DECIMAL => ValueRef::Decimal(Decimal(take_text(rest))),
        TEXT => ValueRef::Text(take_text(rest)),
        BYTES => ValueRef::Bytes(take_blob(rest)),
        DATE => ValueRef::Date(take_date(rest)),
        TIME => ValueRef::Time(i64::from_le_bytes(array(rest))),
        DATETIME => {
            let date = take_date(rest);
            ValueRef::DateTime(date, i64::from_le_bytes(array(rest)))
        }
        INSTANT => {
            let seconds = i64::from_le_bytes(array(rest));
            ValueRef::Instant(seconds, u32::from_le_bytes(array(rest)))
        }
        INTERVAL => {
            let months = i32::from_le_bytes(array(rest));
            let days = i32::from_le_bytes(array(rest));
            ValueRef::Interval(Interval { months, days, nanos: i64::from_le_bytes(array(rest)) })
        }
        UUID => ValueRef::Uuid(array(rest)),
        JSON => ValueRef::Json(take_text(rest)),
        LIST => ValueRef::List(take_list(rest)),
        MAP => ValueRef::Map(take_list(rest)),
        NATIVE => {
            let kind = take_text(rest);
            ValueRef::Native(kind, take_blob(rest))
        }
        kind => unreachable!("row of another version: kind {kind}"),
    }
}

/// Bytes of the first field of `rest`, its state byte included.
pub(super) fn field_length(rest: &[u8]) -> usize {
    let sized = |at: usize| 4 + u32::from_le_bytes(rest[at..at + 4].try_into().expect("four bytes")) as usize;
    1 + match rest[0] {
        UNSET | NULL | REMOVED => 0,
        BOOL => 1,
        FLOAT32 => 4,
        INT | UNSIGNED | FLOAT64 | TIME => 8,
        DATE => 6,
        DATETIME => 14,
        INSTANT => 12,
        INTERVAL | UUID => 16,
        DECIMAL | TEXT | BYTES | JSON => sized(1),
        LIST | MAP => 4 + sized(5),
        NATIVE => {
            let kind = sized(1);
            kind + sized(1 + kind)
        }
        kind => unreachable!("row of another version: kind {kind}"),
    }
}

/// `field_length` for bytes from outside: `None` where they are not a field of this version.
pub(super) fn checked_field(rest: &[u8], depth: u8) -> Option<usize> {
    const DEEPEST_LIST: u8 = 32;
    let blob_at = |at: usize| {
        let length = u32::from_le_bytes(rest.get(at..at + 4)?.try_into().ok()?) as usize;
        Some((rest.get(at + 4..(at + 4).checked_add(length)?)?, at + 4 + length))
    };
    let text_at = |at: usize| blob_at(at).filter(|(bytes, _)| std::str::from_utf8(bytes).is_ok());
    match *rest.first()? {
        DECIMAL | TEXT | JSON => text_at(1).map(|(_, end)| end),
        BYTES => blob_at(1).map(|(_, end)| end),
        NATIVE => blob_at(text_at(1)?.1).map(|(_, end)| end),
        LIST | MAP if depth < DEEPEST_LIST => {
            let count = u32::from_le_bytes(rest.get(1..5)?.try_into().ok()?);
            let (mut items, end) = blob_at(5)?;
            for _ in 0..count {
                let length = checked_field(items, depth + 1)?;
                if matches!(items[0], UNSET | REMOVED) {
                    return None;
                }
                items = &items[length..];
            }
            items.is_empty().then_some(end)
        }
        UNSET | NULL | REMOVED | BOOL..=FLOAT64 | DATE..=UUID => {
            let length = field_length(rest);
            (length <= rest.len()).then_some(length)
        }
        _ => None,
    }
}
