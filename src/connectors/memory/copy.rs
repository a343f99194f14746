//! The rows of a range, page by page, each page as the table is at that moment.

use super::{decode::key_row, heap::Heap, source::Span, world::World};
use crate::{
    error::Result,
    model::{Batch, Body, Change, Checkpoint, Key, KeyRange, Kind, Mark, NO_ROW, Partition, Rows, Table},
    source::{Columns, Feed, Next},
};
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};

/// Pages read at different moments: rows that move meanwhile may be met twice or never; the log tells of them.
pub(super) struct CopyFeed {
    world: Arc<World>,
    incarnation: u64,
    table: Arc<Table>,
    range: KeyRange,
    columns: Columns,
    /// Keyless tables are read whole, as they were when the feed was opened.
    snapshot: Option<(Heap, Checkpoint)>,
    done: Option<Key>,
    ended: bool,
}

impl CopyFeed {
    pub(super) fn new(
        world: Arc<World>,
        incarnation: u64,
        table: &Arc<Table>,
        range: &KeyRange,
        columns: Columns,
        snapshot: Option<(Heap, Checkpoint)>,
    ) -> Self {
        let (table, range) = (Arc::clone(table), range.clone());
        CopyFeed { world, incarnation, table, range, columns, snapshot, done: None, ended: false }
    }

    /// The next page: its rows and the key that ends it.
    fn page(&self, heap: &Heap, paging: super::config::Paging, page_rows: usize) -> Option<(Rows, Key)> {
        let rest = KeyRange { after: self.done.clone().or(self.range.after.clone()), upto: self.range.upto.clone() };
        let span = Span::new(paging, heap, &rest);
        let mut rows = Rows::default();
        let shape = rows.shape(&heap.shape);
        let mut last = None;
        for (key, row) in span.rows(heap).take(page_rows) {
            match self.columns {
                Columns::All => {
                    let place = super::source::write_row(row, &mut rows.slab);
                    rows.push(shape, Change::Upsert, place, NO_ROW);
                }
                Columns::Key => {
                    let place = rows.add_row(&key_row(&heap.shape, &row.values));
                    rows.push(shape, Change::Touched, place, NO_ROW);
                }
            }
            last = Some(key);
        }
        last.map(|last| (rows, last))
    }
}

#[async_trait]
impl Feed for CopyFeed {
    async fn next(&mut self, patience: Duration) -> Result<Next> {
        let _ = tokio::time::timeout(patience, self.world.travel()).await;
        if self.ended {
            return Ok(Next::End);
        }
        let mut inner = self.world.lock();
        let per_mille = inner.habits.mishaps.read;
        if inner.incarnation != self.incarnation || inner.is_down() || inner.chance.hits(per_mille) {
            return Err(self.world.down());
        }
        inner.counts.pages += 1;
        let (paging, page_rows) = (inner.habits.paging, inner.habits.page_rows);
        let page = match &self.snapshot {
            Some((heap, _)) => self.page(heap, super::config::Paging::Place, page_rows),
            None => inner.seen().get(&self.table.name).and_then(|heap| self.page(heap, paging, page_rows)),
        };
        let Some((rows, last)) = page else {
            self.ended = true;
            return Ok(Next::End);
        };
        let from = self.range.position(0, &self.table.name, self.done.as_ref());
        let to = self.range.position(0, &self.table.name, Some(&last));
        self.done = Some(last);
        Ok(Next::Batch(Batch {
            partition: Partition::new(Partition::COPY),
            from,
            to,
            complete: true,
            // By place, a row that moves may be met twice.
            kind: Kind::Copy { fresh: self.snapshot.is_some() || paging == super::config::Paging::Key },
            body: Body::Rows(Arc::new(rows)),
            committed_ms: inner.now_ms(),
        }))
    }

    async fn acknowledge(&mut self, _: &Checkpoint) -> Result<()> {
        Ok(())
    }

    fn passed(&mut self, _: &Mark) -> bool {
        self.ended
    }

    fn stands_at(&self) -> Option<Checkpoint> {
        self.snapshot.as_ref().map(|(_, at)| at.clone())
    }
}
