//! What every keeper of state must do.

use super::check::{Check, Failure, Verdict, must, refused, same};
use crate::{
    model::{
        ApplySettings, Checkpoint, CopySettings, Existing, JobId, JobSpec, Key, KeyRange, Keyless, Mark, Partition,
        Position, Progress, RangeProgress, SourceSpec, TableName, TableProgress, TableState, TargetSpec, ValueRef,
    },
    state::{
        AuditEntry, Desired, Document, JobRecord, MAX_AUDIT_AGE_MS, MAX_AUDIT_ENTRIES, MemoryState, State, export,
        import,
    },
};
use futures_util::future::try_join_all;
use uuid::Uuid;

const ONE: JobId = JobId(Uuid::from_u128(1));
const OTHER: JobId = JobId(Uuid::from_u128(2));

/// Each on an empty keeper.
pub const CHECKS: &[Check<dyn State>] = &[
    Check {
        name: "jobs",
        proves: "jobs are added, replaced, changed in one step and found again",
        rule: "State::save_job, change_job",
        needs: &[],
        run: |state| Box::pin(jobs(state)),
    },
    Check {
        name: "progress",
        proves: "progress comes back as it was saved, for each target, also where tables went",
        rule: "State::save_progress, H5",
        needs: &[],
        run: |state| Box::pin(progress(state)),
    },
    Check {
        name: "history",
        proves: "the audit trail is read newest first, of one job or of all",
        rule: "State::history",
        needs: &[],
        run: |state| Box::pin(history(state)),
    },
    Check {
        name: "history-bounded",
        proves: "the audit trail is bounded by age and count",
        rule: "invariant 6, H6",
        needs: &[],
        run: |state| Box::pin(bounded(state)),
    },
    Check {
        name: "deleted",
        proves: "a deleted job takes its progress with it, leaves its history, and inherits nothing when made again",
        rule: "State::delete_job, C4",
        needs: &[],
        run: |state| Box::pin(deleted(state)),
    },
    Check {
        name: "document",
        proves: "a document holds it all, and fills an empty state, never one in use",
        rule: "state export and import",
        needs: &[],
        run: |state| Box::pin(document(state)),
    },
    Check {
        name: "beside-each-other",
        proves: "many writers lose nothing of each other",
        rule: "State::change_job",
        needs: &[],
        run: |state| Box::pin(beside(state)),
    },
];

fn job(id: JobId, name: &str) -> JobRecord {
    let spec = JobSpec {
        name: name.into(),
        labels: [("team".into(), "«shop»".into())].into(),
        source: SourceSpec { tables: vec!["main.*".into()], keyless: Keyless::Exact, ..SourceSpec::new("a") },
        targets: vec![TargetSpec { store: "b".into(), existing: Existing::Merge }],
        copy: CopySettings::default(),
        apply: ApplySettings::default(),
    };
    JobRecord {
        begun: Some(Checkpoint::only(Position::new(&[0, 255, 7], 3))),
        tables: vec![TableName::new("main", "a.b")],
        created_ms: 1,
        etag: "e1".into(),
        request_id: Some("r1".into()),
        created_spec: Some(Box::new(JobSpec { labels: [].into(), ..spec.clone() })),
        resume_ms: Some(7),
        keep_source_objects: true,
        keep_target_objects: true,
        ..JobRecord::new(id, spec, Desired::Run)
    }
}

/// `turn` is in every part, so that a torn save is seen.
fn stand(turn: u64) -> Progress {
    let key = |n: i64| Key::from_values([ValueRef::Int(n), ValueRef::Text("é")]);
    let table = |state| TableProgress { rows: turn, ..TableProgress::new(state, 3) };
    let range = RangeProgress { range: KeyRange { after: Some(key(1)), upto: None }, done: Some(key(12)) };
    let tables = [
        ("a", TableProgress { todo: vec![range], ..table(TableState::Copying) }),
        ("b.c", table(TableState::CatchingUp(Mark(vec![0, 1])))),
        ("d", table(TableState::Streaming { since: [(Partition::new("log"), turn)].into() })),
    ];
    Progress {
        epoch: turn,
        checkpoint: Checkpoint::only(Position::new(b"at", turn)),
        starts: Checkpoint::only(Position::new(b"from", turn)),
        seen: Checkpoint::only(Position::new(b"seen", turn)),
        numbers: [(Partition::new("log"), [(0, turn), (1, 8)].into())].into(),
        tables: tables.into_iter().map(|(name, table)| (TableName::new("main", name), table)).collect(),
    }
}

fn entry(job: Option<JobId>, at_ms: u64) -> AuditEntry {
    AuditEntry { at_ms, job, who: "somebody".into(), what: "start".into(), details: [].into() }
}

fn times(entries: &[AuditEntry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.at_ms).collect()
}

async fn jobs(state: &dyn State) -> Verdict {
    same("jobs of an empty state", &state.jobs().await?, &Vec::new())?;
    state.save_job(&job(ONE, "orders")).await?;
    state.save_job(&job(OTHER, "people")).await?;
    let replaced = JobRecord { etag: "e2".into(), ..job(ONE, "orders") };
    state.save_job(&replaced).await?;
    let pause = |job: &mut JobRecord| job.desired = Desired::Pause;
    let paused = JobRecord { desired: Desired::Pause, ..replaced };
    same("a changed job", &state.change_job(ONE, Box::new(pause)).await?, &Some(paused.clone()))?;
    same("a change of no job", &state.change_job(JobId(Uuid::from_u128(3)), Box::new(pause)).await?, &None)?;
    let mut found = state.jobs().await?;
    found.sort_by_key(|job| job.id);
    same("all jobs", &found, &vec![paused, job(OTHER, "people")])
}

async fn progress(state: &dyn State) -> Verdict {
    let saved = |target: &'static str, expected: Option<Progress>, job| async move {
        same(&format!("progress of {target}"), &state.progress(job, target).await?, &expected)
    };
    state.save_job(&job(ONE, "orders")).await?;
    state.save_job(&job(OTHER, "people")).await?;
    saved("b", None, ONE).await?;
    for turn in [1, 2, 3, 3] {
        state.save_progress(ONE, "b", &stand(turn)).await?;
        saved("b", Some(stand(turn)), ONE).await?;
    }
    // Names that begin alike, and the same name in another job.
    state.save_progress(ONE, "bb", &stand(9)).await?;
    state.save_progress(OTHER, "b", &stand(8)).await?;
    let mut fewer = stand(4);
    fewer.tables.remove(&TableName::new("main", "a"));
    state.save_progress(ONE, "b", &fewer).await?;
    saved("b", Some(fewer.clone()), ONE).await?;
    saved("bb", Some(stand(9)), ONE).await?;
    saved("b", Some(stand(8)), OTHER).await?;
    let one = fewer.tables.values().next().cloned().ok_or_else(|| Failure("no table".into()))?;
    let many = (0..5_000).map(|n| (TableName::new("main", format!("t{n}")), one.clone()));
    let large = Progress { tables: many.collect(), ..stand(5) };
    state.save_progress(OTHER, "large", &large).await?;
    let found = state.progress(OTHER, "large").await?;
    must(found == Some(large), || "progress of five thousand tables came back changed".into())
}

async fn history(state: &dyn State) -> Verdict {
    for (at, job) in [(10, Some(ONE)), (20, Some(OTHER)), (30, Some(ONE)), (30, None)] {
        state.record(entry(job, at)).await?;
    }
    same("all of it", &times(&state.history(None, 10).await?), &vec![30, 30, 20, 10])?;
    same("one job's", &times(&state.history(Some(ONE), 10).await?), &vec![30, 10])?;
    same("the newest", &times(&state.history(None, 1).await?), &vec![30])
}

async fn bounded(state: &dyn State) -> Verdict {
    let start = MAX_AUDIT_AGE_MS;
    for n in 0..5 {
        state.record(entry(None, start + n)).await?;
    }
    state.record(entry(None, start + MAX_AUDIT_AGE_MS + 3)).await?;
    same("entries young enough", &state.history(None, 10).await?.len(), &3)?;
    let now = 2 * start + 10;
    try_join_all((0..MAX_AUDIT_ENTRIES as u64).map(|n| state.record(entry(None, now + n)))).await?;
    let kept = state.history(None, usize::MAX).await?;
    same("entries kept", &(kept.len(), kept.last().map(|entry| entry.at_ms)), &(MAX_AUDIT_ENTRIES, Some(now)))
}

async fn deleted(state: &dyn State) -> Verdict {
    for (id, name) in [(ONE, "orders"), (OTHER, "people")] {
        state.save_job(&job(id, name)).await?;
        state.save_progress(id, "b", &stand(1)).await?;
        state.record(entry(Some(id), 10)).await?;
    }
    for _ in 0..2 {
        state.delete_job(OTHER).await?;
    }
    same("jobs left", &state.jobs().await?, &vec![job(ONE, "orders")])?;
    same("progress of the deleted one", &state.progress(OTHER, "b").await?, &None)?;
    same("progress of the other", &state.progress(ONE, "b").await?, &Some(stand(1)))?;
    same("history of the deleted one", &times(&state.history(Some(OTHER), 10).await?), &vec![10])?;
    state.save_job(&job(OTHER, "people")).await?;
    same("progress of one made anew", &state.progress(OTHER, "b").await?, &None)?;
    state.save_progress(OTHER, "b", &stand(2)).await?;
    same("progress saved anew", &state.progress(OTHER, "b").await?, &Some(stand(2)))
}

async fn document(state: &dyn State) -> Verdict {
    state.save_job(&job(ONE, "orders")).await?;
    state.save_progress(ONE, "b", &stand(1)).await?;
    state.record(entry(Some(ONE), 10)).await?;
    let document = export(state).await?;
    same("the document, written and read", &Document::from_json(&document.to_json())?, &document)?;
    let copy = MemoryState::default();
    import(&copy, &document).await?;
    let copied = export(&copy).await?;
    must(copied.jobs == document.jobs && copied.history == document.history, || "an import lost something".into())?;
    let error = refused("an import over a state in use", import(state, &document).await)?;
    must(error.hint_text().is_some(), || format!("no hint says what to do: {error:?}"))
}

async fn beside(state: &dyn State) -> Verdict {
    const WRITERS: u64 = 32;
    const TURNS: u64 = 6;
    state.save_job(&job(ONE, "orders")).await?;
    let writer = |writer: u64| async move {
        for turn in 1..=TURNS {
            state.save_progress(ONE, &format!("t{writer}"), &stand(turn)).await?;
            state.change_job(ONE, Box::new(|job| job.created_ms += 1)).await?;
        }
        Ok::<(), Failure>(())
    };
    try_join_all((0..WRITERS).map(writer)).await?;
    for writer in 0..WRITERS {
        same("what each saved last", &state.progress(ONE, &format!("t{writer}")).await?, &Some(stand(TURNS)))?;
    }
    let count = state.jobs().await?.first().map(|job| job.created_ms);
    same("changes of one job", &count, &Some(1 + WRITERS * TURNS))
}
