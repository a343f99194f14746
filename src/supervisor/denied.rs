//! Why a verb was not done, for programs (a reason) and for people (an error with a hint).

use crate::error::Error;

/// The verb changed nothing.
#[derive(Debug)]
pub struct Denied {
    pub reason: Reason,
    pub error: Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    JobNotFound,
    StoreNotFound,
    /// A job of that name, or another spec under the same request id.
    JobExists,
    InvalidArgument,
    /// Somebody changed the job since the caller read it.
    EtagMismatch,
    /// The job is being deleted.
    JobDeleting,
    /// A store of the job cannot be used as the config names it.
    StoreUnusable,
    /// A store does not answer now.
    StoreUnavailable,
    /// The daemon's own keeping failed.
    StateFailed,
}

pub type Answer<T> = Result<T, Denied>;

impl Reason {
    /// As `google.rpc.ErrorInfo.reason` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Reason::JobNotFound => "JOB_NOT_FOUND",
            Reason::StoreNotFound => "STORE_NOT_FOUND",
            Reason::JobExists => "JOB_EXISTS",
            Reason::InvalidArgument => "INVALID_ARGUMENT",
            Reason::EtagMismatch => "ETAG_MISMATCH",
            Reason::JobDeleting => "JOB_DELETING",
            Reason::StoreUnusable => "STORE_UNUSABLE",
            Reason::StoreUnavailable => "STORE_UNAVAILABLE",
            Reason::StateFailed => "STATE_FAILED",
        }
    }

    pub fn deny<T>(self, error: Error) -> Answer<T> {
        Err(Denied { reason: self, error })
    }

    /// For `map_err`.
    pub fn because(self) -> impl Fn(Error) -> Denied {
        move |error| Denied { reason: self, error }
    }
}

/// An error of a store: either it does not answer, or a person must change something.
pub fn of_store(error: Error) -> Denied {
    let reason = if error.is_transient() { Reason::StoreUnavailable } else { Reason::StoreUnusable };
    Denied { reason, error }
}
