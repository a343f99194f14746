//! How records lie in sled: a key that says what it is, and a version byte in front of a JSON body.
//!
//! ```text
//! job/      id(16)                                    JobRecord
//! progress/ id(16) length(u16) target /head           epoch, checkpoint, starts, seen, numbers
//! progress/ id(16) length(u16) target /table/ name    TableProgress
//! audit/    at_ms(u64) sequence(u64)                  AuditEntry
//! ```
//! Integers are big-endian, so that keys of one kind lie in order.

use crate::{
    error::{Error, Result},
    model::{Checkpoint, JobId, Partition, Progress, TableName, TableProgress},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;

/// Of every record this build writes. A change of any record's meaning raises it and adds a migration to `open`.
pub const VERSION: u8 = 1;

pub const JOBS: &[u8] = b"job/";
pub const AUDIT: &[u8] = b"audit/";
const PROGRESS: &[u8] = b"progress/";
const HEAD: &[u8] = b"/head";
const TABLE: &[u8] = b"/table/";

pub fn job_key(job: JobId) -> Vec<u8> {
    [JOBS, job.0.as_bytes()].concat()
}

pub fn audit_key(at_ms: u64, sequence: u64) -> Vec<u8> {
    [AUDIT, &at_ms.to_be_bytes(), &sequence.to_be_bytes()].concat()
}

/// When the audit entry under this key was made, and its number.
pub fn audit_place(key: &[u8]) -> Option<(u64, u64)> {
    let rest = key.strip_prefix(AUDIT)?;
    let (at_ms, sequence) = (rest.first_chunk()?, rest.last_chunk()?);
    Some((u64::from_be_bytes(*at_ms), u64::from_be_bytes(*sequence)))
}

/// In front of all progress of a job.
pub fn job_progress(job: JobId) -> Vec<u8> {
    [PROGRESS, job.0.as_bytes()].concat()
}

/// In front of the progress of one target. The length keeps `a` from being the beginning of `ab`.
pub fn target_progress(job: JobId, target: &str) -> Vec<u8> {
    let length = u16::try_from(target.len()).expect("names of stores are short");
    [&job_progress(job), &length.to_be_bytes()[..], target.as_bytes()].concat()
}

pub fn head_key(target: &[u8]) -> Vec<u8> {
    [target, HEAD].concat()
}

pub fn table_key(target: &[u8], table: &TableName) -> Vec<u8> {
    [target, TABLE, table.to_string().as_bytes()].concat()
}

/// The part of a progress that moves with every save; tables have a record each.
#[derive(Serialize, Deserialize, PartialEq)]
pub struct Head {
    epoch: u64,
    checkpoint: Checkpoint,
    #[serde(default, skip_serializing_if = "Checkpoint::is_empty")]
    starts: Checkpoint,
    #[serde(default, skip_serializing_if = "Checkpoint::is_empty")]
    seen: Checkpoint,
    numbers: BTreeMap<Partition, BTreeMap<u16, u64>>,
}

impl Head {
    pub fn of(progress: &Progress) -> Head {
        Head {
            epoch: progress.epoch,
            checkpoint: progress.checkpoint.clone(),
            starts: progress.starts.clone(),
            seen: progress.seen.clone(),
            numbers: progress.numbers.clone(),
        }
    }
}

/// Puts a progress together from its records; `None` if there is no head.
pub fn progress(prefix: &[u8], records: impl Iterator<Item = Result<(Vec<u8>, Vec<u8>)>>) -> Result<Option<Progress>> {
    let (mut head, mut tables) = (None, BTreeMap::new());
    for record in records {
        let (key, value) = record?;
        let rest = &key[prefix.len()..];
        if rest == HEAD {
            head = Some(decode::<Head>("progress", &value)?);
        } else if let Some(name) = rest.strip_prefix(TABLE) {
            let name = std::str::from_utf8(name).map_err(|error| unreadable("table name").because(error))?;
            let name: TableName = name.parse().map_err(|error: String| unreadable("table name").because(error))?;
            tables.insert(name, decode::<TableProgress>("table", &value)?);
        } else {
            return Err(unreadable("progress"));
        }
    }
    Ok(head.map(|head| {
        let Head { epoch, checkpoint, starts, seen, numbers } = head;
        Progress { epoch, checkpoint, starts, seen, numbers, tables }
    }))
}

pub fn encode(record: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, record).expect("records are plain data with text keys");
    bytes
}

pub fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    let (version, body) = bytes.split_first().ok_or_else(|| unreadable(what))?;
    if *version != VERSION {
        return Err(newer(&format!("a {what} record of version {version}; this build knows version {VERSION}")));
    }
    serde_json::from_slice(body).map_err(|error| unreadable(what).because(error))
}

/// Refuses what this build would not understand, before anything is done with the folder.
pub fn check(key: &[u8], value: &[u8]) -> Result<()> {
    if ![JOBS, PROGRESS, AUDIT].iter().any(|kind| key.starts_with(kind)) {
        return Err(newer(&format!("a record of an unknown kind, `{}`", key.escape_ascii())));
    }
    match value.first() {
        Some(&VERSION) => Ok(()),
        Some(version) => Err(newer(&format!("records of version {version}; this build knows version {VERSION}"))),
        None => Err(unreadable("empty")),
    }
}

fn newer(what: &str) -> Error {
    Error::config(format!("the state folder holds {what}")).hint(
        "a newer whimbrel wrote it: run that one, or let it write `whimbrel state export FILE` and \
         `whimbrel state import FILE` into a new folder here",
    )
}

fn unreadable(what: &str) -> Error {
    Error::config(format!("the state folder holds a {what} record that cannot be read"))
        .hint("move the folder away and type `whimbrel state rebuild`: it reads the positions back from the targets")
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_targets_records_are_not_those_of_a_longer_name() {
        let job = JobId(Uuid::nil());
        assert!(!target_progress(job, "ab").starts_with(&target_progress(job, "a")));
    }

    #[test]
    fn audit_keys_are_in_order_of_time() {
        assert!(audit_key(9, 300) < audit_key(10, 1));
        assert_eq!(audit_place(&audit_key(9, 300)), Some((9, 300)));
    }

    #[test]
    fn a_newer_record_is_refused_with_a_way_out() {
        let error = decode::<u8>("job", b"\x02{}").expect_err("version 2");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("state export")), "{error:?}");
        assert!(check(b"job/x", b"\x02{}").is_err());
        assert!(check(b"verification/x", b"\x01{}").is_err());
    }
}
