//! The CRC32 at the end of an event, as the log's format says.

use super::{Bytes, HEADER, header};
use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Checksum {
    /// No format was seen: the first event of a stream may have one or not.
    #[default]
    Unknown,
    None,
    Crc32,
}

const LENGTH: usize = 4;

impl Checksum {
    /// A format event names the algorithm in the byte before its own checksum, which is always there.
    pub fn of_format(raw: &[u8]) -> Option<Checksum> {
        let at = raw.len().checked_sub(LENGTH + 1).filter(|&at| at >= HEADER)?;
        match Bytes(&raw[at..]).u8()? {
            0 => Some(Checksum::None),
            1 => Some(Checksum::Crc32),
            _ => None,
        }
    }

    /// The body without its checksum. A stream's format event may have been changed on its way (marked as in use): the
    /// server then writes its checksum anew, or zero where there are none.
    pub fn proven(self, raw: &[u8], is_format: bool) -> Result<&[u8]> {
        let body = &raw[HEADER..];
        let Some((head, sum)) = raw.split_last_chunk::<LENGTH>().filter(|(head, _)| head.len() >= HEADER) else {
            return Ok(body);
        };
        let is_right = crc32fast::hash(head) == u32::from_le_bytes(*sum);
        let cut = &head[HEADER..];
        match (self, is_format) {
            (Checksum::None, true) => Ok(&cut[..cut.len() - 1]),
            (Checksum::None, false) => Ok(body),
            (Checksum::Crc32, true) if is_right => Ok(&cut[..cut.len() - 1]),
            (Checksum::Unknown | Checksum::Crc32, false) if is_right => Ok(cut),
            (Checksum::Unknown, _) => Ok(body),
            (Checksum::Crc32, _) => {
                let kind = header(raw).map_or(0, |header| header.kind);
                Err(Error::transient(format!("an event of the log (kind {kind}) does not agree with its checksum"))
                    .hint(
                        "if it stays, a disk or the network damages data: `mysqlbinlog --verify-binlog-checksum` tells",
                    ))
            }
        }
    }
}
