//! How long a copy takes, from sizes and what a sample showed. Pure.

use super::{
    Limiting, PlannedTable,
    measure::{Sample, Samples},
};
use crate::model::Limits;
use std::time::Duration;

/// From the last range to the first look at whether the log is passed: the engine's own steps.
const CATCHING_UP: Duration = Duration::from_millis(300);
/// A guess must stay a duration.
const LONGEST: f64 = 10.0 * 365.0 * 86_400.0;

/// What a copy into one target would be like.
#[derive(Clone, Debug, Default)]
pub struct Prediction {
    pub duration: Option<Duration>,
    pub limiting: Option<Limiting>,
    pub rows_per_s: Option<f64>,
    pub bytes_per_s: Option<f64>,
    /// Of a copy without the job's limits.
    pub share_of_indexes: f64,
    /// Tables whose rows nobody knows.
    pub unknown: Vec<String>,
}

/// Rows of one table a second, and bytes of a row as limits count them.
#[derive(Clone, Copy)]
struct Rate {
    rows_per_s: f64,
    row_bytes: f64,
}

/// `with_target`: the samples were written as well as read.
pub fn predict(tables: &[PlannedTable], samples: &Samples, limits: Limits, with_target: bool) -> Prediction {
    let mut prediction = Prediction::default();
    let rates: Vec<Option<Rate>> = samples.iter().map(|(_, sample)| rate(sample)).collect();
    let sampled = samples.iter().zip(&rates).filter_map(|((_, sample), rate)| Some((sample, (*rate)?)));
    let pooled = sampled.fold(Sample::default(), |all, (sample, _)| Sample {
        rows: all.rows + sample.rows,
        bytes: all.bytes + sample.bytes,
        took: all.took + sample.took,
        for_source: all.for_source + sample.for_source,
        for_target: all.for_target + sample.for_target,
        prepared: all.prepared + sample.prepared,
        finished: all.finished + sample.finished,
        all: true,
    });
    let preparing = samples.iter().map(|(_, sample)| sample.prepared.as_secs_f64()).sum::<f64>();
    let preparing = preparing / samples.len().max(1) as f64;
    let of_all = rate(&pooled);
    let (mut free, mut limited, mut indexes, mut rows, mut bytes) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (index, table) in tables.iter().enumerate() {
        let at = samples.iter().position(|(sampled, _)| *sampled == index);
        let rate = at.and_then(|at| rates[at]).or_else(|| of_rows(of_all?, table));
        let (of, rate) = match (table.rows, rate) {
            (Some(0), _) => continue,
            (Some(rows), Some(rate)) => (rows as f64, rate),
            _ => {
                prediction.unknown.push(table.shape.name.to_string());
                continue;
            }
        };
        let copying = of / rate.rows_per_s;
        let per = |amount: f64, limit: u64| if limit == 0 { 0.0 } else { amount / limit as f64 };
        let held = per(of, limits.rows_per_s).max(per(of * rate.row_bytes, limits.bytes_per_s));
        let own = at.map_or(&pooled, |at| &samples[at].1);
        indexes += if own.rows == 0 { 0.0 } else { own.finished.as_secs_f64() * of / own.rows as f64 };
        free += copying;
        limited += copying.max(held);
        rows += of;
        bytes += of * rate.row_bytes;
    }
    if rows > 0.0 {
        (prediction.rows_per_s, prediction.bytes_per_s) = (Some(rows / limited), Some(bytes / limited));
        prediction.share_of_indexes = indexes / (free + indexes);
    }
    let is_limited = limited > free;
    let known = with_target && prediction.unknown.is_empty() && (rows == 0.0 || of_all.is_some());
    if known {
        let all = limited + indexes + preparing * tables.len() as f64;
        prediction.duration = Some(Duration::from_secs_f64(all.min(LONGEST)) + CATCHING_UP);
    } else if !with_target {
        // Only an upper bound of the rate: the target may be slower.
        (prediction.rows_per_s, prediction.bytes_per_s) = (None, None);
    }
    prediction.limiting = match (is_limited, known && rows > 0.0) {
        (true, _) => Some(Limiting::Limits),
        (false, false) => None,
        (false, true) if pooled.for_source > pooled.for_target => Some(Limiting::Source),
        (false, true) => Some(Limiting::Target),
    };
    prediction
}

fn rate(sample: &Sample) -> Option<Rate> {
    let seconds = sample.took.as_secs_f64();
    let (rows, bytes) = (sample.rows as f64, sample.bytes as f64);
    (sample.rows > 0 && seconds > 0.0).then(|| Rate { rows_per_s: rows / seconds, row_bytes: bytes / rows })
}

/// A table that was not sampled moves as many bytes a second as the others.
fn of_rows(all: Rate, table: &PlannedTable) -> Option<Rate> {
    let row_bytes = match (table.rows, table.bytes) {
        (Some(rows), Some(bytes)) if rows > 0 => (bytes as f64 / rows as f64).max(1.0),
        _ => all.row_bytes,
    };
    // Short rows cost more than their bytes.
    let rows_per_s = (all.rows_per_s * all.row_bytes / row_bytes).min(all.rows_per_s * 2.0);
    Some(Rate { rows_per_s, row_bytes })
}
