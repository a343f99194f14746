//! What a job that stands still holds of its source's log: asked now and then, for nobody else looks while it rests.

use super::{Shared, job::Job, stores::answered};
use crate::{error::Result, source::Backlog, state::JobRecord};
use std::{convert::Infallible, time::Duration};

/// A log grows on its disk in hours. Each look opens the source anew, so that what rests keeps nothing open.
const EVERY: Duration = Duration::from_secs(60);

/// For ever. What cannot be measured is not known, and shown so (invariant 9).
pub async fn measure(job: &Job, shared: &Shared, record: &JobRecord) -> Infallible {
    loop {
        // Never closed. A few at a time, so that a daemon with many jobs at rest starts as fast as any.
        let one = shared.looking.acquire().await;
        let held = held(shared, record).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "what the job holds of its source's log is not known");
            None
        });
        job.status.send_if_modified(|status| std::mem::replace(&mut status.held, held) != held);
        drop(one);
        tokio::time::sleep(EVERY).await;
    }
}

/// Everything after the least advanced target. `None`: nothing was ever reserved.
async fn held(shared: &Shared, record: &JobRecord) -> Result<Option<Backlog>> {
    let Some(begun) = &record.begun else { return Ok(None) };
    let name = &record.spec.source.store;
    let source = shared.stores.open(name).map_err(|denied| denied.error)?.source()?;
    let mut held: Option<Backlog> = None;
    for target in &record.spec.targets {
        let progress = shared.state.progress(record.id, &target.store).await?.unwrap_or_default();
        let at = if progress.checkpoint.is_empty() { begun } else { &progress.checkpoint };
        let behind = answered(name, source.backlog(record.id, at)).await?;
        held = held.into_iter().chain([behind]).max_by_key(Backlog::weight);
    }
    Ok(held)
}
