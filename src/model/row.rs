//! One row in a slab: a header, and the fields in the order of the shape's columns.
//!
//! ```text
//! row   = header u8, fields u16, field*, stamps, cells        integers are little-endian
//! header: high four bits the version (1), bit 0 there are stamps, bit 1 there are cells
//! ```
//! What a field is, is in `encoding.rs`, stamps and cells in `cell.rs`. `tests/data/golden` guards all of it.

use super::{
    cell::{Cell, Cells, Stamp},
    encoding::{BYTES, REMOVED, TEXT, UNSET, checked_field, field_length, read_value, write_owned, write_value},
    value::{Value, ValueRef},
};

pub const ENCODING_VERSION: u8 = 1;

const HEADER: usize = 3;
const STAMPS: u8 = 1;
const CELLS: u8 = 2;

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
    /// Where the count of the cells is, once there is one.
    cells: Option<usize>,
}

impl<'s> RowBuilder<'s> {
    pub fn new(slab: &'s mut Vec<u8>) -> Self {
        let start = slab.len();
        slab.extend_from_slice(&[ENCODING_VERSION << 4, 0, 0]);
        RowBuilder { slab, start, fields: 0, cells: None }
    }

    pub fn unset(&mut self) -> &mut Self {
        self.state(UNSET)
    }

    pub fn removed(&mut self) -> &mut Self {
        self.state(REMOVED)
    }

    #[inline(always)]
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

    /// Behind the last field: when each was written.
    pub fn stamps(&mut self, stamps: &[Stamp]) -> &mut Self {
        debug_assert_eq!(stamps.len(), usize::from(self.fields), "one a field");
        self.slab[self.start] |= STAMPS;
        stamps.iter().for_each(|stamp| stamp.write(self.slab));
        self
    }

    /// Behind all else: a field that the shape does not have, or one version of it.
    pub fn cell(&mut self, cell: Cell<'_>) -> &mut Self {
        let count = *self.cells.get_or_insert_with(|| {
            self.slab[self.start] |= CELLS;
            self.slab.extend_from_slice(&[0; 4]);
            self.slab.len() - 4
        });
        let known: [u8; 4] = self.slab[count..count + 4].try_into().expect("four bytes");
        self.slab[count..count + 4].copy_from_slice(&(u32::from_le_bytes(known) + 1).to_le_bytes());
        cell.write(self.slab);
        self
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
        if header & !(STAMPS | CELLS) != ENCODING_VERSION << 4 {
            return None;
        }
        let fields = u16::from_le_bytes(bytes.get(1..HEADER)?.try_into().ok()?);
        let mut rest = &bytes[HEADER..];
        for _ in 0..fields {
            rest = &rest[checked_field(rest, 0)?..];
        }
        if header & STAMPS != 0 {
            for _ in 0..fields {
                Stamp::read(&mut rest)?;
            }
        }
        if header & CELLS != 0 {
            rest = Cells::checked(rest)?;
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

    /// When each field was written; nothing where the row does not say.
    pub fn stamps(&self) -> impl Iterator<Item = Stamp> + use<'a> {
        let mut rest = if self.bytes[0] & STAMPS == 0 { &[] } else { self.behind_fields() };
        let count = if rest.is_empty() { 0 } else { self.len() };
        (0..count).filter_map(move |_| Stamp::read(&mut rest))
    }

    /// Fields that the shape does not have.
    pub fn cells(&self) -> Cells<'a> {
        if self.bytes[0] & CELLS == 0 { Cells::default() } else { Cells::new(self.behind_stamps()) }
    }

    /// The encoded bytes of this row alone.
    pub fn bytes(&self) -> &'a [u8] {
        let rest = if self.bytes[0] & CELLS == 0 {
            self.behind_stamps()
        } else {
            let mut cells = self.cells();
            cells.by_ref().for_each(drop);
            cells.rest()
        };
        &self.bytes[..self.bytes.len() - rest.len()]
    }

    fn behind_fields(&self) -> &'a [u8] {
        let mut fields = self.fields();
        while fields.skip_field() {}
        fields.rest
    }

    fn behind_stamps(&self) -> &'a [u8] {
        let mut rest = self.behind_fields();
        if self.bytes[0] & STAMPS != 0 {
            for _ in 0..self.len() {
                Stamp::read(&mut rest).expect("one a field");
            }
        }
        rest
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
