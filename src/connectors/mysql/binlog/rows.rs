//! Row events: which table, which columns, and the bytes of the rows.

use super::{
    PARTIAL_UPDATE,
    bytes::{Bytes, bit},
    inflate,
};
use std::borrow::Cow;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Operation {
    Insert,
    Update,
    Delete,
    /// An update whose JSON columns may be told as differences.
    PartialUpdate,
}

#[derive(Clone, Copy, Debug)]
pub(in super::super) struct RowsEvent<'a> {
    pub operation: Operation,
    pub table: u64,
    flags: u16,
    pub columns: usize,
    /// The columns of the rows; of an update, of the rows before it.
    pub present: &'a [u8],
    /// Of an update, the columns of the rows after it; else as `present`.
    pub present_after: &'a [u8],
    compressed: bool,
    data: &'a [u8],
}

impl<'a> RowsEvent<'a> {
    /// The rows, one after the other, of an update two for each; `None`: they cannot be unpacked.
    pub fn rows(&self) -> Option<Cow<'a, [u8]>> {
        match self.compressed {
            true => inflate::event(self.data).map(Cow::Owned),
            false => Some(Cow::Borrowed(self.data)),
        }
    }

    /// The session did not look at foreign keys: nothing cascaded.
    pub fn is_without_foreign_keys(&self) -> bool {
        self.flags & 2 != 0
    }

    /// MySQL: what foreign keys did to children is in the log, too. Said by each event, since a log may hold rows of other
    /// servers and of earlier settings.
    pub fn tells_children(&self) -> bool {
        self.flags & 0x10 != 0
    }

    pub fn has_all(bits: &[u8], columns: usize) -> bool {
        (0..columns).all(|column| bit(bits, column))
    }
}

pub(super) fn read(kind: u8, body: &[u8], number_width: usize) -> Option<RowsEvent<'_>> {
    // Writes, updates, deletes: three numbers in a row for each version, plain and compressed.
    let (first, second_version, compressed) = match kind {
        23..=25 => (23, false, false),
        30..=32 => (30, true, false),
        166..=168 => (166, false, true),
        169..=171 => (169, true, true),
        PARTIAL_UPDATE => (PARTIAL_UPDATE, true, false),
        _ => return None,
    };
    let operation = match (kind, kind - first) {
        (PARTIAL_UPDATE, _) => Operation::PartialUpdate,
        (_, 0) => Operation::Insert,
        (_, 1) => Operation::Update,
        _ => Operation::Delete,
    };
    let mut bytes = Bytes(body);
    let (table, flags) = (bytes.uint(number_width)?, bytes.u16()?);
    if second_version {
        let more = usize::from(bytes.u16()?).checked_sub(2)?;
        bytes.take(more)?;
    }
    let columns = bytes.packed_usize()?;
    let present = bytes.bits(columns)?;
    let present_after = match operation {
        Operation::Update | Operation::PartialUpdate => bytes.bits(columns)?,
        Operation::Insert | Operation::Delete => present,
    };
    Some(RowsEvent { operation, table, flags, columns, present, present_after, compressed, data: bytes.rest() })
}
