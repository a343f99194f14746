//! Points in the change log of a file, with the proof that it is still the same log.
//!
//! ```text
//! point = token 16 bytes · seq u64 · told u64 · proof seq u64 · proof stamp u64          big-endian
//! mark  = token 16 bytes · seq u64
//! ```
//! Every change up to `seq` is before the point, and every entry of ours up to `told`, never less than `seq`: what became
//! of a table is told ahead of the changes that were noted before we saw it (`change`).
//!
//! The token names the log: it is made with it and lives as long. The log has no gaps, and numbers are given by SQLite's
//! one writer at a time, so *the row at `proof seq` with its stamp (time, table, key) stands for all before it*. The
//! proof is the newest row that a read of ours can have seen when the position was made, never before `seq`:
//! a file restored from an older backup lacks that row, or has another one there (hazards A9, A13), and a target into
//! which newer rows were fetched is not taken for one that merely stands at `seq`. A position is never written into the
//! file, so a restored file cannot vouch for itself, and kills between writes of such a note cannot confuse it.

use crate::{
    error::{Error, Result},
    model::{Mark, Position},
};
use std::cmp::Ordering;

pub(super) type Token = [u8; 16];

/// A row of the log that was seen: its number and what it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Proof {
    pub seq: u64,
    pub stamp: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub token: Token,
    /// The last change before this point.
    pub seq: u64,
    /// The last entry of ours that was told before it.
    pub told: u64,
    pub proof: Proof,
}

impl Point {
    pub fn position(&self) -> Position {
        let mut bytes = self.token.to_vec();
        for number in [self.seq, self.told, self.proof.seq, self.proof.stamp] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        Position::new(&bytes, 0)
    }

    /// Where in the order of all points of one log it is.
    pub fn place(&self) -> (u64, u64) {
        (self.seq, self.told)
    }

    pub fn read(position: &Position) -> Result<Point> {
        let bytes = position.point();
        let number = |at: usize| bytes.get(at..at + 8).map(|part| u64::from_be_bytes(part.try_into().expect("eight")));
        match (bytes.get(..16), number(16), number(24), number(32), number(40)) {
            (Some(token), Some(seq), Some(told), Some(proof), Some(stamp)) if bytes.len() == 48 => {
                let token = token.try_into().expect("sixteen");
                Ok(Point { token, seq, told, proof: Proof { seq: proof, stamp } })
            }
            _ => Err(Error::lost("the saved position is not one of a SQLite log").hint(
                "if the source's URL was changed to another kind of store, delete the job and create it again with \
                     `existing: replace`",
            )),
        }
    }
}

/// Orders two positions; those of two logs cannot be ordered.
pub(super) fn order(a: &Position, b: &Position) -> Result<Ordering> {
    let (a, b) = (Point::read(a)?, Point::read(b)?);
    match a.token == b.token {
        true => Ok(a.place().cmp(&b.place())),
        false => Err(other_log()),
    }
}

pub(super) fn other_log() -> Error {
    Error::lost(
        "the position belongs to another change log than the file's: the file was replaced, or the log was made anew",
    )
    .hint("delete the job and create it again with `existing: replace`; or bring the right file back")
}

pub(super) fn mark(token: Token, seq: u64) -> Mark {
    Mark([token.as_slice(), &seq.to_be_bytes()].concat())
}

/// Whether a feed that has returned everything up to `seq` has passed the mark. A mark of another log never is.
pub(super) fn has_passed(token: Token, seq: u64, mark: &Mark) -> bool {
    match mark.0.split_at_checked(16) {
        Some((of, goal)) => of == token && goal.try_into().is_ok_and(|goal: [u8; 8]| u64::from_be_bytes(goal) <= seq),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn survives_its_bytes_and_orders() {
        let point = |token, seq| Point { token: [token; 16], seq, told: seq, proof: Proof { seq: seq + 1, stamp: 7 } };
        assert_eq!(Point::read(&point(1, 5).position()).unwrap(), point(1, 5));
        assert_eq!(order(&point(1, 5).position(), &point(1, 9).position()).unwrap(), Ordering::Less);
        let told = Point { told: 7, ..point(1, 5) };
        assert_eq!(order(&point(1, 5).position(), &told.position()).unwrap(), Ordering::Less);
        assert_eq!(order(&told.position(), &point(1, 6).position()).unwrap(), Ordering::Less);
        assert_eq!(order(&point(1, 5).position(), &point(2, 5).position()).unwrap_err().kind(), ErrorKind::Lost);
        assert_eq!(Point::read(&Position::new(b"elsewhere", 0)).unwrap_err().kind(), ErrorKind::Lost);
        assert!(has_passed([1; 16], 5, &mark([1; 16], 5)));
        assert!(!has_passed([1; 16], 4, &mark([1; 16], 5)));
        assert!(!has_passed([2; 16], 9, &mark([1; 16], 5)));
    }
}
