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
    hint: Option<String>,
}

const FAILED: u8 = 1;
/// Something must be changed first; the hint says what.
const REFUSED: u8 = 3;
const UNREACHABLE: u8 = 4;
const TIMED_OUT: u8 = 5;

impl Ended {
    pub fn failed(error: impl std::fmt::Display) -> Ended {
        Ended { code: FAILED, text: error.to_string(), hint: None }
    }

    pub fn refused(text: impl Into<String>, hint: impl Into<String>) -> Ended {
        Ended { code: REFUSED, text: text.into(), hint: Some(hint.into()) }
    }

    pub fn with(code: u8, text: impl Into<String>) -> Ended {
        Ended { code, text: text.into(), hint: None }
    }

    pub fn say(self) -> ExitCode {
        eprintln!("error: {}", self.text);
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
        Ended { code, text: error.to_string(), hint: error.hint_text().map(str::to_owned) }
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Ended {
        let code = match failure.code {
            Code::Unavailable if failure.reason != "STORE_UNAVAILABLE" => UNREACHABLE,
            Code::DeadlineExceeded => TIMED_OUT,
            Code::InvalidArgument | Code::FailedPrecondition | Code::NotFound | Code::AlreadyExists | Code::Aborted => {
                REFUSED
            }
            _ => FAILED,
        };
        Ended { code, text: failure.text, hint: failure.hint }
    }
}
