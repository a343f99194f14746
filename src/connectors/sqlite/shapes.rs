//! Shapes as everybody in this process knows them: read again when the schema changed, with a version that grows.

use super::{
    file::Database,
    log,
    schema::{self, Shape},
};
use crate::{error::Result, model::Table};
use std::{collections::HashMap, sync::Arc};

/// Of one connection. Asked inside a snapshot, it answers for that snapshot.
#[derive(Default)]
pub(super) struct Shapes {
    schema_version: Option<i64>,
    known: HashMap<String, Option<Arc<Shape>>>,
}

impl Shapes {
    /// The table's shape now; `None`: there is no such table.
    pub fn get(&mut self, db: &mut Database, name: &str) -> Result<Option<Arc<Shape>>> {
        let version = db.schema_version()?;
        if self.schema_version != Some(version) {
            self.known.clear();
            self.schema_version = Some(version);
        }
        if let Some(shape) = self.known.get(name) {
            return Ok(shape.clone());
        }
        let shape = current(db, name)?.map(Arc::new);
        self.known.insert(name.to_owned(), shape.clone());
        Ok(shape)
    }
}

/// A followed table has the version under which its shape was noticed; others, and those that were changed since,
/// have the schema's.
pub(super) fn current(db: &mut Database, name: &str) -> Result<Option<Shape>> {
    let Some(mut shape) = schema::read(db, name)? else { return Ok(None) };
    let followed = match log::is_there(db)? {
        true => log::followed(db)?.remove(&name.to_lowercase()),
        false => None,
    };
    let mut version = u64::try_from(db.schema_version()?).unwrap_or(0).max(1);
    if let Some(followed) = followed {
        let unchanged = followed.shape == Table { version: followed.shape.version, ..Table::clone(&shape.table) };
        version = if unchanged { followed.shape.version } else { version.max(followed.shape.version + 1) };
    }
    shape.table = Arc::new(Table { version, ..Table::clone(&shape.table) });
    Ok(Some(shape))
}
