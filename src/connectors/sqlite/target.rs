//! SQLite as a target: one connection on a thread of its own, all transactions one after the other.
//!
//! SQLite has one writer, so lanes bring nothing here; a job that asks for several gets their transactions in turn.

use super::{
    apply::{self, OwnedPart},
    config::Config,
    file::Database,
    finish,
    plan::Plans,
    prepare, relay,
    schema::{self, SCHEMA},
    thread::Thread,
    watermark,
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{Existing, Finding, JobId, Severity, Table},
    target::{Applied, Claim, Finished, JobRow, Opened, Part, Prepared, Target},
};
use async_trait::async_trait;
use std::sync::Arc;

pub(super) struct SqliteTarget {
    config: Arc<Config>,
    writer: Thread<Writer>,
}

impl SqliteTarget {
    pub fn new(config: Arc<Config>) -> SqliteTarget {
        let of_thread = Arc::clone(&config);
        let writer = Thread::start("sqlite-write", || Writer {
            plans: Plans::default(),
            open: None,
            renewed: false,
            config: of_thread,
        });
        SqliteTarget { config, writer }
    }
}

/// The thread's side.
struct Writer {
    plans: Plans,
    open: Option<Open>,
    /// The open transaction made plans, and the temporary triggers of `relay`: they are gone if it is rolled back.
    renewed: bool,
    config: Arc<Config>,
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
        let open = self.opened()?;
        let job = open.job.clone();
        let finish = |db: &mut Database| {
            watermark::prove_there(db)?;
            finish::finish(db, &job, table)
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
        self.writer.ask(move |_| check(&config, &tables, existing)).await
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

    fn lanes(&self) -> u16 {
        1
    }
}

/// Looks at a target without making it.
fn check(config: &Config, tables: &[Arc<Table>], existing: Existing) -> Result<Vec<Finding>> {
    let file = config.path.display().to_string();
    let mut findings = Vec::new();
    for table in tables {
        if let Some(finding) = trial(table)? {
            findings.push(finding);
        }
    }
    if !config.path.exists() {
        let parent = config.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent.filter(|parent| !parent.is_dir()) {
            let text = format!("the directory {} is not there", parent.display());
            findings
                .push(Finding::new(Severity::Blocking, file, text).mend(format!("mkdir -p '{}'", parent.display())));
        } else {
            findings.push(Finding::new(Severity::Info, file, "the file will be made"));
        }
        return Ok(findings);
    }
    let mut db = Database::open(&config.path, config.busy, config.max_row_bytes)?;
    if db.is_read_only() {
        let mend = format!("chmod u+w '{file}'");
        findings.push(Finding::new(Severity::Blocking, &file, "the file can only be read").mend(mend));
    }
    db.snapshot(|db| {
        for (of, name) in schema::users_triggers(db)? {
            if tables.iter().any(|table| table.name.name.eq_ignore_ascii_case(&of)) {
                let text = format!("its trigger `{name}` does not fire for the rows that a job writes");
                findings.push(Finding::new(Severity::Warning, format!("{SCHEMA}.{of}"), text));
            }
        }
        for table in tables {
            let subject = table.name.to_string();
            let Some(there) = schema::read(db, &table.name.name)? else { continue };
            for (text, mend) in prepare::compare(table, &there) {
                findings.push(Finding::new(Severity::Blocking, &subject, text).mend(mend));
            }
            let sql = format!("SELECT count(*) FROM {}", super::text::quote(there.name()));
            let rows = db.rows(&sql, [], |row| row.int(0))?.first().copied().unwrap_or(0);
            if rows > 0 {
                let (severity, text) = match existing {
                    Existing::Refuse => (Severity::Blocking, format!("there are {rows} rows already")),
                    Existing::Merge => {
                        (Severity::Warning, format!("{rows} rows are there and stay beside the source's"))
                    }
                    Existing::Replace => {
                        (Severity::Warning, format!("{rows} rows are there; those that the source lacks will go"))
                    }
                };
                let finding = Finding::new(severity, &subject, text);
                findings.push(match existing {
                    Existing::Refuse => finding.mend("existing: merge   # or replace, in the job's target"),
                    _ => finding,
                });
            }
        }
        Ok(())
    })?;
    Ok(findings)
}

/// Makes the table in memory and compiles an insert: what needs the application's own functions or collations shows here.
fn trial(table: &Table) -> Result<Option<Finding>> {
    let sql = match prepare::create(table) {
        Ok(sql) => sql,
        Err(error) => {
            let finding = Finding::new(Severity::Blocking, table.name.to_string(), error.to_string());
            return Ok(Some(match error.hint_text() {
                Some(hint) => finding.mend(hint),
                None => finding,
            }));
        }
    };
    let memory = rusqlite::Connection::open_in_memory().map_err(super::failure::Failure::from)?;
    // The bundled library is built with foreign keys on; the parents are not in this memory.
    memory.execute_batch("PRAGMA foreign_keys = OFF").map_err(super::failure::Failure::from)?;
    let made = memory.execute_batch(&sql).and_then(|()| {
        let names = table.columns.iter().filter(|column| !column.generated).map(|column| column.name.as_str());
        let names: Vec<&str> = names.collect();
        let values = vec!["NULL"; names.len()].join(", ");
        let table = super::text::quote(&table.name.name);
        memory.prepare(&format!("INSERT INTO {table}({}) VALUES ({values})", super::text::quoted(names))).map(drop)
    });
    Ok(made.err().map(|error| {
        let text = format!("the table cannot be made here as it is declared at the source: {error}");
        let mend = format!("tables: [\"!{SCHEMA}.{}\"]", table.name.name);
        Finding::new(Severity::Blocking, table.name.to_string(), text).mend(mend)
    }))
}
