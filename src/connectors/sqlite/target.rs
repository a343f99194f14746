//! SQLite as a target: one connection on a thread of its own, all transactions one after the other.
//!
//! SQLite has one writer, so lanes bring nothing here; a job that asks for several gets their transactions in turn.

use super::{
    apply::{self, OwnedPart},
    config::Config,
    disk,
    file::Database,
    finish, fit,
    plan::Plans,
    prepare, relay,
    thread::Thread,
    watermark,
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{Existing, Finding, JobId, Table},
    source::Room,
    target::{Applied, Claim, Finished, JobRow, Opened, Part, Prepared, Scratch, Target},
};
use async_trait::async_trait;
use std::{fs, sync::Arc};
use tempfile::TempDir;

/// Less than this is no place to measure in: others need it.
const SCRATCH_ROOM: u64 = 1 << 30;

pub(super) struct SqliteTarget {
    config: Arc<Config>,
    writer: Thread<Writer>,
}

impl SqliteTarget {
    pub fn new(config: Arc<Config>) -> SqliteTarget {
        SqliteTarget::within(config, None)
    }

    /// `folder` goes when the thread has closed its file.
    fn within(config: Arc<Config>, folder: Option<TempDir>) -> SqliteTarget {
        let of_thread = Arc::clone(&config);
        let writer = Thread::start("sqlite-write", || Writer {
            plans: Plans::default(),
            open: None,
            renewed: false,
            config: of_thread,
            folder,
        });
        SqliteTarget { config, writer }
    }

    /// `None`: it is not there yet, or cannot be opened.
    fn has_wal(&self) -> Option<bool> {
        let Config { path, busy, max_row_bytes } = &*self.config;
        let db = path.exists().then(|| Database::open(path, *busy, *max_row_bytes).ok())??;
        disk::has_wal(&db)
    }

    /// Where temporary files are, since beside the target nothing may be written.
    fn make_scratch(&self) -> Result<Option<Scratch>> {
        let folder = tempfile::Builder::new().prefix("whimbrel-plan-").tempdir();
        let folder = folder.map_err(|error| Error::transient("no room to measure in").because(error))?;
        let Some(room) = disk::room(folder.path()).filter(|room| room.free >= SCRATCH_ROOM) else { return Ok(None) };
        let path = folder.path().join("scratch.db");
        if self.has_wal() == Some(false) {
            // An empty file is opened as it is, with a rollback journal as the target has.
            fs::File::create_new(&path).map_err(|error| Error::transient("no room to measure in").because(error))?;
        }
        let same = disk::room(&disk::folder(&self.config.path)).is_some_and(|target| target.volume == room.volume);
        let disk = if same { "the target's disk" } else { "another disk than the target's" };
        let place = folder.path().parent().unwrap_or(folder.path()).display().to_string();
        let about = format!("a file in {place}, on {disk}");
        let config = Config { path, busy: self.config.busy, max_row_bytes: self.config.max_row_bytes };
        let target = Box::new(SqliteTarget::within(Arc::new(config), Some(folder)));
        Ok(Some(Scratch { target, about }))
    }
}

/// The thread's side.
struct Writer {
    plans: Plans,
    open: Option<Open>,
    /// The open transaction made plans, and the temporary triggers of `relay`: they are gone if it is rolled back.
    renewed: bool,
    config: Arc<Config>,
    /// Of a scratch file. The last field: dropped when the file is closed.
    folder: Option<TempDir>,
}

/// What `open` has taken over.
struct Open {
    db: Database,
    job: String,
    claim: Claim,
}

impl Writer {
    fn open(&mut self, claim: Claim) -> Result<Opened> {
        // Plans hold the connection; an open transaction goes with it.
        self.plans = Plans::default();
        (self.open, self.renewed) = (None, false);
        let mut db = Database::open_or_create(&self.config.path, self.config.busy, self.config.max_row_bytes)?;
        if db.is_read_only() {
            return Err(Error::config(format!("{} can only be read", db.path.display()))
                .hint("let the daemon's user write the file and the directory it is in"));
        }
        let opened = db.write(|db| {
            let opened = watermark::claim(db, &claim)?;
            prepare::prove_not_renumbered(db, &claim.job.to_string())?;
            Ok(opened)
        })?;
        self.open = Some(Open { db, job: claim.job.to_string(), claim });
        Ok(opened)
    }

    fn opened(&mut self) -> Result<&mut Open> {
        let open = self.open.as_mut().ok_or_else(|| Error::transient("the target is not open"))?;
        open.db.prove()?;
        Ok(open)
    }

    fn prepare(&mut self, table: &Table, generation: u64) -> Result<Prepared> {
        let open = self.opened()?;
        let job = open.job.clone();
        let existing = open.claim.existing;
        open.db.write(|db| {
            watermark::prove_there(db)?;
            prepare::prepare(db, &job, table, generation, existing)
        })
    }

    fn finish(&mut self, table: &Table) -> Result<Finished> {
        let is_sample = self.folder.is_some();
        let open = self.opened()?;
        let job = open.job.clone();
        let finish = |db: &mut Database| {
            watermark::prove_there(db)?;
            let finished = finish::finish(db, &job, table)?;
            // A sample lacks most parents of its rows.
            if finished == Finished::Done && !is_sample {
                finish::examine_foreign_keys(db, table)?;
            }
            Ok(finished)
        };
        open.db.write_if(finish, |finished| *finished == Finished::Done)
    }

    fn apply(&mut self, part: &OwnedPart) -> Result<Applied> {
        let applied = self.try_apply(part);
        let is_open = self.open.as_ref().is_some_and(|open| !open.db.conn.is_autocommit());
        if !is_open && std::mem::take(&mut self.renewed) && !matches!(applied, Ok(Applied::Done)) {
            self.plans = Plans::default();
        }
        applied
    }

    fn try_apply(&mut self, part: &OwnedPart) -> Result<Applied> {
        let open = self.open.as_mut().ok_or_else(|| Error::transient("the target is not open"))?;
        open.db.prove()?;
        let (plans, renewed) = (&mut self.plans, &mut self.renewed);
        let is_held = !open.db.conn.is_autocommit();
        let transactional = open.claim.transactional;
        if !is_held {
            open.db.run("BEGIN IMMEDIATE")?;
        }
        let applied = (|| {
            if plans.renew(&mut open.db)? {
                *renewed = true;
                watermark::prove_there(&mut open.db)?;
                prepare::prove_not_renumbered(&mut open.db, &open.job)?;
                relay::renew(&mut open.db, &open.job)?;
            }
            if transactional {
                open.db.run("SAVEPOINT part")?;
            }
            apply::apply(&mut open.db, plans, &open.job, &open.claim, part)
        })();
        match applied {
            Ok(Applied::Done) if transactional && !part.complete => {
                open.db.run("RELEASE part")?;
                Ok(Applied::Held)
            }
            Ok(Applied::Done) => {
                faults::point("sqlite/apply-before-commit");
                open.db.commit()?;
                faults::point("sqlite/apply-after-commit");
                Ok(Applied::Done)
            }
            // In a transaction that holds earlier parts only this one is undone.
            Ok(other) if is_held => {
                open.db.run("ROLLBACK TO part; RELEASE part")?;
                Ok(other)
            }
            other => {
                open.db.rollback();
                other
            }
        }
    }
}

#[async_trait]
impl Target for SqliteTarget {
    async fn check(&self, tables: &[Arc<Table>], existing: Existing) -> Result<Vec<Finding>> {
        let (config, tables) = (Arc::clone(&self.config), tables.to_vec());
        self.writer.ask(move |_| fit::check(&config, &tables, existing)).await
    }

    async fn open(&self, claim: &Claim) -> Result<Opened> {
        let claim = claim.clone();
        self.writer.ask(move |writer| writer.open(claim)).await
    }

    async fn prepare(&self, table: &Arc<Table>, generation: u64) -> Result<Prepared> {
        let table = Arc::clone(table);
        self.writer.ask(move |writer| writer.prepare(&table, generation)).await
    }

    async fn apply(&self, part: Part<'_>) -> Result<Applied> {
        // Both are asked: a defence that nobody asks for proves nothing.
        let (zombie, epoch) = (faults::on(Saboteur::ZombieAllowed), faults::on(Saboteur::EpochIgnored));
        let part = OwnedPart::of(&part, zombie || epoch);
        self.writer.ask(move |writer| writer.apply(&part)).await
    }

    async fn finish(&self, table: &Arc<Table>) -> Result<Finished> {
        let table = Arc::clone(table);
        self.writer.ask(move |writer| writer.finish(&table)).await
    }

    async fn forget(&self, job: JobId) -> Result<()> {
        let config = Arc::clone(&self.config);
        let forget = move |writer: &mut Writer| {
            writer.plans = Plans::default();
            writer.open = None;
            if !config.path.exists() {
                return Ok(());
            }
            let mut db = Database::open(&config.path, config.busy, config.max_row_bytes)?;
            db.write(|db| watermark::forget(db, job))
        };
        self.writer.ask(forget).await
    }

    async fn jobs(&self) -> Result<Vec<JobRow>> {
        let config = Arc::clone(&self.config);
        let jobs = move |_: &mut Writer| {
            if !config.path.exists() {
                return Ok(Vec::new());
            }
            let mut db = Database::open(&config.path, config.busy, config.max_row_bytes)?;
            db.snapshot(watermark::all)
        };
        self.writer.ask(jobs).await
    }

    async fn room(&self) -> Result<Option<Room>> {
        Ok(disk::room(&disk::folder(&self.config.path)))
    }

    async fn scratch(&self) -> Result<Option<Scratch>> {
        self.make_scratch()
    }

    fn place(&self) -> Option<String> {
        disk::place(&self.config.path)
    }

    fn lanes(&self) -> u16 {
        1
    }
}
