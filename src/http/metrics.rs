//! `/metrics`: computed at each scrape from what jobs show of themselves, so that nothing is counted in two places.

use super::Window;
use crate::{
    pipeline::status::{Errors, JobStatus, Observed, TableStatus, TargetStatus},
    state::{Desired, JobRecord},
    supervisor::{Supervisor, Vitals},
    telemetry::{
        flushes::{BOUNDS_S, Taken},
        metrics::{self as names, Kind, Metric},
        process::{self, Process},
    },
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use std::{collections::HashMap, fmt, path::Path};

pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Tables of one target that have series of their own; more are summed. A scrape of a thousand jobs stays readable.
pub const TABLES_PER_TARGET: usize = 50;
/// And of all targets together.
const TABLES: usize = 5000;
/// The table's name under which they are summed. No table is named so: names have a schema.
const SUM: &str = "*";

pub fn text(window: &Window) -> String {
    let mut scrape = Scrape::default();
    scrape.daemon(window);
    if let Some(supervisor) = window.supervisor() {
        scrape.jobs(supervisor);
    }
    let (mut registry, mut text) = (Registry::default(), String::new());
    registry.register_collector(Box::new(scrape));
    encode(&mut text, &registry).expect("text takes all that is written to it");
    text
}

/// Labels and value.
type Sample = (Vec<(&'static str, String)>, f64);

/// What one scrape gives: samples of each family, by name.
#[derive(Debug, Default)]
struct Scrape {
    samples: HashMap<&'static str, Vec<Sample>>,
    flushes: Taken,
    tables: usize,
}

impl Scrape {
    fn put(&mut self, metric: &'static Metric, labels: &[&str], value: f64) {
        let labels = metric.labels.iter().zip(labels).map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.samples.entry(metric.name).or_default().push((labels, value));
    }

    fn put_known(&mut self, metric: &'static Metric, labels: &[&str], value: Option<f64>) {
        if let Some(value) = value {
            self.put(metric, labels, value);
        }
    }

    fn daemon(&mut self, window: &Window) {
        self.put(&names::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
        self.put(&names::READY, &[], f64::from(window.ready().is_ok()));
        let Process { cpu_s, resident_bytes, virtual_bytes, threads, open_fds, max_fds } = Process::now();
        self.put_known(&names::PROCESS_CPU, &[], cpu_s);
        self.put_known(&names::PROCESS_RESIDENT, &[], resident_bytes.map(float));
        self.put_known(&names::PROCESS_VIRTUAL, &[], virtual_bytes.map(float));
        self.put_known(&names::PROCESS_THREADS, &[], threads.map(float));
        self.put_known(&names::PROCESS_OPEN_FDS, &[], open_fds.map(float));
        self.put_known(&names::PROCESS_MAX_FDS, &[], max_fds.map(float));
        self.put(&names::PROCESS_START, &[], process::started_s());
        self.disk(&window.0.state_folder);
    }

    fn disk(&mut self, folder: &Path) {
        let disk = process::disk(folder);
        self.put_known(&names::STATE_DISK_FREE, &[], disk.as_ref().map(|disk| float(disk.free_bytes)));
        self.put_known(&names::STATE_DISK_SIZE, &[], disk.as_ref().map(|disk| float(disk.size_bytes)));
    }

    fn jobs(&mut self, supervisor: &Supervisor) {
        let Vitals { rows_in_flight_bytes, rows_in_flight_limit_bytes, flushes, tasks, late } = supervisor.vitals();
        self.put(&names::ROWS_IN_FLIGHT, &[], float(rows_in_flight_bytes));
        self.put(&names::ROWS_IN_FLIGHT_LIMIT, &[], float(rows_in_flight_limit_bytes));
        self.put(&names::TASKS, &[], tasks as f64);
        self.put(&names::TASKS_LATE, &[], late.len() as f64);
        self.flushes = flushes.map(|flushes| flushes.taken()).unwrap_or_default();
        let mut states = [0; Observed::ALL.len()];
        supervisor.look(|record, status| {
            states[place(status.observed)] += 1;
            self.job(record, status);
        });
        for (state, count) in Observed::ALL.iter().zip(states) {
            self.put(&names::JOBS, &[state.name()], f64::from(count));
        }
    }

    fn job(&mut self, record: &JobRecord, status: &JobStatus) {
        let job = record.spec.name.as_str();
        for state in Observed::ALL {
            self.put(&names::JOB_STATE, &[job, state.name()], f64::from(state == status.observed));
        }
        for (desired, name) in [
            (Desired::Created, "created"),
            (Desired::Run, "run"),
            (Desired::Pause, "pause"),
            (Desired::Delete, "delete"),
        ] {
            self.put(&names::JOB_DESIRED, &[job, name], f64::from(desired == record.desired));
        }
        if let Some(held) = status.held {
            self.put_known(&names::HELD_CHANGES, &[job], held.changes.map(float));
            self.put_known(&names::HELD_BYTES, &[job], held.bytes.map(float));
            self.put_known(&names::HELD_OLDEST, &[job], held.oldest_ms.map(seconds));
            self.put_known(&names::HELD_KEPT, &[job], held.kept_ms.map(seconds));
        }
        self.errors(job, "", status.errors);
        for (name, target) in &status.targets {
            self.target(job, name, target);
        }
    }

    fn errors(&mut self, job: &str, target: &str, errors: Errors) {
        let Errors { transient, lost, config, refused } = errors;
        for (kind, count) in [("transient", transient), ("lost", lost), ("config", config), ("refused", refused)] {
            self.put(&names::ERRORS, &[job, target, kind], float(count));
        }
    }

    fn target(&mut self, job: &str, name: &str, target: &TargetStatus) {
        let labels = [job, name];
        for state in Observed::ALL {
            self.put(&names::TARGET_STATE, &[job, name, state.name()], f64::from(state == target.observed));
        }
        self.put_known(&names::LAG, &labels, target.lag_ms.map(seconds));
        self.put_known(&names::BEHIND, &labels, target.behind.map(float));
        self.put(&names::APPLIED_CHANGES, &labels, float(target.changes));
        self.put(&names::APPLIED_BYTES, &labels, float(target.bytes));
        self.put_known(&names::LAST_WRITE, &labels, target.last_write_ms.map(seconds));
        self.put_known(&names::LAST_ANSWER, &labels, target.last_answer_ms.map(seconds));
        self.errors(job, name, target.errors);
        let mut states = [0; Observed::ALL.len()];
        let there = target.tables.values().filter(|table| !table.gone);
        there.for_each(|table| states[place(table.observed)] += 1);
        let gone = target.tables.values().filter(|table| table.gone).count();
        let gone = ("gone", u32::try_from(gone).unwrap_or(u32::MAX));
        for (state, count) in Observed::ALL.iter().map(|state| state.name()).zip(states).chain([gone]) {
            self.put(&names::TABLES, &[job, name, state], f64::from(count));
        }
        self.tables += target.tables.len();
        if target.tables.len() <= TABLES_PER_TARGET && self.tables <= TABLES {
            for (table, seen) in &target.tables {
                self.table(&[job, name, &table.to_string()], seen.rows, seen.bytes, seen.share);
            }
        } else {
            let sum = |of: fn(&TableStatus) -> u64| target.tables.values().map(of).sum();
            let share: f64 = target.tables.values().map(|table| table.share).sum();
            let share = share / target.tables.len() as f64;
            self.table(&[job, name, SUM], sum(|table| table.rows), sum(|table| table.bytes), share);
        }
    }

    fn table(&mut self, labels: &[&str], rows: u64, bytes: u64, share: f64) {
        self.put(&names::COPIED_ROWS, labels, float(rows));
        self.put(&names::COPIED_BYTES, labels, float(bytes));
        self.put(&names::COPIED_SHARE, labels, share);
    }

    /// The library sums the counts up itself.
    fn buckets(&self) -> Vec<(f64, u64)> {
        BOUNDS_S.iter().copied().chain([f64::INFINITY]).zip(self.flushes.buckets).collect()
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for metric in names::ALL {
            let (kind, name) = match metric.kind {
                Kind::Gauge => (MetricType::Gauge, metric.name),
                // The library adds the ending that counters have.
                Kind::Counter => (MetricType::Counter, metric.name.trim_end_matches("_total")),
                Kind::Histogram => (MetricType::Histogram, metric.name),
            };
            let help = format!("{}.", metric.help);
            let mut family = encoder.encode_descriptor(name, &help, None, kind)?;
            if metric.kind == Kind::Histogram {
                family.encode_histogram::<NoLabelSet>(self.flushes.sum_s, self.flushes.count, &self.buckets(), None)?;
            }
            for (labels, value) in self.samples.get(metric.name).into_iter().flatten() {
                match (metric.kind, labels.is_empty()) {
                    (Kind::Counter, true) => family.encode_counter::<NoLabelSet, _, f64>(value, None)?,
                    (Kind::Counter, false) => ConstCounter::new(*value).encode(family.encode_family(labels)?)?,
                    (_, true) => family.encode_gauge(value)?,
                    (_, false) => ConstGauge::new(*value).encode(family.encode_family(labels)?)?,
                }
            }
        }
        Ok(())
    }
}

fn place(state: Observed) -> usize {
    Observed::ALL.iter().position(|known| *known == state).expect("all are there")
}

fn float(number: u64) -> f64 {
    number as f64
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
