//! One cell of a row: its name and what is said of it.

use super::{Corrupt, Value, tag};
use crate::connectors::tablestore::crc::Crc;

/// As it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell<'a> {
    pub name: &'a str,
    pub value: Option<Value<'a>>,
    pub op: Option<Op>,
    /// Milliseconds since 1970: the version.
    pub timestamp_ms: Option<i64>,
}

/// The byte of a cell that is more than a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Op {
    DeleteAll = 0x01,
    DeleteOne = 0x03,
    Increment = 0x04,
}

/// What a cell of a change does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act<'a> {
    /// Without a time the service's clock gives one.
    Put(Value<'a>, Option<i64>),
    /// All versions go.
    DeleteAll,
    /// The version of that time goes.
    DeleteOne(i64),
    Increment(i64),
}

impl Op {
    pub fn of(byte: u8) -> Option<Op> {
        [Op::DeleteAll, Op::DeleteOne, Op::Increment].into_iter().find(|op| *op as u8 == byte)
    }
}

impl<'a> Cell<'a> {
    /// A column of a key, or an attribute that gets the service's time.
    pub fn put(name: &'a str, value: Value<'a>) -> Cell<'a> {
        Cell { name, value: Some(value), op: None, timestamp_ms: None }
    }

    pub fn put_at(name: &'a str, value: Value<'a>, timestamp_ms: i64) -> Cell<'a> {
        Cell { name, value: Some(value), op: None, timestamp_ms: Some(timestamp_ms) }
    }

    pub fn delete_all(name: &'a str) -> Cell<'a> {
        Cell { name, value: None, op: Some(Op::DeleteAll), timestamp_ms: None }
    }

    pub fn delete_one(name: &'a str, timestamp_ms: i64) -> Cell<'a> {
        Cell { name, value: None, op: Some(Op::DeleteOne), timestamp_ms: Some(timestamp_ms) }
    }

    pub fn increment(name: &'a str, by: i64) -> Cell<'a> {
        Cell { name, value: Some(Value::Integer(by)), op: Some(Op::Increment), timestamp_ms: None }
    }

    /// What it does to its row, if it is one of the forms that are documented.
    pub fn act(&self) -> Result<Act<'a>, Corrupt> {
        match (self.op, self.value, self.timestamp_ms) {
            (None, Some(value), time) => Ok(Act::Put(value, time)),
            (Some(Op::DeleteAll), None, None) => Ok(Act::DeleteAll),
            (Some(Op::DeleteOne), None, Some(time)) => Ok(Act::DeleteOne(time)),
            (Some(Op::Increment), Some(Value::Integer(by)), None) => Ok(Act::Increment(by)),
            (op, value, time) => Err(Corrupt(format!(
                "the cell `{}` has {} and {} for {}",
                self.name,
                value.map_or("no value", |_| "a value"),
                time.map_or("no time", |_| "a time"),
                op.map_or("a put".to_owned(), |op| format!("{op:?}")),
            ))),
        }
    }

    /// Bytes on the wire.
    pub fn len(&self) -> usize {
        let value = self.value.map_or(0, |value| 5 + value.len());
        let op = self.op.map_or(0, |_| 2);
        let time = self.timestamp_ms.map_or(0, |_| 9);
        1 + 5 + self.name.len() + value + op + time + 2
    }

    /// Returns the cell's checksum, which goes into the row's.
    pub fn write(&self, out: &mut Vec<u8>) -> u8 {
        let mut crc = Crc::default();
        out.extend_from_slice(&[tag::CELL, tag::NAME]);
        out.extend_from_slice(&(self.name.len() as u32).to_le_bytes());
        out.extend_from_slice(self.name.as_bytes());
        crc.bytes(self.name.as_bytes());
        if let Some(value) = &self.value {
            out.push(tag::VALUE);
            out.extend_from_slice(&(value.len() as u32).to_le_bytes());
            let start = out.len();
            value.write(out);
            crc.bytes(&out[start..]);
        }
        if let Some(op) = self.op {
            out.extend_from_slice(&[tag::OP, op as u8]);
        }
        if let Some(time) = self.timestamp_ms {
            out.push(tag::TIMESTAMP);
            out.extend_from_slice(&time.to_le_bytes());
            crc.bytes(&time.to_le_bytes());
        }
        // On the wire it comes before the time, in the sum behind it.
        if let Some(op) = self.op {
            crc.byte(op as u8);
        }
        out.extend_from_slice(&[tag::CELL_CRC, crc.0]);
        crc.0
    }
}
