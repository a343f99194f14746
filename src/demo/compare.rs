//! Compares two SQLite files row by row, with nothing of the connector in between.

use rusqlite::{Connection, OpenFlags, Result, types::Value};
use std::{collections::BTreeSet, path::Path};

/// One difference, in words.
pub type Difference = String;

/// Differences listed at most; the count goes on.
const LISTED: usize = 20;

/// Reads both files table by table in key order and compares storage class and bytes of every value.
/// Returns how many rows were compared, and what differs. `carried`: these tables; none: all that are in the source.
pub fn compare(source: &Path, target: &Path, carried: &[String]) -> Result<(u64, Vec<Difference>)> {
    let (source, target) = (open(source)?, open(target)?);
    let there = tables(&target)?;
    // A job carries no table of a virtual one, and says so; it is not missing.
    let here = if carried.is_empty() { tables(&source)? } else { carried.iter().cloned().collect() };
    let mut differences = Vec::new();
    let mut rows = 0;
    for table in here.difference(&there) {
        differences.push(format!("table {table} is missing in the target"));
    }
    for table in here.intersection(&there) {
        rows += compare_table(&source, &target, table, &mut differences)?;
    }
    Ok((rows, differences))
}

fn open(path: &Path) -> Result<Connection> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.busy_timeout(std::time::Duration::from_secs(30))?;
    Ok(db)
}

fn tables(db: &Connection) -> Result<BTreeSet<String>> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
               AND name NOT LIKE 'whimbrel\\_%' ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%'";
    db.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

fn compare_table(
    source: &Connection,
    target: &Connection,
    table: &str,
    differences: &mut Vec<Difference>,
) -> Result<u64> {
    let sql = format!("SELECT * FROM \"{}\" ORDER BY {}", table.replace('"', "\"\""), order(source, table)?);
    let (mut one, mut two) = (source.prepare(&sql)?, target.prepare(&sql)?);
    let columns = one.column_count();
    if columns != two.column_count() {
        differences.push(format!("{table}: {columns} columns here, {} there", two.column_count()));
        return Ok(0);
    }
    let (mut one, mut two) = (one.query([])?, two.query([])?);
    let mut rows = 0;
    loop {
        let (here, there) = (one.next()?, two.next()?);
        let values = |row: Option<&rusqlite::Row<'_>>| {
            row.map(|row| (0..columns).map(|column| row.get::<_, Value>(column)).collect::<Result<Vec<_>>>())
                .transpose()
        };
        match (values(here)?, values(there)?) {
            (None, None) => return Ok(rows),
            (here, there) if same(here.as_deref(), there.as_deref()) => rows += 1,
            (here, there) => {
                if differences.len() < LISTED {
                    differences.push(format!("{table}: {here:?} here, {there:?} there"));
                }
                // Everything after a row too many differs as well; one difference a table is enough.
                return Ok(rows);
            }
        }
    }
}

/// The declared key, or the rowid, and everything else behind it where collations tie.
fn order(db: &Connection, table: &str) -> Result<String> {
    let sql = "SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk";
    let keys: Vec<String> = db.prepare(sql)?.query_map([table], |row| row.get(0))?.collect::<Result<_>>()?;
    let quoted: Vec<String> = keys.iter().map(|key| format!("\"{}\"", key.replace('"', "\"\""))).collect();
    Ok(if quoted.is_empty() { "rowid".to_owned() } else { quoted.join(", ") })
}

fn same(here: Option<&[Value]>, there: Option<&[Value]>) -> bool {
    let (Some(here), Some(there)) = (here, there) else { return false };
    here.iter().zip(there).all(|pair| match pair {
        // By bits: -0.0 is not 0.0, and a NaN would not be a NaN.
        (Value::Real(here), Value::Real(there)) => here.to_bits() == there.to_bits(),
        (here, there) => here == there,
    })
}
