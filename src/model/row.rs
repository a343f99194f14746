//! The one row encoding: memory, spool, archive, digest and lane hash all use these bytes.
//!
//! ```text
//! row   = header u8, fields u16, field*            integers are little-endian
//! header: high four bits the version (1), bit 0 per-field write times follow, bit 1 named fields follow
//!         (both reserved: refused until the first wide-column store)
//! field = state u8, payload                        0 unset, 1 null, 2 removed, 16.. a value of that kind
//! ```
//! Kinds and payloads: 16 bool u8 · 17 int i64 · 18 unsigned u64 · 19 float32 · 20 float64 · 21 decimal text ·
//! 22 text · 23 bytes · 24 date i32 u8 u8 · 25 time i64 ns · 26 datetime date, i64 ns · 27 instant i64 s, u32 ns ·
//! 28 interval i32 i32 i64 · 29 uuid 16 bytes · 30 json text · 31 list u32 count, u32 length, values · 32 map, as list ·
//! 33 native text type, bytes. Text and bytes are u32 length and bytes. `tests/data/golden` guards all of it.

use super::value::{Date, Decimal, Interval, List, Value, ValueRef};

pub const ENCODING_VERSION: u8 = 1;

const UNSET: u8 = 0;
const NULL: u8 = 1;
const REMOVED: u8 = 2;
const BOOL: u8 = 16;
const INT: u8 = 17;
const UNSIGNED: u8 = 18;
const FLOAT32: u8 = 19;
const FLOAT64: u8 = 20;
const DECIMAL: u8 = 21;
const TEXT: u8 = 22;
const BYTES: u8 = 23;
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

const HEADER: usize = 3;

/// What a row says of one column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Field<'a> {
    /// Nothing: the source did not say. Never written as NULL.
    Unset,
    /// The field no longer exists (schema-free stores).
    Removed,
    /// A value, `ValueRef::Null` included.
    Value(ValueRef<'a>),
}

impl<'a> Field<'a> {
    /// The value, if the row gives one.
    pub fn value(self) -> Option<ValueRef<'a>> {
        match self {
            Field::Value(value) => Some(value),
            Field::Unset | Field::Removed => None,
        }
    }
}

/// Writes one row to the end of a slab. Fields come in the order of the shape's columns.
pub struct RowBuilder<'s> {
    slab: &'s mut Vec<u8>,
    start: usize,
    fields: u16,
}

impl<'s> RowBuilder<'s> {
    pub fn new(slab: &'s mut Vec<u8>) -> Self {
        let start = slab.len();
        slab.extend_from_slice(&[ENCODING_VERSION << 4, 0, 0]);
        RowBuilder { slab, start, fields: 0 }
    }

    pub fn unset(&mut self) -> &mut Self {
        self.state(UNSET)
    }

    pub fn removed(&mut self) -> &mut Self {
        self.state(REMOVED)
    }

    pub fn value(&mut self, value: ValueRef<'_>) -> &mut Self {
        self.fields += 1;
        write_value(self.slab, value);
        self
    }

    /// An owned value: tests and mapping.
    pub fn owned(&mut self, value: &Value) -> &mut Self {
        self.fields += 1;
        write_owned(self.slab, value);
        self
    }

    pub fn field(&mut self, field: Field<'_>) -> &mut Self {
        match field {
            Field::Unset => self.unset(),
            Field::Removed => self.removed(),
            Field::Value(value) => self.value(value),
        }
    }

    /// Copies the remaining bytes of one encoded field without looking inside.
    pub fn raw(&mut self, field: &[u8]) -> &mut Self {
        self.fields += 1;
        self.slab.extend_from_slice(field);
        self
    }

    /// Room for a text or bytes value of `length` that the caller fills, for large values read in pieces.
    pub fn reserve_bytes(&mut self, text: bool, length: u32) -> &mut [u8] {
        self.fields += 1;
        self.slab.push(if text { TEXT } else { BYTES });
        self.slab.extend_from_slice(&length.to_le_bytes());
        let start = self.slab.len();
        self.slab.resize(start + length as usize, 0);
        &mut self.slab[start..]
    }

    /// The row's place in the slab.
    ///
    /// # Panics
    /// If the slab has outgrown 4 GiB; batches are cut three orders of magnitude below that.
    pub fn finish(self) -> u32 {
        self.slab[self.start + 1..self.start + HEADER].copy_from_slice(&self.fields.to_le_bytes());
        u32::try_from(self.start).expect("a slab stays below 4 GiB")
    }

    fn state(&mut self, state: u8) -> &mut Self {
        self.fields += 1;
        self.slab.push(state);
        self
    }
}

/// One row in a slab.
#[derive(Clone, Copy)]
pub struct RowRef<'a> {
    bytes: &'a [u8],
}

impl<'a> RowRef<'a> {
    /// The row that starts at `place`. Rows are made by `RowBuilder`; foreign bytes go through [`RowRef::checked`] first.
    pub fn new(slab: &'a [u8], place: u32) -> Self {
        RowRef { bytes: &slab[place as usize..] }
    }

    /// Looks at every byte of a row that comes from outside this process: version, kinds, lengths, UTF-8.
    pub fn checked(bytes: &'a [u8]) -> Option<Self> {
        let header = *bytes.first()?;
        if header != ENCODING_VERSION << 4 {
            return None;
        }
        let fields = u16::from_le_bytes(bytes.get(1..HEADER)?.try_into().ok()?);
        let mut rest = &bytes[HEADER..];
        for _ in 0..fields {
            rest = &rest[checked_field(rest, 0)?..];
        }
        Some(RowRef { bytes: &bytes[..bytes.len() - rest.len()] })
    }

    pub fn len(&self) -> usize {
        usize::from(u16::from_le_bytes([self.bytes[1], self.bytes[2]]))
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All fields in order: the fast way.
    pub fn fields(&self) -> Fields<'a> {
        Fields { rest: &self.bytes[HEADER..], left: self.len() }
    }

    /// Field `index`; walks there. A field past the end is unset.
    pub fn get(&self, index: usize) -> Field<'a> {
        self.fields().nth(index).unwrap_or(Field::Unset)
    }

    /// The encoded bytes of this row alone.
    pub fn bytes(&self) -> &'a [u8] {
        let mut fields = self.fields();
        while fields.skip_field() {}
        &self.bytes[..self.bytes.len() - fields.rest.len()]
    }

    pub fn to_values(&self) -> Vec<Option<Value>> {
        self.fields().map(|field| field.value().map(ValueRef::to_owned)).collect()
    }
}

/// Iterates over a row's fields.
pub struct Fields<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Fields<'a> {
    /// The next field's encoded bytes, not looked at.
    pub fn next_raw(&mut self) -> Option<&'a [u8]> {
        let before = self.rest;
        self.skip_field().then(|| &before[..before.len() - self.rest.len()])
    }

    fn skip_field(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.rest = &self.rest[field_length(self.rest)..];
        true
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        match self.rest[0] {
            UNSET => {
                self.rest = &self.rest[1..];
                Some(Field::Unset)
            }
            REMOVED => {
                self.rest = &self.rest[1..];
                Some(Field::Removed)
            }
            _ => Some(Field::Value(read_value(&mut self.rest))),
        }
    }

    fn nth(&mut self, n: usize) -> Option<Field<'a>> {
        for _ in 0..n {
            if !self.skip_field() {
                return None;
            }
        }
        self.next()
    }
}

fn blob(slab: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("max_row_bytes keeps values below 4 GiB");
    slab.extend_from_slice(&length.to_le_bytes());
    slab.extend_from_slice(bytes);
}

#[inline]
pub(super) fn write_value(slab: &mut Vec<u8>, value: ValueRef<'_>) {
    fn fixed<const N: usize>(slab: &mut Vec<u8>, kind: u8, bytes: [u8; N]) {
        slab.push(kind);
        slab.extend_from_slice(&bytes);
    }
    fn sized(slab: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
        slab.push(kind);
        blob(slab, bytes);
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

fn write_owned(slab: &mut Vec<u8>, value: &Value) {
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
#[inline]
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
fn field_length(rest: &[u8]) -> usize {
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
fn checked_field(rest: &[u8], depth: u8) -> Option<usize> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut slab = vec![9; 7];
        let mut row = RowBuilder::new(&mut slab);
        row.value(ValueRef::Int(-1)).unset().value(ValueRef::Text("é")).removed().value(ValueRef::Null);
        let place = row.finish();
        let row = RowRef::new(&slab, place);
        assert_eq!(row.len(), 5);
        assert_eq!(row.get(0), Field::Value(ValueRef::Int(-1)));
        assert_eq!(row.get(1), Field::Unset);
        assert_eq!(row.get(2), Field::Value(ValueRef::Text("é")));
        assert_eq!(row.get(3), Field::Removed);
        assert_eq!(row.get(4), Field::Value(ValueRef::Null));
        assert_eq!(row.get(5), Field::Unset);
        assert_eq!(row.bytes(), &slab[7..]);
    }

    #[test]
    fn foreign_bytes_are_looked_at_before_they_are_believed() {
        let mut slab = Vec::new();
        RowBuilder::new(&mut slab).value(ValueRef::Text("ab"));
        let mut row = RowBuilder::new(&mut slab);
        row.value(ValueRef::Text("ab"));
        let place = row.finish() as usize;
        let good = slab[place..].to_vec();
        assert!(RowRef::checked(&good).is_some());
        for cut in 0..good.len() {
            assert!(RowRef::checked(&good[..cut]).is_none(), "cut at {cut}");
        }
        let mut bad = good.clone();
        *bad.last_mut().expect("not empty") = 0xff;
        assert!(RowRef::checked(&bad).is_none(), "text that is not UTF-8");
        bad[0] = 2 << 4;
        assert!(RowRef::checked(&bad).is_none(), "another version");
    }
}
