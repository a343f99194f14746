//! How large a followed file's tables are, and what a person should know before it is followed. In bounded time.

use super::{
    config::Config,
    disk,
    failure::Answer,
    file::Database,
    schema::{self, Access, Shape},
    text::quote,
};
use crate::{
    error::{Error, Result},
    model::{Finding, Severity, Table, ValueRef},
    source::{Size, Survey},
};
use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How exactly the time is kept.
const TICK: Duration = Duration::from_millis(5);
/// Places of a table at which its row numbers are looked at, and how many there: a few pages each.
const PLACES: i128 = 16;
const NUMBERS: i64 = 64;
/// Rows without their parents that are counted; more are "at least".
const ORPHANS: i64 = 1_000;

/// A connection of its own, whose statements end when their time is over.
struct Looker {
    db: Database,
    until: Arc<Mutex<Instant>>,
}

pub(super) fn survey(config: &Config, tables: &[Arc<Table>], within: Duration) -> Result<Survey> {
    let start = Instant::now();
    let until = Arc::new(Mutex::new(start + within));
    let db = Database::open(&config.path, config.busy, config.max_row_bytes)?;
    keep_time(&db, &until)?;
    let mut look = Looker { db, until };
    let mut survey = Survey {
        log:
            "it is a table in the source's file, `whimbrel_log`: kept without a bound until every job has applied it, \
              about 24 bytes and a key for each changed row"
                .into(),
        room: disk::room(&disk::folder(&config.path)),
        ..Survey::default()
    };
    look.settings(config, &mut survey.findings);
    // Sizes first: most of a plan depends on them.
    let mut shapes = Vec::new();
    for table in tables {
        look.give(start + within - within / 4);
        let shape = if look.is_over() { None } else { schema::read(&mut look.db, &table.name.name).ok().flatten() };
        survey.sizes.push(shape.as_ref().map(|shape| look.size(shape, start + within / 2)).unwrap_or_default());
        shapes.extend(shape);
    }
    look.give(start + within);
    for shape in &shapes {
        look.orphans(shape, &mut survey.findings);
    }
    Ok(survey)
}

/// Interrupts whatever runs on the connection when its time is over, as long as somebody holds `until`.
fn keep_time(db: &Database, until: &Arc<Mutex<Instant>>) -> Result<()> {
    let (clock, interrupt) = (Arc::downgrade(until), db.conn.get_interrupt_handle());
    let run = move || {
        while let Some(until) = clock.upgrade() {
            if Instant::now() >= *until.lock() {
                interrupt.interrupt();
            }
            drop(until);
            std::thread::sleep(TICK);
        }
    };
    let started = std::thread::Builder::new().name("sqlite-clock".into()).spawn(run);
    started.map(drop).map_err(|error| Error::transient("cannot start a thread to keep the time").because(error))
}

impl Looker {
    fn give(&self, until: Instant) {
        *self.until.lock() = until;
    }

    fn is_over(&self) -> bool {
        Instant::now() >= *self.until.lock()
    }

    fn settings(&self, config: &Config, findings: &mut Vec<Finding>) {
        if disk::has_wal(&self.db) == Some(false) {
            let text = "its journal is no write-ahead log: each read of a job holds up the application's writes for a \
                        moment, and the other way round";
            let finding = Finding::new(Severity::Warning, config.path.display().to_string(), text);
            findings.push(finding.mend("PRAGMA journal_mode = WAL"));
        }
    }

    /// `counting_until`: pages are counted as long as that; then it is estimated.
    fn size(&mut self, shape: &Shape, counting_until: Instant) -> Size {
        let now = Instant::now();
        let mut seen = Pages::default();
        if now < counting_until {
            let before = *self.until.lock();
            // Half of what is left, so that one huge table leaves time for the others.
            self.give(now + (counting_until - now) / 2);
            seen = self.pages(shape.name(), matches!(shape.access, Access::Table));
            self.give(before);
        }
        if seen.all {
            return Size { rows: Some(seen.rows), bytes: Some(seen.bytes + self.indexes(shape, counting_until)) };
        }
        let rows = match &shape.access {
            Access::Number(number) | Access::Index(_, number) => self.numbers(shape.name(), number),
            Access::Table => self.told(shape.name()),
        };
        // What was seen of it tells how large its rows are.
        let row_bytes = (seen.rows > 0).then(|| seen.bytes as f64 / seen.rows as f64);
        let bytes = rows.zip(row_bytes).map(|(rows, row_bytes)| (rows as f64 * row_bytes) as u64);
        Size { rows, bytes }
    }

    /// Walks the pages of one tree, not the rows in them.
    fn pages(&mut self, tree: &str, is_index: bool) -> Pages {
        let mut pages = Pages::default();
        let walked = self.db.rows(
            "SELECT pagetype, ncell, pgsize FROM dbstat WHERE schema = 'main' AND name = ?1",
            [ValueRef::Text(tree)],
            |row| {
                // In a table's own tree the inner pages hold only numbers.
                if is_index || schema::text(row.get(0)) == "leaf" {
                    pages.rows += row.int(1).unsigned_abs();
                }
                pages.bytes += row.int(2).unsigned_abs();
            },
        );
        pages.all = walked.is_ok();
        pages
    }

    /// Bytes of a table's other indexes, as far as there is time.
    fn indexes(&mut self, shape: &Shape, until: Instant) -> u64 {
        let sql = "SELECT name FROM pragma_index_list(?1, 'main')";
        let own = matches!(shape.access, Access::Table);
        let names = self.db.rows(sql, [ValueRef::Text(shape.name())], |row| schema::text(row.get(0)));
        let before = *self.until.lock();
        self.give(before.min(until.max(Instant::now() + Duration::from_millis(1))));
        let mut bytes = 0;
        for name in names.unwrap_or_default() {
            let is_the_table = own && name.starts_with("sqlite_autoindex_");
            bytes += if is_the_table { 0 } else { self.pages(&name, true).bytes };
        }
        self.give(before);
        bytes
    }

    /// Rows by their numbers: the room between the first and the last, and how densely it is filled at some places.
    fn numbers(&mut self, table: &str, number: &str) -> Option<u64> {
        let table = quote(table);
        let one = |look: &Looker, sql: &str, values: &[i64]| -> Answer<Option<i64>> {
            let values = values.iter().map(|value| ValueRef::Int(*value));
            Ok(look.db.rows(sql, values, |row| row.int(0))?.into_iter().next())
        };
        let first = one(self, &format!("SELECT {number} FROM {table} ORDER BY {number} LIMIT 1"), &[]).ok()?;
        let last = one(self, &format!("SELECT {number} FROM {table} ORDER BY {number} DESC LIMIT 1"), &[]).ok()?;
        let (Some(first), Some(last)) = (first, last) else { return Some(0) };
        let width = i128::from(last) - i128::from(first) + 1;
        let sql = format!(
            "SELECT {number} FROM {table} WHERE {number} >= ?1 ORDER BY {number} LIMIT 1 OFFSET {}",
            NUMBERS - 1
        );
        let (mut density, mut places) = (0.0, 0.0);
        for place in 0..PLACES {
            let at = i128::from(first) + (width - 1) * place / PLACES;
            let at = i64::try_from(at).expect("between two of its kind");
            // Where fewer than these follow, the end of the table is near: too little to judge by.
            if let Some(reached) = one(self, &sql, &[at]).ok()? {
                density += NUMBERS as f64 / (i128::from(reached) - i128::from(at) + 1) as f64;
                places += 1.0;
            }
        }
        let density = if places > 0.0 { density / places } else { 1.0 };
        Some((width as f64 * density.min(1.0)).round() as u64)
    }

    /// Rows as the last `ANALYZE` counted them.
    fn told(&mut self, table: &str) -> Option<u64> {
        let sql = "SELECT stat FROM sqlite_stat1 WHERE tbl = ?1 COLLATE NOCASE AND stat IS NOT NULL LIMIT 1";
        let stat = self.db.rows(sql, [ValueRef::Text(table)], |row| schema::text(row.get(0))).ok()?;
        stat.first()?.split(' ').next()?.parse().ok()
    }

    /// Rows whose parents are not there, although a foreign key asks for them.
    fn orphans(&mut self, shape: &Shape, findings: &mut Vec<Finding>) {
        if shape.table.foreign_keys.is_empty() {
            return;
        }
        let (subject, name) = (shape.table.name.to_string(), shape.name().replace('\'', "''"));
        let sql = format!("SELECT count(*) FROM (SELECT 1 FROM pragma_foreign_key_check(?1, 'main') LIMIT {ORPHANS})");
        let found = match self.is_over() {
            true => None,
            false => Some(self.db.rows(&sql, [ValueRef::Text(shape.name())], |row| row.int(0))),
        };
        let show = format!("PRAGMA foreign_key_check('{name}')");
        let finding = match found {
            Some(Ok(count)) => match count.first().copied().unwrap_or(0) {
                0 => return,
                count => {
                    let most = if count == ORPHANS { "at least " } else { "" };
                    let text =
                        format!("{most}{count} of its rows point to parents that are not there; they are carried so");
                    let them = format!(
                        "FROM {} WHERE rowid IN (SELECT rowid FROM pragma_foreign_key_check('{name}'))",
                        quote(shape.name())
                    );
                    // They are the user's: first to be looked at.
                    let mend = match shape.access {
                        Access::Table => show,
                        _ => format!(
                            "SELECT * {them}   -- shows them: give them their parents\nDELETE {them}   -- or let them go"
                        ),
                    };
                    Finding::new(Severity::Warning, subject, text).mend(mend)
                }
            },
            Some(Err(failure)) if !self.is_over() => {
                let text = format!("its foreign keys cannot be looked through: {}", failure.text);
                Finding::new(Severity::Warning, subject, text).mend(show)
            }
            _ => {
                let text = "too large to look for rows without their parents now";
                Finding::new(Severity::Info, subject, text).mend(show)
            }
        };
        findings.push(finding);
    }
}

/// What was seen of one tree.
#[derive(Default)]
struct Pages {
    rows: u64,
    bytes: u64,
    /// To its end.
    all: bool,
}
