//! Between the API's messages and the model. The only file that sees both.

use super::access::{Caller, Refusal};
use super::v1::{
    ApplySettings, Backlog, CheckStoreResponse, Column, CopySettings, DesiredState, ErrorKind, Existing, Finding, Job,
    JobError, JobSpec, JobStatus, Keyless, Limits, ListTablesResponse, ObservedState, RefusedRow, Role, Severity,
    SourceSpec, Store, Table, TableStatus, TargetSpec, TargetStatus, WatchJobResponse,
};
use crate::{
    config::StoreConfig,
    error, model,
    pipeline::status::{self, Observed},
    source,
    state::{Desired, Stopped},
    supervisor::{Denied, JobView, Reason},
};
use prost_types::{Duration, Timestamp};
use std::{collections::HashMap, sync::Arc};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

const DOMAIN: &str = "whimbrel";
const PAGE: usize = 100;
const LONGEST_PAGE: i32 = 1000;

/// For the audit trail: whom the call was proven to come from.
pub fn who<T>(request: &Request<T>) -> String {
    request.extensions().get::<Caller>().map_or_else(|| "unknown".into(), |caller| caller.who.to_string())
}

pub fn answer(view: Result<JobView, Denied>) -> Result<Response<Job>, Status> {
    view.map(|view| Response::new(job(&view))).map_err(status)
}

/// The code for programs, the reason for programs that look closer, the hint for people.
pub fn status(denied: Denied) -> Status {
    let code = match denied.reason {
        Reason::JobNotFound | Reason::StoreNotFound => Code::NotFound,
        Reason::JobExists => Code::AlreadyExists,
        Reason::InvalidArgument => Code::InvalidArgument,
        Reason::EtagMismatch => Code::Aborted,
        Reason::JobDeleting | Reason::StoreUnusable => Code::FailedPrecondition,
        Reason::StoreUnavailable => Code::Unavailable,
        Reason::StateFailed => Code::Internal,
    };
    let (reason, text) = (denied.reason.name(), shortened(&denied.error.to_string()));
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, HashMap::new());
    match (code, text.strip_prefix('`').and_then(|text| text.split_once("`: "))) {
        (Code::InvalidArgument, Some((field, what))) => drop(details.add_bad_request_violation(field, what)),
        (Code::FailedPrecondition, _) => drop(details.add_precondition_failure_violation(reason, "", &text)),
        _ => {}
    }
    if let Some(hint) = denied.error.hint_text() {
        details.add_help_link(shortened(hint), "");
    }
    Status::with_error_details(code, text, details)
}

/// An error travels in headers, thrice, and clients refuse more than some KiB of them: a name of a MiB in a request
/// must not cost its answer.
fn shortened(text: &str) -> String {
    const CHARS: usize = 1000;
    match text.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A call that its caller may not make. `path`: `/package.Service/Call`.
pub fn refused(refusal: &Refusal, path: &str) -> Status {
    let send = "send the header `authorization: Bearer TOKEN`; `whimbrel` takes --token-file FILE";
    let call = path.rsplit('/').next().unwrap_or_default();
    let (code, reason, text, hint) = match refusal {
        Refusal::TokenMissing => {
            (Code::Unauthenticated, "TOKEN_MISSING", "this call needs a token".to_owned(), send.to_owned())
        }
        Refusal::TokenUnknown => (
            Code::Unauthenticated,
            "TOKEN_UNKNOWN",
            "the token is not one of this daemon's".to_owned(),
            "look whether it was changed: the daemon knows the lines of the files of [tokens] in its config".to_owned(),
        ),
        Refusal::RoleTooSmall { name, has, needs } => (
            Code::PermissionDenied,
            "ROLE_TOO_SMALL",
            format!("{call} needs the role `{}`, and token `{name}` has `{}`", needs.name(), has.name()),
            format!("use a token of that role, or set `tokens.{name}.role` in the daemon's config and send it SIGHUP"),
        ),
    };
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, HashMap::new());
    details.add_help_link(hint, "");
    Status::with_error_details(code, text, details)
}

/// What ends a watch when the daemon stops.
pub fn stopping() -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info("DAEMON_STOPPING", DOMAIN, HashMap::new());
    details.add_help_link("watch again when it is back; what runs goes on by itself", "");
    Status::with_error_details(Code::Unavailable, "the daemon is stopping", details)
}

fn invalid(field: &str, text: &str, hint: &str) -> Status {
    let error = error::Error::config(format!("`{field}`: {text}")).hint(hint);
    status(Denied { reason: Reason::InvalidArgument, error })
}

pub fn page_size(asked: i32) -> Result<usize, Status> {
    match asked {
        0 => Ok(PAGE),
        1.. => Ok(asked.min(LONGEST_PAGE) as usize),
        _ => Err(invalid("page_size", "negative", "leave it out")),
    }
}

/// A page's token is the last name on it: pages stay right while jobs come and go.
pub fn next_page(jobs: &[JobView], more: bool) -> String {
    jobs.last().filter(|_| more).map_or_else(String::new, |last| last.record.spec.name.clone())
}

pub fn spec_from(spec: Option<JobSpec>) -> Result<model::JobSpec, Status> {
    let spec = spec.ok_or_else(|| invalid("spec", "missing", "send the job file's content as `spec`"))?;
    let source = spec.source.ok_or_else(|| invalid("source", "missing", "say what is read: {store: NAME}"))?;
    let apply = spec.apply.unwrap_or_default();
    let copy = spec.copy.unwrap_or_default();
    let small = |field: &str, value: u32| {
        u16::try_from(value).map_err(|_| invalid(field, "too large", "0 lets the daemon choose"))
    };
    let targets = spec.targets.into_iter().map(|target| {
        let existing = match target.existing() {
            Existing::Unspecified if target.existing != 0 => return Err(unknown("targets.existing", target.existing)),
            Existing::Unspecified | Existing::Refuse => model::Existing::Refuse,
            Existing::Merge => model::Existing::Merge,
            Existing::Replace => model::Existing::Replace,
        };
        Ok(model::TargetSpec { store: target.store, existing })
    });
    let refused_row = match apply.refused_row() {
        RefusedRow::Unspecified if apply.refused_row != 0 => {
            return Err(unknown("apply.refused_row", apply.refused_row));
        }
        RefusedRow::Unspecified | RefusedRow::Stop => model::Refusal::Stop,
    };
    let keyless = match source.keyless() {
        Keyless::Unspecified if source.keyless != 0 => return Err(unknown("source.keyless", source.keyless)),
        Keyless::Unspecified | Keyless::Refuse => model::Keyless::Refuse,
        Keyless::Exact => model::Keyless::Exact,
        Keyless::Append => model::Keyless::Append,
    };
    Ok(model::JobSpec {
        name: spec.name,
        labels: spec.labels.into_iter().collect(),
        source: model::SourceSpec {
            store: source.store,
            tables: source.tables,
            rename: source.rename.into_iter().collect(),
            keyless,
        },
        targets: targets.collect::<Result<_, Status>>()?,
        copy: model::CopySettings {
            parallelism: small("copy.parallelism", copy.parallelism)?,
            limits: limits_from(copy.limits),
        },
        apply: model::ApplySettings {
            lanes: small("apply.lanes", apply.lanes)?,
            transactional: apply.transactional,
            max_row_bytes: match apply.max_row_bytes {
                0 => model::ApplySettings::default().max_row_bytes,
                bytes => bytes,
            },
            refused_row,
        },
    })
}

fn unknown(field: &str, number: i32) -> Status {
    invalid(field, &format!("{number} is not known to this daemon"), "use a daemon as new as the client")
}

pub fn limits_from(limits: Option<Limits>) -> model::Limits {
    let Limits { rows_per_s, bytes_per_s } = limits.unwrap_or_default();
    model::Limits { rows_per_s, bytes_per_s }
}

pub fn role_from(role: i32) -> Result<Role, Status> {
    Role::try_from(role).map_err(|_| unknown("role", role))
}

pub fn spec(spec: &model::JobSpec) -> JobSpec {
    let targets = spec.targets.iter().map(|target| TargetSpec {
        store: target.store.clone(),
        existing: match target.existing {
            model::Existing::Refuse => Existing::Refuse,
            model::Existing::Merge => Existing::Merge,
            model::Existing::Replace => Existing::Replace,
        }
        .into(),
    });
    JobSpec {
        name: spec.name.clone(),
        labels: spec.labels.clone().into_iter().collect(),
        source: Some(SourceSpec {
            store: spec.source.store.clone(),
            tables: spec.source.tables.clone(),
            rename: spec.source.rename.clone().into_iter().collect(),
            keyless: match spec.source.keyless {
                model::Keyless::Refuse => Keyless::Refuse,
                model::Keyless::Exact => Keyless::Exact,
                model::Keyless::Append => Keyless::Append,
            }
            .into(),
        }),
        targets: targets.collect(),
        copy: Some(CopySettings { parallelism: spec.copy.parallelism.into(), limits: Some(limits(spec.copy.limits)) }),
        apply: Some(ApplySettings {
            lanes: spec.apply.lanes.into(),
            transactional: spec.apply.transactional,
            max_row_bytes: spec.apply.max_row_bytes,
            refused_row: match spec.apply.refused_row {
                model::Refusal::Stop => RefusedRow::Stop,
            }
            .into(),
        }),
    }
}

pub fn limits(limits: model::Limits) -> Limits {
    Limits { rows_per_s: limits.rows_per_s, bytes_per_s: limits.bytes_per_s }
}

pub fn job(view: &JobView) -> Job {
    let record = &view.record;
    Job {
        name: record.spec.name.clone(),
        uid: record.id.to_string(),
        etag: record.etag.clone(),
        create_time: Some(timestamp(record.created_ms)),
        spec: Some(spec(&record.spec)),
        desired_state: match record.desired {
            Desired::Created => DesiredState::Created,
            Desired::Run => DesiredState::Run,
            Desired::Pause => DesiredState::Pause,
            Desired::Delete => DesiredState::Delete,
        }
        .into(),
        status: Some(JobStatus {
            observed_state: observed(view.status.observed),
            targets: view.status.targets.iter().map(|(name, target)| target_status(name, target)).collect(),
            held: view.status.held.map(backlog),
            error: view.status.error.as_ref().map(job_error),
        }),
    }
}

fn target_status(name: &str, target: &status::TargetStatus) -> TargetStatus {
    TargetStatus {
        store: name.to_owned(),
        observed_state: observed(target.observed),
        tables: target.tables.iter().map(|(name, table)| table_status(name, table)).collect(),
        changes: target.changes,
        changes_per_s: target.changes_per_s,
        lag: target.lag_ms.map(duration),
        behind_changes: target.behind,
        last_write_time: target.last_write_ms.map(timestamp),
        last_answer_time: target.last_answer_ms.map(timestamp),
        error: target.error.as_ref().map(job_error),
    }
}

fn table_status(name: &model::TableName, table: &status::TableStatus) -> TableStatus {
    TableStatus {
        name: name.to_string(),
        observed_state: observed(table.observed),
        rows: table.rows,
        bytes: table.bytes,
        rows_per_s: table.rows_per_s,
        share: table.share,
        eta: table.eta_s.map(|seconds| duration(seconds.saturating_mul(1000))),
    }
}

fn observed(observed: Observed) -> i32 {
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
    .into()
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
    }
}

fn backlog(backlog: source::Backlog) -> Backlog {
    Backlog { changes: backlog.changes, bytes: backlog.bytes, oldest_time: backlog.oldest_ms.map(timestamp) }
}

fn timestamp(ms: u64) -> Timestamp {
    let nanos = (ms % 1000) as i32 * 1_000_000;
    Timestamp { seconds: i64::try_from(ms / 1000).unwrap_or(i64::MAX), nanos }
}

fn duration(ms: u64) -> Duration {
    let Timestamp { seconds, nanos } = timestamp(ms);
    Duration { seconds, nanos }
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

pub fn store(name: &str, config: &StoreConfig) -> Store {
    let kind = config.url.split(':').next().unwrap_or_default().to_owned();
    Store { name: name.to_owned(), kind, url: config.url.clone() }
}

pub fn checked(findings: &[model::Finding]) -> CheckStoreResponse {
    let ok = findings.iter().all(|finding| finding.severity != model::Severity::Blocking);
    CheckStoreResponse { findings: findings.iter().map(finding).collect(), ok }
}

fn finding(finding: &model::Finding) -> Finding {
    Finding {
        severity: match finding.severity {
            model::Severity::Info => Severity::Info,
            model::Severity::Warning => Severity::Warning,
            model::Severity::Blocking => Severity::Blocking,
        }
        .into(),
        subject: finding.subject.clone(),
        text: finding.text.clone(),
        mend: finding.mend.clone().unwrap_or_default(),
    }
}

/// The page behind the name `after`.
pub fn tables(
    tables: &[Arc<model::Table>],
    findings: &[model::Finding],
    after: &str,
    limit: usize,
) -> ListTablesResponse {
    let mut all: Vec<Table> = tables.iter().map(|shape| table(shape)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let mut rest = all.into_iter().filter(|table| table.name.as_str() > after);
    let page: Vec<Table> = rest.by_ref().take(limit).collect();
    let next_page_token = match (rest.next(), page.last()) {
        (Some(_), Some(last)) => last.name.clone(),
        _ => String::new(),
    };
    let findings = if after.is_empty() { findings.iter().map(finding).collect() } else { Vec::new() };
    ListTablesResponse { tables: page, next_page_token, findings }
}

fn table(table: &model::Table) -> Table {
    let columns = table.columns.iter().map(|column| Column {
        name: column.name.clone(),
        r#type: column.declared.clone(),
        nullable: column.nullable,
        generated: column.generated,
    });
    Table {
        name: table.name.to_string(),
        columns: columns.collect(),
        key: table.key.iter().map(|&column| table.columns[column].name.clone()).collect(),
    }
}
