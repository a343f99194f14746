//! The daemon's jobs as a job among them sees them: what they carry, and where from and to.

use super::Shared;
use crate::{
    pipeline::{Other, Spot},
    state::{Desired, JobRecord},
};
use std::{collections::BTreeMap, sync::Arc};

/// All of them. Opens their stores, which connects to nothing.
pub fn others(shared: &Shared) -> Vec<Other> {
    let records: Vec<Arc<JobRecord>> =
        shared.jobs.lock().values().map(|job| Arc::clone(&job.record.borrow())).collect();
    let mut spots = BTreeMap::new();
    let mut spot_of = |name: &String| {
        let spot = || {
            let place = || shared.stores.open(name).ok()?.source().ok()?.place();
            Spot { name: name.clone(), place: place() }
        };
        spots.entry(name.clone()).or_insert_with(spot).clone()
    };
    let mut all = Vec::new();
    for record in records.iter().filter(|record| record.desired != Desired::Delete) {
        let spec = record.spec.clone();
        all.push(Other {
            is_started: record.begun.is_some() || (record.desired == Desired::Run && record.stopped.is_none()),
            source: spot_of(&spec.source.store),
            targets: spec.targets.iter().map(|target| spot_of(&target.store)).collect(),
            spec,
        });
    }
    all
}
