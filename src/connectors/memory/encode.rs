//! Turns mutations into steps on a target's tables, statement by statement, with the rules of the store.

use super::{
    cell::{Cell, RowKey},
    decode::same,
    heap::{Heap, Step, Stored, Tables},
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{Change, Field, Kind, Mutation, NO_ROW, RowRef, Rows, Table, Value, ValueRef},
    target::{Applied, Clash},
};
use std::sync::Arc;

/// Applies `mutations` in order. The steps are in `steps` even where the answer is that it must be rolled back.
pub(super) fn execute(
    tables: &mut Tables,
    kind: Kind,
    rows: &Rows,
    mutations: &[Mutation],
    steps: &mut Vec<Step>,
) -> Result<Applied> {
    let fresh = matches!(kind, Kind::Copy { fresh: true });
    let mut work = Work { tables, steps, fresh, missing: Vec::new(), taken: Vec::new() };
    for (index, mutation) in mutations.iter().enumerate() {
        let shape = rows.table(mutation);
        work.one(rows, shape, mutation, index).map_err(|error| error.at(&shape.name))?;
    }
    // A clash first: the patches may find their rows once it is gone.
    Ok(match (work.taken.is_empty(), work.missing.is_empty()) {
        (false, _) => Applied::Taken(work.taken),
        (true, false) => Applied::Missing(work.missing),
        (true, true) => Applied::Done,
    })
}

struct Work<'w> {
    tables: &'w mut Tables,
    steps: &'w mut Vec<Step>,
    fresh: bool,
    missing: Vec<usize>,
    taken: Vec<Clash>,
}

impl Work<'_> {
    fn one(&mut self, rows: &Rows, shape: &Arc<Table>, mutation: &Mutation, index: usize) -> Result<()> {
        let row = (mutation.row != NO_ROW).then(|| rows.row(mutation.row));
        match (mutation.change, row) {
            (Change::Upsert, Some(row)) => self.upsert(shape, row, index),
            (Change::Patch, Some(row)) => self.patch(shape, row, index),
            (Change::Delete, Some(row)) if shape.is_keyless() => self.delete_equal(shape, row),
            (Change::Delete, Some(row)) => self.delete(shape, row),
            (Change::Truncate, _) => self.truncate(shape),
            (Change::Reshape | Change::Recopy, _) => self.reshape(shape),
            (Change::Matching, row) => self.matching(rows, shape, mutation, row),
            (change, _) => Err(Error::refused(format!("{change:?} is nothing that a target can be given"))),
        }
    }

    fn upsert(&mut self, shape: &Table, row: RowRef<'_>, index: usize) -> Result<()> {
        let heap = self.heap(shape)?;
        let Some(key) = key_in(heap, shape, row)? else { return self.insert_keyless(shape, row) };
        let before = heap.get(&key).cloned();
        if before.is_some() && self.fresh {
            return Err(Error::refused("a row with this key is there already")
                .hint("the copy is not as fresh as it was said to be: create a new job with `existing: merge`"));
        }
        let mut values =
            before.as_ref().map_or_else(|| vec![Value::Null; heap.shape.columns.len()], |s| s.values.clone());
        overlay(heap, shape, row, &mut values, |_| Err(Error::refused("an upsert that leaves fields unset")))?;
        self.write(shape, key, before, values, index)
    }

    fn patch(&mut self, shape: &Table, row: RowRef<'_>, index: usize) -> Result<()> {
        let heap = self.heap(shape)?;
        let key = key_in(heap, shape, row)?.ok_or_else(|| Error::refused("a patch of a row without a key"))?;
        let Some(before) = heap.get(&key).cloned() else {
            self.missing.push(index);
            return Ok(());
        };
        let mut values = before.values.clone();
        overlay(heap, shape, row, &mut values, |value| {
            if faults::on(Saboteur::UnsetAsNull) {
                *value = Value::Null;
            }
            Ok(())
        })?;
        self.write(shape, key, Some(before), values, index)
    }

    fn write(
        &mut self,
        shape: &Table,
        key: RowKey,
        before: Option<Stored>,
        values: Vec<Value>,
        index: usize,
    ) -> Result<()> {
        let heap = self.heap(shape)?;
        if let Some(holder) = heap.holder(&values, &key) {
            if faults::on(Saboteur::UpsertOverwritesHolder) {
                self.tables.set(&shape.name, &holder, None, self.steps);
            } else {
                let holder = heap.model_key(heap.get(&holder).expect("an index names rows"));
                self.taken.push(Clash { mutation: index, holder });
                return Ok(());
            }
        }
        let place = before.map_or_else(|| next_place(self.heap(shape).expect("looked up")), |before| before.place);
        self.tables.set(&shape.name, &key, Some(Stored { values, place }), self.steps);
        Ok(())
    }

    fn insert_keyless(&mut self, shape: &Table, row: RowRef<'_>) -> Result<()> {
        let heap = self.heap(shape)?;
        let mut values = vec![Value::Null; heap.shape.columns.len()];
        overlay(heap, shape, row, &mut values, |_| Err(Error::refused("an upsert that leaves fields unset")))?;
        let (key, place) = (heap.key_of(&values), next_place(heap));
        self.tables.set(&shape.name, &key, Some(Stored { values, place }), self.steps);
        Ok(())
    }

    fn delete(&mut self, shape: &Table, row: RowRef<'_>) -> Result<()> {
        let heap = self.heap(shape)?;
        if let Some(key) = key_in(heap, shape, row)?.filter(|key| heap.get(key).is_some()) {
            self.tables.set(&shape.name, &key, None, self.steps);
        }
        Ok(())
    }

    /// One row that is equal in all that the change names.
    fn delete_equal(&mut self, shape: &Table, row: RowRef<'_>) -> Result<()> {
        let heap = self.heap(shape)?;
        let named: Vec<(usize, Value)> = named(heap, shape, row)?;
        let equal = |stored: &Stored| named.iter().all(|(column, value)| same(&stored.values[*column], value));
        let found = heap.rows().find(|(_, stored)| equal(stored)).map(|(key, _)| key.clone());
        let key = found.ok_or_else(|| {
            Error::refused("there is no row equal to the one deleted")
                .hint("the table differs from its source: copy it again")
        })?;
        self.tables.set(&shape.name, &key, None, self.steps);
        Ok(())
    }

    fn truncate(&mut self, shape: &Table) -> Result<()> {
        let mut empty = self.heap(shape)?.clone();
        empty.clear();
        self.tables.replace(&shape.name, Some(empty), self.steps);
        Ok(())
    }

    /// Adds what the table lacks; what the source dropped is kept.
    fn reshape(&mut self, shape: &Arc<Table>) -> Result<()> {
        let heap = self.heap(shape)?;
        if let Some(wider) = heap.widened(shape) {
            self.tables.replace(&shape.name, Some(wider), self.steps);
        }
        Ok(())
    }

    fn matching(&mut self, rows: &Rows, shape: &Table, mutation: &Mutation, row: Option<RowRef<'_>>) -> Result<()> {
        let heap = self.heap(shape)?;
        let mut wanted = Vec::new();
        for (column, operator, value) in rows.criteria(mutation.before) {
            let lacking = || Error::refused(format!("the table has no column `{}`", shape.columns[column].name));
            let own = own_column(heap, shape, column)?.ok_or_else(lacking)?;
            wanted.push((own, operator, heap.collate_column(own, value)));
        }
        let meets = |stored: &Stored| {
            wanted.iter().all(|(column, operator, value)| {
                let own = heap.cell(*column, &stored.values[*column]);
                own != Cell::Null && *value != Cell::Null && operator.accepts(own.cmp(value))
            })
        };
        let found: Vec<(RowKey, Stored)> =
            heap.rows().filter(|(_, stored)| meets(stored)).map(|(key, row)| (key.clone(), row.clone())).collect();
        for (key, stored) in found {
            let after = match row {
                None => None,
                Some(row) => {
                    let mut values = stored.values.clone();
                    overlay(self.heap(shape)?, shape, row, &mut values, |_| Ok(()))?;
                    Some(Stored { values, ..stored })
                }
            };
            self.tables.set(&shape.name, &key, after, self.steps);
        }
        Ok(())
    }

    fn heap(&self, shape: &Table) -> Result<&Heap> {
        self.tables
            .get(&shape.name)
            .ok_or_else(|| Error::refused("there is no such table").hint("prepare creates it: start the job again"))
    }
}

/// The columns that a row names, with their values, in the terms of the target's table. Those it lacks are left out: the
/// log brings them (hazards A11).
fn named(heap: &Heap, shape: &Table, row: RowRef<'_>) -> Result<Vec<(usize, Value)>> {
    let mut named = Vec::new();
    for (column, field) in row.fields().enumerate() {
        if let Field::Value(value) = field {
            named.extend(own_column(heap, shape, column)?.map(|own| (own, value.to_owned())));
        }
    }
    Ok(named)
}

/// Writes what a row sets over `values`; `unset` is asked for each field that it does not.
fn overlay(
    heap: &Heap,
    shape: &Table,
    row: RowRef<'_>,
    values: &mut [Value],
    mut unset: impl FnMut(&mut Value) -> Result<()>,
) -> Result<()> {
    for (column, field) in row.fields().enumerate() {
        // A11: columns that the target lacks are left out, the log brings them.
        let Some(own) = own_column(heap, shape, column)? else { continue };
        match field {
            Field::Value(value) => values[own] = value.to_owned(),
            Field::Removed => values[own] = Value::Null,
            Field::Unset => unset(&mut values[own])?,
        }
    }
    Ok(())
}

/// Where the target's table has this column; `None` where it has not.
fn own_column(heap: &Heap, shape: &Table, column: usize) -> Result<Option<usize>> {
    let name = &shape.columns.get(column).ok_or_else(|| Error::refused("a field beyond the shape"))?.name;
    Ok(heap.shape.column(name))
}

/// The key of a row in the terms of the target's table; `None` where that has none.
fn key_in(heap: &Heap, shape: &Table, row: RowRef<'_>) -> Result<Option<RowKey>> {
    if heap.shape.is_keyless() {
        return Ok(None);
    }
    let mut key = Vec::with_capacity(heap.shape.key.len());
    for &own in &heap.shape.key {
        let name = &heap.shape.columns[own].name;
        let value: Option<ValueRef<'_>> = shape.column(name).and_then(|column| row.get(column).value());
        let value = value.ok_or_else(|| Error::refused(format!("a row without its key column `{name}`")))?;
        key.push(heap.collate_column(own, value));
    }
    Ok(Some(key))
}

/// Targets fill their disk from the front.
fn next_place(heap: &Heap) -> u64 {
    heap.last_place().map_or(0, |place| place + 1)
}
