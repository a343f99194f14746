//! Reads rows, borrowed from the buffer, in one pass, with every checksum verified.

use super::{Cell, Corrupt, HEADER, Op, Reader, Value, tag};
use crate::connectors::tablestore::crc::Crc;

/// One row of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row<'a> {
    pub key: Vec<Cell<'a>>,
    /// By name, and the newest version first, as the service is known to send them.
    pub cells: Vec<Cell<'a>>,
    pub deleted: bool,
    /// Of a record of a stream or tunnel.
    pub sequence: Option<Sequence>,
}

/// Where a record stands in its shard or channel, and only there: the epoch is always 0 today.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence {
    pub epoch: i32,
    pub timestamp_us: i64,
    /// Orders records of the same time.
    pub row_index: i32,
}

/// The rows of one buffer.
#[derive(Debug)]
pub struct Rows<'a> {
    reader: Reader<'a>,
}

impl<'a> Rows<'a> {
    /// No bytes at all are no rows: so an absent row and an empty range are answered.
    pub fn read(bytes: &'a [u8]) -> Result<Rows<'a>, Corrupt> {
        let mut reader = Reader::new(bytes);
        if !bytes.is_empty() && reader.u32()? != HEADER {
            return Err(reader.wrong("they do not start as rows do"));
        }
        Ok(Rows { reader })
    }

    /// The only row.
    pub fn one(bytes: &'a [u8]) -> Result<Row<'a>, Corrupt> {
        let mut rows = Rows::read(bytes)?;
        let row = rows.next().unwrap_or_else(|| Err(Corrupt::new("there is no row")))?;
        match rows.next() {
            None => Ok(row),
            Some(_) => Err(Corrupt::new("there is more than one row")),
        }
    }

    /// Fills `row`, whose room is used again; false: there is none left.
    pub fn next_into(&mut self, row: &mut Row<'a>) -> Result<bool, Corrupt> {
        // Some writers pad with zeros; where a row follows, the first byte ends the look.
        if self.reader.rest().iter().all(|byte| *byte == 0) {
            self.reader = Reader::new(&[]);
            return Ok(false);
        }
        let reader = &mut self.reader;
        let mut crc = Crc::default();
        for (tag, cells) in [(tag::KEY, &mut row.key), (tag::DATA, &mut row.cells)] {
            cells.clear();
            if reader.takes(tag) {
                while reader.takes(tag::CELL) {
                    let (cell, sum) = cell(reader)?;
                    crc.byte(sum);
                    cells.push(cell);
                }
            }
        }
        row.deleted = reader.takes(tag::DELETED);
        crc.byte(u8::from(row.deleted));
        row.sequence = match reader.takes(tag::EXTENSION) {
            true => extension(reader.sized()?)?,
            false => None,
        };
        reader.expect(tag::ROW_CRC, "a row does not end where it should")?;
        match reader.u8()? == crc.0 {
            true => Ok(true),
            false => Err(reader.wrong("a row's checksum does not fit")),
        }
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<Row<'a>, Corrupt>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut row = Row::default();
        match self.next_into(&mut row) {
            Ok(true) => Some(Ok(row)),
            Ok(false) => None,
            Err(corrupt) => {
                self.reader = Reader::new(&[]);
                Some(Err(corrupt))
            }
        }
    }
}

/// Behind its tag. Returns its checksum besides.
fn cell<'a>(reader: &mut Reader<'a>) -> Result<(Cell<'a>, u8), Corrupt> {
    let mut crc = Crc::default();
    reader.expect(tag::NAME, "a cell has no name")?;
    let length = reader.u32()? as usize;
    let name = reader.name(length)?;
    crc.bytes(name.as_bytes());
    let value = match reader.takes(tag::VALUE) {
        false => None,
        true => {
            let wire = reader.sized()?;
            crc.bytes(wire);
            Some(Value::from_variant(wire).map_err(|Corrupt(what)| reader.wrong(&what))?)
        }
    };
    let op = match reader.takes(tag::OP) {
        false => None,
        true => {
            let byte = reader.u8()?;
            Some(Op::of(byte).ok_or_else(|| reader.wrong(&format!("a cell has the unknown operation {byte}")))?)
        }
    };
    let timestamp_ms = match reader.takes(tag::TIMESTAMP) {
        false => None,
        true => {
            let wire = reader.array()?;
            crc.bytes(&wire);
            Some(i64::from_le_bytes(wire))
        }
    };
    if let Some(op) = op {
        crc.byte(op as u8);
    }
    reader.expect(tag::CELL_CRC, "a cell does not end where it should")?;
    match reader.u8()? == crc.0 {
        true => Ok((Cell { name, value, op, timestamp_ms }, crc.0)),
        false => Err(reader.wrong("a cell's checksum does not fit")),
    }
}

/// Parts that are unknown have a length and are passed over: the service may add some.
fn extension(bytes: &[u8]) -> Result<Option<Sequence>, Corrupt> {
    let mut reader = Reader::new(bytes);
    let mut found = None;
    while !reader.rest().is_empty() {
        let tag = reader.u8()?;
        let part = reader.sized()?;
        if tag == tag::SEQUENCE {
            found = Some(sequence(part)?);
        }
    }
    Ok(found)
}

fn sequence(bytes: &[u8]) -> Result<Sequence, Corrupt> {
    let mut reader = Reader::new(bytes);
    reader.expect(tag::EPOCH, "a sequence has no epoch")?;
    let epoch = reader.i32()?;
    reader.expect(tag::SEQUENCE_US, "a sequence has no time")?;
    let timestamp_us = reader.i64()?;
    reader.expect(tag::ROW_INDEX, "a sequence has no row's number")?;
    let row_index = reader.i32()?;
    Ok(Sequence { epoch, timestamp_us, row_index })
}
