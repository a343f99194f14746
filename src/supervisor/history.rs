//! The audit trail: written by every verb, read in pages.

use super::{
    Shared, Supervisor,
    denied::{Answer, Reason},
    job::JobView,
};
use crate::{model::JobId, pipeline::now_ms, state::AuditEntry};
use std::collections::{BTreeMap, HashMap};

/// Where a page of the trail ends: the time of its last entry, and how many older ones of that time are still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailPlace {
    pub at_ms: u64,
    pub left: usize,
}

/// One entry, with the name of its job where that is known.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: Option<String>,
    pub entry: AuditEntry,
}

/// Who did what nobody asked for.
pub(super) const DAEMON: &str = "daemon";
/// The key of `AuditEntry::details` that names the job.
const NAME: &str = "name";

/// The verb is done; a trail that cannot be written is said in the log.
pub(super) async fn audit(
    shared: &Shared,
    job: Option<&JobView>,
    who: &str,
    what: &str,
    mut details: BTreeMap<String, String>,
) {
    // What the daemon does by itself says its own line.
    if let Some(job) = job.filter(|_| who != DAEMON) {
        let record = &job.record;
        tracing::info!(job = record.spec.name, uid = %record.id, who, ?details, "asked to {what}");
    }
    details.extend(job.map(|job| (NAME.to_owned(), job.record.spec.name.clone())));
    let job = job.map(|job| job.record.id);
    let entry = AuditEntry { at_ms: now_ms(), job, who: who.to_owned(), what: what.to_owned(), details };
    if let Err(error) = shared.state.record(entry).await {
        tracing::error!("the audit trail could not be written: {error}");
    }
}

impl Supervisor {
    /// At most `limit` entries behind `after`, the newest first, of all jobs that have or had this name; and where the
    /// next page begins. The whole trail is bounded and small, so each page reads it.
    pub async fn history(
        &self,
        name: Option<&str>,
        after: Option<TrailPlace>,
        limit: usize,
    ) -> Answer<(Vec<Entry>, Option<TrailPlace>)> {
        let trail = self.shared.state.history(None, usize::MAX).await.map_err(Reason::StateFailed.because())?;
        // Entries of older versions have the name only where the job was created.
        let mut names: HashMap<JobId, String> =
            self.jobs().map(|job| (job.id, job.record.borrow().spec.name.clone())).collect();
        for entry in &trail {
            if let (Some(job), Some(name)) = (entry.job, entry.details.get(NAME)) {
                names.entry(job).or_insert_with(|| name.clone());
            }
        }
        let named = trail.into_iter().map(|mut entry| {
            let name = entry.job.and_then(|job| names.get(&job).cloned());
            if entry.job.is_some() {
                entry.details.remove(NAME);
            }
            Entry { name, entry }
        });
        let wanted: Vec<Entry> = named.filter(|entry| name.is_none() || entry.name.as_deref() == name).collect();
        let place = |index: usize| {
            let at_ms = wanted[index].entry.at_ms;
            let same = wanted[index + 1..].iter().take_while(|other| other.entry.at_ms == at_ms);
            TrailPlace { at_ms, left: same.count() }
        };
        // Found by time and not by number: entries that came since are in front and shift nothing.
        let begin = after.map_or(0, |after| {
            let older = wanted.partition_point(|entry| entry.entry.at_ms >= after.at_ms);
            let newer = wanted.partition_point(|entry| entry.entry.at_ms > after.at_ms);
            older.saturating_sub(after.left).max(newer)
        });
        let end = wanted.len().min(begin + limit);
        let next = (end < wanted.len() && end > begin).then(|| place(end - 1));
        Ok((wanted[begin..end].to_vec(), next))
    }
}
