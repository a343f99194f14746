//! A call that was not answered, or not with what was asked for.

use std::fmt;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Why, for programs (code, reason) and for people (text, hint).
#[derive(Clone, Debug)]
pub struct Failure {
    /// As gRPC has them; what they mean here is at the top of `proto/whimbrel/v1/job.proto`.
    pub code: Code,
    /// For programs: `JOB_NOT_FOUND`, `ETAG_MISMATCH`, …; `DAEMON_UNREACHABLE` where no daemon answered.
    pub reason: String,
    /// What happened.
    pub text: String,
    /// What to type next.
    pub hint: Option<String>,
    /// Each thing that is to be mended: what it is about, and what is the case. Empty where `text` says all.
    pub violations: Vec<(String, String)>,
}

/// What a method of [`Client`](super::Client) answers.
pub type Answer<T> = Result<T, Failure>;

/// What to type where a connection was made and broke.
const BROKEN: &str = "see whether the daemon still runs, and its log (\"turned away\": it has too many connections); \
                      one that speaks TLS wants --ca-file, and may want --cert-file and --key-file";

impl Failure {
    pub(super) fn unreachable() -> Failure {
        Failure {
            code: Code::Unavailable,
            reason: "DAEMON_UNREACHABLE".into(),
            text: "no daemon answers".into(),
            hint: Some(
                "start it with `whimbrel serve --config FILE`, or say where it listens with --server HOST:PORT".into(),
            ),
            violations: Vec::new(),
        }
    }

    /// The daemon went away, or was never there: it may come back.
    pub fn is_unreachable(&self) -> bool {
        matches!(self.reason.as_str(), "DAEMON_UNREACHABLE" | "DAEMON_STOPPING")
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Failure {
        let details = status.get_error_details();
        let text = status.message().to_owned();
        let Some(info) = details.error_info() else {
            // No error of the daemon is without: this one was made on the way.
            let why = std::error::Error::source(&status).map_or(text.clone(), causes);
            return match status.code() {
                // How the transport tells that its time was up.
                Code::Cancelled if text.contains("Timeout") => late(Code::DeadlineExceeded, why),
                // And, as a call that was cancelled, that the connection was closed before it could be made.
                Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled => {
                    let text = format!("the connection broke: {why}");
                    Failure { text, hint: Some(BROKEN.into()), ..Failure::unreachable() }
                }
                code => late(code, why),
            };
        };
        let reason = info.reason.clone();
        let hint = details.help().and_then(|help| help.links.first()).map(|link| link.description.clone());
        let found = details.precondition_failure().map(|found| found.violations.as_slice()).unwrap_or_default();
        let violations = found.iter().filter(|one| !one.subject.is_empty());
        let violations = violations.map(|one| (one.subject.clone(), one.description.clone())).collect();
        Failure { code: status.code(), reason, text, hint, violations }
    }
}

fn late(code: Code, text: String) -> Failure {
    let hint = "see the daemon's log; a store that hangs may hold an answer";
    Failure { code, reason: "NO_ANSWER".into(), text, hint: Some(hint.into()), violations: Vec::new() }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

pub(super) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
