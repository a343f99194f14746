//! Makes a target's tables, or compares those that are there.

use super::{
    columns::{affinity, declare},
    definition,
    file::Database,
    finish,
    log::HIGH,
    noted,
    schema::{self, ROWID, SCHEMA, Shape},
    text::{quote, quoted},
    watermark,
};
use crate::{
    error::{Error, Result},
    model::{Column, Equality, Existing, Table, TableName, ValueRef},
    target::{Finished, Prepared},
};

/// The statements that make `table`, without its unique and other indexes. Of a SQLite source: as it is declared there.
pub(super) fn create(table: &Table) -> Result<String> {
    if table.name.schema != SCHEMA {
        return Err(Error::config(format!("`{}`: a SQLite file has one schema, `{SCHEMA}`", table.name))
            .hint(format!("add to the job: `rename: {{\"{}.*\": \"{SCHEMA}.*\"}}`", table.name.schema)));
    }
    if let (true, Some(sql)) = (table.family == "sqlite", statement(table)) {
        let parents: Vec<&str> = table.foreign_keys.iter().map(|key| key.parent.name.as_str()).collect();
        return definition::for_target(sql, &table.name.name, &parents)
            .ok_or_else(|| Error::config(format!("`{}`: its definition cannot be read: {sql}", table.name)));
    }
    let mut parts: Vec<String> = table.columns.iter().map(declaration).collect();
    if !table.is_keyless() {
        let key = table.key.iter().map(|&column| table.columns[column].name.as_str());
        parts.push(format!("PRIMARY KEY ({})", quoted(key)));
    }
    for key in &table.foreign_keys {
        let names = quoted(key.columns.iter().map(|&column| table.columns[column].name.as_str()));
        let parent = quote(&key.parent.name);
        let columns = match key.parent_columns.is_empty() {
            true => String::new(),
            false => format!(" ({})", quoted(key.parent_columns.iter().map(String::as_str))),
        };
        parts.push(format!("FOREIGN KEY ({names}) REFERENCES {parent}{columns}"));
    }
    Ok(format!("CREATE TABLE {} ({})", quote(&table.name.name), parts.join(", ")))
}

fn declaration(column: &Column) -> String {
    let not_null = if column.nullable { "" } else { " NOT NULL" };
    format!("{} {}{not_null}", quote(&column.name), declare(column.kind))
}

/// The source's own statement for the table alone.
fn statement(table: &Table) -> Option<&str> {
    definition::statements(table.definition.as_deref()?).first().copied()
}

/// Creates or completes the table, inside a write transaction.
pub(super) fn prepare(
    db: &mut Database,
    job: &str,
    table: &Table,
    generation: u64,
    existing: Existing,
) -> Result<Prepared> {
    let sql = create(table)?;
    let there = schema::read(db, &table.name.name)?;
    let mut owned = watermark::owned(db, job)?;
    let known = owned.prepared.get(&table.name);
    if !existing.admits(table) && there.is_some() && known.is_none() && has_rows(db, table)? {
        return Ok(Prepared { has_rows: true, stale: false });
    }
    if let Some(noted) = known {
        let stale = match &there {
            _ if noted.generation != generation => noted.generation > generation,
            Some(there) => noted::returns(db, job, table, &there.table)?,
            None => true,
        };
        if stale {
            return Ok(Prepared { has_rows: there.is_some(), stale });
        }
    }
    match there {
        None => db.run(&sql)?,
        Some(there) => {
            let objections = compare(table, &there);
            if let Some((text, mend)) = objections.into_iter().next() {
                return Err(Error::config(format!("{}: {text}", table.name)).hint(format!("run at the target: {mend}")));
            }
            // A copy of its own brings the values of a column that was lost.
            if known.is_some_and(|noted| noted.generation == generation) {
                noted::prove(db, job, table, &there.table)?;
            }
            add_columns(db, table, &there)?;
        }
    }
    noted::note(db, job, table)?;
    let noted = owned.prepared.entry(table.name.clone()).or_default();
    (noted.finished, noted.generation) = (false, generation);
    let stood = noted.stood;
    // An index that the source has no more, or another one of that name, would refuse what the source allows.
    let wanted = finish::indexes(table)?;
    for (name, here) in std::mem::take(&mut noted.indexes) {
        let sql = "SELECT sql FROM main.sqlite_schema WHERE type = 'index' AND name = ?1";
        let have = db.rows(sql, [ValueRef::Text(&here)], |row| schema::text(row.get(0)))?;
        match wanted.iter().any(|(other, sql)| *other == name && have.iter().any(|have| finish::is_same(have, sql))) {
            true => drop(noted.indexes.insert(name, here)),
            false => db.run(&format!("DROP INDEX IF EXISTS {}", quote(&here)))?,
        }
    }
    watermark::note(db, job, &owned)?;
    if stood && finish::complete(db, job, table)? != Finished::Done {
        tracing::warn!(table = %table.name, "a unique index of the source cannot be made yet: rows have equal values");
    }
    if is_by_hidden_number(table) {
        stand_up_high(db, job, &table.name)?;
    }
    Ok(Prepared { has_rows: has_rows(db, table)?, stale: false })
}

fn has_rows(db: &Database, table: &Table) -> Result<bool> {
    let some = db.rows(&format!("SELECT 1 FROM {} LIMIT 1", quote(&table.name.name)), [], |_| ())?;
    Ok(!some.is_empty())
}

/// What stands in the way of writing `table` into the one that is there, and the statement that mends it.
pub(super) fn compare(table: &Table, there: &Shape) -> Vec<(String, String)> {
    let mut objections = Vec::new();
    let name = quote(&there.table.name.name);
    let column = |name: &str| there.table.columns.iter().find(|there| there.name.eq_ignore_ascii_case(name));
    let anew = format!("ALTER TABLE {name} RENAME TO {}", quote(&format!("{}_old", there.table.name.name)));
    let key: Vec<String> = table.key.iter().map(|&column| table.columns[column].name.to_lowercase()).collect();
    let have: Vec<String> =
        there.table.key.iter().map(|&column| there.table.columns[column].name.to_lowercase()).collect();
    if !table.is_keyless() && key != have {
        let text = format!("its key there is ({}), at the source ({})", have.join(", "), key.join(", "));
        objections.push((text, anew.clone()));
    }
    for (index, at_source) in table.columns.iter().enumerate() {
        let Some(here) = column(&at_source.name) else { continue };
        let is_key = table.key.contains(&index);
        if is_key && here.equality.is_coarse() && at_source.equality == Equality::Exact {
            let text = format!(
                "its key column `{}` takes more values for equal than the source does: two rows would become one",
                here.name
            );
            objections.push((text, anew.clone()));
        }
        // Values that the source keeps apart must stay what they are.
        let declared = if table.family == "sqlite" { at_source.declared.as_str() } else { declare(at_source.kind) };
        if at_source.declared != ROWID && here.declared != ROWID && affinity(declared) != affinity(&here.declared) {
            let text = format!(
                "its column `{}` is declared `{}` there, `{declared}` at the source: \
                 SQLite would change values on the way in",
                here.name, here.declared
            );
            objections.push((text, anew.clone()));
        }
        if here.generated && !at_source.generated {
            let text = format!("its column `{}` is computed there, but not at the source", here.name);
            objections.push((text, anew.clone()));
        }
    }
    for extra in &there.table.columns {
        let is_extra = table.columns.iter().all(|column| !column.name.eq_ignore_ascii_case(&extra.name));
        if is_extra
            && extra.declared != ROWID
            && !extra.nullable
            && !extra.generated
            && !has_default(there, &extra.name)
        {
            let text = format!("its column `{}` must not be NULL, has no default, and the source lacks it", extra.name);
            objections.push((text, format!("ALTER TABLE {name} DROP COLUMN {}", quote(&extra.name))));
        }
    }
    objections
}

fn has_default(there: &Shape, column: &str) -> bool {
    let sql = there.table.definition.as_deref().unwrap_or_default();
    let words = definition::column(sql, column).map(|sql| definition::names(&sql)).unwrap_or_default();
    words.iter().skip(1).any(|word| word == "default")
}

/// Adds what the source has and the target lacks, as the source declares it.
fn add_columns(db: &Database, table: &Table, there: &Shape) -> Result<()> {
    for column in table.columns.iter().filter(|column| column.declared != ROWID) {
        if there.table.columns.iter().any(|there| there.name.eq_ignore_ascii_case(&column.name)) {
            continue;
        }
        let sql = addition(table, column);
        // NOT NULL without a default is refused where rows are: they are without a value until they are copied again.
        let bare = add(table, &format!("{} {}", quote(&column.name), column.declared));
        let again = |failure| match column.generated {
            true => Err(failure), // Computed here as well, or not the same.
            false => db.run(&bare).map_err(|_| failure),
        };
        db.run(&sql).or_else(again).map_err(|failure| {
            Error::config(format!("{}: the source's column `{}` cannot be added", table.name, column.name))
                .because(failure)
                .hint(format!("add it at the target by hand, in a form that it takes: {sql}"))
        })?;
    }
    Ok(())
}

/// The statement that adds a column as the source declares it.
pub(super) fn addition(table: &Table, column: &Column) -> String {
    let own = || definition::column(statement(table)?, &column.name);
    let declared = (table.family == "sqlite").then(own).flatten();
    // A column of another kind of store: old rows cannot have a value yet.
    add(table, &declared.unwrap_or_else(|| format!("{} {}", quote(&column.name), declare(column.kind))))
}

fn add(table: &Table, declared: &str) -> String {
    format!("ALTER TABLE {} ADD COLUMN {declared}", quote(&table.name.name))
}

pub(super) fn is_by_hidden_number(table: &Table) -> bool {
    table.key.first().is_some_and(|&column| table.columns[column].declared == ROWID)
}

/// Notes, per table, a row that `VACUUM` of the target would move.
fn stand_up_high(db: &mut Database, job: &str, table: &TableName) -> Result<()> {
    let name = table.to_string();
    let found = db
        .statement("SELECT rowid FROM whimbrel_rowid WHERE job = ?1 AND name = ?2")?
        .first([ValueRef::Text(job), ValueRef::Text(&name)], |row| row.int(0))?;
    match found {
        Some(number) if number < HIGH => Err(renumbered(db, &name)),
        Some(_) => Ok(()),
        None => {
            db.statement(
                "INSERT INTO whimbrel_rowid(rowid, job, name) \
                 SELECT max(?3, coalesce(max(rowid) + 1, 0)), ?1, ?2 FROM whimbrel_rowid",
            )?
            .run([ValueRef::Text(job), ValueRef::Text(&name), ValueRef::Int(HIGH)])?;
            Ok(())
        }
    }
}

/// Refuses to write rows by numbers that `VACUUM` has changed.
pub(super) fn prove_not_renumbered(db: &mut Database, job: &str) -> Result<()> {
    let mut moved = None;
    db.statement("SELECT rowid, name FROM whimbrel_rowid WHERE job = ?1")?.query([ValueRef::Text(job)], |row| {
        if row.int(0) < HIGH {
            moved = Some(schema::text(row.get(1)));
        }
        Ok(std::ops::ControlFlow::Continue(()))
    })?;
    match moved {
        Some(name) => Err(renumbered(db, &name)),
        None => Ok(()),
    }
}

fn renumbered(db: &Database, table: &str) -> Error {
    Error::lost(format!(
        "{}: `VACUUM` gave the rows of `{table}` new numbers, and a table without primary key has no others",
        db.path.display()
    ))
    .hint("delete the job and create it again with `existing: replace`; give the table a primary key to be safe from this")
}
