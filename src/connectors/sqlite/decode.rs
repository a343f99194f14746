//! Turns rows of a query into rows of a slab.

use super::statement::Row;
use crate::model::{Place, RowBuilder};

/// The first `columns` values of a row, with their storage classes.
#[inline]
pub(super) fn row(row: Row<'_>, columns: usize, slab: &mut Vec<u8>) -> Place {
    let mut builder = RowBuilder::new(slab);
    for column in 0..columns {
        builder.value(row.get(column));
    }
    builder.finish()
}

/// A row of a table of which only the key is known: `key` holds, per column, which value of the query it is.
#[inline]
pub(super) fn key_row(row: Row<'_>, first: usize, key: &[Option<usize>], slab: &mut Vec<u8>) -> Place {
    let mut builder = RowBuilder::new(slab);
    for part in key {
        match part {
            Some(part) => builder.value(row.get(first + part)),
            None => builder.unset(),
        };
    }
    builder.finish()
}

/// Per column of a table its place in the key.
pub(super) fn key_places(table: &crate::model::Table) -> Vec<Option<usize>> {
    (0..table.columns.len()).map(|column| table.key.iter().position(|&key| key == column)).collect()
}
