//! Where a shard's records were read to.
//!
//! ```text
//! form u8 (1) · stream text · iterator text · ended u8 · epoch i32 · time i64 µs · row i32 · asked i64 µs
//! ```
//! A text is u32 length and bytes; integers are big-endian. The iterator is the service's, at or before the place: records
//! up to the sequence are passed over. An empty one: the oldest record that is kept. `asked` is the service's time when
//! the iterator was got: it makes a place of an idle shard a later one, whose iterator does not grow old.

use super::plainbuffer::Sequence;
use crate::{
    error::{Error, Result},
    model::{Partition, Position},
};
use std::cmp::Ordering;

const FORM: u8 = 1;

/// Before every record.
pub(super) const START: Sequence = Sequence { epoch: i32::MIN, timestamp_us: i64::MIN, row_index: i32::MIN };

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub stream: String,
    pub iterator: String,
    /// The shard has no more records, ever.
    pub ended: bool,
    /// Of the last record.
    pub sequence: Sequence,
    pub asked_us: i64,
}

impl Point {
    pub fn start(stream: &str, iterator: String, asked_us: i64) -> Point {
        Point { stream: stream.to_owned(), iterator, ended: false, sequence: START, asked_us }
    }

    pub fn position(&self) -> Position {
        let mut bytes = vec![FORM];
        for text in [&self.stream, &self.iterator] {
            let length = u32::try_from(text.len()).expect("an answer stays below 4 GiB");
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.push(u8::from(self.ended));
        bytes.extend_from_slice(&self.sequence.epoch.to_be_bytes());
        bytes.extend_from_slice(&self.sequence.timestamp_us.to_be_bytes());
        bytes.extend_from_slice(&self.sequence.row_index.to_be_bytes());
        bytes.extend_from_slice(&self.asked_us.to_be_bytes());
        Position::new(&bytes, 0)
    }

    pub fn read(position: &Position) -> Result<Point> {
        Point::parse(position.point()).ok_or_else(|| {
            Error::lost("a position that is none of a Tablestore stream").hint("delete the job and create it again")
        })
    }

    fn parse(bytes: &[u8]) -> Option<Point> {
        let (&FORM, mut rest) = bytes.split_first()? else { return None };
        let mut text = || {
            let (length, after) = rest.split_first_chunk()?;
            let (text, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            rest = after;
            Some(std::str::from_utf8(text).ok()?.to_owned())
        };
        let (stream, iterator) = (text()?, text()?);
        let (&ended, rest) = rest.split_first()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let (row, rest) = rest.split_first_chunk()?;
        let asked: &[u8; 8] = rest.try_into().ok()?;
        Some(Point {
            stream,
            iterator,
            ended: match ended {
                0 => false,
                1 => true,
                _ => return None,
            },
            sequence: Sequence {
                epoch: i32::from_be_bytes(*epoch),
                timestamp_us: i64::from_be_bytes(*time),
                row_index: i32::from_be_bytes(*row),
            },
            asked_us: i64::from_be_bytes(*asked),
        })
    }

    pub fn compare(&self, other: &Point) -> Result<Ordering> {
        match self.stream == other.stream {
            true => Ok((self.ended, self.sequence, self.asked_us).cmp(&(other.ended, other.sequence, other.asked_us))),
            false => Err(switched(&self.stream, &other.stream)),
        }
    }
}

pub(super) fn switched(from: &str, to: &str) -> Error {
    Error::lost(format!(
        "the stream {from} is not there any more, but {to}: it was switched off and on, or its table was made anew"
    ))
    .hint("delete the job and create it again with `existing: replace`")
}

/// A shard of a table's stream.
pub(super) fn partition(table: &str, shard: &str) -> Partition {
    Partition::new(&format!("{table}/{shard}"))
}

/// Names of tables have no slash.
pub(super) fn parts(partition: &Partition) -> Option<(&str, &str)> {
    partition.as_str().split_once('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(row_index: i32, ended: bool, asked_us: i64) -> Point {
        let sequence = Sequence { epoch: 0, timestamp_us: 7, row_index };
        Point { stream: "s".into(), iterator: "it".into(), ended, sequence, asked_us }
    }

    #[test]
    fn what_is_written_is_read() {
        let point = point(3, true, 9);
        assert_eq!(Point::read(&point.position()).unwrap(), point);
        let bytes = point.position().point().to_vec();
        assert!((0..bytes.len()).all(|cut| Point::parse(&bytes[..cut]).is_none()));
    }

    #[test]
    fn later_is_what_has_more_records_or_was_asked_for_later() {
        let order = [point(1, false, 5), point(1, false, 6), point(2, false, 1), point(2, true, 0)];
        for pair in order.windows(2) {
            assert_eq!(pair[0].compare(&pair[1]).unwrap(), Ordering::Less);
        }
        let other = Point { stream: "t".into(), ..point(1, false, 5) };
        assert!(other.compare(&order[0]).is_err());
    }
}
