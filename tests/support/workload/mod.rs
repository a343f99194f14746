//! A seeded application: it changes a world in all the ways that have lost rows somewhere, and counts them.

mod acts;
mod schema;

pub use self::{acts::ACTS, schema::*};

use std::{collections::BTreeMap, sync::Arc};
use whimbrel::{
    connectors::memory::{Chance, Transaction, World},
    error::Result,
    model::{TableName, Value},
};

/// How often each kind of thing happened.
#[derive(Clone, Debug, Default)]
pub struct Tally(pub BTreeMap<String, u64>);

impl Tally {
    pub fn add(&mut self, what: impl Into<String>, count: u64) {
        *self.0.entry(what.into()).or_default() += count;
    }

    pub fn merge(&mut self, other: &Tally) {
        other.0.iter().for_each(|(what, count)| self.add(what, *count));
    }

    pub fn get(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }
}

/// What the application knows between its transactions.
pub struct Workload {
    pub world: Arc<World>,
    pub chance: Chance,
    pub tally: Tally,
    /// Which acts it may do here, each as often as its weight says.
    acts: Vec<usize>,
    tables: Vec<TableName>,
    next: i64,
    /// Keys that were deleted, keys that were moved away from: to be used again.
    gone: Vec<(TableName, Vec<Value>)>,
    /// Rows of a transaction that is larger than any batch.
    pub big: usize,
}

impl Workload {
    /// `allows` says which acts fit the world.
    pub fn new(world: &Arc<World>, chance: Chance, allows: impl Fn(&str) -> bool, big: usize) -> Workload {
        let acts = ACTS.iter().enumerate().filter(|(_, act)| allows(act.name));
        let acts = acts.flat_map(|(index, act)| std::iter::repeat_n(index, act.weight)).collect();
        let tables = world.table_names();
        Workload {
            world: Arc::clone(world),
            chance,
            tally: Tally::default(),
            acts,
            tables,
            next: 1000,
            gone: Vec::new(),
            big,
        }
    }

    /// Rows that are there before anything starts.
    pub fn fill(&mut self, rows: usize) {
        for _ in 0..rows {
            let table = self.chance.pick(&self.tables.clone()).clone();
            let world = Arc::clone(&self.world);
            // A row that does not fit (its parent is missing) is one row less.
            let _ = world.transact(|transaction| self.insert(transaction, &table));
        }
    }

    /// One transaction of a random kind. Says which, if it committed.
    pub fn act(&mut self) -> Option<&'static str> {
        let act = &ACTS[*self.chance.pick(&self.acts.clone())];
        self.act_of(act.name).then_some(act.name)
    }

    /// One transaction of this kind.
    pub fn act_of(&mut self, name: &str) -> bool {
        let act = ACTS.iter().find(|act| act.name == name).expect("an act of the list");
        let world = Arc::clone(&self.world);
        let mut done = false;
        let result = world.transact(|transaction| {
            done = (act.work)(self, transaction)?;
            Ok(())
        });
        let done = done && result.is_ok();
        if done {
            self.tally.add(name, 1);
        }
        done
    }

    fn has(&self, table: &TableName) -> bool {
        self.tables.contains(table)
    }

    fn any_keyed(&mut self) -> Option<TableName> {
        let keyed: Vec<TableName> = self.tables.iter().filter(|name| **name != audit()).cloned().collect();
        (!keyed.is_empty()).then(|| self.chance.pick(&keyed).clone())
    }

    /// Some row of a table.
    fn any_row(&mut self, transaction: &Transaction<'_>, table: &TableName) -> Option<Vec<Value>> {
        let mut rows = transaction.rows(table);
        let index = self.chance.index(rows.len());
        (!rows.is_empty()).then(|| rows.swap_remove(index))
    }

    fn key_of(&self, transaction: &Transaction<'_>, table: &TableName, row: &[Value]) -> Vec<Value> {
        let shape = transaction.shape(table).expect("a table of the world");
        shape.key.iter().map(|&column| row[column].clone()).collect()
    }

    fn number(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    /// A new row whose key was never used.
    fn insert(&mut self, transaction: &mut Transaction<'_>, table: &TableName) -> Result<()> {
        let row = self.new_row(transaction, table, None);
        transaction.insert(table, row)
    }
}
