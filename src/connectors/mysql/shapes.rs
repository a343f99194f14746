//! Shapes as everybody of this source knows them, with versions that grow with each change.

use super::{
    connect::Session,
    failure,
    schema::{self, Shape},
};
use crate::{
    error::{Error, Result},
    model::{Table, TableName},
};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

/// A table is read anew when it changes while it is being read.
const TRIES: usize = 5;

/// Of one source; shared by its connections.
#[derive(Default)]
pub(super) struct Shapes {
    known: Mutex<HashMap<TableName, Arc<Shape>>>,
}

impl Shapes {
    /// The table's shape now; `None`: there is no such table.
    pub async fn get(&self, session: &mut Session, name: &TableName) -> Result<Option<Arc<Shape>>> {
        for _ in 0..TRIES {
            let known = self.known.lock().get(name).cloned();
            let statement = schema::statement(session, name).await;
            let statement = statement.map_err(|failure| failure::error(failure, "reading a table"))?;
            if let (Some(known), Some(_)) = (&known, &statement)
                && known.table.definition == statement
            {
                return Ok(Some(Arc::clone(known)));
            }
            let Some(shape) = schema::read(session, name).await? else { return Ok(None) };
            // Not of a moment between the two.
            if shape.table.definition == statement {
                return Ok(Some(self.note(shape)));
            }
        }
        Err(Error::transient(format!("{name}: the table is altered faster than it can be read")))
    }

    /// A shape as it was read, with its version: that of the same shape before, else a higher one. The server does not
    /// count; it notes the second of the last change, and not of every kind of change.
    pub fn note(&self, shape: Shape) -> Arc<Shape> {
        let mut known = self.known.lock();
        let last = known.get(&shape.table.name);
        let mut version = shape.altered.max(1);
        if let Some(last) = last {
            let now = Table { version: last.table.version, ..Table::clone(&shape.table) };
            if *last.table == now {
                return Arc::clone(last);
            }
            version = version.max(last.table.version + 1);
        }
        let table = Arc::new(Table { version, ..Table::clone(&shape.table) });
        let shape = Arc::new(Shape { table, ..shape });
        known.insert(shape.table.name.clone(), Arc::clone(&shape));
        shape
    }
}
