//! Rules of the lane protocol that a target can see being broken; it notes them for a judge.

use super::{
    position::Point,
    server::{Request, Session},
    world::Inner,
};
use crate::model::{Change, LaneMark, Partition};

impl Inner {
    pub(super) fn look_for_breaches(&mut self, session: &Session, request: &Request) {
        let mut found = Vec::new();
        let mutations = &request.rows.mutations;
        let what = format!("batch {} of {}", request.number, request.feed);
        if mutations.len() > 1 && mutations.iter().any(|mutation| mutation.change.is_alone()) {
            found.push("a change that must be alone came with others".to_owned());
        }
        if mutations.iter().any(|mutation| matches!(mutation.change, Change::Touched)) {
            found.push("Touched reached the target".to_owned());
        }
        let special = |index: usize| {
            let mutation = &mutations[index];
            mutation.change.is_alone() || request.rows.table(mutation).is_keyless()
        };
        let is_copy = request.feed.as_str() == Partition::COPY;
        if !is_copy && !request.lanes.contains(&0) && (0..mutations.len()).any(special) {
            found.push("a change for lane 0 came on another lane".to_owned());
        }
        if request.lanes.is_empty() || request.lanes.iter().any(|lane| !is_copy && *lane >= request.of) {
            found.push(format!("lanes {:?} of {}", request.lanes, request.of));
        }
        if !is_copy {
            self.look_at_order(session, request, &mut found);
        }
        found.into_iter().for_each(|rule| self.breach(format!("{what}: {rule}")));
    }

    /// The barrier, and positions that only move on.
    fn look_at_order(&self, session: &Session, request: &Request, found: &mut Vec<String>) {
        let Some((newest, whole)) = self.ledger.newest(session.job, &request.feed) else { return };
        let newest: &LaneMark = newest[0];
        if request.number > newest.batch && !whole {
            found.push(format!("it started before all lanes had batch {}", newest.batch));
        }
        if request.number > newest.batch + 1 {
            found.push(format!("it follows batch {}", newest.batch));
        }
        let same = newest.from == request.from && newest.to == request.to && newest.lanes == request.of;
        if request.number == newest.batch && !same {
            found.push("another lane has another batch of this number".to_owned());
        }
        if let (Ok(last), Ok(from), Ok(to)) =
            (Point::read(&newest.to), Point::read(&request.from), Point::read(&request.to))
        {
            if from > to {
                found.push(format!("it goes from {from:?} back to {to:?}"));
            }
            if request.number > newest.batch && from.identity == last.identity && from < last {
                found.push(format!("it begins at {from:?}, before {last:?} where the last one ended"));
            }
        }
    }
}
