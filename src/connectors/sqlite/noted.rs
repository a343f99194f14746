//! Which columns a job's tables were prepared with: one that is gone since was taken away by hand, with its values.

use super::{
    file::Database,
    schema::{ROWID, text},
    text::quote,
};
use crate::{
    error::{Error, Result},
    model::{Table, TableName, ValueRef},
    target,
};

pub(super) fn note(db: &mut Database, job: &str, table: &Table) -> Result<()> {
    let columns = table.columns.iter().filter(|column| column.declared != ROWID);
    let columns: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
    let json = serde_json::to_string(&columns).expect("names are JSON");
    let name = table.name.to_string();
    db.statement("INSERT OR REPLACE INTO whimbrel_columns(job, name, columns) VALUES (?1, ?2, ?3)")?.run([
        ValueRef::Text(job),
        ValueRef::Text(&name),
        ValueRef::Text(&json),
    ])?;
    Ok(())
}

/// Whether a column comes that is here already, and rows have a value in it: one that went and comes back, or of others.
pub(super) fn returns(db: &mut Database, job: &str, table: &Table, there: &Table) -> Result<bool> {
    let Some(noted) = columns(db, job, &table.name)? else { return Ok(false) };
    let is_in = |names: &[String], name: &str| names.iter().any(|other| other.eq_ignore_ascii_case(name));
    let here: Vec<String> = there.columns.iter().map(|column| column.name.clone()).collect();
    let names = table.columns.iter().filter(|column| column.declared != ROWID).map(|column| column.name.as_str());
    for name in names.filter(|name| !is_in(&noted, name) && is_in(&here, name)) {
        let sql = format!("SELECT 1 FROM {} WHERE {} IS NOT NULL LIMIT 1", quote(&table.name.name), quote(name));
        if !db.rows(&sql, [], |_| ())?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Refuses a table that lacks a column which it was prepared with; one that the source has no more may go here, too.
pub(super) fn prove(db: &mut Database, job: &str, table: &Table, there: &Table) -> Result<()> {
    let Some(columns) = columns(db, job, &table.name)? else { return Ok(()) };
    let has = |table: &Table, name: &str| table.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    let lost = columns.iter().find(|column| has(table, column) && !has(there, column));
    lost.map_or(Ok(()), |lost| Err(target::lost_column(&table.name, lost)))
}

/// What `prove` refuses of whichever job it is that writes the table.
pub(super) fn lost(db: &mut Database, table: &Table, there: &Table) -> Result<Option<Error>> {
    if !db.has_table("whimbrel_columns")? {
        return Ok(None);
    }
    let name = table.name.to_string();
    let sql = "SELECT job FROM whimbrel_columns WHERE name = ?1";
    let jobs = db.rows(sql, [ValueRef::Text(&name)], |row| text(row.get(0)))?;
    Ok(jobs.iter().find_map(|job| prove(db, job, table, there).err()))
}

fn columns(db: &mut Database, job: &str, name: &TableName) -> Result<Option<Vec<String>>> {
    let of = name.to_string();
    let json = db
        .statement("SELECT columns FROM whimbrel_columns WHERE job = ?1 AND name = ?2")?
        .first([ValueRef::Text(job), ValueRef::Text(&of)], |row| text(row.get(0)))?;
    let Some(json) = json else { return Ok(None) };
    serde_json::from_str(&json).map(Some).map_err(|error| {
        Error::config(format!("{}: the row of {name} in `whimbrel_columns` cannot be read", db.path.display()))
            .because(error)
            .hint(format!("delete it: DELETE FROM whimbrel_columns WHERE name = '{}'", of.replace('\'', "''")))
    })
}
