//! What every keeper of state must do, run over each of them.

use super::sample::{JOB, entry, progress, record};
use std::sync::Arc;
use uuid::Uuid;
use whimbrel::{
    model::{JobId, Progress, TableName},
    state::{Desired, MAX_AUDIT_AGE_MS, MAX_AUDIT_ENTRIES, MemoryState, SledState, State, export, import},
};

#[tokio::test]
async fn memory_keeps_state() {
    let state = MemoryState::default();
    certify_state(&state).await;
    audit_is_bounded(&MemoryState::default()).await;
}

#[tokio::test]
async fn sled_keeps_state() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let state = SledState::open(&folder.path().join("one")).expect("a new folder");
    certify_state(&state).await;
    let bounded = SledState::open(&folder.path().join("two")).expect("a new folder");
    audit_is_bounded(&bounded).await;
}

#[tokio::test]
async fn sled_keeps_everything_over_a_restart() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let state = SledState::open(folder.path()).expect("a new folder");
    certify_state(&state).await;
    let before = export(&state).await.expect("readable");
    drop(state);
    let state = SledState::open(folder.path()).expect("the same folder");
    let after = export(&state).await.expect("readable");
    assert_eq!((before.jobs, before.history), (after.jobs, after.history));
}

#[tokio::test]
async fn many_writers_share_a_round_and_lose_nothing() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let state = Arc::new(SledState::open(folder.path()).expect("a new folder"));
    state.save_job(&record(JOB, "orders")).await.expect("saved");
    let writers = (0..64u64).map(|writer| {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            for turn in 1..=10 {
                state.save_progress(JOB, &format!("t{writer}"), &progress(turn)).await.expect("saved");
                let count = Box::new(|job: &mut whimbrel::state::JobRecord| job.created_ms += 1);
                state.change_job(JOB, count).await.expect("changed").expect("there");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("no panic");
    }
    for writer in 0..64 {
        assert_eq!(state.progress(JOB, &format!("t{writer}")).await.expect("readable"), Some(progress(10)));
    }
    let job = &state.jobs().await.expect("readable")[0];
    assert_eq!(job.created_ms, record(JOB, "orders").created_ms + 640, "each change saw the one before");
}

/// Leaves one job, its progress and some history behind.
async fn certify_state(state: &dyn State) {
    // Jobs: added, replaced, changed in one step, absent.
    assert!(state.jobs().await.expect("readable").is_empty(), "given an empty state");
    let other = JobId(Uuid::from_u128(2));
    state.save_job(&record(JOB, "orders")).await.expect("saved");
    state.save_job(&record(other, "people")).await.expect("saved");
    let mut changed = record(JOB, "orders");
    changed.etag = "e2".into();
    state.save_job(&changed).await.expect("saved");
    let jobs = state.jobs().await.expect("readable");
    assert_eq!(jobs.len(), 2);
    assert!(jobs.contains(&changed) && jobs.contains(&record(other, "people")));
    let pause = |job: &mut whimbrel::state::JobRecord| job.desired = Desired::Pause;
    let paused = state.change_job(JOB, Box::new(pause)).await.expect("changed").expect("there");
    assert_eq!(paused, whimbrel::state::JobRecord { desired: Desired::Pause, ..changed });
    assert!(state.jobs().await.expect("readable").contains(&paused));
    let missing = state.change_job(JobId(Uuid::from_u128(3)), Box::new(pause)).await;
    assert_eq!(missing.expect("readable"), None);

    // Progress: per target; tables appear, change and go; an equal save changes nothing.
    assert_eq!(state.progress(JOB, "b").await.expect("readable"), None);
    for turn in 1..4 {
        state.save_progress(JOB, "b", &progress(turn)).await.expect("saved");
        assert_eq!(state.progress(JOB, "b").await.expect("readable"), Some(progress(turn)));
    }
    state.save_progress(JOB, "b", &progress(3)).await.expect("saved");
    state.save_progress(JOB, "bb", &progress(9)).await.expect("saved");
    state.save_progress(other, "b", &progress(8)).await.expect("saved");
    let mut fewer = progress(4);
    fewer.tables.remove(&TableName::new("main", "a"));
    state.save_progress(JOB, "b", &fewer).await.expect("saved");
    assert_eq!(state.progress(JOB, "b").await.expect("readable"), Some(fewer.clone()));
    assert_eq!(state.progress(JOB, "bb").await.expect("readable"), Some(progress(9)));
    let large = Progress {
        tables: (0..5000)
            .map(|n| (TableName::new("main", format!("t{n}")), fewer.tables.values().next().expect("some").clone()))
            .collect(),
        ..progress(5)
    };
    state.save_progress(other, "large", &large).await.expect("saved");
    assert_eq!(state.progress(other, "large").await.expect("readable"), Some(large));

    // History: newest first, of one job or of all.
    for (at, job) in [(10, Some(JOB)), (20, Some(other)), (30, Some(JOB)), (30, None)] {
        state.record(entry(job, at, "start")).await.expect("saved");
    }
    let times = |entries: Vec<whimbrel::state::AuditEntry>| entries.iter().map(|entry| entry.at_ms).collect::<Vec<_>>();
    assert_eq!(times(state.history(None, 10).await.expect("readable")), [30, 30, 20, 10]);
    assert_eq!(times(state.history(Some(JOB), 10).await.expect("readable")), [30, 10]);
    assert_eq!(times(state.history(None, 1).await.expect("readable")), [30]);

    // Deleting takes the progress and leaves the history; a new job of the same id starts from nothing.
    state.delete_job(other).await.expect("deleted");
    state.delete_job(other).await.expect("deleting again does no harm");
    assert_eq!(state.jobs().await.expect("readable"), [paused]);
    for target in ["b", "large"] {
        assert_eq!(state.progress(other, target).await.expect("readable"), None);
    }
    assert_eq!(state.progress(JOB, "b").await.expect("readable"), Some(fewer));
    assert_eq!(times(state.history(Some(other), 10).await.expect("readable")), [20]);
    state.save_progress(other, "b", &progress(1)).await.expect("saved");
    assert_eq!(state.progress(other, "b").await.expect("readable"), Some(progress(1)));
    state.delete_job(other).await.expect("deleted");

    // The document holds it all, and fills an empty state; never one in use.
    let document = export(state).await.expect("readable");
    let text = document.to_json();
    assert_eq!(whimbrel::state::Document::from_json(&text).expect("our own"), document);
    let copy = MemoryState::default();
    import(&copy, &document).await.expect("empty");
    let copied = export(&copy).await.expect("readable");
    assert_eq!((copied.jobs, copied.history), (document.jobs.clone(), document.history.clone()));
    assert!(import(state, &document).await.is_err_and(|error| error.hint_text().is_some()));
}

async fn audit_is_bounded(state: &dyn State) {
    let start = MAX_AUDIT_AGE_MS;
    for n in 0..5 {
        state.record(entry(None, start + n, "start")).await.expect("saved");
    }
    state.record(entry(None, start + MAX_AUDIT_AGE_MS + 3, "late")).await.expect("saved");
    let kept = state.history(None, 10).await.expect("readable");
    assert_eq!(kept.len(), 3, "entries older than the bound are gone: {kept:?}");
    let now = 2 * start + 10;
    let writes = (0..MAX_AUDIT_ENTRIES as u64).map(|n| state.record(entry(None, now + n, "start")));
    for written in futures_util::future::join_all(writes).await {
        written.expect("saved");
    }
    let kept = state.history(None, usize::MAX).await.expect("readable");
    assert_eq!(kept.len(), MAX_AUDIT_ENTRIES);
    assert_eq!(kept.last().map(|entry| entry.at_ms), Some(now), "the oldest went");
}
