//! XA transactions that are prepared and not yet ended: their rows wait here for `XA COMMIT`.

use super::{batches::Told, image::Misfit, position::Reach};
use crate::{
    error::{Error, Result},
    model::{Change, RowRef, Table, TableName},
};
use std::{collections::BTreeMap, sync::Arc};

/// Of all that wait. One that is larger is the same to an application as a lock on all its rows; it should be smaller.
const MOST_BYTES: usize = 32 << 20;

/// A change that outlives the event that told of it.
#[derive(Clone, Debug)]
pub(super) struct Owned {
    /// Row and step in its transaction, which do not depend on what else of it can be read.
    pub place: (u64, u64),
    table: Arc<Table>,
    change: Change,
    row: Option<Vec<u8>>,
    before: Option<Vec<u8>>,
}

impl Owned {
    pub fn of(told: &Told<'_>, place: (u64, u64)) -> Owned {
        let bytes = |row: Option<RowRef<'_>>| row.map(|row| row.bytes().to_vec());
        let (row, before) = (bytes(told.row), bytes(told.before));
        Owned { place, table: Arc::clone(told.table), change: told.change, row, before }
    }

    pub fn told(&self) -> Told<'_> {
        fn row(bytes: &Option<Vec<u8>>) -> Option<RowRef<'_>> {
            bytes.as_deref().map(|bytes| RowRef::new(bytes, 0))
        }
        Told { table: &self.table, change: self.change, row: row(&self.row), before: row(&self.before) }
    }

    pub fn bytes(&self) -> usize {
        size_of::<Owned>() + self.row.as_ref().map_or(0, Vec::len) + self.before.as_ref().map_or(0, Vec::len)
    }
}

/// What a branch has done.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub changes: Vec<Owned>,
    /// Not all of it could be read.
    pub misfit: Option<(TableName, Misfit)>,
}

#[derive(Default)]
pub(super) struct Prepared {
    waiting: BTreeMap<String, (Reach, Held)>,
}

impl Prepared {
    /// `before`: what comes before its rows in the log.
    pub fn add(&mut self, xid: String, before: Reach, held: Held) -> Result<()> {
        check(self.waiting.values().map(|(_, held)| held.weight()).sum::<usize>() + held.weight())?;
        self.waiting.insert(xid, (before, held));
        Ok(())
    }

    /// It has ended. `None`: it was never prepared.
    pub fn end(&mut self, xid: &str) -> Option<Held> {
        self.waiting.remove(xid).map(|(_, held)| held)
    }

    /// Before all that wait.
    pub fn oldest(&self) -> Option<&Reach> {
        let mut reaches = self.waiting.values().map(|(before, _)| before);
        let first = reaches.next()?;
        Some(reaches.fold(first, |oldest, other| if oldest.contains(other).unwrap_or(false) { other } else { oldest }))
    }
}

impl Held {
    fn weight(&self) -> usize {
        self.changes.iter().map(Owned::bytes).sum()
    }
}

/// Of what is held while a transaction is being prepared.
pub(super) fn check(bytes: usize) -> Result<()> {
    match bytes > MOST_BYTES {
        true => Err(Error::config("prepared XA transactions hold more rows than are kept in memory (32 MiB)")
            .hint("XA RECOVER on the source, and end what is left over; and prepare smaller transactions")),
        false => Ok(()),
    }
}
