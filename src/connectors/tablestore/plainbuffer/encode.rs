//! Writes rows. How long one gets is known beforehand, so that it is written straight into a message.

use super::{Cell, HEADER, tag};
use crate::connectors::tablestore::crc::Crc;

/// A row of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Draft<'c, 'a> {
    pub key: &'c [Cell<'a>],
    pub cells: &'c [Cell<'a>],
    /// The whole row goes.
    pub deleted: bool,
}

impl Draft<'_, '_> {
    /// Bytes of the buffer, with its header.
    pub fn len(&self) -> usize {
        4 + section(self.key) + section(self.cells) + usize::from(self.deleted) + 2
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        let mut crc = Crc::default();
        out.extend_from_slice(&HEADER.to_le_bytes());
        for (tag, cells) in [(tag::KEY, self.key), (tag::DATA, self.cells)] {
            if !cells.is_empty() {
                out.push(tag);
            }
            for cell in cells {
                crc.byte(cell.write(out));
            }
        }
        if self.deleted {
            out.push(tag::DELETED);
        }
        crc.byte(u8::from(self.deleted));
        out.extend_from_slice(&[tag::ROW_CRC, crc.0]);
    }

    pub fn to_bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len());
        self.write(&mut out);
        out
    }
}

fn section(cells: &[Cell<'_>]) -> usize {
    usize::from(!cells.is_empty()) + cells.iter().map(Cell::len).sum::<usize>()
}

/// A key alone: what is read, or where a range starts or ends.
pub fn key(columns: &[Cell<'_>]) -> Vec<u8> {
    Draft { key: columns, ..Draft::default() }.to_bytes()
}
