//! Jobs and their tasks: create, start, pause, delete, limit, show, watch. Each job has one task and touches no other.

mod denied;
mod examine;
mod history;
mod job;
mod keeper;
mod others;
mod paused;
mod removal;
mod resting;
mod stores;
mod update;
mod validate;
mod vitals;

pub use self::{
    denied::{Answer, Denied, Reason},
    examine::Certification,
    history::{Entry, TrailPlace},
    job::{JobView, Watch},
    removal::Keep,
    stores::{Reloaded, Stores},
    update::Update,
    vitals::Vitals,
};

use crate::{
    error::{Error, Result},
    model::{JobId, JobSpec, Limits},
    pipeline::{
        Budget, now_ms,
        status::{JobStatus, Observed},
    },
    state::{Desired, JobRecord, State},
    telemetry::turns::Turns,
};
use history::audit;
use job::{Job, gone, new_etag};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;
use uuid::Uuid;

/// All jobs are stopped within this; whoever did not end is cut off.
const STOPS_WITHIN: Duration = Duration::from_secs(15);
/// Jobs in one daemon. Each holds a task and some records; one that runs, up to four connections per store as well.
const JOBS: usize = 10_000;
/// Longer than any sane pause; beyond it nobody remembers the job.
const LONGEST_PAUSE: Duration = Duration::from_secs(365 * 86_400);
/// Looks into stores that callers wait for at the same time.
const ASKS: usize = 8;
/// Plans that are made at the same time.
const PLANS: usize = 2;
const REQUEST_ID_CHARS: usize = 64;

pub struct Supervisor {
    shared: Arc<Shared>,
    /// Names stay unique while a job is being saved.
    creating: tokio::sync::Mutex<()>,
    /// One battery at a time: it is heavy.
    certifying: Arc<tokio::sync::Mutex<()>>,
    /// Looks into stores for callers: each opens a connection.
    asking: tokio::sync::Semaphore,
    /// Plans read and write samples: a few at a time, the others wait.
    planning: tokio::sync::Semaphore,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Whether the jobs' tasks turn.
    turns: Turns,
}

/// What the tasks of the jobs use as well.
struct Shared {
    state: Arc<dyn State>,
    stores: Stores,
    jobs: Mutex<BTreeMap<String, Arc<Job>>>,
    /// This daemon's own: two daemons with the same state are told apart by it.
    token: Uuid,
    retain_after_apply: Duration,
    budget: Budget,
    /// Looks at the sources of paused jobs.
    looking: tokio::sync::Semaphore,
}

/// Each opens a connection for a moment.
const LOOKS: usize = 4;

impl Supervisor {
    /// Takes over what is saved: what ran runs again.
    pub async fn open(
        state: Arc<dyn State>,
        stores: Stores,
        retain_after_apply: Duration,
        budget: Budget,
    ) -> Result<Supervisor> {
        let records = state.jobs().await?;
        let jobs = Mutex::default();
        let (token, looking) = (Uuid::new_v4(), tokio::sync::Semaphore::new(LOOKS));
        let shared = Arc::new(Shared { state, stores, jobs, token, retain_after_apply, budget, looking });
        let supervisor = Supervisor {
            shared,
            creating: tokio::sync::Mutex::default(),
            certifying: Arc::default(),
            asking: tokio::sync::Semaphore::new(ASKS),
            planning: tokio::sync::Semaphore::new(PLANS),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            turns: Turns::default(),
        };
        for record in records {
            supervisor.keep(record);
        }
        Ok(supervisor)
    }

    /// Stops every job at a saved position, in bounded time. What they are asked to do stays saved.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(STOPS_WITHIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("some jobs did not stop in time; they go on from what they saved");
        }
    }

    pub fn stores(&self) -> &Stores {
        &self.shared.stores
    }

    /// Saves a job; touches no store. The same request id with the same spec gives the same job.
    pub async fn create(&self, spec: JobSpec, request_id: &str, validate_only: bool, who: &str) -> Answer<JobView> {
        validate::validate(&spec, &self.shared.stores)?;
        if request_id.chars().count() > REQUEST_ID_CHARS {
            let error = Error::config(format!("`request_id`: longer than {REQUEST_ID_CHARS} characters"));
            return Reason::InvalidArgument.deny(error.hint("a UUID will do"));
        }
        let _one = self.creating.lock().await;
        let same_request =
            |record: &JobRecord| !request_id.is_empty() && record.request_id.as_deref() == Some(request_id);
        if let Some(known) = self.jobs().find(|job| same_request(&job.record.borrow())) {
            let view = known.view();
            // What was changed since does not make it another request.
            let mut made = view.record.created_spec.as_deref().unwrap_or(&view.record.spec).clone();
            made.copy.limits = spec.copy.limits;
            if made == spec {
                return Ok(view);
            }
            let error = Error::config(format!("`request_id`: `{request_id}` made job `{}`", view.record.spec.name));
            return Reason::JobExists.deny(error.hint("use a new request id for another job"));
        }
        let name = spec.name.clone();
        if self.shared.jobs.lock().contains_key(&name) {
            let error = Error::config(format!("there is a job `{name}` already"));
            return Reason::JobExists
                .deny(error.hint(format!("choose another name, or `whimbrel job delete {name}` first")));
        }
        if self.shared.jobs.lock().len() >= JOBS {
            return Reason::TooManyJobs.deny(
                Error::config(format!("there are {JOBS} jobs already")).hint("delete one, or run another daemon"),
            );
        }
        let record = JobRecord {
            created_ms: now_ms(),
            etag: new_etag(),
            request_id: (!request_id.is_empty()).then(|| request_id.to_owned()),
            ..JobRecord::new(JobId(Uuid::now_v7()), spec, Desired::Created)
        };
        if validate_only {
            return Ok(Job::new(record, JobStatus::default()).view());
        }
        self.shared.state.save_job(&record).await.map_err(Reason::StateFailed.because())?;
        let view = self.keep(record).view();
        audit(&self.shared, Some(&view), who, "create", BTreeMap::new()).await;
        Ok(view)
    }

    pub fn get(&self, name: &str) -> Answer<JobView> {
        self.job(name).map(|job| job.view())
    }

    /// At most `limit` of the jobs that are wanted and behind the name `after`, and whether there are more.
    pub fn list(
        &self,
        after: &str,
        limit: usize,
        wanted: impl Fn(&JobRecord, Observed) -> bool,
    ) -> (impl Iterator<Item = JobView>, bool) {
        let jobs = self.shared.jobs.lock();
        let rest = jobs.range::<str, _>((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded));
        // Looked at in place: a status with thousands of tables is copied for the page only.
        let is_wanted = |job: &&Arc<Job>| {
            let observed = job.status.borrow().observed;
            wanted(&job.record.borrow(), observed)
        };
        let mut rest = rest.map(|(_, job)| job).filter(is_wanted);
        let page: Vec<Arc<Job>> = rest.by_ref().take(limit).cloned().collect();
        let more = rest.next().is_some();
        (page.into_iter().map(|job| job.view()), more)
    }

    /// What is saved of every job, in order of their names.
    pub fn records(&self) -> Vec<Arc<JobRecord>> {
        self.jobs().map(|job| Arc::clone(&job.record.borrow())).collect()
    }

    pub fn watch(&self, name: &str) -> Answer<Watch> {
        self.job(name).map(|job| job.watch())
    }

    /// Runs it, from now on and after every restart; one that failed is tried again.
    pub async fn start(&self, name: &str, etag: &str, who: &str) -> Answer<JobView> {
        let job = self.job(name)?;
        let spec = job.record.borrow().spec.clone();
        // Removed from the config since the job was created?
        for store in spec.targets.iter().map(|target| &target.store).chain([&spec.source.store]) {
            self.shared.stores.open(store)?;
        }
        let was_running = {
            let record = job.record.borrow();
            record.desired == Desired::Run && record.stopped.is_none()
        };
        let view = self
            .change(&job, etag, |record| {
                record.desired = Desired::Run;
                (record.stopped, record.resume_ms) = (None, None);
            })
            .await?;
        if !was_running {
            // Nobody who watches from here on shall take the former failure for a new one. One of the new run, which may
            // be over already, is saved before it is shown.
            job.status.send_if_modified(|status| {
                let is_old = matches!(status.observed, Observed::Failed | Observed::Lost)
                    && job.record.borrow().stopped.is_none();
                if is_old {
                    (status.observed, status.error) = (Observed::Preparing, None);
                }
                is_old
            });
        }
        let is_stopped = |observed| matches!(observed, Observed::Failed | Observed::Lost);
        let gave_up = view.status.targets.values().any(|target| is_stopped(target.observed));
        if was_running && gave_up {
            job.again.notify_one();
        }
        audit(&self.shared, Some(&view), who, "start", BTreeMap::new()).await;
        Ok(view)
    }

    /// Stops it at a saved position, until it is started or `max_pause` is over.
    pub async fn pause(&self, name: &str, max_pause: Option<Duration>, etag: &str, who: &str) -> Answer<JobView> {
        if max_pause.is_some_and(|max| max.is_zero() || max > LONGEST_PAUSE) {
            let error = Error::config("`max_pause`: not more than zero and at most 365 days");
            return Reason::InvalidArgument.deny(error.hint("leave it out to pause until somebody starts the job"));
        }
        let job = self.job(name)?;
        let resume_ms = max_pause.map(|max| now_ms() + max.as_millis() as u64);
        let change = move |record: &mut JobRecord| {
            // One that was never started holds nothing, and deleting it must not need its stores.
            if record.desired != Desired::Created {
                (record.desired, record.resume_ms) = (Desired::Pause, resume_ms);
            }
        };
        let view = self.change(&job, etag, change).await?;
        let details = max_pause.map(|max| ("max_pause_s".to_owned(), max.as_secs_f64().to_string()));
        audit(&self.shared, Some(&view), who, "pause", details.into_iter().collect()).await;
        Ok(view)
    }

    /// Removes what it made in its stores, then the job itself; returns when that is asked for, durably.
    /// What it shall keep is left alone; the newest call counts.
    pub async fn delete(&self, name: &str, keep: Keep, etag: &str, who: &str) -> Answer<JobView> {
        let job = self.job(name)?;
        let is_known = |record: &JobRecord| check_etag(record, etag);
        let change = move |record: &mut JobRecord| {
            record.desired = Desired::Delete;
            (record.keep_source_objects, record.keep_target_objects) = (keep.source, keep.targets);
        };
        let view = job.change(&*self.shared.state, is_known, change).await?;
        let kept = [("keep_source_objects", keep.source), ("keep_target_objects", keep.targets)];
        let kept = kept.into_iter().filter(|(_, is_kept)| *is_kept);
        let details: BTreeMap<_, _> = kept.map(|(what, _)| (what.to_owned(), "true".to_owned())).collect();
        audit(&self.shared, Some(&view), who, "delete", details).await;
        Ok(view)
    }

    /// The speed of copying, in the saved spec and in what runs.
    pub async fn set_limits(&self, name: &str, limits: Limits, etag: &str, who: &str) -> Answer<JobView> {
        let job = self.job(name)?;
        let view = self.change(&job, etag, move |record| record.spec.copy.limits = limits).await?;
        let details = [("rows_per_s", limits.rows_per_s), ("bytes_per_s", limits.bytes_per_s)];
        let details = details.map(|(key, value)| (key.to_owned(), value.to_string())).into();
        audit(&self.shared, Some(&view), who, "set-limits", details).await;
        Ok(view)
    }

    async fn change(
        &self,
        job: &Job,
        etag: &str,
        change: impl FnOnce(&mut JobRecord) + Send + 'static,
    ) -> Answer<JobView> {
        let is_open = |record: &JobRecord| deleting(record).and_then(|()| check_etag(record, etag));
        job.change(&*self.shared.state, is_open, change).await
    }

    fn keep(&self, record: JobRecord) -> Arc<Job> {
        let name = record.spec.name.clone();
        let status = keeper::first_status(&record);
        let job = Arc::new(Job::new(record, status));
        self.shared.jobs.lock().insert(name, Arc::clone(&job));
        let span = tracing::error_span!("job", job = job.name(), uid = %job.id);
        let kept = keeper::keep_visibly(Arc::clone(&job), Arc::clone(&self.shared), self.stop.clone());
        let turns = self.turns.clone();
        let task = format!("job {}", job.name());
        self.tasks.spawn(async move { turns.over(task, kept).await }.instrument(span));
        job
    }

    fn job(&self, name: &str) -> Answer<Arc<Job>> {
        self.shared.jobs.lock().get(name).cloned().ok_or_else(|| gone(name))
    }

    fn jobs(&self) -> impl Iterator<Item = Arc<Job>> {
        self.shared.jobs.lock().values().cloned().collect::<Vec<_>>().into_iter()
    }
}

/// What is being deleted takes no other verb.
fn deleting(record: &JobRecord) -> Answer<()> {
    if record.desired != Desired::Delete {
        return Ok(());
    }
    let name = &record.spec.name;
    let error = Error::config(format!("job `{name}` is being deleted"));
    Reason::JobDeleting.deny(error.hint(format!("`whimbrel status {name}` shows what it waits for")))
}

fn check_etag(record: &JobRecord, etag: &str) -> Answer<()> {
    if etag.is_empty() || etag == record.etag {
        return Ok(());
    }
    Reason::EtagMismatch.deny(
        Error::config(format!("job `{}` was changed by somebody else", record.spec.name))
            .hint("read the job again, look at what changed, and send its new etag"),
    )
}
