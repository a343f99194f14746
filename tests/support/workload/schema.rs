//! The tables of the simulated application, and rows for them.

use super::Workload;
use std::sync::Arc;
use whimbrel::{
    connectors::memory::Transaction,
    model::{Action, Column, Equality, ForeignKey, Table, TableName, Type, Unique, Value},
};

fn name(table: &str) -> TableName {
    TableName::new("main", table)
}

/// A plain table with a column that logs leave out when it did not change.
pub fn orders() -> TableName {
    name("orders")
}

/// Two unique indexes beside the key.
pub fn people() -> TableName {
    name("people")
}

/// A composite key, one part of it text.
pub fn stock() -> TableName {
    name("stock")
}

/// A key that compares without case.
pub fn words() -> TableName {
    name("words")
}

/// Parents of `leaves`, which are parents of `buds`; both follow deletes and key changes.
pub fn trees() -> TableName {
    name("trees")
}

pub fn leaves() -> TableName {
    name("leaves")
}

pub fn buds() -> TableName {
    name("buds")
}

/// No key at all.
pub fn audit() -> TableName {
    name("audit")
}

/// A key that compares without case, and a unique index beside it: rows that evict each other. For stories.
pub fn tags() -> TableName {
    name("tags")
}

fn external(column: &str) -> Column {
    Column { declared: "external".into(), ..Column::new(column, Type::Text) }
}

fn foreign(column: usize, parent: TableName, on_delete: Action) -> ForeignKey {
    ForeignKey { columns: vec![column], parent, parent_columns: Vec::new(), on_delete, on_update: Action::Cascade }
}

fn unique(name: &str, column: usize) -> Unique {
    Unique { name: name.into(), columns: vec![column], definition: None }
}

/// The shape of a table at the start.
pub fn shape(table: &TableName) -> Arc<Table> {
    let int = |name: &str| Column::new(name, Type::Int);
    let text = |name: &str| Column::new(name, Type::Text);
    let (columns, key) = match table.name.as_str() {
        "orders" => (vec![int("id"), int("amount"), text("state"), external("body")], vec![0]),
        "people" => (vec![int("id"), text("mail"), text("nick"), external("body")], vec![0]),
        "stock" => (vec![int("amount"), text("shop"), int("sku"), external("body")], vec![1, 2]),
        "words" => {
            let word = Column { equality: Equality::Coarse, ..text("word") };
            (vec![word, int("count"), external("body")], vec![0])
        }
        "trees" => (vec![int("id"), text("kind")], vec![0]),
        "leaves" => (vec![int("id"), int("tree"), text("colour"), external("body")], vec![0]),
        "buds" => (vec![int("id"), int("leaf"), int("size")], vec![0]),
        "tags" => {
            let tag = Column { equality: Equality::Coarse, ..text("tag") };
            (vec![tag, int("code"), external("body")], vec![0])
        }
        "audit" => (vec![int("at"), text("what")], vec![]),
        other => unreachable!("no table {other}"),
    };
    let mut shape = Table::new(table.clone(), columns, key);
    match table.name.as_str() {
        "people" => shape.uniques = vec![unique("people_mail", 1), unique("people_nick", 2)],
        "tags" => shape.uniques = vec![unique("tags_code", 1)],
        "leaves" => shape.foreign_keys = vec![foreign(1, trees(), Action::Cascade)],
        "buds" => shape.foreign_keys = vec![foreign(1, leaves(), Action::SetNull)],
        _ => {}
    }
    Arc::new(shape)
}

impl Workload {
    /// A row for `table`, with this key or one that was never used.
    pub(super) fn new_row(
        &mut self,
        transaction: &Transaction<'_>,
        table: &TableName,
        key: Option<&[Value]>,
    ) -> Vec<Value> {
        let number = self.number();
        let shape = transaction.shape(table).expect("a table of the world");
        let mut row: Vec<Value> = (0..shape.columns.len()).map(|column| self.value(&shape, column, number)).collect();
        if let Some(key) = key {
            shape.key.iter().zip(key).for_each(|(&column, value)| row[column] = value.clone());
        }
        for foreign in &shape.foreign_keys {
            let parent = self.any_row(transaction, &foreign.parent);
            row[foreign.columns[0]] = match parent {
                Some(parent) if !self.chance.hits(100) => parent[0].clone(),
                _ => Value::Null,
            };
        }
        row
    }

    /// A value for one column; `number` makes it unique where it must be.
    pub(super) fn value(&mut self, shape: &Table, column: usize, number: i64) -> Value {
        let chance = &mut self.chance;
        match shape.columns[column].name.as_str() {
            "id" | "sku" => Value::Int(number),
            "at" => Value::Int(chance.below(4) as i64),
            "what" => Value::Text((*chance.pick(&["in", "out"])).into()),
            "mail" => Value::Text(format!("m{number}")),
            "nick" if chance.hits(300) => Value::Null,
            "nick" => Value::Text(format!("n{number}")),
            "shop" => Value::Text((*chance.pick(&["north", "south", "east"])).into()),
            "word" => Value::Text(format!("w{number}")),
            "body" => Value::Text(format!("body of {} {number}", "x".repeat(chance.index(40)))),
            _ if shape.columns[column].kind == Type::Int => Value::Int(chance.below(1_000) as i64),
            _ if chance.hits(50) => Value::Null,
            _ => Value::Text(format!("v{}", chance.below(1_000))),
        }
    }
}
