//! Takes little-endian parts off the front of bytes that may be anything.

use std::fmt;

/// What is wrong with bytes that should be rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corrupt(pub String);

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "corrupt rows: {}", self.0)
    }
}

impl std::error::Error for Corrupt {}

impl Corrupt {
    pub fn new(what: impl Into<String>) -> Corrupt {
        Corrupt(what.into())
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    whole: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { whole: bytes, rest: bytes }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes were taken.
    pub fn taken(&self) -> usize {
        self.whole.len() - self.rest.len()
    }

    pub fn wrong(&self, what: &str) -> Corrupt {
        Corrupt(format!("{what} at byte {}", self.taken()))
    }

    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], Corrupt> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.wrong("they end too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(|| self.wrong("they end too early"))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub fn u8(&mut self) -> Result<u8, Corrupt> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u16(&mut self) -> Result<u16, Corrupt> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Corrupt> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, Corrupt> {
        self.array().map(i32::from_le_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, Corrupt> {
        self.array().map(i64::from_le_bytes)
    }

    /// A length, and that many bytes.
    pub fn sized(&mut self) -> Result<&'a [u8], Corrupt> {
        let length = self.u32()? as usize;
        self.bytes(length)
    }

    /// Whether the next byte is this one, which is then taken.
    pub fn takes(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    pub fn expect(&mut self, byte: u8, what: &str) -> Result<(), Corrupt> {
        match self.takes(byte) {
            true => Ok(()),
            false => Err(self.wrong(what)),
        }
    }

    pub fn name(&mut self, length: usize) -> Result<&'a str, Corrupt> {
        let bytes = self.bytes(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.wrong("a column's name is no UTF-8"))
    }
}
