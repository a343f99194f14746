//! Points in a world's log: which world, how many transactions, how far into the next one.

use crate::{
    error::{Error, Result},
    model::{Mark, Position},
};

/// ```text
/// identity u64 · sequence u64, big-endian; then the ordinal of every position
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    pub identity: u64,
    /// Transactions at or before the point.
    pub sequence: u64,
    /// Mutations of the next transaction at or before the point.
    pub ordinal: u64,
}

impl Point {
    pub fn commit(identity: u64, sequence: u64) -> Point {
        Point { identity, sequence, ordinal: 0 }
    }

    /// After `done` of the `all` mutations of transaction `sequence`.
    pub(super) fn inside(identity: u64, sequence: u64, done: usize, all: usize) -> Point {
        match done == all {
            true => Point::commit(identity, sequence),
            false => Point { identity, sequence: sequence - 1, ordinal: done as u64 },
        }
    }

    pub fn position(self) -> Position {
        let mut point = self.identity.to_be_bytes().to_vec();
        point.extend_from_slice(&self.sequence.to_be_bytes());
        Position::new(&point, self.ordinal)
    }

    pub fn read(position: &Position) -> Result<Point> {
        let number = |at: usize| Some(u64::from_be_bytes(position.point().get(at..at + 8)?.try_into().ok()?));
        match (position.point().len(), number(0), number(8)) {
            (16, Some(identity), Some(sequence)) => Ok(Point { identity, sequence, ordinal: position.ordinal() }),
            _ => Err(Error::lost(format!("{position:?} is not a position of a memory store"))
                .hint("the job was started on another kind of store: create a new job")),
        }
    }

    /// What `Mutation::at` holds: the point after the mutation.
    pub(super) fn pack(self) -> u64 {
        debug_assert!(self.ordinal < 1 << 24 && self.sequence < 1 << 40, "worlds stay small");
        self.sequence << 24 | self.ordinal
    }

    pub(super) fn unpack(identity: u64, packed: u64) -> Point {
        Point { identity, sequence: packed >> 24, ordinal: packed & 0xff_ffff }
    }

    pub(super) fn mark(self) -> Mark {
        Mark(self.position().bytes().to_vec())
    }

    pub(super) fn read_mark(mark: &Mark) -> Option<Point> {
        Point::read(&Position::from_bytes(&mark.0)?).ok()
    }
}
