//! What rows of wide-column stores say beyond a value: write times, expiry, and named fields that the shape does not have.
//!
//! ```text
//! stamps = for each field of the shape: stamp                        header bit 0
//! cells  = count u32, cell*                                          header bit 1
//! cell   = name u16 length and UTF-8, flags u8, stamp, field
//! stamp  = flags u8, written i64 where bit 0, expires i64 where bit 1
//! ```
//! Flags of a cell: bit 0, it concerns the version of its write time alone. Integers are little-endian.

use super::{
    encoding::{REMOVED, UNSET, checked_field, field_length, read_value, write_value},
    row::Field,
};

const WRITTEN: u8 = 1;
const EXPIRES: u8 = 2;
const ONE_VERSION: u8 = 1;

/// When a field was written, and when it goes by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Microseconds since 1970. `None`: as the target's clock has it.
    pub written: Option<i64>,
    /// Seconds since 1970. `None`: it stays.
    pub expires: Option<i64>,
}

impl Stamp {
    pub fn written(micros: i64) -> Stamp {
        Stamp { written: Some(micros), expires: None }
    }

    pub(super) fn write(self, slab: &mut Vec<u8>) {
        let flag = |time: Option<i64>, bit| if time.is_some() { bit } else { 0 };
        slab.push(flag(self.written, WRITTEN) | flag(self.expires, EXPIRES));
        for time in [self.written, self.expires].into_iter().flatten() {
            slab.extend_from_slice(&time.to_le_bytes());
        }
    }

    pub(super) fn read(rest: &mut &[u8]) -> Option<Stamp> {
        let (&flags, mut after) = rest.split_first()?;
        let mut time = |bit| match flags & bit {
            0 => Some(None),
            _ => {
                let (time, rest) = after.split_first_chunk()?;
                after = rest;
                Some(Some(i64::from_le_bytes(*time)))
            }
        };
        let stamp = Stamp { written: time(WRITTEN)?, expires: time(EXPIRES)? };
        *rest = after;
        (flags & !(WRITTEN | EXPIRES) == 0).then_some(stamp)
    }
}

/// A named field. A row may have several of one name: its versions, told apart by their write times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell<'a> {
    pub name: &'a str,
    /// Never unset. Removed: with all its versions, or the one.
    pub field: Field<'a>,
    pub stamp: Stamp,
    /// Of a removed one: only the version of the write time.
    pub one_version: bool,
}

impl Cell<'_> {
    /// # Panics
    /// Where the name is longer than 64 KiB; no store takes that.
    pub(super) fn write(&self, slab: &mut Vec<u8>) {
        let length = u16::try_from(self.name.len()).expect("a name stays below 64 KiB");
        slab.extend_from_slice(&length.to_le_bytes());
        slab.extend_from_slice(self.name.as_bytes());
        slab.push(if self.one_version { ONE_VERSION } else { 0 });
        self.stamp.write(slab);
        match self.field {
            Field::Unset => slab.push(UNSET),
            Field::Removed => slab.push(REMOVED),
            Field::Value(value) => write_value(slab, value),
        }
    }
}

/// Iterates over the named fields of a row.
#[derive(Clone, Default)]
pub struct Cells<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Cells<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Cells<'a> {
        let (count, rest) = bytes.split_first_chunk().expect("a header that tells of cells is followed by their count");
        Cells { rest, left: u32::from_le_bytes(*count) }
    }

    /// Bytes behind the last cell that was returned.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Bytes from outside: what is behind the cells, where they are cells.
    pub(super) fn checked(bytes: &[u8]) -> Option<&[u8]> {
        let (count, mut rest) = bytes.split_first_chunk()?;
        for _ in 0..u32::from_le_bytes(*count) {
            let (length, after) = rest.split_first_chunk()?;
            let (name, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
            std::str::from_utf8(name).ok()?;
            let (&flags, mut after) = after.split_first()?;
            let stamp = Stamp::read(&mut after)?;
            let field = checked_field(after, 0)?;
            let of_nothing = after[0] == UNSET || (flags == ONE_VERSION && stamp.written.is_none());
            if flags > ONE_VERSION || of_nothing {
                return None;
            }
            rest = &after[field..];
        }
        Some(rest)
    }
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    fn next(&mut self) -> Option<Cell<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (length, rest) = self.rest.split_first_chunk().expect("a whole cell");
        let (name, rest) = rest.split_at(usize::from(u16::from_le_bytes(*length)));
        let (&flags, mut rest) = rest.split_first().expect("a whole cell");
        let stamp = Stamp::read(&mut rest).expect("a whole cell");
        let (mut field, behind) = rest.split_at(field_length(rest));
        self.rest = behind;
        // SAFETY: written by `Cell::write` from a `&str`, or looked at by `Cells::checked`.
        let name = unsafe { std::str::from_utf8_unchecked(name) };
        let field = match field[0] {
            REMOVED => Field::Removed,
            UNSET => Field::Unset,
            _ => Field::Value(read_value(&mut field)),
        };
        Some(Cell { name, field, stamp, one_version: flags & ONE_VERSION != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RowBuilder, RowRef, ValueRef};

    fn wide() -> Vec<u8> {
        let mut slab = Vec::new();
        let mut row = RowBuilder::new(&mut slab);
        row.value(ValueRef::Int(1)).unset();
        row.stamps(&[Stamp::default(), Stamp { written: Some(-5), expires: Some(9) }]);
        for written in [2_000, 1_000] {
            row.cell(Cell {
                name: "é",
                field: Field::Value(ValueRef::Text("x")),
                stamp: Stamp::written(written),
                one_version: false,
            });
        }
        row.cell(Cell { name: "b", field: Field::Removed, stamp: Stamp::written(3), one_version: true });
        row.finish();
        slab
    }

    #[test]
    fn what_is_written_is_read() {
        let mut slab = wide();
        let length = slab.len();
        slab.extend_from_slice(b"another row");
        let row = RowRef::new(&slab, 0);
        assert_eq!((row.len(), row.bytes().len()), (2, length));
        let stamps: Vec<Stamp> = row.stamps().collect();
        assert_eq!(stamps, [Stamp::default(), Stamp { written: Some(-5), expires: Some(9) }]);
        let cells: Vec<Cell<'_>> = row.cells().collect();
        let told: Vec<_> = cells.iter().map(|cell| (cell.name, cell.stamp.written, cell.one_version)).collect();
        assert_eq!(told, [("é", Some(2_000), false), ("é", Some(1_000), false), ("b", Some(3), true)]);
        assert_eq!(cells[0].field, Field::Value(ValueRef::Text("x")));
        assert_eq!(cells[2].field, Field::Removed);
    }

    #[test]
    fn a_plain_row_has_neither() {
        let mut slab = Vec::new();
        RowBuilder::new(&mut slab).value(ValueRef::Int(1));
        let row = RowRef::new(&slab, 0);
        assert!(row.cells().is_empty());
        assert_eq!(row.stamps().count(), 0);
    }

    #[test]
    fn foreign_bytes_are_looked_at_before_they_are_believed() {
        let good = wide();
        assert_eq!(RowRef::checked(&good).map(|row| row.bytes().len()), Some(good.len()));
        for cut in 0..good.len() {
            assert!(RowRef::checked(&good[..cut]).is_none(), "cut at {cut}");
        }
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                // What is still believed can be read to its end.
                if let Some(row) = RowRef::checked(&bad) {
                    let _ = (row.stamps().count(), row.cells().count(), row.to_values());
                }
            }
        }
    }
}
