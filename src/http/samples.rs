//! The last ten minutes of each target, for the page's graphs: a bounded ring of samples.

use super::Window;
use crate::model::JobId;
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    convert::Infallible,
    time::Duration,
};

pub const EVERY: Duration = Duration::from_secs(5);
/// Ten minutes; with a thousand jobs some three megabytes.
const KEPT: usize = 120;

/// What was seen at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sample {
    /// `None`: not known, as of a job that rests.
    pub lag_ms: Option<u32>,
    /// Changes applied and rows copied since the sample before, a second.
    pub per_s: f32,
}

#[derive(Default)]
struct Ring {
    samples: VecDeque<Sample>,
    changes: u64,
}

/// Of every target of every job.
#[derive(Default)]
pub struct Samples(HashMap<JobId, BTreeMap<String, Ring>>);

impl Samples {
    pub fn of(&self, job: JobId, target: &str) -> Vec<Sample> {
        let ring = self.0.get(&job).and_then(|targets| targets.get(target));
        ring.map(|ring| ring.samples.iter().copied().collect()).unwrap_or_default()
    }

    fn add(&mut self, job: JobId, target: &str, lag_ms: Option<u64>, changes: u64) {
        let targets = self.0.entry(job).or_default();
        let ring = match targets.get_mut(target) {
            Some(ring) => ring,
            // Its first sample: how many of the changes are new is not known.
            None => targets.entry(target.to_owned()).or_insert(Ring { changes, ..Ring::default() }),
        };
        let new = changes.saturating_sub(ring.changes);
        ring.changes = changes;
        if ring.samples.len() == KEPT {
            ring.samples.pop_front();
        }
        let lag_ms = lag_ms.map(|lag| u32::try_from(lag).unwrap_or(u32::MAX));
        ring.samples.push_back(Sample { lag_ms, per_s: new as f32 / EVERY.as_secs_f32() });
    }
}

/// Takes them, for ever.
pub async fn take(window: &Window) -> Infallible {
    let mut clock = tokio::time::interval(EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let Some(supervisor) = window.supervisor() else { continue };
        // First all that is seen, then the rings: whoever shows a job holds its status and asks for the rings.
        let (mut there, mut seen) = (HashSet::new(), Vec::new());
        supervisor.look(|record, status| {
            there.insert(record.id);
            let targets = status.targets.iter();
            seen.extend(targets.map(|(name, target)| (record.id, name.clone(), target.lag_ms, target.changes)));
        });
        let mut samples = window.0.samples.lock();
        seen.into_iter().for_each(|(job, target, lag_ms, changes)| samples.add(job, &target, lag_ms, changes));
        samples.0.retain(|job, _| there.contains(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_is_bounded_and_begins_at_what_is_there() {
        let (mut samples, job) = (Samples::default(), JobId(uuid::Uuid::from_u128(1)));
        for changes in 0..500 {
            samples.add(job, "b", Some(changes), 1000 + changes * 10);
        }
        let kept = samples.of(job, "b");
        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept[0], Sample { lag_ms: Some(380), per_s: 2.0 });
        samples.add(job, "c", None, 77);
        assert_eq!(samples.of(job, "c"), [Sample::default()]);
        assert!(samples.of(job, "d").is_empty());
    }
}
