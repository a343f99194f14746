//! A job and its status, whole or what is new of it.

use super::{duration, spec, timestamp};
use crate::{
    control::v1::{
        Backlog, DesiredState, ErrorKind, HistoryEntry, Job, JobError, JobStatus, ObservedState, TableStatus,
        TargetStatus, WatchJobResponse,
    },
    error, model,
    pipeline::status::{self, Observed},
    source,
    state::{Desired, Stopped},
    supervisor::{Entry, JobView},
};

pub fn job(view: &JobView) -> Job {
    let record = &view.record;
    Job {
        name: record.spec.name.clone(),
        uid: record.id.to_string(),
        etag: record.etag.clone(),
        create_time: Some(timestamp(record.created_ms)),
        spec: Some(spec(&record.spec)),
        desired_state: desired(record.desired).into(),
        status: Some(JobStatus {
            observed_state: observed(view.status.observed).into(),
            targets: view.status.targets.iter().map(|(name, target)| target_status(name, target)).collect(),
            held: view.status.held.map(backlog),
            error: view.status.error.as_ref().map(job_error),
            late_tables: view.status.late.iter().map(ToString::to_string).collect(),
        }),
        resume_time: record.resume_ms.filter(|_| record.desired == Desired::Pause).map(timestamp),
    }
}

pub fn desired(desired: Desired) -> DesiredState {
    match desired {
        Desired::Created => DesiredState::Created,
        Desired::Run => DesiredState::Run,
        Desired::Pause => DesiredState::Pause,
        Desired::Delete => DesiredState::Delete,
    }
}

fn target_status(name: &str, target: &status::TargetStatus) -> TargetStatus {
    TargetStatus {
        store: name.to_owned(),
        observed_state: observed(target.observed).into(),
        tables: target.tables.iter().map(|(name, table)| table_status(name, table)).collect(),
        changes: target.changes,
        changes_per_s: target.changes_per_s,
        lag: target.lag_ms.map(duration),
        behind_changes: target.behind,
        last_write_time: target.last_write_ms.map(timestamp),
        last_answer_time: target.last_answer_ms.map(timestamp),
        error: target.error.as_ref().map(|error| JobError { passed: target.passed, ..job_error(error) }),
    }
}

fn table_status(name: &model::TableName, table: &status::TableStatus) -> TableStatus {
    TableStatus {
        name: name.to_string(),
        observed_state: observed(table.observed).into(),
        rows: table.rows,
        bytes: table.bytes,
        rows_per_s: table.rows_per_s,
        share: table.share,
        eta: table.eta_s.map(|seconds| duration(seconds.saturating_mul(1000))),
        gone: table.gone,
        again: table.again.clone().unwrap_or_default(),
    }
}

pub fn observed(observed: Observed) -> ObservedState {
    match observed {
        Observed::Failed => ObservedState::Failed,
        Observed::Lost => ObservedState::Lost,
        Observed::Stalled => ObservedState::Stalled,
        Observed::Created => ObservedState::Created,
        Observed::Deleting => ObservedState::Deleting,
        Observed::Paused => ObservedState::Paused,
        Observed::Preparing => ObservedState::Preparing,
        Observed::Copying => ObservedState::Copying,
        Observed::CatchingUp => ObservedState::CatchingUp,
        Observed::Streaming => ObservedState::Streaming,
    }
}

fn job_error(stopped: &Stopped) -> JobError {
    JobError {
        kind: match stopped.kind {
            error::ErrorKind::Transient => ErrorKind::Transient,
            error::ErrorKind::Lost => ErrorKind::Lost,
            error::ErrorKind::Config => ErrorKind::Config,
            error::ErrorKind::Refused => ErrorKind::Refused,
        }
        .into(),
        text: stopped.text.clone(),
        hint: stopped.hint.clone().unwrap_or_default(),
        time: Some(timestamp(stopped.at_ms)),
        passed: false,
    }
}

fn backlog(backlog: source::Backlog) -> Backlog {
    Backlog {
        changes: backlog.changes,
        bytes: backlog.bytes,
        oldest_time: backlog.oldest_ms.map(timestamp),
        kept: backlog.kept_ms.map(duration),
    }
}

/// What a watcher was told, to tell it only what is new.
#[derive(Default)]
pub struct Changes {
    last: Option<status::JobStatus>,
}

impl Changes {
    pub fn since_last(&mut self, view: &JobView) -> WatchJobResponse {
        let last = self.last.replace(view.status.clone());
        let mut news = view.clone();
        if let Some(last) = &last {
            for (name, target) in &mut news.status.targets {
                let known = last.targets.get(name);
                target.tables.retain(|name, table| known.and_then(|known| known.tables.get(name)) != Some(table));
            }
        }
        WatchJobResponse { job: Some(job(&news)), whole: last.is_none() }
    }
}

pub fn history_entry(entry: &Entry) -> HistoryEntry {
    let Entry { name, entry } = entry;
    HistoryEntry {
        time: Some(timestamp(entry.at_ms)),
        who: entry.who.clone(),
        what: entry.what.clone(),
        job: name.clone().unwrap_or_default(),
        job_uid: entry.job.map(|job| job.to_string()).unwrap_or_default(),
        details: entry.details.clone().into_iter().collect(),
    }
}
