//! State that earlier versions wrote opens for ever: a folder, its document, and its records as text.

use super::sample::{JOB, entry, progress, record};
use crate::support::wait::until;
use std::{fs, path::Path};
use whimbrel::state::{Document, SledState, State, export, import};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/golden/state-v1");
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/golden/state-v1.json");
const RECORDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/golden/state-v1.records");

async fn fill(state: &dyn State) {
    state.save_job(&record(JOB, "orders")).await.expect("saved");
    state.save_progress(JOB, "dr-b", &progress(5)).await.expect("saved");
    state.record(entry(Some(JOB), 1_764_000_000_000, "create")).await.expect("saved");
}

/// Every record's key and value as text, one a line.
fn dump(folder: &Path) -> String {
    let db = until("sled has let go of its file", || sled::open(folder.join("sled")).ok());
    let line = |(key, value): (sled::IVec, sled::IVec)| format!("{} = {}\n", key.escape_ascii(), value.escape_ascii());
    db.iter().map(|record| line(record.expect("readable"))).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("ours");
    for entry in fs::read_dir(from).expect("there") {
        let entry = entry.expect("there");
        match entry.file_type().expect("there").is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).expect("ours")),
        }
    }
}

#[tokio::test]
async fn version_1_folders_open() {
    let folder = tempfile::tempdir().expect("a temp folder");
    copy(Path::new(FOLDER), folder.path());
    let state = SledState::open(folder.path()).expect("version 1 is readable");
    assert_eq!(state.jobs().await.expect("readable"), [record(JOB, "orders")]);
    assert_eq!(state.progress(JOB, "dr-b").await.expect("readable"), Some(progress(5)));
    assert_eq!(state.history(None, 9).await.expect("readable"), [entry(Some(JOB), 1_764_000_000_000, "create")]);
}

#[tokio::test]
async fn version_1_documents_are_read_and_version_1_records_written() {
    let document = Document::from_json(&fs::read_to_string(DOCUMENT).expect("there")).expect("readable");
    let folder = tempfile::tempdir().expect("a temp folder");
    let state = SledState::open(folder.path()).expect("a new folder");
    import(&state, &document).await.expect("empty");
    assert_eq!(state.progress(JOB, "dr-b").await.expect("readable"), Some(progress(5)));
    drop(state);
    assert_eq!(dump(folder.path()), fs::read_to_string(RECORDS).expect("there"), "raise the version, add a migration");
}

/// With `WHIMBREL_TEST_GOLDEN=write` writes the files of a new version; otherwise only shows that it could.
#[tokio::test]
async fn golden_files_can_be_written() {
    let temporary = tempfile::tempdir().expect("a temp folder");
    let is_real = std::env::var("WHIMBREL_TEST_GOLDEN").is_ok_and(|what| what == "write");
    let folder = if is_real { Path::new(FOLDER) } else { temporary.path() };
    let state = SledState::open(folder).expect("a new folder");
    fill(&state).await;
    let document = export(&state).await.expect("readable").to_json();
    drop(state);
    let records = dump(folder);
    if is_real {
        fs::write(DOCUMENT, document).expect("ours");
        fs::write(RECORDS, records).expect("ours");
    }
}
