//! Transactions of applications: each statement keeps the store's rules, all become visible together or not at all.

use super::{
    cell::{Cell, RowKey},
    config::Cascades,
    decode::same,
    heap::{Heap, Step, Stored},
    log::{Logged, What},
    world::{Inner, World},
};
use crate::{
    error::{Error, Result},
    model::{Action, Column, Criterion, ForeignKey, Operator, Table, TableName, Unique, Value},
};
use std::{collections::BTreeSet, sync::Arc};

/// An open transaction. It holds the world's lock, so nothing else happens meanwhile.
pub struct Transaction<'w> {
    inner: &'w mut Inner,
    steps: Vec<Step>,
    logged: Vec<Logged>,
    touched: BTreeSet<(TableName, RowKey)>,
}

impl World {
    /// Runs one transaction; what fails in it undoes all of it. Gives its number.
    pub fn transact(&self, work: impl FnOnce(&mut Transaction<'_>) -> Result<()>) -> Result<u64> {
        let mut inner = self.lock();
        let mut transaction =
            Transaction { inner: &mut inner, steps: Vec::new(), logged: Vec::new(), touched: BTreeSet::new() };
        let done = work(&mut transaction).and_then(|()| transaction.check_deferred());
        let Transaction { steps, logged, .. } = transaction;
        if let Err(error) = done {
            inner.tables.undo(&steps);
            return Err(error);
        }
        let sequence = inner.commit(steps, &logged);
        drop(inner);
        self.changed.notify_waiters();
        Ok(sequence)
    }
}

impl Transaction<'_> {
    pub fn insert(&mut self, table: &TableName, values: Vec<Value>) -> Result<()> {
        let heap = self.heap(table)?;
        let key = heap.key_of(&values);
        if heap.get(&key).is_some() {
            return Err(Error::refused(format!("{table}: the key is there already")));
        }
        self.check_unique(table, &key, &values)?;
        self.check_parents(table, &values)?;
        let place = self.new_place(table);
        self.set(table, &key, Some(Stored { values: values.clone(), place }));
        self.log(table, What::Insert(values));
        Ok(())
    }

    /// Sets columns of the row with this key. Says whether there is one.
    pub fn update(&mut self, table: &TableName, key: &[Value], set: &[(usize, Value)]) -> Result<bool> {
        let heap = self.heap(table)?;
        let key = cells_of_key(heap, key);
        let Some(stored) = heap.get(&key).cloned() else { return Ok(false) };
        let mut after = stored.values.clone();
        set.iter().for_each(|(column, value)| after[*column] = value.clone());
        self.update_row(table, &key, &stored, after, true)?;
        Ok(true)
    }

    /// Deletes the row with this key. Says whether there was one.
    pub fn delete(&mut self, table: &TableName, key: &[Value]) -> Result<bool> {
        let heap = self.heap(table)?;
        let key = cells_of_key(heap, key);
        let Some(stored) = heap.get(&key).cloned() else { return Ok(false) };
        self.delete_row(table, &key, stored.values, true)?;
        Ok(true)
    }

    /// Deletes one of the rows that are equal to this (keyless tables). Says whether there was one.
    pub fn delete_one(&mut self, table: &TableName, values: &[Value]) -> Result<bool> {
        let found = find_equal(self.heap(table)?, values);
        let Some(key) = found else { return Ok(false) };
        self.delete_row(table, &key, values.to_vec(), true)?;
        Ok(true)
    }

    /// Updates one of the rows that are equal to this (keyless tables).
    pub fn update_one(&mut self, table: &TableName, values: &[Value], after: Vec<Value>) -> Result<bool> {
        let Some(key) = find_equal(self.heap(table)?, values) else { return Ok(false) };
        let stored = self.heap(table)?.get(&key).cloned().expect("just found");
        self.set(table, &key, Some(Stored { values: after.clone(), place: stored.place }));
        self.log(table, What::Update { before: values.to_vec(), after });
        Ok(true)
    }

    /// Empties a table that no foreign key points to.
    pub fn truncate(&mut self, table: &TableName) -> Result<()> {
        if !self.children_of(table).is_empty() {
            return Err(Error::refused(format!("{table}: a foreign key points here")));
        }
        let heap = self.heap(table)?;
        let empty = Heap::new(Arc::clone(&heap.shape), self.inner.habits.coarse, true);
        self.inner.tables.replace(table, Some(empty), &mut self.steps);
        self.log(table, What::Truncate);
        Ok(())
    }

    /// Adds a column. Rows get `fill`: NULL is told by the new shape alone, anything else is in no log.
    pub fn add_column(&mut self, table: &TableName, column: Column, fill: &Value) -> Result<()> {
        self.reshape(table, |shape| shape.columns.push(column), |row| row.push(fill.clone()))?;
        self.log(table, if *fill == Value::Null { What::Reshape } else { What::Recopy });
        Ok(())
    }

    /// Makes a unique index; fails where two rows have one value.
    pub fn add_unique(&mut self, table: &TableName, unique: Unique) -> Result<()> {
        self.reshape(table, |shape| shape.uniques.push(unique), |_| {})?;
        self.log(table, What::Reshape);
        Ok(())
    }

    /// Changes rows without a word in the log but that the table is to be read anew (re-created, renumbered).
    pub fn refill(&mut self, table: &TableName, mut change: impl FnMut(&mut Vec<Value>)) -> Result<()> {
        self.reshape(table, |_| {}, |row| change(row))?;
        self.log(table, What::Recopy);
        Ok(())
    }

    /// All rows of a table as this transaction sees them.
    pub fn rows(&self, table: &TableName) -> Vec<Vec<Value>> {
        let heap = self.inner.tables.get(table);
        heap.map(|heap| heap.rows().map(|(_, row)| row.values.clone()).collect()).unwrap_or_default()
    }

    pub fn shape(&self, table: &TableName) -> Option<Arc<Table>> {
        self.inner.tables.get(table).map(|heap| Arc::clone(&heap.shape))
    }

    fn heap(&self, table: &TableName) -> Result<&Heap> {
        self.inner.tables.get(table).ok_or_else(|| Error::refused(format!("there is no table {table}")))
    }

    fn set(&mut self, table: &TableName, key: &RowKey, row: Option<Stored>) {
        self.touched.insert((table.clone(), key.clone()));
        self.inner.tables.set(table, key, row, &mut self.steps);
    }

    fn log(&mut self, table: &TableName, what: What) {
        let table = Arc::clone(&self.inner.tables.get(table).expect("just changed").shape);
        self.logged.push(Logged { table, what });
    }

    fn new_place(&mut self, table: &TableName) -> u64 {
        let Inner { tables, chance, .. } = &mut *self.inner;
        tables.get(table).expect("the caller has looked the table up").free_place(chance)
    }

    fn update_row(
        &mut self,
        table: &TableName,
        key: &RowKey,
        stored: &Stored,
        after: Vec<Value>,
        log: bool,
    ) -> Result<()> {
        let heap = self.heap(table)?;
        let new_key = if heap.shape.is_keyless() { key.clone() } else { heap.key_of(&after) };
        if new_key != *key && heap.get(&new_key).is_some() {
            return Err(Error::refused(format!("{table}: the new key is there already")));
        }
        self.check_parents(table, &after)?;
        let moves = self.inner.chance.hits(300);
        let place = if moves { self.new_place(table) } else { stored.place };
        self.inner.counts.moved_rows += u64::from(place != stored.place);
        if new_key != *key {
            self.set(table, key, None);
        }
        self.check_unique(table, &new_key, &after)?;
        self.set(table, &new_key, Some(Stored { values: after.clone(), place }));
        if log {
            self.log(table, What::Update { before: stored.values.clone(), after: after.clone() });
        }
        self.cascade(table, &stored.values, Some(&after), log)
    }

    fn delete_row(&mut self, table: &TableName, key: &RowKey, values: Vec<Value>, log: bool) -> Result<()> {
        self.set(table, key, None);
        if log {
            self.log(table, What::Delete(values.clone()));
        }
        self.cascade(table, &values, None, log)
    }

    /// What foreign keys do to the rows that pointed to a changed row.
    fn cascade(&mut self, parent: &TableName, before: &[Value], after: Option<&[Value]>, log: bool) -> Result<()> {
        for (child, foreign) in self.children_of(parent) {
            let shape = Arc::clone(&self.heap(parent)?.shape);
            let wanted: Vec<Value> = shape.key.iter().map(|&column| before[column].clone()).collect();
            let new: Option<Vec<Value>> =
                after.map(|row| shape.key.iter().map(|&column| row[column].clone()).collect());
            if new.as_ref().is_some_and(|new| new.iter().zip(&wanted).all(|(new, old)| same(new, old))) {
                continue;
            }
            let heap = self.heap(&child)?;
            let pointing: Vec<(RowKey, Stored)> = heap
                .rows()
                .filter(|(_, row)| points_to(heap, &foreign, &row.values, &wanted))
                .map(|(key, row)| (key.clone(), row.clone()))
                .collect();
            if pointing.is_empty() {
                continue;
            }
            let action = if after.is_some() { foreign.on_update } else { foreign.on_delete };
            let patch = match (action, &new) {
                (Action::Cascade, None) => None,
                (Action::Cascade, Some(new)) => Some(new.clone()),
                (Action::SetNull, _) => Some(vec![Value::Null; foreign.columns.len()]),
                _ => return Err(Error::refused(format!("{child} points to the row"))),
            };
            // A change of the child's own key is always told row by row.
            let in_key = heap.shape.key.iter().any(|column| foreign.columns.contains(column));
            let matching = self.inner.habits.cascades == Cascades::Matching && !(in_key && patch.is_some());
            if matching && log {
                self.log_matching(&child, &foreign, &wanted, patch.as_deref());
            }
            for (key, stored) in pointing {
                match &patch {
                    None => self.delete_row_of_cascade(&child, &key, stored, log, matching)?,
                    Some(patch) => {
                        let mut values = stored.values.clone();
                        foreign.columns.iter().zip(patch).for_each(|(&column, value)| values[column] = value.clone());
                        self.update_row(&child, &key, &stored, values, log && !matching)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Its own children are told of, whether it is itself or is covered by a `Matching`.
    fn delete_row_of_cascade(
        &mut self,
        table: &TableName,
        key: &RowKey,
        stored: Stored,
        log: bool,
        matching: bool,
    ) -> Result<()> {
        self.set(table, key, None);
        if log && !matching {
            self.log(table, What::Delete(stored.values.clone()));
        }
        self.cascade(table, &stored.values, None, log)
    }

    fn log_matching(&mut self, child: &TableName, foreign: &ForeignKey, wanted: &[Value], patch: Option<&[Value]>) {
        let criteria = foreign.columns.iter().zip(wanted).map(|(&column, value)| Criterion {
            column: u16::try_from(column).expect("few columns"),
            operator: Operator::Equal,
            value: value.clone(),
        });
        let criteria = criteria.collect();
        let width = self.shape(child).map_or(0, |shape| shape.columns.len());
        let patch = patch.map(|patch| {
            let mut row = vec![None; width];
            foreign.columns.iter().zip(patch).for_each(|(&column, value)| row[column] = Some(value.clone()));
            row
        });
        self.log(child, What::Matching { criteria, patch });
    }

    fn children_of(&self, parent: &TableName) -> Vec<(TableName, ForeignKey)> {
        let tables = self.inner.tables.0.iter();
        tables
            .flat_map(|(name, heap)| heap.shape.foreign_keys.iter().map(move |foreign| (name, foreign)))
            .filter(|(_, foreign)| foreign.parent == *parent)
            .map(|(name, foreign)| (name.clone(), foreign.clone()))
            .collect()
    }

    fn check_parents(&self, table: &TableName, values: &[Value]) -> Result<()> {
        let heap = self.heap(table)?;
        for foreign in &heap.shape.foreign_keys {
            let wanted: Vec<Value> = foreign.columns.iter().map(|&column| values[column].clone()).collect();
            let parent = self.heap(&foreign.parent)?;
            if !wanted.contains(&Value::Null) && parent.get(&cells_of_key(parent, &wanted)).is_none() {
                return Err(Error::refused(format!("{table} points to a row of {} that is not there", foreign.parent)));
            }
        }
        Ok(())
    }

    fn check_unique(&self, table: &TableName, key: &RowKey, values: &[Value]) -> Result<()> {
        match self.heap(table)?.holder(values, key) {
            Some(_) if !self.inner.habits.deferred_uniques => {
                Err(Error::refused(format!("{table}: another row has this value")))
            }
            _ => Ok(()),
        }
    }

    fn check_deferred(&self) -> Result<()> {
        for (table, key) in &self.touched {
            let heap = self.heap(table)?;
            if heap.get(key).is_some_and(|row| heap.holder(&row.values, key).is_some()) {
                return Err(Error::refused(format!("{table}: two rows have one value")));
            }
        }
        Ok(())
    }

    fn reshape(
        &mut self,
        table: &TableName,
        shape: impl FnOnce(&mut Table),
        mut row: impl FnMut(&mut Vec<Value>),
    ) -> Result<()> {
        let heap = self.heap(table)?;
        let mut new = (*heap.shape).clone();
        new.version += 1;
        shape(&mut new);
        let mut after = Heap::new(Arc::new(new), self.inner.habits.coarse, true);
        let mut unnoted = super::heap::Tables::default();
        for (_, stored) in heap.rows() {
            let mut stored = stored.clone();
            row(&mut stored.values);
            let key = after.key_of(&stored.values);
            if after.get(&key).is_some() || after.holder(&stored.values, &key).is_some() {
                return Err(Error::refused(format!("{table}: two rows would be one")));
            }
            unnoted.0.insert(table.clone(), after);
            unnoted.set(table, &key, Some(stored), &mut Vec::new());
            after = unnoted.0.remove(table).expect("just put there");
        }
        self.inner.tables.replace(table, Some(after), &mut self.steps);
        Ok(())
    }
}

fn cells_of_key(heap: &Heap, key: &[Value]) -> RowKey {
    heap.shape.key.iter().zip(key).map(|(&column, value)| heap.cell(column, value)).collect()
}

fn points_to(heap: &Heap, foreign: &ForeignKey, values: &[Value], wanted: &[Value]) -> bool {
    let mut pairs = foreign.columns.iter().zip(wanted);
    pairs.all(|(&column, value)| {
        let own = heap.cell(column, &values[column]);
        own != Cell::Null && own == heap.cell(column, value)
    })
}

fn find_equal(heap: &Heap, values: &[Value]) -> Option<RowKey> {
    let equal =
        |row: &Stored| row.values.len() == values.len() && row.values.iter().zip(values).all(|(a, b)| same(a, b));
    heap.rows().find(|(_, row)| equal(row)).map(|(key, _)| key.clone())
}
