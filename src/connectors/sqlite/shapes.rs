//! Shapes as everybody in this process knows them: read again when the schema changed, with a version that grows.

use super::{
    file::Database,
    log::{self, Followed},
    schema::{self, Shape},
};
use crate::{error::Result, model::Table};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Of one connection. Asked inside a snapshot, it answers for that snapshot.
#[derive(Default)]
pub(super) struct Shapes {
    schema_version: Option<i64>,
    /// What the log knows of them, for their versions.
    followed: BTreeMap<String, Followed>,
    known: HashMap<String, Option<Arc<Shape>>>,
}

impl Shapes {
    /// The table's shape now; `None`: there is no such table.
    pub fn get(&mut self, db: &mut Database, name: &str) -> Result<Option<Arc<Shape>>> {
        let version = db.schema_version()?;
        if self.schema_version != Some(version) {
            self.known.clear();
            self.followed = match log::is_there(db)? {
                true => log::followed(db)?,
                false => BTreeMap::new(),
            };
            self.schema_version = Some(version);
        }
        if let Some(shape) = self.known.get(name) {
            return Ok(shape.clone());
        }
        let shape = schema::read(db, name)?.map(|shape| Arc::new(self.versioned(shape, version)));
        self.known.insert(name.to_owned(), shape.clone());
        Ok(shape)
    }

    /// A followed table has the version under which its shape was noticed; others, and those that were changed since,
    /// have the schema's.
    fn versioned(&self, mut shape: Shape, schema_version: i64) -> Shape {
        let mut version = u64::try_from(schema_version).unwrap_or(0).max(1);
        if let Some(followed) = self.followed.get(&shape.name().to_lowercase()) {
            let noticed = followed.shape.version;
            let unchanged = followed.shape == Table { version: noticed, ..Table::clone(&shape.table) };
            version = if unchanged { noticed } else { version.max(noticed + 1) };
        }
        shape.table = Arc::new(Table { version, ..Table::clone(&shape.table) });
        shape
    }
}
