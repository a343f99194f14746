//! Rows with large values: those are read by incremental I/O, straight into the slab, so that SQLite holds no copy of
//! them beside ours.
//!
//! Queries for rows run under `SMALL`: a larger value makes SQLite answer "too big" before it has loaded it, and the row
//! is asked for again, here. So rows without such values pay nothing.

use super::{
    failure::{Answer, Failure},
    file::Database,
    schema::{self, Access, Shape},
    statement::{Row, Statement},
    text::quote,
};
use crate::model::{Place, RowBuilder, ValueRef};
use rusqlite::{MAIN_DB, ffi};
use std::ops::ControlFlow;

/// No larger value is loaded with its row.
pub(super) const SMALL: u64 = 1 << 20;

/// What became of a row that was asked for.
pub(super) enum Read {
    Found(Place),
    Absent,
    /// Not to be read in this way: by the usual one, whole.
    Otherwise,
}

/// Reads the one row that `sql`, made for a list of columns, gives. A row above `max` bytes is "too big".
pub(super) fn row(
    db: &Database,
    shape: &Shape,
    max: u64,
    sql: impl Fn(&str) -> String,
    values: &[ValueRef<'_>],
    slab: &mut Vec<u8>,
) -> Answer<Read> {
    let number = match &shape.access {
        Access::Number(number) | Access::Index(_, number) => number,
        Access::Table => return Ok(Read::Otherwise),
    };
    let columns = &shape.table.columns;
    // SQLite opens no value of a table that has computed columns, and gives text as the file has it.
    if columns.iter().any(|column| column.generated) || !has_utf8(db)? {
        return Ok(Read::Otherwise);
    }
    let mut list = number.clone();
    for column in columns {
        let name = quote(&column.name);
        let is_large = format!("CASE WHEN octet_length({name}) > {SMALL} THEN");
        list.push_str(&format!(", {is_large} typeof({name}) END, {is_large} octet_length({name}) ELSE {name} END"));
    }
    let mut read = Ok(Read::Absent);
    Statement::new(&db.conn, &sql(&list))?.query(values.iter().copied(), |row| {
        read = write(db, shape, max, row, slab);
        Ok(ControlFlow::Break(()))
    })?;
    read
}

fn write(db: &Database, shape: &Shape, max: u64, row: Row<'_>, slab: &mut Vec<u8>) -> Answer<Read> {
    let start = slab.len();
    let columns = shape.table.columns.len();
    let kinds: Vec<String> = (0..columns).map(|column| schema::text(row.get(1 + 2 * column))).collect();
    let large = (0..columns).filter(|&column| !kinds[column].is_empty());
    let bytes: u64 = large.map(|column| row.int(2 + 2 * column).unsigned_abs()).sum();
    if bytes > max {
        return Err(too_big());
    }
    // At its exact size: growing by doubling would ask for twice as much.
    slab.reserve_exact(usize::try_from(bytes).unwrap_or(usize::MAX));
    let mut builder = RowBuilder::new(slab);
    for (column, kind) in kinds.iter().enumerate() {
        let value = row.get(2 + 2 * column);
        if kind.is_empty() {
            builder.value(value);
            continue;
        }
        let length = u32::try_from(row.int(2 + 2 * column)).map_err(|_| too_big())?;
        let room = builder.reserve_bytes(kind == "text", length);
        let name = shape.table.columns[column].name.as_str();
        db.conn.blob_open(MAIN_DB, shape.name(), name, row.int(0), true)?.read_at_exact(room, 0)?;
        if kind == "text" && std::str::from_utf8(room).is_err() {
            slab.truncate(start);
            return Ok(Read::Otherwise);
        }
    }
    Ok(Read::Found(builder.finish()))
}

fn has_utf8(db: &Database) -> Answer<bool> {
    let encoding = db.rows("PRAGMA main.encoding", [], |row| schema::text(row.get(0)))?;
    Ok(encoding.first().is_some_and(|encoding| encoding == "UTF-8"))
}

pub(super) fn too_big() -> Failure {
    Failure { code: ffi::SQLITE_TOOBIG, text: "row too big".to_owned() }
}
