//! Records with every field in use, the same in every run.

use std::collections::BTreeMap;
use uuid::Uuid;
use whimbrel::{
    error::ErrorKind,
    model::{
        ApplySettings, Checkpoint, CopySettings, Existing, JobId, JobSpec, Key, KeyRange, Keyless, Limits, Mark,
        Partition, Position, Progress, RangeProgress, SourceSpec, TableName, TableProgress, TableState, TargetSpec,
        ValueRef,
    },
    state::{AuditEntry, Desired, JobRecord, Stopped},
};

pub const JOB: JobId = JobId(Uuid::from_u128(0x0190_5c2e_7b1a_7000_8000_0000_0000_0001));

pub fn record(id: JobId, name: &str) -> JobRecord {
    let spec = JobSpec {
        name: name.into(),
        labels: [("team".into(), "shop".into())].into(),
        source: SourceSpec {
            tables: vec!["main.*".into(), "!main.tmp_*".into()],
            rename: [("main.*".into(), "copy.*".into())].into(),
            keyless: Keyless::Exact,
            ..SourceSpec::new("prod-a")
        },
        targets: vec![
            TargetSpec { store: "dr-b".into(), existing: Existing::Merge },
            TargetSpec { store: "dr-c".into(), existing: Existing::Refuse },
        ],
        copy: CopySettings { parallelism: 4, limits: Limits { rows_per_s: 1000, bytes_per_s: 80_000_000 } },
        apply: ApplySettings { lanes: 2, ..ApplySettings::default() },
    };
    JobRecord {
        begun: Some(Checkpoint::only(Position::new(b"file-7f 42", 0))),
        created_ms: 1_764_000_000_000,
        etag: "e1".into(),
        stopped: Some(Stopped {
            kind: ErrorKind::Config,
            text: "target `dr-b`: permission denied".into(),
            hint: Some("chmod u+w /var/lib/b.db".into()),
            at_ms: 1_764_000_000_123,
        }),
        request_id: Some("r1".into()),
        ..JobRecord::new(id, spec, Desired::Run)
    }
}

/// A head and a table of each state; `turn` is in every record, so that a torn save is seen.
pub fn progress(turn: u64) -> Progress {
    let key = |n: i64| Key::from_values([ValueRef::Int(n), ValueRef::Text("é")]);
    let table = |state, todo| TableProgress { todo, rows: turn, version: 2, pieces: 5, ..TableProgress::new(state, 3) };
    let range = |after, upto, done| RangeProgress { range: KeyRange { after, upto }, done };
    let halves = vec![range(None, Some(key(10)), None), range(Some(key(10)), None, Some(key(12)))];
    let tables = [
        ("a", table(TableState::Copying, halves.clone())),
        ("b", table(TableState::Recopying, halves)),
        ("c", table(TableState::CatchingUp(Mark(vec![1, 2, 3])), Vec::new())),
        ("d.e", table(TableState::Streaming { since: [(Partition::new("log"), 17)].into() }, Vec::new())),
    ];
    let mut tables: BTreeMap<_, _> =
        tables.into_iter().map(|(name, table)| (TableName::new("main", name), table)).collect();
    let swept = tables.get_mut(&TableName::new("main", "d.e")).expect("just put there");
    swept.sweep = vec![KeyRange::all()];
    swept.from = Some(Checkpoint::only(Position::new(b"file-7f 40", 2)));
    Progress {
        epoch: turn,
        checkpoint: Checkpoint::only(Position::new(b"file-7f 99", turn)),
        starts: Checkpoint::default(),
        seen: Checkpoint::default(),
        numbers: [(Partition::new("log"), [(0, turn), (1, 8)].into()), (Partition::new("copy"), [(0, 3)].into())]
            .into(),
        tables,
    }
}

pub fn entry(job: Option<JobId>, at_ms: u64, what: &str) -> AuditEntry {
    let details = [("note".to_owned(), format!("at {at_ms}"))].into();
    AuditEntry { at_ms, job, who: "127.0.0.1".into(), what: what.into(), details }
}
