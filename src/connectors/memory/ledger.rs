//! What a target keeps of jobs beside their data: `whimbrel_job`, `whimbrel_watermark`, and who has them locked.

use crate::{
    model::{JobId, LaneMark, Partition, TableName},
    target::{Noted, Opened},
};
use std::collections::BTreeMap;
use tokio::time::Instant;
use uuid::Uuid;

#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub jobs: BTreeMap<JobId, JobEntry>,
    pub marks: BTreeMap<LaneId, LaneMark>,
    /// Rows that transactions in flight have locked.
    pub(super) locks: BTreeMap<LaneId, Lock>,
}

pub type LaneId = (JobId, Partition, u16);

#[derive(Clone, Debug, Default)]
pub struct JobEntry {
    pub spec: String,
    pub epoch: u64,
    pub token: Uuid,
    /// As claimed.
    pub tables: Vec<TableName>,
    pub prepared: BTreeMap<TableName, Noted>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Lock {
    pub transaction: u64,
    /// The server rolls an open transaction back at last.
    pub until: Option<Instant>,
}

impl Ledger {
    pub fn opened(&self, job: JobId) -> Opened {
        let tables = self.jobs.get(&job).map(|entry| entry.prepared.clone()).unwrap_or_default();
        Opened { marks: self.marks_of(job).cloned().collect(), tables: tables.into_iter().collect() }
    }

    pub fn marks_of(&self, job: JobId) -> impl Iterator<Item = &LaneMark> {
        self.marks.iter().filter(move |((owner, ..), _)| *owner == job).map(|(_, mark)| mark)
    }

    /// The lanes of the newest batch of a feed, and whether all of them have it.
    pub fn newest(&self, job: JobId, feed: &Partition) -> Option<(Vec<&LaneMark>, bool)> {
        let marks: Vec<&LaneMark> = self.marks_of(job).filter(|mark| mark.feed == *feed).collect();
        let newest = marks.iter().map(|mark| mark.batch).max()?;
        let having: Vec<&LaneMark> = marks.into_iter().filter(|mark| mark.batch == newest).collect();
        let lanes = having[0].lanes;
        let whole = newest == 0 || (0..lanes).all(|lane| having.iter().any(|mark| mark.lane == lane));
        Some((having, whole))
    }

    /// The newest batch that any lane of a feed has.
    pub(super) fn newest_of(&self, job: JobId, feed: &Partition) -> u64 {
        self.marks_of(job).filter(|mark| mark.feed == *feed).map(|mark| mark.batch).max().unwrap_or(0)
    }

    /// Takes all of `lanes`, or none where another transaction has one of them.
    pub(super) fn lock(&mut self, lanes: &[LaneId], lock: Lock) -> bool {
        let taken = |held: &Lock| held.transaction != lock.transaction && held.until.is_none_or(|u| u > Instant::now());
        if lanes.iter().any(|lane| self.locks.get(lane).is_some_and(taken)) {
            return false;
        }
        self.locks.extend(lanes.iter().map(|lane| (lane.clone(), lock)));
        true
    }

    pub(super) fn unlock(&mut self, transaction: u64) {
        self.locks.retain(|_, lock| lock.transaction != transaction);
    }

    /// Whether a transaction in flight has locked rows of the job.
    pub(super) fn is_locked(&self, job: JobId) -> bool {
        let now = Instant::now();
        self.locks.iter().any(|((owner, ..), lock)| *owner == job && lock.until.is_none_or(|until| until > now))
    }
}
