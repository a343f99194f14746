//! Values of the model as SQL literals that the column takes without changing them, or not at all. Pure.
//!
//! Strict mode refuses much by itself, but not what the server only rounds or pads: that is refused here.

use super::{
    charset::Charset,
    limit::Limit,
    text,
    types::Native,
    values::{self, INVALID_ENUM, ZERO_TIMESTAMP},
};
use crate::model::{Date, Decimal, ValueRef};
use mysql_async::Value as Bound;
use std::io::Write;

/// Why a column does not take a value; tells nothing of the value itself.
pub(super) type Misfit = String;

/// A column that is written.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// Quoted.
    pub name: String,
    pub native: Native,
    /// What the server would cut without an error.
    limit: Limit,
    /// The key's column of a source that keeps any kind there: what becomes text here would be read as another key.
    text_only: bool,
}

impl Slot {
    pub fn new(name: &str, declared: &str, native: Native) -> Slot {
        let limit = Limit::of(declared, &native);
        Slot { name: text::quote(name), native, limit, text_only: false }
    }

    pub fn text_only(mut self, text_only: bool) -> Slot {
        self.text_only = text_only;
        self
    }

    /// Writes the literal to the end of `out`.
    pub fn literal(&self, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<(), Misfit> {
        use ValueRef as V;
        match (&self.native, value) {
            (_, V::Null) => put(out, "NULL"),
            (Native::Year, V::Int(v)) => put(out, year(v)?),
            (Native::Year, V::Unsigned(v)) => put(out, year(i64::try_from(v).unwrap_or(-1))?),
            // It would be its bits.
            (Native::Bit(_), V::Int(..0)) => return Err("is below 0".to_owned()),
            (Native::Int(_) | Native::Unsigned(_) | Native::Bit(_), V::Int(v)) => put(out, v),
            (Native::Int(_) | Native::Unsigned(_) | Native::Bit(_), V::Unsigned(v)) => put(out, v),
            (Native::Int(_) | Native::Unsigned(_) | Native::Bit(_), V::Bool(v)) => put(out, u8::from(v)),
            (Native::Decimal { .. }, V::Int(v)) => put(out, v),
            (Native::Decimal { .. }, V::Unsigned(v)) => put(out, v),
            (Native::Decimal { scale, .. }, V::Decimal(v)) => decimal(v, *scale, out)?,
            (Native::Float, V::Float32(v)) => float(f64::from(v), out)?,
            (Native::Float, V::Float64(v)) if f64::from(v as f32).to_bits() == v.to_bits() => float(v, out)?,
            (Native::Double, V::Float32(v)) => float(f64::from(v), out)?,
            (Native::Double, V::Float64(v)) => float(v, out)?,
            (Native::Double, V::Int(v)) if v.unsigned_abs() <= 1 << 53 => put(out, format_args!("{v}e0")),
            (Native::Date, V::Date(v)) => quoted(&day(v)?, out),
            (Native::DateTime(digits), V::DateTime(date, nanos)) => moment(date, nanos, *digits, out)?,
            (Native::DateTime(digits) | Native::Timestamp(digits), V::Instant(seconds, nanos)) => {
                instant(seconds, nanos, *digits, out)?;
            }
            (Native::Timestamp(_), ZERO_TIMESTAMP) => quoted("0000-00-00 00:00:00", out),
            (Native::Time(digits), V::Time(nanos)) => {
                precise(nanos, *digits)?;
                quoted(&clock(nanos), out);
            }
            (Native::Text(_), V::Text(v) | V::Json(v)) => self.text(v, out)?,
            (Native::Text(charset), V::Native(name, bytes)) if charset.name == name => raw(charset, bytes, out),
            (Native::Text(_), value) if self.text_only => {
                return Err(format!("is {}, and would be another key as text", kind(value)));
            }
            (Native::Text(_), value) => self.text(&spelled(value)?, out)?,
            (Native::Bytes { width: Some(width) }, V::Bytes(v)) if v.len() != *width as usize => {
                return Err(format!("has {} bytes, the column exactly {width}", v.len()));
            }
            (Native::Bytes { .. }, V::Bytes(v)) => bytes(v, out),
            (Native::Enum(_), INVALID_ENUM) => put(out, 1),
            (Native::Enum(labels), V::Text(v)) => match labels.iter().position(|label| label == v) {
                Some(place) => put(out, place + 1),
                None => return Err("is none of the column's labels".to_owned()),
            },
            (Native::Set(labels), V::Text(v)) => put(out, bits(labels, v)?),
            (Native::Json, V::Json(v) | V::Text(v)) => escaped(v.as_bytes(), out),
            (Native::Geometry, V::Native("geometry", v)) | (Native::Vector, V::Native("vector", v)) => bytes(v, out),
            (Native::Uuid, V::Uuid(v)) => quoted(&uuid::Uuid::from_bytes(v).to_string(), out),
            (Native::Uuid | Native::Inet6 | Native::Inet4, V::Text(v)) => escaped(v.as_bytes(), out),
            (native, value) => return Err(format!("is {}, the column {:?}", kind(value), native.kind())),
        }
        Ok(())
    }

    /// Whether its values can be parameters: the server takes text and bytes for what the column wants, all else needs a
    /// literal's introducer.
    pub fn is_bindable(&self) -> bool {
        !matches!(self.native, Native::Geometry | Native::Vector)
    }

    /// Whether the server compares it with a list of values as with each of them: those that it takes for numbers here and
    /// for text there are left out.
    pub fn is_listable(&self) -> bool {
        use Native as N;
        let numbers = matches!(self.native, N::Int(_) | N::Unsigned(_) | N::Year | N::Decimal { .. });
        let times = matches!(self.native, N::Date | N::DateTime(_) | N::Timestamp(_) | N::Time(_));
        numbers || times || matches!(self.native, N::Text(_) | N::Bytes { .. } | N::Uuid)
    }

    /// The value as a parameter, of the same kind for all values of a column; refused as `literal` does. `None`: it has a
    /// literal only.
    pub fn bind(&self, value: ValueRef<'_>) -> Result<Option<Bound>, Misfit> {
        use ValueRef as V;
        Ok(Some(match (&self.native, value) {
            (_, V::Null) => Bound::NULL,
            (Native::Int(_), V::Int(v)) => Bound::Int(v),
            (Native::Year, V::Int(v)) => Bound::Int(year(v)?),
            (Native::Unsigned(_) | Native::Bit(_), V::Unsigned(v)) => Bound::UInt(v),
            (Native::Text(_), V::Text(v) | V::Json(v)) => {
                self.limit.takes(v)?;
                Bound::Bytes(v.as_bytes().to_vec())
            }
            (Native::Json, V::Json(v) | V::Text(v)) => Bound::Bytes(v.as_bytes().to_vec()),
            (Native::Bytes { width: None }, V::Bytes(v)) => Bound::Bytes(v.to_vec()),
            (Native::Bytes { width: Some(width) }, V::Bytes(v)) if v.len() == *width as usize => {
                Bound::Bytes(v.to_vec())
            }
            (Native::Float, V::Float32(v)) if v.is_finite() => Bound::Double(f64::from(v)),
            (Native::Double, V::Float64(v)) if v.is_finite() => Bound::Double(v),
            (Native::Decimal { .. }, V::Decimal(_)) => {
                let mut text = Vec::new();
                self.literal(value, &mut text)?;
                Bound::Bytes(text)
            }
            (Native::Date, V::Date(_))
            | (Native::DateTime(_), V::DateTime(..) | V::Instant(..))
            | (Native::Timestamp(_), V::Instant(..) | ZERO_TIMESTAMP)
            | (Native::Time(_), V::Time(_))
            | (Native::Uuid, V::Uuid(_)) => {
                let mut quoted = Vec::new();
                self.literal(value, &mut quoted)?;
                Bound::Bytes(quoted[1..quoted.len() - 1].to_vec())
            }
            (Native::Inet6 | Native::Inet4, V::Text(v)) => Bound::Bytes(v.as_bytes().to_vec()),
            (Native::Enum(labels), V::Text(v)) => match labels.iter().position(|label| label == v) {
                Some(place) => Bound::Int(place as i64 + 1),
                None => return Ok(None),
            },
            (Native::Set(labels), V::Text(v)) => Bound::UInt(bits(labels, v)?),
            _ => return Ok(None),
        }))
    }

    /// The same for a statement that must be text: bytes as digits.
    pub fn plain(&self, value: ValueRef<'_>) -> Result<String, Misfit> {
        match (&self.native, value) {
            (Native::Bytes { .. }, ValueRef::Bytes(v)) => return Ok(format!("x'{}'", text::hex(v))),
            (Native::Geometry | Native::Vector, ValueRef::Native(_, v)) => return Ok(format!("x'{}'", text::hex(v))),
            _ => {}
        }
        let mut out = Vec::new();
        self.literal(value, &mut out)?;
        String::from_utf8(out).map_err(|_| "is no text".to_owned())
    }

    /// A condition that the column holds exactly this, NULL included: not what its collation takes for equal.
    pub fn is_exactly(&self, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<(), Misfit> {
        let name = &self.name;
        let charset = match (&self.native, value) {
            (_, ValueRef::Null) => None,
            (Native::Text(charset), _) => Some(charset.name.as_str()),
            (Native::Json, _) => Some("utf8mb4"),
            _ => None,
        };
        match (charset, &self.native) {
            (Some(charset), _) => {
                put(out, format_args!("CAST(CONVERT({name} USING {charset}) AS BINARY) <=> CAST(CONVERT("));
                self.literal(value, out)?;
                put(out, format_args!(" USING {charset}) AS BINARY)"));
            }
            // By number: the one that is none of the labels reads like an empty one.
            (None, Native::Enum(_)) if value == INVALID_ENUM => put(out, format_args!("{name} <=> 0")),
            (None, _) => {
                put(out, format_args!("{name} <=> "));
                self.literal(value, out)?;
            }
        }
        Ok(())
    }

    fn text(&self, text: &str, out: &mut Vec<u8>) -> Result<(), Misfit> {
        self.limit.takes(text)?;
        escaped(text.as_bytes(), out);
        Ok(())
    }
}

/// Whether a row of ours needs a second statement, in a mode that is not strict, for this value.
pub(super) fn is_invalid_label(value: ValueRef<'_>) -> bool {
    value == INVALID_ENUM
}

/// The server takes numbers of one or two digits for years of this century or the last.
fn year(value: i64) -> Result<i64, Misfit> {
    match value {
        0 | 1901..=2155 => Ok(value),
        _ => Err("is no year from 1901 to 2155".to_owned()),
    }
}

fn put(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    write!(out, "{value}").expect("a buffer takes it");
}

fn quoted(plain: &str, out: &mut Vec<u8>) {
    put(out, format_args!("'{plain}'"));
}

/// The connection speaks utf8mb4, and backslashes escape.
fn escaped(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'\'');
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\'' | b'\\' | 0)) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(match rest[at] {
            b'\'' => b"\\'",
            b'\\' => b"\\\\",
            _ => b"\\0",
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'\'');
}

fn bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"_binary");
    escaped(bytes, out);
}

/// Bytes of a character set of the server's; it looks whether they are well-formed.
fn raw(charset: &Charset, bytes: &[u8], out: &mut Vec<u8>) {
    put(out, format_args!("_{} x'{}'", charset.name, text::hex(bytes)));
}

fn decimal(value: Decimal<'_>, scale: u8, out: &mut Vec<u8>) -> Result<(), Misfit> {
    let digits = value.0.trim_start_matches('-');
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("is no number".to_owned());
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    // What does not fit is rounded with a note only.
    if fraction.trim_end_matches('0').len() > usize::from(scale) {
        return Err(format!("has more than {scale} digits behind the point"));
    }
    if whole.len() > 65 {
        return Err("has more than 65 digits".to_owned());
    }
    let sign = &value.0[..value.0.len() - digits.len()];
    let kept = fraction.len().min(usize::from(scale));
    match kept {
        0 => put(out, format_args!("{sign}{whole}")),
        kept => put(out, format_args!("{sign}{whole}.{}", &fraction[..kept])),
    }
    Ok(())
}

/// With an exponent, so that it is no decimal to the server; all digits that tell it from its neighbours.
fn float(value: f64, out: &mut Vec<u8>) -> Result<(), Misfit> {
    match value.is_finite() {
        true => put(out, format_args!("{value:e}")),
        false => return Err("is not a finite number".to_owned()),
    }
    Ok(())
}

fn bits(labels: &[String], text: &str) -> Result<u64, Misfit> {
    let mut bits = 0;
    for label in text.split(',').filter(|_| !text.is_empty()) {
        let place = labels.iter().position(|known| known == label);
        bits |= 1 << place.ok_or_else(|| "has a label that the column lacks".to_owned())?;
    }
    Ok(bits)
}

fn day(date: Date) -> Result<String, Misfit> {
    match date.year {
        0..=9999 => Ok(format!("{:04}-{:02}-{:02}", date.year, date.month, date.day)),
        _ => Err("is outside of the years 0 to 9999".to_owned()),
    }
}

fn moment(date: Date, nanos: i64, digits: u8, out: &mut Vec<u8>) -> Result<(), Misfit> {
    precise(nanos, digits)?;
    quoted(&format!("{} {}", day(date)?, clock(nanos)), out);
    Ok(())
}

fn instant(seconds: i64, nanos: u32, digits: u8, out: &mut Vec<u8>) -> Result<(), Misfit> {
    // Far enough from where days would overflow; `day` draws the line.
    if !(-1 << 40..1 << 40).contains(&seconds) {
        return Err("is outside of the years 0 to 9999".to_owned());
    }
    let of_day = seconds.rem_euclid(86_400) * 1_000_000_000 + i64::from(nanos);
    moment(values::date_of(seconds.div_euclid(86_400)), of_day, digits, out)
}

/// The server would round what the column does not keep, and say nothing.
fn precise(nanos: i64, digits: u8) -> Result<(), Misfit> {
    let unit = 10_i64.pow(9 - u32::from(digits.min(6)));
    match nanos % unit {
        0 => Ok(()),
        _ => Err(format!("has more than {digits} digits of a second")),
    }
}

/// `-838:59:59.000001`.
fn clock(nanos: i64) -> String {
    const SECOND: u64 = 1_000_000_000;
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let seconds = nanos / SECOND;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match nanos % SECOND / 1_000 {
        0 => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
        micros => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}.{micros:06}"),
    }
}

/// Kinds of other stores in a column of text: those whose text is no matter of taste.
fn spelled(value: ValueRef<'_>) -> Result<String, Misfit> {
    Ok(match value {
        ValueRef::Int(v) => v.to_string(),
        ValueRef::Unsigned(v) => v.to_string(),
        ValueRef::Bool(v) => v.to_string(),
        ValueRef::Float64(v) => v.to_string(),
        ValueRef::Float32(v) => v.to_string(),
        ValueRef::Decimal(v) => v.0.to_owned(),
        ValueRef::Uuid(v) => uuid::Uuid::from_bytes(v).to_string(),
        ValueRef::Date(v) => day(v)?,
        ValueRef::DateTime(date, nanos) => format!("{} {}", day(date)?, clock(nanos)),
        ValueRef::Time(v) => clock(v),
        ValueRef::Interval(v) => format!("{} months {} days {} ns", v.months, v.days, v.nanos),
        other => return Err(format!("is {}, the column text", kind(other))),
    })
}

/// A value's kind, without the value.
fn kind(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Native(name, _) => format!("of the source's own type `{name}`"),
        other => {
            let shown = format!("{other:?}");
            let end = shown.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(shown.len());
            format!("of kind {}", &shown[..end])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(declared: &str, value: ValueRef<'_>) -> Result<String, Misfit> {
        let mut out = Vec::new();
        Slot::new("c", declared, Native::of(declared).unwrap()).literal(value, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn literals() {
        let date = Date { year: 2024, month: 0, day: 0 };
        for (declared, value, literal) in [
            ("bigint unsigned", ValueRef::Unsigned(u64::MAX), "18446744073709551615"),
            ("decimal(10,2)", ValueRef::Decimal(Decimal("-0.5000")), "-0.50"),
            ("decimal(10,0)", ValueRef::Decimal(Decimal("7.0")), "7"),
            ("float", ValueRef::Float32(16_777.217), "1.6777216796875e4"),
            ("double", ValueRef::Float64(-0.0), "-0e0"),
            ("date", ValueRef::Date(date), "'2024-00-00'"),
            ("datetime(3)", ValueRef::DateTime(date, 1_002_000_000), "'2024-00-00 00:00:01.002000'"),
            ("timestamp", ValueRef::Instant(1_000_000_000, 0), "'2001-09-09 01:46:40'"),
            ("time(6)", ValueRef::Time(-3_020_399_000_001_000), "'-838:59:59.000001'"),
            ("varchar(9) CHARACTER SET latin1", ValueRef::Text("a'\\\0é"), "'a\\'\\\\\\0é'"),
            ("text CHARACTER SET gbk", ValueRef::Native("gbk", b"\xff\x27"), "_gbk x'ff27'"),
            ("varbinary(3)", ValueRef::Bytes(b"ab'"), "_binary'ab\\''"),
            ("enum('a','')", ValueRef::Text(""), "2"),
            ("set('a','b','c')", ValueRef::Text("a,c"), "5"),
            ("set('a')", ValueRef::Text(""), "0"),
            ("year(4)", ValueRef::Int(0), "0"),
            ("bit(64)", ValueRef::Unsigned(1 << 63), "9223372036854775808"),
        ] {
            assert_eq!(written(declared, value), Ok(literal.to_owned()), "{declared}");
        }
    }

    #[test]
    fn what_would_be_bent_is_refused() {
        for (declared, value) in [
            ("decimal(10,2)", ValueRef::Decimal(Decimal("0.001"))),
            ("decimal(10,2)", ValueRef::Decimal(Decimal("NaN"))),
            ("float", ValueRef::Float64(0.1)),
            ("double", ValueRef::Float64(f64::INFINITY)),
            ("datetime", ValueRef::DateTime(Date { year: 1, month: 1, day: 1 }, 1_000)),
            ("datetime(6)", ValueRef::DateTime(Date::INFINITY, 0)),
            ("timestamp", ValueRef::Instant(i64::MAX, 0)),
            ("time", ValueRef::Time(500_000_000)),
            ("varchar(2) CHARACTER SET utf8mb4", ValueRef::Text("a  ")),
            ("char(5) CHARACTER SET utf8mb4", ValueRef::Text("a ")),
            ("binary(4)", ValueRef::Bytes(b"ab")),
            ("enum('a')", ValueRef::Text("A")),
            ("set('a')", ValueRef::Text("a,b")),
            ("int", ValueRef::Text("1")),
            ("blob", ValueRef::Text("1")),
            ("text CHARACTER SET utf8mb4", ValueRef::Native("geometry", b"")),
            ("year(4)", ValueRef::Int(5)),
            ("bit(64)", ValueRef::Int(-1)),
            ("tinytext CHARACTER SET utf8mb4", ValueRef::Text(&format!("é{}", " ".repeat(254)))),
            ("tinytext CHARACTER SET utf16", ValueRef::Text(&" ".repeat(128))),
        ] {
            assert!(written(declared, value).is_err(), "{declared}");
            let bound = Slot::new("c", declared, Native::of(declared).unwrap()).bind(value);
            assert!(bound.is_err() || bound == Ok(None), "{declared}");
        }
        let full = "é".repeat(255);
        written("tinytext CHARACTER SET latin1", ValueRef::Text(&full)).expect("a byte each");
        let mut key = Slot::new("c", "varchar(9)", Native::of("varchar(9) CHARACTER SET utf8mb4").unwrap());
        key.text_only = true;
        assert!(key.literal(ValueRef::Int(1), &mut Vec::new()).is_err() && key.bind(ValueRef::Int(1)) == Ok(None));
        key.literal(ValueRef::Text("1"), &mut Vec::new()).expect("as it is");
    }
}
