//! Which columns a job's tables were prepared with: one that is gone since was taken away by hand, with its values.

use super::{
    file::Database,
    schema::{ROWID, text},
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

/// Refuses a table that lacks a column which it was prepared with.
pub(super) fn prove(db: &mut Database, job: &str, name: &TableName, there: &Table) -> Result<()> {
    let of = name.to_string();
    let json = db
        .statement("SELECT columns FROM whimbrel_columns WHERE job = ?1 AND name = ?2")?
        .first([ValueRef::Text(job), ValueRef::Text(&of)], |row| text(row.get(0)))?;
    let Some(json) = json else { return Ok(()) };
    let columns: Vec<String> = serde_json::from_str(&json).map_err(|error| {
        Error::config(format!("{}: the row of {name} in `whimbrel_columns` cannot be read", db.path.display()))
            .because(error)
            .hint(format!("delete it: DELETE FROM whimbrel_columns WHERE name = '{}'", of.replace('\'', "''")))
    })?;
    let has = |name: &str| there.columns.iter().any(|there| there.name.eq_ignore_ascii_case(name));
    columns.iter().find(|column| !has(column)).map_or(Ok(()), |lost| Err(target::lost_column(name, lost)))
}
