//! What the HTTP port shows, held against a real daemon with a job.

mod chromium;
mod logs;
mod metrics;
mod page;

pub use metrics::names_of;

use crate::support::{
    daemon::{Daemon, Home},
    http::get,
    wait::until,
};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
};

/// A daemon that follows a SQLite file with tables of all sorts of names.
pub struct Watched {
    home: Home,
    pub daemon: Daemon,
}

pub struct Locked(Child);

impl Drop for Locked {
    fn drop(&mut self) {
        // Its transaction ends with it.
        self.0.kill().expect("ours");
        self.0.wait().expect("ours");
    }
}

const SCHEMA: &str = "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT);
    INSERT INTO people SELECT value, 'person ' || value FROM generate_series(1, 200);
    CREATE TABLE \"<script>alert(1)</script>\" (id INTEGER PRIMARY KEY);
    CREATE TABLE \"a\"\"b\\c\" (id INTEGER PRIMARY KEY);";

impl Watched {
    fn new() -> Watched {
        Watched::with(SCHEMA)
    }

    fn with(schema: &str) -> Watched {
        Watched::start(schema, Home::serve)
    }

    /// Started by the caller.
    pub fn serve(serve: impl FnOnce(&Home) -> Daemon) -> Watched {
        Watched::start(SCHEMA, serve)
    }

    fn start(schema: &str, serve: impl FnOnce(&Home) -> Daemon) -> Watched {
        let folder = tempfile::tempdir().expect("a temp folder");
        let url = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
        let home = Home::in_folder(&[("a", &url("a.db")), ("b", &url("b.db"))], folder);
        let watched = Watched { daemon: serve(&home), home };
        watched.change(schema);
        watched.job("people");
        watched
    }

    fn job(&self, name: &str) {
        let file = self.home.path().join("job.yaml");
        fs::write(&file, format!("name: {name}\nsource: {{store: a}}\ntargets: [{{store: b}}]\n")).expect("ours");
        let applied = self.daemon.ask(&["apply", "-f", file.to_str().expect("UTF-8"), "--start"]);
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
        until("the job streams", || (self.shows(name)["observed"] == "streaming").then_some(()));
    }

    /// By another process, as an application would.
    pub fn change(&self, sql: &str) {
        let shell = Command::new("sqlite3")
            .args(["-bail", "-cmd", ".timeout 60000"])
            .arg(self.home.path().join("a.db"))
            .arg(sql)
            .output()
            .expect("the sqlite3 shell: bash tests/setup/sqlite3.sh");
        assert!(shell.status.success(), "{}", String::from_utf8_lossy(&shell.stderr));
    }

    /// Holds the write lock of a file, as a stuck application would, until the answer is dropped.
    pub fn lock(&self, file: &str) -> Locked {
        let mut shell = Command::new("sqlite3")
            .args(["-bail", "-cmd", ".timeout 60000"])
            .arg(self.home.path().join(file))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the sqlite3 shell: bash tests/setup/sqlite3.sh");
        let input = shell.stdin.as_mut().expect("piped");
        input.write_all(b"BEGIN IMMEDIATE;\nSELECT 'held';\n").expect("it listens");
        let mut line = String::new();
        BufReader::new(shell.stdout.as_mut().expect("piped")).read_line(&mut line).expect("it answers");
        assert_eq!(line, "held\n");
        Locked(shell)
    }

    /// The job, as the page is told.
    pub fn shows(&self, name: &str) -> Value {
        let answer = get(&self.daemon.http, &format!("/status.json?job={name}"));
        serde_json::from_str(&answer.body).expect("JSON")
    }
}
