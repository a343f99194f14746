//! A JSON document as MySQL stores it, turned into the very text that the server prints.
//!
//! ```text
//! document = type · value
//! object   = count · size · (key offset · key length u16)* · (type · offset or small value)* · keys · values
//! array    = count · size · (type · offset or small value)* · values          counts and offsets: u16, large: u32
//! ```
//! Offsets count from the object's or array's own count. (MySQL's `sql-common/json_binary.h` tells the format.)

use super::{bytes::Bytes, value::decimal_text};

/// No part of a document takes more text than so much a byte: offsets that share their goals would, without an end.
pub(super) const MOST_PER_BYTE: usize = 8;
/// A number has more text than it has bytes.
pub(super) const MOST_OF_ONE: usize = 64;

/// The server allows 100.
const DEPTH: usize = 100;

/// `None`: this is no document, or one with a value whose text is not known.
pub(in super::super) fn text(document: &[u8]) -> Option<String> {
    // What was written where a document is missing reads as `null`.
    let Some((&kind, value)) = document.split_first() else { return Some("null".to_owned()) };
    let mut text = Text { out: String::new(), most: MOST_PER_BYTE * document.len() + MOST_OF_ONE };
    text.value(kind, value, 0)?;
    Some(text.out)
}

struct Text {
    out: String,
    most: usize,
}

impl Text {
    fn put(&mut self, text: &str) -> Option<()> {
        if self.out.len() + text.len() > self.most {
            return None;
        }
        self.out.push_str(text);
        Some(())
    }

    fn value(&mut self, kind: u8, bytes: &[u8], depth: usize) -> Option<()> {
        let mut rest = Bytes(bytes);
        match kind {
            0..=3 if depth >= DEPTH => None,
            0..=3 => self.nested(kind < 2, kind & 1 == 1, bytes, depth),
            4 => self.put(match rest.u8()? {
                0 => "null",
                1 => "true",
                2 => "false",
                _ => return None,
            }),
            5 => self.put(&(rest.u16()? as i16).to_string()),
            6 => self.put(&rest.u16()?.to_string()),
            7 => self.put(&(rest.u32()? as i32).to_string()),
            8 => self.put(&rest.u32()?.to_string()),
            9 => self.put(&(rest.u64()? as i64).to_string()),
            10 => self.put(&rest.u64()?.to_string()),
            11 => self.put(&double(f64::from_bits(rest.u64()?))?),
            12 => {
                let length = length(&mut rest)?;
                self.quoted(rest.take(length)?)
            }
            15 => {
                let kind = rest.u8()?;
                let length = length(&mut rest)?;
                self.opaque(kind, rest.take(length)?)
            }
            _ => None,
        }
    }

    fn nested(&mut self, is_object: bool, is_large: bool, bytes: &[u8], depth: usize) -> Option<()> {
        let width = if is_large { 4 } else { 2 };
        let mut head = Bytes(bytes);
        let (count, size) = (head.uint(width)? as usize, head.uint(width)? as usize);
        let whole = bytes.get(..size)?;
        let mut keys = Bytes(head.take(if is_object { count.checked_mul(width + 2)? } else { 0 })?);
        let mut values = Bytes(head.take(count.checked_mul(width + 1)?)?);
        self.put(if is_object { "{" } else { "[" })?;
        for place in 0..count {
            if place > 0 {
                self.put(", ")?;
            }
            if is_object {
                let (start, length) = (keys.uint(width)? as usize, usize::from(keys.u16()?));
                self.quoted(whole.get(start..)?.get(..length)?)?;
                self.put(": ")?;
            }
            let (kind, field) = (values.u8()?, values.take(width)?);
            match is_inlined(kind, is_large) {
                true => self.value(kind, field, depth + 1)?,
                false => {
                    let start = Bytes(field).uint(width)? as usize;
                    self.value(kind, whole.get(start..)?, depth + 1)?;
                }
            }
        }
        self.put(if is_object { "}" } else { "]" })
    }

    fn quoted(&mut self, bytes: &[u8]) -> Option<()> {
        let text = std::str::from_utf8(bytes).ok()?;
        self.put("\"")?;
        let mut plain = 0;
        for (at, byte) in text.bytes().enumerate() {
            let escaped = match byte {
                b'"' => "\\\"",
                b'\\' => "\\\\",
                8 => "\\b",
                9 => "\\t",
                10 => "\\n",
                12 => "\\f",
                13 => "\\r",
                0..0x20 => &format!("\\u{byte:04x}"),
                _ => continue,
            };
            self.put(&text[plain..at])?;
            self.put(escaped)?;
            plain = at + 1;
        }
        self.put(&text[plain..])?;
        self.put("\"")
    }

    /// A value of SQL: its type's number, and its bytes.
    fn opaque(&mut self, kind: u8, bytes: &[u8]) -> Option<()> {
        match kind {
            DECIMAL => {
                let &[digits, scale, ref packed @ ..] = bytes else { return None };
                self.put(&decimal_text(packed, digits, scale)?)
            }
            DATE | DATETIME | TIMESTAMP | TIME => {
                let packed = i64::from_le_bytes(bytes.try_into().ok()?);
                self.put(&format!("\"{}\"", moment(kind, packed)))
            }
            _ => self.quoted(format!("base64:type{kind}:{}", base64(bytes)).as_bytes()),
        }
    }
}

const TIMESTAMP: u8 = 7;
const DATE: u8 = 10;
const TIME: u8 = 11;
const DATETIME: u8 = 12;
const DECIMAL: u8 = 246;

/// The server breaks what it encodes into lines.
const LINE: usize = 76;

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4 + bytes.len() / LINE + 1);
    for (number, three) in bytes.chunks(3).enumerate() {
        if number > 0 && number % (LINE / 4) == 0 {
            text.push('\n');
        }
        let whole = three.iter().fold(0, |whole, &byte| whole << 8 | u32::from(byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(whole >> (18 - 6 * place) & 63) as usize];
            text.push(if place > three.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

fn is_inlined(kind: u8, is_large: bool) -> bool {
    matches!(kind, 4..=6) || is_large && matches!(kind, 7 | 8)
}

/// Seven bits a byte, the low ones first, five bytes at most.
fn length(bytes: &mut Bytes<'_>) -> Option<usize> {
    let mut length = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let byte = bytes.u8()?;
        length |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return usize::try_from(length).ok().filter(|&length| u32::try_from(length).is_ok());
        }
    }
    None
}

/// A date: 17 bits of year and month, 5 of day, 17 of the clock, 24 of the microsecond; a time: the clock and the rest.
fn moment(kind: u8, packed: i64) -> String {
    let (sign, packed) = (if packed < 0 { "-" } else { "" }, packed.unsigned_abs());
    let (whole, micros) = (packed >> 24, packed & 0xff_ffff);
    let (clock, day) = (whole & 0x1_ffff, whole >> 17);
    let (month, day) = (day >> 5, day & 31);
    let date = format!("{:04}-{:02}-{day:02}", month / 13, month % 13);
    let (minute, second) = (clock >> 6 & 63, clock & 63);
    match kind {
        DATE => date,
        TIME => format!("{sign}{:02}:{minute:02}:{second:02}.{micros:06}", whole >> 12 & 0x3ff),
        _ => format!("{date} {:02}:{minute:02}:{second:02}.{micros:06}", clock >> 12),
    }
}

/// The fewest digits that read as the same number, with an exponent where the point is further away than 15 digits.
fn double(number: f64) -> Option<String> {
    if !number.is_finite() {
        return None;
    }
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e')?;
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let digits = digits.replace('.', "");
    let point = exponent.parse::<i32>().ok()? + 1;
    let count = i32::try_from(digits.len()).ok()?;
    Some(match point {
        _ if number == 0.0 => format!("{sign}0.0"),
        -14..=0 => format!("{sign}0.{}{digits}", "0".repeat(point.unsigned_abs() as usize)),
        1..=15 if point >= count => format!("{sign}{digits}{}.0", "0".repeat((point - count) as usize)),
        1..=15 => {
            let (whole, part) = digits.split_at(point as usize);
            format!("{sign}{whole}.{part}")
        }
        _ => {
            let (first, rest) = digits.split_at(1);
            let part = if rest.is_empty() { String::new() } else { format!(".{rest}") };
            format!("{sign}{first}{part}e{}", point - 1)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_look_as_the_server_prints_them() {
        for (number, shown) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-0.1, "-0.1"),
            (123.25, "123.25"),
            (1e14, "100000000000000.0"),
            (1e15, "1e15"),
            (1.5e300, "1.5e300"),
            (1e-14, "0.00000000000001"),
            (1e-15, "0.000000000000001"),
            (1e-16, "1e-16"),
            (f64::MAX, "1.7976931348623157e308"),
        ] {
            assert_eq!(double(number).as_deref(), Some(shown), "{number:e}");
        }
        assert_eq!(double(f64::NAN), None);
    }

    #[test]
    fn small_and_large_parts_of_documents() {
        // {"a": [1, true], "b": "x"}
        let small = [
            0, 2, 0, 37, 0, 18, 0, 1, 0, 19, 0, 1, 0, 2, 20, 0, 12, 34, 0, b'a', b'b', // the object
            2, 0, 10, 0, 5, 1, 0, 4, 1, 0, 0, 0, 0, 0, // the array, and room that nobody uses
            1, b'x', 0,
        ];
        assert_eq!(text(&small).as_deref(), Some(r#"{"a": [1, true], "b": "x"}"#));
        let large = [3, 1, 0, 0, 0, 13, 0, 0, 0, 7, 255, 255, 255, 255];
        assert_eq!(text(&large).as_deref(), Some("[-1]"));
        assert_eq!(text(&[]).as_deref(), Some("null"));
        assert_eq!(text(&[4, 3]), None);
        assert!((1..small.len() - 1).all(|cut| text(&small[..cut]).is_none()));
    }

    #[test]
    fn parts_that_contain_themselves_end() {
        // An array whose only value is itself.
        assert_eq!(text(&[2, 1, 0, 7, 0, 2, 0, 0]), None);
    }
}
