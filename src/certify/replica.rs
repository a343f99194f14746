//! The rows that there must be: written as an application writes, or as a target that trusts its source would.

use super::{
    check::{Failure, Verdict, must},
    fixture::{Scratch, Write},
};
use crate::model::{
    Change, Key, Mutation, NO_ROW, Operator, RowBuilder, RowRef, Rows, Table, TableName, Value, ValueRef,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Column, operator and value of a `Matching`.
type Criterion<'a> = (usize, Operator, ValueRef<'a>);

/// Tables as plain maps.
#[derive(Clone, Debug, Default)]
pub struct Replica {
    tables: BTreeMap<TableName, Rowset>,
    /// Keys that changed, whose rows the log did not give.
    pub touched: BTreeSet<(TableName, Key)>,
    /// Keys that an application's transactions changed.
    pub changed: BTreeSet<(TableName, Key)>,
}

#[derive(Clone, Debug)]
struct Rowset {
    shape: Arc<Table>,
    keyed: BTreeMap<Key, Vec<Value>>,
    /// Rows of a table without a key.
    loose: Vec<Vec<Value>>,
}

impl Replica {
    pub fn new(tables: &[Arc<Table>]) -> Replica {
        let rowset =
            |shape: &Arc<Table>| Rowset { shape: Arc::clone(shape), keyed: BTreeMap::new(), loose: Vec::new() };
        Replica {
            tables: tables.iter().map(|table| (table.name.clone(), rowset(table))).collect(),
            touched: BTreeSet::new(),
            changed: BTreeSet::new(),
        }
    }

    /// What an application's transaction does to them.
    pub fn write(&mut self, transaction: &[Write]) {
        for write in transaction {
            match write {
                Write::Insert { table, row } | Write::Replace { table, row } => {
                    let evicts = matches!(write, Write::Replace { .. });
                    let key = self.rowset(table).insert(row.clone(), evicts);
                    self.changed.insert((table.clone(), key));
                }
                Write::Update { table, key, set } => {
                    let (key, rowset) = (key_from(key), self.rowset(table));
                    if let Some(mut row) = rowset.keyed.remove(&key) {
                        set.iter().for_each(|(column, value)| row[*column] = value.clone());
                        let new = rowset.insert(row, false);
                        self.changed.extend([(table.clone(), key), (table.clone(), new)]);
                    }
                }
                Write::Delete { table, key } => {
                    let key = key_from(key);
                    if self.rowset(table).keyed.remove(&key).is_some() {
                        self.changed.insert((table.clone(), key));
                    }
                }
                Write::DeleteOne { table, row } => self.rowset(table).delete_one(row),
                Write::Truncate { table } => self.rowset(table).clear(),
                Write::AddColumn { table, column } => {
                    let rowset = self.rowset(table);
                    let mut shape = (*rowset.shape).clone();
                    shape.columns.push(column.clone());
                    rowset.shape = Arc::new(shape);
                    rowset.keyed.values_mut().chain(&mut rowset.loose).for_each(|row| row.push(Value::Null));
                }
            }
        }
    }

    /// What a mutation of a log does to them. A row that must be there and is not is a failure where `exact`; else its
    /// key is noted as touched, as the engine would fetch it.
    pub fn apply(&mut self, rows: &Rows, mutation: &Mutation, exact: bool) -> Verdict {
        let shape = rows.table(mutation);
        let Some(rowset) = self.tables.get_mut(&shape.name) else {
            return Err(Failure(format!("a change of {}, which nobody asked for", shape.name)));
        };
        let row = (mutation.row != NO_ROW).then(|| rows.row(mutation.row));
        let key = row.and_then(|row| Key::of(shape, row));
        match (mutation.change, row) {
            (Change::Upsert, Some(row)) => {
                let after = rowset.overlay(shape, row, None);
                rowset.insert(after, false);
            }
            (Change::Patch, Some(row)) => {
                let key = key.ok_or_else(|| Failure(format!("a patch of {} without its key", shape.name)))?;
                match rowset.keyed.get(&key).cloned() {
                    Some(before) => {
                        let after = rowset.overlay(shape, row, Some(before));
                        rowset.insert(after, false);
                    }
                    None if exact => {
                        return Err(Failure(format!("a patch of {} {key:?}, which is not there", shape.name)));
                    }
                    None => drop(self.touched.insert((shape.name.clone(), key))),
                }
            }
            (Change::Delete, Some(row)) => match key {
                Some(key) => drop(rowset.keyed.remove(&key)),
                None => {
                    let gone = rowset.overlay(shape, row, None);
                    must(!exact || rowset.loose.contains(&gone), || {
                        format!("{}: a delete of {gone:?}, which is not there", shape.name)
                    })?;
                    rowset.delete_one(&gone);
                }
            },
            (Change::Touched, Some(_)) => {
                let key = key.ok_or_else(|| Failure(format!("a touched row of {} without its key", shape.name)))?;
                self.touched.insert((shape.name.clone(), key));
            }
            (Change::Truncate, _) => rowset.clear(),
            (Change::Matching, row) => rowset.matching(shape, &rows.criteria(mutation.before), row)?,
            (Change::Reshape, _) => {
                let width = shape.columns.len();
                rowset.shape = Arc::clone(shape);
                rowset.keyed.values_mut().for_each(|row| row.resize(width, Value::Null));
            }
            (change, _) => return Err(Failure(format!("{change:?} of {}: none was made", shape.name))),
        }
        Ok(())
    }

    /// Puts a row that was copied or fetched, or takes one away that is gone.
    pub fn put(&mut self, table: &TableName, key: &Key, row: Option<(&Table, RowRef<'_>)>) {
        let rowset = self.rowset(table);
        match row {
            None => drop(rowset.keyed.remove(key)),
            Some((shape, row)) => {
                let after = rowset.overlay(shape, row, None);
                let found = rowset.insert(after, false);
                if found != *key {
                    rowset.keyed.remove(key);
                }
            }
        }
    }

    pub fn rows(&self, table: &TableName) -> Vec<Vec<Value>> {
        let rowset = &self.tables[table];
        rowset.keyed.values().chain(&rowset.loose).cloned().collect()
    }

    pub fn keys(&self, table: &TableName) -> Vec<Key> {
        self.tables[table].keyed.keys().cloned().collect()
    }

    /// The store holds these rows and no others, each as often as here.
    pub async fn compare(&self, what: &str, scratch: &dyn Scratch) -> Verdict {
        for table in self.tables.keys() {
            let found = scratch.rows(table).await?.unwrap_or_default();
            equal_rows(&format!("{what}: {table}"), &found, &self.rows(table))?;
        }
        Ok(())
    }

    pub fn equals(&self, other: &Replica) -> bool {
        self.tables.iter().all(|(name, mine)| {
            let other = &other.tables[name];
            mine.keyed == other.keyed && bag(&mine.loose) == bag(&other.loose)
        })
    }

    fn rowset(&mut self, table: &TableName) -> &mut Rowset {
        self.tables.get_mut(table).expect("a check names its own tables")
    }
}

impl Rowset {
    /// Gives the row's key; an empty one where the table has none.
    fn insert(&mut self, row: Vec<Value>, evicts: bool) -> Key {
        if self.shape.is_keyless() {
            self.loose.push(row);
            return key_from(&[]);
        }
        if evicts {
            let uniques: Vec<Vec<usize>> = self.shape.uniques.iter().map(|unique| unique.columns.clone()).collect();
            let clash = |other: &Vec<Value>, columns: &Vec<usize>| {
                columns.iter().all(|&column| row[column] != Value::Null && row[column] == other[column])
            };
            self.keyed.retain(|_, other| !uniques.iter().any(|columns| clash(other, columns)));
        }
        let key: Vec<Value> = self.shape.key.iter().map(|&column| row[column].clone()).collect();
        let key = key_from(&key);
        self.keyed.insert(key.clone(), row);
        key
    }

    fn delete_one(&mut self, row: &[Value]) {
        if let Some(place) = self.loose.iter().position(|other| other == row) {
            self.loose.remove(place);
        }
    }

    /// Deletes, or patches, the rows that meet all criteria.
    fn matching(&mut self, shape: &Table, criteria: &[Criterion<'_>], patch: Option<RowRef<'_>>) -> Verdict {
        let mut found = Vec::new();
        for (key, row) in &self.keyed {
            let mut meets = true;
            for (column, operator, wanted) in criteria {
                let name = shape.columns.get(*column).map(|column| column.name.as_str()).unwrap_or_default();
                let own = self.shape.column(name).ok_or_else(|| Failure(format!("a criterion for `{name}`")))?;
                let order = match (&row[own], *wanted) {
                    (Value::Null, _) | (_, ValueRef::Null) => None,
                    (Value::Int(own), ValueRef::Int(wanted)) => Some(own.cmp(&wanted)),
                    (Value::Text(own), ValueRef::Text(wanted)) => Some(own.as_str().cmp(wanted)),
                    (own, wanted) => return Err(Failure(format!("a criterion compares {own:?} with {wanted:?}"))),
                };
                meets &= order.is_some_and(|order| operator.accepts(order));
            }
            if meets {
                found.push(key.clone());
            }
        }
        for key in found {
            let before = self.keyed.remove(&key);
            if let Some(patch) = patch {
                let after = self.overlay(shape, patch, before);
                self.insert(after, false);
            }
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.keyed.clear();
        self.loose.clear();
    }

    /// The values of a row of some shape in the columns of this table, by name, over `before`.
    fn overlay(&self, shape: &Table, row: RowRef<'_>, before: Option<Vec<Value>>) -> Vec<Value> {
        let mut after = before.unwrap_or_else(|| vec![Value::Null; self.shape.columns.len()]);
        for (column, field) in shape.columns.iter().zip(row.fields()) {
            if let (Some(own), Some(value)) = (self.shape.column(&column.name), field.value()) {
                after[own] = value.to_owned();
            }
        }
        after
    }
}

/// A key of owned values.
pub fn key_from(values: &[Value]) -> Key {
    let mut slab = Vec::new();
    let mut row = RowBuilder::new(&mut slab);
    for value in values {
        row.owned(value);
    }
    row.finish();
    Key::from_bytes(&slab).expect("just encoded")
}

pub fn key(value: i64) -> Key {
    Key::from_values([ValueRef::Int(value)])
}

/// Rows by their bytes (so that NaN equals itself and -0.0 is not 0.0), with how often each is there.
fn bag(rows: &[Vec<Value>]) -> BTreeMap<Vec<u8>, (usize, &Vec<Value>)> {
    let mut bag = BTreeMap::new();
    for row in rows {
        bag.entry(key_bytes(row)).or_insert((0, row)).0 += 1;
    }
    bag
}

fn key_bytes(values: &[Value]) -> Vec<u8> {
    key_from(values).bytes().to_vec()
}

/// The same rows, each as often.
pub fn equal_rows(what: &str, found: &[Vec<Value>], expected: &[Vec<Value>]) -> Verdict {
    let (found, expected) = (bag(found), bag(expected));
    let more = |these: &BTreeMap<Vec<u8>, (usize, &Vec<Value>)>, those: &BTreeMap<Vec<u8>, (usize, &Vec<Value>)>| {
        let missing = these.iter().filter(|(bytes, (count, _))| those.get(*bytes).is_none_or(|(n, _)| n < count));
        missing.map(|(_, (_, row))| short(row)).collect::<Vec<_>>()
    };
    let (lost, invented) = (more(&expected, &found), more(&found, &expected));
    must(lost.is_empty() && invented.is_empty(), || {
        let few = |rows: &[String]| rows.iter().take(4).cloned().collect::<Vec<_>>().join(", ");
        let text = |word: &str, rows: &[String]| format!("{} rows {word} ({})", rows.len(), few(rows));
        format!("{what}: {}, {}", text("missing", &lost), text("too many", &invented))
    })
}

/// A row in a line.
fn short(row: &[Value]) -> String {
    let text: Vec<String> = row.iter().map(|value| format!("{value:?}").chars().take(60).collect()).collect();
    format!("[{}]", text.join(", "))
}
