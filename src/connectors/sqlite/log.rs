//! The tables that we keep in a source file: the change log, who follows what, and the shapes last seen.
//!
//! Numbers in the log have no gaps: they are `max + 1`, given under SQLite's one write lock, rolled back with their
//! transaction, and only the oldest rows are ever removed, never the newest. That is what makes a missing row provable.

use super::{
    failure::Answer,
    file::Database,
    position::{Proof, Token},
    schema::{self, Shape},
    statement::Row,
    triggers,
};
use crate::{
    error::{Error, Result},
    model::{JobId, Key, Table, ValueRef},
};
use std::{collections::BTreeMap, ops::ControlFlow};
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3;

/// Of the tables below; a newer one in a file is refused.
const FORMAT: i64 = 1;

/// What a table is made with. `tests/data/golden/sqlite-source-v1.sql` holds the same text.
///
/// `whimbrel_log.tbl` is the table's number, NULL for our own entries. The key columns have no type, so values keep
/// their storage class. `at` is a day number with milliseconds: the fastest clock that every SQLite since 2007 has.
pub(super) const TABLES: &[(&str, &str)] = &[
    ("whimbrel_source", "CREATE TABLE whimbrel_source (format INTEGER, token BLOB, next_number INTEGER)"),
    (
        "whimbrel_log",
        "CREATE TABLE whimbrel_log (seq INTEGER PRIMARY KEY, tbl INTEGER, \
         at REAL DEFAULT (julianday('now')), origin TEXT, k1)",
    ),
    (
        "whimbrel_table",
        "CREATE TABLE whimbrel_table (name TEXT PRIMARY KEY COLLATE NOCASE, number INTEGER, version INTEGER, \
         gone INTEGER, shape TEXT)",
    ),
    (
        "whimbrel_follow",
        "CREATE TABLE whimbrel_follow (job TEXT, name TEXT COLLATE NOCASE, acknowledged INTEGER, PRIMARY KEY (job, name))",
    ),
    (
        "whimbrel_change",
        "CREATE TABLE whimbrel_change (seq INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, kind TEXT, shape TEXT)",
    ),
    // One row, far above the numbers that VACUUM gives: where it is not, VACUUM has renumbered (hazards E13).
    ("whimbrel_vacuum", "CREATE TABLE whimbrel_vacuum (note TEXT)"),
];

/// The row number of our row in `whimbrel_vacuum` and the like.
pub(super) const HIGH: i64 = 1 << 40;

/// A followed table as we last saw it.
#[derive(Clone, Debug)]
pub(super) struct Followed {
    pub name: String,
    /// In `whimbrel_log.tbl` and the triggers' names. Never used again for a table that was made anew.
    pub number: i64,
    pub gone: bool,
    pub shape: Table,
}

/// Whether the file has a log of ours.
pub(super) fn is_there(db: &mut Database) -> Answer<bool> {
    db.has_table("whimbrel_source")
}

/// The log's token; `None` without a log.
pub(super) fn token(db: &mut Database) -> Result<Option<Token>> {
    if !is_there(db)? {
        return Ok(None);
    }
    let read = |row: Row<'_>| {
        let token = match row.get(1) {
            ValueRef::Bytes(token) => token.try_into().ok(),
            _ => None,
        };
        (row.int(0), token)
    };
    match db.statement("SELECT format, token FROM whimbrel_source")?.first([], read)? {
        Some((format, _)) if format > FORMAT => Err(Error::config(format!(
            "the change log in {} has format {format}, this daemon knows {FORMAT}",
            db.path.display()
        ))
        .hint("start a daemon of the version that wrote it, or newer")),
        Some((_, Some(token))) => Ok(Some(token)),
        _ => Err(Error::lost(format!("{}: `whimbrel_source` was changed by somebody", db.path.display()))
            .hint("delete the job and create it again with `existing: replace`")),
    }
}

/// Makes what is missing; says the log's token.
pub(super) fn install(db: &mut Database) -> Result<Token> {
    if let Some(token) = token(db)? {
        return Ok(token);
    }
    for (_, sql) in TABLES {
        db.run(sql)?;
    }
    let token: Token = *Uuid::new_v4().as_bytes();
    db.statement("INSERT INTO whimbrel_source VALUES (?1, ?2, 1)")?
        .run([ValueRef::Int(FORMAT), ValueRef::Bytes(&token)])?;
    stand_up_high(db)?;
    // The first row: there is always a newest one.
    add_entry(db)?;
    Ok(token)
}

/// Puts the row that VACUUM moves back to where it shows.
pub(super) fn stand_up_high(db: &mut Database) -> Answer<()> {
    db.run(&format!(
        "DELETE FROM whimbrel_vacuum; INSERT INTO whimbrel_vacuum(rowid, note) VALUES ({HIGH}, 'moved by VACUUM')"
    ))
}

/// Whether row numbers are still those that the applications gave.
pub(super) fn stands_high(db: &mut Database) -> Answer<bool> {
    Ok(db.number("SELECT rowid FROM whimbrel_vacuum")? == Some(HIGH))
}

/// An entry of our own; its number.
pub(super) fn add_entry(db: &mut Database) -> Answer<i64> {
    db.statement("INSERT INTO whimbrel_log(tbl) VALUES (NULL)")?.run([])?;
    Ok(db.conn.last_insert_rowid())
}

/// Room for the longest key.
pub(super) fn widen(db: &mut Database, keys: usize) -> Answer<()> {
    for sql in widening(db, keys)? {
        db.run(&sql)?;
    }
    Ok(())
}

/// What has to be run to have room for keys of so many columns. A log that is not there yet has room for one.
pub(super) fn widening(db: &Database, keys: usize) -> Answer<Vec<String>> {
    let have = db.rows("SELECT name FROM pragma_table_xinfo('whimbrel_log')", [], |row| schema::text(row.get(0)))?;
    let missing = (2..=keys).map(|at| format!("k{at}")).filter(|name| !have.contains(name));
    Ok(missing.map(|name| format!("ALTER TABLE whimbrel_log ADD COLUMN {name}")).collect())
}

pub(super) fn next_number(db: &mut Database) -> Answer<i64> {
    let number = db.number("SELECT next_number FROM whimbrel_source")?.unwrap_or(1);
    db.run("UPDATE whimbrel_source SET next_number = next_number + 1")?;
    Ok(number)
}

/// Every table that some job follows, by lower-case name.
pub(super) fn followed(db: &mut Database) -> Result<BTreeMap<String, Followed>> {
    let rows = db.rows("SELECT name, number, gone, shape FROM whimbrel_table", [], |row| {
        (schema::text(row.get(0)), row.int(1), row.int(2) != 0, schema::text(row.get(3)))
    })?;
    let read = |(name, number, gone, shape): (String, i64, bool, String)| {
        let shape = serde_json::from_str(&shape).map_err(|error| {
            Error::lost(format!("{}: `whimbrel_table` was changed by somebody", db.path.display()))
                .because(error)
                .hint("delete the job and create it again with `existing: replace`")
        })?;
        Ok((name.to_lowercase(), Followed { name, number, gone, shape }))
    };
    rows.into_iter().map(read).collect()
}

/// Remembers the shape of a followed table. Its version is that of the schema, which only grows, and above `before`.
pub(super) fn remember(db: &mut Database, number: i64, shape: &Shape, before: u64) -> Result<Table> {
    let version = u64::try_from(db.schema_version()?).unwrap_or(0).max(before + 1);
    let table = Table { version, ..Table::clone(&shape.table) };
    let json = serde_json::to_string(&table).expect("a shape is JSON");
    db.statement(
        "INSERT OR REPLACE INTO whimbrel_table(name, number, version, gone, shape) VALUES (?1, ?2, ?3, 0, ?4)",
    )?
    .run([
        ValueRef::Text(shape.name()),
        ValueRef::Int(number),
        ValueRef::Int(i64::try_from(version).unwrap_or(i64::MAX)),
        ValueRef::Text(&json),
    ])?;
    Ok(table)
}

/// Makes the triggers of a table as they should be now; whatever of ours was there goes first.
pub(super) fn hang(db: &mut Database, number: i64, shape: &Shape) -> Answer<()> {
    unhang(db, number)?;
    widen(db, shape.terms.len())?;
    for (_, sql) in triggers::of(shape, number) {
        db.run(&sql)?;
    }
    Ok(())
}

/// Name, table and text of every trigger of ours.
pub(super) fn hanging(db: &mut Database) -> Answer<Vec<(String, String, String)>> {
    db.rows(
        "SELECT name, tbl_name, sql FROM main.sqlite_schema WHERE type = 'trigger' AND name GLOB 'whimbrel_[0-9]*'",
        [],
        |row| (schema::text(row.get(0)), schema::text(row.get(1)), schema::text(row.get(2))),
    )
}

pub(super) fn unhang(db: &mut Database, number: i64) -> Answer<()> {
    let drops = triggers::names(number).map(|name| format!("DROP TRIGGER IF EXISTS {};", super::text::quote(&name)));
    db.run(&drops.concat())
}

/// The newest entry, with what proves it later.
pub(super) fn newest(db: &mut Database) -> Answer<Option<Proof>> {
    let sql = "SELECT * FROM whimbrel_log ORDER BY seq DESC LIMIT 1";
    db.statement(sql)?.first([], |row| Proof { seq: row.int(0).unsigned_abs(), stamp: stamp(row) })
}

/// The entry of this number, if it is there.
pub(super) fn entry(db: &mut Database, seq: u64) -> Answer<Option<Proof>> {
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    db.statement("SELECT * FROM whimbrel_log WHERE seq = ?1")?
        .first([ValueRef::Int(seq)], |row| Proof { seq: row.int(0).unsigned_abs(), stamp: stamp(row) })
}

pub(super) fn oldest(db: &mut Database) -> Answer<Option<u64>> {
    Ok(db.number("SELECT min(seq) FROM whimbrel_log")?.map(i64::unsigned_abs))
}

/// What an entry says, as one number. Columns that came later are NULL in older rows and do not count.
fn stamp(row: Row<'_>) -> u64 {
    let mut hash = Xxh3::new();
    let mut nulls = 0;
    for column in 1..row.columns() {
        match row.get(column) {
            ValueRef::Null => nulls += 1,
            value => {
                hash.update(&[nulls]);
                nulls = 0;
                hash.update(Key::from_values([value]).bytes());
            }
        }
    }
    hash.digest()
}

/// How far every job that follows something has acknowledged; nothing before is needed.
pub(super) fn needed_from(db: &mut Database) -> Answer<Option<i64>> {
    db.number("SELECT min(acknowledged) FROM whimbrel_follow")
}

/// Entries that one transaction removes: a few milliseconds of the write lock.
const PRUNED_AT_ONCE: i64 = 5_000;

/// Removes what nobody needs, a piece; says whether more is left. The newest entry and those that saved positions point
/// to stay.
pub(super) fn prune(db: &mut Database) -> Result<bool> {
    let Some(needed) = needed_from(db)? else { return Ok(false) };
    let first = db.number("SELECT min(seq) FROM whimbrel_log")?.unwrap_or(0);
    let last = db.number("SELECT max(seq) FROM whimbrel_log")?.unwrap_or(0);
    let needed = needed.min(last);
    let upto = needed.min(first + PRUNED_AT_ONCE);
    db.statement("DELETE FROM whimbrel_log WHERE seq < ?1")?.run([ValueRef::Int(upto)])?;
    db.statement("DELETE FROM whimbrel_change WHERE seq <= ?1")?.run([ValueRef::Int(upto)])?;
    crate::faults::point("sqlite/prune");
    Ok(upto < needed)
}

/// Undoes what `begin` made for a job: tables that no other job follows lose their triggers; with the last job all of
/// ours goes.
pub(super) fn release(db: &mut Database, job: JobId) -> Result<()> {
    if !is_there(db)? {
        return Ok(());
    }
    db.statement("DELETE FROM whimbrel_follow WHERE job = ?1")?.run([ValueRef::Text(&job.to_string())])?;
    let mut kept: Vec<String> = Vec::new();
    db.statement("SELECT DISTINCT name FROM whimbrel_follow")?.query([], |row| {
        kept.push(schema::text(row.get(0)).to_lowercase());
        Ok(ControlFlow::Continue(()))
    })?;
    for (name, table) in followed(db)?.into_iter().filter(|(name, _)| !kept.contains(name)) {
        unhang(db, table.number)?;
        db.statement("DELETE FROM whimbrel_table WHERE name = ?1")?.run([ValueRef::Text(&name)])?;
    }
    if kept.is_empty() {
        for (name, _) in TABLES {
            db.run(&format!("DROP TABLE {name}"))?;
        }
    }
    Ok(())
}
