//! Our tables in a target: who writes what, and how far each lane is (lane protocol 1, 2).

use super::{
    connect::Session,
    failure::{self, Answer},
    noted::{Noted, Owned},
    schema::strings,
    text::{hex, literal, quote},
};
use crate::{
    error::{Error, Result},
    model::{BLOCK_HASH_VERSION, JobId, LaneMark, Partition, Position, THEIRS, TableName},
    state::remembered_name,
    target::{self, Claim, JobRow, Opened},
};
use mysql_async::{Row, prelude::Queryable};
use std::{cmp::Ordering, collections::BTreeMap};

/// Of the tables below, in each of their rows; a newer one is refused.
pub(super) const VERSION: u64 = 2;

/// Longer than one who takes a job over waits for the rows of a zombie.
const WAIT_SECS: u32 = 30;

const JOB: &str = "whimbrel_job";
const WATERMARK: &str = "whimbrel_watermark";
pub(super) const TABLE: &str = "whimbrel_table";

pub(super) const TABLES: [&str; 3] = [JOB, WATERMARK, TABLE];

/// `tests/data/golden/mysql-target-v2.sql` holds the same text. In the first version what is in `whimbrel_table` was a part
/// of the job's row, and was read and written whole for each table.
pub(super) const COLUMNS: [(&str, &str); 3] = [
    (
        JOB,
        "uuid CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY, spec LONGTEXT CHARACTER SET utf8mb4 \
         COLLATE utf8mb4_bin NOT NULL, `tables` LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, \
         epoch BIGINT UNSIGNED NOT NULL, token CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, \
         version INT UNSIGNED NOT NULL",
    ),
    (
        WATERMARK,
        "job CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, feed VARBINARY(255) NOT NULL, \
         lane SMALLINT UNSIGNED NOT NULL, lanes SMALLINT UNSIGNED NOT NULL, hash_version TINYINT UNSIGNED NOT NULL, \
         epoch BIGINT UNSIGNED NOT NULL, batch BIGINT UNSIGNED NOT NULL, from_pos MEDIUMBLOB NOT NULL, \
         to_pos MEDIUMBLOB NOT NULL, version INT UNSIGNED NOT NULL, PRIMARY KEY (job, feed, lane)",
    ),
    (
        TABLE,
        "job CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, name VARBINARY(600) NOT NULL, \
         waits TINYINT UNSIGNED NOT NULL, noted LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, \
         version INT UNSIGNED NOT NULL, PRIMARY KEY (job, name)",
    ),
];

/// Where our tables are: in the store's own database.
#[derive(Clone, Debug)]
pub(super) struct Home {
    database: String,
    pub(super) job: String,
    pub(super) watermark: String,
    /// See `noted`.
    pub(super) table: String,
}

impl Home {
    pub fn new(database: &str) -> Home {
        let named = |table: &str| format!("{}.{}", quote(database), quote(table));
        Home { database: database.to_owned(), job: named(JOB), watermark: named(WATERMARK), table: named(TABLE) }
    }

    /// Waits until nobody else takes a job over here, or forgets one: the last one that is forgotten takes our tables
    /// along. `admit` ends it, as the end of the connection does.
    pub async fn keep_out(&self, session: &mut Session) -> Result<()> {
        let locked = session.value(format!("SELECT GET_LOCK({}, {WAIT_SECS})", self.lock())).await.map_err(said)?;
        match locked.as_deref() {
            Some("1") => Ok(()),
            _ => Err(Error::transient("another daemon is just taking a job over in this database, or forgetting one")),
        }
    }

    pub async fn admit(&self, session: &mut Session) -> Result<()> {
        session.run(format!("DO RELEASE_LOCK({})", self.lock())).await.map_err(said)
    }

    /// The server has one space of names for all of its databases, and takes 64 characters; two databases that share the
    /// beginning of their names wait for each other.
    fn lock(&self) -> String {
        let beginning: String = self.database.to_lowercase().chars().take(40).collect();
        literal(&format!("whimbrel jobs in {beginning}"))
    }

    pub async fn is_there(&self, session: &mut Session) -> Answer<bool> {
        self.has(session, &[JOB, WATERMARK]).await
    }

    async fn has(&self, session: &mut Session, tables: &[&str]) -> Answer<bool> {
        let sql = format!(
            "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_NAME IN ('{}')",
            literal(&self.database),
            tables.join("', '")
        );
        Ok(session.value(sql).await? == Some(tables.len().to_string()))
    }

    /// Whether what the first version did not have is there, too.
    async fn is_whole(&self, session: &mut Session) -> Answer<bool> {
        self.has(session, &TABLES).await
    }

    /// Makes our tables, commits, and says so.
    pub async fn make(&self, session: &mut Session) -> Answer<()> {
        if self.is_whole(session).await? {
            return Ok(());
        }
        for (name, columns) in COLUMNS {
            let table = format!("{}.{}", quote(&self.database), quote(name));
            session.run(format!("CREATE TABLE IF NOT EXISTS {table} ({columns}) ENGINE=InnoDB")).await?;
        }
        Ok(())
    }

    /// Takes the job over, in the open transaction.
    pub async fn claim(&self, session: &mut Session, claim: &Claim) -> Result<Opened> {
        // All jobs, so that two cannot claim one table at the same time; then every lane of ours, which waits for whoever
        // has written to it and not committed.
        let jobs = self.jobs(session, " FOR UPDATE").await?;
        let lock = format!("SELECT lane FROM {} WHERE job = '{}' FOR UPDATE", self.watermark, claim.job);
        session.rows(lock).await.map_err(said)?;
        self.refuse_newer(session).await?;
        let folds = session.server.folds_names;
        let (mut owned, mut is_known) = (Owned::default(), false);
        for Registered { uuid, spec, owned: of, epoch, token } in jobs {
            if uuid != claim.job.to_string() {
                let theirs = |table: &&TableName| of.claimed.iter().any(|other| same(table, other, folds));
                if let Some(table) = claim.tables.iter().find(theirs) {
                    return Err(Error::config(format!("{} writes `{table}` already", called(&uuid, &spec)))
                        .hint(format!("{THEIRS}, or leave the table out of this one")));
                }
                continue;
            }
            if epoch > claim.epoch || (epoch == claim.epoch && token != claim.token.to_string()) {
                return Err(taken_over(epoch, claim.epoch));
            }
            (owned, is_known) = (of, true);
        }
        owned.claimed.clone_from(&claim.tables);
        let early = std::mem::take(&mut owned.prepared);
        self.write(session, claim, &owned, is_known).await.map_err(said)?;
        self.take_in(session, claim.job, early).await?;
        let uuid = claim.job.to_string();
        let prepared = self.prepared(session, &format!("job = '{uuid}'")).await?;
        self.opened(session, &uuid, &prepared).await
    }

    /// What the first version has noted.
    async fn take_in(&self, session: &mut Session, job: JobId, early: BTreeMap<TableName, Noted>) -> Result<()> {
        for (name, noted) in early {
            self.note(session, job, &name, &noted).await?;
        }
        Ok(())
    }

    async fn write(&self, session: &mut Session, claim: &Claim, owned: &Owned, is_known: bool) -> Answer<()> {
        let Home { job, watermark, .. } = self;
        let (uuid, epoch, token) = (claim.job, claim.epoch, claim.token);
        let (spec, tables) = (literal(&claim.spec), literal(&owned.json()));
        let sql = match is_known {
            true => format!(
                "UPDATE {job} SET spec = {spec}, `tables` = {tables}, epoch = {epoch}, token = '{token}', \
                 version = {VERSION} WHERE uuid = '{uuid}'"
            ),
            false => format!(
                "INSERT INTO {job} (uuid, spec, `tables`, epoch, token, version) \
                 VALUES ('{uuid}', {spec}, {tables}, {epoch}, '{token}', {VERSION})"
            ),
        };
        let mut rows = Vec::new();
        for (feed, lanes, position) in &claim.feeds {
            let (feed, position) = (hex(feed.as_str().as_bytes()), hex(position.bytes()));
            rows.extend((0..*lanes).map(|lane| {
                format!(
                    "('{uuid}', x'{feed}', {lane}, {lanes}, {BLOCK_HASH_VERSION}, {epoch}, 0, x'{position}', \
                     x'{position}', {VERSION})"
                )
            }));
        }
        let mut text = format!("{sql}; UPDATE {watermark} SET epoch = {epoch} WHERE job = '{uuid}'");
        if !rows.is_empty() {
            text += &format!(
                "; INSERT INTO {watermark} (job, feed, lane, lanes, hash_version, epoch, batch, from_pos, to_pos, version) \
                 VALUES {} ON DUPLICATE KEY UPDATE lane = lane",
                rows.join(", ")
            );
        }
        session.run(text).await
    }

    /// Proves the epoch in the open transaction, and locks the job.
    pub async fn prove(&self, session: &mut Session, claim: &Claim) -> Result<()> {
        let sql = format!("SELECT epoch, token FROM {} WHERE uuid = '{}' FOR UPDATE", self.job, claim.job);
        let found = session.rows(sql).await.map_err(said)?.into_iter().next();
        let found = found.ok_or_else(|| Error::transient("the target does not know this job any more"))?;
        let [epoch, token] = strings(found);
        let epoch = epoch.parse().unwrap_or(u64::MAX);
        match epoch.cmp(&claim.epoch) {
            Ordering::Equal if token == claim.token.to_string() => Ok(()),
            Ordering::Less => Err(Error::transient("the target went back to an older epoch: it was restored")),
            _ => Err(taken_over(epoch, claim.epoch)),
        }
    }

    /// Every job here, for `state rebuild`.
    pub async fn all(&self, session: &mut Session) -> Result<Vec<JobRow>> {
        self.refuse_newer(session).await?;
        let mut rows = Vec::new();
        let is_whole = self.is_whole(session).await.map_err(said)?;
        for Registered { uuid, spec, mut owned, epoch, .. } in self.jobs(session, "").await? {
            if is_whole {
                owned.prepared.extend(self.prepared(session, &format!("job = '{uuid}'")).await?);
            }
            let job = uuid
                .parse()
                .map_err(|error| Error::config(format!("`{JOB}` holds a job called `{uuid}`")).because(error))?;
            let opened = self.opened(session, &uuid, &owned.prepared).await?;
            rows.push(JobRow { job: JobId(job), spec, epoch, opened });
        }
        Ok(rows)
    }

    /// Every job here, by name and id, and the tables it has claimed.
    pub async fn claims(&self, session: &mut Session) -> Result<Vec<(String, Vec<TableName>)>> {
        let jobs = self.jobs(session, "").await?;
        Ok(jobs.into_iter().map(|job| (called(&job.uuid, &job.spec), job.owned.claimed)).collect())
    }

    /// Removes the job; with the last one all of ours goes.
    pub async fn forget(&self, session: &mut Session, job: JobId) -> Answer<()> {
        self.make(session).await?;
        session.run("START TRANSACTION").await?;
        session.run(format!("DELETE FROM {} WHERE uuid = '{job}'", self.job)).await?;
        session.run(format!("DELETE FROM {} WHERE job = '{job}'", self.watermark)).await?;
        session.run(format!("DELETE FROM {} WHERE job = '{job}'", self.table)).await?;
        session.run("COMMIT").await?;
        if session.value(format!("SELECT 1 FROM {} LIMIT 1", self.job)).await?.is_none() {
            session.run(format!("DROP TABLE {}, {}, {}", self.job, self.watermark, self.table)).await?;
        }
        Ok(())
    }

    /// For a person: removes all of ours.
    pub fn drop_sql(&self) -> String {
        format!("DROP TABLE IF EXISTS {}, {}, {};", self.job, self.watermark, self.table)
    }

    /// For a person: removes one job.
    pub fn delete_sql(&self, job: JobId) -> String {
        format!(
            "START TRANSACTION; DELETE FROM {} WHERE uuid = '{job}'; DELETE FROM {} WHERE job = '{job}'; \
             DELETE FROM {} WHERE job = '{job}'; COMMIT;",
            self.job, self.watermark, self.table
        )
    }

    async fn jobs(&self, session: &mut Session, lock: &str) -> Result<Vec<Registered>> {
        let sql = format!("SELECT uuid, spec, `tables`, epoch, token FROM {} ORDER BY uuid{lock}", self.job);
        let rows = session.rows(sql).await.map_err(said)?;
        let read = |row| {
            let [uuid, spec, tables, epoch, token] = strings(row);
            let owned = serde_json::from_str(&tables).map_err(|error| {
                Error::config(format!("the row of job {uuid} in `{JOB}` cannot be read"))
                    .because(error)
                    .hint(format!("restore it, or give the job up: DELETE FROM {} WHERE uuid = '{uuid}'", self.job))
            })?;
            Ok(Registered { uuid, spec, owned, epoch: epoch.parse().unwrap_or(u64::MAX), token })
        };
        rows.into_iter().map(read).collect()
    }

    async fn opened(&self, session: &mut Session, job: &str, prepared: &BTreeMap<TableName, Noted>) -> Result<Opened> {
        let sql = format!(
            "SELECT feed, lane, lanes, hash_version, epoch, batch, from_pos, to_pos FROM {} WHERE job = '{job}' \
             ORDER BY feed, lane",
            self.watermark
        );
        // Prepared: numbers come as numbers, positions as they are.
        let rows: Vec<Row> = session.conn.exec(sql, ()).await.map_err(said)?;
        let marks: Option<Vec<LaneMark>> = rows.iter().map(mark).collect();
        let marks = marks.ok_or_else(|| {
            Error::config(format!("a row of `{WATERMARK}` cannot be read")).hint(
                "a newer daemon wrote it, or somebody changed it: start that version, or delete the job and create it \
                 again with `existing: replace`",
            )
        })?;
        let known = |noted: &Noted| target::Noted { generation: noted.generation, finished: noted.finished };
        let tables = prepared.iter().map(|(name, noted)| (name.clone(), known(noted))).collect();
        Ok(Opened { marks, tables })
    }

    async fn refuse_newer(&self, session: &mut Session) -> Result<()> {
        let newest = |table: &str| format!("COALESCE((SELECT MAX(version) FROM {table}), 0)");
        let sql = format!("SELECT GREATEST({}, {})", newest(&self.job), newest(&self.watermark));
        match session.value(sql).await.map_err(said)?.and_then(|version| version.parse::<u64>().ok()) {
            Some(version) if version > VERSION => {
                Err(Error::config(format!("our tables there have version {version}, this daemon knows {VERSION}"))
                    .hint("start a daemon of the version that wrote them, or newer"))
            }
            _ => Ok(()),
        }
    }
}

/// A row of `whimbrel_job`.
struct Registered {
    uuid: String,
    spec: String,
    owned: Owned,
    epoch: u64,
    token: String,
}

fn mark(row: &Row) -> Option<LaneMark> {
    use mysql_async::{Value, from_value_opt};
    let bytes = |at: usize| match row.as_ref(at) {
        Some(Value::Bytes(bytes)) => Some(bytes.as_slice()),
        _ => None,
    };
    let number = |at: usize| from_value_opt::<u64>(row.as_ref(at)?.clone()).ok();
    Some(LaneMark {
        feed: Partition::new(std::str::from_utf8(bytes(0)?).ok()?),
        lane: number(1)?.try_into().ok()?,
        lanes: number(2)?.try_into().ok()?,
        hash_version: number(3)?.try_into().ok()?,
        epoch: number(4)?,
        batch: number(5)?,
        from: Position::from_bytes(bytes(6)?)?,
        to: Position::from_bytes(bytes(7)?)?,
    })
}

/// Names as the server compares them.
pub(super) fn same(a: &TableName, b: &TableName, folds: bool) -> bool {
    let equal = |a: &str, b: &str| if folds { a.to_lowercase() == b.to_lowercase() } else { a == b };
    equal(&a.schema, &b.schema) && equal(&a.name, &b.name)
}

pub(super) fn taken_over(theirs: u64, ours: u64) -> Error {
    Error::config(format!("another daemon has taken this job over (epoch {theirs}, ours is {ours})"))
        .hint("stop this daemon if the other one is right; else stop the other one and start the job here again")
}

pub(super) fn said(failure: mysql_async::Error) -> Error {
    failure::error(failure, "reading or writing our tables")
}

/// By its name, if what is kept of it can be read.
fn called(uuid: &str, spec: &str) -> String {
    remembered_name(spec).map_or_else(|| format!("job {uuid}"), |name| format!("job `{name}` ({uuid})"))
}
