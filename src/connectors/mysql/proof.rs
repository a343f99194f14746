//! Invariant 8, the near side: a server still has all that we have of it, and what it has is that.

use super::{
    position::{Gtid, Point, Proof, Reach, Time},
    stream::Open,
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
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

/// The last transaction before us, which must be met again.
pub(super) struct Last {
    proof: Option<Proof>,
    /// Where files are counted: one was met at its place, and was written then. The same place is in other files, too;
    /// the last one before us counts.
    met: Option<bool>,
}

impl Last {
    pub fn of(point: &Point) -> Last {
        // Met again only if reading starts before it.
        Last { proof: point.proof.clone().filter(|proof| !proof.of.is_in(&point.since)), met: None }
    }

    /// A transaction begins: it is the one, or one that may come before that.
    pub fn meet(&mut self, open: &Open, saved: &Reach) -> Result<()> {
        let Some(Proof { of, time }) = self.proof.as_ref().filter(|_| !faults::on(Saboteur::LastTransactionUnproven))
        else {
            return Ok(());
        };
        let follows = match (of, &open.gtid) {
            (Gtid::Maria(of), Gtid::Maria(now)) => of.domain == now.domain && now.number >= of.number,
            (Gtid::Mysql(_) | Gtid::Byte(_), _) => !open.is_behind(saved)?,
            _ => false,
        };
        match (*of == open.gtid, of) {
            (true, Gtid::Byte(_)) if !follows => self.met = Some(*time == Time::Began(open.time)),
            (true, Gtid::Maria(_) | Gtid::Mysql(_)) => return self.meet_time(open),
            _ if !follows => {}
            _ => match self.met {
                Some(true) => self.proof = None,
                Some(false) => return Err(anew(of)),
                None => return Err(forgotten(format!("transaction {of} is not in the log any more"))),
            },
        }
        Ok(())
    }

    /// It was written when the one that we read was; judged as soon as that is known.
    pub fn meet_time(&mut self, open: &Open) -> Result<()> {
        let Some(Proof { of, time }) = self.proof.as_ref().filter(|proof| proof.of == open.gtid) else { return Ok(()) };
        let now = match (time, open.proof) {
            _ if matches!(of, Gtid::Byte(_)) => return Ok(()),
            (Time::Began(_), _) => Time::Began(open.time),
            (Time::First(_), Some(now)) => now,
            (Time::First(_), None) => return Ok(()),
        };
        if *time != now && !faults::on(Saboteur::LastTransactionUnproven) {
            return Err(anew(of));
        }
        self.proof = None;
        Ok(())
    }
}

fn anew(of: &Gtid) -> Error {
    forgotten(format!("transaction {of} is another one now: it was written anew"))
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

#[cfg(test)]
mod tests {
    use super::{
        super::{position::File, stream::made},
        *,
    };
    use crate::error::ErrorKind;

    fn maria(text: &str) -> Reach {
        Reach::Maria(text.parse().expect("a list"))
    }

    fn last(since: Reach, at: Reach, of: Gtid, time: Time) -> Last {
        Last::of(&Point { at, since, proof: Some(Proof { of, time }), seen: None, shapes: None })
    }

    #[test]
    fn a_transaction_is_known_by_the_second_of_its_first_event_or_of_its_beginning() {
        let of = || Gtid::Maria("0-1-5".parse().expect("one"));
        let open = |began, first| {
            let mut open = made(of(), maria("0-1-4"), began);
            open.proof = first;
            open
        };
        let mut by_first = last(maria("0-1-4"), maria("0-1-5"), of(), Time::First(7));
        // A replica's head has another second.
        by_first.meet(&open(9, None), &maria("0-1-5")).expect("not known yet");
        assert!(by_first.proof.is_some());
        by_first.meet_time(&open(9, Some(Time::First(7)))).expect("the same");
        assert!(by_first.proof.is_none());
        let mut other = last(maria("0-1-4"), maria("0-1-5"), of(), Time::First(7));
        other.meet(&open(7, None), &maria("0-1-5")).expect("not known yet");
        let error = other.meet_time(&open(7, Some(Time::First(8)))).expect_err("another one");
        assert_eq!(error.kind(), ErrorKind::Lost);
        // As positions have it that were saved before.
        let mut by_head = last(maria("0-1-4"), maria("0-1-5"), of(), Time::Began(7));
        by_head.meet(&open(8, None), &maria("0-1-5")).expect_err("another one");
        by_head.meet(&open(7, None), &maria("0-1-5")).expect("the same");
        assert!(by_head.proof.is_none());
    }

    #[test]
    fn a_place_that_other_files_have_too_is_that_of_the_last_one_before_us() {
        let file = |name: &str, byte| Reach::File(File { server: uuid::Uuid::from_u128(3), name: name.into(), byte });
        let open = |name, byte, time| made(Gtid::Byte(byte), file(name, byte), time);
        let at = file("b.000003", 4);
        for (met, expected) in [(Some(7), None), (Some(8), Some("anew")), (None, Some("any more"))] {
            let mut last = last(file("b.000001", 158), at.clone(), Gtid::Byte(158), Time::Began(7));
            last.meet(&open("b.000001", 300, 1), &at).expect("others come before");
            if let Some(time) = met {
                last.meet(&open("b.000001", 158, 2), &at).expect("not the last one");
                last.meet(&open("b.000002", 158, time), &at).expect("maybe");
            }
            let next = last.meet(&open("b.000003", 158, 9), &at);
            assert_eq!(next.is_err(), expected.is_some(), "{next:?}");
            assert!(expected.is_none_or(|says| next.expect_err("told").to_string().contains(says)));
        }
    }
}
