//! What a table looked like to the server when it wrote rows: types, and with more metadata names, signs and sets.

use super::bytes::{Bytes, bit};

/// Opened as far as its name: most tables of a server are nobody's.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct TableMap<'a> {
    /// Names the table in the row events that follow.
    pub id: u64,
    pub schema: &'a [u8],
    pub name: &'a [u8],
    rest: &'a [u8],
    /// All of it: two that are equal say the same.
    pub body: &'a [u8],
}

/// The columns of a table as the log writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Layout {
    pub columns: Vec<LoggedColumn>,
    pub optional: Optional,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct LoggedColumn {
    /// The type's number; of CHAR, ENUM and SET the real one.
    pub kind: u8,
    /// What the type's reader needs: a length, digits, bytes of a length.
    pub meta: u16,
    pub nullable: bool,
}

/// Of the optional metadata what can be held against a catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Optional {
    /// Per column; of columns that are no numbers, `false`.
    pub unsigned: Option<Vec<bool>>,
    pub names: Option<Vec<String>>,
    /// Places of the primary key's columns.
    pub key: Option<Vec<usize>>,
}

pub(super) fn read(body: &[u8], number_width: usize) -> Option<TableMap<'_>> {
    let mut bytes = Bytes(body);
    let id = bytes.uint(number_width)?;
    bytes.u16()?;
    Some(TableMap { id, schema: bytes.name()?, name: bytes.name()?, rest: bytes.rest(), body })
}

impl TableMap<'_> {
    pub fn layout(&self) -> Option<Layout> {
        let mut bytes = Bytes(self.rest);
        let count = bytes.packed_usize()?;
        let kinds = bytes.take(count)?;
        let length = bytes.packed_usize()?;
        let mut metas = Bytes(bytes.take(length)?);
        let nullable = bytes.bits(count)?;
        let mut columns = Vec::with_capacity(count);
        for (place, &kind) in kinds.iter().enumerate() {
            let (kind, meta) = column(kind, &mut metas)?;
            columns.push(LoggedColumn { kind, meta, nullable: bit(nullable, place) });
        }
        let optional = optional(bytes, &columns)?;
        metas.0.is_empty().then_some(Layout { columns, optional })
    }
}

/// The types, by their numbers.
pub(in super::super) mod kind {
    pub const TINY: u8 = 1;
    pub const SHORT: u8 = 2;
    pub const LONG: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const DOUBLE: u8 = 5;
    pub const NULL: u8 = 6;
    pub const TIMESTAMP: u8 = 7;
    pub const LONGLONG: u8 = 8;
    pub const INT24: u8 = 9;
    pub const DATE: u8 = 10;
    pub const TIME: u8 = 11;
    pub const DATETIME: u8 = 12;
    pub const YEAR: u8 = 13;
    pub const NEWDATE: u8 = 14;
    pub const VARCHAR: u8 = 15;
    pub const BIT: u8 = 16;
    pub const TIMESTAMP2: u8 = 17;
    pub const DATETIME2: u8 = 18;
    pub const TIME2: u8 = 19;
    pub const BLOB_COMPRESSED: u8 = 140;
    pub const VARCHAR_COMPRESSED: u8 = 141;
    pub const VECTOR: u8 = 242;
    pub const JSON: u8 = 245;
    pub const NEWDECIMAL: u8 = 246;
    pub const ENUM: u8 = 247;
    pub const SET: u8 = 248;
    pub const TINY_BLOB: u8 = 249;
    pub const BLOB: u8 = 252;
    pub const VAR_STRING: u8 = 253;
    pub const STRING: u8 = 254;
    pub const GEOMETRY: u8 = 255;
}

/// The real type and its metadata. `None`: a type that no server logs, or that is not known.
fn column(number: u8, metas: &mut Bytes<'_>) -> Option<(u8, u16)> {
    Some(match number {
        kind::TINY..=kind::LONG | kind::NULL..=kind::NEWDATE => (number, 0),
        kind::FLOAT
        | kind::DOUBLE
        | kind::TIMESTAMP2..=kind::TIME2
        | kind::BLOB_COMPRESSED
        | kind::VECTOR
        | kind::JSON
        | kind::TINY_BLOB..=kind::BLOB
        | kind::GEOMETRY => (number, u16::from(metas.u8()?)),
        kind::VARCHAR | kind::VAR_STRING | kind::VARCHAR_COMPRESSED | kind::BIT => (number, metas.u16()?),
        // Digits in all, digits after the point.
        kind::NEWDECIMAL => (number, u16::from_be_bytes([metas.u8()?, metas.u8()?])),
        kind::STRING | kind::ENUM | kind::SET => {
            let (first, second) = (metas.u8()?, metas.u8()?);
            // A length over 255 puts its two high bits, inverted, into the type's number.
            let (real, high) = match first & 0x30 {
                0x30 => (first, 0),
                high => (first | 0x30, u16::from((high ^ 0x30) >> 4)),
            };
            match real {
                kind::STRING | kind::ENUM | kind::SET => (real, high << 8 | u16::from(second)),
                kind::VAR_STRING => (kind::STRING, high << 8 | u16::from(second)),
                _ => return None,
            }
        }
        _ => return None,
    })
}

/// (what, length, value)*; what is not known describes no more than it.
fn optional(mut bytes: Bytes<'_>, columns: &[LoggedColumn]) -> Option<Optional> {
    let mut optional = Optional::default();
    while !bytes.0.is_empty() {
        let what = bytes.u8()?;
        let length = bytes.packed_usize()?;
        let mut value = Bytes(bytes.take(length)?);
        match what {
            // A bit per number, the high one of each byte first.
            1 => {
                let bits = value.rest();
                let mut numbers = 0;
                let unsigned = columns.iter().map(|column| {
                    let is_number = matches!(
                        column.kind,
                        kind::TINY..=kind::DOUBLE | kind::LONGLONG | kind::INT24 | kind::NEWDECIMAL | kind::YEAR
                    );
                    let place = numbers;
                    numbers += usize::from(is_number);
                    is_number && bits.get(place / 8).is_some_and(|byte| byte >> (7 - place % 8) & 1 == 1)
                });
                optional.unsigned = Some(unsigned.collect());
            }
            4 => {
                let mut names = Vec::new();
                while !value.0.is_empty() {
                    let length = value.packed_usize()?;
                    names.push(String::from_utf8_lossy(value.take(length)?).into_owned());
                }
                optional.names = Some(names).filter(|names| names.len() == columns.len());
            }
            8 => {
                let mut key = Vec::new();
                while !value.0.is_empty() {
                    key.push(value.packed_usize()?);
                }
                optional.key = Some(key);
            }
            // With how many characters of each column.
            9 => {
                let mut key = Vec::new();
                while !value.0.is_empty() {
                    key.push(value.packed_usize()?);
                    value.packed()?;
                }
                optional.key = Some(key);
            }
            _ => {}
        }
    }
    Some(optional)
}
