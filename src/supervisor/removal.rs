//! Removes what a job made in its stores, tried until it is done.

use super::{Shared, audit, history::DAEMON, job::Job, stores::answered};
use crate::{
    error::Result,
    pipeline::{retry::Backoff, status::Observed, stopped},
    state::JobRecord,
};
use std::{collections::BTreeMap, sync::Arc};
use tokio_util::sync::CancellationToken;

/// Returns when the job is gone or the daemon stops. One that has never run needs none of its stores.
pub async fn remove(job: &Job, shared: &Shared, has_run: bool, stop: &CancellationToken) {
    let mut records = job.record.subscribe();
    let mut backoff = Backoff::default();
    job.status.send_modify(|status| {
        status.observed = Observed::Deleting;
        status.targets.values_mut().for_each(|target| target.observed = Observed::Deleting);
    });
    loop {
        // Looked at each time: a later call may say that the source is to be left alone.
        let record = Arc::clone(&records.borrow_and_update());
        let Err(error) = attempt(shared, &record, has_run).await else { break };
        tracing::warn!(hint = error.hint_text(), "not deleted yet: {error}");
        job.status.send_modify(|status| status.error = Some(stopped(&error)));
        tokio::select! {
            goes_on = backoff.wait(stop) => if !goes_on {
                return;
            },
            _ = records.changed() => {}
        }
    }
    shared.jobs.lock().retain(|_, other| other.id != job.id);
    tracing::info!("job deleted");
    audit(shared, Some(&job.view()), DAEMON, "deleted", BTreeMap::new()).await;
}

/// The record goes last: as long as anything is left, somebody knows of it.
async fn attempt(shared: &Shared, record: &JobRecord, has_run: bool) -> Result<()> {
    if has_run {
        forget(shared, record).await?;
    }
    shared.state.delete_job(record.id).await
}

async fn forget(shared: &Shared, record: &JobRecord) -> Result<()> {
    let open = |name: &str| shared.stores.open(name).map_err(|denied| denied.error);
    let source = &record.spec.source.store;
    if record.keep_source_objects {
        tracing::warn!(
            job = record.spec.name,
            store = source,
            "what the job made at its source stays: `whimbrel store leftovers`"
        );
    } else {
        answered(source, open(source)?.source()?.release(record.id)).await?;
    }
    for target in &record.spec.targets {
        let name = &target.store;
        answered(name, open(name)?.target()?.forget(record.id)).await?;
    }
    Ok(())
}
