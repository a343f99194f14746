//! `/status.json`: what the page draws. All jobs in short, or one job with its tables.

use super::{
    Window,
    samples::{self, Sample},
};
use crate::{
    model::JobId,
    pipeline::{
        now_ms,
        status::{JobStatus, Observed, TableStatus, TargetStatus},
    },
    source::Backlog,
    state::{Desired, JobRecord, Stopped},
    telemetry::process,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr};

/// Rows that a browser draws at once; the command line lists all.
const TABLES: usize = 500;
/// Targets up to which all have their samples in the overview: half a megabyte. Where there are more, a job that is opened
/// on the page has its own.
const GRAPHS: usize = 100;

#[derive(Deserialize)]
pub struct Asked {
    pub job: Option<String>,
}

/// `None`: there is no such job.
pub fn job(window: &Window, name: &str) -> Option<String> {
    let mut found = None;
    window.supervisor()?.look(|record, status| {
        if record.spec.name == name {
            found = Some(text(&Job::new(window, record, status, TABLES, true)));
        }
    });
    found
}

/// All jobs, without their tables.
pub fn overview(window: &Window) -> String {
    let (mut jobs, mut targets) = (Vec::new(), 0);
    if let Some(supervisor) = window.supervisor() {
        supervisor.look(|_, status| targets += status.targets.len());
        supervisor.look(|record, status| jobs.push(text(&Job::new(window, record, status, 0, targets <= GRAPHS))));
    }
    let daemon = Daemon {
        version: env!("CARGO_PKG_VERSION"),
        api: window.0.api.get().copied(),
        now_ms: now_ms(),
        started_ms: (process::started_s() * 1000.0) as u64,
        not_ready: window.ready().err(),
        late: window.supervisor().map_or(0, |supervisor| supervisor.vitals().late.len()),
        sample_every_s: samples::EVERY.as_secs(),
    };
    format!("{{\"daemon\":{},\"jobs\":[{}]}}", text(&daemon), jobs.join(","))
}

#[derive(Serialize)]
struct Daemon {
    version: &'static str,
    /// Where the control API listens: a client that came to this port by mistake is told.
    api: Option<SocketAddr>,
    now_ms: u64,
    started_ms: u64,
    not_ready: Option<String>,
    late: usize,
    sample_every_s: u64,
}

#[derive(Serialize)]
struct Job<'a> {
    name: &'a str,
    uid: JobId,
    source: &'a str,
    desired: Desired,
    observed: Observed,
    held: Option<Backlog>,
    error: Option<&'a Stopped>,
    targets: Vec<Target<'a>>,
}

#[derive(Serialize)]
struct Target<'a> {
    store: &'a str,
    observed: Observed,
    lag_ms: Option<u64>,
    behind: Option<u64>,
    changes: u64,
    changes_per_s: f64,
    last_write_ms: Option<u64>,
    last_answer_ms: Option<u64>,
    error: Option<&'a Stopped>,
    /// It is over.
    passed: bool,
    /// How many tables are in which state.
    tables_in: BTreeMap<&'static str, usize>,
    /// Copied of all tables, 0 to 1.
    share: f64,
    tables: Vec<Table<'a>>,
    /// `None`: there are too many; ask for one job.
    samples: Option<Vec<Sample>>,
}

#[derive(Serialize)]
struct Table<'a> {
    name: String,
    #[serde(flatten)]
    seen: &'a TableStatus,
}

impl<'a> Job<'a> {
    fn new(window: &Window, record: &'a JobRecord, status: &'a JobStatus, tables: usize, graphs: bool) -> Job<'a> {
        let targets = status.targets.iter().map(|(store, target)| {
            let samples = graphs.then(|| window.0.samples.lock().of(record.id, store));
            Target::new(store, target, samples, tables)
        });
        Job {
            name: &record.spec.name,
            uid: record.id,
            source: &record.spec.source.store,
            desired: record.desired,
            observed: status.observed,
            held: status.held,
            error: status.error.as_ref(),
            targets: targets.collect(),
        }
    }
}

impl<'a> Target<'a> {
    fn new(store: &'a str, target: &'a TargetStatus, samples: Option<Vec<Sample>>, tables: usize) -> Target<'a> {
        let mut tables_in: BTreeMap<&str, usize> = BTreeMap::new();
        let state = |table: &TableStatus| if table.gone { "gone" } else { table.observed.name() };
        target.tables.values().for_each(|table| *tables_in.entry(state(table)).or_default() += 1);
        let share = target.tables.values().fold(0.0, |sum, table| sum + table.share);
        let listed = target.tables.iter().take(tables);
        Target {
            store,
            observed: target.observed,
            lag_ms: target.lag_ms,
            behind: target.behind,
            changes: target.changes,
            changes_per_s: target.changes_per_s,
            last_write_ms: target.last_write_ms,
            last_answer_ms: target.last_answer_ms,
            error: target.error.as_ref(),
            passed: target.passed,
            tables_in,
            share: share / target.tables.len().max(1) as f64,
            tables: listed.map(|(name, seen)| Table { name: name.to_string(), seen }).collect(),
            samples,
        }
    }
}

fn text(shown: &impl Serialize) -> String {
    serde_json::to_string(shown).expect("plain data with text keys")
}
