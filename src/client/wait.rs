//! Waiting for a job to come somewhere, with a deadline, over restarts of the daemon.

use super::{Answer, Client, Code, DesiredState, Failure, Job, ObservedState};
use futures_util::StreamExt;
use std::{fmt, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

/// Between two looks for a daemon that is not there.
const LOOKS_EVERY: Duration = Duration::from_millis(500);

/// How the audit trail says that a job is to go, and that it is gone.
const DELETED: [&str; 2] = ["delete", "deleted"];
/// Entries of a job that are looked through for it: they are its last ones.
const TRAIL: usize = 1000;

/// Where a job shall come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// It is seen in this state; on the way from `Preparing` to `Streaming`, in this or a later one.
    State(ObservedState),
    /// It is streaming, and no target is further behind.
    Lag(Duration),
}

impl Goal {
    fn is_met(self, job: &Job) -> bool {
        let status = job.status.clone().unwrap_or_default();
        let observed = status.observed_state();
        match self {
            Goal::State(wanted) => {
                let on_the_way = ObservedState::Preparing as i32..=ObservedState::Streaming as i32;
                let is_past = on_the_way.contains(&(wanted as i32)) && on_the_way.contains(&(observed as i32));
                observed == wanted || (is_past && observed as i32 > wanted as i32)
            }
            Goal::Lag(most) => {
                let lag = |target: &super::TargetStatus| target.lag.and_then(|lag| Duration::try_from(lag).ok());
                observed == ObservedState::Streaming
                    && status.targets.iter().all(|target| lag(target).is_some_and(|lag| lag <= most))
            }
        }
    }

    /// What no wait will heal.
    fn is_lost(self, job: &Job) -> Option<Failure> {
        let status = job.status.as_ref()?;
        let (observed, name) = (status.observed_state(), &job.name);
        // One that runs again by itself may still come there.
        let rests = job.desired_state() == DesiredState::Pause && job.resume_time.is_none();
        if rests && self != Goal::State(ObservedState::Paused) {
            return Some(Failure {
                code: Code::FailedPrecondition,
                reason: "JOB_PAUSED".into(),
                text: format!("job `{name}` shall stand still, and will not be {self} by itself"),
                hint: Some(format!("`whimbrel job start {name}` resumes it")),
                violations: Vec::new(),
            });
        }
        let reason = match observed {
            ObservedState::Failed => "JOB_FAILED",
            ObservedState::Lost => "JOB_LOST",
            ObservedState::Deleting => "JOB_DELETING",
            _ => return None,
        };
        let errors = status.targets.iter().filter(|target| target.observed_state == status.observed_state);
        let error = status.error.as_ref().or_else(|| errors.filter_map(|target| target.error.as_ref()).next());
        let why = error.map(|error| format!(": {}", error.text)).unwrap_or_default();
        let hint = error.map(|error| error.hint.clone()).filter(|hint| !hint.is_empty());
        Some(Failure {
            code: Code::FailedPrecondition,
            reason: reason.into(),
            text: format!("job `{name}` is {}{why}", state_name(observed)),
            hint: hint.or_else(|| Some(format!("`whimbrel status {name}` shows more"))),
            violations: Vec::new(),
        })
    }
}

impl Client {
    /// Watches until the goal is met and gives the job as it is then. `FailedPrecondition`: it failed, is lost, is paused
    /// until somebody starts it or is being deleted, so that it will not come there by itself. `DeadlineExceeded`: not
    /// `within` the time. A daemon that goes away meanwhile is waited for.
    pub async fn wait_job(&mut self, name: &str, goal: Goal, within: Duration) -> Answer<Job> {
        let mut last = None;
        let met = timeout_at(Instant::now() + within, self.until(name, goal, &mut last)).await;
        met.unwrap_or_else(|_| Err(timed_out(name, &goal.to_string(), within, last.as_ref())))
    }

    /// Waits until a job that is being deleted is gone. `NotFound`: it is not there, and the trail knows of no deletion.
    pub async fn wait_deleted(&mut self, name: &str, within: Duration) -> Answer<()> {
        let mut last = None;
        let gone = async {
            loop {
                match self.job(name).await {
                    Err(failure) if failure.code == Code::NotFound => {
                        return if last.is_some() || self.was_deleted(name).await? { Ok(()) } else { Err(failure) };
                    }
                    Err(failure) if failure.is_unreachable() => {}
                    Err(failure) => return Err(failure),
                    Ok(job) => last = Some(job),
                }
                sleep(LOOKS_EVERY).await;
            }
        };
        let gone = timeout_at(Instant::now() + within, gone).await;
        gone.unwrap_or_else(|_| Err(timed_out(name, "gone", within, last.as_ref())))
    }

    /// A job that went before anybody looked is told from a name that was never one.
    async fn was_deleted(&mut self, name: &str) -> Answer<bool> {
        let trail = self.history(Some(name), TRAIL).await?;
        Ok(trail.iter().any(|entry| DELETED.contains(&entry.what.as_str())))
    }

    async fn until(&mut self, name: &str, goal: Goal, last: &mut Option<Job>) -> Answer<Job> {
        loop {
            let mut watch = match self.watch_job(name).await {
                Err(failure) if failure.is_unreachable() => {
                    sleep(LOOKS_EVERY).await;
                    continue;
                }
                watch => watch?,
            };
            while let Some(job) = watch.next().await {
                let job = match job {
                    Err(failure) if failure.is_unreachable() => break,
                    job => job?,
                };
                if goal.is_met(&job) {
                    return Ok(job);
                }
                if let Some(failure) = goal.is_lost(&job) {
                    return Err(failure);
                }
                *last = Some(job);
            }
            sleep(LOOKS_EVERY).await;
        }
    }
}

fn timed_out(name: &str, goal: &str, within: Duration, last: Option<&Job>) -> Failure {
    let seen = last.and_then(|job| job.status.as_ref()).map_or("not seen".to_owned(), |status| {
        let why = status.error.as_ref().map(|error| format!(" ({})", error.text)).unwrap_or_default();
        format!("{}{why}", state_name(status.observed_state()))
    });
    Failure {
        code: Code::DeadlineExceeded,
        reason: "WAIT_TIMED_OUT".into(),
        text: format!("job `{name}` is not {goal} after {within:?}: it is {seen}"),
        hint: Some(format!("`whimbrel status {name}` shows what it does; wait longer if it moves")),
        violations: Vec::new(),
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::State(state) => f.write_str(&state_name(*state)),
            Goal::Lag(most) => write!(f, "at a lag of at most {most:?}"),
        }
    }
}

/// As the command line says it: `OBSERVED_STATE_CATCHING_UP` is `catching-up`.
pub fn state_name(state: ObservedState) -> String {
    state.as_str_name().trim_start_matches("OBSERVED_STATE_").to_lowercase().replace('_', "-")
}
