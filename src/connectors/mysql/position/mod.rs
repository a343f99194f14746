//! Points in the log of a MySQL or MariaDB server.
//!
//! ```text
//! point = 1 · at domains  · since: count (domain · server · number, 0: none)* · proof · rest                 MariaDB
//!       | 2 · at set      · since: at without this set                        · proof · rest      MySQL with GTIDs
//!       | 3 · server uuid · file text · offset · since: file text · offset    · proof · rest   MySQL without them
//! proof = 0 | 1 or 2 · which transaction · its time u32 big-endian, seconds         lengths and numbers: varints
//! rest  = 0 | 1 · seen | 2 · shapes | 3 · seen · shapes
//! seen  = as a point's first bytes up to and with `at`;  shapes = u64 big-endian
//! mark  = the same bytes
//! ```
//! Everything in `at` is before the point. Reading starts at `since`, which is before it: by one transaction, so that the
//! last one is met again and proves that the log is still the one that we read, not another that a restored server wrote
//! under the same numbers (hazards A13; by which second: `Time`); or before the oldest XA transaction that was prepared
//! and not yet ended, whose rows come with its end (A2). A list or set holds on every replica of a source, so a failover
//! goes on by itself; a file and its offset are one server's own. Rows that were fetched for the changes before the point
//! may be newer than it: `seen` is what the server must still have, too. `shapes` tells those of the tables behind the
//! point: where the catalogue still has them, the log need not be looked through before it is followed.

use super::gtid::{Domains, GtidSet, MariaGtid, MysqlGtid, Origin, put_varint, take, take_varint};
use crate::{
    error::{Error, Result},
    model::{Mark, Position},
};
use std::{cmp::Ordering, fmt};
use uuid::Uuid;

/// Files begin behind their mark.
const FIRST_BYTE: u64 = 4;

/// How far into a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Maria(Domains),
    Mysql(GtidSet),
    File(File),
}

/// Where in the files of one server, where its GTIDs are off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub server: Uuid,
    pub name: String,
    pub byte: u64,
}

/// One transaction of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gtid {
    Maria(MariaGtid),
    Mysql(MysqlGtid),
    /// Where it starts in the file in which it ends.
    Byte(u64),
}

/// The last transaction before a point, and when it was written: it must be met again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    pub of: Gtid,
    pub time: Time,
}

/// Seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// Of the head of the event that begins it; where that says so, the time at the server that wrote it first. A head
    /// alone is one server's own: that of MariaDB and of MySQL before 8 has the second of the COMMIT, on a replica that of
    /// the last row before it.
    Began(u32),
    /// Of its first event behind that one: every replica keeps it.
    First(u32),
}

impl Time {
    pub fn seconds(self) -> u32 {
        match self {
            Time::Began(time) | Time::First(time) => time,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub at: Reach,
    pub since: Reach,
    pub proof: Option<Proof>,
    /// What reads have shown beyond `at`.
    pub seen: Option<Reach>,
    /// `History::fingerprint` of then.
    pub shapes: Option<u64>,
}

impl Gtid {
    /// Whether a list or set has it; files have no numbers.
    pub fn is_in(&self, at: &Reach) -> bool {
        match (at, self) {
            (Reach::Maria(domains), Gtid::Maria(gtid)) => domains.has(*gtid),
            (Reach::Mysql(set), Gtid::Mysql(gtid)) => set.has(gtid),
            _ => false,
        }
    }
}

impl Point {
    /// Where nothing is known of the transactions before it.
    pub fn plain(at: Reach) -> Point {
        Point { since: at.clone(), at, proof: None, seen: None, shapes: None }
    }

    /// `ordinal`: how far into the transaction that comes next.
    pub fn position(&self, ordinal: u64) -> Position {
        let mut bytes = Vec::new();
        self.at.write(&mut bytes);
        match (&self.at, &self.since) {
            (Reach::Maria(at), Reach::Maria(since)) => {
                let differ: Vec<MariaGtid> = at.iter().filter(|gtid| since.get(gtid.domain) != Some(*gtid)).collect();
                put_varint(&mut bytes, differ.len() as u64);
                for gtid in differ {
                    let since = since.get(gtid.domain);
                    put_varint(&mut bytes, u64::from(gtid.domain));
                    put_varint(&mut bytes, since.map_or(0, |gtid| u64::from(gtid.server)));
                    put_varint(&mut bytes, since.map_or(0, |gtid| gtid.number));
                }
            }
            (Reach::Mysql(at), Reach::Mysql(since)) => {
                let mut minus = at.clone();
                minus.subtract(since);
                minus.write(&mut bytes);
            }
            (Reach::File(_), Reach::File(since)) => {
                put_text(&mut bytes, &since.name);
                put_varint(&mut bytes, since.byte);
            }
            _ => unreachable!("both are read from one log"),
        }
        match &self.proof {
            None => bytes.push(0),
            Some(Proof { of, time }) => {
                bytes.push(match time {
                    Time::Began(_) => 1,
                    Time::First(_) => 2,
                });
                match of {
                    Gtid::Maria(gtid) => {
                        put_varint(&mut bytes, u64::from(gtid.domain));
                        put_varint(&mut bytes, u64::from(gtid.server));
                        put_varint(&mut bytes, gtid.number);
                    }
                    Gtid::Mysql(gtid) => {
                        bytes.extend_from_slice(gtid.origin.server.as_bytes());
                        put_text(&mut bytes, &gtid.origin.tag);
                        put_varint(&mut bytes, gtid.number);
                    }
                    Gtid::Byte(byte) => put_varint(&mut bytes, *byte),
                }
                bytes.extend_from_slice(&time.seconds().to_be_bytes());
            }
        }
        bytes.push(u8::from(self.seen.is_some()) | u8::from(self.shapes.is_some()) << 1);
        if let Some(seen) = &self.seen {
            seen.write(&mut bytes);
        }
        if let Some(shapes) = self.shapes {
            bytes.extend_from_slice(&shapes.to_be_bytes());
        }
        Position::new(&bytes, ordinal)
    }

    pub fn read(position: &Position) -> Result<Point> {
        Self::parse(position.point()).ok_or_else(|| {
            Error::lost("the saved position is not one of a MySQL or MariaDB log that this version knows").hint(
                "if the source's URL was changed to another kind of store, delete the job and create it again with \
                     `existing: replace`",
            )
        })
    }

    fn parse(mut bytes: &[u8]) -> Option<Point> {
        let bytes = &mut bytes;
        let at = Reach::read(bytes)?;
        let since = match &at {
            Reach::Maria(at) => {
                let mut since = at.clone();
                for _ in 0..take_varint(bytes)? {
                    let domain = u32::try_from(take_varint(bytes)?).ok()?;
                    let server = u32::try_from(take_varint(bytes)?).ok()?;
                    match take_varint(bytes)? {
                        0 => since.remove(domain),
                        number => since.set(MariaGtid { domain, server, number }),
                    }
                }
                Reach::Maria(since)
            }
            Reach::Mysql(at) => {
                let mut since = at.clone();
                since.subtract(&GtidSet::read(bytes)?);
                Reach::Mysql(since)
            }
            Reach::File(file) => {
                let name = take_text(bytes)?;
                Reach::File(File { server: file.server, name, byte: take_varint(bytes)? })
            }
        };
        let proof = match take(bytes, 1)? {
            [0] => None,
            &[kind @ 1..=2] => {
                let of = match &at {
                    Reach::Maria(_) => Gtid::Maria(MariaGtid {
                        domain: u32::try_from(take_varint(bytes)?).ok()?,
                        server: u32::try_from(take_varint(bytes)?).ok()?,
                        number: take_varint(bytes)?,
                    }),
                    Reach::Mysql(_) => {
                        let server = Uuid::from_slice(take(bytes, 16)?).ok()?;
                        let origin = Origin { server, tag: take_text(bytes)? };
                        Gtid::Mysql(MysqlGtid { origin, number: take_varint(bytes)? })
                    }
                    Reach::File(_) => Gtid::Byte(take_varint(bytes)?),
                };
                let time = u32::from_be_bytes(take(bytes, 4)?.try_into().ok()?);
                Some(Proof { of, time: if kind == 1 { Time::Began(time) } else { Time::First(time) } })
            }
            _ => return None,
        };
        let [rest @ 0..=3] = *take(bytes, 1)? else { return None };
        let seen = match rest & 1 {
            0 => None,
            _ => Some(Reach::read(bytes)?),
        };
        let shapes = match rest & 2 {
            0 => None,
            _ => Some(u64::from_be_bytes(take(bytes, 8)?.try_into().ok()?)),
        };
        bytes.is_empty().then_some(Point { at, since, proof, seen, shapes })
    }
}

impl Reach {
    /// Where reading starts for what is behind it. Past 4 GiB of a file: at its start, what is before is passed over.
    pub fn askable(&self) -> Reach {
        match self {
            Reach::File(file) if !file.is_askable() => Reach::File(file.start()),
            reach => reach.clone(),
        }
    }

    /// Whether everything in `other` is in this.
    pub fn contains(&self, other: &Reach) -> Result<bool> {
        match (self, other) {
            (Reach::Maria(own), Reach::Maria(other)) => Ok(own.contains(other)),
            (Reach::Mysql(own), Reach::Mysql(other)) => Ok(own.contains(other)),
            (Reach::File(own), Reach::File(other)) => Ok(own.compare(other)?.is_ge()),
            _ => Err(another_log()),
        }
    }

    pub fn compare(&self, other: &Reach) -> Result<Ordering> {
        let order = match (self, other) {
            (Reach::Maria(own), Reach::Maria(other)) => own.compare(other),
            (Reach::Mysql(own), Reach::Mysql(other)) => own.compare(other),
            (Reach::File(own), Reach::File(other)) => Some(own.compare(other)?),
            _ => None,
        };
        order.ok_or_else(another_log)
    }

    /// What is in either. Of one server's files, the later point.
    pub fn union(&mut self, other: &Reach) -> Result<()> {
        match (&mut *self, other) {
            (Reach::Maria(own), Reach::Maria(other)) => {
                other.iter().for_each(|gtid| {
                    if !own.has(gtid) {
                        own.set(gtid)
                    }
                });
            }
            (Reach::Mysql(own), Reach::Mysql(other)) => own.union(other),
            (Reach::File(own), Reach::File(other)) => {
                if own.compare(other)?.is_lt() {
                    *own = other.clone();
                }
            }
            _ => return Err(another_log()),
        }
        Ok(())
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Reach::Maria(domains) => {
                bytes.push(1);
                domains.write(bytes);
            }
            Reach::Mysql(set) => {
                bytes.push(2);
                set.write(bytes);
            }
            Reach::File(file) => {
                bytes.push(3);
                bytes.extend_from_slice(file.server.as_bytes());
                put_text(bytes, &file.name);
                put_varint(bytes, file.byte);
            }
        }
    }

    fn read(bytes: &mut &[u8]) -> Option<Reach> {
        match take(bytes, 1)? {
            [1] => Domains::read(bytes).map(Reach::Maria),
            [2] => GtidSet::read(bytes).map(Reach::Mysql),
            [3] => {
                let server = Uuid::from_slice(take(bytes, 16)?).ok()?;
                let name = take_text(bytes)?;
                Some(Reach::File(File { server, name, byte: take_varint(bytes)? }))
            }
            _ => None,
        }
    }

    pub fn mark(&self) -> Mark {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        Mark(bytes)
    }

    /// Whether everything up to `mark` is in this; a mark of another log never is.
    pub fn has_passed(&self, mark: &Mark) -> bool {
        let mut bytes = mark.0.as_slice();
        let goal = Reach::read(&mut bytes).filter(|_| bytes.is_empty());
        goal.is_some_and(|goal| self.contains(&goal).unwrap_or(false))
    }
}

impl File {
    pub fn start(&self) -> File {
        File { byte: FIRST_BYTE, ..self.clone() }
    }

    /// Whether reading may start there: what asks for it has 32 bits for the place.
    pub fn is_askable(&self) -> bool {
        u32::try_from(self.byte).is_ok()
    }

    /// Files are numbered at their ends, and the number may grow past its digits.
    fn compare(&self, other: &File) -> Result<Ordering> {
        let split = |name: &str| {
            let (base, number) = name.rsplit_once('.')?;
            Some((base.to_owned(), number.parse::<u64>().ok()?))
        };
        match (split(&self.name), split(&other.name)) {
            (Some((base, number)), Some((of, other_number))) if base == of && self.server == other.server => {
                Ok(number.cmp(&other_number).then(self.byte.cmp(&other.byte)))
            }
            _ => Err(another_log()),
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reach::Maria(domains) => domains.fmt(f),
            Reach::Mysql(set) => set.fmt(f),
            Reach::File(file) => write!(f, "{}:{}", file.name, file.byte),
        }
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gtid::Maria(gtid) => gtid.fmt(f),
            Gtid::Mysql(gtid) => gtid.fmt(f),
            Gtid::Byte(byte) => write!(f, "byte {byte}"),
        }
    }
}

/// Orders two positions; those of two histories cannot be ordered.
pub(super) fn order(a: &Position, b: &Position) -> Result<Ordering> {
    let order = Point::read(a)?.at.compare(&Point::read(b)?.at)?;
    Ok(order.then(a.ordinal().cmp(&b.ordinal())))
}

pub(super) fn another_log() -> Error {
    Error::lost("the position belongs to another history than the server's: neither has all that the other has")
        .hint("delete the job and create it again with `existing: replace`; or name the right server in the URL")
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_varint(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

fn take_text(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(take_varint(bytes)?).ok()?;
    std::str::from_utf8(take(bytes, length)?).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests;
