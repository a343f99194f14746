//! The statements that write rows of one shape into a table, prepared once.

use super::{
    columns::{Affinity, affinity},
    failure::Answer,
    file::Database,
    noted, paging,
    schema::{self, SCHEMA, Shape},
    statement::Statement,
    text::quote,
};
use crate::{
    error::{Error, Result},
    model::{Field, RowRef, Table, ValueRef},
};
use std::{collections::HashMap, sync::Arc};

/// Of one source shape and the target table as it is now.
pub(super) struct Plan {
    pub table: Arc<Table>,
    pub target: Arc<Shape>,
    /// Per column of the source's shape: its name in the target, quoted; `None`: not written (computed, or not there).
    names: Vec<Option<String>>,
    /// Every column is written: no need to look at `names` per field.
    writes_all: bool,
    insert: Option<Statement>,
    upsert: Option<Statement>,
    delete: Option<Statement>,
    /// By the columns they set.
    patches: HashMap<Vec<usize>, Statement>,
}

/// Plans by table; dropped when the target's schema changes.
#[derive(Default)]
pub(super) struct Plans {
    schema_version: Option<i64>,
    plans: Vec<Plan>,
}

/// Shapes that one table may have at a time in flight; more than that are prepared again.
const PLANS: usize = 1_000;

impl Plans {
    /// Forgets what was prepared for another schema; true if it did.
    pub fn renew(&mut self, db: &mut Database) -> Answer<bool> {
        let version = db.schema_version()?;
        let renewed = self.schema_version != Some(version);
        if renewed {
            self.plans.clear();
            self.schema_version = Some(version);
        }
        Ok(renewed)
    }

    pub fn get(&mut self, db: &mut Database, job: &str, table: &Arc<Table>) -> Result<&mut Plan> {
        let found = self.plans.iter().position(|plan| Arc::ptr_eq(&plan.table, table));
        let found = found.or_else(|| self.plans.iter().position(|plan| plan.table == *table));
        let index = match found {
            Some(index) => index,
            None => {
                if self.plans.len() >= PLANS {
                    self.plans.clear();
                }
                let plan = Plan::new(db, table)?;
                // One that the source had before it was prepared, or one that is lost.
                if plan.lacks_columns() {
                    noted::prove(db, job, table, &plan.target.table)?;
                }
                self.plans.push(plan);
                self.plans.len() - 1
            }
        };
        Ok(&mut self.plans[index])
    }
}

impl Plan {
    fn new(db: &mut Database, table: &Arc<Table>) -> Result<Plan> {
        let missing = || {
            Error::config(format!("the target has no table `{}` any more", table.name))
                .hint("restore it, or delete the job and create it again with `existing: replace`")
        };
        if table.name.schema != SCHEMA {
            return Err(missing());
        }
        let target = schema::read(db, &table.name.name)?.ok_or_else(missing)?;
        let names: Vec<Option<String>> = table
            .columns
            .iter()
            .map(|column| {
                let there = target.table.columns.iter().find(|there| there.name.eq_ignore_ascii_case(&column.name))?;
                (!column.generated && !there.generated).then(|| quote(&there.name))
            })
            .collect();
        let writes_all = names.iter().all(Option::is_some);
        let (insert, upsert, delete) = (None, None, None);
        let (table, target) = (Arc::clone(table), Arc::new(target));
        Ok(Plan { table, target, names, writes_all, insert, upsert, delete, patches: HashMap::new() })
    }

    fn lacks_columns(&self) -> bool {
        let there = &self.target.table.columns;
        !self.table.columns.iter().all(|column| there.iter().any(|there| there.name.eq_ignore_ascii_case(&column.name)))
    }

    pub fn is_keyless(&self) -> bool {
        self.table.is_keyless()
    }

    /// Column of the target that takes the source's; `None`: not written.
    pub fn name(&self, column: usize) -> Option<&str> {
        self.names[column].as_deref()
    }

    /// Adds a row; one that is there already is a failure.
    pub fn insert(&mut self, db: &Database, row: RowRef<'_>) -> Answer<u64> {
        if self.insert.is_none() {
            self.insert = Some(Statement::new(&db.conn, &self.insert_sql())?);
        }
        let statement = self.insert.as_mut().expect("just made");
        write(statement, &self.names, self.writes_all, row)
    }

    /// Adds a row, or makes the one with its key this row. Never by REPLACE, and no other unique index can lead it to
    /// another row (hazards A3).
    pub fn upsert(&mut self, db: &Database, row: RowRef<'_>) -> Answer<u64> {
        if self.upsert.is_none() {
            self.upsert = Some(Statement::new(&db.conn, &self.upsert_sql())?);
        }
        let statement = self.upsert.as_mut().expect("just made");
        write(statement, &self.names, self.writes_all, row)
    }

    /// Sets the fields that the row gives; says how many rows were there.
    pub fn patch(&mut self, db: &Database, row: RowRef<'_>) -> Answer<u64> {
        let is_set = |(column, field): (usize, Field<'_>)| {
            (self.names[column].is_some() && !self.table.key.contains(&column) && field.value().is_some())
                .then_some(column)
        };
        let columns: Vec<usize> = row.fields().enumerate().filter_map(is_set).collect();
        if !self.patches.contains_key(&columns) {
            let statement = Statement::new(&db.conn, &self.patch_sql(&columns))?;
            self.patches.insert(columns.clone(), statement);
        }
        let statement = self.patches.get_mut(&columns).expect("just made");
        let keys = self.table.key.iter().map(|&column| row.get(column).value().unwrap_or(ValueRef::Null));
        let values = columns.iter().map(|&column| row.get(column).value().unwrap_or(ValueRef::Null));
        statement.run(keys.chain(values))
    }

    /// Removes the row with the key of `row`, or of a keyless table one row that is `row`, type by type.
    pub fn delete(&mut self, db: &Database, row: RowRef<'_>) -> Answer<u64> {
        if self.delete.is_none() {
            let table = quote(self.target.name());
            let sql = match self.is_keyless() {
                false => format!("DELETE FROM {table} WHERE {}", self.by_key()),
                true => self.delete_one_sql(),
            };
            self.delete = Some(Statement::new(&db.conn, &sql)?);
        }
        let statement = self.delete.as_mut().expect("just made");
        match self.table.is_keyless() {
            false => {
                statement.run(self.table.key.iter().map(|&column| row.get(column).value().unwrap_or(ValueRef::Null)))
            }
            true => write(statement, &self.names, self.writes_all, row),
        }
    }

    /// The key's columns as the target's key compares them; parameters 1, 2, … in the source's key order.
    pub fn by_key(&self) -> String {
        let part = |(at, &column): (usize, &usize)| {
            let name = self.names[column].clone().unwrap_or_else(|| quote(&self.table.columns[column].name));
            let term = self.target.terms.iter().find(|term| term.name.eq_ignore_ascii_case(&name));
            format!("{} = ?{}", term.map_or(name, paging::collated), at + 1)
        };
        self.table.key.iter().enumerate().map(part).collect::<Vec<_>>().join(" AND ")
    }

    fn insert_sql(&self) -> String {
        let names: Vec<&str> = self.names.iter().flatten().map(String::as_str).collect();
        let values = (1..=names.len()).map(|at| format!("?{at}")).collect::<Vec<_>>().join(", ");
        // ABORT: a conflict clause in the table's declaration must not decide for us.
        format!("INSERT OR ABORT INTO {}({}) VALUES ({values})", quote(self.target.name()), names.join(", "))
    }

    fn upsert_sql(&self) -> String {
        if self.is_keyless() {
            return self.insert_sql();
        }
        let keys: Vec<&str> = self.table.key.iter().filter_map(|&column| self.name(column)).collect();
        let set: Vec<String> = (0..self.names.len())
            .filter(|column| !self.table.key.contains(column) || self.may_respell(*column))
            .filter_map(|column| self.name(column))
            .map(|name| format!("{name} = excluded.{name}"))
            .collect();
        let then = match set.is_empty() {
            true => "NOTHING".to_owned(),
            false => format!("UPDATE SET {}", set.join(", ")),
        };
        format!("{} ON CONFLICT({}) DO {then}", self.insert_sql(), keys.join(", "))
    }

    /// Whether an equal key may have other bytes here: then it is written as well.
    fn may_respell(&self, column: usize) -> bool {
        let name = &self.table.columns[column].name;
        let there = self.target.table.columns.iter().find(|there| there.name.eq_ignore_ascii_case(name));
        there.is_some_and(|there| {
            there.equality.is_coarse()
                || (there.declared != schema::ROWID && affinity(&there.declared) == Affinity::Blob)
        })
    }

    fn patch_sql(&self, columns: &[usize]) -> String {
        let table = quote(self.target.name());
        let first = self.table.key.len() + 1;
        let mut set: Vec<String> = columns
            .iter()
            .enumerate()
            .filter_map(|(at, &column)| Some(format!("{} = ?{}", self.name(column)?, first + at)))
            .collect();
        if set.is_empty() {
            // Nothing of it is kept here, but whether the row is there still counts.
            let key = self.table.key.first().and_then(|&column| self.name(column)).unwrap_or("rowid");
            set.push(format!("{key} = {key}"));
        }
        format!("UPDATE OR ABORT {table} SET {} WHERE {}", set.join(", "), self.by_key())
    }

    fn delete_one_sql(&self) -> String {
        let table = quote(self.target.name());
        let equal = self.names.iter().flatten().enumerate().map(|(at, name)| {
            let at = at + 1;
            format!("{name} IS ?{at} COLLATE BINARY AND typeof({name}) = typeof(?{at})")
        });
        let equal = equal.collect::<Vec<_>>().join(" AND ");
        format!("DELETE FROM {table} WHERE rowid = (SELECT rowid FROM {table} WHERE {equal} LIMIT 1)")
    }
}

/// Runs a statement whose parameters are the row's written columns in order.
#[inline]
fn write(statement: &mut Statement, names: &[Option<String>], all: bool, row: RowRef<'_>) -> Answer<u64> {
    match all {
        true => statement.run(row.fields().map(value)),
        false => {
            statement.run(row.fields().zip(names).filter(|(_, name)| name.is_some()).map(|(field, _)| value(field)))
        }
    }
}

fn value(field: Field<'_>) -> ValueRef<'_> {
    field.value().unwrap_or(ValueRef::Null)
}
