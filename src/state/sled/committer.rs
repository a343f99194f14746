//! The one thread that writes: drains the queue, applies it as one batch, makes it durable, then answers.
//!
//! sled's `flush_async` hangs for ever with eight in flight, and its `flush` is no fsync on Linux: it does not record a
//! grown file's size. So one OS thread owns all writes, `flush` is followed by `sync_data` on a second handle, and
//! writers that arrive meanwhile share the next round.

use super::records::{self, Head};
use crate::{
    error::{Error, Result},
    faults,
    model::{JobId, Progress},
    state::{AuditEntry, JobChange, JobRecord, MAX_AUDIT_AGE_MS, MAX_AUDIT_ENTRIES},
    telemetry::flushes::Flushes,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsString,
    fs::File,
    io,
    path::{Path, PathBuf},
};
use tokio::sync::{mpsc, oneshot};

/// Changes made durable by one round; more wait for the next.
const ROUND: usize = 256;

pub enum Change {
    SaveJob(Box<JobRecord>),
    EditJob(JobId, JobChange),
    DeleteJob(JobId),
    SaveProgress(JobId, String, Progress),
    Record(AuditEntry),
}

pub struct Request {
    pub change: Change,
    pub done: oneshot::Sender<Result<Option<JobRecord>>>,
}

pub struct Committer {
    db: sled::Db,
    /// A second handle of sled's file, for the real fsync.
    file: File,
    blobs: PathBuf,
    synced_blobs: HashSet<OsString>,
    /// What of this round is not in sled yet.
    pending: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// As last saved, so that only what differs is written.
    saved: HashMap<(JobId, String), Progress>,
    audit_entries: usize,
    audit_sequence: u64,
    /// After a failed write nobody knows what the file holds: nothing is acknowledged any more.
    failed: Option<String>,
    flushes: Flushes,
}

impl Committer {
    pub fn new(db: sled::Db, folder: &Path, flushes: Flushes) -> Result<Committer> {
        let file = File::options().read(true).write(true).open(folder.join("db")).map_err(|error| broken(&error))?;
        let (mut audit_entries, mut audit_sequence) = (0, 0);
        for key in db.scan_prefix(records::AUDIT).keys() {
            let place = records::audit_place(&key.map_err(|error| broken(&error))?);
            audit_entries += 1;
            audit_sequence = audit_sequence.max(place.map_or(0, |(_, sequence)| sequence));
        }
        Ok(Committer {
            db,
            file,
            blobs: folder.join("blobs"),
            synced_blobs: HashSet::new(),
            pending: BTreeMap::new(),
            saved: HashMap::new(),
            audit_entries,
            audit_sequence,
            failed: None,
            flushes,
        })
    }

    /// Until the last sender is gone.
    pub fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut round = Vec::new();
        while let Some(first) = requests.blocking_recv() {
            round.push(first);
            while round.len() < ROUND
                && let Ok(next) = requests.try_recv()
            {
                round.push(next);
            }
            let answers: Vec<_> = round.drain(..).map(|request| (self.take(request.change), request.done)).collect();
            if let Err(error) = self.commit() {
                self.flushes.failed(&error.to_string());
                self.failed = Some(error.to_string());
            }
            for (answer, done) in answers {
                // Whoever asked may have been cancelled; what was asked is done all the same.
                let _ = done.send(self.refuse().and(answer));
            }
        }
    }

    fn refuse(&self) -> Result<()> {
        self.failed.as_ref().map_or(Ok(()), |text| Err(Error::config(text.clone()).hint(MEND)))
    }

    fn take(&mut self, change: Change) -> Result<Option<JobRecord>> {
        self.refuse()?;
        match change {
            Change::SaveJob(job) => self.put(records::job_key(job.id), &*job),
            Change::EditJob(job, change) => return self.change_job(job, change),
            Change::DeleteJob(job) => self.delete_job(job)?,
            Change::SaveProgress(job, target, progress) => self.save_progress(job, target, progress)?,
            Change::Record(entry) => self.record(&entry)?,
        }
        Ok(None)
    }

    fn change_job(&mut self, job: JobId, change: JobChange) -> Result<Option<JobRecord>> {
        let key = records::job_key(job);
        let Some(bytes) = self.get(&key)? else { return Ok(None) };
        let mut record: JobRecord = records::decode("job", &bytes)?;
        change(&mut record);
        self.put(key, &record);
        Ok(Some(record))
    }

    fn delete_job(&mut self, job: JobId) -> Result<()> {
        self.saved.retain(|(id, _), _| *id != job);
        self.pending.insert(records::job_key(job), None);
        let prefix = records::job_progress(job);
        for (key, value) in self.pending.range_mut(prefix.clone()..) {
            if key.starts_with(&prefix) {
                *value = None;
            }
        }
        for key in self.db.scan_prefix(&prefix).keys() {
            self.pending.insert(key.map_err(|error| broken(&error))?.to_vec(), None);
        }
        Ok(())
    }

    fn save_progress(&mut self, job: JobId, target: String, progress: Progress) -> Result<()> {
        let prefix = records::target_progress(job, &target);
        let place = (job, target);
        let before = match self.saved.remove(&place) {
            Some(before) => Some(before),
            None => self.read_progress(&prefix)?,
        };
        let head = Head::of(&progress);
        if before.as_ref().map(Head::of).as_ref() != Some(&head) {
            self.put(records::head_key(&prefix), &head);
        }
        for (name, table) in &progress.tables {
            if before.as_ref().and_then(|before| before.tables.get(name)) != Some(table) {
                self.put(records::table_key(&prefix, name), table);
            }
        }
        for name in before.iter().flat_map(|before| before.tables.keys()) {
            if !progress.tables.contains_key(name) {
                self.pending.insert(records::table_key(&prefix, name), None);
            }
        }
        self.saved.insert(place, progress);
        Ok(())
    }

    fn read_progress(&self, prefix: &[u8]) -> Result<Option<Progress>> {
        let mut found = BTreeMap::new();
        for record in self.db.scan_prefix(prefix) {
            let (key, value) = record.map_err(|error| broken(&error))?;
            found.insert(key.to_vec(), value.to_vec());
        }
        for (key, value) in self.pending.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix)) {
            match value {
                Some(value) => found.insert(key.clone(), value.clone()),
                None => found.remove(key),
            };
        }
        records::progress(prefix, found.into_iter().map(Ok))
    }

    fn record(&mut self, entry: &AuditEntry) -> Result<()> {
        self.audit_sequence += 1;
        self.audit_entries += 1;
        self.put(records::audit_key(entry.at_ms, self.audit_sequence), entry);
        let oldest_kept = entry.at_ms.saturating_sub(MAX_AUDIT_AGE_MS);
        for key in self.db.scan_prefix(records::AUDIT).keys() {
            let key = key.map_err(|error| broken(&error))?.to_vec();
            let too_old = records::audit_place(&key).is_none_or(|(at_ms, _)| at_ms < oldest_kept);
            if !too_old && self.audit_entries <= MAX_AUDIT_ENTRIES {
                break;
            }
            if self.pending.insert(key, None).is_none() {
                self.audit_entries -= 1;
            }
        }
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.pending.get(key) {
            Some(value) => Ok(value.clone()),
            None => Ok(self.db.get(key).map_err(|error| broken(&error))?.map(|value| value.to_vec())),
        }
    }

    fn put(&mut self, key: Vec<u8>, record: &impl serde::Serialize) {
        self.pending.insert(key, Some(records::encode(record)));
    }

    fn commit(&mut self) -> Result<()> {
        self.refuse()?;
        if self.pending.is_empty() {
            return Ok(());
        }
        self.flushes.begin();
        let mut batch = sled::Batch::default();
        for (key, value) in std::mem::take(&mut self.pending) {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.db.apply_batch(batch).map_err(|error| broken(&error))?;
        faults::point("state/before-flush");
        self.db.flush().map_err(|error| broken(&error))?;
        faults::point("state/after-flush");
        self.file.sync_data().and_then(|()| self.sync_blobs()).map_err(|error| broken(&error))?;
        faults::point("state/after-sync");
        self.flushes.end();
        Ok(())
    }

    /// Values above 128 KiB lie in files of their own, which sled never syncs.
    fn sync_blobs(&mut self) -> io::Result<()> {
        let entries = match std::fs::read_dir(&self.blobs) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let mut seen = HashSet::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            if !self.synced_blobs.contains(&name) {
                File::open(entry.path())?.sync_all()?;
            }
            seen.insert(name);
        }
        if !seen.is_subset(&self.synced_blobs) {
            File::open(&self.blobs)?.sync_all()?;
        }
        self.synced_blobs = seen;
        Ok(())
    }
}

/// A write or a read of the folder failed.
pub fn broken(error: &dyn std::fmt::Display) -> Error {
    Error::config(format!("the state folder failed: {error}")).hint(MEND)
}

const MEND: &str = "look at the disk (full? read-only? broken?), then restart whimbrel: every job goes on where it was";
