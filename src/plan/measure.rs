//! Copies a sample for about two seconds: from the source as a job would, into a scratch target that is thrown away.

use crate::{
    error::Result,
    model::{Batch, Checkpoint, Existing, JobId, Key, KeyRange, Partition, Position, Table},
    pipeline::{Budget, Prefetch, Route, Routed},
    source::{Columns, Feed, Next, Size, Source},
    target::{Applied, Claim, Part, Target},
};
use futures_util::future::try_join_all;
use parking_lot::Mutex;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// All copying together; what comes before and after it takes some tenths of a second more.
const MEASURED: Duration = Duration::from_millis(1_500);
/// For a table beside which another is huge: its rows may be quite different ones.
const LEAST: Duration = Duration::from_millis(40);
/// Of a sample, so that the scratch place stays small.
const SAMPLE_BYTES: u64 = 96 << 20;
/// Tables that are sampled, the largest first: the others are taken to be like them.
const SAMPLED: usize = 8;
/// Cutting a table into ranges may walk its index; one with more rows is sampled from its start only.
const CUT_ROWS: u64 = 2_000_000;
/// In flight while it is measured; a daemon's jobs have budgets of their own.
const BUDGET_MIB: u32 = 32;

/// What was seen while one table was copied.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub rows: u64,
    /// As limits count them.
    pub bytes: u64,
    pub took: Duration,
    /// Waiting, of all ranges that ran side by side.
    pub for_source: Duration,
    pub for_target: Duration,
    /// Making it ready, and its indexes afterwards.
    pub prepared: Duration,
    pub finished: Duration,
    /// To its end: there are no more rows.
    pub all: bool,
}

/// One pair's tables, by their index.
pub type Samples = Vec<(usize, Sample)>;

/// What is sampled, and how.
pub struct Trial<'a> {
    pub source: &'a dyn Source,
    /// `None`: only the source is measured.
    pub target: Option<&'a dyn Target>,
    pub route: &'a Arc<Route>,
    pub tables: &'a [Arc<Table>],
    pub sizes: &'a [Size],
    pub side_by_side: u16,
}

/// Copies the largest tables, each for its share of the time.
pub async fn measure(trial: &Trial<'_>) -> Result<Samples> {
    let mut largest: Vec<usize> = (0..trial.tables.len()).collect();
    // What is not known may be the largest of all.
    let weight = |index: usize| {
        let Size { rows, bytes } = trial.sizes[index];
        bytes.or(rows.map(|rows| rows.saturating_mul(100))).unwrap_or(u64::MAX)
    };
    largest.sort_by_key(|&index| std::cmp::Reverse(weight(index)));
    largest.truncate(SAMPLED);
    if let Some(target) = trial.target {
        target.open(&claim(trial, &largest)).await?;
    }
    let mut samples = Vec::new();
    let mut numbers = vec![0; usize::from(trial.side_by_side)];
    let end = Instant::now() + MEASURED;
    for (turn, &index) in largest.iter().enumerate() {
        let rest: f64 = largest[turn..].iter().map(|&index| weight(index) as f64).sum();
        let left = end.saturating_duration_since(Instant::now());
        let share = if rest > 0.0 { left.mul_f64((weight(index) as f64 / rest).min(1.0)) } else { left };
        let share = share.max(LEAST);
        let spent: u64 = samples.iter().map(|(_, sample): &(usize, Sample)| sample.bytes).sum();
        let sample = one(trial, index, share, SAMPLE_BYTES.saturating_sub(spent), &mut numbers).await?;
        samples.push((index, sample));
    }
    Ok(samples)
}

fn claim(trial: &Trial<'_>, largest: &[usize]) -> Claim {
    Claim {
        job: JobId(Uuid::now_v7()),
        spec: "a plan".into(),
        epoch: 1,
        token: Uuid::new_v4(),
        tables: largest.iter().map(|&index| trial.route.target_name(&trial.tables[index].name)).collect(),
        feeds: vec![(Partition::new(Partition::COPY), trial.side_by_side, Position::new(&[], 0))],
        existing: Existing::Refuse,
        transactional: false,
    }
}

/// Where the ranges of one table take turns.
struct Turns {
    queue: Mutex<VecDeque<KeyRange>>,
    seen: Mutex<Sample>,
    until: Instant,
    most_bytes: u64,
    /// Of all ranges together.
    budget: Budget,
}

async fn one(trial: &Trial<'_>, index: usize, share: Duration, bytes: u64, numbers: &mut [u64]) -> Result<Sample> {
    let table = &trial.tables[index];
    let start = Instant::now();
    let target_table = trial.route.target_table(table);
    if let Some(target) = trial.target {
        target.prepare(&target_table, 1).await?;
    }
    let prepared = start.elapsed();
    let pieces = usize::from(trial.side_by_side);
    let may_cut = pieces > 1 && !table.is_keyless() && trial.sizes[index].rows.is_some_and(|rows| rows <= CUT_ROWS);
    let ranges = match may_cut {
        true => trial.source.split(table, &KeyRange::all(), pieces).await?,
        false => vec![KeyRange::all()],
    };
    let start = Instant::now();
    let turns = Turns {
        queue: Mutex::new(ranges.into()),
        seen: Mutex::new(Sample { all: true, prepared, ..Sample::default() }),
        until: start + share,
        most_bytes: bytes,
        budget: Budget::new(BUDGET_MIB),
    };
    let copiers = numbers.iter_mut().enumerate().map(|(lane, number)| copy(trial, table, &turns, lane, number));
    try_join_all(copiers).await?;
    let mut sample = turns.seen.into_inner();
    sample.all &= turns.queue.into_inner().is_empty();
    sample.took = start.elapsed();
    let start = Instant::now();
    if let Some(target) = trial.target {
        // Doubled values are of rows that moved while they were read: they change nothing about the time.
        target.finish(&target_table).await?;
    }
    sample.finished = start.elapsed();
    Ok(sample)
}

/// One of the ranges that run side by side, as a job's copier does it.
async fn copy(trial: &Trial<'_>, table: &Arc<Table>, turns: &Turns, lane: usize, number: &mut u64) -> Result<()> {
    let lane = u16::try_from(lane).expect("as many as were asked for");
    loop {
        let Some(range) = turns.queue.lock().pop_front() else { return Ok(()) };
        let feed = trial.source.copy(table, &range, Columns::All, &Checkpoint::default()).await?;
        let mut feed = Routed::new(Prefetch::new(feed, turns.budget.clone()), Arc::clone(trial.route));
        let mut done: Option<Key> = None;
        loop {
            let start = Instant::now();
            let left = turns.until.saturating_duration_since(start);
            // A batch that waits already would be taken for ever.
            let over = left.is_zero() || turns.seen.lock().bytes >= turns.most_bytes;
            let next = match timeout(left, feed.next(left)).await {
                Ok(next) if !over => next?,
                // Time is over.
                _ => Next::Idle(Checkpoint::default()),
            };
            let for_source = start.elapsed();
            let batch = match next {
                Next::Batch(batch) => batch,
                Next::End => break,
                Next::Idle(_) if Instant::now() < turns.until && !over => continue,
                Next::Idle(_) => {
                    turns.seen.lock().all = false;
                    return Ok(());
                }
            };
            let (rows, bytes) = (batch.changes(), batch.bytes() as u64);
            let start = Instant::now();
            if let Some(target) = trial.target {
                let from = range.position(1, &table.name, done.as_ref());
                done = KeyRange::from_position(&batch.to).and_then(|(.., done)| done);
                let to = range.position(1, &table.name, done.as_ref());
                *number += 1;
                apply(target, &Batch { from, to, ..batch }, lane, trial.side_by_side, *number).await?;
            }
            let mut seen = turns.seen.lock();
            seen.rows += rows;
            seen.bytes += bytes;
            seen.for_source += for_source;
            seen.for_target += start.elapsed();
        }
    }
}

async fn apply(target: &dyn Target, batch: &Batch, lane: u16, of: u16, number: u64) -> Result<()> {
    let lanes = [lane];
    let part = Part { lanes: &lanes, of, ..Part::whole(batch, number) };
    while let Applied::Again = target.apply(part).await? {}
    Ok(())
}
