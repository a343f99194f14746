//! Jobs and their tasks: create, start, pause, delete, limit, show, watch. Each job has one task and touches no other.

mod denied;
mod job;
mod keeper;
mod removal;
mod resting;
mod stores;
mod validate;
mod vitals;

pub use self::{
    denied::{Answer, Denied, Reason},
    job::{JobView, Watch},
    stores::Stores,
    vitals::Vitals,
};

use crate::{
    error::{Error, Result},
    model::{Finding, JobId, JobSpec, Limits, Table},
    pipeline::{
        Budget, Route, now_ms,
        status::{JobStatus, Observed},
    },
    state::{AuditEntry, Desired, JobRecord, State},
    telemetry::turns::Turns,
};
use job::{Job, gone, new_etag};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use stores::answered;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;
use uuid::Uuid;

/// All jobs are stopped within this; whoever did not end is cut off.
const STOPS_WITHIN: Duration = Duration::from_secs(15);
/// Jobs in one daemon. Each holds a task, some records and up to four connections per store.
const JOBS: usize = 1000;
const REQUEST_ID_BYTES: usize = 64;

pub struct Supervisor {
    shared: Arc<Shared>,
    /// Names stay unique while a job is being saved.
    creating: tokio::sync::Mutex<()>,
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
}

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
        let shared = Arc::new(Shared { state, stores, jobs, token: Uuid::new_v4(), retain_after_apply, budget });
        let (creating, tasks, stop) = (tokio::sync::Mutex::default(), TaskTracker::new(), CancellationToken::new());
        let supervisor = Supervisor { shared, creating, tasks, stop, turns: Turns::default() };
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
        if request_id.len() > REQUEST_ID_BYTES {
            let error = Error::config(format!("`request_id`: longer than {REQUEST_ID_BYTES} bytes"));
            return Reason::InvalidArgument.deny(error.hint("a UUID will do"));
        }
        let _one = self.creating.lock().await;
        let same_request =
            |record: &JobRecord| !request_id.is_empty() && record.request_id.as_deref() == Some(request_id);
        if let Some(known) = self.jobs().find(|job| same_request(&job.record.borrow())) {
            let view = known.view();
            // What was changed since (limits) does not make it another request.
            let mut made = view.record.spec.clone();
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
            return Reason::InvalidArgument.deny(
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
        audit(&self.shared, Some(record.id), who, "create", [("name".into(), name)].into()).await;
        Ok(self.keep(record).view())
    }

    pub fn get(&self, name: &str) -> Answer<JobView> {
        self.job(name).map(|job| job.view())
    }

    /// At most `limit` jobs behind the name `after`, and whether there are more.
    pub fn list(&self, after: &str, limit: usize) -> (Vec<JobView>, bool) {
        let jobs = self.shared.jobs.lock();
        let mut rest = jobs.range::<str, _>((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded));
        let page = rest.by_ref().take(limit).map(|(_, job)| job.view()).collect();
        (page, rest.next().is_some())
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
                record.stopped = None;
            })
            .await?;
        let is_stopped = |observed| matches!(observed, Observed::Failed | Observed::Lost);
        let gave_up = view.status.targets.values().any(|target| is_stopped(target.observed));
        if was_running && gave_up {
            job.again.notify_one();
        }
        audit(&self.shared, Some(job.id), who, "start", BTreeMap::new()).await;
        Ok(view)
    }

    /// Stops it at a saved position, until it is started.
    pub async fn pause(&self, name: &str, etag: &str, who: &str) -> Answer<JobView> {
        let job = self.job(name)?;
        let change = |record: &mut JobRecord| {
            // One that was never started holds nothing, and deleting it must not need its stores.
            if record.desired != Desired::Created {
                record.desired = Desired::Pause;
            }
        };
        let view = self.change(&job, etag, change).await?;
        audit(&self.shared, Some(job.id), who, "pause", BTreeMap::new()).await;
        Ok(view)
    }

    /// Removes what it made in its stores, then the job itself; returns when that is asked for, durably.
    pub async fn delete(&self, name: &str, etag: &str, who: &str) -> Answer<JobView> {
        let job = self.job(name)?;
        let is_known = |record: &JobRecord| check_etag(record, etag);
        let view = job.change(&*self.shared.state, is_known, |record| record.desired = Desired::Delete).await?;
        audit(&self.shared, Some(job.id), who, "delete", BTreeMap::new()).await;
        Ok(view)
    }

    /// The speed of copying, in the saved spec and in what runs.
    pub async fn set_limits(&self, name: &str, limits: Limits, etag: &str, who: &str) -> Answer<JobView> {
        let job = self.job(name)?;
        let view = self.change(&job, etag, move |record| record.spec.copy.limits = limits).await?;
        let details = [("rows_per_s", limits.rows_per_s), ("bytes_per_s", limits.bytes_per_s)];
        let details = details.map(|(key, value)| (key.to_owned(), value.to_string())).into();
        audit(&self.shared, Some(job.id), who, "set-limits", details).await;
        Ok(view)
    }

    /// What stands in the way of a job with this store, and what a job would create there. The gravest first.
    pub async fn check_source(&self, store: &str, globs: &[String]) -> Answer<Vec<Finding>> {
        let source = self.shared.stores.open(store)?.source().map_err(denied::of_store)?;
        let (tables, mut findings) = answered(store, source.tables()).await.map_err(denied::of_store)?;
        let tables = selected(tables, store, globs)?;
        // A check belongs to no job; the id only names what would be created.
        let id = JobId(Uuid::now_v7());
        findings.extend(answered(store, source.check(id, &tables)).await.map_err(denied::of_store)?);
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Ok(findings)
    }

    pub async fn check_target(&self, store: &str) -> Answer<Vec<Finding>> {
        let target = self.shared.stores.open(store)?.target().map_err(denied::of_store)?;
        let mut findings = answered(store, target.check(&[], Default::default())).await.map_err(denied::of_store)?;
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Ok(findings)
    }

    /// In order of their names, with what cannot be carried.
    pub async fn tables(&self, store: &str) -> Answer<(Vec<Arc<Table>>, Vec<Finding>)> {
        let source = self.shared.stores.open(store)?.source().map_err(denied::of_store)?;
        let (mut tables, findings) = answered(store, source.tables()).await.map_err(denied::of_store)?;
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((tables, findings))
    }

    async fn change(
        &self,
        job: &Job,
        etag: &str,
        change: impl FnOnce(&mut JobRecord) + Send + 'static,
    ) -> Answer<JobView> {
        let is_open = |record: &JobRecord| match record.desired {
            Desired::Delete => Reason::JobDeleting.deny(
                Error::config(format!("job `{}` is being deleted", record.spec.name))
                    .hint(format!("`whimbrel status {}` shows what it waits for", record.spec.name)),
            ),
            _ => check_etag(record, etag),
        };
        job.change(&*self.shared.state, is_open, change).await
    }

    fn keep(&self, record: JobRecord) -> Arc<Job> {
        let name = record.spec.name.clone();
        let job = Arc::new(Job::new(record, JobStatus::default()));
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

fn check_etag(record: &JobRecord, etag: &str) -> Answer<()> {
    if etag.is_empty() || etag == record.etag {
        return Ok(());
    }
    Reason::EtagMismatch.deny(
        Error::config(format!("job `{}` was changed by somebody else", record.spec.name))
            .hint("read the job again, look at what changed, and send its new etag"),
    )
}

fn selected(tables: Vec<Arc<Table>>, store: &str, globs: &[String]) -> Answer<Vec<Arc<Table>>> {
    let spec = crate::model::SourceSpec {
        store: store.to_owned(),
        tables: globs.to_vec(),
        rename: BTreeMap::new(),
        keyless: Default::default(),
    };
    let route = Route::new(&spec).map_err(Reason::InvalidArgument.because())?;
    Ok(tables.into_iter().filter(|table| route.selects(&table.name)).collect())
}

/// The verb is done; a trail that cannot be written is said in the log.
async fn audit(shared: &Shared, job: Option<JobId>, who: &str, what: &str, details: BTreeMap<String, String>) {
    // What the daemon does by itself says its own line.
    if let Some(id) = job.filter(|_| who != "daemon") {
        let known = shared.jobs.lock().values().find(|job| job.id == id).map(|job| job.name());
        // One that is just being created is not there yet.
        let name = known.or_else(|| details.get("name").cloned());
        tracing::info!(job = name, uid = %id, who, ?details, "asked to {what}");
    }
    let entry = AuditEntry { at_ms: now_ms(), job, who: who.to_owned(), what: what.to_owned(), details };
    if let Err(error) = shared.state.record(entry).await {
        tracing::error!("the audit trail could not be written: {error}");
    }
}
