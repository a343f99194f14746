//! What was measured into one target, and the sentence that says how its duration was come by.

use super::{PlannedTable, PlannedTarget, measure::Samples, predict};
use crate::{
    error::Result,
    model::{Existing, JobSpec},
    pipeline::list,
};
use std::{collections::BTreeSet, fmt::Write, time::Duration};

pub struct Measured {
    pub samples: Result<Samples>,
    /// The scratch place; `None`: there is none, and only the source was measured.
    pub about: Option<String>,
    pub side_by_side: u16,
}

impl Measured {
    /// All but the store's name and its connections.
    pub fn predict(&self, tables: &[PlannedTable], spec: &JobSpec) -> PlannedTarget {
        let samples = match &self.samples {
            Ok(samples) => samples,
            Err(error) => {
                return PlannedTarget { basis: format!("not measured: {error}"), ..PlannedTarget::default() };
            }
        };
        let prediction = predict::predict(tables, samples, spec.copy.limits, self.about.is_some());
        let mut basis = self.sentence(tables, samples);
        if prediction.share_of_indexes >= 0.05 {
            let _ = write!(basis, "; making indexes is {:.0} % of it", prediction.share_of_indexes * 100.0);
        }
        if !prediction.unknown.is_empty() {
            let names: BTreeSet<&String> = prediction.unknown.iter().collect();
            let _ = write!(basis, "; not predicted: the source does not know how many rows {} has", list(&names));
        }
        if spec.targets.iter().any(|target| target.existing != Existing::Refuse) {
            basis.push_str("; rows that are in a target already make it slower");
        }
        PlannedTarget {
            duration: prediction.duration,
            limiting: prediction.limiting,
            rows_per_s: prediction.rows_per_s,
            bytes_per_s: prediction.bytes_per_s,
            basis,
            ..PlannedTarget::default()
        }
    }

    fn sentence(&self, tables: &[PlannedTable], samples: &Samples) -> String {
        if tables.is_empty() {
            return "there is nothing to copy".into();
        }
        let sum = |of: fn(&super::measure::Sample) -> Duration| -> f64 {
            samples.iter().map(|(_, sample)| of(sample).as_secs_f64()).sum()
        };
        let rows: u64 = samples.iter().map(|(_, sample)| sample.rows).sum();
        let bytes: u64 = samples.iter().map(|(_, sample)| sample.bytes).sum();
        let (took, for_source, for_target) =
            (sum(|sample| sample.took), sum(|sample| sample.for_source), sum(|sample| sample.for_target));
        let mut text = format!(
            "measured: {rows} rows ({:.1} MiB) of {} of {} tables in {took:.1} s, {} side by side",
            bytes as f64 / f64::from(1 << 20),
            samples.len(),
            tables.len(),
            self.side_by_side,
        );
        match &self.about {
            Some(about) => {
                let waited = (for_source + for_target).max(f64::MIN_POSITIVE);
                let _ = write!(
                    text,
                    ", into {about}; waited {:.0} % for the source, {:.0} % for the target",
                    for_source / waited * 100.0,
                    for_target / waited * 100.0
                );
            }
            None => {
                text.push_str(", reading only: how fast the target writes cannot be measured without writing to it")
            }
        }
        text
    }
}
