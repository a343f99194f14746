//! Alert rules and dashboard, judged by promtool and by a real Prometheus that scrapes a daemon with a job.

use super::{path, read};
use crate::{
    http::{Watched, names_of},
    support::{http::ask, tools::tool, wait::until},
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;
use whimbrel::telemetry::metrics::ALL;

#[track_caller]
fn succeeds(command: &mut Command) {
    let output = command.output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
}

#[test]
fn promtool_takes_the_rules_and_the_settings() {
    succeeds(tool("promtool").args(["check", "rules"]).arg(path("deploy/alerts.yml")));
    for settings in ["deploy/prometheus.yml", "deploy/container/prometheus.yml"] {
        let folder = tempfile::tempdir().expect("a temp folder");
        fs::copy(path("deploy/alerts.yml"), folder.path().join("alerts.yml")).expect("ours");
        fs::copy(path(settings), folder.path().join("prometheus.yml")).expect("ours");
        succeeds(tool("promtool").args(["check", "config"]).arg(folder.path().join("prometheus.yml")));
    }
}

#[test]
fn every_alert_fires_when_it_should_and_not_before() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let tests = read("tests/deploy/alerts.yml");
    let file = folder.path().join("tests.yml");
    fs::write(&file, tests.replace("RULES", &path("deploy/alerts.yml").display().to_string())).expect("ours");
    succeeds(tool("promtool").args(["test", "rules"]).arg(&file));
    for line in read("deploy/alerts.yml").lines() {
        if let Some(alert) = line.trim().strip_prefix("- alert: ") {
            assert!(tests.contains(alert), "{alert} is tested nowhere");
        }
    }
}

/// The names of ours that a query has.
fn ours(query: &str) -> BTreeSet<&str> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("whimbrel_") || word.starts_with("process_")).collect()
}

#[test]
fn alerts_and_dashboard_name_only_metrics_that_exist() {
    let known: BTreeSet<String> = ALL.iter().flat_map(|metric| names_of(metric)).collect();
    let dashboard = read("deploy/grafana-dashboard.json");
    let rules = read("deploy/alerts.yml");
    let unknown: Vec<&str> =
        ours(&rules).into_iter().chain(ours(&dashboard)).filter(|name| !known.contains(*name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    // And what is measured is looked at somewhere.
    let shown: BTreeSet<&str> = ours(&rules).into_iter().chain(ours(&dashboard)).collect();
    for metric in ALL.iter().filter(|metric| metric.name.starts_with("whimbrel_")) {
        let is_shown = names_of(metric).iter().any(|name| shown.contains(name.as_str()));
        let spare = ["whimbrel_job_desired", "whimbrel_state_disk_size_bytes"].contains(&metric.name);
        let detail = ["whimbrel_table_copied_bytes", "whimbrel_source_log_held_changes"].contains(&metric.name);
        assert!(is_shown || spare || detail, "{} is neither on the dashboard nor in an alert", metric.name);
    }
}

/// Scrapes the daemon; ended when dropped.
struct Prometheus {
    address: String,
    process: Child,
    _folder: TempDir,
}

impl Prometheus {
    fn new(daemon: &str) -> Prometheus {
        let folder = tempfile::tempdir().expect("a temp folder");
        // The settings that are shipped, with the daemon's port of this test, and in a hurry.
        let settings = read("deploy/prometheus.yml").replace("127.0.0.1:7412", daemon).replace("15s", "1s");
        fs::write(folder.path().join("prometheus.yml"), settings).expect("ours");
        fs::copy(path("deploy/alerts.yml"), folder.path().join("alerts.yml")).expect("ours");
        // It cannot be told to take a free one and say which.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let address = format!("127.0.0.1:{port}");
        let process = tool("prometheus")
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        Prometheus { address, process, _folder: folder }
    }

    fn ask(&self, path: &str) -> Option<Value> {
        std::net::TcpStream::connect(&self.address).ok()?;
        // In the old way, so that the answer comes in one piece.
        let answer = ask(&self.address, &format!("GET {path} HTTP/1.0\r\n\r\n"));
        let answer: Value = serde_json::from_str(&answer.body).ok()?;
        (answer["status"] == "success").then(|| answer["data"].clone())
    }

    /// How many series answer a query.
    fn series(&self, query: &str) -> Option<usize> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        Some(self.ask(&format!("/api/v1/query?query={encoded}"))?["result"].as_array()?.len())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.process.kill().expect("ours");
        self.process.wait().expect("ours");
    }
}

#[test]
fn every_query_of_the_dashboard_is_answered_by_a_real_prometheus() {
    let watched = Watched::serve(crate::support::daemon::Home::serve);
    // So that something is held, and has an age.
    let _locked = watched.lock("b.db");
    watched.change("INSERT INTO people VALUES (1000, 'held')");
    let prometheus = Prometheus::new(&watched.daemon.http);
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana-dashboard.json")).expect("JSON");
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().expect("a query");
            let query = query.replace("$__rate_interval", "1m").replace("$job_name", ".*").replace("$target", ".*");
            assert!(!query.contains('$'), "{query}");
            until(&format!("an answer to {query}"), || prometheus.series(&query).filter(|series| *series > 0));
            asked += 1;
        }
    }
    assert!(asked > 20, "{asked} queries");
    let rules = prometheus.ask("/api/v1/rules").expect("rules");
    let rules = rules["groups"][0]["rules"].as_array().expect("rules");
    for rule in rules {
        until(rule["name"].as_str().expect("named"), || {
            let now = prometheus.ask("/api/v1/rules")?;
            let now = now["groups"][0]["rules"].as_array()?.iter().find(|one| one["name"] == rule["name"])?.clone();
            (now["health"] == "ok").then_some(())
        });
    }
}
