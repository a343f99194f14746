//! The battery over every connector and keeper of state, with how many checks each must pass.

#[cfg(feature = "faults")]
mod saboteurs;

use std::time::Duration;
#[cfg(feature = "sqlite")]
use whimbrel::connectors::sqlite::Files;
use whimbrel::{
    certify::{self, Report, Trait},
    connectors::memory::{Cascades, Habits, Images, Paging, Worlds},
    state::{MemoryState, SledState},
};

/// Every check that was not skipped has passed, and as many were as are expected here: nothing is skipped silently.
fn expect(report: &Report, passed: usize, skipped: usize) {
    assert!(report.failed().next().is_none(), "\n{report}");
    assert_eq!((report.passed(), report.skipped()), (passed, skipped), "\n{report}");
}

fn worlds(name: &'static str, lacks: &[Trait], habits: Habits) -> Worlds {
    let lacks = lacks.iter().copied().chain([Trait::NotNull, Trait::Evictions]).collect();
    Worlds { name, habits, lacks }
}

#[tokio::test(start_paused = true)]
async fn memory_is_a_target() {
    expect(&certify::target(&worlds("at once", &[], Habits::default()), &[]).await, 35, 1);
}

#[tokio::test(start_paused = true)]
async fn memory_far_away_is_a_target() {
    let habits = Habits { latency: Duration::from_millis(40), lanes: 4, seed: 7, ..Habits::default() };
    expect(&certify::target(&worlds("far away", &[], habits), &[]).await, 35, 1);
}

#[tokio::test(start_paused = true)]
async fn memory_whose_schema_changes_commit_by_themselves_is_a_target() {
    let habits =
        Habits { ddl_commits: true, early_indexes: true, latency: Duration::from_millis(5), ..Habits::default() };
    expect(&certify::target(&worlds("early indexes", &[Trait::LateUniques], habits), &[]).await, 34, 2);
}

#[tokio::test(start_paused = true)]
async fn memory_without_transactions_is_a_target() {
    let lacks = [Trait::Transactions, Trait::OpenTransactions, Trait::Keyless, Trait::Uniques];
    let habits = Habits { transactional: false, ..Habits::default() };
    expect(&certify::target(&worlds("without transactions", &lacks, habits), &[]).await, 23, 13);
}

/// Logs and reads that lag, small batches and pages.
fn slow(images: Images) -> Habits {
    Habits {
        seed: 11,
        images,
        log_delay: Duration::from_millis(300),
        read_delay: Duration::from_millis(500),
        latency: Duration::from_millis(3),
        batch_rows: 7,
        batch_commits: 3,
        page_rows: 10,
        ..Habits::default()
    }
}

/// A source that is seen late.
#[cfg(feature = "faults")]
pub fn slow_source() -> impl certify::Fixture {
    worlds("slow", &[], slow(Images::Changed))
}

#[tokio::test(start_paused = true)]
async fn memory_is_a_source() {
    expect(&certify::source(&worlds("at once", &[], Habits::default()), &[]).await, 41, 1);
}

#[tokio::test(start_paused = true)]
async fn memory_is_a_source_whose_log_holds_changed_columns() {
    for (name, images) in [("unchanged large values left out", Images::External), ("changed columns", Images::Changed)]
    {
        expect(&certify::source(&worlds(name, &[], slow(images)), &[]).await, 41, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn memory_is_a_source_whose_log_holds_keys() {
    expect(&certify::source(&worlds("keys", &[], slow(Images::Keys)), &[]).await, 41, 1);
}

#[tokio::test(start_paused = true)]
async fn memory_is_a_source_in_partitions() {
    let habits = Habits { partitions: 3, cascades: Cascades::Matching, ..slow(Images::Mixed) };
    expect(&certify::source(&worlds("three partitions, mixed", &[], habits), &[]).await, 41, 1);
}

#[tokio::test(start_paused = true)]
async fn memory_pairs() {
    let near = worlds("at once", &[], Habits::default());
    let keys = worlds("keys", &[], slow(Images::Keys));
    let far = worlds("far away", &[], Habits { latency: Duration::from_millis(40), lanes: 4, ..Habits::default() });
    for (from, to) in [(&near, &near), (&keys, &far)] {
        expect(&certify::pair(from, to, &[]).await, 7, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn memory_pairs_with_partial_images() {
    // Ranges by place: rows that move while they are copied are met twice or never.
    let by_place = Habits { batch_rows: 400, batch_commits: 50, paging: Paging::Place, ..slow(Images::Changed) };
    let from = worlds("changed columns, copied by place", &[], by_place);
    let to = worlds("far away", &[], Habits { latency: Duration::from_millis(40), lanes: 4, ..Habits::default() });
    expect(&certify::pair(&from, &to, &[]).await, 7, 1);
}

/// Hidden row numbers are the keys of tables that have none.
#[cfg(feature = "sqlite")]
const ROWID_WAL: Files = Files { name: "WAL", lacks: &[Trait::Keyless], wal: true, without_rowid: false, beside: None };
#[cfg(feature = "sqlite")]
const WITHOUT_ROWID: Files = Files {
    name: "rollback journal, WITHOUT ROWID",
    lacks: &[Trait::Keyless],
    wal: false,
    without_rowid: true,
    beside: None,
};

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn sqlite_is_a_source() {
    for files in [ROWID_WAL, WITHOUT_ROWID] {
        expect(&certify::source(&files, &[]).await, 41, 1);
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn sqlite_is_a_target() {
    for files in [Files { lacks: &[], ..ROWID_WAL }, WITHOUT_ROWID] {
        expect(&certify::target(&files, &[]).await, 36 - files.lacks.len(), files.lacks.len());
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn sqlite_pairs() {
    expect(&certify::pair(&ROWID_WAL, &WITHOUT_ROWID, &[]).await, 8, 0);
}

#[tokio::test]
async fn memory_and_sled_are_states() {
    expect(&certify::state("memory", MemoryState::default).await, 7, 0);
    let folder = tempfile::tempdir().expect("a temp folder");
    let mut count = 0;
    let sled = || {
        count += 1;
        SledState::open(&folder.path().join(count.to_string())).expect("a new folder")
    };
    expect(&certify::state("sled", sled).await, 7, 0);
}
