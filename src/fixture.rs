//! What the battery has to know of one kind of store. A fixture is the application's side: no code of the connector.

use crate::{
    error::{Error, Result},
    model::{Column, Table, TableName, Value},
    source::Source,
    target::Target,
};
use async_trait::async_trait;
use std::sync::Arc;

/// One kind of store, set up in one way.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// For the report.
    fn name(&self) -> String;

    /// What this store cannot do. Checks that need it are skipped, and the report says so.
    fn lacks(&self) -> &[Trait];

    /// A store, or a part of one, in which nothing of ours is: one for each check.
    async fn scratch(&self) -> Result<Box<dyn Scratch>>;
}

/// A scratch store.
#[async_trait]
pub trait Scratch: Send + Sync {
    /// A new instance, as after a restart.
    fn source(&self) -> Result<Arc<dyn Source>>;

    /// A new instance, as after a restart.
    fn target(&self) -> Result<Arc<dyn Target>>;

    /// Where scratch tables are made.
    fn schema(&self) -> String;

    /// Makes a table as an application would, with its key, unique indexes and foreign keys.
    async fn create(&self, table: &Table) -> Result<()>;

    /// One transaction of an application.
    async fn write(&self, transaction: &[Write]) -> Result<()>;

    /// All committed rows, columns in the store's order, read without the connector. `None`: there is no such table.
    async fn rows(&self, table: &TableName) -> Result<Option<Vec<Vec<Value>>>>;

    /// Columns of each kind that the store has, with values that it must carry without loss, its corners among them.
    fn kinds(&self) -> Vec<(Column, Vec<Value>)>;

    /// Everything in the store that is not the application's, by name. Without `Trait::Leftovers` it is not asked.
    async fn leftovers(&self) -> Result<Vec<String>> {
        Err(Error::config("the fixture does not list what is left over"))
    }

    /// Another store of the same kind, as empty as this one was. Without `Trait::Another` it is not asked.
    async fn another(&self) -> Result<Box<dyn Scratch>>;

    /// Notes the store's content as a backup would. Without `Trait::Backups` it is not asked.
    async fn back_up(&self) -> Result<()> {
        Err(Error::config("the fixture makes no backups"))
    }

    /// Puts the newest backup back.
    async fn restore(&self) -> Result<()> {
        Err(Error::config("the fixture makes no backups"))
    }

    /// Rules that the store itself saw broken.
    fn complaints(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What not every store can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trait {
    /// Tables without a key are logged, and written with multiplicity.
    Keyless,
    /// Applications can empty a table (`Write::Truncate`), and the log tells.
    Truncate,
    /// The target takes `Matching`.
    Matching,
    /// Secondary unique indexes.
    Uniques,
    /// They are made in `finish`, not with the table.
    LateUniques,
    /// Foreign keys with `ON DELETE CASCADE`.
    ForeignKeys,
    /// Rows and watermark commit together.
    Transactions,
    /// A transaction of the source can be kept open over several batches.
    OpenTransactions,
    /// A NULL in a NOT NULL column is refused by the store.
    NotNull,
    /// `Write::Replace`: an insert that evicts the rows it clashes with.
    Evictions,
    /// `Write::AddColumn`.
    AddColumns,
    /// `Scratch::leftovers`.
    Leftovers,
    /// `Scratch::back_up` and `restore`.
    Backups,
    /// `Scratch::another`.
    Another,
}

/// What an application does.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    Insert {
        table: TableName,
        row: Vec<Value>,
    },
    /// Of the row with this key; `set` may change the key.
    Update {
        table: TableName,
        key: Vec<Value>,
        set: Vec<(usize, Value)>,
    },
    Delete {
        table: TableName,
        key: Vec<Value>,
    },
    /// One of the rows that are equal to this (tables without a key).
    DeleteOne {
        table: TableName,
        row: Vec<Value>,
    },
    Truncate {
        table: TableName,
    },
    /// Inserts and evicts whatever holds the key or a unique value.
    Replace {
        table: TableName,
        row: Vec<Value>,
    },
    /// A nullable column without a default.
    AddColumn {
        table: TableName,
        column: Column,
    },
}

impl Write {
    pub fn insert(table: &TableName, row: Vec<Value>) -> Write {
        Write::Insert { table: table.clone(), row }
    }

    pub fn update(table: &TableName, key: Vec<Value>, set: Vec<(usize, Value)>) -> Write {
        Write::Update { table: table.clone(), key, set }
    }

    pub fn delete(table: &TableName, key: Vec<Value>) -> Write {
        Write::Delete { table: table.clone(), key }
    }
}
