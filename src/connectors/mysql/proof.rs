//! Invariant 8, the near side: a server still has all that we have of it.

use super::position::{Point, Reach};
use crate::{
    error::{Error, Result},
    model::Position,
};

/// The server's log ends at or after the point, and after all that was read for the changes before it.
pub(super) fn prove(logged: &Reach, point: &Point) -> Result<()> {
    for needed in std::iter::once(&point.at).chain(&point.seen) {
        if !logged.contains(needed)? {
            return Err(forgotten(format!("the server's log ends at {logged}, before {needed}, where we stand")));
        }
    }
    Ok(())
}

pub(super) fn forgotten(text: String) -> Error {
    Error::lost(text).hint(
        "the server was put back to a backup, lost its last commits in a crash, or RESET MASTER was run: \
         delete the job and create it again with `existing: replace`",
    )
}

/// The position, vouching for what reads have shown until now.
pub(super) fn vouch(position: &Position, shown: Option<&Reach>) -> Position {
    let (Ok(mut point), Some(shown)) = (Point::read(position), shown) else { return position.clone() };
    if point.at.contains(shown).unwrap_or(true) {
        return position.clone();
    }
    let joined = point.seen.as_mut().map(|known| known.union(shown));
    if !matches!(joined, Some(Ok(()))) {
        point.seen = Some(shown.clone());
    }
    point.position(position.ordinal())
}
