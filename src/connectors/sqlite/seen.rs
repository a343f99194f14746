//! What reads of ours have seen of the log, and the proof that a file still has it.

use super::{
    file::Database,
    log,
    position::{self, Point, Proof},
};
use crate::{
    error::{Error, Result},
    model::{Checkpoint, Partition},
};
use parking_lot::Mutex;

/// The newest entry that any snapshot of this source has shown: rows read then may be in targets already.
#[derive(Default)]
pub(super) struct Seen(Mutex<Proof>);

impl Seen {
    pub fn note(&self, proof: Proof) {
        let mut newest = self.0.lock();
        if proof.seq > newest.seq {
            *newest = proof;
        }
    }

    /// The newer of `proof` and what was seen.
    pub fn at_least(&self, proof: Proof) -> Proof {
        let newest = *self.0.lock();
        if newest.seq > proof.seq { newest } else { proof }
    }
}

/// R2: the open snapshot is of the right file and sees everything at or before `after`.
pub(super) fn prove_after(db: &mut Database, after: &Checkpoint, seen: &Seen) -> Result<()> {
    let newest = match log::is_there(db)? {
        true => log::newest(db)?,
        false => None,
    };
    if let Some(newest) = newest {
        seen.note(newest);
    }
    match after.get(&Partition::new(Partition::ONLY)) {
        Some(position) => prove(db, &Point::read(position)?),
        None => Ok(()),
    }
}

/// Invariant 8, both sides: the log is the one of `point`, reaches back to it, and its end is not before what was seen.
pub(super) fn prove(db: &mut Database, point: &Point) -> Result<()> {
    let path = db.path.display().to_string();
    let lost = |text: String| {
        Error::lost(format!("{path}: {text}")).hint(
            "the file was replaced by a backup, or the log was cut: delete the job and create it again with `existing: replace`",
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
    match log::entry(db, point.proof.seq)? {
        Some(entry) if entry == point.proof => Ok(()),
        Some(_) => Err(lost(format!("change {} is not the one we have seen", point.proof.seq))),
        None => Err(lost(format!("the change log ends before change {}, which we have seen", point.proof.seq))),
    }
}
