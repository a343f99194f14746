//! The whole state as one JSON document that a person can read, keep and mend.

use super::{AuditEntry, JobRecord, State};
use crate::{
    error::{Error, Result},
    model::Progress,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const FORMAT: &str = "whimbrel-state";
/// Raised with every change of meaning; an older one stays readable.
const VERSION: u32 = 1;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    format: String,
    version: u32,
    /// The whimbrel that wrote it.
    whimbrel: String,
    pub written_at: jiff::Timestamp,
    pub jobs: Vec<JobDocument>,
    /// Oldest first.
    pub history: Vec<AuditEntry>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobDocument {
    pub job: JobRecord,
    /// Per target store.
    pub progress: BTreeMap<String, Progress>,
}

impl Document {
    pub fn new(jobs: Vec<JobDocument>, history: Vec<AuditEntry>) -> Document {
        Document {
            format: FORMAT.into(),
            version: VERSION,
            whimbrel: env!("CARGO_PKG_VERSION").into(),
            written_at: jiff::Timestamp::now(),
            jobs,
            history,
        }
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain data with text keys")
    }

    pub fn from_json(text: &str) -> Result<Document> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u32,
        }
        let not_ours = |error: serde_json::Error| {
            Error::config("this is not a state document of whimbrel")
                .because(error)
                .hint("give a file that `whimbrel state export` or `whimbrel state rebuild` wrote")
        };
        let head: Head = serde_json::from_str(text).map_err(not_ours)?;
        if head.format != FORMAT || head.version > VERSION {
            return Err(Error::config(format!("a document of format {} version {}", head.format, head.version))
                .hint(format!("this build reads {FORMAT} up to version {VERSION}; import it with a newer whimbrel")));
        }
        serde_json::from_str(text).map_err(not_ours)
    }
}

/// Everything the state knows.
pub async fn export(state: &dyn State) -> Result<Document> {
    let mut jobs = Vec::new();
    for job in state.jobs().await? {
        let mut progress = BTreeMap::new();
        for target in &job.spec.targets {
            if let Some(found) = state.progress(job.id, &target.store).await? {
                progress.insert(target.store.clone(), found);
            }
        }
        jobs.push(JobDocument { job, progress });
    }
    let mut history = state.history(None, usize::MAX).await?;
    history.reverse();
    Ok(Document::new(jobs, history))
}

/// Fills an empty state; never mixes two.
pub async fn import(state: &dyn State, document: &Document) -> Result<()> {
    if !state.jobs().await?.is_empty() {
        return Err(Error::config("the state folder already holds jobs")
            .hint("set `state.dir` to a new folder, import there, and start the daemon with it"));
    }
    for entry in &document.history {
        state.record(entry.clone()).await?;
    }
    for JobDocument { job, progress } in &document.jobs {
        // Progress first: a job without it would be begun anew.
        for (target, progress) in progress {
            state.save_progress(job.id, target, progress).await?;
        }
        state.save_job(job).await?;
    }
    Ok(())
}
