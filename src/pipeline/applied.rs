//! What every target has applied and saved: the source is acknowledged at the least of it (invariant 1).

use crate::{
    error::Result,
    faults::{self, Saboteur},
    model::Checkpoint,
    source::Source,
};
use parking_lot::Mutex;
use std::{cmp::Ordering, collections::BTreeMap};

/// What the targets of a job have applied and saved; the source is acknowledged at the least of it.
#[derive(Default)]
pub struct Applied(Mutex<BTreeMap<String, Checkpoint>>);

impl Applied {
    pub fn set(&self, target: &str, checkpoint: Checkpoint) {
        self.0.lock().insert(target.to_owned(), checkpoint);
    }

    pub fn least(&self, source: &dyn Source) -> Result<Checkpoint> {
        let mut least = Checkpoint::default();
        let all = self.0.lock().clone();
        for checkpoint in all.values() {
            for (partition, position) in &checkpoint.0 {
                let wins = match faults::on(Saboteur::AcknowledgeAtFastestTarget) {
                    true => Ordering::Greater,
                    false => Ordering::Less,
                };
                // A partition that another target has not opened yet is needed by it from its start.
                let opened_by_all = all.values().all(|other| other.get(partition).is_some());
                match least.get(partition) {
                    _ if !opened_by_all => {}
                    Some(known) if source.order(position, known)? != wins => {}
                    _ => least.set(partition, position.clone()),
                }
            }
        }
        Ok(least)
    }
}
