//! The demo on a user's own files: it leaves them as it found them, so that it can be run again.

use super::scene::{ends, stdout};
use crate::support::daemon::whimbrel;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};
use tempfile::TempDir;

struct Files {
    folder: TempDir,
    source: PathBuf,
    target: PathBuf,
}

impl Files {
    fn new() -> Files {
        let folder = tempfile::tempdir().expect("a temp folder");
        fs::create_dir(folder.path().join("tmp")).expect("ours");
        let (source, target) = (folder.path().join("mine.db"), folder.path().join("copy.db"));
        let sql = "CREATE TABLE a(id INTEGER PRIMARY KEY, v); CREATE TABLE b(id INTEGER PRIMARY KEY, a REFERENCES a);
                   CREATE TRIGGER own AFTER INSERT ON a BEGIN INSERT INTO b(a) VALUES (new.id); END;
                   INSERT INTO a VALUES (1, 'x'), (2, 'y');";
        rusqlite::Connection::open(&source).expect("ours").execute_batch(sql).expect("new");
        Files { folder, source, target }
    }

    fn demo(&self, more: &[&str]) -> Output {
        let mut command = whimbrel();
        command.args(["demo", "--seconds", "1"]).arg("--source").arg(&self.source).arg("--target").arg(&self.target);
        command.args(more).env("TMPDIR", self.folder.path().join("tmp")).output().expect("it runs")
    }

    fn left_in_tmp(&self) -> usize {
        fs::read_dir(self.folder.path().join("tmp")).expect("ours").count()
    }
}

/// Everything but SQLite's own.
fn schema(path: &Path) -> Vec<String> {
    let db = rusqlite::Connection::open(path).expect("there");
    let sql = "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' ORDER BY name";
    let mut statement = db.prepare(sql).expect("good");
    let names: rusqlite::Result<Vec<String>> = statement.query_map([], |row| row.get(0)).expect("good").collect();
    names.expect("names")
}

#[test]
fn the_same_command_works_twice_and_leaves_nothing() {
    let files = Files::new();
    for _ in 0..2 {
        let demo = files.demo(&[]);
        ends(&demo, 0, &["equal: 4 rows", "gone again (--keep leaves it)"]);
        assert!(!stdout(&demo).contains("the writer"), "nobody wrote: {}", stdout(&demo));
        assert_eq!(schema(&files.source), ["a", "b", "own"]);
        assert!(!files.target.exists(), "it was not there before");
        assert_eq!(files.left_in_tmp(), 0);
    }
    let sql = "CREATE TABLE mine(id INTEGER PRIMARY KEY); INSERT INTO mine VALUES (7);";
    rusqlite::Connection::open(&files.target).expect("ours").execute_batch(sql).expect("new");
    ends(&files.demo(&[]), 0, &["equal: 4 rows"]);
    assert_eq!(schema(&files.target), ["mine"]);
}

#[test]
fn what_is_to_be_kept_stays_and_what_went_wrong_is_told() {
    let files = Files::new();
    ends(&files.demo(&["--keep"]), 0, &["equal: 4 rows", "stay in"]);
    assert!(schema(&files.source).iter().any(|name| name.starts_with("whimbrel_")));
    assert!(schema(&files.target).contains(&"a".to_owned()));
    assert_eq!(files.left_in_tmp(), 1);
    // Rows of others are in the way; the source is left alone all the same.
    let files = Files::new();
    let sql = "CREATE TABLE a(id INTEGER PRIMARY KEY, v); INSERT INTO a VALUES (7, 'mine');";
    rusqlite::Connection::open(&files.target).expect("ours").execute_batch(sql).expect("new");
    ends(&files.demo(&[]), 3, &["rows already", "--target FILE", "the daemon's log"]);
    assert_eq!(schema(&files.source), ["a", "b", "own"]);
    assert_eq!(schema(&files.target), ["a"]);
}
