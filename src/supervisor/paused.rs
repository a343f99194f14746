//! A paused job: what it holds of the source's log, and the end of its pause.

use super::{Shared, audit, denied::Answer, history::DAEMON, job::Job, stores::answered};
use crate::{
    error::Result,
    pipeline::{now_ms, retry::Backoff},
    source::Backlog,
    state::{Desired, JobRecord},
};
use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often the source is asked how much of its log the job holds. Also bounds how long a step of the clock goes
/// unnoticed.
const LOOKS_EVERY: Duration = Duration::from_secs(30);

/// Returns when the record has changed or the daemon stops. A pause that is over changes the record itself.
pub async fn stay(
    job: &Job,
    shared: &Shared,
    record: &Arc<JobRecord>,
    records: &mut watch::Receiver<Arc<JobRecord>>,
    stop: &CancellationToken,
) {
    let mut backoff = Backoff::default();
    let live = async {
        loop {
            if record.resume_ms.is_some_and(|resume_ms| resume_ms <= now_ms()) {
                match resume(job, shared, record).await {
                    Ok(()) => return,
                    Err(denied) => tracing::error!("not resumed yet: {}", denied.error),
                }
                if !backoff.wait(stop).await {
                    return;
                }
                continue;
            }
            let left = record.resume_ms.map(|resume_ms| Duration::from_millis(resume_ms.saturating_sub(now_ms())));
            // A source that hangs must not hold the end of the pause.
            tokio::select! {
                never = look(job, shared, record) => match never {},
                () = tokio::time::sleep(left.unwrap_or(LOOKS_EVERY).min(LOOKS_EVERY)) => {}
            }
        }
    };
    tokio::select! {
        () = live => {}
        _ = records.changed() => {}
        () = stop.cancelled() => {}
    }
}

/// Runs it again, unless somebody was faster. What had failed before the pause is failed after it.
async fn resume(job: &Job, shared: &Shared, paused: &JobRecord) -> Answer<()> {
    let resume_ms = paused.resume_ms;
    let change = move |record: &mut JobRecord| {
        if record.desired == Desired::Pause && record.resume_ms == resume_ms {
            (record.desired, record.resume_ms) = (Desired::Run, None);
        }
    };
    let view = job.change(&*shared.state, |_| Ok(()), change).await?;
    if view.record.desired == Desired::Run {
        tracing::info!("the longest pause is over: the job runs again");
        audit(shared, Some(&view), DAEMON, "resume", BTreeMap::new()).await;
    }
    Ok(())
}

/// Asks the source once what the job holds: what it was when the job ran last is not what it is now.
async fn look(job: &Job, shared: &Shared, record: &JobRecord) -> Infallible {
    // Closed never; a few at a time, so that a daemon with many paused jobs starts as fast as any.
    let one = shared.looking.acquire().await;
    let held = held(shared, record).await.ok().flatten();
    job.status.send_if_modified(|status| std::mem::replace(&mut status.held, held) != held);
    drop(one);
    std::future::pending().await
}

/// What lies behind its least advanced target. `None`: it has reserved nothing yet.
async fn held(shared: &Shared, record: &JobRecord) -> Result<Option<Backlog>> {
    let Some(begun) = &record.begun else { return Ok(None) };
    let name = &record.spec.source.store;
    let source = shared.stores.open(name).map_err(|denied| denied.error)?.source()?;
    let mut held: Option<Backlog> = None;
    for target in &record.spec.targets {
        let progress = shared.state.progress(record.id, &target.store).await?.unwrap_or_default();
        let at = if progress.checkpoint.0.is_empty() { begun } else { &progress.checkpoint };
        let behind = answered(name, source.backlog(record.id, at)).await?;
        held = held.into_iter().chain([behind]).max_by_key(|one| one.changes);
    }
    Ok(held)
}
