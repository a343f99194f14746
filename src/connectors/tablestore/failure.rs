//! What an error of the service, or of the way to it, means for us. By code: the same HTTP number means many things.

use super::{
    messages::error,
    operation::{Effect, Operation},
};
use crate::error::{Error, ErrorKind};
use std::fmt;

/// An answer of the service that is no error of ours yet: some callers expect some of them.
pub(super) type Answer<T> = Result<T, Failure>;

/// The service's codes that we look for.
pub(super) mod code {
    pub const AUTH_FAILED: &str = "OTSAuthFailed";
    pub const CONDITION: &str = "OTSConditionCheckFail";
    pub const EXISTS: &str = "OTSObjectAlreadyExist";
    pub const NO_SUCH: &str = "OTSObjectNotExist";
    /// A tunnel's client was away for too long, or its channels are another's.
    pub const RESOURCE_GONE: &str = "OTSResourceGone";
    /// Somebody else wrote the channel's checkpoint.
    pub const SEQUENCE: &str = "OTSSequenceNumberNotMatch";
    pub const TABLE_NOT_READY: &str = "OTSTableNotReady";
    pub const TRIMMED: &str = "OTSTrimmedDataAccess";
    pub const TUNNEL_EXISTS: &str = "OTSTunnelExist";
    pub const TUNNEL_EXPIRED: &str = "OTSTunnelExpired";
}

#[derive(Debug)]
pub(super) struct Failure {
    pub operation: Operation,
    pub cause: Cause,
    /// The service's name of the request, for its people.
    pub request_id: Option<Box<str>>,
}

#[derive(Debug)]
pub(super) enum Cause {
    /// The service says what is wrong, with the request or with one row of a batch.
    Told {
        code: Box<str>,
        message: Box<str>,
        action: Option<Box<str>>,
    },
    /// An error without words: of the service as it goes down, or of something in front of it.
    Silent {
        status: u16,
    },
    /// No connection, so nothing was sent.
    Unreached(reqwest::Error),
    /// There, but not provably whom we mean.
    Unsafe(reqwest::Error),
    /// It broke, or was too slow, while the request was out.
    Broken(reqwest::Error),
    Moved(String),
    /// An answer that does not pass the checks, or lacks what it must have.
    Spoiled(String),
    TooLarge {
        limit: usize,
    },
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Not done; the same may be taken later.
    NotDone,
    /// Done or not, nobody tells: only what may happen twice is to be sent again.
    Unknown,
    /// Not done, and the same will never be.
    Refused,
}

impl Failure {
    pub fn new(operation: Operation, cause: Cause) -> Failure {
        Failure { operation, cause, request_id: None }
    }

    pub fn spoiled(operation: Operation, what: impl Into<String>) -> Failure {
        Failure::new(operation, Cause::Spoiled(what.into()))
    }

    /// Of a request, or of a row in a batch that was answered.
    pub fn told(operation: Operation, error: error::Error) -> Failure {
        let action = error.access_denied.map(|denied| denied.auth_action).filter(|action| !action.is_empty());
        let (code, message) = (error.code.unwrap_or_default().into(), error.message.unwrap_or_default().into());
        Failure::new(operation, Cause::Told { code, message, action: action.map(String::into) })
    }

    /// The service's own code, if it was the service that complained.
    pub fn code(&self) -> Option<&str> {
        match &self.cause {
            Cause::Told { code, .. } => Some(code),
            _ => None,
        }
    }

    pub fn fate(&self) -> Fate {
        match &self.cause {
            Cause::Told { code, message, .. } => meaning(code, message).0,
            Cause::Unreached(_) => Fate::NotDone,
            Cause::Silent { status } if !is_passing(*status) => Fate::Refused,
            Cause::Silent { .. } | Cause::Broken(_) | Cause::Spoiled(_) => Fate::Unknown,
            // The service was not asked, or the answer is there and cannot be held.
            Cause::Unsafe(_) | Cause::Moved(_) => Fate::Refused,
            Cause::TooLarge { .. } => match self.operation.effect {
                Effect::Read => Fate::Refused,
                Effect::Control | Effect::Rows => Fate::Unknown,
            },
        }
    }

    /// A write that may or may not have been done.
    pub fn is_ambiguous(&self) -> bool {
        self.operation.effect != Effect::Read && self.fate() == Fate::Unknown
    }

    /// With what was tried: `failure.at("reading the table")`.
    pub fn at(&self, what: impl fmt::Display) -> Error {
        let (kind, hint) = self.next();
        let error = Error::new(kind, format!("{what}: {self}"));
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    /// What should happen next, and what a person could type.
    fn next(&self) -> (ErrorKind, Option<String>) {
        let told = |kind, hint: &str| (kind, Some(hint.to_owned()));
        match &self.cause {
            Cause::Told { code, .. } if &**code == code::NO_SUCH && self.operation.is_stream() => told(
                ErrorKind::Lost,
                "the stream was switched off, or the table made anew: a new copy of the table is needed",
            ),
            Cause::Told { code, message, action, .. } => {
                let (_, kind, hint) = meaning(code, message);
                let is_row = self.operation.effect == Effect::Rows;
                let kind = match kind {
                    // Of a table it is what a person asked for, of a row what the row holds.
                    ErrorKind::Refused if !is_row => ErrorKind::Config,
                    kind => kind,
                };
                let granted = action.as_ref().map(|action| format!("grant the account `{action}` in RAM"));
                (kind, granted.or(hint.map(str::to_owned)))
            }
            Cause::Silent { status } if is_passing(*status) => (ErrorKind::Transient, None),
            Cause::Silent { .. } => told(
                ErrorKind::Config,
                "something that is not Tablestore answered: look at the host and the port in the store's URL",
            ),
            Cause::Broken(why) if why.is_timeout() => {
                told(ErrorKind::Transient, "where the link is slow, set the store's option `answer_timeout_ms` higher")
            }
            Cause::Unreached(_) | Cause::Broken(_) | Cause::Spoiled(_) => (ErrorKind::Transient, None),
            Cause::Unsafe(_) => told(
                ErrorKind::Config,
                "set the store's option `ca` to the file of the authority that signed the endpoint's certificate",
            ),
            Cause::Moved(to) => (ErrorKind::Config, Some(format!("write the new endpoint in the store's URL: {to}"))),
            Cause::TooLarge { .. } => told(
                ErrorKind::Refused,
                "set the store's option `max_row_bytes` (and the job's `apply.max_row_bytes`) higher, or leave the \
                 table out",
            ),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.operation.path)?;
        match &self.cause {
            Cause::Told { code, message, .. } if message.is_empty() => write!(f, "{code}")?,
            Cause::Told { code, message, .. } => write!(f, "{code}, {message}")?,
            Cause::Silent { status } => write!(f, "HTTP {status} without a word of the service")?,
            Cause::Unreached(why) => write!(f, "no connection{}", Causes(why))?,
            Cause::Unsafe(why) => write!(f, "no safe connection{}", Causes(why))?,
            Cause::Broken(why) if why.is_timeout() => f.write_str("no answer in time")?,
            Cause::Broken(why) => write!(f, "the connection broke{}", Causes(why))?,
            Cause::Moved(to) => write!(f, "the endpoint has moved to {to}")?,
            Cause::Spoiled(what) => write!(f, "the answer cannot be trusted: {what}")?,
            Cause::TooLarge { limit } => write!(f, "the answer is larger than {limit} bytes")?,
        }
        if self.is_ambiguous() {
            f.write_str("; it may have been done")?;
        }
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

/// The library's own text says the URL only; what went wrong is underneath.
struct Causes<'a>(&'a reqwest::Error);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cause = std::error::Error::source(self.0);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Where no code tells more: a service that goes down, a proxy that is too busy.
fn is_passing(status: u16) -> bool {
    status >= 500 || matches!(status, 408 | 429)
}

/// By the union of the official clients' lists. A kind is that of a write of rows.
fn meaning(code: &str, message: &str) -> (Fate, ErrorKind, Option<&'static str>) {
    use ErrorKind::{Config, Lost, Refused, Transient};
    match code {
        "OTSRowOperationConflict"
        | "OTSNotEnoughCapacityUnit"
        | code::TABLE_NOT_READY
        | "OTSPartitionUnavailable"
        | "OTSServerBusy"
        | "OTSStorageServerBusy"
        | "OTSOperationThrottled"
        | "OTSOperationConflict" => (Fate::NotDone, Transient, None),
        "OTSQuotaExhausted" if message == "Too frequent table operations." => (Fate::NotDone, Transient, None),
        "OTSQuotaExhausted" => {
            (Fate::Refused, Config, Some("the instance's quota is used up: have it raised, or delete what is not used"))
        }
        code::AUTH_FAILED => (
            Fate::Refused,
            Config,
            Some("look at `access_key_id`, `secrets.access_key_secret`, `secrets.sts_token`, and the machine's clock"),
        ),
        "OTSNoPermissionAccess" | "OTSPermissionDenied" => {
            (Fate::Refused, Config, Some("give the account the right to this operation in RAM"))
        }
        code::NO_SUCH => {
            (Fate::Refused, Config, Some("look at the instance in the store's URL and at the table's name"))
        }
        code::EXISTS | code::TUNNEL_EXISTS => {
            (Fate::Refused, Config, Some("there is one of that name: delete it, or choose another name"))
        }
        "OTSUnsupportOperation" => (Fate::Refused, Config, Some("the instance's type does not have this operation")),
        "OTSParameterInvalid"
        | "OTSInvalidPK"
        | "OTSOutOfColumnCountLimit"
        | "OTSOutOfRowSizeLimit"
        | "OTSRequestBodyTooLarge"
        | code::CONDITION => (Fate::Refused, Refused, None),
        code::TRIMMED | code::TUNNEL_EXPIRED => {
            (Fate::Refused, Lost, Some("the log was not kept for that long: a new copy of the table is needed"))
        }
        code::RESOURCE_GONE | code::SEQUENCE => {
            (Fate::Refused, Transient, Some("another reader may be on this tunnel: give each job a tunnel of its own"))
        }
        // OTSTimeout, OTSInternalServerError, OTSServerUnavailable, OTSTunnelServerUnavailable, OTSRequestTimeout, and
        // those that came later.
        _ => (Fate::Unknown, Transient, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::tablestore::operation::{BATCH_WRITE_ROW, CREATE_TABLE, GET_RANGE, GET_STREAM_RECORD};

    fn told(operation: Operation, code: &str, message: &str) -> Failure {
        let error = error::Error { code: Some(code.into()), message: Some(message.into()), access_denied: None };
        Failure::told(operation, error)
    }

    #[test]
    fn a_code_decides() {
        assert_eq!(told(BATCH_WRITE_ROW, "OTSServerBusy", "").fate(), Fate::NotDone);
        assert_eq!(told(BATCH_WRITE_ROW, "OTSTimeout", "").fate(), Fate::Unknown);
        assert_eq!(told(BATCH_WRITE_ROW, "OTSInvalidPK", "").fate(), Fate::Refused);
    }

    #[test]
    fn a_quota_passes_only_where_the_service_was_asked_too_often() {
        let often = told(CREATE_TABLE, "OTSQuotaExhausted", "Too frequent table operations.");
        assert_eq!((often.fate(), often.at("x").kind()), (Fate::NotDone, ErrorKind::Transient));
        let full = told(CREATE_TABLE, "OTSQuotaExhausted", "Number of tables exceeded the quota.");
        assert_eq!((full.fate(), full.at("x").kind()), (Fate::Refused, ErrorKind::Config));
    }

    #[test]
    fn what_should_happen_next() {
        let kind = |operation, code| told(operation, code, "no").at("trying").kind();
        assert_eq!(kind(BATCH_WRITE_ROW, "OTSParameterInvalid"), ErrorKind::Refused);
        assert_eq!(kind(CREATE_TABLE, "OTSParameterInvalid"), ErrorKind::Config);
        assert_eq!(kind(GET_STREAM_RECORD, code::TRIMMED), ErrorKind::Lost);
        assert_eq!(kind(GET_STREAM_RECORD, code::NO_SUCH), ErrorKind::Lost);
        assert_eq!(kind(GET_RANGE, code::NO_SUCH), ErrorKind::Config);
        assert_eq!(kind(GET_RANGE, code::AUTH_FAILED), ErrorKind::Config);
        assert_eq!(kind(GET_RANGE, code::RESOURCE_GONE), ErrorKind::Transient);
        assert_eq!(kind(GET_RANGE, "OTSSomethingNew"), ErrorKind::Transient);
        let told = told(GET_RANGE, code::AUTH_FAILED, "Signature mismatch.").at("reading table `t`");
        assert_eq!(told.to_string(), "reading table `t`: GetRange: OTSAuthFailed, Signature mismatch.");
        assert!(told.hint_text().is_some());
    }

    #[test]
    fn the_right_that_lacks_is_named() {
        let denied = error::AccessDenied { auth_action: "ots:PutRow".into(), ..error::AccessDenied::default() };
        let error =
            error::Error { code: Some("OTSNoPermissionAccess".into()), message: None, access_denied: Some(denied) };
        let error = Failure::told(BATCH_WRITE_ROW, error).at("writing");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.hint_text().is_some_and(|hint| hint.contains("`ots:PutRow`")));
    }

    #[test]
    fn a_write_without_a_sure_answer_is_ambiguous_and_a_read_is_not() {
        let silent = |operation, status| Failure::new(operation, Cause::Silent { status });
        assert!(silent(BATCH_WRITE_ROW, 503).is_ambiguous());
        assert!(silent(BATCH_WRITE_ROW, 503).to_string().ends_with("it may have been done"));
        assert!(!silent(BATCH_WRITE_ROW, 404).is_ambiguous());
        assert!(!silent(GET_RANGE, 503).is_ambiguous());
        assert!(Failure::spoiled(BATCH_WRITE_ROW, "a sum").is_ambiguous());
        assert_eq!(silent(GET_RANGE, 404).at("x").kind(), ErrorKind::Config);
    }
}
