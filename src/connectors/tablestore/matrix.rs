//! Reads a block of rows that share one list of columns (`SimpleRowMatrix`): no names, no times, one version. Pure.
//!
//! ```text
//! "SRM0"  i32 data_at  i32 options_at  i32 key columns  i32 attributes  { i16 length, name }*
//! options_at:  0A u8 whole keys   03 i32 rows
//! data_at:     { 02  value* }*
//! 01 u8 crc    over all before it
//! ```

use super::{
    crc::Crc,
    plainbuffer::{Corrupt, Reader, Value, value::kind},
};

const MAGIC: [u8; 4] = *b"SRM0";
const CRC: u8 = 0x01;
const ROW: u8 = 0x02;
const ROW_COUNT: u8 = 0x03;
const WHOLE_KEYS: u8 = 0x0a;

/// A block, borrowed. All of its rows were looked at once before the first is given.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Matrix<'a> {
    /// The first `key_columns` are of the key.
    pub columns: Vec<&'a str>,
    pub key_columns: usize,
    /// Whether those are all columns of the key.
    pub whole_keys: bool,
    pub rows: usize,
    data: &'a [u8],
}

impl<'a> Matrix<'a> {
    /// No bytes at all are no rows.
    pub fn read(block: &'a [u8]) -> Result<Matrix<'a>, Corrupt> {
        if block.is_empty() {
            return Ok(Matrix { columns: Vec::new(), key_columns: 0, whole_keys: true, rows: 0, data: block });
        }
        let mut reader = Reader::new(block);
        if reader.array()? != MAGIC {
            return Err(reader.wrong("they do not start as a matrix does"));
        }
        let end = match block {
            [body @ .., crc] if Crc::of(body) == *crc && body.last() == Some(&CRC) => body.len() - 1,
            _ => return Err(Corrupt::new("a matrix's checksum does not fit")),
        };
        let data_at = place(&mut reader, end)?;
        let options_at = place(&mut reader, end)?;
        let key_columns = place(&mut reader, end)?;
        let attributes = place(&mut reader, end)?;
        // No room is taken on the word of a count: they may be lies.
        let mut columns = Vec::new();
        for _ in 0..key_columns + attributes {
            let length = usize::from(reader.u16()?);
            columns.push(reader.name(length)?);
        }
        let (whole_keys, rows) = options(&block[options_at..end])?;
        let matrix = Matrix { columns, key_columns, whole_keys, rows, data: &block[data_at..end] };
        matrix.prove()?;
        Ok(matrix)
    }

    /// Row by row, into room that is used again; `None`: the row has no such column.
    pub fn each(&self, mut row: impl FnMut(&[Option<Value<'a>>])) -> Result<(), Corrupt> {
        let mut reader = Reader::new(self.data);
        let mut values = Vec::with_capacity(self.columns.len());
        for _ in 0..self.rows {
            values.clear();
            reader.expect(ROW, "a row does not start where it should")?;
            for _ in &self.columns {
                values.push(match reader.u8()? {
                    kind::NULL => None,
                    kind => Some(Value::of_kind(kind, &mut reader)?),
                });
            }
            row(&values);
        }
        match reader.rest() {
            [] => Ok(()),
            _ => Err(reader.wrong("more follows the rows that were told")),
        }
    }

    fn prove(&self) -> Result<(), Corrupt> {
        let mut lacks_key = false;
        self.each(|row| lacks_key |= row[..self.key_columns].contains(&None))?;
        match lacks_key {
            true => Err(Corrupt::new("a row lacks a column of its key")),
            false => Ok(()),
        }
    }
}

/// A place in the block, or a count of things in it: never more than its bytes.
fn place(reader: &mut Reader<'_>, end: usize) -> Result<usize, Corrupt> {
    usize::try_from(reader.i32()?)
        .ok()
        .filter(|at| *at <= end)
        .ok_or_else(|| reader.wrong("a place is outside of the block"))
}

/// In any order, and only these: an option that is unknown may change what the rows mean.
fn options(bytes: &[u8]) -> Result<(bool, usize), Corrupt> {
    let mut reader = Reader::new(bytes);
    let (mut whole_keys, mut rows) = (None, None);
    while whole_keys.is_none() || rows.is_none() {
        match reader.u8()? {
            WHOLE_KEYS => whole_keys = Some(reader.u8()? != 0),
            ROW_COUNT => rows = usize::try_from(reader.i32()?).ok(),
            other => return Err(reader.wrong(&format!("a matrix has the unknown option {other}"))),
        }
    }
    Ok((whole_keys.unwrap_or(true), rows.unwrap_or(0)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::{super::plainbuffer::golden::bytes, *};

    pub const OFFICIAL: &str = "53524d302a0000002300000002000000020000000200706b03007569640100630100640a0103020000000200\
         010000000000000003010000006103010000007801000000000000f83f020002000000000000000301000000620601000000000000044001\
         b8";

    /// What a service does.
    fn write(matrix: &Matrix<'_>) -> Vec<u8> {
        let names: Vec<u8> = matrix
            .columns
            .iter()
            .flat_map(|name| [&(name.len() as u16).to_le_bytes()[..], name.as_bytes()].concat())
            .collect();
        let mut out = MAGIC.to_vec();
        let options_at = 20 + names.len();
        for number in [options_at + 7, options_at, matrix.key_columns, matrix.columns.len() - matrix.key_columns] {
            out.extend_from_slice(&(number as i32).to_le_bytes());
        }
        out.extend_from_slice(&names);
        out.extend_from_slice(&[WHOLE_KEYS, u8::from(matrix.whole_keys), ROW_COUNT]);
        out.extend_from_slice(&(matrix.rows as i32).to_le_bytes());
        matrix
            .each(|row| {
                out.push(ROW);
                for value in row {
                    match value {
                        Some(value) => value.write(&mut out),
                        None => out.push(kind::NULL),
                    }
                }
            })
            .unwrap();
        out.push(CRC);
        out.push(Crc::of(&out));
        out
    }

    #[test]
    fn the_official_block_is_read_and_written_again() {
        let wire = bytes(OFFICIAL);
        let matrix = Matrix::read(&wire).unwrap();
        assert_eq!(matrix.columns, ["pk", "uid", "c", "d"]);
        assert_eq!((matrix.key_columns, matrix.whole_keys, matrix.rows), (2, true, 2));
        let mut rows = Vec::new();
        matrix.each(|row| rows.push(row.to_vec())).unwrap();
        let (text, number) = (|text| Some(Value::text(text)), |number| Some(Value::Integer(number)));
        assert_eq!(rows[0], [number(1), text("a"), text("x"), Some(Value::Double(1.5))]);
        assert_eq!(rows[1], [number(2), text("b"), None, Some(Value::Double(2.5))]);
        assert_eq!(write(&matrix), wire);
        assert_eq!(Matrix::read(&[]).unwrap().rows, 0);
    }

    #[test]
    fn any_bit_that_is_changed_is_noticed() {
        let whole = bytes(OFFICIAL);
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut spoiled = whole.clone();
                spoiled[at] ^= 1 << bit;
                assert!(Matrix::read(&spoiled).is_err(), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn counts_that_are_lies_take_no_memory() {
        let mut wire = bytes(OFFICIAL);
        for at in [4, 8, 12, 16, 37] {
            let mut spoiled = wire.clone();
            spoiled[at..at + 4].copy_from_slice(&i32::MAX.to_le_bytes());
            let end = spoiled.len() - 1;
            spoiled[end] = Crc::of(&spoiled[..end]);
            assert!(Matrix::read(&spoiled).is_err(), "at {at}");
        }
        wire.truncate(20);
        assert!(Matrix::read(&wire).is_err());
    }
}
