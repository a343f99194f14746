//! Who holds the unique values that a row wants.

use super::{
    connect::Session,
    decode,
    definition::{Definition, Line, kind},
    encode::{Misfit, Slot},
    failure,
    plan::Plan,
    text::quote,
};
use crate::{
    error::{Error, Result},
    model::{Key, RowRef, Table, Unique, ValueRef},
};
use mysql_async::{Row, prelude::Queryable};

/// Keys of all rows, other than the one with the row's own key, that stand in its way. Asked in the row's transaction;
/// `None`: another transaction holds such a row too, and both wait for each other, or too long.
pub(super) async fn holders(session: &mut Session, plan: &Plan, row: RowRef<'_>) -> Result<Option<Vec<Key>>> {
    if plan.is_keyless() {
        return Ok(Some(Vec::new()));
    }
    let mut holders: Vec<Key> = Vec::new();
    for unique in &plan.target.table.uniques {
        let Some(sql) = query(plan, unique, row).map_err(Error::refused)? else { continue };
        let rows: Vec<Row> = match session.conn.exec(sql, ()).await {
            Err(failure) if failure::is_lock(&failure) => return Ok(None),
            rows => rows.map_err(|failure| failure::error(failure, "looking for a unique value"))?,
        };
        for row in &rows {
            let key = key(plan, row)?;
            if !holders.contains(&key) {
                holders.push(key);
            }
        }
    }
    Ok(Some(holders))
}

/// Whether the table has a unique index of which nobody here can tell who holds a row's values: over expressions, or a key
/// over the beginnings of values.
pub(super) fn has_hidden(table: &Table) -> bool {
    let definition = || Definition::read(table.definition.as_deref()?);
    let is_cut = |line: &&str| kind(line) == Line::Primary && line.trim_end_matches(',').contains("`(");
    table.uniques.iter().any(|unique| terms(table, unique).is_none())
        || definition().is_some_and(|definition| definition.lines.iter().any(is_cut))
}

/// The key of a row of which the query has the key's columns only.
pub(super) fn key(plan: &Plan, row: &Row) -> Result<Key> {
    let (table, mut slab) = (&plan.target.table, Vec::new());
    let place = decode::key_row(row, table, &plan.target.natives, &mut slab)?;
    let key = Key::of(table, RowRef::new(&slab, place));
    key.ok_or_else(|| Error::transient(format!("{}: a row came without its key", table.name)))
}

/// What an index compares: the column, cut where only its beginning is in the index.
pub(super) struct Term {
    pub column: usize,
    pub prefix: Option<u32>,
}

impl Term {
    pub fn of(&self, text: &str) -> String {
        self.prefix.map_or_else(|| text.to_owned(), |length| format!("LEFT({text},{length})"))
    }
}

/// The terms of a unique index of a table; `None`: it is over expressions.
pub(super) fn terms(table: &Table, unique: &Unique) -> Option<Vec<Term>> {
    if !unique.columns.is_empty() {
        return Some(unique.columns.iter().map(|&column| Term { column, prefix: None }).collect());
    }
    let definition = Definition::read(table.definition.as_deref()?)?;
    let name = quote(&unique.name);
    let line = definition.lines.iter().find(|line| kind(line) == Line::Unique(&name))?;
    line_terms(table, line)
}

/// The terms of `UNIQUE KEY name (a, b(10) DESC)`.
pub(super) fn line_terms(table: &Table, line: &str) -> Option<Vec<Term>> {
    let Line::Unique(name) = kind(line) else { return None };
    let mut rest = line["UNIQUE KEY ".len() + name.len()..].trim_start().strip_prefix('(')?;
    let mut terms = Vec::new();
    loop {
        let Line::Column(name) = kind(rest) else { return None };
        let column = table.columns.iter().position(|column| quote(&column.name).eq_ignore_ascii_case(name))?;
        rest = &rest[name.len()..];
        let mut prefix = None;
        if let Some(inside) = rest.strip_prefix('(') {
            let (length, behind) = inside.split_once(')')?;
            (prefix, rest) = (Some(length.parse().ok()?), behind);
        }
        terms.push(Term { column, prefix });
        rest = rest.trim_start_matches(" DESC").trim_start_matches(" ASC");
        match rest.as_bytes().first()? {
            b',' => rest = rest[1..].trim_start(),
            _ => return Some(terms),
        }
    }
}

/// `None`: the index cannot be read, or the row has no value in it that clashes.
fn query(plan: &Plan, unique: &Unique, row: RowRef<'_>) -> Result<Option<String>, Misfit> {
    let target = &plan.target;
    let Some(terms) = terms(&target.table, unique) else { return Ok(None) };
    let by_key = plan.plain_key(row)?;
    let mut conditions = Vec::new();
    for term in &terms {
        let there = &target.table.columns[term.column];
        let name = quote(&there.name);
        // A computed column's value is the source's: nothing else tells it before the row is written.
        let wanted = match plan.source_column(&there.name).and_then(|column| row.get(column).value()) {
            // NULL equals nothing, as in the index itself.
            Some(ValueRef::Null) => return Ok(None),
            Some(value) => Slot::new(&there.name, &there.declared, target.natives[term.column].clone()).plain(value)?,
            // What the row with this key has now.
            None => format!("(SELECT own.{name} FROM {} AS own WHERE {by_key})", plan.name),
        };
        conditions.push(format!("{}={}", term.of(&name), term.of(&wanted)));
    }
    Ok(Some(format!(
        "SELECT {} FROM {} WHERE {} AND NOT ({by_key}) FOR UPDATE",
        target.key_list(),
        plan.name,
        conditions.join(" AND ")
    )))
}
