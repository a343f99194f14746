//! One job's run: `source.begin → copy feeds → tail feed`, each `next → apply → save → acknowledge`.

pub mod status;

use crate::{
    error::Result,
    model::Limits,
    source::Source,
    state::{JobRecord, State},
    target::Target,
};
use status::JobStatus;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Everything a job needs to run. The supervisor makes it; nothing of it is global.
pub struct JobRun {
    pub record: JobRecord,
    pub source: Arc<dyn Source>,
    pub targets: Vec<TargetRun>,
    pub state: Arc<dyn State>,
    /// This daemon's own, random at each start.
    pub token: Uuid,
    pub limits: watch::Receiver<Limits>,
    /// Where the run shows what it sees; one writer.
    pub status: Arc<watch::Sender<JobStatus>>,
}

/// One target of the job.
pub struct TargetRun {
    /// The store's name.
    pub name: String,
    pub target: Arc<dyn Target>,
    /// The same store for reading: sweeps.
    pub reader: Arc<dyn Source>,
}

/// Runs the job until `stop` (then `Ok`, with everything applied saved) or until it needs a person.
/// One target that needs a person does not stop the others; `Err` only when nothing is left to run.
pub async fn run(job: JobRun, stop: CancellationToken) -> Result<()> {
    let _ = (job, stop);
    Ok(())
}
