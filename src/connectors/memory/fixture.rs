//! Memory worlds as scratch stores: their tables are made, changed and read without the connector's source and target.

use super::{Habits, MemorySource, MemoryTarget, Transaction, World};
use crate::{
    connectors::StoreSettings,
    error::Result,
    fixture::{Fixture, Scratch, Trait, Write},
    model::{Column, Date, Interval, Table, TableName, Type, Value},
    source::Source,
    target::Target,
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::sync::Arc;

/// One set of habits.
pub struct Worlds {
    pub name: &'static str,
    pub habits: Habits,
    pub lacks: Vec<Trait>,
}

impl Worlds {
    /// Worlds with the habits of a store in the config.
    pub(super) fn of(settings: &StoreSettings) -> Result<Box<dyn Fixture>> {
        let lacks = vec![Trait::NotNull, Trait::Evictions];
        Ok(Box::new(Worlds { name: "as configured", habits: Habits::from_options(settings)?, lacks }))
    }
}

#[async_trait]
impl Fixture for Worlds {
    fn name(&self) -> String {
        format!("memory, {}", self.name)
    }

    fn lacks(&self) -> &[Trait] {
        &self.lacks
    }

    async fn scratch(&self) -> Result<Box<dyn Scratch>> {
        Ok(Box::new(OneWorld::new(&self.habits)))
    }
}

struct OneWorld {
    world: Arc<World>,
    /// Commits at the newest backup.
    backup: Mutex<u64>,
}

impl OneWorld {
    fn new(habits: &Habits) -> OneWorld {
        let habits = Habits { losable: 100_000, ..habits.clone() };
        OneWorld { world: World::new("certify", habits), backup: Mutex::new(0) }
    }
}

#[async_trait]
impl Scratch for OneWorld {
    fn source(&self) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(MemorySource::new(Arc::clone(&self.world))))
    }

    fn target(&self) -> Result<Arc<dyn Target>> {
        Ok(Arc::new(MemoryTarget::new(Arc::clone(&self.world))))
    }

    fn schema(&self) -> String {
        "main".into()
    }

    async fn create(&self, table: &Table) -> Result<()> {
        let mut table = table.clone();
        // Large values are kept apart, as PostgreSQL does: unchanged ones are not in the log.
        if let Some(note) = table.column("note") {
            table.columns[note].declared = "external".into();
        }
        self.world.create(Arc::new(table));
        Ok(())
    }

    async fn write(&self, transaction: &[Write]) -> Result<()> {
        self.world.transact(|open| transaction.iter().try_for_each(|write| one(open, write))).map(drop)
    }

    async fn rows(&self, table: &TableName) -> Result<Option<Vec<Vec<Value>>>> {
        Ok(self.world.rows(table).map(|(_, rows)| rows))
    }

    fn kinds(&self) -> Vec<(Column, Vec<Value>)> {
        kinds().into_iter().map(|(kind, values)| (Column::new("v", kind), values)).collect()
    }

    async fn leftovers(&self) -> Result<Vec<String>> {
        let reserved = self.world.reservations().into_iter();
        Ok(reserved.map(|job| format!("the log is kept for {job}")).collect())
    }

    async fn another(&self) -> Result<Box<dyn Scratch>> {
        let habits = self.world.habits();
        Ok(Box::new(OneWorld::new(&Habits { seed: habits.seed + 1, ..habits })))
    }

    async fn back_up(&self) -> Result<()> {
        *self.backup.lock() = self.world.end().sequence;
        Ok(())
    }

    async fn restore(&self) -> Result<()> {
        let since = self.world.end().sequence - *self.backup.lock();
        self.world.restore(usize::try_from(since).expect("few commits"));
        *self.backup.lock() = self.world.end().sequence;
        Ok(())
    }

    fn complaints(&self) -> Vec<String> {
        self.world.breaches()
    }
}

fn one(open: &mut Transaction<'_>, write: &Write) -> Result<()> {
    match write {
        Write::Insert { table, row } => open.insert(table, row.clone()),
        Write::Update { table, key, set } => open.update(table, key, set).map(drop),
        Write::Delete { table, key } => open.delete(table, key).map(drop),
        Write::DeleteOne { table, row } => open.delete_one(table, row).map(drop),
        Write::Truncate { table } => open.truncate(table),
        Write::AddColumn { table, column } => open.add_column(table, column.clone(), &Value::Null),
        Write::Replace { .. } => unreachable!("`Trait::Evictions` is lacking"),
    }
}

/// Corners of every kind in the model.
fn kinds() -> Vec<(Type, Vec<Value>)> {
    let date = |year, month, day| Date { year, month, day };
    let text = |text: &str| Value::Text(text.to_owned());
    vec![
        (Type::Bool, vec![Value::Bool(true), Value::Bool(false)]),
        (Type::Int, [i64::MIN, -1, 0, i64::MAX].map(Value::Int).to_vec()),
        (Type::Unsigned, [0, u64::MAX].map(Value::Unsigned).to_vec()),
        (Type::Float32, [0.1, -0.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE].map(Value::Float32).to_vec()),
        (Type::Float64, [0.1, -0.0, f64::NAN, f64::NEG_INFINITY, f64::MAX].map(Value::Float64).to_vec()),
        (Type::Decimal, ["12.50", "-0.001", "NaN", "Infinity"].map(|d| Value::Decimal(d.into())).to_vec()),
        (Type::Text, vec![text(""), text("é\0\u{10ffff}"), text(" padded "), text(&"long".repeat(20_000))]),
        (Type::Bytes, vec![Value::Bytes(Vec::new()), Value::Bytes((0..=255).collect())]),
        (Type::Date, [date(0, 0, 0), date(-43, 3, 15), Date::INFINITY, date(9999, 12, 31)].map(Value::Date).to_vec()),
        (Type::Time, [-1, 0, 100 * 3_600_000_000_000].map(Value::Time).to_vec()),
        (Type::DateTime, vec![Value::DateTime(date(2024, 2, 29), 86_399_999_999_999)]),
        (Type::Instant, [(i64::MIN, 0), (0, 1), (i64::MAX, 0)].map(|(s, n)| Value::Instant(s, n)).to_vec()),
        (Type::Interval, vec![Value::Interval(Interval { months: -1, days: 2, nanos: -3 })]),
        (Type::Uuid, [[0; 16], [255; 16]].map(Value::Uuid).to_vec()),
        (Type::Json, vec![Value::Json("{\"a\": 1.0, \"a\": [null]}".into())]),
        (Type::List, vec![Value::List(vec![Value::Int(1), Value::Null, Value::List(Vec::new())])]),
        (Type::Map, vec![Value::Map(vec![(text("k"), Value::Int(1)), (Value::Null, text("v"))])]),
        (Type::Native, vec![Value::Native("tsvector".into(), vec![0, 255])]),
        (Type::Any, vec![Value::Int(1), text("1"), Value::Bytes(vec![49]), Value::Float64(1.0)]),
    ]
}
