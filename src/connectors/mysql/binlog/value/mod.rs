//! One value of a row as the log writes it, before the catalogue says what it means.

use super::{
    bytes::Bytes,
    table_map::{LoggedColumn, kind},
};
use crate::model::Date;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) enum Raw<'a> {
    /// The low bits; how many bytes of them the column has, at their top the sign if it has one.
    Integer {
        bits: u64,
        width: u8,
    },
    Float(f32),
    Double(f64),
    Decimal {
        bytes: &'a [u8],
        digits: u8,
        scale: u8,
    },
    Year(u16),
    /// Text in the column's character set, blobs, JSON, geometry: as stored.
    Bytes(&'a [u8]),
    /// MariaDB's compressed columns.
    Packed(&'a [u8]),
    Bit(u64),
    /// Counted from 1; 0 is the value of an error.
    Enum(u16),
    Set(u64),
    Date(Date),
    /// Nanoseconds.
    Time(i64),
    /// Nanoseconds of the day.
    DateTime(Date, i64),
    /// Seconds since 1970, microseconds.
    Timestamp(u32, u32),
}

/// The next value. `None`: the bytes end in the middle of it, or it is none.
#[inline]
pub(in super::super) fn raw_value<'a>(column: LoggedColumn, bytes: &mut Bytes<'a>) -> Option<Raw<'a>> {
    let meta = column.meta;
    let integer =
        |bytes: &mut Bytes<'a>, width: u8| Some(Raw::Integer { bits: bytes.uint(usize::from(width))?, width });
    match column.kind {
        kind::TINY => integer(bytes, 1),
        kind::SHORT => integer(bytes, 2),
        kind::INT24 => integer(bytes, 3),
        kind::LONG => integer(bytes, 4),
        kind::LONGLONG => integer(bytes, 8),
        kind::FLOAT => Some(Raw::Float(f32::from_bits(bytes.u32()?))),
        kind::DOUBLE => Some(Raw::Double(f64::from_bits(bytes.u64()?))),
        kind::NEWDECIMAL => {
            let [digits, scale] = meta.to_be_bytes();
            Some(Raw::Decimal { bytes: bytes.take(decimal_length(digits, scale)?)?, digits, scale })
        }
        kind::YEAR => Some(Raw::Year(match bytes.u8()? {
            0 => 0,
            year => 1900 + u16::from(year),
        })),
        kind::VARCHAR | kind::VAR_STRING | kind::STRING => {
            prefixed(bytes, if meta > 255 { 2 } else { 1 }).map(Raw::Bytes)
        }
        kind::VARCHAR_COMPRESSED => prefixed(bytes, if meta > 255 { 2 } else { 1 }).map(Raw::Packed),
        kind::BLOB_COMPRESSED => prefixed(bytes, usize::from(meta)).map(Raw::Packed),
        kind::TINY_BLOB..=kind::BLOB | kind::JSON | kind::GEOMETRY | kind::VECTOR => {
            prefixed(bytes, usize::from(meta)).map(Raw::Bytes)
        }
        // Whole bytes and the bits beyond them.
        kind::BIT => {
            let width = usize::from(meta >> 8) + usize::from(meta & 0xff != 0);
            bytes.uint_be(width).map(Raw::Bit)
        }
        kind::ENUM => bytes.uint(usize::from(meta & 3).max(1)).map(|index| Raw::Enum(index as u16)),
        kind::SET => bytes.uint(usize::from(meta & 0xff)).filter(|_| (1..=8).contains(&meta)).map(Raw::Set),
        kind::DATE | kind::NEWDATE => {
            let packed = bytes.uint(3)? as u32;
            Some(Raw::Date(date(packed >> 9, packed >> 5 & 15, packed & 31)))
        }
        kind::TIMESTAMP => Some(Raw::Timestamp(bytes.u32()?, 0)),
        kind::TIMESTAMP2 => {
            let seconds = bytes.uint_be(4)? as u32;
            Some(Raw::Timestamp(seconds, fraction(bytes, meta)?))
        }
        // Decimal digits: HHMMSS with a sign, YYYYMMDDhhmmss.
        kind::TIME => {
            let packed = (bytes.uint(3)? as i32) << 8 >> 8;
            let whole = i64::from(packed.unsigned_abs());
            let seconds = whole / 10_000 * 3600 + whole / 100 % 100 * 60 + whole % 100;
            Some(Raw::Time(i64::from(packed.signum()) * seconds * SECOND))
        }
        kind::DATETIME => {
            let packed = bytes.u64()?;
            let (day, clock) = ((packed / 1_000_000) as u32, packed % 1_000_000);
            let seconds = clock / 10_000 * 3600 + clock / 100 % 100 * 60 + clock % 100;
            Some(Raw::DateTime(date(day / 10_000, day / 100 % 100, day % 100), seconds as i64 * SECOND))
        }
        kind::DATETIME2 => {
            // A bit of sign, 17 of year and month, 5 of day, 17 of the clock.
            let packed = bytes.uint_be(5)? & 0x7f_ffff_ffff;
            let micros = fraction(bytes, meta)?;
            let (months, day, clock) = (packed >> 22, packed >> 17 & 31, packed & 0x1_ffff);
            let seconds = (clock >> 12) * 3600 + (clock >> 6 & 63) * 60 + (clock & 63);
            let date = date((months / 13) as u32, (months % 13) as u32, day as u32);
            Some(Raw::DateTime(date, seconds as i64 * SECOND + i64::from(micros) * 1000))
        }
        kind::TIME2 => time2(bytes, meta),
        _ => None,
    }
}

const SECOND: i64 = 1_000_000_000;

fn prefixed<'a>(bytes: &mut Bytes<'a>, width: usize) -> Option<&'a [u8]> {
    let length = bytes.uint(width).filter(|_| (1..=4).contains(&width))?;
    bytes.take(length as usize)
}

fn date(year: u32, month: u32, day: u32) -> Date {
    Date { year: year as i32, month: month as u8, day: day as u8 }
}

/// Microseconds, stored as pairs of digits in whole bytes.
fn fraction(bytes: &mut Bytes<'_>, digits: u16) -> Option<u32> {
    let width = usize::from(digits.div_ceil(2));
    match width {
        0 => Some(0),
        1..=3 => Some(bytes.uint_be(width)? as u32 * [0, 10_000, 100, 1][width]),
        _ => None,
    }
}

/// Hours, minutes and seconds with their fraction as one number, moved up by half of its room so that it has no sign.
fn time2<'a>(bytes: &mut Bytes<'a>, meta: u16) -> Option<Raw<'a>> {
    let width = usize::from(meta.div_ceil(2));
    if width > 3 {
        return None;
    }
    let stored = bytes.uint_be(3 + width)? as i64;
    let value = stored - (1 << (8 * (3 + width) - 1));
    let (sign, size) = (value.signum(), value.abs());
    let (clock, part) = (size >> (8 * width), size & ((1 << (8 * width)) - 1));
    let micros = part * [0, 10_000, 100, 1][width];
    let seconds = (clock >> 12 & 0x3ff) * 3600 + (clock >> 6 & 63) * 60 + (clock & 63);
    Some(Raw::Time(sign * (seconds * SECOND + micros * 1000)))
}

/// Nine digits in four bytes; of fewer, as many bytes as they need.
const DIGITS_BYTES: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

fn decimal_length(digits: u8, scale: u8) -> Option<usize> {
    let whole = usize::from(digits.checked_sub(scale)?);
    let scale = usize::from(scale);
    Some(whole / 9 * 4 + DIGITS_BYTES[whole % 9] + scale / 9 * 4 + DIGITS_BYTES[scale % 9])
}

/// The decimal's text with all digits of its scale. `None`: a group of digits is larger than it can be.
pub(in super::super) fn decimal_text(bytes: &[u8], digits: u8, scale: u8) -> Option<String> {
    let whole = usize::from(digits.checked_sub(scale)?);
    let scale = usize::from(scale);
    let negative = bytes.first()? & 0x80 == 0;
    let flip = if negative { 0xff } else { 0 };
    let plain: Vec<u8> =
        bytes.iter().enumerate().map(|(at, byte)| if at == 0 { byte ^ 0x80 ^ flip } else { byte ^ flip }).collect();
    let mut rest = Bytes(&plain);
    let mut text = String::with_capacity(usize::from(digits) + 3);
    let mut group = |text: &mut String, digits: usize| {
        if digits == 0 {
            return Some(());
        }
        let value = rest.uint_be(DIGITS_BYTES[digits])?;
        text.push_str(&format!("{value:0digits$}"));
        (value < 10_u64.pow(digits as u32)).then_some(())
    };
    group(&mut text, whole % 9)?;
    for _ in 0..whole / 9 {
        group(&mut text, 9)?;
    }
    let first = text.find(|c| c != '0').unwrap_or(text.len());
    text.drain(..first);
    if text.is_empty() {
        text.push('0');
    }
    if scale > 0 {
        text.push('.');
        for _ in 0..scale / 9 {
            group(&mut text, 9)?;
        }
        group(&mut text, scale % 9)?;
    }
    if negative {
        text.insert(0, '-');
    }
    Some(text)
}

#[cfg(test)]
mod tests;
