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

#[test]
fn what_cannot_work_is_refused_at_once_with_its_own_hint() {
    let files = Files::new();
    let refused = |source: &Path, target: &Path, parts: &[&str]| {
        let mut command = whimbrel();
        command.args(["demo", "--seconds", "1"]).arg("--source").arg(source).arg("--target").arg(target);
        let demo = command.env("TMPDIR", files.folder.path().join("tmp")).output().expect("it runs");
        ends(&demo, 3, parts);
        assert_eq!(stdout(&demo), "", "nothing was made, so nothing is left");
        assert_eq!(files.left_in_tmp(), 0);
    };
    let at = |name: &str| files.folder.path().join(name);
    fs::write(at("notes.txt"), "no database, but longer than the sixteen bytes that one begins with").expect("ours");
    refused(&at("none.db"), &files.target, &["there is no file", "--source FILE"]);
    refused(&at("notes.txt"), &files.target, &["notes.txt is no SQLite database", "--source FILE"]);
    refused(&files.source, &at("notes.txt"), &["notes.txt is no SQLite database", "--target FILE"]);
    refused(&files.source, &files.source, &["are one file", "--target FILE"]);
    fs::hard_link(&files.source, at("same.db")).expect("ours");
    refused(&files.source, &at("same.db"), &["are one file", "--target FILE"]);
    refused(&files.source, &at("no/copy.db"), &["its folder is not there", "mkdir -p"]);
    assert_eq!(schema(&files.source), ["a", "b", "own"]);
}

#[test]
fn tables_that_are_not_carried_are_not_missing_and_what_is_kept_says_how_it_goes() {
    let files = Files::new();
    let search = "CREATE VIRTUAL TABLE search USING fts5(text); INSERT INTO search VALUES ('found');";
    rusqlite::Connection::open(&files.source).expect("ours").execute_batch(search).expect("new");
    let before = schema(&files.source);
    for _ in 0..2 {
        let demo = files.demo(&[]);
        ends(&demo, 0, &["equal: 4 rows", "gone again", "copy "]);
        assert!(!stdout(&demo).contains("copy-a"), "by the file's own name: {}", stdout(&demo));
        assert_eq!(schema(&files.source), before);
        assert!(!files.target.exists());
    }
    // After --keep the same command is told what is in its way, and how that goes.
    ends(&files.demo(&["--keep"]), 0, &["to take it away", "whimbrel job delete demo --server 127.0.0.1:"]);
    ends(&files.demo(&[]), 3, &["--keep", "--target FILE"]);
}
