//! `/metrics`: every name that the list has, nothing else, and values that follow what happens.

use super::Watched;
use crate::support::{
    http::{Answer, get},
    wait::until,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};
use whimbrel::telemetry::metrics::{ALL, Kind, Metric};

/// Name and labels, as written, to value.
type Series = BTreeMap<String, f64>;

impl Watched {
    fn scrape(&self) -> Series {
        read(&get(&self.daemon.http, "/metrics"))
    }

    fn sees(&self, series: &str, is_so: impl Fn(f64) -> bool) -> f64 {
        until(series, || self.scrape().get(series).copied().filter(|value| is_so(*value)))
    }
}

fn read(answer: &Answer) -> Series {
    assert_eq!(answer.code, 200);
    assert!(answer.head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{}", answer.head);
    assert!(answer.body.ends_with("# EOF\n"));
    let samples = answer.body.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("series and value");
            (series.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

pub fn names(series: &Series) -> BTreeSet<String> {
    series.keys().map(|series| series.split('{').next().expect("a name").to_owned()).collect()
}

/// The names that a family has in queries.
pub fn names_of(metric: &Metric) -> Vec<String> {
    match metric.kind {
        Kind::Histogram => ["_bucket", "_sum", "_count"].map(|ending| format!("{}{ending}", metric.name)).into(),
        _ => vec![metric.name.to_owned()],
    }
}

#[test]
fn every_name_is_there_with_its_labels_and_no_other() {
    let watched = Watched::new();
    // With something held, it has an age.
    let locked = watched.lock("b.db");
    watched.change("INSERT INTO people VALUES (1000, 'held')");
    let age = "whimbrel_source_log_held_oldest_timestamp_seconds{job_name=\"people\"}";
    let answer = until(age, || {
        let answer = get(&watched.daemon.http, "/metrics");
        read(&answer).contains_key(age).then_some(answer)
    });
    let lag = "whimbrel_lag_seconds{job_name=\"people\",target=\"b\"}";
    watched.sees(lag, |lag| lag > 2.0);
    drop(locked);
    watched.sees(lag, |lag| lag == 0.0);
    // SQLite keeps what a job needs.
    let bounded = |metric: &&&Metric| metric.name == "whimbrel_source_log_kept_seconds";
    let listed = ALL.iter().filter(|metric| !bounded(metric)).flat_map(|metric| names_of(metric));
    let listed: BTreeSet<String> = listed.collect();
    let series = read(&answer);
    assert_eq!(names(&series), listed);
    for metric in ALL {
        let (kind, family) = match metric.kind {
            Kind::Gauge => ("gauge", metric.name),
            Kind::Counter => ("counter", metric.name.strip_suffix("_total").expect("counters end so")),
            Kind::Histogram => ("histogram", metric.name),
        };
        assert!(answer.body.contains(&format!("# TYPE {family} {kind}\n")), "{family}");
        assert!(answer.body.contains(&format!("# HELP {family} {}.\n", metric.help)), "{family}");
        let prefix = format!("{}{{", metric.name);
        for series in series.keys().filter(|series| series.starts_with(&prefix)) {
            let labels = series.matches("=\"").count();
            assert_eq!(labels, metric.labels.len(), "{series}");
        }
    }
}

#[test]
fn values_follow_what_happens() {
    let watched = Watched::new();
    watched.sees("whimbrel_job_state{job_name=\"people\",state=\"streaming\"}", |value| value == 1.0);
    let series = watched.scrape();
    let target = "{job_name=\"people\",target=\"b\"";
    assert_eq!(series["whimbrel_job_state{job_name=\"people\",state=\"stalled\"}"], 0.0);
    assert_eq!(series[&format!("whimbrel_tables{target},state=\"streaming\"}}")], 3.0);
    assert_eq!(series[&format!("whimbrel_table_copied_rows{target},table=\"main.people\"}}")], 200.0);
    assert_eq!(series[&format!("whimbrel_table_copied_ratio{target},table=\"main.people\"}}")], 1.0);
    // As our names are written (`\\` for `\`), in the way that OpenMetrics wants (twice as many, and before quotes).
    assert!(
        series.contains_key(&format!(r#"whimbrel_table_copied_rows{target},table="main.a\"b\\\\c"}}"#)),
        "{series:?}"
    );
    assert_eq!(series["whimbrel_ready"], 1.0);
    assert!(series["whimbrel_state_flush_seconds_count"] > 0.0);
    assert_eq!(
        series["whimbrel_state_flush_seconds_bucket{le=\"+Inf\"}"],
        series["whimbrel_state_flush_seconds_count"]
    );
    let applied = format!("whimbrel_applied_changes_total{target}}}");
    let before = series[&applied];
    watched.change("UPDATE people SET name = 'x' WHERE id <= 50");
    watched.sees(&applied, |value| value >= before + 50.0);
    watched.sees(&format!("whimbrel_behind_changes{target}}}"), |behind| behind == 0.0);
    let paused = watched.daemon.ask(&["job", "pause", "people"]);
    assert!(paused.status.success());
    watched.sees("whimbrel_jobs{state=\"paused\"}", |value| value == 1.0);
    watched.sees("whimbrel_job_desired{job_name=\"people\",state=\"pause\"}", |value| value == 1.0);
    assert!(!watched.scrape().contains_key(&format!("whimbrel_lag_seconds{target}}}")), "nobody looks: not known");
    // But what it holds is told: the source's log grows meanwhile.
    watched.change("UPDATE people SET name = 'y' WHERE id <= 70");
    assert!(watched.daemon.ask(&["job", "start", "people"]).status.success());
    watched.sees("whimbrel_jobs{state=\"streaming\"}", |value| value == 1.0);
    let locked = watched.lock("b.db");
    watched.change("UPDATE people SET name = 'z' WHERE id <= 80");
    assert!(watched.daemon.ask(&["job", "pause", "people"]).status.success());
    watched.sees("whimbrel_jobs{state=\"paused\"}", |value| value == 1.0);
    watched.sees("whimbrel_source_log_held_changes{job_name=\"people\"}", |held| held >= 80.0);
    drop(locked);
    assert!(watched.daemon.ask(&["job", "delete", "people", "--yes"]).status.success());
    until("no series of a job that is gone", || {
        watched.scrape().keys().all(|series| !series.contains("people")).then_some(())
    });
}

#[test]
fn many_tables_of_a_target_are_one_series() {
    let tables: String =
        (0..60).map(|n| format!("CREATE TABLE t{n} (id INTEGER PRIMARY KEY); INSERT INTO t{n} VALUES (1);")).collect();
    let watched = Watched::with(&tables);
    let sum = "whimbrel_table_copied_rows{job_name=\"people\",target=\"b\",table=\"*\"}";
    watched.sees(sum, |rows| rows == 60.0);
    let series = watched.scrape();
    assert_eq!(series.keys().filter(|series| series.starts_with("whimbrel_table_copied_rows")).count(), 1);
    assert_eq!(series["whimbrel_tables{job_name=\"people\",target=\"b\",state=\"streaming\"}"], 60.0);
}

#[test]
fn the_readme_lists_every_metric() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("there");
    let listed: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `whimbrel_")).collect();
    let wanted: Vec<String> = ALL
        .iter()
        .filter(|metric| metric.name.starts_with("whimbrel_"))
        .map(|metric| format!("| `{}` | {} | {} |", metric.name, metric.labels.join(", "), metric.help))
        .collect();
    assert_eq!(listed, wanted, "README.md, \"Watching it\": the list should be\n{}", wanted.join("\n"));
}
