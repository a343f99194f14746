//! The task of one job: does what the saved record asks for, from now until the job is gone.
//!
//! It looks at nothing but the record, so a restart of the daemon is no special case: what ran runs again, what failed
//! still shows why, what was being deleted is deleted on.

use super::{
    Shared,
    job::{Job, new_etag},
    others, paused, removal, resting,
};
use crate::{
    error::{Error, ErrorKind, Result},
    pipeline::{
        self, JobRun, TargetRun,
        retry::Backoff,
        status::{JobStatus, Observed, TableStatus},
        stopped,
    },
    state::{Desired, JobRecord, Stopped},
    telemetry::turns,
};
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::{task::JoinError, time::Instant};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument;

/// A run that does not end by itself is dropped after this; the lane protocol makes that as good as a crash.
const STOPS_WITHIN: Duration = Duration::from_secs(10);

/// A run that lasted so long was no failure from the start.
const WORKED: Duration = Duration::from_secs(60);

/// The same for a run that may be reserving the log.
const BEGINS_WITHIN: Duration = Duration::from_secs(120);

/// Until the job is gone or the daemon stops.
pub async fn keep(job: Arc<Job>, shared: Arc<Shared>, stop: CancellationToken) {
    let mut records = job.record.subscribe();
    let mut backoff = Backoff::default();
    // Whether anything was ever made in its stores. Nothing goes back to `Created`, and only this task runs the job.
    let mut has_run = records.borrow().desired != Desired::Created;
    while !stop.is_cancelled() {
        let record = Arc::clone(&records.borrow_and_update());
        let began = Instant::now();
        has_run |= record.desired == Desired::Run;
        match record.desired {
            Desired::Delete => return removal::remove(&job, &shared, has_run, &stop).await,
            Desired::Run if record.stopped.is_none() => match run(&job, &shared, &record, &stop).await {
                Ok(Ended::Again) => continue,
                Ok(Ended::Asked) => {}
                Err(error) if error.is_transient() => {
                    tracing::warn!(hint = error.hint_text(), %error, "the job's run failed; trying again");
                    if began.elapsed() > WORKED {
                        backoff.succeeded();
                    }
                    job.status.send_modify(|status| status.errors.count(error.kind()));
                    rest(&job, Observed::Stalled, Some(stopped(&error)));
                    tokio::select! {
                        _ = backoff.wait(&stop) => continue,
                        _ = records.changed() => continue,
                    }
                }
                Err(error) => fail(&job, &shared, &error).await,
            },
            Desired::Run => {
                let lost = record.stopped.as_ref().is_some_and(|stopped| stopped.kind == ErrorKind::Lost);
                rest(&job, if lost { Observed::Lost } else { Observed::Failed }, record.stopped.clone());
            }
            Desired::Pause => {
                rest(&job, Observed::Paused, record.stopped.clone());
                paused::stay(&job, &shared, &record, &mut records, &stop).await;
                continue;
            }
            Desired::Created => rest(&job, Observed::Created, None),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            _ = records.changed() => {}
            never = resting::measure(&job, &shared, &record) => match never {},
        }
    }
}

enum Ended {
    /// Because the record or the daemon said so.
    Asked,
    /// To be run again at once.
    Again,
}

async fn run(job: &Job, shared: &Arc<Shared>, record: &JobRecord, stop: &CancellationToken) -> Result<Ended> {
    job.status.send_modify(|status| {
        status.targets.retain(|name, _| record.spec.targets.iter().any(|target| target.store == *name));
        status.observed = Observed::Preparing;
        status.error = None;
    });
    let run = prepare(job, shared, record)?;
    match record.begun {
        None => tracing::info!("the job begins"),
        Some(_) => tracing::info!("the job goes on from what it saved"),
    }
    let stop_run = stop.child_token();
    // A task of its own: a panic in it ends there.
    let running = pipeline::run(run, stop_run.clone());
    // Never two of them: what watches over it may die as well.
    let _ends_with_us = stop_run.clone().drop_guard();
    let mut task = AbortOnDropHandle::new(tokio::spawn(turns::inherit("the run of a job", running).in_current_span()));
    let mut records = job.record.subscribe();
    let ended = tokio::select! {
        ended = &mut task => {
            let name = &record.spec.name;
            flatten(ended, name)?;
            if stop.is_cancelled() {
                return Ok(Ended::Asked);
            }
            return Err(Error::config("the job's run ended by itself")
                .hint(format!("everything applied is saved; type `whimbrel job start {name}` and report it")));
        }
        _ = records.wait_for(|record| record.desired != Desired::Run) => Ended::Asked,
        () = job.again.notified() => Ended::Again,
        () = stop.cancelled() => Ended::Asked,
    };
    stop_run.cancel();
    // What a source is making for the job must not come after what removes it.
    let patience = if record.begun.is_some() { STOPS_WITHIN } else { BEGINS_WITHIN };
    let stopped = tokio::time::timeout(patience, &mut task).await;
    job.refresh(&*shared.state).await;
    match stopped {
        Ok(result) => match flatten(result, &record.spec.name) {
            Ok(()) => tracing::info!("the job stopped, with all that is applied saved"),
            Err(error) => tracing::warn!(%error, "the job failed while it was stopping"),
        },
        Err(_) => {
            tracing::warn!("the job did not stop in time and was cut off");
            task.abort();
        }
    }
    Ok(ended)
}

fn prepare(job: &Job, shared: &Arc<Shared>, record: &JobRecord) -> Result<JobRun> {
    let open = |name: &str| {
        shared.stores.open(name).map_err(|denied| match record.begun {
            // What has run goes on by itself, as soon as the file of a secret is there again.
            Some(_) if !denied.error.is_transient() => {
                let hint = denied.error.hint_text().unwrap_or_default().to_owned();
                Error::transient("a store cannot be opened").because(denied.error).hint(hint)
            }
            _ => denied.error,
        })
    };
    let at = |name: &str, error: Error| error.at(format!("store `{name}`"));
    let source = &record.spec.source.store;
    let mut targets = Vec::new();
    for target in &record.spec.targets {
        let name = &target.store;
        let store = open(name)?;
        targets.push(TargetRun {
            name: name.clone(),
            target: store.target().map_err(|error| at(name, error))?,
            reader: store.source().map_err(|error| at(name, error))?,
        });
    }
    Ok(JobRun {
        record: record.clone(),
        source: open(source)?.source().map_err(|error| at(source, error))?,
        targets,
        state: Arc::clone(&shared.state),
        token: shared.token,
        limits: job.limits.subscribe(),
        status: Arc::clone(&job.status),
        retain_after_apply: shared.retain_after_apply,
        budget: shared.budget.clone(),
        others: {
            let shared = Arc::clone(shared);
            Arc::new(move || others::others(&shared))
        },
    })
}

fn flatten(ended: Result<Result<()>, JoinError>, name: &str) -> Result<()> {
    let Err(died) = ended else { return ended.expect("just looked") };
    let said = match died.try_into_panic() {
        Ok(panic) => panic_text(&panic),
        Err(died) => died.to_string(),
    };
    Err(Error::config(format!("the job's run panicked: {said}")).hint(format!(
        "this is a bug: report it with the log. Everything applied is saved; `whimbrel job start {name}` goes on"
    )))
}

fn panic_text(panic: &Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".into())
}

/// Saves why it stopped, so that it is shown after a restart too.
async fn fail(job: &Job, shared: &Shared, error: &Error) {
    let stopped = stopped(error);
    tracing::error!(hint = error.hint_text(), %error, "the job stopped");
    job.status.send_modify(|status| status.errors.count(error.kind()));
    let saved = stopped.clone();
    let change = job.change(&*shared.state, |_| Ok(()), move |record| record.stopped = Some(saved));
    if let Err(denied) = change.await {
        tracing::error!(error = %denied.error, "why the job stopped could not be saved");
        // In memory at least; else it would run against a broken state folder without pause.
        job.record.send_modify(|record| {
            let record = Arc::make_mut(record);
            record.stopped = Some(stopped);
            record.etag = new_etag();
        });
    }
}

/// Shows that nothing runs. What its targets and tables had reached stays in view.
fn rest(job: &Job, observed: Observed, error: Option<Stopped>) {
    let names: Vec<String> = job.record.borrow().spec.targets.iter().map(|target| target.store.clone()).collect();
    job.status.send_modify(|status| {
        // A target that the job no longer has would hold it back for ever.
        status.targets.retain(|name, _| names.contains(name));
        for name in names {
            let target = status.targets.entry(name).or_default();
            if !matches!(target.observed, Observed::Failed | Observed::Lost) || observed == Observed::Paused {
                target.observed = observed;
            }
            target.changes_per_s = 0.0;
            // Nobody looks any more: how far behind it is now is not known.
            (target.lag_ms, target.behind) = (None, None);
            target.tables.values_mut().for_each(|table| (table.rows_per_s, table.eta_s) = (0.0, None));
            let follows = |table: &&mut TableStatus| table.observed > Observed::Preparing;
            target.tables.values_mut().filter(follows).for_each(|table| table.observed = target.observed);
        }
        status.observed = observed;
        status.error = error;
    });
}

/// What is known of a job before its task has looked at it.
pub fn first_status(record: &JobRecord) -> JobStatus {
    let observed = match (record.desired, &record.stopped) {
        (Desired::Created, _) => Observed::Created,
        (Desired::Delete, _) => Observed::Deleting,
        (Desired::Pause, _) => Observed::Paused,
        (Desired::Run, None) => Observed::Preparing,
        (Desired::Run, Some(stopped)) if stopped.kind == ErrorKind::Lost => Observed::Lost,
        (Desired::Run, Some(_)) => Observed::Failed,
    };
    JobStatus { observed, error: record.stopped.clone(), ..JobStatus::default() }
}

/// Watches over the watcher: a panic in `keep` itself is shown, never silence.
pub async fn keep_visibly(job: Arc<Job>, shared: Arc<Shared>, stop: CancellationToken) {
    let mut records = job.record.subscribe();
    loop {
        let kept = keep(Arc::clone(&job), Arc::clone(&shared), stop.clone());
        let Err(panic) = futures_util::FutureExt::catch_unwind(AssertUnwindSafe(kept)).await else { return };
        let error = Error::config(format!("the job's keeper panicked: {}", panic_text(&panic)))
            .hint("this is a bug: report it with the log. The next change of the job, or a restart, runs it again");
        tracing::error!(hint = error.hint_text(), "{error}");
        rest(&job, Observed::Failed, Some(stopped(&error)));
        records.mark_unchanged();
        tokio::select! {
            () = stop.cancelled() => return,
            changed = records.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_an_error_with_a_hint() {
        let died = tokio::spawn(async { panic!("row {}", 7) }).await;
        let error = flatten(died, "orders").expect_err("it died");
        assert!(error.to_string().contains("row 7"), "{error}");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("whimbrel job start orders")));
    }
}
