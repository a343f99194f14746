//! A table copy: pages of a key range, each read in a short snapshot of its own.

use super::{
    config::Config,
    decode,
    failure::Answer,
    file::Database,
    large::{self, too_big},
    paging,
    schema::Shape,
    seen::{self, Seen},
    shapes::Shapes,
    statement::Statement,
    text::quote,
    thread::{self, Thread},
};
use crate::{
    error::{Error, Result},
    model::{Batch, Body, Change, Checkpoint, Key, KeyRange, Kind, Mark, NO_ROW, Partition, Rows, TableName, ValueRef},
    source::{Columns, Feed, Next},
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::{ops::ControlFlow, sync::Arc, time::Duration};
use tokio::sync::oneshot;

/// A page ends at whichever comes first: small enough to flow, large enough that the walk down the index does not count.
const PAGE_BYTES: usize = 1 << 20;
const PAGE_ROWS: usize = 20_000;

/// Connections of copies that came to their end, for the next ones: opening one reads the whole schema, which with
/// thousands of tables takes longer than most of them.
#[derive(Clone, Default)]
pub(super) struct Idle(Arc<Mutex<Vec<Thread<Result<Pages>>>>>);

/// Copies are made side by side, but each holds a cache of pages.
const IDLE: usize = 2;

impl Idle {
    /// There is nothing to copy for now.
    pub fn close(&self) {
        self.0.lock().clear();
    }

    fn keep(&self, thread: Thread<Result<Pages>>) {
        let mut idle = self.0.lock();
        if idle.len() < IDLE {
            idle.push(thread);
        }
    }
}

pub(super) struct CopyFeed {
    /// Taken only by drop.
    thread: Option<Thread<Result<Pages>>>,
    idle: Idle,
    /// What is to be read, until it is first asked for.
    wanted: Option<Wanted>,
    /// The page that is being read; kept when a caller loses patience.
    pending: Option<oneshot::Receiver<Result<Option<Batch>>>>,
    /// The last page was handed out.
    ended: bool,
}

struct Wanted {
    table: TableName,
    range: KeyRange,
    columns: Columns,
    after: Checkpoint,
}

impl CopyFeed {
    pub fn new(
        config: Arc<Config>,
        idle: &Idle,
        table: &TableName,
        range: &KeyRange,
        columns: Columns,
        after: &Checkpoint,
        seen: Arc<Seen>,
    ) -> CopyFeed {
        let wanted = Wanted { table: table.clone(), range: range.clone(), columns, after: after.clone() };
        let thread = idle.0.lock().pop();
        let thread = thread.unwrap_or_else(|| Thread::start("sqlite-copy", move || Pages::open(config, seen)));
        CopyFeed { thread: Some(thread), idle: idle.clone(), wanted: Some(wanted), pending: None, ended: false }
    }
}

impl Drop for CopyFeed {
    fn drop(&mut self) {
        // Nothing is being read, and no transaction is open.
        if let Some(thread) = self.thread.take().filter(|_| self.ended) {
            self.idle.keep(thread);
        }
    }
}

#[async_trait]
impl Feed for CopyFeed {
    async fn next(&mut self, patience: Duration) -> Result<Next> {
        if self.ended {
            return Ok(Next::End);
        }
        if self.pending.is_none() {
            let wanted = self.wanted.take();
            let read = |pages: &mut Result<Pages>| match pages {
                Ok(pages) => {
                    wanted.map_or(Ok(()), |wanted| pages.turn_to(wanted))?;
                    pages.next()
                }
                Err(_) => Err(std::mem::replace(pages, Err(thread::gone())).err().unwrap_or_else(thread::gone)),
            };
            self.pending = Some(self.thread.as_ref().expect("taken only by drop").begin(read).await?);
        }
        let pending = self.pending.as_mut().expect("just asked");
        match tokio::time::timeout(patience, pending).await {
            Err(_) => return Ok(Next::Idle(Checkpoint::default())),
            Ok(answer) => {
                self.pending = None;
                let page = answer.map_err(|_| thread::gone())??;
                self.ended = page.is_none();
                Ok(page.map_or(Next::End, Next::Batch))
            }
        }
    }

    async fn acknowledge(&mut self, _: &Checkpoint) -> Result<()> {
        Ok(())
    }

    fn passed(&mut self, _: &Mark) -> bool {
        false
    }
}

/// The thread's side: where the copy stands.
pub(super) struct Pages {
    select: Option<(Arc<Shape>, bool, Statement)>,
    db: Database,
    shapes: Shapes,
    table: TableName,
    range: KeyRange,
    done: Option<Key>,
    /// Names of the key's columns as they were at the first page.
    key: Option<Vec<String>>,
    columns: Columns,
    after: Checkpoint,
    seen: Arc<Seen>,
    config: Arc<Config>,
}

impl Pages {
    fn open(config: Arc<Config>, seen: Arc<Seen>) -> Result<Pages> {
        Ok(Pages {
            select: None,
            db: Database::open(&config.path, config.busy, config.max_row_bytes)?,
            shapes: Shapes::default(),
            table: TableName::new("", ""),
            range: KeyRange::all(),
            done: None,
            key: None,
            columns: Columns::All,
            after: Checkpoint::default(),
            seen,
            config,
        })
    }

    /// Begins another copy, on another connection where the file was replaced meanwhile.
    fn turn_to(&mut self, wanted: Wanted) -> Result<()> {
        if self.db.prove().is_err() {
            *self = Pages::open(Arc::clone(&self.config), Arc::clone(&self.seen))?;
        }
        self.db.forget_pages()?;
        (self.select, self.done, self.key) = (None, None, None);
        let Wanted { table, range, columns, after } = wanted;
        (self.table, self.range, self.columns, self.after) = (table, range, columns, after);
        Ok(())
    }

    /// The next page; `None` after the last.
    fn next(&mut self) -> Result<Option<Batch>> {
        self.db.prove()?;
        self.db.run("BEGIN")?;
        let page = self.page();
        self.db.rollback();
        page.map_err(|error| error.at(&self.table))
    }

    fn page(&mut self) -> Result<Option<Batch>> {
        seen::prove_after(&mut self.db, &self.after, &self.seen)?;
        let Some(shape) = self.shapes.get(&mut self.db, &self.table.name)? else {
            tracing::warn!(table = %self.table, "the table is gone while it was to be copied");
            return Ok(None);
        };
        self.prove_same_key(&shape)?;
        if self.done.is_none() && self.range.after.is_none() {
            refuse_null_keys(&mut self.db, &shape)?;
        }
        let start = self.done.clone().or_else(|| self.range.after.clone());
        let mut rows = Rows::default();
        let index = rows.shape(&shape.table);
        let keys = decode::key_places(&shape.table);
        let whole = self.columns == Columns::All;
        let (change, width) = if whole { (Change::Upsert, shape.table.columns.len()) } else { (Change::Touched, 0) };
        let max_row_bytes = usize::try_from(self.config.max_row_bytes).unwrap_or(usize::MAX);
        let mut slab = Vec::with_capacity(if start.is_some() { PAGE_BYTES } else { 0 });
        let bounds: Vec<ValueRef<'_>> = start.iter().chain(&self.range.upto).flat_map(Key::values).collect();
        let select = &mut self.select;
        let mut read_page = |db: &mut Database, small: u64, rows: &mut Rows, slab: &mut Vec<u8>| {
            let statement = statement_for(select, db, &shape, start.is_some(), self.range.upto.is_some(), whole)?;
            db.limited(small, self.config.max_row_bytes, |_| {
                statement.query(bounds.iter().copied(), |row| {
                    let place = match whole {
                        true => decode::row(row, width, slab),
                        false => decode::key_row(row, 0, &keys, slab),
                    };
                    let length = slab.len() - place as usize;
                    if length > max_row_bytes {
                        slab.truncate(place as usize);
                        return Err(too_big());
                    }
                    rows.push(index, change, place, NO_ROW);
                    let full = slab.len() >= PAGE_BYTES || rows.mutations.len() >= PAGE_ROWS;
                    Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                })
            })
        };
        let small = if whole { large::SMALL } else { self.config.max_row_bytes };
        let mut read = read_page(&mut self.db, small, &mut rows, &mut slab);
        if whole && rows.is_empty() && matches!(&read, Err(failure) if failure.is_too_big()) {
            let sql = |list: &str| {
                format!("{} LIMIT 1", paging::select(&shape, list, start.is_some(), self.range.upto.is_some()))
            };
            read = match large::row(&self.db, &shape, self.config.max_row_bytes, sql, &bounds, &mut slab) {
                Ok(large::Read::Found(place)) => {
                    rows.push(index, change, place, NO_ROW);
                    Ok(())
                }
                Ok(_) => read_page(&mut self.db, self.config.max_row_bytes, &mut rows, &mut slab),
                Err(failure) => Err(failure),
            };
        }
        rows.slab = slab;
        match read {
            // What was read before the row that cannot be is handed out first.
            Err(failure) if failure.is_too_big() && rows.is_empty() => {
                return Err(too_big_after(&self.db, &shape, start.as_ref(), self.config.max_row_bytes));
            }
            Err(failure) if !failure.is_too_big() => return Err(failure.into()),
            _ if rows.is_empty() => return Ok(None),
            _ => {}
        }
        let last = rows.row(rows.mutations.last().expect("not empty").row);
        let done = Key::of(&shape.table, last);
        let from = self.range.position(0, &self.table, self.done.as_ref());
        let to = self.range.position(0, &self.table, done.as_ref());
        self.done = done;
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

    /// Ranges are cut in the key's order; in another key's order they would mean other rows.
    fn prove_same_key(&mut self, shape: &Shape) -> Result<()> {
        let now: Vec<String> = shape.terms.iter().map(paging::collated).collect();
        match &self.key {
            None => self.key = Some(now),
            Some(then) if *then == now => {}
            Some(_) => {
                return Err(Error::transient("the table was made anew with another key while it was copied"));
            }
        }
        let bounds = [&self.range.after, &self.range.upto];
        match bounds.into_iter().flatten().all(|bound| bound.row().len() == shape.terms.len()) {
            true => Ok(()),
            false => Err(Error::config("the table was made anew with another key since its copy began")
                .hint("delete the job and create it again with `existing: replace`")),
        }
    }
}

/// The page's statement, prepared again only for another shape.
fn statement_for<'s>(
    kept: &'s mut Option<(Arc<Shape>, bool, Statement)>,
    db: &Database,
    shape: &Arc<Shape>,
    after: bool,
    upto: bool,
    whole: bool,
) -> Answer<&'s mut Statement> {
    if !matches!(kept, Some((of, started, _)) if Arc::ptr_eq(of, shape) && *started == after) {
        let columns = match whole {
            true => shape.column_list(),
            false => shape.terms.iter().map(|term| term.name.clone()).collect::<Vec<_>>().join(", "),
        };
        let statement = Statement::new(&db.conn, &paging::select(shape, &columns, after, upto))?;
        *kept = Some((Arc::clone(shape), after, statement));
    }
    Ok(kept.as_mut().map(|(_, _, statement)| statement).expect("just made"))
}

/// Names the row after `start` that is too large to be read.
fn too_big_after(db: &Database, shape: &Shape, start: Option<&Key>, limit: u64) -> Error {
    let keys = shape.terms.iter().map(|term| term.name.clone()).collect::<Vec<_>>().join(", ");
    let sql = format!("{} LIMIT 1", paging::select(shape, &keys, start.is_some(), false));
    let read = |row: super::statement::Row<'_>| show((0..shape.terms.len()).map(|part| row.get(part)));
    let found = db.rows(&sql, start.iter().flat_map(|key| key.values()).collect::<Vec<_>>(), read);
    let key = found.ok().and_then(|keys| keys.into_iter().next()).unwrap_or_else(|| "?".to_owned());
    too_big_row(&key, limit)
}

pub(super) fn too_big_row(key: &str, limit: u64) -> Error {
    Error::refused(format!("the row with key {key} is larger than {limit} bytes")).hint(
        "set the store's option `max_row_bytes` (and the job's `apply.max_row_bytes`) higher, or leave the table out",
    )
}

/// A key for people: `(7, 'a')`.
pub(super) fn show<'a>(values: impl Iterator<Item = ValueRef<'a>>) -> String {
    let one = |value| match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Int(v) => v.to_string(),
        ValueRef::Float64(v) => v.to_string(),
        ValueRef::Text(v) => format!("'{}'", v.replace('\'', "''")),
        ValueRef::Bytes(v) | ValueRef::Native(_, v) => {
            format!("x'{}'", v.iter().take(32).map(|byte| format!("{byte:02x}")).collect::<String>())
        }
        other => format!("{other:?}"),
    };
    format!("({})", values.map(one).collect::<Vec<_>>().join(", "))
}

/// SQLite allows NULL in a declared key; such a row has no address, and a walk along the key would step over it.
fn refuse_null_keys(db: &mut Database, shape: &Shape) -> Result<()> {
    if !shape.may_have_null_key() {
        return Ok(());
    }
    match null_key(db, shape)? {
        Some(key) => Err(has_null_key(shape.name(), &key)),
        None => Ok(()),
    }
}

/// The key of one row that has NULL in it.
pub(super) fn null_key(db: &Database, shape: &Shape) -> Answer<Option<String>> {
    let columns = shape.terms.iter().map(|term| term.name.clone()).collect::<Vec<_>>();
    let nulls = columns.iter().map(|name| format!("{name} IS NULL")).collect::<Vec<_>>().join(" OR ");
    let sql = format!("SELECT {} FROM {} WHERE {nulls} LIMIT 1", columns.join(", "), quote(shape.name()));
    let keys = db.rows(&sql, [], |row| show((0..columns.len()).map(|part| row.get(part))))?;
    Ok(keys.into_iter().next())
}

pub(super) fn has_null_key(table: &str, key: &str) -> Error {
    Error::refused(format!("the row with key {key} of `{table}` has NULL in its key and cannot be addressed")).hint(
        format!(
            "give it a key, or delete it: `SELECT rowid, * FROM {}` shows it; or leave the table out",
            quote(table)
        ),
    )
}
