//! The rows of a range of keys, page by page.

use super::{
    catalog::{At, Catalog},
    messages::row::{Direction, GetRangeRequest},
    plainbuffer::{Cell, Row, Rows as Wire, Value, encode},
    row,
    shape::Shape,
};
use crate::{
    error::Result,
    model::{Batch, Body, Change, Checkpoint, Key, KeyRange, Kind, Mark, NO_ROW, Partition, Position, Rows, Table},
    source::{Columns, Feed, Next},
};
use async_trait::async_trait;
use bytes::Bytes;
use std::{cmp::Ordering, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// A row that is wider than a page comes in parts; no row is told before its last.
struct Open {
    key: Vec<u8>,
    parts: Vec<Bytes>,
}

pub(super) struct CopyFeed {
    catalog: Arc<Catalog>,
    shape: Arc<Shape>,
    range: KeyRange,
    columns: Columns,
    /// Where the next page starts; `None`: the range is read.
    start: Option<Bytes>,
    token: Option<Bytes>,
    end: Bytes,
    /// The last key that was returned.
    done: Option<Key>,
    at: Position,
    open: Option<Open>,
}

impl CopyFeed {
    pub fn open(catalog: &Arc<Catalog>, shape: Arc<Shape>, range: &KeyRange, columns: Columns) -> Result<CopyFeed> {
        let names = &shape.table.columns;
        let edge = |value| encode::key(&names.iter().map(|column| Cell::put(&column.name, value)).collect::<Vec<_>>());
        let start = match &range.after {
            // It is in its page, and left out there: what comes right behind a key has no name.
            Some(after) => encode::key(&row::wire_key(names, after)?),
            None => edge(Value::InfMin),
        };
        let end = match &range.upto {
            Some(upto) => {
                // Behind every key that differs in the last column only; the rest is left out.
                let mut cells = row::wire_key(names, upto)?;
                if let Some(last) = cells.last_mut() {
                    *last = Cell::put(last.name, Value::InfMax);
                }
                encode::key(&cells)
            }
            None => edge(Value::InfMax),
        };
        let at = range.position(0, &shape.table.name, None);
        Ok(CopyFeed {
            catalog: Arc::clone(catalog),
            shape,
            range: range.clone(),
            columns,
            start: Some(start.into()),
            token: None,
            end: end.into(),
            done: None,
            at,
            open: None,
        })
    }

    async fn page(&mut self) -> Result<Option<Batch>> {
        let Some(start) = self.start.clone() else { return Ok(None) };
        let table = &self.shape.table;
        let request = GetRangeRequest {
            table_name: table.name.name.clone(),
            direction: Direction::Forward as i32,
            max_versions: Some(match self.columns {
                Columns::All => self.shape.max_versions(),
                Columns::Key => 1,
            }),
            start,
            end: self.end.clone(),
            token: self.token.clone(),
            ..GetRangeRequest::default()
        };
        let page = self.catalog.client.get_range(&request).await.at(&format!("reading {}", table.name))?;
        let mut rows = Rows::default();
        let shape = rows.shape(table);
        let mut wire = page.rows().map_err(|problem| row::corrupt(&problem))?;
        let mut last: Option<Row<'_>> = None;
        let mut over = false;
        let mut next = Row::default();
        while wire.next_into(&mut next).map_err(|problem| row::corrupt(&problem))? {
            if let Some(before) = last.replace(std::mem::take(&mut next)) {
                over |= self.tell(&before, &mut rows, shape)?;
            }
        }
        if let Some(last) = last {
            match &page.next_token {
                Some(_) => self.keep(&last),
                None => over |= self.tell(&last, &mut rows, shape)?,
            }
        }
        self.token = page.next_token.clone();
        self.start = page.next_start.clone().filter(|_| !over);
        if rows.is_empty() {
            return Ok(None);
        }
        let to = self.range.position(0, &self.shape.table.name, self.done.as_ref());
        let from = std::mem::replace(&mut self.at, to.clone());
        Ok(Some(Batch {
            partition: Partition::new(Partition::COPY),
            from,
            to,
            complete: true,
            kind: Kind::Copy { fresh: false },
            body: Body::Rows(Arc::new(rows)),
            committed_ms: 0,
        }))
    }

    fn keep(&mut self, part: &Row<'_>) {
        let draft = encode::Draft { key: &part.key, cells: &part.cells, deleted: false };
        let key = encode::key(&part.key);
        match &mut self.open {
            Some(open) if open.key == key => open.parts.push(draft.to_bytes().into()),
            _ => self.open = Some(Open { key, parts: vec![draft.to_bytes().into()] }),
        }
    }

    /// Adds a row, with the parts that came before; true: it lies behind the range.
    fn tell(&mut self, last: &Row<'_>, rows: &mut Rows, shape: u16) -> Result<bool> {
        let table: Arc<Table> = Arc::clone(&self.shape.table);
        let parts = match self.open.take() {
            Some(open) if open.key == encode::key(&last.key) => open.parts,
            _ => Vec::new(),
        };
        let mut whole = Row { key: last.key.clone(), ..Row::default() };
        for part in &parts {
            whole.cells.extend(Wire::one(part).map_err(|problem| row::corrupt(&problem))?.cells);
        }
        whole.cells.extend(last.cells.iter().copied());
        let bound = |key: &Option<Key>| -> Result<Option<Ordering>> {
            let key = key.as_ref().map(|key| row::wire_key(&table.columns, key)).transpose()?;
            Ok(key.map(|key| row::compare(&whole.key, &key)))
        };
        if bound(&self.range.upto)?.is_some_and(Ordering::is_gt) {
            return Ok(true);
        }
        if !bound(&self.range.after)?.is_some_and(Ordering::is_le) {
            let (change, place) = match self.columns {
                Columns::All => (Change::Upsert, row::write(&table, &whole, &mut rows.slab)?),
                Columns::Key => (Change::Touched, row::write_key(&table, &whole, &mut rows.slab)?),
            };
            rows.push(shape, change, place, NO_ROW);
            self.done = Key::of(&table, rows.row(place));
        }
        Ok(false)
    }
}

#[async_trait]
impl Feed for CopyFeed {
    async fn next(&mut self, patience: Duration) -> Result<Next> {
        let until = Instant::now() + patience;
        while self.start.is_some() {
            // A page that was not waited for is asked for again.
            match timeout_at(until, self.page()).await {
                Ok(page) => match page? {
                    Some(batch) => return Ok(Next::Batch(batch)),
                    None => continue,
                },
                Err(_) => return Ok(Next::Idle(Checkpoint::default())),
            }
        }
        Ok(Next::End)
    }

    async fn acknowledge(&mut self, _upto: &Checkpoint) -> Result<()> {
        Ok(())
    }

    fn passed(&mut self, _mark: &Mark) -> bool {
        false
    }
}
