//! What the images of a row in the log say has happened to it.

use super::{
    binlog::{Bytes, LoggedColumn, Operation, RowsEvent, bit, raw_value},
    image::{Misfit, Plan},
};
use crate::{
    error::{Error, Result},
    model::{Change, Field, Place, RowBuilder, RowRef, Table, TableName},
};

/// What rows under a table's number are to us.
pub(super) enum Watched {
    /// Somebody else's.
    Ignored,
    Rows {
        plan: Plan,
        followed: bool,
        parent: bool,
    },
    /// Not as the catalogue has it.
    Misfit {
        name: TableName,
        misfit: Misfit,
    },
    /// Altered further on: they cannot be read for certain, only counted.
    Ahead {
        name: TableName,
        columns: Vec<LoggedColumn>,
        followed: bool,
    },
}

/// One change, its row in the slab that was given.
pub(super) type OneChange = (Change, Place);

/// At most two: a row that moves to another key goes from the one and comes to the other. `Recopy`: of a table without a
/// key, where the log does not tell all of the row's values, which alone name it.
pub(super) fn of_row(
    plan: &Plan,
    event: &RowsEvent<'_>,
    before: Option<Place>,
    after: Option<Place>,
    slab: &mut Vec<u8>,
) -> Result<[Option<OneChange>; 2]> {
    let table = &plan.shape.table;
    let has_all = |bits: &[u8]| RowsEvent::has_all(bits, event.columns);
    let is_unread = |bits: &[u8], place: Option<Place>, slab: &[u8]| {
        place.is_some_and(|row| plan.has_unread(bits, RowRef::new(slab, row)))
    };
    let bits_after = if before.is_none() { event.present } else { event.present_after };
    let unread = is_unread(bits_after, after, slab);
    if table.is_keyless() {
        let after = match (before, after) {
            (Some(before), Some(after)) if !has_all(event.present_after) => Some(merge(slab, before, after)),
            _ => after,
        };
        let is_whole = |row: Place| RowRef::new(slab, row).fields().all(|field| field != Field::Unset);
        let tells_all = before.is_none_or(is_whole) && after.is_none_or(is_whole);
        if unread || is_unread(event.present, before, slab) || !tells_all {
            return Ok([before.or(after).map(|row| (Change::Recopy, row)), None]);
        }
        return Ok([before.map(|row| (Change::Delete, row)), after.map(|row| (Change::Upsert, row))]);
    }
    Ok(match (before, after) {
        (None, Some(after)) if has_all(event.present) && !unread => [Some((Change::Upsert, after)), None],
        // What the statement did not say, the server filled in: a default that the log does not tell.
        (None, Some(after)) => [Some((Change::Touched, key_row(table, slab, after)?)), None],
        (Some(before), None) => [Some((Change::Delete, key_row(table, slab, before)?)), None],
        (Some(before), Some(after)) => {
            let merged = match has_all(event.present_after) {
                true => after,
                false => merge(slab, before, after),
            };
            let moved = !same_key(table, RowRef::new(slab, before), RowRef::new(slab, merged));
            let is_whole = !unread && RowRef::new(slab, merged).fields().all(|field| field != Field::Unset);
            let now = match (is_whole, moved || unread) {
                (true, _) => (Change::Upsert, merged),
                (false, true) => (Change::Touched, key_row(table, slab, merged)?),
                (false, false) => (Change::Patch, merged),
            };
            let gone = match moved {
                true => Some((Change::Delete, key_row(table, slab, before)?)),
                false => None,
            };
            [gone, Some(now)]
        }
        (None, None) => [None, None],
    })
}

/// The fields after, and of those that are not told, the ones before: they did not change.
fn merge(slab: &mut Vec<u8>, before: Place, after: Place) -> Place {
    let [before, after] = [before, after].map(|place| RowRef::new(slab, place).bytes().to_vec());
    let mut row = RowBuilder::new(slab);
    for (before, after) in RowRef::new(&before, 0).fields().zip(RowRef::new(&after, 0).fields()) {
        row.field(if after == Field::Unset { before } else { after });
    }
    row.finish()
}

/// The key's fields, all others unset.
fn key_row(table: &Table, slab: &mut Vec<u8>, place: Place) -> Result<Place> {
    let whole = RowRef::new(slab, place).bytes().to_vec();
    let mut row = RowBuilder::new(slab);
    for (column, field) in RowRef::new(&whole, 0).fields().enumerate() {
        match table.key.contains(&column) {
            true if field == Field::Unset => return Err(partial(table)),
            true => row.field(field),
            false => row.unset(),
        };
    }
    Ok(row.finish())
}

fn same_key(table: &Table, a: RowRef<'_>, b: RowRef<'_>) -> bool {
    table.key.iter().all(|&column| a.get(column) == b.get(column))
}

fn partial(table: &Table) -> Error {
    Error::config(format!("{}: the log does not hold what names its rows", table.name))
        .hint("SET GLOBAL binlog_row_image = 'FULL'; it holds for sessions that begin after it")
}

/// How many rows an event has, of a table whose shape then is not known. `None`: it cannot be read.
pub(super) fn count(event: &RowsEvent<'_>, columns: &[LoggedColumn]) -> Option<u64> {
    let data = event.rows()?;
    let (mut bytes, mut count) = (Bytes(&data), 0);
    let skip = |bits: &[u8], bytes: &mut Bytes<'_>| {
        let present = (0..columns.len()).filter(|&column| bit(bits, column));
        let nulls = bytes.bits(present.clone().count())?;
        for (at, column) in present.enumerate() {
            if !bit(nulls, at) {
                raw_value(columns[column], bytes)?;
            }
        }
        Some(())
    };
    while !bytes.0.is_empty() {
        skip(event.present, &mut bytes)?;
        match event.operation {
            Operation::Update => skip(event.present_after, &mut bytes)?,
            Operation::PartialUpdate => {
                if bytes.packed()? & 1 == 1 {
                    let documents = columns.iter().filter(|column| column.kind == super::binlog::kind::JSON).count();
                    bytes.bits(documents)?;
                }
                skip(event.present_after, &mut bytes)?;
            }
            Operation::Insert | Operation::Delete => {}
        }
        count += 1;
    }
    Some(count)
}
