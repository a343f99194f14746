//! SQLite as a source: what the engine may ask, handed to the thread that reads.

use super::{
    change,
    config::Config,
    copy::{self, CopyFeed},
    disk,
    feed::TailFeed,
    fetch::Fetcher,
    file::Database,
    fit, log,
    position::{self, Point, Proof},
    rights,
    schema::{self, SCHEMA, Shape},
    seen::{self, Seen},
    shapes::Shapes,
    split, survey,
    tail::{Tail, milliseconds},
    thread::Thread,
    triggers,
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{
        Batch, Checkpoint, Finding, JobId, KeyRange, Mark, Partition, Position, Severity, Table, TableName, ValueRef,
        without,
    },
    source::{Backlog, Columns, Feed, Fetched, Source, Survey, Wanted},
};
use async_trait::async_trait;
use std::{cmp::Ordering, sync::Arc, time::Duration};

/// Bytes of a log entry with an integer key, for status.
const ENTRY_BYTES: u64 = 24;

pub(super) struct SqliteSource {
    config: Arc<Config>,
    seen: Arc<Seen>,
    reader: Thread<Reads>,
    idle: copy::Idle,
}

impl SqliteSource {
    pub fn new(config: Arc<Config>) -> SqliteSource {
        let of_thread = Arc::clone(&config);
        let reader =
            Thread::start("sqlite-read", || Reads { fetcher: Fetcher::default(), db: None, config: of_thread });
        SqliteSource { config, seen: Arc::default(), reader, idle: copy::Idle::default() }
    }
}

/// The thread's side: one connection, opened when it is first needed and whenever the file was replaced.
struct Reads {
    fetcher: Fetcher,
    db: Option<Database>,
    config: Arc<Config>,
}

impl Reads {
    fn with<T>(&mut self, read: impl FnOnce(&mut Fetcher, &mut Database, &Config) -> Result<T>) -> Result<T> {
        if self.db.as_ref().is_some_and(|db| db.prove().is_err()) {
            self.fetcher = Fetcher::default();
            self.db = None;
        }
        if self.db.is_none() {
            self.db = Some(Database::open(&self.config.path, self.config.busy, self.config.max_row_bytes)?);
        }
        read(&mut self.fetcher, self.db.as_mut().expect("just opened"), &self.config)
    }
}

#[async_trait]
impl Source for SqliteSource {
    async fn check(&self, _: JobId, tables: &[Arc<Table>]) -> Result<Vec<Finding>> {
        let tables = tables.to_vec();
        self.reader.ask(move |reads| reads.with(|_, db, _| db.snapshot(|db| check(db, &tables)))).await
    }

    async fn tables(&self) -> Result<(Vec<Arc<Table>>, Vec<Finding>)> {
        self.reader.ask(|reads| reads.with(|_, db, _| db.snapshot(tables))).await
    }

    async fn begin(&self, job: JobId, tables: &[Arc<Table>]) -> Result<Checkpoint> {
        let names: Vec<TableName> = tables.iter().map(|table| table.name.clone()).collect();
        let seen = Arc::clone(&self.seen);
        let rounded_up = faults::on(Saboteur::BeginRoundedUp);
        self.reader
            .ask(move |reads| {
                reads.with(|_, db, _| {
                    if db.is_read_only() {
                        return Err(Error::config(format!("{} can only be read", db.path.display())).hint(
                            "let the daemon's user write the file and its directory: following needs triggers in it",
                        ));
                    }
                    let (token, newest) = db.write(|db| begin(db, job, &names))?;
                    seen.begin(token, newest);
                    let seq = newest.seq + u64::from(rounded_up);
                    Ok(Checkpoint::only(Point { token, seq, told: seq, proof: newest }.position()))
                })
            })
            .await
    }

    async fn release(&self, job: JobId) -> Result<()> {
        let path = self.config.path.clone();
        // A file that was deleted holds nothing; one on a disk that is not there might.
        if !path.exists() && path.parent().is_none_or(|parent| parent.as_os_str().is_empty() || parent.exists()) {
            tracing::warn!(
                %job, path = %path.display(),
                "the file is not there: if it comes back, it still has the tables and triggers `whimbrel_…` of the job"
            );
            return Ok(());
        }
        self.reader.ask(move |reads| reads.with(|_, db, _| db.write(|db| log::release(db, job)))).await
    }

    async fn mark(&self) -> Result<Mark> {
        let seen = Arc::clone(&self.seen);
        self.reader
            .ask(move |reads| {
                reads.with(|_, db, _| {
                    db.snapshot(|db| {
                        let (Some(token), Some(newest)) = (log::token(db)?, newest(db)?) else {
                            return Err(Error::lost(format!("{}: the change log is gone", db.path.display()))
                                .hint("delete the job and create it again with `existing: replace`"));
                        };
                        seen.note(token, newest);
                        Ok(position::mark(token, newest.seq))
                    })
                })
            })
            .await
    }

    async fn split(&self, table: &Arc<Table>, range: &KeyRange, pieces: usize) -> Result<Vec<KeyRange>> {
        let (name, range) = (table.name.clone(), range.clone());
        self.reader
            .ask(move |reads| {
                reads.with(|_, db, _| {
                    db.snapshot(|db| match schema::read(db, &name.name)? {
                        Some(shape) => Ok(split::split(db, &shape, &range, pieces)?),
                        None => Ok(vec![range]),
                    })
                })
            })
            .await
    }

    async fn copy(
        &self,
        table: &Arc<Table>,
        range: &KeyRange,
        columns: Columns,
        after: &Checkpoint,
    ) -> Result<Box<dyn Feed>> {
        let (config, seen) = (Arc::clone(&self.config), Arc::clone(&self.seen));
        Ok(Box::new(CopyFeed::new(config, &self.idle, &table.name, range, columns, after, seen)))
    }

    async fn fetch(&self, wanted: &[Wanted], after: &Checkpoint, max_bytes: usize) -> Result<Vec<Fetched>> {
        let (wanted, after, seen) = (wanted.to_vec(), after.clone(), Arc::clone(&self.seen));
        self.reader
            .ask(move |reads| {
                reads.with(|fetcher, db, config| fetcher.fetch(db, config, &wanted, &after, max_bytes, &seen))
            })
            .await
    }

    async fn tail(
        &self,
        job: JobId,
        from: &Checkpoint,
        edges: &[Checkpoint],
        tables: &[TableName],
    ) -> Result<Box<dyn Feed>> {
        self.idle.close();
        let only = Partition::new(Partition::ONLY);
        let from = from.get(&only).cloned().ok_or_else(|| {
            Error::lost("the saved checkpoint holds no position of this source")
                .hint("delete the job and create it again with `existing: replace`")
        })?;
        let edges: Vec<Position> = edges.iter().filter_map(|edge| edge.get(&only).cloned()).collect();
        let (config, seen, tables) = (Arc::clone(&self.config), Arc::clone(&self.seen), tables.to_vec());
        let edges = if faults::on(Saboteur::EdgeCrossed) { Vec::new() } else { edges };
        let open = move || {
            let db = Database::open(&config.path, config.busy, config.max_row_bytes)?;
            Tail::open(db, job, &from, &edges, &tables, seen)
        };
        Ok(Box::new(TailFeed::open(self.config.busy, open).await?))
    }

    fn cut(&self, batch: &Batch, taken: usize) -> Position {
        let mutations = &batch.rows().mutations;
        // Rows may have been fetched for the batch since it was made.
        let to = Point::read(&batch.to).map(|to| self.seen.vouch(to));
        match (taken.checked_sub(1), to) {
            (_, Ok(to)) if taken >= mutations.len() => to.position(),
            (Some(last), Ok(to)) => {
                let seq = mutations[last].at;
                let told = Point::read(&batch.from).map_or(seq, |from| from.told.max(seq));
                Point { seq, told, ..to }.position()
            }
            _ => batch.from.clone(),
        }
    }

    fn seen(&self) -> Checkpoint {
        self.seen.newest().map(|point| Checkpoint::only(point.position())).unwrap_or_default()
    }

    fn order(&self, a: &Position, b: &Position) -> Result<Ordering> {
        position::order(a, b)
    }

    async fn backlog(&self, _: JobId, from: &Checkpoint) -> Result<Backlog> {
        let seen = Arc::clone(&self.seen);
        let Some(position) = from.get(&Partition::new(Partition::ONLY)) else { return Ok(Backlog::default()) };
        let point = Point::read(position)?;
        self.reader.ask(move |reads| reads.with(|_, db, _| db.snapshot(|db| backlog(db, &point, &seen)))).await
    }

    async fn survey(&self, tables: &[Arc<Table>], within: Duration) -> Result<Survey> {
        let (config, tables) = (Arc::clone(&self.config), tables.to_vec());
        self.reader.ask(move |_| survey::survey(&config, &tables, within)).await
    }

    fn place(&self) -> Option<String> {
        disk::place(&self.config.path)
    }

    fn is_key_only(&self) -> bool {
        true
    }
}

fn newest(db: &mut Database) -> Result<Option<Proof>> {
    Ok(log::newest(db)?)
}

/// Installs the log and the triggers; says where the log stands. R1: SQLite has one writer, so whatever was committed
/// before this transaction is visible to every later read, and whatever comes after is noted.
fn begin(db: &mut Database, job: JobId, names: &[TableName]) -> Result<(position::Token, Proof)> {
    let token = log::install(db)?;
    // Other jobs' tails are told first what became of the tables that they share with this one.
    change::settle(db)?;
    db.statement("DELETE FROM whimbrel_follow WHERE job = ?1")?.run([ValueRef::Text(&job.to_string())])?;
    let mut followed = log::followed(db)?;
    for name in names {
        let known = followed.remove(&name.name.to_lowercase());
        if known.as_ref().is_none_or(|table| table.gone) {
            let shape = schema::read(db, &name.name)?.ok_or_else(|| {
                Error::config(format!("{name}: there is no such table any more"))
                    .hint("take it out of the job's `tables`")
            })?;
            let number = log::next_number(db)?;
            log::hang(db, number, &shape)?;
            log::remember(db, number, &shape, known.map_or(0, |table| table.shape.version))?;
        }
    }
    faults::point("sqlite/begin");
    let newest = log::newest(db)?.ok_or_else(|| {
        Error::lost(format!("{}: somebody emptied `whimbrel_log`", db.path.display()))
            .hint("delete every job that follows this file, then create them anew")
    })?;
    for name in names {
        let seq = i64::try_from(newest.seq).unwrap_or(i64::MAX);
        db.statement("INSERT INTO whimbrel_follow(job, name, acknowledged) VALUES (?1, ?2, ?3)")?.run([
            ValueRef::Text(&job.to_string()),
            ValueRef::Text(&name.name),
            ValueRef::Int(seq),
        ])?;
    }
    Ok((token, newest))
}

fn tables(db: &mut Database) -> Result<(Vec<Arc<Table>>, Vec<Finding>)> {
    let (names, mut findings) = schema::names(db)?;
    let mut shapes = Shapes::default();
    let mut tables = Vec::new();
    for name in names {
        match shapes.get(db, &name)? {
            Some(shape) => tables.push(Arc::clone(&shape.table)),
            None => findings.push(Finding::new(
                Severity::Warning,
                TableName::new(SCHEMA, name).to_string(),
                "not carried: it has no primary key, and columns of its own hide the row \
                 number (`rowid`, `_rowid_`, `oid`)",
            )),
        }
    }
    Ok((tables, findings))
}

/// What is missing, and the statements that `begin` runs.
fn check(db: &mut Database, tables: &[Arc<Table>]) -> Result<Vec<Finding>> {
    let file = db.path.display().to_string();
    let mut findings = Vec::new();
    if db.is_read_only() {
        let text = "the file can only be read, but following it needs triggers and a log in it";
        findings.push(rights::refused(&db.path, text));
    } else {
        findings.extend(rights::ours_alone(&db.path));
    }
    findings.extend(fit::unwritable(&disk::folder(&db.path)));
    if !log::is_there(db)? {
        for (name, sql) in log::TABLES {
            findings.push(Finding::new(Severity::Info, *name, "a table of ours will be made").mend(*sql));
        }
        findings.push(Finding::new(
            Severity::Info,
            &file,
            "triggers of ours will write to the file whenever the application does, and so does the daemon, briefly: \
             let the application wait for locks (`PRAGMA busy_timeout`); a writer that switches triggers off is not seen",
        ));
    }
    let known = match log::is_there(db)? {
        true => log::followed(db)?,
        false => Default::default(),
    };
    let mut number = match log::is_there(db)? {
        true => db.number("SELECT next_number FROM whimbrel_source")?.unwrap_or(1),
        false => 1,
    };
    let (mut longest, mut ours) = (1, Vec::new());
    for table in tables {
        let subject = table.name.to_string();
        let Some(shape) = schema::read(db, &table.name.name)? else {
            findings.push(Finding::new(Severity::Blocking, subject, "there is no such table"));
            continue;
        };
        findings.extend(check_table(db, &subject, &shape)?);
        longest = longest.max(shape.terms.len());
        if known.get(&table.name.name.to_lowercase()).is_none_or(|table| table.gone) {
            for (_, sql) in triggers::of(&shape, number) {
                ours.push(Finding::new(Severity::Info, &subject, "a trigger of ours will be made").mend(sql));
            }
            number += 1;
        }
    }
    for sql in log::widening(db, longest)? {
        findings.push(Finding::new(Severity::Info, "whimbrel_log", "room for longer keys will be made").mend(sql));
    }
    // In the order in which they are run: these write into that room.
    findings.append(&mut ours);
    Ok(findings)
}

fn check_table(db: &Database, subject: &str, shape: &Shape) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let strange = |collation: &str| !collation.is_empty() && !db.knows_collation(collation);
    if let Some(term) = shape.terms.iter().find(|term| strange(&term.collation)) {
        let text = format!(
            "the key is compared by `{}`, a collation of the application's own: nobody else can page through it",
            term.collation
        );
        findings.push(Finding::new(Severity::Blocking, subject, text).mend(without(subject)));
    } else if shape.may_have_null_key()
        && let Some(key) = copy::null_key(db, shape)?
    {
        let text = format!("the row with key {key} has NULL in its key and cannot be addressed");
        let nulls = shape.terms.iter().map(|term| format!("{} IS NULL", term.name)).collect::<Vec<_>>().join(" OR ");
        let them = format!("FROM {} WHERE {nulls}", super::text::quote(shape.name()));
        let mend = format!("SELECT * {them}   -- shows them: give them a key\nDELETE {them}   -- or let them go");
        findings.push(Finding::new(Severity::Blocking, subject, text).mend(mend));
    }
    let words = super::definition::names(shape.table.definition.as_deref().unwrap_or_default());
    if words.iter().any(|word| word == "autoincrement") {
        let text =
            "the counter behind AUTOINCREMENT is not carried: a target goes on after the largest number it holds";
        findings.push(Finding::new(Severity::Info, subject, text));
    }
    for column in triggers::unforeseen(shape) {
        let text = format!(
            "a row whose unique `{column}` gets a computed default in place of a NULL, by REPLACE, can take another row's \
             place unseen: do not write NULL there with INSERT OR REPLACE, or verify the table after it"
        );
        findings.push(Finding::new(Severity::Warning, subject, text));
    }
    if shape.is_by_hidden_number() {
        let text = "no primary key: rows are told apart by SQLite's hidden row number, so each `VACUUM` of the source \
                    means a new copy of this table, and a `VACUUM` of a target stops its job";
        findings.push(Finding::new(Severity::Warning, subject, text));
    }
    Ok(findings)
}

fn backlog(db: &mut Database, point: &Point, seen: &Seen) -> Result<Backlog> {
    seen::prove(db, point, seen)?;
    let newest = log::newest(db)?.map_or(point.seq, |newest| newest.seq);
    let changes = newest.saturating_sub(point.seq);
    let next = i64::try_from(point.seq + 1).unwrap_or(i64::MAX);
    let oldest = db
        .statement("SELECT at FROM whimbrel_log WHERE seq = ?1")?
        .first([ValueRef::Int(next)], |row| match row.get(0) {
            ValueRef::Float64(day) => Some(milliseconds(day)),
            _ => None,
        })?
        .flatten();
    Ok(Backlog { changes: Some(changes), bytes: Some(changes * ENTRY_BYTES), oldest_ms: oldest, kept_ms: None })
}
