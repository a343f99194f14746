//! A daemon with real files: a shop with people in it, a copy that is empty; and how a command is judged.

use crate::support::{
    daemon::{Daemon, Home},
    wait::until,
};
use std::{fs, path::PathBuf, process::Output};
use tempfile::TempDir;

/// Ends with the daemon that is started in it.
pub struct Shop {
    pub folder: TempDir,
    pub home: Home,
}

pub const JOB: &str = "name: shop\nsource:\n  store: shop\ntargets:\n  - store: copy\n";

impl Shop {
    /// With so many people.
    pub fn new(people: u32) -> Shop {
        let folder = tempfile::tempdir().expect("a temp folder");
        let url = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
        let (shop, copy) = (url("shop.db"), url("copy.db"));
        let home = Home::new(&[("shop", &shop), ("copy", &copy)]);
        let shop = Shop { folder, home };
        let db = rusqlite::Connection::open(shop.file("shop.db")).expect("our own folder");
        let made =
            db.execute_batch("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT); CREATE VIEW v AS SELECT 1");
        made.expect("an empty file");
        let people = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {people})
             INSERT INTO people SELECT i, 'person ' || i FROM n"
        );
        db.execute_batch(&people).expect("an empty table");
        shop
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file and gives its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.file(name);
        fs::write(&path, text).expect("our own folder");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// The daemon, with the job following the shop.
    pub fn streaming(&self) -> Daemon {
        let daemon = self.home.serve();
        ends(&daemon.ask(&["apply", "-f", &self.write("job.yaml", JOB), "--start"]), 0, &["created", "started"]);
        ends(&daemon.ask(&["wait", "shop", "--for", "streaming", "--timeout", "60s"]), 0, &["is streaming"]);
        daemon
    }
}

#[track_caller]
pub fn ends(output: &Output, code: i32, parts: &[&str]) {
    let text = format!("{}{}", stdout(output), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn json(output: &Output) -> serde_json::Value {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stdout(output)))
}

pub fn job_file(home: &Home, text: &str) -> String {
    let path = home.path().join("job.yaml");
    fs::write(&path, text).expect("ours");
    path.to_str().expect("UTF-8").to_owned()
}

pub fn shows(daemon: &Daemon, arguments: &[&str], parts: &[&str]) {
    until(&format!("{arguments:?} shows {parts:?}"), || {
        let text = stdout(&daemon.ask(arguments));
        parts.iter().all(|part| text.contains(part)).then_some(())
    });
}
