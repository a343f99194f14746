//! Reads the events of a binary log from plain bytes. Pure: no I/O, and no input makes it panic or take more than it holds.
//!
//! What an event is, is decided by its number and nothing is passed over: a kind that is not known and not marked as
//! ignorable by the server is an error, since it may hold rows.

mod bytes;
mod checksum;
mod inflate;
mod json;
mod query;
mod rows;
mod table_map;
mod value;

pub(super) use self::{
    bytes::{Bytes, bit},
    inflate::{Payload, column as column_bytes},
    json::text as json_text,
    query::Query,
    rows::{Operation, RowsEvent},
    table_map::{Layout, LoggedColumn, TableMap, kind},
    value::{Raw, decimal_text, raw_value},
};

use self::checksum::Checksum;
use super::gtid::{Domains, GtidSet, MariaGtid, MysqlGtid, Origin, take_packed};
use crate::error::{Error, Result};
use uuid::Uuid;

pub(super) const HEADER: usize = 19;

/// The common head of every event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Seconds since 1970, when the statement began.
    pub time: u32,
    pub kind: u8,
    pub server: u32,
    pub size: u32,
    pub flags: u16,
    /// Where it ends in its file, of which only 32 bits are there: past 4 GiB they start anew.
    pub end: u32,
    /// One of a compressed transaction, which is in the file as a whole.
    pub inner: bool,
    /// Made by the server for this stream, not a part of the file.
    pub artificial: bool,
}

/// What is told by one event.
pub(super) enum Event<'a> {
    /// How the events that follow are written.
    Format,
    /// The events that follow are in this file, from here.
    Rotate {
        file: &'a [u8],
        byte: u64,
    },
    /// MariaDB: a transaction begins.
    MariaGtid {
        gtid: MariaGtid,
        flags: u8,
    },
    /// MariaDB: everything in files before this one.
    Before(Domains),
    /// MySQL: a transaction begins. Committed then, µs since 1970, here and at the server that wrote it first; 0: not said.
    MysqlGtid {
        gtid: MysqlGtid,
        committed_us: u64,
        written_us: u64,
    },
    /// MySQL, GTIDs off: a transaction begins.
    Anonymous,
    /// MySQL: everything in files before this one.
    Previous(GtidSet),
    Query(Query<'a>),
    /// The transaction ends.
    Commit,
    /// The transaction ends, prepared under this name; `one_phase`: committed.
    XaPrepare {
        one_phase: bool,
        xid: String,
    },
    TableMap(TableMap<'a>),
    Rows(RowsEvent<'a>),
    /// The transaction's other events come behind it, out of it.
    Payload,
    /// The stream is alive.
    Heartbeat,
    /// Something was not logged.
    Incident(String),
    /// Known not to matter here.
    Nothing,
}

/// Flags of a MariaDB GTID event.
pub(super) mod maria {
    /// The one event that follows is the whole transaction.
    pub const STANDALONE: u8 = 1;
    /// Rows of an XA transaction, up to its prepare.
    pub const PREPARED_XA: u8 = 64;
}

impl Header {
    /// Whether the server says that it made it for this stream.
    pub fn is_marked(&self) -> bool {
        self.flags & ARTIFICIAL != 0
    }
}

const ARTIFICIAL: u16 = 0x20;
const IGNORABLE: u16 = 0x80;

#[derive(Debug, Default)]
pub(super) struct Decoder {
    checksum: Checksum,
    /// Lengths of post-headers by kind, from 1.
    heads: Vec<u8>,
}

impl Decoder {
    /// The head of an event and its body, proven by its checksum.
    pub fn open<'a>(&mut self, raw: &'a [u8]) -> Result<(Header, &'a [u8])> {
        let header = header(raw).ok_or_else(|| malformed("an event", 0))?;
        if header.kind == FORMAT_DESCRIPTION {
            self.checksum = Checksum::of_format(raw).ok_or_else(|| malformed("FORMAT_DESCRIPTION", header.kind))?;
        }
        Ok((header, self.checksum.proven(raw, header.kind == FORMAT_DESCRIPTION)?))
    }

    /// The head and body of an event out of a compressed transaction: it has no checksum.
    pub fn open_inner<'a>(&self, raw: &'a [u8]) -> Result<(Header, &'a [u8])> {
        let header = header(raw).ok_or_else(|| malformed("an event", 0))?;
        Ok((Header { inner: true, artificial: false, ..header }, &raw[HEADER..]))
    }

    pub fn read<'a>(&mut self, header: &Header, body: &'a [u8]) -> Result<Event<'a>> {
        if header.kind == FORMAT_DESCRIPTION {
            // Version, the server's, the time of its start, our header's length; then a byte per kind of event.
            self.heads = body.get(57..).map(<[u8]>::to_vec).unwrap_or_default();
        }
        if header.kind >= FIRST_UNKNOWN_MYSQL && header.kind < FIRST_MARIADB || header.kind > LAST_KNOWN {
            if header.flags & IGNORABLE != 0 {
                return Ok(Event::Nothing);
            }
            let text = format!("the log holds an event of kind {}, which is not known here", header.kind);
            return Err(Error::config(text).hint("it may hold rows: ask for a newer version of the daemon"));
        }
        self.known(header, body).ok_or_else(|| malformed(name(header.kind), header.kind))?
    }

    fn known<'a>(&self, header: &Header, body: &'a [u8]) -> Option<Result<Event<'a>>> {
        let mut bytes = Bytes(body);
        let head = self.heads.get(usize::from(header.kind).wrapping_sub(1)).copied();
        // Before 5.1.4 table numbers had four bytes.
        let number = if head == Some(6) { 4 } else { 6 };
        Some(Ok(match header.kind {
            FORMAT_DESCRIPTION => {
                if bytes.u16()? != 4 {
                    let text = "the log is in a format from before MySQL 5.0";
                    return Some(Err(
                        Error::config(text).hint("only servers of MySQL 5.6, MariaDB 10 and later are read")
                    ));
                }
                Event::Format
            }
            ROTATE => Event::Rotate { byte: bytes.u64()?, file: bytes.rest() },
            QUERY | QUERY_COMPRESSED => Event::Query(query::read(body, header.kind == QUERY_COMPRESSED)?),
            XID => Event::Commit,
            TABLE_MAP => Event::TableMap(table_map::read(body, number)?),
            WRITE_V1..=DELETE_V1
            | WRITE_V2..=DELETE_V2
            | PARTIAL_UPDATE
            | WRITE_COMPRESSED_V1..=DELETE_COMPRESSED_V2 => Event::Rows(rows::read(header.kind, body, number)?),
            INCIDENT => {
                bytes.u16()?;
                let length = usize::from(bytes.u8().unwrap_or(0));
                Event::Incident(String::from_utf8_lossy(bytes.take(length).unwrap_or_default()).into_owned())
            }
            HEARTBEAT | HEARTBEAT_V2 => Event::Heartbeat,
            MYSQL_GTID => {
                bytes.u8()?;
                let server = Uuid::from_slice(bytes.take(16)?).ok()?;
                let number = bytes.u64().filter(|&number| number > 0 && number < u64::MAX)?;
                // Of the logical clock: its kind, last committed, own number; then when it was committed here.
                let committed_us = match bytes.take(17) {
                    Some(_) => bytes.uint(7).unwrap_or(0),
                    None => 0,
                };
                // A bit says that the other one follows; else they are the same.
                let written_us = match committed_us & 1 << 55 {
                    0 => committed_us,
                    _ => bytes.uint(7).unwrap_or(0),
                };
                let committed_us = committed_us & !(1 << 55);
                let origin = Origin { server, tag: String::new() };
                Event::MysqlGtid { gtid: MysqlGtid { origin, number }, committed_us, written_us }
            }
            TAGGED_GTID => tagged(body)?,
            ANONYMOUS => Event::Anonymous,
            PREVIOUS_GTIDS => Event::Previous(GtidSet::from_log(body)?),
            XA_PREPARE => {
                let one_phase = bytes.u8()? != 0;
                Event::XaPrepare { one_phase, xid: xid(&mut bytes)? }
            }
            TRANSACTION_PAYLOAD => Event::Payload,
            MARIA_GTID => {
                let (number, domain, flags) = (bytes.u64()?, bytes.u32()?, bytes.u8()?);
                Event::MariaGtid { gtid: MariaGtid { domain, server: header.server, number }, flags }
            }
            MARIA_GTID_LIST => Event::Before(Domains::from_log(body)?),
            START_ENCRYPTION => {
                let text = "the server sends its log encrypted";
                return Some(Err(Error::config(text).hint("it should decrypt what it sends: see its error log")));
            }
            // Statement-format leftovers: values for a statement that follows, or its data; the statement itself stops us.
            INTVAR | RAND | USER_VAR | BEGIN_LOAD | APPEND_BLOCK | DELETE_FILE => Event::Nothing,
            EXECUTE_LOAD | 6 | 8 | 10 | 12 => Event::Query(Query::of_load(body)),
            // Start and stop of the server; what the client said; when files may go; certification of a group.
            STOP | 1 | 7 | IGNORED | ROWS_QUERY | ANNOTATE | CHECKPOINT | TRANSACTION_CONTEXT | VIEW_CHANGE => {
                Event::Nothing
            }
            _ => return None,
        }))
    }
}

fn header(raw: &[u8]) -> Option<Header> {
    let mut bytes = Bytes(raw);
    let (time, kind, server, size) = (bytes.u32()?, bytes.u8()?, bytes.u32()?, bytes.u32()?);
    let (end, flags) = (bytes.u32()?, bytes.u16()?);
    let artificial = flags & ARTIFICIAL != 0 || end == 0;
    (size as usize == raw.len()).then_some(Header { time, kind, server, size, flags, end, inner: false, artificial })
}

/// An XA transaction's name as the server prints it: `X'gtrid',X'bqual',format`.
pub(super) fn xa_name(gtrid: &[u8], bqual: &[u8], format: u32) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("X'{}',X'{}',{format}", hex(gtrid), hex(bqual))
}

fn xid(bytes: &mut Bytes<'_>) -> Option<String> {
    let (format, gtrid, bqual) = (bytes.u32()?, bytes.u32()?, bytes.u32()?);
    Some(xa_name(bytes.take(gtrid as usize)?, bytes.take(bqual as usize)?, format))
}

/// GTIDs with tags are written by MySQL's serialization library: number of a field, its value, in the order of numbers.
fn tagged(body: &[u8]) -> Option<Event<'_>> {
    let mut rest = body;
    let rest = &mut rest;
    let (_version, _size, _last_required) = (take_packed(rest)?, take_packed(rest)?, take_packed(rest)?);
    let (mut server, mut tag, mut number) = ([0; 16], String::new(), None);
    let (mut committed_us, mut written_us) = (0, None);
    while !rest.is_empty() {
        match take_packed(rest)? {
            0 => drop(super::gtid::take(rest, 1)?),
            1 => {
                for byte in &mut server {
                    *byte = u8::try_from(take_packed(rest)?).ok()?;
                }
            }
            // Signed numbers: the sign is the lowest bit.
            2 => number = Some(take_packed(rest)? >> 1),
            3 => {
                let length = usize::try_from(take_packed(rest)?).ok()?;
                tag = std::str::from_utf8(super::gtid::take(rest, length)?).ok()?.to_owned();
            }
            4 | 5 => drop(take_packed(rest)?),
            6 => committed_us = take_packed(rest)?,
            7 => written_us = Some(take_packed(rest)?),
            // What comes later is not needed, and fields come in their order.
            _ => break,
        }
    }
    let number = number.filter(|&number| number > 0)?;
    let origin = Origin { server: Uuid::from_bytes(server), tag };
    let written_us = written_us.unwrap_or(committed_us);
    Some(Event::MysqlGtid { gtid: MysqlGtid { origin, number }, committed_us, written_us })
}

pub(super) fn malformed(what: &str, kind: u8) -> Error {
    Error::config(format!("the log holds {what} (kind {kind}) that cannot be read")).hint(
        "see whether `mysqlbinlog` reads it; if it does, this is a fault of ours: report it with the server's version",
    )
}

const QUERY: u8 = 2;
const STOP: u8 = 3;
const ROTATE: u8 = 4;
const INTVAR: u8 = 5;
const APPEND_BLOCK: u8 = 9;
const DELETE_FILE: u8 = 11;
const RAND: u8 = 13;
const USER_VAR: u8 = 14;
const FORMAT_DESCRIPTION: u8 = 15;
const XID: u8 = 16;
const BEGIN_LOAD: u8 = 17;
const EXECUTE_LOAD: u8 = 18;
const TABLE_MAP: u8 = 19;
const WRITE_V1: u8 = 23;
const DELETE_V1: u8 = 25;
const INCIDENT: u8 = 26;
const HEARTBEAT: u8 = 27;
const IGNORED: u8 = 28;
const ROWS_QUERY: u8 = 29;
const WRITE_V2: u8 = 30;
const DELETE_V2: u8 = 32;
const MYSQL_GTID: u8 = 33;
const ANONYMOUS: u8 = 34;
const PREVIOUS_GTIDS: u8 = 35;
const TRANSACTION_CONTEXT: u8 = 36;
const VIEW_CHANGE: u8 = 37;
const XA_PREPARE: u8 = 38;
pub(super) const PARTIAL_UPDATE: u8 = 39;
pub(super) const TRANSACTION_PAYLOAD: u8 = 40;
const HEARTBEAT_V2: u8 = 41;
const TAGGED_GTID: u8 = 42;
const FIRST_UNKNOWN_MYSQL: u8 = 43;
const FIRST_MARIADB: u8 = 160;
const ANNOTATE: u8 = 160;
const CHECKPOINT: u8 = 161;
const MARIA_GTID: u8 = 162;
const MARIA_GTID_LIST: u8 = 163;
const START_ENCRYPTION: u8 = 164;
const QUERY_COMPRESSED: u8 = 165;
const WRITE_COMPRESSED_V1: u8 = 166;
const DELETE_COMPRESSED_V2: u8 = 171;
const LAST_KNOWN: u8 = 171;

fn name(kind: u8) -> &'static str {
    match kind {
        ROTATE => "ROTATE",
        QUERY | QUERY_COMPRESSED => "QUERY",
        TABLE_MAP => "TABLE_MAP",
        MYSQL_GTID | TAGGED_GTID | MARIA_GTID => "GTID",
        PREVIOUS_GTIDS | MARIA_GTID_LIST => "a list of GTIDs",
        XA_PREPARE => "XA_PREPARE",
        _ => "an event",
    }
}

#[cfg(test)]
mod tests;
