//! A paused job: what it holds of the source's log, and the end of its pause.

use super::{Shared, audit, denied::Answer, history::DAEMON, job::Job, resting};
use crate::{
    pipeline::{now_ms, retry::Backoff},
    state::{Desired, JobRecord},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
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
                never = resting::measure(job, shared, record) => match never {},
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
