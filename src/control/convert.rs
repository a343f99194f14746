//! Between the API's messages and the model. The only file that sees both.

mod job;
mod page;
mod plan;
mod spec;
mod store;

pub use self::{
    job::{Changes, desired, history_entry, job, observed},
    page::Page,
    plan::plan,
    spec::{limits, limits_from, spec, spec_from, update_from},
    store::{certified, checked, leftover, reloaded, store, tables},
};

use super::access::{Caller, Refusal};
use super::v1::{Finding, Job, Role, Severity};
use crate::{
    error, model,
    supervisor::{Denied, JobView, Reason},
};
use prost_types::{Duration, Timestamp};
use std::{borrow::Cow, collections::HashMap};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

const DOMAIN: &str = "whimbrel";
/// In one error; a check lists all.
const VIOLATIONS: usize = 10;

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
        Reason::JobDeleting
        | Reason::JobStarted
        | Reason::TooManyJobs
        | Reason::StoreUnusable
        | Reason::StoreNotCertifiable
        | Reason::ConfigUnusable => Code::FailedPrecondition,
        Reason::StoreUnavailable | Reason::CertifyRunning => Code::Unavailable,
        Reason::StateFailed => Code::Internal,
    };
    let Denied { reason, error, violations } = denied;
    explained(code, reason.name(), &error.to_string(), error.hint_text().unwrap_or_default(), &violations)
}

/// The one shape of every error that leaves the daemon: google.rpc's ErrorInfo, Help with the hint, and BadRequest or
/// PreconditionFailure where the code has one. `violations`: subject and text of each thing to mend; none means `text`.
pub fn explained(code: Code, reason: &str, text: &str, hint: &str, violations: &[(String, String)]) -> Status {
    let (text, hint) = (&*shortened(text), &*shortened(hint));
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, HashMap::new());
    match (code, text.strip_prefix('`').and_then(|text| text.split_once("`: "))) {
        (Code::InvalidArgument, Some((field, what))) => drop(details.add_bad_request_violation(field, what)),
        (Code::FailedPrecondition, _) if violations.is_empty() => {
            details.add_precondition_failure_violation(reason, "", text);
        }
        (Code::FailedPrecondition, _) => {
            for (subject, text) in violations.iter().take(VIOLATIONS) {
                details.add_precondition_failure_violation(reason, &*shortened(subject), &*shortened(text));
            }
        }
        _ => {}
    }
    if !hint.is_empty() {
        details.add_help_link(hint, "");
    }
    Status::with_error_details(code, text, details)
}

/// An error travels in headers, thrice, and clients refuse more than some KiB of them: a name of a MiB in a request
/// must not cost its answer.
fn shortened(text: &str) -> Cow<'_, str> {
    const CHARS: usize = 1000;
    match text.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// A call that its caller may not make. `path`: `/package.Service/Call`.
pub fn refused(refusal: &Refusal, path: &str) -> Status {
    let call = path.rsplit('/').next().unwrap_or_default();
    match refusal {
        Refusal::TokenMissing => {
            let hint = "send the header `authorization: Bearer TOKEN`; `whimbrel` takes --token-file FILE";
            explained(Code::Unauthenticated, "TOKEN_MISSING", "this call needs a token", hint, &[])
        }
        Refusal::TokenUnknown => {
            let hint = "look whether it was changed: the daemon knows the lines of the files of [tokens] in its config";
            explained(Code::Unauthenticated, "TOKEN_UNKNOWN", "the token is not one of this daemon's", hint, &[])
        }
        Refusal::RoleTooSmall { name, has, needs } => {
            let text = format!("{call} needs the role `{}`, and token `{name}` has `{}`", needs.name(), has.name());
            let set = format!("set `tokens.{name}.role` in the daemon's config and send it SIGHUP");
            let hint = format!("use a token of that role, or {set}");
            explained(Code::PermissionDenied, "ROLE_TOO_SMALL", &text, &hint, &[])
        }
    }
}

/// What ends a stream when the daemon stops.
pub fn stopping() -> Status {
    let hint = "try again when it is back; what runs goes on by itself";
    explained(Code::Unavailable, "DAEMON_STOPPING", "the daemon is stopping", hint, &[])
}

pub fn invalid(field: &str, text: &str, hint: &str) -> Status {
    let error = error::Error::config(format!("`{field}`: {text}")).hint(hint);
    status(Denied::new(Reason::InvalidArgument, error))
}

fn unknown(field: &str, number: i32) -> Status {
    invalid(field, &format!("{number} is not known to this daemon"), "use a daemon as new as the client")
}

pub fn role_from(role: i32) -> Result<Role, Status> {
    Role::try_from(role).map_err(|_| unknown("role", role))
}

/// A span of time that is not negative.
pub fn duration_from(field: &str, span: Duration) -> Result<std::time::Duration, Status> {
    std::time::Duration::try_from(span).map_err(|_| invalid(field, "a negative time", "write it as `3600s`"))
}

pub fn span(time: std::time::Duration) -> Duration {
    duration(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn timestamp(ms: u64) -> Timestamp {
    let nanos = (ms % 1000) as i32 * 1_000_000;
    Timestamp { seconds: i64::try_from(ms / 1000).unwrap_or(i64::MAX), nanos }
}

fn duration(ms: u64) -> Duration {
    let Timestamp { seconds, nanos } = timestamp(ms);
    Duration { seconds, nanos }
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
