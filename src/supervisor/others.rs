//! The daemon's jobs as a job among them sees them: what they carry, and where from and to.

use super::Shared;
use crate::{
    pipeline::{Other, place},
    state::{Desired, JobRecord},
};
use std::{collections::BTreeMap, sync::Arc};

/// All of them. Opens their stores, which connects to nothing.
pub fn others(shared: &Shared) -> Vec<Other> {
    let records: Vec<Arc<JobRecord>> =
        shared.jobs.lock().values().map(|job| Arc::clone(&job.record.borrow())).collect();
    let mut places = BTreeMap::new();
    let mut place_of = |name: &String| {
        places
            .entry(name.clone())
            .or_insert_with(|| {
                // One that cannot be opened now is still told by its name.
                let open = || shared.stores.open(name).ok()?.source().ok()?.place();
                place(name, open())
            })
            .clone()
    };
    let mut all = Vec::new();
    for record in records.iter().filter(|record| record.desired != Desired::Delete) {
        let spec = record.spec.clone();
        all.push(Other {
            is_started: record.begun.is_some() || (record.desired == Desired::Run && record.stopped.is_none()),
            source: place_of(&spec.source.store),
            targets: spec.targets.iter().map(|target| place_of(&target.store)).collect(),
            spec,
        });
    }
    all
}
