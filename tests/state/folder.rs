//! The folder's guards: rights, a second daemon, torn snapshots, folders that are not ours.

use super::sample::{JOB, record};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};
use whimbrel::state::{SledState, State};

fn refusal(folder: &Path) -> String {
    let error = SledState::open(folder).err().expect("refused");
    format!("{error} / {}", error.hint_text().expect("with a hint"))
}

#[test]
fn only_its_owner_may_look() {
    let parent = tempfile::tempdir().expect("a temp folder");
    let folder = parent.path().join("deep/state");
    drop(SledState::open(&folder).expect("a new folder"));
    assert_eq!(fs::metadata(&folder).expect("there").permissions().mode() & 0o777, 0o700);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("ours");
    drop(SledState::open(&folder).expect("the same folder"));
    assert_eq!(fs::metadata(&folder).expect("there").permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_second_daemon_is_refused_and_told_who_has_it() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let first = SledState::open(folder.path()).expect("a new folder");
    let said = refusal(folder.path());
    assert!(said.contains(&format!("process {}", std::process::id())) && said.contains("state.dir"), "{said}");
    drop(first);
    drop(SledState::open(folder.path()).expect("free again"));
}

#[tokio::test]
async fn a_torn_snapshot_is_cleared_before_opening() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let state = SledState::open(folder.path()).expect("a new folder");
    state.save_job(&record(JOB, "orders")).await.expect("saved");
    drop(state);
    let torn = folder.path().join("sled/snap.FFFFFFFFFFFFFFF0.generating");
    fs::write(&torn, b"short").expect("ours");
    let state = SledState::open(folder.path()).expect("opens all the same");
    assert_eq!(state.jobs().await.expect("readable"), [record(JOB, "orders")]);
    assert!(!torn.exists());
}

#[test]
fn somebody_elses_folder_is_left_alone() {
    let folder = tempfile::tempdir().expect("a temp folder");
    fs::write(folder.path().join("thesis.tex"), "x").expect("ours");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let said = refusal(folder.path());
    assert!(said.contains("other files"), "{said}");
    assert_eq!(fs::metadata(folder.path()).expect("there").permissions().mode() & 0o777, 0o755);
    let said = refusal(&folder.path().join("thesis.tex"));
    assert!(said.contains("state.dir"), "{said}");
}

#[test]
fn a_record_of_a_newer_whimbrel_is_refused() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let db = sled::open(folder.path().join("sled")).expect("a new folder");
    db.insert(b"job/0123456789abcdef", b"\x02{}").expect("ours");
    db.flush().expect("ours");
    drop(db);
    let said = refusal(folder.path());
    assert!(said.contains("version 2") && said.contains("newer whimbrel"), "{said}");
}
