//! Rebuilds a lost state from what the targets remember: job files, watermarks, finished tables.

use super::{Desired, Document, JobRecord, document::JobDocument};
use crate::error::Error;
use crate::model::{
    Checkpoint, Existing, Finding, JobId, JobSpec, KeyRange, Keyless, LaneMark, Partition, Position, Progress,
    Severity, SourceSpec, TableName, TableProgress, TableState,
};
use crate::target::JobRow;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What could be rebuilt, and what could not.
#[derive(Debug)]
pub struct Rebuilt {
    pub document: Document,
    pub findings: Vec<Finding>,
}

/// What a target keeps of a job beside its watermarks.
#[derive(Serialize, Deserialize)]
struct Remembered {
    spec: JobSpec,
    tables: Vec<TableName>,
}

/// A job's spec and tables as a target keeps them (`Claim::spec`).
pub fn remember(spec: &JobSpec, tables: &[TableName]) -> crate::error::Result<String> {
    let remembered = Remembered { spec: spec.clone(), tables: tables.to_vec() };
    serde_json::to_string(&remembered).map_err(|error| Error::config("the job's spec").because(error))
}

/// The name of the job that a target keeps this of.
pub fn remembered_name(spec: &str) -> Option<String> {
    serde_json::from_str(spec).ok().map(|remembered: Remembered| remembered.spec.name)
}

/// `stores`: what `Target::jobs` of every store in the config answered; a store that could not be asked is left out,
/// and jobs that need it are not rebuilt. The jobs come back paused: a person looks before they run.
pub fn rebuild(stores: &BTreeMap<String, Vec<JobRow>>, now_ms: u64) -> Rebuilt {
    let mut rows: BTreeMap<JobId, BTreeMap<&str, &JobRow>> = BTreeMap::new();
    for (store, jobs) in stores {
        for row in jobs {
            rows.entry(row.job).or_default().insert(store, row);
        }
    }
    let (mut jobs, mut findings) = (Vec::new(), Vec::new());
    for (id, rows) in rows {
        match job(id, &rows, stores, now_ms, &mut findings) {
            Ok(job) => jobs.push(job),
            Err(finding) => findings.push(finding),
        }
    }
    Rebuilt { document: Document::new(jobs, Vec::new()), findings }
}

fn job(
    id: JobId,
    rows: &BTreeMap<&str, &JobRow>,
    stores: &BTreeMap<String, Vec<JobRow>>,
    now_ms: u64,
    findings: &mut Vec<Finding>,
) -> Result<JobDocument, Finding> {
    let newest = rows.values().max_by_key(|row| row.epoch).expect("a job is known by its rows");
    let Remembered { spec, tables } = serde_json::from_str(&newest.spec).map_err(|error| {
        Finding::new(Severity::Blocking, id.to_string(), format!("its job file in the target cannot be read: {error}"))
    })?;
    for target in &spec.targets {
        if !stores.contains_key(&target.store) {
            let text = format!("target `{}` could not be asked what it has applied", target.store);
            return Err(Finding::new(Severity::Blocking, &spec.name, text)
                .mend(format!("make store `{}` reachable under that name in the config, then again", target.store)));
        }
        if !rows.contains_key(target.store.as_str()) {
            let text = format!("target `{}` remembers nothing of this job; it will be copied anew", target.store);
            findings.push(Finding::new(Severity::Warning, &spec.name, text));
        }
        if target.existing != Existing::Merge && spec.source.keyless != Keyless::Refuse {
            let text = format!(
                "target `{}`: rows that the source deleted while the state was lost may stay in tables that are copied \
                 again (the job carries tables without a key)",
                target.store
            );
            findings.push(Finding::new(Severity::Warning, &spec.name, text));
        }
    }
    // Above all of the targets', so that whoever still runs with the lost state is refused.
    let epoch = newest.epoch + 1;
    let targets = spec.targets.iter().filter_map(|target| rows.get(target.store.as_str()).map(|row| (target, row)));
    let progress: BTreeMap<String, Progress> =
        targets.map(|(target, row)| (target.store.clone(), progress(&spec, target.existing, row, epoch))).collect();
    // Begun, so that the source's reservation is kept. Any target's checkpoint will do: the log reaches back to all of
    // them, and a target that remembers nothing is copied after it.
    let begun = progress.values().map(|progress| progress.checkpoint.clone()).find(|begun| !begun.0.is_empty());
    let job = JobRecord {
        begun,
        tables,
        created_ms: now_ms,
        etag: format!("rebuilt-{now_ms}"),
        ..JobRecord::new(id, spec, Desired::Pause)
    };
    Ok(JobDocument { job, progress })
}

/// Tables that the target calls finished go on where its watermark stands; all others are copied again: nobody knows
/// how far they were.
fn progress(spec: &JobSpec, existing: Existing, row: &JobRow, epoch: u64) -> Progress {
    let mut numbers: BTreeMap<Partition, BTreeMap<u16, u64>> = BTreeMap::new();
    let mut checkpoint = Checkpoint::default();
    let mut since: BTreeMap<Partition, u64> = BTreeMap::new();
    for mark in &row.opened.marks {
        if mark.batch > 0 {
            numbers.entry(mark.feed.clone()).or_default().insert(mark.lane, mark.batch);
        }
        if mark.feed.as_str() != Partition::COPY {
            checkpoint.set(&mark.feed, applied(&mark.feed, &row.opened.marks));
            let newest = since.entry(mark.feed.clone()).or_default();
            *newest = mark.batch.max(*newest);
        }
    }
    // All rows are the job's own, so those that the source lacks may go. Which tables have a key is not known here.
    let is_swept = existing != Existing::Merge;
    let tables = row.opened.tables.iter().map(|(name, noted)| {
        let mut table = TableProgress::new(TableState::Copying, noted.generation);
        table.started = true;
        if noted.finished {
            table.state = TableState::Streaming { since: since.clone() };
            table.todo.clear();
        } else if is_swept {
            table.sweep = vec![KeyRange::all()];
        }
        (source_name(&spec.source, name), table)
    });
    // Where its partitions began is not known: a target that falls behind where it stands now is copied again.
    // What was read ahead of it is not known either: unfinished tables are copied from their beginning.
    let (starts, seen) = (checkpoint.clone(), Checkpoint::default());
    Progress { epoch, starts, seen, checkpoint, numbers, tables: tables.collect() }
}

/// Everything up to here is in the target: the newest batch's end if all its lanes have it, else its beginning.
fn applied(feed: &Partition, marks: &[LaneMark]) -> Position {
    let of_feed = || marks.iter().filter(|mark| mark.feed == *feed);
    let newest = of_feed().max_by_key(|mark| mark.batch).expect("the caller saw one");
    let whole = of_feed().filter(|mark| mark.batch == newest.batch).count() >= usize::from(newest.lanes);
    if whole || newest.batch == 0 { newest.to.clone() } else { newest.from.clone() }
}

/// What the job's renames made of the source's name, read backwards.
fn source_name(source: &SourceSpec, target: &TableName) -> TableName {
    let whole = format!("{}.{}", target.schema, target.name);
    let schema = format!("{}.*", target.schema);
    let from = |to: &str| source.rename.iter().find(|(_, renamed)| *renamed == to).map(|(from, _)| from);
    if let Some((schema, name)) = from(&whole).and_then(|from| from.split_once('.')) {
        return TableName::new(schema, name);
    }
    match from(&schema).and_then(|from| from.strip_suffix(".*")) {
        Some(schema) => TableName::new(schema, &target.name),
        None => target.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{ApplySettings, CopySettings, TargetSpec},
        target::{Noted, Opened},
    };
    use uuid::Uuid;

    fn mark(lane: u16, lanes: u16, batch: u64) -> LaneMark {
        LaneMark {
            feed: Partition::new(Partition::ONLY),
            lane,
            lanes,
            hash_version: 1,
            epoch: 4,
            batch,
            from: Position::new(&[0], batch),
            to: Position::new(&[1], batch),
        }
    }

    fn row(marks: Vec<LaneMark>) -> JobRow {
        let target = |store: &str| TargetSpec { store: store.into(), existing: Existing::Refuse };
        let spec = JobSpec {
            name: "orders".into(),
            labels: BTreeMap::new(),
            source: SourceSpec { rename: [("main.*".into(), "copy.*".into())].into(), ..SourceSpec::new("a") },
            targets: vec![target("b"), target("c")],
            copy: CopySettings::default(),
            apply: ApplySettings::default(),
        };
        let noted = |finished| Noted { generation: 3, finished };
        let tables =
            vec![(TableName::new("copy", "done"), noted(true)), (TableName::new("copy", "half"), noted(false))];
        let spec = remember(&spec, &[TableName::new("main", "done")]).expect("plain data");
        JobRow { job: JobId(Uuid::nil()), spec, epoch: 4, opened: Opened { marks, tables } }
    }

    #[test]
    fn finished_tables_go_on_and_others_are_copied_again() {
        let stores = [("b".to_owned(), vec![row(vec![mark(0, 1, 9)])]), ("c".to_owned(), Vec::new())].into();
        let rebuilt = rebuild(&stores, 1);
        let job = &rebuilt.document.jobs[0];
        assert_eq!(job.job.desired, Desired::Pause);
        assert_eq!(job.job.begun, Some(Checkpoint::only(Position::new(&[1], 9))));
        let progress = &job.progress["b"];
        assert_eq!((progress.epoch, job.progress.len()), (5, 1), "c has nothing: no progress, and a warning");
        assert_eq!(rebuilt.findings.len(), 1);
        let tables = &progress.tables;
        assert!(tables[&TableName::new("main", "done")].is_streaming());
        let half = &tables[&TableName::new("main", "half")];
        assert_eq!((&half.state, half.started, half.generation), (&TableState::Copying, true, 3));
        assert_eq!(half.todo.len(), 1);
    }

    #[test]
    fn a_torn_batch_counts_from_its_beginning() {
        let feed = Partition::new(Partition::ONLY);
        let torn = [mark(0, 2, 9), mark(1, 2, 8), mark(2, 3, 2)];
        assert_eq!(applied(&feed, &torn), Position::new(&[0], 9));
        let whole = [mark(0, 2, 9), mark(1, 2, 9), mark(2, 3, 2)];
        assert_eq!(applied(&feed, &whole), Position::new(&[1], 9));
    }

    #[test]
    fn a_job_with_a_target_that_cannot_be_asked_is_not_rebuilt() {
        let rebuilt = rebuild(&[("b".to_owned(), vec![row(vec![mark(0, 1, 9)])])].into(), 1);
        assert!(rebuilt.document.jobs.is_empty());
        assert_eq!(rebuilt.findings[0].severity, Severity::Blocking);
    }
}
