//! State on disk: small versioned records in sled, behind one committing thread.

mod committer;
mod folder;
mod records;

use self::{
    committer::{Change, Committer, Request, broken},
    folder::Folder,
};
use super::{AuditEntry, JobChange, JobRecord, State};
use crate::{
    error::{Error, Result},
    model::{JobId, Progress},
    telemetry::flushes::Flushes,
};
use async_trait::async_trait;
use std::{
    path::Path,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};

/// sled takes 1 GiB unless told; positions and job records need little.
const CACHE_BYTES: u64 = 32 << 20;
/// Requests that wait for the committing thread. Each is one task that waits, so this is many tasks.
const QUEUE: usize = 1024;
/// sled's own threads hold its lock for a moment after it was closed in the same process.
const SLED_UNLOCKS_WITHIN: Duration = Duration::from_secs(5);

pub struct SledState {
    requests: Option<mpsc::Sender<Request>>,
    committer: Option<JoinHandle<()>>,
    db: sled::Db,
    flushes: Flushes,
    // Dropped last: the folder stays ours until sled is closed.
    _folder: Folder,
}

impl SledState {
    /// Opens or makes the folder. Refuses one that another daemon has open or that a newer whimbrel wrote.
    pub fn open(path: &Path) -> Result<SledState> {
        let folder = Folder::open(path)?;
        let db = open_sled(&folder.records)?;
        for record in db.iter() {
            let (key, value) = record.map_err(|error| broken(&error))?;
            records::check(&key, &value)?;
        }
        db.flush().map_err(|error| broken(&error))?;
        folder.sync().map_err(|error| broken(&error))?;
        let flushes = Flushes::default();
        let committer = Committer::new(db.clone(), &folder.records, flushes.clone())?;
        let (requests, queue) = mpsc::channel(QUEUE);
        let committer = thread::Builder::new()
            .name("state".into())
            .spawn(move || committer.run(queue))
            .map_err(|error| broken(&error))?;
        Ok(SledState { requests: Some(requests), committer: Some(committer), db, flushes, _folder: folder })
    }

    /// Keeps daemons away from a folder as long as what it gives is held; `None`: there is no such folder yet. Refused
    /// while one runs.
    pub fn hold(path: &Path) -> Result<Option<std::fs::File>> {
        Folder::hold(path)
    }

    async fn commit(&self, change: Change) -> Result<Option<JobRecord>> {
        let (done, answer) = oneshot::channel();
        let requests = self.requests.as_ref().expect("taken only by drop");
        let gone = || {
            let error = broken(&"its committing thread ended");
            self.flushes.failed(&error.to_string());
            error
        };
        requests.send(Request { change, done }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Reads beside the async threads: sled may have to go to the disk.
    async fn read<T: Send + 'static>(&self, read: impl FnOnce(&sled::Db) -> Result<T> + Send + 'static) -> Result<T> {
        let db = self.db.clone();
        tokio::task::spawn_blocking(move || read(&db)).await.map_err(|error| broken(&error))?
    }
}

impl Drop for SledState {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(committer) = self.committer.take() {
            // A panic in it was answered already: every request since has failed.
            let _ = committer.join();
        }
    }
}

fn open_sled(path: &Path) -> Result<sled::Db> {
    let started = Instant::now();
    loop {
        let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        match config.open() {
            Ok(db) => return Ok(db),
            Err(sled::Error::Io(error))
                if error.to_string().contains("acquire lock") && started.elapsed() < SLED_UNLOCKS_WITHIN =>
            {
                thread::sleep(Duration::from_millis(10));
            }
            Err(error @ sled::Error::Corruption { .. }) => {
                return Err(Error::config(format!("the state folder {} is damaged", path.display()))
                    .because(error)
                    .hint(
                        "move it away, then `whimbrel state rebuild FILE` reads the positions back from the targets \
                         and `whimbrel state import FILE` writes them into a new folder",
                    ));
            }
            Err(error) => return Err(broken(&error)),
        }
    }
}

fn read_progress(db: &sled::Db, prefix: &[u8]) -> Result<Option<Progress>> {
    let records = db.scan_prefix(prefix).map(|record| match record {
        Ok((key, value)) => Ok((key.to_vec(), value.to_vec())),
        Err(error) => Err(broken(&error)),
    });
    records::progress(prefix, records)
}

#[async_trait]
impl State for SledState {
    async fn jobs(&self) -> Result<Vec<JobRecord>> {
        self.read(|db| {
            let values = db.scan_prefix(records::JOBS).values();
            values.map(|value| records::decode("job", &value.map_err(|error| broken(&error))?)).collect()
        })
        .await
    }

    async fn save_job(&self, job: &JobRecord) -> Result<()> {
        self.commit(Change::SaveJob(Box::new(job.clone()))).await.map(drop)
    }

    async fn change_job(&self, job: JobId, change: JobChange) -> Result<Option<JobRecord>> {
        self.commit(Change::EditJob(job, change)).await
    }

    async fn delete_job(&self, job: JobId) -> Result<()> {
        self.commit(Change::DeleteJob(job)).await.map(drop)
    }

    async fn progress(&self, job: JobId, target: &str) -> Result<Option<Progress>> {
        let prefix = records::target_progress(job, target);
        self.read(move |db| read_progress(db, &prefix)).await
    }

    async fn save_progress(&self, job: JobId, target: &str, progress: &Progress) -> Result<()> {
        self.commit(Change::SaveProgress(job, target.to_owned(), progress.clone())).await.map(drop)
    }

    async fn record(&self, entry: AuditEntry) -> Result<()> {
        self.commit(Change::Record(entry)).await.map(drop)
    }

    fn flushes(&self) -> Option<Flushes> {
        Some(self.flushes.clone())
    }

    async fn history(&self, job: Option<JobId>, limit: usize) -> Result<Vec<AuditEntry>> {
        self.read(move |db| {
            let newest_first = db.scan_prefix(records::AUDIT).values().rev();
            newest_first
                .map(|value| records::decode::<AuditEntry>("audit", &value.map_err(|error| broken(&error))?))
                .filter(|entry| entry.as_ref().map_or(true, |entry| job.is_none() || entry.job == job))
                .take(limit)
                .collect()
        })
        .await
    }
}
