//! Collects what a job's tasks see and shows it; what is stale is shown as stalled (invariant 9).

use super::{
    pace::Pace,
    status::{JobStatus, Observed, TableStatus},
    told::Told,
    waits::{STALE, Waiting, Waits, What},
};
use crate::{
    error::Error,
    model::{Batch, Kind, Progress, TableName, TableState},
    source::Backlog,
    state::Stopped,
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{sync::watch, time::Instant};

/// A batch that is in hand for longer waits for its target: what a batch takes by itself is below.
const WAITS: Duration = Duration::from_secs(2);

/// Tables that are shown as late; where more come, some are enough to see it.
const LATE: usize = 1_000;

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
    /// Of the tail, or of what is asked before there is one.
    source_answer: Option<Instant>,
    source_error: Option<Stopped>,
    source_told: Told,
    /// The job's log is reserved and its tables are known.
    begun: bool,
    /// Tables that the source has no more.
    gone: BTreeSet<TableName>,
}

#[derive(Default)]
struct SeenTarget {
    /// Where its own task says it is.
    phase: Observed,
    since: Option<Instant>,
    /// What it waits for.
    waits: Waits,
    /// What the source said to its own questions, if that was no answer.
    source_error: Option<Stopped>,
    failing: bool,
    told: Told,
    paces: BTreeMap<TableName, Pace>,
    changes: Option<(Instant, u64)>,
}

impl Board {
    pub fn new(status: Arc<watch::Sender<JobStatus>>) -> Self {
        let seen = Seen { source_answer: Some(Instant::now()), ..Seen::default() };
        Board { status, seen: Mutex::new(seen) }
    }

    pub fn phase(&self, target: &str, phase: Observed) {
        {
            let mut seen = self.seen.lock();
            let seen = seen.targets.entry(target.to_owned()).or_default();
            if seen.phase != phase {
                (seen.phase, seen.since) = (phase, Some(Instant::now()));
                if follows(phase) {
                    // From here on the log speaks for the source.
                    seen.source_error = None;
                }
            }
        }
        if phase == Observed::Preparing {
            self.backlog_unknown(target);
        }
        self.show();
    }

    /// The job's log is reserved, its tables are known.
    pub fn begun(&self) {
        self.seen.lock().begun = true;
        self.source_answered();
    }

    /// What grows stale is shown so although nothing else happens.
    pub async fn keep_fresh(&self) -> Infallible {
        let mut clock = tokio::time::interval(Duration::from_secs(1));
        loop {
            clock.tick().await;
            self.show();
        }
    }

    /// A target's pipeline waits, as long as what this gives is kept.
    pub fn waits(self: &Arc<Self>, target: &str, what: What) -> Waiting {
        let mut seen = self.seen.lock();
        let id = seen.targets.entry(target.to_owned()).or_default().waits.add(what);
        Waiting { board: Arc::clone(self), target: target.to_owned(), id }
    }

    pub(super) fn waits_no_more(&self, target: &str, id: u64) {
        if let Some(seen) = self.seen.lock().targets.get_mut(target) {
            seen.waits.remove(id);
        }
    }

    /// The source answered a target's own question.
    pub fn told(&self, target: &str) {
        let mut seen = self.seen.lock();
        let asking = seen.targets.entry(target.to_owned()).or_default();
        if asking.source_error.take().is_some() {
            if seen.source_told.healed() {
                tracing::info!("the source answers again");
            }
            drop(seen);
            self.show();
        }
    }

    /// Or said why it cannot.
    pub fn told_error(&self, target: &str, error: &Error) {
        self.failed(error, |seen, error| {
            seen.targets.entry(target.to_owned()).or_default().source_error = Some(error);
        });
    }

    fn failed(&self, error: &Error, note: impl FnOnce(&mut Seen, Stopped)) {
        {
            let mut seen = self.seen.lock();
            note(&mut seen, stopped(error));
            if error.is_transient() && seen.source_told.is_news(error) {
                tracing::warn!(hint = error.hint_text(), %error, "the source failed; trying again");
            }
        }
        self.status.send_modify(|status| status.errors.count(error.kind()));
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
        self.failed(error, |seen, error| seen.source_error = Some(error));
    }

    /// A batch is durable in the target.
    pub fn applied(&self, target: &str, batch: &Batch) {
        self.target_answered(target);
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
            // The newest trouble is what a person looks for.
            (seen.failing, seen.source_error) = (true, None);
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

    /// An error that a target's pipeline does not go on after; counted where it belongs, and shown where it stopped.
    pub fn ended(&self, target: &str, error: &Error) {
        let is_counted = {
            let mut seen = self.seen.lock();
            seen.targets.entry(target.to_owned()).or_default().source_error = None;
            // By the read of the log, which told us.
            seen.source_error.as_ref().is_some_and(|known| known.text == error.to_string())
        };
        self.status.send_modify(|status| {
            let target = status.targets.entry(target.to_owned()).or_default();
            target.error = Some(stopped(error));
            match error.is_of_source() {
                true if is_counted => {}
                true => status.errors.count(error.kind()),
                false => target.errors.count(error.kind()),
            }
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
        let waits =
            self.seen.lock().targets.get(target).is_some_and(|seen| seen.failing || seen.waits.target() > WAITS);
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

    /// Tables that the source has no more, as the log told or its catalogue.
    pub fn gone(&self, tables: Vec<TableName>) {
        self.seen.lock().gone = tables.into_iter().collect();
    }

    /// Tables that the job's globs select, as the catalogue or the log told last: whether they are there, though they are
    /// not the job's.
    pub fn late(&self, tables: impl IntoIterator<Item = (TableName, bool)>) {
        self.status.send_if_modified(|status| {
            let mut late: BTreeSet<TableName> = status.late.iter().cloned().collect();
            let mut changed = false;
            for (name, is_there) in tables {
                changed |= if is_there { late.len() < LATE && late.insert(name) } else { late.remove(&name) };
            }
            status.late = late.into_iter().collect();
            changed
        });
    }

    /// What a target's progress says of its tables; called about once a second.
    pub fn tables(&self, target: &str, progress: &Progress) {
        let mut seen = self.seen.lock();
        let Seen { targets, gone, .. } = &mut *seen;
        let paces = &mut targets.entry(target.to_owned()).or_default().paces;
        let tables = progress.tables.iter().map(|(name, table)| {
            let copying = matches!(table.state, TableState::Copying | TableState::Recopying);
            let pieces = table.pieces.max(1) as f64;
            let share = if copying { 1.0 - (table.todo.len() as f64 / pieces).min(1.0) } else { 1.0 };
            let pace = paces.entry(name.clone()).or_insert_with(|| Pace::new(table.rows, share));
            pace.note(table.rows, share);
            let rows_per_s = if copying { pace.rows_per_s(table.rows) } else { 0.0 };
            let eta = pace.eta_s(share).filter(|_| copying);
            let observed = match table.state {
                TableState::Copying | TableState::Recopying => Observed::Copying,
                TableState::CatchingUp(_) => Observed::CatchingUp,
                TableState::Streaming { .. } => Observed::Streaming,
            };
            let (rows, bytes, gone) = (table.rows, table.bytes, gone.contains(name));
            let again = table.again.clone().filter(|_| !table.is_streaming());
            (name.clone(), TableStatus { observed, gone, rows, bytes, rows_per_s, share, eta_s: eta, again })
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
        let asking_error = seen.targets.values().find_map(|target| target.source_error.clone());
        let (answered, begun) = (seen.source_answer, seen.begun);
        let mut anyone_listens = false;
        self.status.send_modify(|status| {
            for (name, seen) in &mut seen.targets {
                let target = status.targets.entry(name.clone()).or_default();
                // Nobody listens to the tail for a target that copies.
                let listens = follows(seen.phase) || !begun;
                anyone_listens |= listens;
                let stale = answered.max(seen.since.filter(|_| begun)).is_none_or(|since| since.elapsed() > STALE);
                let silent = seen.source_error.is_some() || seen.waits.source() > STALE;
                let unheard = silent || (listens && (source_error.is_some() || stale));
                let runs = seen.phase >= Observed::Preparing;
                let stuck = seen.waits.are_too_long();
                target.observed =
                    if (unheard || seen.failing || stuck) && runs { Observed::Stalled } else { seen.phase };
                let stopped = matches!(seen.phase, Observed::Failed | Observed::Lost);
                target.passed = target.error.is_some() && !seen.failing && !stopped;
                if unheard {
                    // Whatever was known of the log's end is old.
                    (target.lag_ms, target.behind) = (None, None);
                } else if seen.waits.target() > WAITS {
                    // It takes nothing: that it had all is past.
                    target.lag_ms = target.lag_ms.filter(|lag| *lag > 0);
                }
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
            status.error = source_error.filter(|_| anyone_listens || !begun).or(asking_error);
            status.observed = status.targets.values().map(|target| target.observed).min().unwrap_or_default();
        });
    }
}

fn follows(phase: Observed) -> bool {
    matches!(phase, Observed::CatchingUp | Observed::Streaming)
}

pub fn stopped(error: &Error) -> Stopped {
    let hint = error.hint_text().map(str::to_owned);
    Stopped { kind: error.kind(), text: error.to_string(), hint, at_ms: now_ms() }
}

#[cfg(test)]
mod tests;
