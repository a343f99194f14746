//! How long a copy takes, from sizes and what a sample showed. Pure.

use super::{
    Limiting, PlannedTable,
    measure::{Sample, Samples},
};
use crate::model::Limits;
use std::time::Duration;

/// From the last range to the news that the log is passed: a tail that finds nothing waits so long for more.
const CATCHING_UP: Duration = Duration::from_secs(1);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Column, Table, TableName, Type};
    use std::sync::Arc;

    fn table(rows: Option<u64>, bytes: Option<u64>) -> PlannedTable {
        let shape = Table::new(TableName::new("main", "t"), vec![Column::new("id", Type::Int)], vec![0]);
        let shape = Arc::new(shape);
        PlannedTable { target_shape: Arc::clone(&shape), shape, rows, bytes }
    }

    /// A thousand rows of a hundred bytes in a second, mostly waiting for the target; a tenth of that for indexes.
    fn samples() -> Samples {
        let sample = Sample {
            rows: 1_000,
            bytes: 100_000,
            took: Duration::from_secs(1),
            for_source: Duration::from_millis(100),
            for_target: Duration::from_millis(900),
            finished: Duration::from_millis(100),
            ..Sample::default()
        };
        vec![(0, sample)]
    }

    fn seconds(prediction: &Prediction) -> f64 {
        (prediction.duration.expect("known") - CATCHING_UP).as_secs_f64()
    }

    #[test]
    fn time_grows_with_rows_and_the_limiting_side_is_named() {
        let prediction = predict(&[table(Some(50_000), None)], &samples(), Limits::default(), true);
        assert!((seconds(&prediction) - 55.0).abs() < 0.1, "{prediction:?}");
        assert_eq!((prediction.limiting, prediction.rows_per_s), (Some(Limiting::Target), Some(1_000.0)));
        let limits = Limits { rows_per_s: 0, bytes_per_s: 10_000 };
        let prediction = predict(&[table(Some(50_000), None)], &samples(), limits, true);
        assert!((seconds(&prediction) - 505.0).abs() < 0.1, "{prediction:?}");
        assert_eq!((prediction.limiting, prediction.bytes_per_s), (Some(Limiting::Limits), Some(10_000.0)));
    }

    #[test]
    fn tables_that_were_not_sampled_move_as_many_bytes() {
        let tables = [table(Some(1_000), Some(100_000)), table(Some(1_000), Some(1_000_000))];
        let prediction = predict(&tables, &samples(), Limits::default(), true);
        assert!((seconds(&prediction) - (1.0 + 10.0 + 0.2)).abs() < 0.1, "{prediction:?}");
    }

    #[test]
    fn what_is_not_known_stays_absent() {
        let unknown = predict(&[table(None, None)], &samples(), Limits::default(), true);
        assert_eq!((unknown.duration, unknown.limiting, unknown.unknown.len()), (None, None, 1));
        let reading_only = predict(&[table(Some(50_000), None)], &samples(), Limits::default(), false);
        assert_eq!((reading_only.duration, reading_only.limiting, reading_only.rows_per_s), (None, None, None));
        let nothing_seen = predict(&[table(Some(5), None)], &Samples::new(), Limits::default(), true);
        assert_eq!((nothing_seen.duration, nothing_seen.rows_per_s), (None, None));
        let nothing_there = predict(&[table(Some(0), None)], &Samples::new(), Limits::default(), true);
        assert_eq!((nothing_there.duration, nothing_there.limiting), (Some(CATCHING_UP), None));
    }
}
