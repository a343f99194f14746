//! Our tables in a target: who writes what, and how far each lane is (lane protocol 1, 2).

use super::{file::Database, schema, statement::Row};
use crate::{
    error::{Error, Result},
    model::{COARSE_HASH_VERSION, JobId, LaneMark, Partition, Position, THEIRS, TableName, ValueRef},
    state::remembered_name,
    target::{self, Claim, JobRow, Opened},
};
use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, collections::BTreeMap};
use uuid::Uuid;

/// Of the tables below, in each of their rows; a newer one is refused.
const VERSION: i64 = 1;

/// `tests/data/golden/sqlite-target-v1.sql` holds the same text.
pub(super) const TABLES: &[(&str, &str)] = &[
    (
        "whimbrel_job",
        "CREATE TABLE whimbrel_job (uuid TEXT PRIMARY KEY, spec TEXT NOT NULL, tables TEXT NOT NULL, \
         epoch INTEGER NOT NULL, token TEXT NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID",
    ),
    (
        "whimbrel_watermark",
        "CREATE TABLE whimbrel_watermark (job TEXT, feed TEXT, lane INTEGER, lanes INTEGER NOT NULL, \
         hash_version INTEGER NOT NULL, epoch INTEGER NOT NULL, batch INTEGER NOT NULL, from_pos BLOB NOT NULL, \
         to_pos BLOB NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (job, feed, lane)) WITHOUT ROWID",
    ),
    // A row for each table whose rows have SQLite's hidden number for a key, far above the numbers that VACUUM gives.
    ("whimbrel_rowid", "CREATE TABLE whimbrel_rowid (job TEXT, name TEXT)"),
    (
        "whimbrel_columns",
        "CREATE TABLE whimbrel_columns (job TEXT, name TEXT, columns TEXT NOT NULL, PRIMARY KEY (job, name)) WITHOUT ROWID",
    ),
];

/// `whimbrel_job.tables`, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Owned {
    /// What the job may write.
    pub claimed: Vec<TableName>,
    pub prepared: BTreeMap<TableName, Noted>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Noted {
    /// Nothing was prepared since it was finished.
    pub finished: bool,
    /// Which copy of the table it was prepared for.
    #[serde(default)]
    pub generation: u64,
    /// It was finished once: indexes that come later are made when they are told.
    #[serde(default)]
    pub stood: bool,
    /// Indexes that we made: their names at the source, and here.
    pub indexes: BTreeMap<String, String>,
}

/// Takes the job over, in one transaction that waits for whoever is writing.
pub(super) fn claim(db: &mut Database, claim: &Claim) -> Result<Opened> {
    for (name, sql) in TABLES {
        if !db.has_table(name)? {
            db.run(sql)?;
        }
    }
    refuse_newer(db)?;
    let job = claim.job.to_string();
    let mut owned = Owned::default();
    for Registered { uuid, spec, owned: of, epoch, token } in jobs(db)? {
        if uuid != job {
            let theirs = |table: &&TableName| of.claimed.iter().any(|other| same(table, other));
            if let Some(table) = claim.tables.iter().find(theirs) {
                return Err(Error::config(format!(
                    "{}: {} writes `{table}` already",
                    db.path.display(),
                    called(&uuid, &spec)
                ))
                .hint(format!("{THEIRS}, or leave the table out of this one")));
            }
            continue;
        }
        let ours = i64::try_from(claim.epoch).unwrap_or(i64::MAX);
        if epoch > ours || (epoch == ours && token != claim.token.to_string()) {
            return Err(taken_over(db, epoch, claim.epoch));
        }
        owned = of;
    }
    owned.claimed.clone_from(&claim.tables);
    let epoch = ValueRef::Int(i64::try_from(claim.epoch).unwrap_or(i64::MAX));
    db.statement(
        "INSERT INTO whimbrel_job(uuid, spec, tables, epoch, token, version) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT(uuid) DO UPDATE SET spec = excluded.spec, tables = excluded.tables, \
         epoch = excluded.epoch, token = excluded.token",
    )?
    .run([
        ValueRef::Text(&job),
        ValueRef::Text(&claim.spec),
        ValueRef::Text(&owned.json()),
        epoch,
        ValueRef::Text(&claim.token.to_string()),
        ValueRef::Int(VERSION),
    ])?;
    db.statement("UPDATE whimbrel_watermark SET epoch = ?2 WHERE job = ?1")?.run([ValueRef::Text(&job), epoch])?;
    for (feed, lanes, position) in &claim.feeds {
        for lane in 0..*lanes {
            db.statement(
                "INSERT INTO whimbrel_watermark(job, feed, lane, lanes, hash_version, epoch, batch, \
                 from_pos, to_pos, version) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?7, ?8) ON CONFLICT(job, feed, lane) DO NOTHING",
            )?
            .run([
                ValueRef::Text(&job),
                ValueRef::Text(feed.as_str()),
                ValueRef::Int(i64::from(lane)),
                ValueRef::Int(i64::from(*lanes)),
                ValueRef::Int(i64::from(COARSE_HASH_VERSION)),
                epoch,
                ValueRef::Bytes(position.bytes()),
                ValueRef::Int(VERSION),
            ])?;
        }
    }
    opened(db, &job, &owned)
}

/// What is moved by one part.
pub(super) struct Move<'a> {
    pub job: &'a str,
    pub epoch: u64,
    pub token: Uuid,
    pub feed: &'a Partition,
    pub lane: u16,
    pub lanes: u16,
    pub number: u64,
    pub from: &'a Position,
    pub to: &'a Position,
    /// A defence is taken away: tests only.
    pub ignores_epoch: bool,
}

/// Moves one lane's row, or says why it must not be (lane protocol 2). `?10`: only this lane may have the batch before.
pub(super) fn advance(db: &mut Database, to: &Move<'_>) -> Result<()> {
    let sql = match to.ignores_epoch {
        false => {
            "UPDATE whimbrel_watermark SET lanes = ?5, hash_version = ?6, batch = ?7, from_pos = ?8, to_pos = ?9 \
             WHERE job = ?1 AND feed = ?2 AND lane = ?3 AND epoch = ?4 AND batch < ?7 \
             AND EXISTS (SELECT 1 FROM whimbrel_watermark AS w \
             WHERE w.job = ?1 AND w.feed = ?2 AND (w.lane = ?3 OR NOT ?10) AND w.batch >= ?7 - 1) \
             AND EXISTS (SELECT 1 FROM whimbrel_job WHERE uuid = ?1 AND epoch = ?4 AND token = ?11)"
        }
        true => {
            "UPDATE whimbrel_watermark SET lanes = ?5, hash_version = ?6, batch = ?7, from_pos = ?8, to_pos = ?9 \
             WHERE job = ?1 AND feed = ?2 AND lane = ?3 AND ?4 IS NOT NULL AND batch < ?7 \
             AND ?10 IS NOT NULL AND ?11 IS NOT NULL"
        }
    };
    let moved = db.statement(sql)?.run([
        ValueRef::Text(to.job),
        ValueRef::Text(to.feed.as_str()),
        ValueRef::Int(i64::from(to.lane)),
        ValueRef::Int(i64::try_from(to.epoch).unwrap_or(i64::MAX)),
        ValueRef::Int(i64::from(to.lanes)),
        ValueRef::Int(i64::from(COARSE_HASH_VERSION)),
        ValueRef::Int(i64::try_from(to.number).unwrap_or(i64::MAX)),
        ValueRef::Bytes(to.from.bytes()),
        ValueRef::Bytes(to.to.bytes()),
        ValueRef::Int(i64::from(to.feed.as_str() == Partition::COPY)),
        ValueRef::Text(&to.token.to_string()),
    ])?;
    match moved {
        1 => Ok(()),
        _ => Err(not_moved(db, to)?),
    }
}

/// Why a lane's row was not moved. What is behind us was restored from a backup, under our hands: `open` and the start
/// path find out what is lost. What is before us is another daemon's.
fn not_moved(db: &mut Database, to: &Move<'_>) -> Result<Error> {
    let found = db
        .statement(
            "SELECT w.epoch, w.batch, j.token, (SELECT max(v.batch) FROM whimbrel_watermark AS v \
             WHERE v.job = ?1 AND v.feed = ?2 AND (v.lane = ?3 OR NOT ?4)) \
             FROM whimbrel_watermark AS w JOIN whimbrel_job AS j ON j.uuid = w.job AND j.epoch = w.epoch \
             WHERE w.job = ?1 AND w.feed = ?2 AND w.lane = ?3",
        )?
        .first(
            [
                ValueRef::Text(to.job),
                ValueRef::Text(to.feed.as_str()),
                ValueRef::Int(i64::from(to.lane)),
                ValueRef::Int(i64::from(to.feed.as_str() == Partition::COPY)),
            ],
            |row| (row.int(0), row.int(1).unsigned_abs(), schema::text(row.get(2)), row.int(3).unsigned_abs()),
        )?;
    let Some((epoch, batch, token, newest)) = found else {
        return Ok(Error::transient(format!("lane {} of feed `{}` has no watermark", to.lane, to.feed)));
    };
    let (lane, ours, path) = (to.lane, to.epoch, db.path.display());
    Ok(match epoch.unsigned_abs().cmp(&ours) {
        Ordering::Greater => taken_over(db, epoch, ours),
        Ordering::Equal if token != to.token.to_string() => taken_over(db, epoch, ours),
        Ordering::Less => Error::transient(format!(
            "{path}: the target went back to epoch {epoch}, ours is {ours}: it was restored from a backup"
        )),
        Ordering::Equal if batch >= to.number => {
            Error::transient(format!("lane {lane} has batch {batch} already, not to be applied twice"))
        }
        Ordering::Equal => Error::transient(format!(
            "{path}: the target stands at batch {newest} of feed `{}`, not at {}",
            to.feed,
            to.number.saturating_sub(1)
        )),
    })
}

/// Our tables are where `open` has left them: a backup from before that has none.
pub(super) fn prove_there(db: &mut Database) -> Result<()> {
    for (name, _) in TABLES {
        if !db.has_table(name)? {
            return Err(Error::transient(format!("{}: the table `{name}` is gone", db.path.display())));
        }
    }
    Ok(())
}

fn taken_over(db: &Database, theirs: i64, ours: u64) -> Error {
    Error::config(format!(
        "{}: another daemon has taken this job over (epoch {theirs}, ours is {ours})",
        db.path.display()
    ))
    .hint("stop this daemon if the other one is right; else stop the other one and start the job here again")
}

/// A row of `whimbrel_job`.
struct Registered {
    uuid: String,
    spec: String,
    owned: Owned,
    epoch: i64,
    token: String,
}

/// Every job of the file.
fn jobs(db: &mut Database) -> Result<Vec<Registered>> {
    let rows = db.rows("SELECT uuid, spec, tables, epoch, token FROM whimbrel_job ORDER BY uuid", [], |row| {
        let text = |column| schema::text(row.get(column));
        (text(0), text(1), text(2), row.int(3), text(4))
    })?;
    let read = |(uuid, spec, tables, epoch, token): (String, String, String, i64, String)| {
        let owned = serde_json::from_str(&tables).map_err(|error| {
            Error::config(format!("{}: the row of job {uuid} in `whimbrel_job` cannot be read", db.path.display()))
                .because(error)
                .hint(format!("restore it, or give the job up: DELETE FROM whimbrel_job WHERE uuid = '{uuid}'"))
        })?;
        Ok(Registered { uuid, spec, owned, epoch, token })
    };
    rows.into_iter().map(read).collect()
}

/// Every job here, by name and id, and the tables it has claimed.
pub(super) fn claims(db: &mut Database) -> Result<Vec<(String, Vec<TableName>)>> {
    if !db.has_table("whimbrel_job")? {
        return Ok(Vec::new());
    }
    let named = |Registered { uuid, spec, owned, .. }: Registered| {
        let spec: serde_json::Value = serde_json::from_str(&spec).unwrap_or_default();
        let name = spec["spec"]["name"].as_str().map(|name| format!("`{name}` ({uuid})"));
        (name.unwrap_or(uuid), owned.claimed)
    };
    Ok(jobs(db)?.into_iter().map(named).collect())
}

/// What one job owns; changed by `prepare` and `finish`.
pub(super) fn owned(db: &mut Database, job: &str) -> Result<Owned> {
    let found = jobs(db)?.into_iter().find(|registered| registered.uuid == job);
    found
        .map(|registered| registered.owned)
        .ok_or_else(|| Error::transient("the target does not know this job any more"))
}

pub(super) fn note(db: &mut Database, job: &str, owned: &Owned) -> Result<()> {
    db.statement("UPDATE whimbrel_job SET tables = ?2 WHERE uuid = ?1")?
        .run([ValueRef::Text(job), ValueRef::Text(&owned.json())])?;
    Ok(())
}

impl Owned {
    fn json(&self) -> String {
        serde_json::to_string(self).expect("names and flags are JSON")
    }
}

/// Every job of the file, for `state rebuild`.
pub(super) fn all(db: &mut Database) -> Result<Vec<JobRow>> {
    if !db.has_table("whimbrel_job")? {
        return Ok(Vec::new());
    }
    refuse_newer(db)?;
    let mut rows = Vec::new();
    for Registered { uuid, spec, owned, epoch, .. } in jobs(db)? {
        let job = uuid.parse().map_err(|error| {
            Error::config(format!("{}: `whimbrel_job` holds a job called `{uuid}`", db.path.display())).because(error)
        })?;
        let opened = opened(db, &uuid, &owned)?;
        rows.push(JobRow { job: JobId(job), spec, epoch: epoch.unsigned_abs(), opened });
    }
    Ok(rows)
}

/// Removes the job; with the last one all of ours goes.
pub(super) fn forget(db: &mut Database, job: JobId) -> Result<()> {
    if !db.has_table("whimbrel_job")? {
        return Ok(());
    }
    let job = job.to_string();
    for sql in [
        "DELETE FROM whimbrel_job WHERE uuid = ?1",
        "DELETE FROM whimbrel_watermark WHERE job = ?1",
        "DELETE FROM whimbrel_rowid WHERE job = ?1",
        "DELETE FROM whimbrel_columns WHERE job = ?1",
    ] {
        db.statement(sql)?.run([ValueRef::Text(&job)])?;
    }
    if db.number("SELECT 1 FROM whimbrel_job LIMIT 1")?.is_none() {
        for (name, _) in TABLES {
            db.run(&format!("DROP TABLE {name}"))?;
        }
    }
    Ok(())
}

fn opened(db: &mut Database, job: &str, owned: &Owned) -> Result<Opened> {
    let read = |row: Row<'_>| {
        let position = |column| match row.get(column) {
            ValueRef::Bytes(bytes) => Position::from_bytes(bytes),
            _ => None,
        };
        let small = |column| u16::try_from(row.int(column)).ok();
        Some(LaneMark {
            feed: Partition::new(&schema::text(row.get(0))),
            lane: small(1)?,
            lanes: small(2)?,
            hash_version: u8::try_from(row.int(3)).ok()?,
            epoch: row.int(4).unsigned_abs(),
            batch: row.int(5).unsigned_abs(),
            from: position(6)?,
            to: position(7)?,
        })
    };
    let marks: Option<Vec<LaneMark>> = db
        .rows(
            "SELECT feed, lane, lanes, hash_version, epoch, batch, from_pos, to_pos FROM whimbrel_watermark \
             WHERE job = ?1 ORDER BY feed, lane",
            [ValueRef::Text(job)],
            read,
        )?
        .into_iter()
        .collect();
    let marks = marks.ok_or_else(|| {
        Error::config(format!("{}: a row of `whimbrel_watermark` cannot be read", db.path.display())).hint(
            "a newer daemon wrote it, or somebody changed it: start that version, or delete the job and create it anew",
        )
    })?;
    let known = |noted: &Noted| target::Noted { generation: noted.generation, finished: noted.finished };
    let tables = owned.prepared.iter().map(|(name, noted)| (name.clone(), known(noted))).collect();
    Ok(Opened { marks, tables })
}

fn refuse_newer(db: &mut Database) -> Result<()> {
    let job = db.number("SELECT max(version) FROM whimbrel_job")?;
    let mark = db.number("SELECT max(version) FROM whimbrel_watermark")?;
    match job.max(mark) {
        Some(version) if version > VERSION => Err(Error::config(format!(
            "{}: our tables in it have version {version}, this daemon knows {VERSION}",
            db.path.display()
        ))
        .hint("start a daemon of the version that wrote them, or newer")),
        _ => Ok(()),
    }
}

/// SQLite takes names in other letters for the same.
pub(super) fn same(a: &TableName, b: &TableName) -> bool {
    a.schema.eq_ignore_ascii_case(&b.schema) && a.name.eq_ignore_ascii_case(&b.name)
}

/// By its name, if what is kept of it can be read.
fn called(uuid: &str, spec: &str) -> String {
    remembered_name(spec).map_or_else(|| format!("job {uuid}"), |name| format!("job `{name}` ({uuid})"))
}
