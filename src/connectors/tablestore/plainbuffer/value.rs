//! A value as it stands on the wire: a type and its payload. Alone, it is what filters and partition bounds hold.

use super::{Corrupt, Reader};

/// Borrowed from the buffer. Text is not proven to be UTF-8: one row that some writer spoiled must not hide its page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Integer(i64),
    Double(f64),
    Boolean(bool),
    String(&'a [u8]),
    Blob(&'a [u8]),
    /// Below every value of a key; in bounds only.
    InfMin,
    /// Above every value of a key; in bounds only.
    InfMax,
    /// The service picks it; in puts only.
    AutoIncrement,
}

pub mod kind {
    pub const INTEGER: u8 = 0x00;
    pub const DOUBLE: u8 = 0x01;
    pub const BOOLEAN: u8 = 0x02;
    pub const STRING: u8 = 0x03;
    /// In matrix blocks only: the row has no such column.
    pub const NULL: u8 = 0x06;
    pub const BLOB: u8 = 0x07;
    pub const INF_MIN: u8 = 0x09;
    pub const INF_MAX: u8 = 0x0a;
    pub const AUTO_INCREMENT: u8 = 0x0b;
}

impl<'a> Value<'a> {
    pub fn text(text: &'a str) -> Value<'a> {
        Value::String(text.as_bytes())
    }

    pub fn kind(&self) -> u8 {
        match self {
            Value::Integer(_) => kind::INTEGER,
            Value::Double(_) => kind::DOUBLE,
            Value::Boolean(_) => kind::BOOLEAN,
            Value::String(_) => kind::STRING,
            Value::Blob(_) => kind::BLOB,
            Value::InfMin => kind::INF_MIN,
            Value::InfMax => kind::INF_MAX,
            Value::AutoIncrement => kind::AUTO_INCREMENT,
        }
    }

    /// Bytes on the wire: the type and the payload.
    pub fn len(&self) -> usize {
        match self {
            Value::Integer(_) | Value::Double(_) => 9,
            Value::Boolean(_) => 2,
            Value::String(bytes) | Value::Blob(bytes) => 5 + bytes.len(),
            Value::InfMin | Value::InfMax | Value::AutoIncrement => 1,
        }
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(self.kind());
        match self {
            Value::Integer(number) => out.extend_from_slice(&number.to_le_bytes()),
            Value::Double(number) => out.extend_from_slice(&number.to_bits().to_le_bytes()),
            Value::Boolean(truth) => out.push(u8::from(*truth)),
            Value::String(bytes) | Value::Blob(bytes) => {
                out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                out.extend_from_slice(bytes);
            }
            Value::InfMin | Value::InfMax | Value::AutoIncrement => {}
        }
    }

    pub fn read(reader: &mut Reader<'a>) -> Result<Value<'a>, Corrupt> {
        let kind = reader.u8()?;
        Value::of_kind(kind, reader)
    }

    /// The payload of a type that was read already.
    pub fn of_kind(kind: u8, reader: &mut Reader<'a>) -> Result<Value<'a>, Corrupt> {
        Ok(match kind {
            kind::INTEGER => Value::Integer(reader.i64()?),
            kind::DOUBLE => Value::Double(f64::from_bits(u64::from_le_bytes(reader.array()?))),
            kind::BOOLEAN => Value::Boolean(match reader.u8()? {
                0 => false,
                1 => true,
                other => return Err(reader.wrong(&format!("a truth value is {other}"))),
            }),
            kind::STRING => Value::String(reader.sized()?),
            kind::BLOB => Value::Blob(reader.sized()?),
            kind::INF_MIN => Value::InfMin,
            kind::INF_MAX => Value::InfMax,
            kind::AUTO_INCREMENT => Value::AutoIncrement,
            other => return Err(reader.wrong(&format!("a value has the unknown type {other}"))),
        })
    }

    /// Alone, as filters and partition bounds hold it.
    pub fn to_variant(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len());
        self.write(&mut out);
        out
    }

    pub fn from_variant(bytes: &'a [u8]) -> Result<Value<'a>, Corrupt> {
        let mut reader = Reader::new(bytes);
        let value = Value::read(&mut reader)?;
        match reader.rest() {
            [] => Ok(value),
            _ => Err(reader.wrong("more follows a value that stands alone")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::tablestore::plainbuffer::golden::bytes;

    #[test]
    fn variants_are_the_official_ones() {
        let known = [
            (Value::Integer(5), "000500000000000000"),
            (Value::text("ab"), "03020000006162"),
            (Value::Boolean(true), "0201"),
            (Value::Double(1.5), "01000000000000f83f"),
            (Value::Blob(&[1]), "070100000001"),
            (Value::InfMin, "09"),
            (Value::InfMax, "0a"),
        ];
        for (value, wire) in known {
            let wire = bytes(wire);
            assert_eq!(value.to_variant(), wire);
            assert_eq!(Value::from_variant(&wire).unwrap(), value);
            assert_eq!(value.len(), wire.len());
            assert!(Value::from_variant(&wire[..wire.len() - 1]).is_err());
            assert!(Value::from_variant(&[&wire[..], &[0]].concat()).is_err());
        }
    }
}
