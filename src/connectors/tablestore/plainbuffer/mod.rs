//! Tablestore's row format: cells of name, value, operation and time, each with a checksum. Pure.
//!
//! ```text
//! buffer = 75 00 00 00  row*
//! row    = [01 cell*] [02 cell*] [08] [0B extension] 09 crc     key, attributes, "row is deleted", sequence
//! cell   = 03  04 u32 name  [05 u32 value]  [06 op]  [07 i64 ms]  0A crc
//! ```
//!
//! Integers are little-endian. A request holds one row a buffer, an answer any number.

pub mod cell;
pub mod decode;
pub mod encode;
mod reader;
pub mod value;

#[cfg(test)]
pub mod golden;

pub(super) use cell::{Act, Cell, Op};
pub(super) use decode::{Row, Rows, Sequence};
pub(super) use reader::{Corrupt, Reader};
pub(super) use value::Value;

pub(super) const HEADER: u32 = 0x75;

/// What stands before a part.
pub(super) mod tag {
    pub const KEY: u8 = 0x01;
    pub const DATA: u8 = 0x02;
    pub const CELL: u8 = 0x03;
    pub const NAME: u8 = 0x04;
    pub const VALUE: u8 = 0x05;
    pub const OP: u8 = 0x06;
    pub const TIMESTAMP: u8 = 0x07;
    pub const DELETED: u8 = 0x08;
    pub const ROW_CRC: u8 = 0x09;
    pub const CELL_CRC: u8 = 0x0a;
    pub const EXTENSION: u8 = 0x0b;
    pub const SEQUENCE: u8 = 0x0c;
    pub const EPOCH: u8 = 0x0d;
    pub const SEQUENCE_US: u8 = 0x0e;
    pub const ROW_INDEX: u8 = 0x0f;
}
