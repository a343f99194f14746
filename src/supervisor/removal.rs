//! Removes what a job made in its stores, tried until it is done.

use super::{Shared, audit, history::DAEMON, job::Job, stores::answered};
use crate::{
    error::{Error, Result},
    pipeline::{retry::Backoff, status::Observed, stopped},
    state::JobRecord,
};
use std::{collections::BTreeMap, sync::Arc};
use tokio_util::sync::CancellationToken;

/// What a deletion leaves alone, and does not ask: stores that are gone for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    pub source: bool,
    pub targets: bool,
}

/// Returns when the job is gone or the daemon stops. One that has never run needs none of its stores.
pub async fn remove(job: &Job, shared: &Shared, has_run: bool, stop: &CancellationToken) {
    let mut records = job.record.subscribe();
    let mut backoff = Backoff::default();
    job.status.send_modify(|status| {
        (status.observed, status.error) = (Observed::Deleting, None);
        status.targets.values_mut().for_each(|target| target.observed = Observed::Deleting);
    });
    loop {
        // Looked at each time: a later call may say that the source is to be left alone.
        let record = Arc::clone(&records.borrow_and_update());
        let done = tokio::select! {
            biased;
            // As after a crash: the next daemon goes on with it.
            () = stop.cancelled() => return,
            done = attempt(shared, &record, has_run) => done,
        };
        let Err(error) = done else { break };
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

/// Asks each store, whatever the others say: one that is gone for good holds nobody else's tables.
async fn forget(shared: &Shared, record: &JobRecord) -> Result<()> {
    let open = |name: &str| shared.stores.open(name).map_err(|denied| denied.error);
    // As saved: what the run noted last may not be in `record`. No target was opened before that.
    let saved = shared.state.change_job(record.id, Box::new(|_| ())).await?;
    let has_begun = saved.is_some_and(|saved| saved.begun.is_some());
    let mut all = Ok(());
    let source = &record.spec.source.store;
    match record.keep_source_objects {
        true => stays(source),
        false => {
            let done = async { answered(source, open(source)?.source()?.release(record.id)).await };
            all = done.await.map_err(|error| way_out(error, record, "--keep-source-objects"));
        }
    }
    for name in record.spec.targets.iter().map(|target| &target.store) {
        match record.keep_target_objects {
            true => stays(name),
            // Nothing is there, unless the state is older than the target.
            false if !has_begun => {
                if let Err(error) = async { answered(name, open(name)?.target()?.forget(record.id)).await }.await {
                    tracing::warn!(%error, "a target that the job has not opened was not asked");
                }
            }
            false => {
                let done = async { answered(name, open(name)?.target()?.forget(record.id)).await };
                all = all.and(done.await.map_err(|error| way_out(error, record, "--keep-target-objects")));
            }
        }
    }
    all
}

fn way_out(error: Error, record: &JobRecord, flag: &str) -> Error {
    let given = [
        ("--keep-source-objects ", record.keep_source_objects),
        ("--keep-target-objects ", record.keep_target_objects),
    ];
    let given: String = given.into_iter().filter(|(_, is_given)| *is_given).map(|(flag, _)| flag).collect();
    let out = format!("if it is gone for good: `whimbrel job delete {} --yes {given}{flag}`", record.spec.name);
    let hint = error.hint_text().map_or_else(|| out.clone(), |hint| format!("{hint}; {out}"));
    error.hint(hint)
}

fn stays(store: &str) {
    tracing::warn!(store, "what the job made there stays: `whimbrel store leftovers`");
}
