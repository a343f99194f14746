//! The real binary: exit codes, signals, a second daemon, and the commands that talk to it.

use super::scene::{ends, job_file, json, shows, stdout};
use crate::support::daemon::{Home, whimbrel};
use std::fs;

const STORES: &[(&str, &str)] = &[("a", "memory:a"), ("b", "memory:b")];

const JOB: &str = "name: people\nsource: {store: a}\ntargets: [{store: b}]\n";

#[test]
fn usage_help_and_version() {
    let run = |arguments: &[&str]| whimbrel().args(arguments).output().expect("it runs");
    ends(&run(&["--version"]), 0, &["whimbrel 0."]);
    ends(&run(&["--help"]), 0, &["serve", "apply", "status", "state", "completions", "man "]);
    ends(&run(&["sreve"]), 2, &["serve"]);
    ends(&run(&["serve"]), 2, &["--config"]);
    ends(&run(&[]), 2, &["Usage"]);
}

#[test]
fn settings_that_cannot_work_are_refused_before_anything_runs() {
    let home = Home::new(&[("a", "nosuch:thing")]);
    let config = home.config.to_str().expect("UTF-8");
    ends(&home.run(&["serve", "--config", config]), 3, &["store `a`", "scheme `nosuch`", "hint:", "memory"]);
    ends(&home.run(&["serve", "--config", "/nowhere.toml"]), 3, &["/nowhere.toml", "hint:"]);
    let wide = home.run(&["serve", "--config", config, "--listen", "0.0.0.0:1"]);
    ends(&wide, 3, &["loopback", "[tls]", "[tokens.ops]", "ssh -L"]);
    fs::write(&home.config, "[log]\nfilter = \"info=banana=\"\n").expect("ours");
    ends(&home.run(&["serve", "--config", config]), 3, &["log.filter", "hint:"]);
    let mut environment = whimbrel();
    environment.args(["serve", "--config", config]).env("WHIMBREL_LITSEN", "x");
    ends(&environment.output().expect("it runs"), 3, &["`litsen`", "did you mean `listen`"]);
}

#[test]
fn a_signal_ends_it_well_and_in_time() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let home = Home::new(STORES);
        let daemon = home.serve();
        // Store `a` is empty: the job is refused at once, and that is no success.
        let applied = daemon.ask(&["apply", "-f", &job_file(&home, JOB), "--start"]);
        ends(&applied, 3, &["created", "does not start: ", "selects no table", "hint:", "whimbrel job start people"]);
        let (status, log) = daemon.terminate(signal);
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(log.contains("stopped"), "{log}");
    }
}

#[test]
fn a_second_daemon_on_the_same_folder_or_port_is_refused() {
    let home = Home::new(STORES);
    let first = home.serve();
    let config = home.config.to_str().expect("UTF-8");
    let process = format!("process {}", first.id());
    ends(&home.run(&["serve", "--config", config]), 3, &["in use by", &process, "state.dir"]);
    let other = home.path().join("other");
    let other = other.to_str().expect("UTF-8");
    let same_port = home.run(&["serve", "--config", config, "--state-dir", other, "--listen", &first.address]);
    ends(&same_port, 3, &["cannot listen", "free port"]);
}

#[test]
fn jobs_are_applied_shown_and_steered() {
    let home = Home::new(STORES);
    let daemon = home.serve();
    let file = job_file(&home, JOB);
    ends(&daemon.ask(&["status"]), 0, &["no jobs"]);
    ends(&daemon.ask(&["apply", "-f", &file]), 0, &["created"]);
    ends(&daemon.ask(&["apply", "-f", &file]), 0, &["unchanged"]);
    ends(&daemon.ask(&["status"]), 0, &["people", "created", "a", "b"]);
    let limited = job_file(&home, &format!("{JOB}copy: {{limits: {{rows_per_s: 10}}}}\n"));
    ends(&daemon.ask(&["apply", "-f", &limited]), 0, &["+    rows_per_s: 10", "updated"]);
    ends(&daemon.ask(&["job", "start", "people"]), 3, &["does not start", "selects no table", "hint:"]);
    shows(
        &daemon,
        &["status", "people"],
        &["failed", "selects no table", "hint:", "next: ", "whimbrel job start people"],
    );
    let other = job_file(&home, &JOB.replace("store: b}", "store: b, existing: merge}"));
    // Nothing has begun: what the file says now is taken.
    ends(&daemon.ask(&["apply", "-f", &other]), 0, &["+    existing: merge", "updated"]);
    ends(&daemon.ask(&["job", "pause", "people"]), 0, &["pausing"]);
    shows(&daemon, &["status", "people"], &["paused"]);
    ends(&daemon.ask(&["job", "delete", "people"]), 3, &["nobody to ask", "nothing was deleted", "--yes"]);
    ends(&daemon.ask(&["job", "delete", "people", "--yes"]), 0, &["being deleted"]);
    shows(&daemon, &["status"], &["no jobs"]);
    ends(&daemon.ask(&["job", "start", "people"]), 3, &["no job `people`", "hint:"]);
    let bad = job_file(&home, &JOB.replace("targets", "tragets"));
    ends(&daemon.ask(&["apply", "-f", &bad]), 3, &["job.yaml", "`tragets`", "did you mean `targets`"]);
    drop(daemon);
    let nobody = whimbrel().args(["status", "--server", "127.0.0.1:1"]).output().expect("it runs");
    ends(&nobody, 4, &["no daemon answers", "whimbrel serve", "--server"]);
}

#[test]
fn state_is_exported_and_imported_while_the_daemon_is_stopped() {
    let home = Home::new(STORES);
    let config = home.config.to_str().expect("UTF-8");
    let file = home.path().join("state.json");
    let file = file.to_str().expect("UTF-8");
    ends(&home.run(&["state", "export", file, "--config", config]), 3, &["no state in"]);
    let daemon = home.serve();
    ends(&daemon.ask(&["apply", "-f", &job_file(&home, JOB)]), 0, &["created"]);
    ends(&home.run(&["state", "export", file, "--config", config]), 3, &["in use by"]);
    let beside = home.run(&["state", "rebuild", file, "--config", config]);
    ends(&beside, 3, &["in use by process", "stop that daemon", "hint:"]);
    assert!(!fs::exists(file).expect("readable"), "nothing was written");
    daemon.terminate(libc::SIGTERM);
    ends(&home.run(&["state", "export", file, "--config", config]), 0, &["1 jobs"]);
    ends(&home.run(&["state", "export", file, "--config", config]), 3, &["cannot be written", "new file"]);
    assert!(fs::read_to_string(file).expect("written").contains("\"name\": \"people\""), "a person can read it");
    ends(&home.run(&["state", "import", file, "--config", config]), 3, &["already holds jobs"]);
    let again = format!("{file}.again");
    let exported = json(&home.run(&["state", "export", &again, "--config", config, "-o", "json"]));
    assert_eq!((&exported["did"], &exported["jobs"][0]), (&"exported".into(), &"people".into()), "{exported}");
    let lost = format!("{file}.lost");
    let rebuilt = home.run(&["state", "rebuild", &lost, "--config", config, "-o", "yaml"]);
    ends(&rebuilt, 0, &["did: rebuilt", "jobs: []", "findings: []"]);
    assert!(!stdout(&rebuilt).contains("next:"), "{}", stdout(&rebuilt));
    // What it says to type next works as it stands, beside a folder that holds a state.
    let again = home.run(&["state", "rebuild", &format!("{file}.more"), "--config", config]);
    ends(&again, 0, &["the history, jobs that never began", "--keep-target-objects", "then whimbrel serve --config"]);
    let told = stdout(&again);
    let next = told.split("next: whimbrel ").nth(1).and_then(|next| next.split(", then").next()).expect("a command");
    ends(&home.run(&next.split(' ').collect::<Vec<_>>()), 0, &["state-rebuilt"]);
    let other = home.path().join("other");
    let other = other.to_str().expect("UTF-8");
    ends(&home.run(&["state", "import", file, "--config", config, "--state-dir", other]), 0, &["1 jobs"]);
    fs::write(&home.config, fs::read_to_string(&home.config).expect("ours").replace("/state\"", "/other\""))
        .expect("ours");
    let daemon = home.serve();
    ends(&daemon.ask(&["status"]), 0, &["people", "created"]);
    let nonsense = home.path().join("nonsense.json");
    fs::write(&nonsense, "{}").expect("ours");
    let nonsense = nonsense.to_str().expect("UTF-8");
    let third = home.path().join("third");
    let third = third.to_str().expect("UTF-8");
    ends(
        &home.run(&["state", "import", nonsense, "--config", config, "--state-dir", third]),
        3,
        &["not a state document"],
    );
}

#[test]
fn files_that_differ_have_an_exit_code_of_their_own() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let file = |name: &str, rows: &str| {
        let path = folder.path().join(name);
        let db = rusqlite::Connection::open(&path).expect("our own folder");
        db.execute_batch(&format!("CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES {rows}"))
            .expect("new");
        path
    };
    let (one, same, other) = (file("one.db", "(1, 'a')"), file("same.db", "(1, 'a')"), file("other.db", "(1, 'b')"));
    let compare = |target: &std::path::Path| {
        let mut command = whimbrel();
        command.arg("demo-compare").args([&one, &target.to_path_buf()]).output().expect("it runs")
    };
    ends(&compare(&same), 0, &["1 rows"]);
    ends(&compare(&other), 6, &["1 differences"]);
}
