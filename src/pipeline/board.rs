//! Collects what a job's tasks see and shows it; what is stale is shown as stalled (invariant 9).

use super::status::{JobStatus, Observed, TableStatus};
use crate::{
    error::Error,
    model::{Batch, Kind, Progress, TableName, TableState},
    source::Backlog,
    state::Stopped,
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{sync::watch, time::Instant};

/// A feed that has not answered, or a batch that was not written, for so long is evidence of nothing.
const STALE: Duration = Duration::from_secs(30);
/// A batch that is in hand for longer waits for its target: what a batch takes by itself is below.
const WAITS: Duration = Duration::from_secs(2);
/// A store that fails on is named in the log once in this time.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// One per job.
pub struct Board {
    status: Arc<watch::Sender<JobStatus>>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    targets: BTreeMap<String, SeenTarget>,
    source_answer: Option<Instant>,
    source_error: Option<Stopped>,
    source_told: Told,
}

#[derive(Default)]
struct SeenTarget {
    /// Where its own task says it is.
    phase: Observed,
    /// Since when a batch is in hand that the target has not taken.
    in_hand: Option<Instant>,
    failing: bool,
    told: Told,
    rates: BTreeMap<TableName, (Instant, u64)>,
    changes: Option<(Instant, u64)>,
}

/// What of a failing store was said in the log: what is the same is not said again with every try.
#[derive(Default)]
struct Told(Option<(String, Instant)>);

impl Told {
    fn is_news(&mut self, error: &Error) -> bool {
        let text = error.to_string();
        let is_old = self.0.as_ref().is_some_and(|(told, at)| *told == text && at.elapsed() < SAY_AGAIN);
        if !is_old {
            self.0 = Some((text, Instant::now()));
        }
        !is_old
    }

    fn healed(&mut self) -> bool {
        self.0.take().is_some()
    }
}

impl Board {
    pub fn new(status: Arc<watch::Sender<JobStatus>>) -> Self {
        let seen = Seen { source_answer: Some(Instant::now()), ..Seen::default() };
        Board { status, seen: Mutex::new(seen) }
    }

    pub fn phase(&self, target: &str, phase: Observed) {
        self.seen.lock().targets.entry(target.to_owned()).or_default().phase = phase;
        self.show();
    }

    /// As `phase`, for loops.
    pub fn phase_if_new(&self, target: &str, phase: Observed) {
        if self.seen.lock().targets.get(target).is_none_or(|seen| seen.phase != phase) {
            self.phase(target, phase);
        }
    }

    /// The feed gave a batch, or the news that there is none.
    pub fn source_answered(&self) {
        let mut seen = self.seen.lock();
        seen.source_answer = Some(Instant::now());
        if seen.source_error.take().is_some() {
            if seen.source_told.healed() {
                tracing::info!("the source answers again");
            }
            drop(seen);
            self.show();
        }
    }

    pub fn source_error(&self, error: &Error) {
        {
            let mut seen = self.seen.lock();
            seen.source_error = Some(stopped(error));
            if error.is_transient() && seen.source_told.is_news(error) {
                tracing::warn!(hint = error.hint_text(), %error, "the source failed; trying again");
            }
        }
        self.status.send_modify(|status| status.errors.count(error.kind()));
        self.show();
    }

    /// A batch is about to be applied.
    pub fn in_hand(&self, target: &str) {
        let mut seen = self.seen.lock();
        seen.targets.entry(target.to_owned()).or_default().in_hand.get_or_insert_with(Instant::now);
    }

    /// A batch is durable in the target.
    pub fn applied(&self, target: &str, batch: &Batch) {
        self.target_answered(target);
        if let Some(seen) = self.seen.lock().targets.get_mut(target) {
            seen.in_hand = None;
        }
        let now = now_ms();
        self.status.send_if_modified(|status| {
            let target = status.targets.entry(target.to_owned()).or_default();
            target.changes += batch.changes();
            target.bytes += batch.bytes() as u64;
            target.last_write_ms = Some(now);
            // The feed gave it.
            target.last_answer_ms = Some(now);
            // Rows of a copy are of no age.
            if batch.kind == Kind::Log && batch.committed_ms > 0 {
                target.lag_ms = Some(now.saturating_sub(batch.committed_ms));
            }
            false // Shown by the next turn of the clock: thousands of batches a second are not news.
        });
    }

    /// The target was opened, or took a batch.
    pub fn target_answered(&self, target: &str) {
        let mut seen = self.seen.lock();
        let seen = seen.targets.entry(target.to_owned()).or_default();
        seen.failing = false;
        if seen.told.healed() {
            tracing::info!(target, "the target answers again");
        }
    }

    /// The feed has nothing that the target lacks. Of the target itself this says nothing.
    pub fn up_to_date(&self, target: &str) {
        let now = now_ms();
        self.status.send_if_modified(|status| {
            let target = status.targets.entry(target.to_owned()).or_default();
            target.lag_ms = Some(0);
            target.last_answer_ms = Some(now);
            false
        });
    }

    pub fn target_error(&self, target: &str, error: &Error) {
        {
            let mut seen = self.seen.lock();
            let seen = seen.targets.entry(target.to_owned()).or_default();
            seen.failing = true;
            if error.is_transient() && seen.told.is_news(error) {
                tracing::warn!(target, hint = error.hint_text(), %error, "the target failed; trying again");
            }
        }
        let error = stopped(error);
        self.status.send_modify(|status| {
            let target = status.targets.entry(target.to_owned()).or_default();
            target.errors.count(error.kind);
            target.error = Some(error);
        });
        self.show();
    }

    /// The source cannot be asked: then nobody knows how far behind the target is.
    pub fn backlog_unknown(&self, target: &str) {
        self.status.send_if_modified(|status| {
            let target = status.targets.entry(target.to_owned()).or_default();
            (target.behind, target.lag_ms) = (None, None);
            false
        });
    }

    pub fn backlog(&self, target: &str, behind: Backlog) {
        let waits = self
            .seen
            .lock()
            .targets
            .get(target)
            .is_some_and(|seen| seen.failing || seen.in_hand.is_some_and(|since| since.elapsed() > WAITS));
        self.status.send_if_modified(|status| {
            let target = status.targets.entry(target.to_owned()).or_default();
            target.behind = behind.changes;
            // What is not applied grows older, though no batch comes through that could tell.
            if let (true, Some(oldest)) = (waits, behind.oldest_ms) {
                target.lag_ms = target.lag_ms.max(Some(now_ms().saturating_sub(oldest)));
            }
            false
        });
    }

    /// `None`: not known now.
    pub fn held(&self, held: Option<Backlog>) {
        self.status.send_if_modified(|status| {
            status.held = held;
            false
        });
    }

    /// What a target's progress says of its tables; called about once a second.
    pub fn tables(&self, target: &str, progress: &Progress) {
        let mut seen = self.seen.lock();
        let rates = &mut seen.targets.entry(target.to_owned()).or_default().rates;
        let tables = progress.tables.iter().map(|(name, table)| {
            let (since, rows) = *rates.entry(name.clone()).or_insert((Instant::now(), table.rows));
            let seconds = since.elapsed().as_secs_f64();
            let copying = matches!(table.state, TableState::Copying | TableState::Recopying);
            let rows_per_s =
                if copying && seconds > 0.0 { (table.rows - rows.min(table.rows)) as f64 / seconds } else { 0.0 };
            let pieces = table.pieces.max(1) as f64;
            let share = if copying { 1.0 - (table.todo.len() as f64 / pieces).min(1.0) } else { 1.0 };
            let eta = (copying && share > 0.0 && seconds > 0.0).then(|| (seconds * (1.0 - share) / share) as u64);
            let observed = match table.state {
                TableState::Copying | TableState::Recopying => Observed::Copying,
                TableState::CatchingUp(_) => Observed::CatchingUp,
                TableState::Streaming { .. } => Observed::Streaming,
            };
            let (rows, bytes) = (table.rows, table.bytes);
            (name.clone(), TableStatus { observed, rows, bytes, rows_per_s, share, eta_s: eta })
        });
        let tables = tables.collect();
        drop(seen);
        self.status.send_if_modified(|status| {
            status.targets.entry(target.to_owned()).or_default().tables = tables;
            false
        });
        self.show();
    }

    /// Rates, staleness, and the state of the whole from its parts.
    pub fn show(&self) {
        let mut seen = self.seen.lock();
        let source_error = seen.source_error.clone();
        let source_stale = seen.source_answer.is_none_or(|since| since.elapsed() > STALE);
        self.status.send_modify(|status| {
            for (name, seen) in &mut seen.targets {
                let target = status.targets.entry(name.clone()).or_default();
                let following = matches!(seen.phase, Observed::CatchingUp | Observed::Streaming);
                let stuck = seen.in_hand.is_some_and(|since| since.elapsed() > STALE);
                let stalled = seen.failing || stuck || (following && (source_error.is_some() || source_stale));
                let runs = seen.phase >= Observed::Preparing;
                target.observed = if stalled && runs { Observed::Stalled } else { seen.phase };
                // No table is better off than its target: whether it is consistent is known once the target was opened,
                // and it is followed once the others are copied.
                for table in target.tables.values_mut().filter(|table| table.observed == Observed::Streaming) {
                    table.observed = match target.observed {
                        Observed::Streaming | Observed::CatchingUp => Observed::Streaming,
                        Observed::Copying => Observed::CatchingUp,
                        other => other,
                    };
                }
                let (since, before) = *seen.changes.get_or_insert((Instant::now(), target.changes));
                let seconds = since.elapsed().as_secs_f64();
                if seconds >= 2.0 {
                    target.changes_per_s = (target.changes - before) as f64 / seconds;
                    seen.changes = Some((Instant::now(), target.changes));
                }
            }
            status.error = source_error;
            status.observed = status.targets.values().map(|target| target.observed).min().unwrap_or_default();
        });
    }
}

pub fn stopped(error: &Error) -> Stopped {
    let hint = error.hint_text().map(str::to_owned);
    Stopped { kind: error.kind(), text: error.to_string(), hint, at_ms: now_ms() }
}
