//! Turns committed changes into what the log tells of them, by the store's habits. Pure.

use super::{
    cell::{Cell, RowKey, is_coarse},
    chance::mix,
    config::{Habits, Images},
    log::{Logged, What, hash_of},
};
use crate::model::{Change, Criterion, NO_ROW, Rows, Table, Value};
use std::sync::Arc;

/// One mutation as the log tells it. How many a transaction has never depends on who reads it.
#[derive(Clone, Debug)]
pub struct Emitted {
    pub table: Arc<Table>,
    pub change: Change,
    pub row: Option<Vec<Option<Value>>>,
    pub before: Option<Before>,
    /// Chooses the partition.
    pub hash: u64,
}

#[derive(Clone, Debug)]
pub enum Before {
    Row(Vec<Option<Value>>),
    Criteria(Vec<Criterion>),
}

impl Emitted {
    pub(super) fn push_to(&self, rows: &mut Rows, at: u64) {
        let shape = rows.shape(&self.table);
        let row = self.row.as_ref().map_or(NO_ROW, |row| rows.add_row(row));
        let before = match &self.before {
            None => NO_ROW,
            Some(Before::Row(row)) => rows.add_row(row),
            Some(Before::Criteria(criteria)) => rows.add_criteria(criteria),
        };
        rows.push(shape, self.change, row, before);
        rows.mutations.last_mut().expect("just pushed").at = at;
    }
}

pub(super) fn emit(habits: &Habits, sequence: u64, changes: &[Logged]) -> Vec<Emitted> {
    let mut emitted = Vec::new();
    for change in changes {
        let images = match habits.images {
            Images::Mixed => {
                [Images::Full, Images::External, Images::Changed, Images::Keys][(mix(sequence) % 4) as usize]
            }
            images => images,
        };
        emit_one(habits, images, change, &mut emitted);
    }
    emitted
}

fn emit_one(habits: &Habits, images: Images, change: &Logged, emitted: &mut Vec<Emitted>) {
    let table = &change.table;
    let mut push = |change, row, before, hash| {
        emitted.push(Emitted { table: Arc::clone(table), change, row, before, hash });
    };
    let key = |values: &[Value]| hash_of(&cells(habits, table, values));
    let keys_only = images == Images::Keys && !table.is_keyless();
    match &change.what {
        What::Insert(row) if keys_only => push(Change::Touched, Some(key_row(table, row)), None, key(row)),
        What::Insert(row) => push(Change::Upsert, Some(full(row)), None, key(row)),
        What::Delete(row) if keys_only => push(Change::Touched, Some(key_row(table, row)), None, key(row)),
        What::Delete(row) if table.is_keyless() => push(Change::Delete, Some(full(row)), None, key(row)),
        What::Delete(row) => push(Change::Delete, Some(key_row(table, row)), None, key(row)),
        What::Update { before, after } => {
            let moved = table.is_keyless() || table.key.iter().any(|&column| !same(&before[column], &after[column]));
            let image = after_image(table, images, before, after);
            let whole = image.iter().all(Option::is_some);
            match (keys_only, moved) {
                (true, false) => push(Change::Touched, Some(key_row(table, after)), None, key(after)),
                (true, true) => {
                    push(Change::Touched, Some(key_row(table, before)), None, key(before));
                    push(Change::Touched, Some(key_row(table, after)), None, key(after));
                }
                (false, true) if table.is_keyless() => {
                    push(Change::Delete, Some(full(before)), None, key(before));
                    push(Change::Upsert, Some(full(after)), None, key(after));
                }
                (false, true) => {
                    push(Change::Delete, Some(key_row(table, before)), None, key(before));
                    match whole {
                        true => push(Change::Upsert, Some(image), None, key(after)),
                        // The new key's row cannot be told whole.
                        false => push(Change::Touched, Some(key_row(table, after)), None, key(after)),
                    }
                }
                (false, false) if whole => {
                    push(Change::Upsert, Some(image), Some(Before::Row(full(before))), key(after));
                }
                (false, false) => push(Change::Patch, Some(image), None, key(after)),
            }
        }
        What::Truncate => push(Change::Truncate, None, None, 0),
        What::Reshape => push(Change::Reshape, None, None, 0),
        What::Recopy => push(Change::Recopy, None, None, 0),
        What::Matching { criteria, patch } => {
            push(Change::Matching, patch.clone(), Some(Before::Criteria(criteria.clone())), 0);
        }
    }
}

/// What the log says of a row after an update.
fn after_image(table: &Table, images: Images, before: &[Value], after: &[Value]) -> Vec<Option<Value>> {
    let told = |column: usize| {
        table.key.contains(&column)
            || match images {
                Images::External => {
                    table.columns[column].declared != "external" || !same(&before[column], &after[column])
                }
                Images::Changed if !table.is_keyless() => !same(&before[column], &after[column]),
                _ => true,
            }
    };
    after.iter().enumerate().map(|(column, value)| told(column).then(|| value.clone())).collect()
}

fn full(values: &[Value]) -> Vec<Option<Value>> {
    values.iter().cloned().map(Some).collect()
}

pub(super) fn key_row(table: &Table, values: &[Value]) -> Vec<Option<Value>> {
    values.iter().enumerate().map(|(column, value)| table.key.contains(&column).then(|| value.clone())).collect()
}

/// Byte for byte; a float's NaN is itself.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    let mut slab = Vec::new();
    let mut bytes = |value| {
        slab.clear();
        crate::model::RowBuilder::new(&mut slab).owned(value);
        slab.clone()
    };
    bytes(a) == bytes(b)
}

/// Unlike a heap's key, a keyless row's is all of it: equal rows share a partition.
fn cells(habits: &Habits, table: &Table, values: &[Value]) -> RowKey {
    let cell = |column: usize| Cell::owned(&values[column], is_coarse(&table.columns[column], habits.coarse));
    match table.is_keyless() {
        true => (0..values.len()).map(cell).collect(),
        false => table.key.iter().map(|&column| cell(column)).collect(),
    }
}
