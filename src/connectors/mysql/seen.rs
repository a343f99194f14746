//! What reads of ours have shown of the log: rows that they brought may be in targets already.

use super::position::{Point, Reach};
use crate::{
    error::{Error, Result},
    model::{Checkpoint, Position},
};
use parking_lot::Mutex;

/// The furthest that a read of this source can have shown.
#[derive(Default)]
pub(super) struct Seen(Mutex<Option<Reach>>);

impl Seen {
    /// `reach`: asked from the server behind what was read, so it rounds up.
    pub fn note(&self, reach: &Reach) {
        let mut seen = self.0.lock();
        let joined = seen.as_mut().map(|seen| seen.union(reach));
        if !matches!(joined, Some(Ok(()))) {
            *seen = Some(reach.clone());
        }
    }

    /// A job begins: what was seen before does not concern it.
    pub fn begin(&self, reach: &Reach) {
        *self.0.lock() = Some(reach.clone());
    }

    pub fn newest(&self) -> Checkpoint {
        let seen = self.0.lock().clone();
        seen.map_or_else(Checkpoint::default, |seen| Checkpoint::only(Point::plain(seen).position(0)))
    }

    /// The position, vouching for all that was seen until now.
    pub fn vouch(&self, position: &Position) -> Position {
        let Ok(mut point) = Point::read(position) else { return position.clone() };
        let Some(seen) = self.0.lock().clone() else { return position.clone() };
        if point.at.contains(&seen).unwrap_or(true) {
            return position.clone();
        }
        let joined = point.seen.as_mut().map(|known| known.union(&seen));
        if !matches!(joined, Some(Ok(()))) {
            point.seen = Some(seen);
        }
        point.position(position.ordinal())
    }
}

/// Invariant 8, the near side: the server has everything in `point`, and all that was read for it.
pub(super) fn prove(server_has: &Reach, point: &Point) -> Result<()> {
    for needed in std::iter::once(&point.at).chain(&point.seen) {
        if !server_has.contains(needed)? {
            return Err(Error::lost(format!("the server's log ends at {server_has}, before {needed}, where we stand"))
                .hint(
                    "it was put back to a backup, lost its last commits in a crash, or RESET MASTER was run: \
                     delete the job and create it again with `existing: replace`",
                ));
        }
    }
    Ok(())
}
