//! A table copy: pages of a key range, each a short read of its own; a table without a key in one snapshot.

use super::{
    connect::{Connections, Session},
    decode, failure, paging,
    position::Point,
    schema::Shape,
    server::Server,
    shapes::Shapes,
    sight::{self, Sight},
    split,
};
use crate::{
    error::{Error, ErrorKind, Result},
    faults::{self, Saboteur},
    model::{
        Batch, Body, Change, Checkpoint, Key, KeyRange, Kind, Mark, NO_ROW, Partition, Rows, TableName, Value, ValueRef,
    },
    source::{Columns, Feed, Next},
};
use async_trait::async_trait;
use futures_util::TryStreamExt;
use mysql_async::{Params, Row, prelude::Queryable};
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc, task::JoinHandle};

/// A batch ends at whichever comes first.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_ROWS: usize = 20_000;

/// What a page should come to once its rows are known: few statements, and none that stays open for long.
const PAGE_BYTES: usize = 4 << 20;
const FIRST_PAGE_ROWS: u64 = 1_000;
const MOST_PAGE_ROWS: u64 = 50_000;

pub(super) struct CopyFeed {
    batches: mpsc::Receiver<Result<Batch>>,
    reading: JoinHandle<()>,
    stands_at: Option<Checkpoint>,
    connection: (Arc<Server>, u32),
    connections: Arc<Connections>,
    ended: bool,
}

/// What the reads of a source have in common.
#[derive(Clone)]
pub(super) struct Reads {
    pub connections: Arc<Connections>,
    pub shapes: Arc<Shapes>,
    pub sight: Arc<Sight>,
}

impl CopyFeed {
    pub async fn open(
        reads: &Reads,
        table: &TableName,
        range: &KeyRange,
        columns: Columns,
        after: &Checkpoint,
    ) -> Result<CopyFeed> {
        let mut session = reads.connections.lease().await?;
        reads.sight.prove(&mut session, after).await?;
        let reading = |failure| failure::error(failure, "asking where the log ends").at(table);
        let shape = reads
            .shapes
            .get(&mut session, table)
            .await?
            .ok_or_else(|| Error::transient(format!("{table}: the table is gone while it was to be copied")))?;
        let mut stands_at = None;
        if shape.table.is_keyless() && columns == Columns::All {
            let snapshot = sight::exact_snapshot(&mut session).await?;
            let at = match faults::on(Saboteur::KeylessPlaceGuessed) {
                true => sight::logged(&mut session).await.map_err(reading)?,
                false => snapshot,
            };
            stands_at = Some(Checkpoint::only(Point::plain(at).position(0)));
        }
        let connection = (Arc::clone(&session.server), session.conn.id());
        let (sender, batches) = mpsc::channel(1);
        let pages = Pages {
            session,
            reads: reads.clone(),
            shape,
            range: range.clone(),
            columns,
            done: None,
            page_rows: FIRST_PAGE_ROWS,
        };
        let reading = tokio::spawn(pages.run(sender));
        let connections = Arc::clone(&reads.connections);
        Ok(CopyFeed { batches, reading, stands_at, connection, connections, ended: false })
    }
}

#[async_trait]
impl Feed for CopyFeed {
    async fn next(&mut self, patience: Duration) -> Result<Next> {
        if self.ended {
            return Ok(Next::End);
        }
        match tokio::time::timeout(patience, self.batches.recv()).await {
            Err(_) => Ok(Next::Idle(Checkpoint::default())),
            Ok(Some(batch)) => batch.map(Next::Batch),
            Ok(None) => {
                self.ended = true;
                // Ended by itself, or died.
                match (&mut self.reading).await {
                    Ok(()) => Ok(Next::End),
                    Err(died) => Err(Error::transient("the copy ended early").because(died)),
                }
            }
        }
    }

    async fn acknowledge(&mut self, _: &Checkpoint) -> Result<()> {
        Ok(())
    }

    fn passed(&mut self, _: &Mark) -> bool {
        false
    }

    fn stands_at(&self) -> Option<Checkpoint> {
        self.stands_at.clone()
    }
}

impl Drop for CopyFeed {
    /// The driver reads an answer to its end when its connection is dropped: all of a large table, if the server is let.
    fn drop(&mut self) {
        if !self.ended && !self.reading.is_finished() {
            self.reading.abort();
            self.connections.kill(&self.connection.0, self.connection.1);
        }
    }
}

/// The task's side: where the copy stands.
struct Pages {
    session: Session,
    reads: Reads,
    shape: Arc<Shape>,
    range: KeyRange,
    columns: Columns,
    done: Option<Key>,
    page_rows: u64,
}

impl Pages {
    async fn run(mut self, batches: mpsc::Sender<Result<Batch>>) {
        loop {
            match self.page(&batches).await {
                Ok(Turn::More) => {}
                Ok(Turn::End) => return self.reads.connections.give_back(self.session),
                // The answer is not read to its end.
                Ok(Turn::Nobody) => return self.reads.connections.kill(&self.session.server, self.session.conn.id()),
                Err(error) => {
                    // Nobody may be there to hear it.
                    let _ = batches.send(Err(error.at(&self.shape.table.name))).await;
                    return;
                }
            }
        }
    }

    async fn page(&mut self, batches: &mpsc::Sender<Result<Batch>>) -> Result<Turn> {
        let Pages { session, reads, shape, range, columns, done, page_rows } = self;
        let server = Arc::clone(&session.server);
        let list = match columns {
            Columns::All => shape.column_list(),
            Columns::Key if shape.table.is_keyless() => return Ok(Turn::End),
            Columns::Key => shape.key_list(),
        };
        let rest = KeyRange { after: done.clone().or_else(|| range.after.clone()), upto: range.upto.clone() };
        let limit = paging::is_pageable(shape).then_some(*page_rows);
        let select = paging::select(shape, &list, &rest, limit)?;
        let reading = |failure| failure::error(failure, "reading a page");
        let mut result = session.conn.exec_iter(&select.sql, positional(select.parameters)).await.map_err(reading)?;
        let Some(mut stream) = result.stream::<Row>().await.map_err(reading)? else {
            return Err(Error::transient("the server answered a page without rows or columns"));
        };
        let (mut page_bytes, mut count) = (0, 0);
        let mut batch = Making::new(shape, *columns);
        loop {
            let row = match next_row(&mut stream).await {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) if error.kind() == ErrorKind::Refused => {
                    drop(stream);
                    drop(result);
                    // What was read before the row that cannot be is handed out first.
                    if !batch.rows.is_empty() && batches.send(Ok(batch.finish(range, done))).await.is_err() {
                        return Ok(Turn::Nobody);
                    }
                    return Err(self.names_it(error).await);
                }
                Err(error) => return Err(error),
            };
            if count == 0 {
                // The page's snapshot is older than its first row: whatever it shows is logged by now.
                reads.sight.note(&reads.connections, &server).await?;
            }
            count += 1;
            page_bytes += batch.add(&row)?;
            if batch.last_row_bytes > reads.connections.config.max_row_bytes {
                return Err(too_big(&batch.last_key(), reads.connections.config.max_row_bytes));
            }
            if batch.rows.slab.len() >= BATCH_BYTES || batch.rows.mutations.len() >= BATCH_ROWS {
                let full = std::mem::replace(&mut batch, Making::new(shape, *columns));
                faults::point("mysql/copy-page");
                if batches.send(Ok(full.finish(range, done))).await.is_err() {
                    return Ok(Turn::Nobody);
                }
            }
        }
        drop(stream);
        drop(result);
        faults::point("mysql/copy-page");
        if !batch.rows.is_empty() && batches.send(Ok(batch.finish(range, done))).await.is_err() {
            return Ok(Turn::Nobody);
        }
        *page_rows = next_page_rows(page_bytes, count);
        if shape.table.is_keyless() && *columns == Columns::All {
            session.run("COMMIT").await.map_err(reading)?;
        }
        Ok(if limit.is_some_and(|limit| count >= limit) { Turn::More } else { Turn::End })
    }
}

impl Pages {
    /// The row behind `done` is larger than a packet may be, and its connection is of no more use.
    async fn names_it(&self, error: Error) -> Error {
        let rest = KeyRange { after: self.done.clone().or_else(|| self.range.after.clone()), upto: None };
        let connections = &self.reads.connections;
        let asked = async {
            let mut session = connections.lease().await?;
            let key = split::first_key(&mut session, &self.shape, &rest).await;
            connections.give_back(session);
            key
        };
        match asked.await {
            Ok(Some(key)) => too_big(&show(key.values()), connections.config.max_row_bytes),
            _ => error,
        }
    }
}

/// What comes after a page.
enum Turn {
    More,
    End,
    /// Nobody takes batches any more.
    Nobody,
}

fn next_page_rows(bytes: usize, rows: u64) -> u64 {
    match rows {
        0 => FIRST_PAGE_ROWS,
        rows => (PAGE_BYTES as u64 / (bytes as u64 / rows).max(1)).clamp(1, MOST_PAGE_ROWS),
    }
}

/// The next row of an answer, in memory alone.
pub(super) async fn next_row<S>(stream: &mut S) -> Result<Option<Row>>
where
    S: futures_util::Stream<Item = Result<Row, mysql_async::Error>> + Unpin,
{
    stream.try_next().await.map_err(|failure| failure::error(failure, "reading rows"))
}

pub(super) fn positional(parameters: Vec<mysql_async::Value>) -> Params {
    if parameters.is_empty() { Params::Empty } else { Params::Positional(parameters) }
}

/// A batch in the making.
struct Making<'s> {
    shape: &'s Shape,
    index: u16,
    columns: Columns,
    rows: Rows,
    last_row_bytes: usize,
}

impl<'s> Making<'s> {
    fn new(shape: &'s Shape, columns: Columns) -> Making<'s> {
        let mut rows = Rows::default();
        let index = rows.shape(&shape.table);
        Making { shape, index, columns, rows, last_row_bytes: 0 }
    }

    fn add(&mut self, row: &Row) -> Result<usize> {
        let (table, natives) = (&self.shape.table, &self.shape.natives);
        let before = self.rows.slab.len();
        let (change, place) = match self.columns {
            Columns::All => (Change::Upsert, decode::row(row, table, natives, &mut self.rows.slab)?),
            Columns::Key => (Change::Touched, decode::key_row(row, table, natives, &mut self.rows.slab)?),
        };
        self.rows.push(self.index, change, place, NO_ROW);
        self.last_row_bytes = self.rows.slab.len() - before;
        Ok(self.last_row_bytes)
    }

    fn last_key(&self) -> String {
        let last = self.rows.mutations.last().and_then(|last| Key::of(&self.shape.table, self.rows.row(last.row)));
        last.map_or_else(|| "?".to_owned(), |key| show(key.values()))
    }

    fn finish(self, range: &KeyRange, done: &mut Option<Key>) -> Batch {
        let last = self.rows.row(self.rows.mutations.last().expect("not empty").row);
        let table = &self.shape.table;
        let key = Key::of(table, last);
        let from = range.position(0, &table.name, done.as_ref());
        let to = range.position(0, &table.name, key.as_ref());
        *done = key;
        Batch {
            partition: Partition::new(Partition::COPY),
            from,
            to,
            complete: true,
            // Pages follow each other in the key's order: no key is met twice.
            kind: Kind::Copy { fresh: true },
            body: Body::Rows(Arc::new(self.rows)),
            committed_ms: 0,
        }
    }
}

pub(super) fn too_big(key: &str, limit: usize) -> Error {
    Error::new(ErrorKind::Refused, format!("the row with key {key} is larger than {limit} bytes")).hint(
        "set the store's option `max_row_bytes` (and the job's `apply.max_row_bytes`) higher, or leave the table out",
    )
}

/// A key for people: `(7, 'a')`.
pub(super) fn show<'a>(values: impl Iterator<Item = ValueRef<'a>>) -> String {
    let one = |value: ValueRef<'_>| match value.to_owned() {
        Value::Int(number) => number.to_string(),
        Value::Unsigned(number) => number.to_string(),
        Value::Decimal(text) => text,
        Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Bytes(bytes) => format!("x'{}'", super::text::hex(&bytes[..bytes.len().min(32)])),
        other => format!("{other:?}"),
    };
    format!("({})", values.map(one).collect::<Vec<_>>().join(", "))
}
