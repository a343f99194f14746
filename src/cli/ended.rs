//! How a command ended: the exit code for scripts, the text and the hint for people.

use crate::{
    client::{Code, Failure},
    error::{Error, ErrorKind},
};
use std::process::ExitCode;

/// Not well. (0 is done, 2 is wrong usage and said by clap.)
#[derive(Debug)]
pub struct Ended {
    code: u8,
    text: String,
    /// Each thing that is to be mended.
    violations: Vec<(String, String)>,
    hint: Option<String>,
    /// The API's, for programs.
    reason: String,
}

const FAILED: u8 = 1;
/// Something must be changed first; the hint says what.
const REFUSED: u8 = 3;
const UNREACHABLE: u8 = 4;
const TIMED_OUT: u8 = 5;
const DIFFERENT: u8 = 6;
const UNKNOWN: u8 = 7;

impl Ended {
    pub fn failed(error: impl std::fmt::Display) -> Ended {
        Ended::new(FAILED, error.to_string())
    }

    pub fn refused(text: impl Into<String>, hint: impl Into<String>) -> Ended {
        Ended::new(REFUSED, text.into()).hint(hint)
    }

    /// Data that should be equal are not.
    pub fn different(text: impl Into<String>) -> Ended {
        Ended::new(DIFFERENT, text.into())
    }

    /// Whether they are could not be found out.
    pub fn unknown(text: impl Into<String>) -> Ended {
        Ended::new(UNKNOWN, text.into())
    }

    fn new(code: u8, text: String) -> Ended {
        Ended { code, text, violations: Vec::new(), hint: None, reason: String::new() }
    }

    pub fn hint(self, hint: impl Into<String>) -> Ended {
        Ended { hint: Some(hint.into()), ..self }
    }

    /// Says where: the file of a job, say.
    pub fn at(self, place: &str) -> Ended {
        let text = format!("{place}: {}", self.text);
        self.saying(text)
    }

    pub fn saying(self, text: String) -> Ended {
        Ended { text, ..self }
    }

    pub fn reason(&self) -> &str {
        &self.reason
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn say(self) -> ExitCode {
        eprintln!("error: {}", self.text);
        for (subject, text) in self.violations {
            eprintln!("  {subject}: {text}");
        }
        if let Some(hint) = self.hint {
            eprintln!("hint: {hint}");
        }
        ExitCode::from(self.code)
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Ended {
        let code = match error.kind() {
            ErrorKind::Config | ErrorKind::Refused => REFUSED,
            ErrorKind::Transient | ErrorKind::Lost => FAILED,
        };
        let hint = error.hint_text().map(str::to_owned);
        Ended { hint, ..Ended::new(code, error.to_string()) }
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Ended {
        let Failure { code, reason, text, hint, violations } = failure;
        let code = match (code, reason.as_str()) {
            (_, "STORE_UNAVAILABLE" | "CERTIFY_RUNNING") => FAILED,
            (_, "WAIT_TIMED_OUT") | (Code::DeadlineExceeded, _) => TIMED_OUT,
            (Code::Unavailable, _) => UNREACHABLE,
            (
                Code::InvalidArgument
                | Code::FailedPrecondition
                | Code::NotFound
                | Code::AlreadyExists
                | Code::Aborted
                | Code::Unauthenticated
                | Code::PermissionDenied
                | Code::ResourceExhausted
                | Code::OutOfRange
                // A call that only a newer daemon has.
                | Code::Unimplemented,
                _,
            ) => REFUSED,
            _ => FAILED,
        };
        Ended { violations, hint, reason, ..Ended::new(code, text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_be_changed_first_is_refused_and_what_may_heal_is_not() {
        let of = |code, reason: &str| {
            let (reason, text) = (reason.to_owned(), String::new());
            Ended::from(Failure { code, reason, text, hint: None, violations: Vec::new() }).code
        };
        assert_eq!(of(Code::ResourceExhausted, "REQUEST_TOO_LARGE"), REFUSED);
        assert_eq!(of(Code::Unimplemented, "CALL_UNKNOWN"), REFUSED);
        assert_eq!(of(Code::FailedPrecondition, "JOB_FAILED"), REFUSED);
        assert_eq!(of(Code::Unavailable, "DAEMON_STOPPING"), UNREACHABLE);
        assert_eq!(of(Code::Unavailable, "STORE_UNAVAILABLE"), FAILED);
        assert_eq!(of(Code::DeadlineExceeded, "NO_ANSWER"), TIMED_OUT);
        assert_eq!(of(Code::Internal, "STATE_FAILED"), FAILED);
    }
}
