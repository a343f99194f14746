//! What reads of ours have seen of the log, and the proof that a file still has it.

use super::{
    file::Database,
    log,
    position::{self, Point, Proof, Token},
};
use crate::{
    error::{Error, Result},
    model::{Checkpoint, Partition},
};
use parking_lot::Mutex;
use std::{collections::VecDeque, time::Instant};

/// The newest entries that snapshots of this source have shown, and when: rows read then may be in targets already.
///
/// A snapshot is held only against what was seen before it began: reads go on side by side, and one that began earlier
/// does not show what a later one has.
#[derive(Default)]
pub(super) struct Seen(Mutex<VecDeque<(Instant, Token, Proof)>>);

/// More than the reads that go on side by side.
const KEPT: usize = 256;

impl Seen {
    pub fn note(&self, token: Token, proof: Proof) {
        let mut seen = self.0.lock();
        if seen.back().is_none_or(|(_, of, newest)| *of != token || newest.seq < proof.seq) {
            if seen.len() == KEPT {
                seen.pop_front();
            }
            seen.push_back((Instant::now(), token, proof));
        }
    }

    /// A job begins: what was seen before does not concern it.
    pub fn begin(&self, token: Token, proof: Proof) {
        *self.0.lock() = [(Instant::now(), token, proof)].into();
    }

    /// The newer of `proof` and what was seen of the same log until `by`.
    pub fn at_least(&self, token: Token, proof: Proof, by: Instant) -> Proof {
        let seen = self.0.lock();
        let newest = seen.iter().rev().find(|(at, ..)| *at <= by);
        match newest {
            Some((_, of, newest)) if *of == token && newest.seq > proof.seq => *newest,
            _ => proof,
        }
    }

    /// The point, with the proof of all that was seen until now.
    pub fn vouch(&self, point: Point) -> Point {
        Point { proof: self.at_least(point.token, point.proof, Instant::now()), ..point }
    }

    /// Where the log stood when it was seen last.
    pub fn newest(&self) -> Option<Point> {
        let newest = self.0.lock().back().copied();
        newest.map(|(_, token, proof)| Point { token, seq: proof.seq, told: proof.seq, proof })
    }
}

/// R2: the open snapshot is of the right file and sees everything at or before `after`.
pub(super) fn prove_after(db: &mut Database, after: &Checkpoint, seen: &Seen) -> Result<()> {
    if let Some(position) = after.get(&Partition::new(Partition::ONLY)) {
        prove(db, &Point::read(position)?, seen)?;
    }
    if let Some(token) = log::token(db)?
        && let Some(newest) = log::newest(db)?
    {
        seen.note(token, newest);
    }
    Ok(())
}

/// Invariant 8, both sides: the log is the one of `point`, reaches back to it, and its end is not before what was seen.
pub(super) fn prove(db: &mut Database, point: &Point, seen: &Seen) -> Result<()> {
    let path = db.path.display().to_string();
    let lost = |text: String| {
        Error::lost(format!("{path}: {text}")).hint(
            "the file was replaced by a backup, or the log was cut: \
             delete the job and create it again with `existing: replace`",
        )
    };
    match log::token(db)? {
        None => return Err(lost("there is no change log of ours in the file".to_owned())),
        Some(token) if token != point.token => return Err(position::other_log().at(&path)),
        Some(_) => {}
    }
    match log::oldest(db)? {
        Some(oldest) if oldest <= point.seq + 1 => {}
        oldest => {
            let oldest = oldest.map_or_else(|| "is empty".to_owned(), |oldest| format!("begins at change {oldest}"));
            return Err(lost(format!("the change log {oldest}, we stand at {}", point.seq)));
        }
    }
    // Both: what was seen may have been seen in the very file that was put in the place of the right one.
    for proof in [point.proof, seen.at_least(point.token, point.proof, db.begun.get())] {
        match log::entry(db, proof.seq)? {
            Some(entry) if entry == proof => {}
            Some(_) => return Err(lost(format!("change {} is not the one we have seen", proof.seq))),
            None => return Err(lost(format!("the change log ends before change {}, which we have seen", proof.seq))),
        }
    }
    Ok(())
}
