//! What the demo shows: a table that is drawn over itself on a terminal, lines elsewhere.

use super::stores::Stores;
use crate::control::v1::{ErrorKind, Job, ObservedState, TargetStatus};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{IsTerminal, Write},
    path::Path,
    time::Duration,
};

/// What it is doing, and what to try meanwhile.
pub fn welcome(stores: &Stores, address: &str, folder: &Path, is_shop: bool) {
    let source = &stores.source.path;
    let targets: Vec<&Path> = stores.targets.iter().map(|target| target.path.as_path()).collect();
    println!("Whimbrel copies {} and follows it into", source.display());
    for target in &targets {
        println!("  {}", target.display());
    }
    println!("\nTry meanwhile, in another terminal:");
    if is_shop {
        println!("  sqlite3 {} 'SELECT count(*) FROM customers'", targets[0].display());
        println!("  sqlite3 {} \"UPDATE customers SET name = 'me' WHERE id = 1\"", source.display());
    } else {
        println!("  sqlite3 {} .tables, and change rows in {}", targets[0].display(), source.display());
    }
    println!("  whimbrel status demo --server {address}");
    println!("  grpcurl -plaintext {address} list");
    println!("  grpcurl -plaintext -d '{{\"name\": \"demo\"}}' {address} whimbrel.v1.JobService/WatchJob");
    println!("The daemon's log is {}. Ctrl-C ends the demo and compares.\n", folder.join("daemon.log").display());
}

/// Draws the job again and again.
pub struct Screen {
    terminal: bool,
    /// Lines drawn last, to be drawn over.
    drawn: usize,
    counts: BTreeMap<String, Counted>,
}

/// The changes of one target. A daemon counts from its own start; we count over its restarts.
#[derive(Clone, Copy, Default)]
struct Counted {
    /// When it was looked at last, and what its daemon had counted then.
    at: Duration,
    counted: u64,
    all: u64,
    per_s: f64,
}

impl Counted {
    fn look(self, at: Duration, counted: u64) -> Counted {
        let new = if counted >= self.counted { counted - self.counted } else { counted };
        let seconds = at.saturating_sub(self.at).as_secs_f64();
        let per_s = if seconds > 0.0 { new as f64 / seconds } else { self.per_s };
        Counted { at, counted, all: self.all + new, per_s }
    }
}

impl Screen {
    pub fn new() -> Self {
        Screen { terminal: std::io::stdout().is_terminal(), drawn: 0, counts: BTreeMap::new() }
    }

    /// A line that stays.
    pub fn say(&mut self, text: &str) {
        println!("{text}");
        self.drawn = 0;
    }

    pub fn show(&mut self, since: Duration, job: &Job) {
        let Some(status) = &job.status else { return };
        let mut out = std::io::stdout().lock();
        if self.terminal && self.drawn > 0 {
            let _ = write!(out, "\x1b[{}A\x1b[J", self.drawn);
        }
        let head = format!(
            "{:>4} s  {:<8} {:<12} {:>9} {:>10} {:>9}",
            since.as_secs(),
            "target",
            "state",
            "applied",
            "changes/s",
            "lag"
        );
        let _ = writeln!(out, "{head}");
        for target in &status.targets {
            let seen = self.counts.entry(target.store.clone()).or_default();
            *seen = seen.look(since, target.changes);
            let _ = writeln!(out, "        {}", row(target, *seen));
        }
        self.drawn = 1 + status.targets.len();
        let _ = out.flush();
    }
}

fn row(target: &TargetStatus, counted: Counted) -> String {
    let rows: u64 = target.tables.iter().map(|table| table.rows).sum();
    let lag = target.lag.map(|lag| lag.seconds * 1000 + i64::from(lag.nanos) / 1_000_000);
    let lag = lag.map_or("-".to_owned(), |ms| format!("{ms} ms"));
    let state = state(target.observed_state);
    let error = target.error.as_ref().filter(|_| matches!(state.as_str(), "stalled" | "failed" | "lost"));
    let error = error.map_or(String::new(), |error| format!("  {}", error.text));
    format!("{:<8} {state:<12} {:>9} {:>10.0} {lag:>9}{error}", target.store, rows + counted.all, counted.per_s)
}

fn state(number: i32) -> String {
    let name = ObservedState::try_from(number).map_or("?", |state| state.as_str_name());
    name.trim_start_matches("OBSERVED_STATE_").to_lowercase().replace('_', "-")
}

/// Whether the job stopped by itself: waiting longer is of no use.
pub fn needs_a_person(job: &Job) -> bool {
    let state = job.status.as_ref().map_or(0, |status| status.observed_state);
    [ObservedState::Failed, ObservedState::Lost].iter().any(|stopped| state == i32::from(*stopped))
}

/// With its hint: what stands in the way of the job, where a person has to change something first.
pub fn refused(job: &Job) -> Option<(String, String)> {
    let status = job.status.as_ref().filter(|_| needs_a_person(job))?;
    let mut errors = status.error.iter().chain(status.targets.iter().filter_map(|target| target.error.as_ref()));
    errors.find(|error| error.kind() == ErrorKind::Config).map(|error| (error.text.clone(), error.hint.clone()))
}

/// The tables that it copies, by their names in the file.
pub fn carried(job: &Job) -> Vec<String> {
    let targets = job.status.iter().flat_map(|status| &status.targets);
    let names = targets.flat_map(|target| &target.tables).map(|table| table.name.as_str());
    let names = names.map(|name| name.strip_prefix("main.").unwrap_or(name).to_owned());
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// One line: what is missing where.
pub fn in_words(job: &Job) -> String {
    let Some(status) = &job.status else { return "no status yet".to_owned() };
    let mut errors = status.error.iter().chain(status.targets.iter().filter_map(|target| target.error.as_ref()));
    if let Some(error) = errors.find(|_| needs_a_person(job)) {
        return format!("{}\nhint: {}", error.text, error.hint);
    }
    let target = |target: &TargetStatus| {
        let behind = target.behind_changes.map_or("unknown".to_owned(), |changes| changes.to_string());
        format!("{} {}, {behind} changes behind", target.store, state(target.observed_state))
    };
    status.targets.iter().map(target).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_counted_each_second_and_over_a_restart() {
        let seen = [(1, 500), (2, 900), (3, 900), (4, 100)].map(|(at, counted)| (Duration::from_secs(at), counted));
        let mut counted = Counted::default();
        let shown = seen.map(|(at, changes)| {
            counted = counted.look(at, changes);
            (counted.all, counted.per_s)
        });
        assert_eq!(shown, [(500, 500.0), (900, 400.0), (900, 0.0), (1000, 100.0)]);
    }
}
