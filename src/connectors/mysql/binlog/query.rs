//! Statements in the log.

use super::{bytes::Bytes, inflate};
use std::borrow::Cow;

/// A statement, and what it was run under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Query<'a> {
    /// The session's database.
    pub schema: String,
    /// In the client's character set.
    pub text: Cow<'a, [u8]>,
    /// The client's collation; `None`: not said.
    pub collation: Option<u16>,
    pub sql_mode: u64,
    /// Of `LOAD DATA` in statement format.
    pub is_load: bool,
}

impl Query<'_> {
    pub const ANSI_QUOTES: u64 = 4;
    pub const NO_BACKSLASH_ESCAPES: u64 = 1 << 20;

    pub fn of_load(body: &[u8]) -> Query<'_> {
        let empty = Query {
            schema: String::new(),
            text: Cow::Borrowed(b"LOAD DATA"),
            collation: None,
            sql_mode: 0,
            is_load: true,
        };
        read_with(body, false, 26 - 13).map_or(empty, |query| Query { is_load: true, ..query })
    }
}

pub(super) fn read(body: &[u8], compressed: bool) -> Option<Query<'_>> {
    read_with(body, compressed, 0)
}

/// `more`: bytes of the post-header after those of a plain statement.
fn read_with(body: &[u8], compressed: bool, more: usize) -> Option<Query<'_>> {
    let mut bytes = Bytes(body);
    bytes.take(8)?;
    let schema_length = usize::from(bytes.u8()?);
    bytes.take(2)?;
    let variables_length = usize::from(bytes.u16()?);
    bytes.take(more)?;
    let (sql_mode, collation) = variables(bytes.take(variables_length)?);
    let schema = String::from_utf8_lossy(bytes.take(schema_length)?).into_owned();
    if bytes.u8()? != 0 {
        return None;
    }
    let text = match compressed {
        true => Cow::Owned(inflate::event(bytes.rest())?),
        false => Cow::Borrowed(bytes.rest()),
    };
    Some(Query { schema, text, collation, sql_mode, is_load: false })
}

/// The two we want; those after them, and any that is not known, end the look.
fn variables(bytes: &[u8]) -> (u64, Option<u16>) {
    let mut bytes = Bytes(bytes);
    let (mut sql_mode, mut collation) = (0, None);
    let mut step = || {
        match bytes.u8()? {
            0 => drop(bytes.take(4)?),
            1 => sql_mode = bytes.u64()?,
            // The catalogue, by an old server with a zero at its end.
            2 => {
                let length = bytes.u8()?;
                bytes.take(usize::from(length) + 1)?;
            }
            6 => {
                let length = bytes.u8()?;
                bytes.take(usize::from(length))?;
            }
            3 => drop(bytes.take(4)?),
            4 => {
                collation = Some(bytes.u16()?);
                bytes.take(4)?;
            }
            _ => return None,
        }
        Some(())
    };
    while step().is_some() {}
    (sql_mode, collation)
}
