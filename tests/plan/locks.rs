//! A plan leaves the locks of running jobs alone: without them, whoever looks into a file deletes its write-ahead log.

use crate::support::{daemon::Home, wait::until};
use std::{fs, path::Path, process::Command};

fn sqlite3(file: &Path, sql: &str) -> String {
    let output = Command::new("sqlite3").args(["-cmd", ".timeout 10000"]).arg(file).arg(sql).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{sql}: {said}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

#[test]
fn a_plan_beside_a_running_job_loses_nothing() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let (shop, copy) = (folder.path().join("shop.db"), folder.path().join("copy.db"));
    sqlite3(&shop, "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(0, 0);");
    let url = |path: &Path| format!("sqlite:{}", path.display());
    let home = Home::in_folder(&[("shop", &url(&shop)), ("copy", &url(&copy))], folder);
    let job = home.path().join("shop.yaml");
    fs::write(&job, "name: shop\nsource: {store: shop}\ntargets: [{store: copy}]\n").expect("ours");
    let job = job.to_str().expect("UTF-8");
    let daemon = home.serve();
    assert!(daemon.ask(&["apply", "-f", job, "--start"]).status.success());
    assert!(daemon.ask(&["wait", "shop", "--for", "streaming", "--timeout", "60s"]).status.success());
    for id in 1..=10 {
        assert!(daemon.ask(&["plan", "-f", job]).status.success());
        // Who comes and goes alone would be the last one, and clean up.
        sqlite3(&copy, "SELECT count(*) FROM t;");
        sqlite3(&shop, "SELECT count(*) FROM t;");
        sqlite3(&shop, &format!("INSERT INTO t VALUES({id}, {id});"));
        until("the row arrives", || (sqlite3(&copy, "SELECT max(id) FROM t;") == id.to_string()).then_some(()));
    }
    assert_eq!(sqlite3(&copy, "SELECT count(*), sum(v) FROM t;"), "11|55");
}
