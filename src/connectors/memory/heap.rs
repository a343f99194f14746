//! The rows of tables as a store keeps them: by key in its own equality, or by place, with unique indexes.

use super::{
    cell::{Cell, RowKey, is_coarse},
    chance::Chance,
};
use crate::model::{Key, RowRef, Table, TableName, Unique, Value, ValueRef};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub values: Vec<Value>,
    /// Where the row lies on the imagined disk; an update may move it.
    pub place: u64,
}

/// One table. Keyless rows are kept under their number.
#[derive(Clone, Debug)]
pub struct Heap {
    pub shape: Arc<Table>,
    coarse: Option<bool>,
    rows: BTreeMap<RowKey, Stored>,
    places: BTreeMap<u64, RowKey>,
    indexes: Vec<Index>,
}

#[derive(Clone, Debug)]
struct Index {
    columns: Vec<usize>,
    holders: BTreeMap<RowKey, BTreeSet<RowKey>>,
}

impl Heap {
    /// An empty table, with the unique indexes of its shape if they are to stand from the start.
    pub fn new(shape: Arc<Table>, coarse: Option<bool>, indexed: bool) -> Heap {
        let mut heap = Heap { shape, coarse, rows: BTreeMap::new(), places: BTreeMap::new(), indexes: Vec::new() };
        if indexed {
            heap.build_indexes().expect("an empty table has no doubles");
        }
        heap
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn get(&self, key: &RowKey) -> Option<&Stored> {
        self.rows.get(key)
    }

    pub fn rows(&self) -> impl Iterator<Item = (&RowKey, &Stored)> {
        self.rows.iter()
    }

    /// Rows after a key, in key order.
    pub fn after(&self, key: Option<&RowKey>) -> impl Iterator<Item = (&RowKey, &Stored)> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.rows.range((key.map_or(Unbounded, |key| Excluded(key.clone())), Unbounded))
    }

    /// Rows after a place, in place order.
    pub fn after_place(&self, place: Option<u64>) -> impl Iterator<Item = (u64, &Stored)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let places = self.places.range((place.map_or(Unbounded, Excluded), Unbounded));
        places.map(|(place, key)| (*place, &self.rows[key]))
    }

    /// The key under which a row with these values is kept; keyless rows get a new one.
    pub fn key_of(&self, values: &[Value]) -> RowKey {
        match self.shape.is_keyless() {
            true => vec![Cell::whole(self.rows.last_key_value().map_or(0, |(key, _)| match key[0] {
                Cell::Number(_, number, _) => number + 1,
                _ => unreachable!("keyless rows are kept by number"),
            }))],
            false => self.cells(&self.shape.key, values),
        }
    }

    /// The key as this store compares it.
    pub fn collate(&self, key: &Key) -> RowKey {
        let columns = self.shape.key.iter().map(|&column| is_coarse(&self.shape.columns[column], self.coarse));
        key.values().zip(columns).map(|(value, coarse)| Cell::of(value, coarse)).collect()
    }

    pub fn cell(&self, column: usize, value: &Value) -> Cell {
        Cell::owned(value, is_coarse(&self.shape.columns[column], self.coarse))
    }

    pub fn collate_column(&self, column: usize, value: ValueRef<'_>) -> Cell {
        Cell::of(value, is_coarse(&self.shape.columns[column], self.coarse))
    }

    /// The key of a stored row in the model's form.
    pub fn model_key(&self, stored: &Stored) -> Key {
        let mut slab = Vec::new();
        let mut row = crate::model::RowBuilder::new(&mut slab);
        for &column in &self.shape.key {
            row.owned(&stored.values[column]);
        }
        let place = row.finish();
        Key::from_values(RowRef::new(&slab, place).fields().filter_map(crate::model::Field::value))
    }

    /// The first row, but `key`'s own, that holds a unique value which these values want.
    pub fn holder(&self, values: &[Value], key: &RowKey) -> Option<RowKey> {
        self.indexes.iter().find_map(|index| {
            let wanted = self.cells(&index.columns, values);
            if wanted.contains(&Cell::Null) {
                return None;
            }
            index.holders.get(&wanted)?.iter().find(|holder| *holder != key).cloned()
        })
    }

    /// A free place: sometimes before, sometimes behind the other rows.
    pub fn free_place(&self, chance: &mut Chance) -> u64 {
        let room = self.places.len() as u64 * 2 + 8;
        let tried = (0..4).map(|_| chance.below(room)).find(|place| !self.places.contains_key(place));
        tried.unwrap_or_else(|| self.places.last_key_value().map_or(0, |(place, _)| place + 1))
    }

    pub fn last_place(&self) -> Option<u64> {
        self.places.last_key_value().map(|(place, _)| *place)
    }

    pub fn clear(&mut self) {
        self.rows.clear();
        self.places.clear();
        self.indexes.iter_mut().for_each(|index| index.holders.clear());
    }

    /// The same table with the columns it lacks, NULL in every row; `None` where it lacks none.
    pub fn widened(&self, shape: &Table) -> Option<Heap> {
        let lacking: Vec<_> = shape.columns.iter().filter(|column| self.shape.column(&column.name).is_none()).collect();
        if lacking.is_empty() {
            return None;
        }
        let mut wider = self.clone();
        let mut own = (*self.shape).clone();
        own.version = shape.version;
        own.columns.extend(lacking.iter().map(|column| (*column).clone()));
        wider.shape = Arc::new(own);
        let width = wider.shape.columns.len();
        wider.rows.values_mut().for_each(|row| row.values.resize(width, Value::Null));
        Some(wider)
    }

    /// Sets or removes one row; no rule is looked at.
    fn set(&mut self, key: &RowKey, row: Option<Stored>) {
        if let Some(before) = self.rows.remove(key) {
            self.places.remove(&before.place);
            self.each_index(&before.values, |holders, value| {
                if let Some(keys) = holders.get_mut(&value) {
                    keys.remove(key);
                    if keys.is_empty() {
                        holders.remove(&value);
                    }
                }
            });
        }
        if let Some(row) = row {
            self.places.insert(row.place, key.clone());
            self.each_index(&row.values, |holders, value| {
                holders.entry(value).or_default().insert(key.clone());
            });
            self.rows.insert(key.clone(), row);
        }
    }

    fn each_index(
        &mut self,
        values: &[Value],
        mut change: impl FnMut(&mut BTreeMap<RowKey, BTreeSet<RowKey>>, RowKey),
    ) {
        let mut indexes = std::mem::take(&mut self.indexes);
        for index in &mut indexes {
            change(&mut index.holders, self.cells(&index.columns, values));
        }
        self.indexes = indexes;
    }

    /// Makes the unique indexes of the shape, or names the rows that hold doubled values.
    pub fn build_indexes(&mut self) -> Result<(), Vec<RowKey>> {
        let wanted: Vec<&Unique> = self.shape.uniques.iter().filter(|unique| !unique.columns.is_empty()).collect();
        let mut indexes = Vec::new();
        let mut doubled = BTreeSet::new();
        for unique in wanted {
            let mut holders: BTreeMap<RowKey, BTreeSet<RowKey>> = BTreeMap::new();
            for (key, row) in &self.rows {
                holders.entry(self.cells(&unique.columns, &row.values)).or_default().insert(key.clone());
            }
            let clashing = holders.iter().filter(|(value, keys)| keys.len() > 1 && !value.contains(&Cell::Null));
            doubled.extend(clashing.flat_map(|(_, keys)| keys.iter().cloned()));
            indexes.push(Index { columns: unique.columns.clone(), holders });
        }
        if doubled.is_empty() {
            self.indexes = indexes;
            Ok(())
        } else {
            Err(doubled.into_iter().collect())
        }
    }

    pub fn is_indexed(&self) -> bool {
        !self.indexes.is_empty()
    }

    fn cells(&self, columns: &[usize], values: &[Value]) -> RowKey {
        let coarse = |column: usize| is_coarse(&self.shape.columns[column], self.coarse);
        columns.iter().map(|&column| Cell::owned(&values[column], coarse(column))).collect()
    }
}

/// What a transaction did, forwards and backwards.
#[derive(Clone, Debug)]
pub enum Step {
    Row { table: TableName, key: RowKey, before: Option<Stored>, after: Option<Stored> },
    Table { table: TableName, before: Option<Box<Heap>>, after: Option<Box<Heap>> },
}

/// All tables of a store at one moment.
#[derive(Clone, Debug, Default)]
pub struct Tables(pub BTreeMap<TableName, Heap>);

impl Tables {
    pub fn get(&self, name: &TableName) -> Option<&Heap> {
        self.0.get(name)
    }

    /// Sets one row and notes it.
    pub fn set(&mut self, table: &TableName, key: &RowKey, after: Option<Stored>, steps: &mut Vec<Step>) {
        let heap = self.0.get_mut(table).expect("the caller has looked the table up");
        let before = heap.get(key).cloned();
        heap.set(key, after.clone());
        steps.push(Step::Row { table: table.clone(), key: key.clone(), before, after });
    }

    /// Puts another table in a table's place and notes it.
    pub fn replace(&mut self, table: &TableName, after: Option<Heap>, steps: &mut Vec<Step>) {
        let before = match &after {
            Some(heap) => self.0.insert(table.clone(), heap.clone()),
            None => self.0.remove(table),
        };
        steps.push(Step::Table { table: table.clone(), before: before.map(Box::new), after: after.map(Box::new) });
    }

    pub fn redo(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Row { table, key, after, .. } => self.set_row(table, key, after),
                Step::Table { table, after, .. } => self.set_table(table, after),
            }
        }
    }

    pub fn undo(&mut self, steps: &[Step]) {
        for step in steps.iter().rev() {
            match step {
                Step::Row { table, key, before, .. } => self.set_row(table, key, before),
                Step::Table { table, before, .. } => self.set_table(table, before),
            }
        }
    }

    fn set_row(&mut self, table: &TableName, key: &RowKey, row: &Option<Stored>) {
        self.0.get_mut(table).expect("steps name tables that are there").set(key, row.clone());
    }

    fn set_table(&mut self, table: &TableName, heap: &Option<Box<Heap>>) {
        match heap {
            Some(heap) => drop(self.0.insert(table.clone(), (**heap).clone())),
            None => drop(self.0.remove(table)),
        }
    }
}
