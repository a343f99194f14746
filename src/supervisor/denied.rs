//! Why a verb was not done, for programs (a reason) and for people (an error with a hint).

use crate::error::Error;

/// The verb changed nothing.
#[derive(Debug)]
pub struct Denied {
    pub reason: Reason,
    pub error: Error,
    /// Each thing to mend, and what it is about; empty where the error is the one thing.
    pub violations: Vec<(String, String)>,
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
    /// What cannot be changed any more once a job was started.
    JobStarted,
    TooManyJobs,
    /// A store of the job cannot be used as the config names it.
    StoreUnusable,
    /// A store does not answer now.
    StoreUnavailable,
    /// A kind of store whose connector brings no fixture for the battery.
    StoreNotCertifiable,
    /// Another battery runs.
    CertifyRunning,
    /// The config file cannot be taken as it is.
    ConfigUnusable,
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
            Reason::JobStarted => "JOB_STARTED",
            Reason::TooManyJobs => "TOO_MANY_JOBS",
            Reason::StoreUnusable => "STORE_UNUSABLE",
            Reason::StoreUnavailable => "STORE_UNAVAILABLE",
            Reason::StoreNotCertifiable => "STORE_NOT_CERTIFIABLE",
            Reason::CertifyRunning => "CERTIFY_RUNNING",
            Reason::ConfigUnusable => "CONFIG_UNUSABLE",
            Reason::StateFailed => "STATE_FAILED",
        }
    }

    pub fn deny<T>(self, error: Error) -> Answer<T> {
        Err(Denied::new(self, error))
    }

    /// For `map_err`.
    pub fn because(self) -> impl Fn(Error) -> Denied {
        move |error| Denied::new(self, error)
    }
}

impl Denied {
    pub fn new(reason: Reason, error: Error) -> Denied {
        Denied { reason, error, violations: Vec::new() }
    }
}

/// An error of a store: either it does not answer, or a person must change something.
pub fn of_store(error: Error) -> Denied {
    let reason = if error.is_transient() { Reason::StoreUnavailable } else { Reason::StoreUnusable };
    Denied::new(reason, error)
}
