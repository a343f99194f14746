//! The Rust SDK: a typed client of the control API, thin, over the generated code.
//!
//! Everything that `whimbrel` on the command line does, a program does with a [`Client`]. Answers are the API's own
//! messages ([`Job`], [`Store`], …, documented in `proto/`); what a job shall do is a [`JobSpec`], the job file; what
//! was refused is a [`Failure`] with a code, a reason for programs and a hint for people.
//!
//! ```no_run
//! use std::time::Duration;
//! use whimbrel::client::{Client, Failure, Goal, JobSpec};
//!
//! # async fn run() -> Result<(), Failure> {
//! let mut client = Client::connect("127.0.0.1:7411").await?;
//! let spec = JobSpec::new("orders", "shop", &["copy"]);
//! client.create_job(&spec, "").await?;
//! client.start_job("orders").await?;
//! client.wait_job("orders", Goal::Lag(Duration::from_secs(1)), Duration::from_secs(7200)).await?;
//! client.pause_job("orders").max_pause(Duration::from_secs(3600)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! With TLS, a client certificate and a token:
//!
//! ```no_run
//! # async fn run() -> Result<(), whimbrel::client::Failure> {
//! use whimbrel::client::Client;
//!
//! let client = Client::builder("db-tools.example.com:7411")
//!     .ca_certificate("/etc/whimbrel/ca.pem")
//!     .client_certificate("/etc/whimbrel/me.pem", "/etc/whimbrel/me.key")
//!     .token_file("/etc/whimbrel/operate.token")
//!     .connect()
//!     .await?;
//! # Ok(())
//! # }
//! ```

mod connect;
mod door;
mod failure;
mod jobs;
mod plain;
mod stores;
mod verbs;
mod wait;
mod watch;

pub use self::{
    connect::Builder,
    failure::{Answer, Failure},
    plain::Plain,
    verbs::{DeleteJob, PauseJob, SetLimits, StartJob, UpdateJob},
    wait::{Goal, state_name},
    watch::JobWatch,
};
/// The API's messages, as the methods of [`Client`] answer them.
pub use crate::control::v1::{
    CertifyStoreResponse, CheckOutcome, CheckStoreResponse, DesiredState, ErrorKind, Finding, HistoryEntry, Job,
    JobError, JobStatus, Leftover, LimitingSide, ObservedState, PlanJobResponse, PlannedFinding, PlannedLog,
    PlannedTable, PlannedTarget, ReloadStoresResponse, Role, Severity, Side, Store, Table, TableStatus, TargetStatus,
};
/// The job file, as the methods of [`Client`] take it.
pub use crate::model::{JobSpec, Limits};
/// Times in the API's messages.
pub use prost_types::{Duration, Timestamp};
pub use tonic::Code;

use crate::control::v1::{job_service_client::JobServiceClient, store_service_client::StoreServiceClient};
use connect::Line;

/// A connection to a daemon. Cheap to clone; calls of clones run side by side. A connection that broke is made anew by
/// the next call.
#[derive(Clone)]
pub struct Client {
    jobs: JobServiceClient<Line>,
    stores: StoreServiceClient<Line>,
}

impl Client {
    /// To a daemon that asks for neither TLS nor a token. `address`: `127.0.0.1:7411`.
    pub async fn connect(address: &str) -> Answer<Client> {
        Client::builder(address).connect().await
    }

    /// To any daemon.
    pub fn builder(address: &str) -> Builder {
        Builder::new(address)
    }
}
