//! One job in memory: its record as saved, what it shows, and the changes of both.

use super::denied::{Answer, Denied, Reason};
use crate::{
    error::Error,
    model::{JobId, Limits},
    pipeline::status::JobStatus,
    state::{JobRecord, State},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, Notify, watch},
    time::Instant,
};
use uuid::Uuid;

/// Who watches hears at least this often, so that silence means something.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// And not more often than a person can read.
const PAUSE: Duration = Duration::from_millis(200);

pub struct Job {
    pub id: JobId,
    /// As saved. Its sender's end tells watchers that the job is gone.
    pub record: watch::Sender<Arc<JobRecord>>,
    pub status: Arc<watch::Sender<JobStatus>>,
    pub limits: watch::Sender<Limits>,
    /// Runs again what runs: targets that gave up are tried again.
    pub again: Notify,
    /// One change at a time, so that what is published is in the order of what is saved.
    changing: Mutex<()>,
}

/// A job as others see it.
#[derive(Clone, Debug)]
pub struct JobView {
    pub record: Arc<JobRecord>,
    pub status: JobStatus,
}

impl Job {
    pub fn new(record: JobRecord, status: JobStatus) -> Job {
        Job {
            id: record.id,
            limits: watch::Sender::new(record.spec.copy.limits),
            record: watch::Sender::new(Arc::new(record)),
            status: Arc::new(watch::Sender::new(status)),
            again: Notify::new(),
            changing: Mutex::new(()),
        }
    }

    pub fn name(&self) -> String {
        self.record.borrow().spec.name.clone()
    }

    pub fn view(&self) -> JobView {
        // One after the other: nobody holds the record while he waits for the status.
        let record = Arc::clone(&self.record.borrow());
        JobView { record, status: self.status.borrow().clone() }
    }

    /// Changes the record, durably, and tells the job's own task. `check` may refuse after looking at it.
    pub async fn change(
        &self,
        state: &dyn State,
        check: impl FnOnce(&JobRecord) -> Answer<()>,
        change: impl FnOnce(&mut JobRecord) + Send + 'static,
    ) -> Answer<JobView> {
        let _one = self.changing.lock().await;
        check(&self.record.borrow())?;
        let change = move |record: &mut JobRecord| {
            change(record);
            record.etag = new_etag();
        };
        let saved = state.change_job(self.id, Box::new(change)).await.map_err(Reason::StateFailed.because())?;
        let Some(saved) = saved else { return Err(gone(&self.record.borrow().spec.name)) };
        self.limits.send_if_modified(|limits| std::mem::replace(limits, saved.spec.copy.limits) != *limits);
        self.record.send_replace(Arc::new(saved));
        Ok(self.view())
    }

    /// Takes over what the run has saved by itself (where its log begins).
    pub async fn refresh(&self, state: &dyn State) {
        let _one = self.changing.lock().await;
        match state.change_job(self.id, Box::new(|_| ())).await {
            Ok(Some(saved)) => drop(self.record.send_replace(Arc::new(saved))),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "what the job's run saved cannot be read"),
        }
    }

    pub fn watch(&self) -> Watch {
        Watch { record: self.record.subscribe(), status: self.status.subscribe(), next: None }
    }
}

pub fn gone(name: &str) -> Denied {
    Reason::JobNotFound.because()(Error::config(format!("no job `{name}`")).hint("`whimbrel status` lists all jobs"))
}

pub fn new_etag() -> String {
    Uuid::new_v4().simple().to_string()
}

/// What one watcher has seen. Holds nothing of the job: when that is gone, it ends.
pub struct Watch {
    record: watch::Receiver<Arc<JobRecord>>,
    status: watch::Receiver<JobStatus>,
    /// Not before. `None`: nothing was shown yet.
    next: Option<Instant>,
}

impl Watch {
    /// At once, then when something changed, and at least every ten seconds. `None`: the job is gone.
    pub async fn next(&mut self) -> Option<JobView> {
        if let Some(next) = self.next {
            tokio::time::sleep_until(next).await;
            let changed = async {
                tokio::select! {
                    changed = self.record.changed() => changed.is_ok(),
                    changed = self.status.changed() => changed.is_ok(),
                }
            };
            if let Ok(false) = tokio::time::timeout(HEARTBEAT - PAUSE, changed).await {
                return None;
            }
        }
        self.next = Some(Instant::now() + PAUSE);
        let record = Arc::clone(&self.record.borrow_and_update());
        Some(JobView { record, status: self.status.borrow_and_update().clone() })
    }
}
