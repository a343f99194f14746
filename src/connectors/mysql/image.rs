//! Rows of the log turned into rows of a slab: by the table's shape, and by how the log says it wrote it.

use super::{
    binlog::{Bytes, Layout, LoggedColumn, Raw, bit, column_bytes, decimal_text, json_text, kind, raw_value},
    schema::Shape,
    types::Native,
    values,
};
use crate::{
    error::Error,
    model::{Field, Place, RowBuilder, RowRef, TableName, ValueRef},
};
use std::{net::Ipv6Addr, sync::Arc};

/// How rows under one table number are read: made once, used for each of its rows.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub shape: Arc<Shape>,
    /// Those of the shape, and behind them what the server keeps for itself.
    columns: Vec<LoggedColumn>,
    /// Has columns that a row may not tell: documents that cannot be read, or of which only the difference is logged.
    has_documents: bool,
}

/// Where the shape and what the log says of the table disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Misfit(pub String);

impl Misfit {
    pub fn error(&self, name: &TableName) -> Error {
        Error::lost(format!("{name} is not what the log says it was: {}", self.0)).hint(
            "it was altered without a word in the log (sql_log_bin = 0): \
             delete the job and create it again with `existing: replace`",
        )
    }
}

impl Plan {
    pub fn of(shape: &Arc<Shape>, layout: Layout) -> Result<Plan, Misfit> {
        let columns = &shape.table.columns;
        let is_hash = |logged: &LoggedColumn| logged.kind == kind::LONGLONG;
        let behind = layout.columns.get(columns.len()..).filter(|behind| behind.len() <= shape.hashes);
        if !behind.is_some_and(|behind| behind.iter().all(is_hash)) {
            return Err(Misfit(format!("{} columns, in the log {}", columns.len(), layout.columns.len())));
        }
        for (place, (native, logged)) in shape.natives.iter().zip(&layout.columns).enumerate() {
            let column = &columns[place];
            let misfit = |what: &str| Err(Misfit(format!("column `{}` ({}): {what}", column.name, column.declared)));
            if !fits(native, *logged) {
                return misfit(&format!("in the log of type {}, {}", logged.kind, logged.meta));
            }
            if let Some(names) = &layout.optional.names
                && !names[place].eq_ignore_ascii_case(&column.name)
            {
                return misfit(&format!("in the log `{}`", names[place]));
            }
            let unsigned = layout.optional.unsigned.as_ref().map(|unsigned| unsigned[place]);
            if let (Native::Int(_) | Native::Unsigned(_), Some(unsigned)) = (native, unsigned)
                && unsigned != matches!(native, Native::Unsigned(_))
            {
                return misfit(if unsigned { "in the log without a sign" } else { "in the log with a sign" });
            }
        }
        let has_documents = shape.natives.contains(&Native::Json);
        Ok(Plan { shape: Arc::clone(shape), columns: layout.columns, has_documents })
    }

    /// Whether the row has a column whose value it does not tell.
    pub fn has_unread(&self, present: &[u8], row: RowRef<'_>) -> bool {
        let unread = |(place, field): (usize, Field<'_>)| bit(present, place) && field == Field::Unset;
        self.has_documents && row.fields().enumerate().any(unread)
    }

    /// One row, `present` the columns that it has, `partial` those documents that are told as differences. `None`: the
    /// bytes are no such row.
    pub fn row(&self, present: &[u8], partial: &[u8], bytes: &mut Bytes<'_>, slab: &mut Vec<u8>) -> Option<Place> {
        let count = (0..self.columns.len()).filter(|&column| bit(present, column)).count();
        let nulls = bytes.bits(count)?;
        let mut row = RowBuilder::new(slab);
        let (mut at, mut document) = (0, 0);
        for (place, logged) in self.columns.iter().enumerate() {
            let Some(native) = self.shape.natives.get(place) else {
                if bit(present, place) {
                    if !bit(nulls, at) {
                        raw_value(*logged, bytes)?;
                    }
                    at += 1;
                }
                continue;
            };
            let is_partial = logged.kind == kind::JSON && bit(partial, document);
            document += usize::from(logged.kind == kind::JSON);
            if !bit(present, place) {
                row.unset();
                continue;
            }
            if bit(nulls, at) {
                row.value(ValueRef::Null);
            } else {
                let raw = raw_value(*logged, bytes)?;
                match is_partial {
                    true => drop(row.unset()),
                    false => write(&mut row, native, raw)?,
                }
            }
            at += 1;
        }
        Some(row.finish())
    }

    /// Of a partial update, in front of the row after: a bit for each column of JSON that is told as a difference.
    pub fn partial_bits<'b>(&self, bytes: &mut Bytes<'b>) -> Option<&'b [u8]> {
        match bytes.packed()? & 1 {
            1 => bytes.bits(self.columns.iter().filter(|column| column.kind == kind::JSON).count()),
            _ => Some(&[]),
        }
    }
}

/// Whether the log can have written the column so.
fn fits(native: &Native, LoggedColumn { kind: logged, meta, .. }: LoggedColumn) -> bool {
    let digits = |plain: u8, with: u8, digits: u8| match logged {
        _ if logged == plain => digits == 0,
        _ => logged == with && meta == u16::from(digits),
    };
    let strings =
        [kind::STRING, kind::VARCHAR, kind::VAR_STRING, kind::BLOB, kind::BLOB_COMPRESSED, kind::VARCHAR_COMPRESSED];
    match native {
        Native::Int(width) | Native::Unsigned(width) => {
            let kinds = [kind::TINY, kind::SHORT, kind::INT24, kind::LONG, kind::LONGLONG];
            kinds.iter().zip([1, 2, 3, 4, 8]).any(|(kind, of)| *kind == logged && of == *width)
        }
        Native::Year => logged == kind::YEAR,
        Native::Bit(bits) => logged == kind::BIT && (meta >> 8) * 8 + (meta & 0xff) == u16::from(*bits),
        Native::Decimal { precision, scale } => {
            logged == kind::NEWDECIMAL && meta == u16::from_be_bytes([*precision, *scale])
        }
        Native::Float => logged == kind::FLOAT,
        Native::Double => logged == kind::DOUBLE,
        Native::Date => logged == kind::DATE || logged == kind::NEWDATE,
        Native::DateTime(fraction) => digits(kind::DATETIME, kind::DATETIME2, *fraction),
        Native::Timestamp(fraction) => digits(kind::TIMESTAMP, kind::TIMESTAMP2, *fraction),
        Native::Time(fraction) => digits(kind::TIME, kind::TIME2, *fraction),
        Native::Text(_) | Native::Bytes { .. } => strings.contains(&logged),
        Native::Enum(_) => logged == kind::ENUM,
        Native::Set(_) => logged == kind::SET,
        Native::Json => logged == kind::JSON,
        Native::Geometry => logged == kind::GEOMETRY,
        Native::Vector => logged == kind::VECTOR || logged == kind::VARCHAR || logged == kind::BLOB,
        Native::Uuid | Native::Inet6 => logged == kind::STRING && meta == 16,
        Native::Inet4 => logged == kind::STRING && meta == 4,
    }
}

/// As `decode` writes the value of a query's row: the same bytes both ways. `None`: not a value of the column.
#[inline]
fn write(row: &mut RowBuilder<'_>, native: &Native, raw: Raw<'_>) -> Option<()> {
    match (native, raw) {
        (Native::Int(_), Raw::Integer { bits, width }) => {
            let shift = 64 - 8 * u32::from(width);
            row.value(ValueRef::Int((bits << shift) as i64 >> shift));
        }
        (Native::Unsigned(_), Raw::Integer { bits, .. }) => drop(row.value(ValueRef::Unsigned(bits))),
        (Native::Year, Raw::Year(year)) => drop(row.value(ValueRef::Int(i64::from(year)))),
        (Native::Bit(_), Raw::Bit(bits)) => drop(row.value(ValueRef::Unsigned(bits))),
        (Native::Decimal { .. }, Raw::Decimal { bytes, digits, scale }) => {
            values::decimal(row, &decimal_text(bytes, digits, scale)?);
        }
        (Native::Float, Raw::Float(number)) => drop(row.value(ValueRef::Float32(number))),
        (Native::Double, Raw::Double(number)) => drop(row.value(ValueRef::Float64(number))),
        (Native::Date, Raw::Date(date)) => drop(row.value(ValueRef::Date(date))),
        (Native::DateTime(_), Raw::DateTime(date, nanos)) => drop(row.value(ValueRef::DateTime(date, nanos))),
        (Native::Timestamp(_), Raw::Timestamp(0, 0)) => drop(row.value(values::ZERO_TIMESTAMP)),
        (Native::Timestamp(_), Raw::Timestamp(seconds, micros)) => {
            row.value(ValueRef::Instant(i64::from(seconds), micros * 1000));
        }
        (Native::Time(_), Raw::Time(nanos)) => drop(row.value(ValueRef::Time(nanos))),
        (Native::Enum(labels), Raw::Enum(index)) => values::label(row, labels, u64::from(index))?,
        (Native::Set(labels), Raw::Set(bits)) => values::label_set(row, labels, bits)?,
        (_, Raw::Packed(packed)) => return write(row, native, Raw::Bytes(&column_bytes(packed)?)),
        (Native::Text(charset), Raw::Bytes(bytes)) => values::text(row, charset, bytes),
        // The log leaves the zeros at the end out.
        (Native::Bytes { width: Some(width) }, Raw::Bytes(bytes)) => {
            let place = row.reserve_bytes(false, *width);
            place.get_mut(..bytes.len())?.copy_from_slice(bytes);
        }
        (Native::Bytes { width: None }, Raw::Bytes(bytes)) => drop(row.value(ValueRef::Bytes(bytes))),
        (Native::Json, Raw::Bytes(bytes)) => match json_text(bytes) {
            Some(text) => drop(row.value(ValueRef::Json(&text))),
            // Its row is read from the source.
            None => drop(row.unset()),
        },
        (Native::Geometry, Raw::Bytes(bytes)) => drop(row.value(ValueRef::Native("geometry", bytes))),
        (Native::Vector, Raw::Bytes(bytes)) => drop(row.value(ValueRef::Native("vector", bytes))),
        (Native::Uuid, Raw::Bytes(bytes)) => drop(row.value(ValueRef::Uuid(uuid(padded(bytes)?)))),
        (Native::Inet6, Raw::Bytes(bytes)) => drop(row.value(ValueRef::Text(&inet6(padded(bytes)?)))),
        (Native::Inet4, Raw::Bytes(bytes)) => {
            let [a, b, c, d] = padded::<4>(bytes)?;
            row.value(ValueRef::Text(&format!("{a}.{b}.{c}.{d}")));
        }
        _ => return None,
    }
    Some(())
}

fn padded<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let mut whole = [0; N];
    whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(whole)
}

/// MariaDB keeps versions 1 to 5 back to front, part by part, so that the clock's high part is not first.
fn uuid(stored: [u8; 16]) -> [u8; 16] {
    let is_swapped = stored[6] & 0x80 != 0 && (1..0x60).contains(&stored[8]);
    if !is_swapped {
        return stored;
    }
    let mut plain = [0; 16];
    for (to, from, length) in [(0, 12, 4), (4, 10, 2), (6, 8, 2), (8, 6, 2), (10, 0, 6)] {
        plain[to..to + length].copy_from_slice(&stored[from..from + length]);
    }
    plain
}

/// As the server prints it: IPv4 inside, mapped or not, with dots.
fn inet6(bytes: [u8; 16]) -> String {
    let address = Ipv6Addr::from(bytes);
    let words = address.segments();
    match words[..6].iter().all(|&word| word == 0) && words[6] != 0 {
        true => format!("::{}.{}.{}.{}", bytes[12], bytes[13], bytes[14], bytes[15]),
        false => address.to_string(),
    }
}
