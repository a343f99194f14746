//! Copies tables in parallel ranges before the tail starts. Each range is a feed that ends.

use super::{
    line::{Line, is_fresh},
    parallel::Lanes,
    prefetch::Prefetch,
    route::Routed,
    standing::Standing,
    status::Observed,
    waits::What,
    worklist::{Work, Worklist},
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{
        Batch, Body, Change, Checkpoint, Existing, KeyRange, Kind, NO_ROW, Partition, RangeProgress, Rows, Table,
        TableName, TableProgress, TableState,
    },
    source::{Columns, Feed, Next},
    target::Prepared,
};
use futures_util::future::try_join_all;
use std::{sync::Arc, time::Duration};

/// Ranges that a table is cut into, at most: what progress keeps of it stays small.
const PIECES: usize = 64;
const PATIENCE: Duration = Duration::from_secs(1);

/// Copies whatever is not copied yet; `Ok` when all of it is and the mark is saved that the tail must pass.
pub async fn run(line: &Line, lanes: &Lanes, standing: &mut Standing) -> Result<()> {
    prepare(line).await?;
    let tables: Vec<TableName> = line.ledger.read(|progress| {
        let copying = progress.tables.iter().filter(|(_, table)| table.state == TableState::Copying);
        copying.map(|(name, _)| name.clone()).collect()
    });
    if tables.is_empty() {
        return Ok(());
    }
    line.board.phase(&line.name, Observed::Copying);
    let there = |name: &TableName| {
        let table = line.table(name);
        if table.is_none() {
            tracing::warn!(table = %name, "the table is not at the source any more");
        }
        table
    };
    let worklist = Worklist::new(tables.iter().filter_map(there));
    let after = line.ledger.read(|progress| progress.checkpoint.clone());
    let of = line.copies();
    let copiers = (0..of).map(|lane| {
        let number = standing.copies.get(&lane).copied().unwrap_or(0);
        Copier { line, lanes, worklist: &worklist, after: &after, lane, of, number }.run()
    });
    try_join_all(copiers).await?;
    consistent_after_mark(line).await
}

/// Every table exists in the target; nothing of ours is in one that refuses rows of others.
async fn prepare(line: &Line) -> Result<()> {
    let tables = line.tables.lock().clone();
    for (name, table) in &tables {
        let known = line.ledger.read(|progress| progress.tables.get(name).map(|table| table.state.clone()));
        if known.as_ref().is_some_and(|state| *state != TableState::Copying) {
            continue;
        }
        match known {
            Some(_) => of_copy(line, table).await.map(|_| ())?,
            None => admit(line, table).await?,
        }
    }
    line.ledger.save().await
}

/// For a copy that has begun: what it has written must still be there.
async fn of_copy(line: &Line, table: &Arc<Table>) -> Result<Prepared> {
    let prepared = line.prepare(table).await?;
    match prepared.stale && !prepared.has_rows {
        true => {
            Err(Error::config(format!("the target has no table `{}` any more", line.route.target_name(&table.name)))
                .hint("restore it, or delete the job and create it again with `existing: replace`"))
        }
        false => Ok(prepared),
    }
}

/// A table that this target has not had yet: it is prepared and to be copied.
pub async fn admit(line: &Line, table: &Arc<Table>) -> Result<()> {
    let (name, epoch) = (&table.name, line.ledger.read(|progress| progress.epoch));
    let prepared = line.prepare(table).await?;
    if prepared.has_rows && line.existing == Existing::Refuse {
        return Err(Error::config(format!("table {} of the target has rows already", line.route.target_name(name)))
            .hint("empty it, or set `existing: merge` (keep them) or `existing: replace` (sweep them)"));
    }
    if prepared.has_rows && line.existing == Existing::Merge && table.is_keyless() {
        return Err(Error::config(format!("table {name} has no key, and rows in the target already"))
            .hint("rows without a key cannot be merged: empty it, or set `existing: replace`"));
    }
    let mut new = TableProgress::new(TableState::Copying, epoch);
    // Rows of others may be anywhere: plain inserts would meet them.
    new.started = prepared.has_rows;
    new.version = table.version;
    if prepared.has_rows && line.existing == Existing::Replace && !table.is_keyless() {
        new.sweep = vec![KeyRange::all()];
    }
    line.ledger.change(|progress| progress.tables.insert(name.clone(), new));
    Ok(())
}

/// R1: the mark is taken after the last range was read; the tail must pass it before a table is consistent.
async fn consistent_after_mark(line: &Line) -> Result<()> {
    let mark = line.source.mark().await?;
    line.ledger.change(|progress| {
        let copied = progress.tables.iter_mut().filter(|(_, table)| table.state == TableState::Copying);
        for (name, table) in copied {
            let Some(shape) = line.table(name) else { continue };
            if shape.is_keyless() {
                table.sweep.clear(); // It was emptied.
            }
            table.state = match table.sweep.is_empty() {
                true => TableState::CatchingUp(mark.clone()),
                // Rows that the source lacks are swept beside the tail.
                false => TableState::Recopying,
            };
        }
    });
    line.ledger.save().await
}

/// One connection that copies range after range.
struct Copier<'a> {
    line: &'a Line,
    lanes: &'a Lanes,
    worklist: &'a Worklist,
    /// R2: every read sees what is at or before this.
    after: &'a Checkpoint,
    lane: u16,
    of: u16,
    number: u64,
}

impl Copier<'_> {
    async fn run(mut self) -> Result<()> {
        while let Some(work) = self.worklist.next().await {
            match work {
                Work::Table(table) => self.split(&table).await?,
                Work::Range { table, range, fresh } => self.range(&table, range, fresh).await?,
            }
        }
        Ok(())
    }

    /// Cuts a table that was not touched yet.
    async fn split(&mut self, table: &Arc<Table>) -> Result<()> {
        let ledger = &self.line.ledger;
        let (started, whole) = ledger.read(|progress| {
            let progress = &progress.tables[&table.name];
            let whole = progress.todo.len() == 1 && progress.todo[0] == RangeProgress::new(KeyRange::all());
            (progress.started, whole)
        });
        let prepared = of_copy(self.line, table).await?;
        let fresh = is_fresh(&prepared, started);
        let pieces = if whole && !table.is_keyless() {
            let ranges = self.line.source.split(table, &KeyRange::all(), PIECES.min(usize::from(self.of) * 4)).await?;
            ranges.into_iter().map(RangeProgress::new).collect()
        } else if table.is_keyless() {
            vec![RangeProgress::new(KeyRange::all())] // It is emptied: what was done is done no more.
        } else {
            ledger.read(|progress| progress.tables[&table.name].todo.clone())
        };
        ledger.change(|progress| {
            let progress = progress.tables.get_mut(&table.name).expect("copied tables are known");
            progress.started = true;
            progress.pieces = progress.pieces.max(pieces.len() as u64);
            progress.todo.clone_from(&pieces);
        });
        // B1: that it has begun is durable before its first row is.
        ledger.save().await?;
        if table.is_keyless() && started {
            self.empty(table).await?;
        }
        self.worklist.cut(table, pieces, fresh);
        Ok(())
    }

    /// A keyless table that had begun starts over: half of it cannot be told from all of it.
    async fn empty(&mut self, table: &Arc<Table>) -> Result<()> {
        let mut rows = Rows::default();
        let shape = rows.shape(&self.line.route.target_table(table));
        rows.push(shape, Change::Truncate, NO_ROW, NO_ROW);
        let position = KeyRange::all().position(0, &table.name, None);
        self.apply(Batch {
            partition: Partition::new(Partition::COPY),
            from: position.clone(),
            to: position,
            complete: true,
            kind: Kind::Copy { fresh: false },
            body: Body::Rows(Arc::new(rows)),
            committed_ms: 0,
        })
        .await
    }

    async fn range(&mut self, table: &Arc<Table>, range: RangeProgress, fresh: bool) -> Result<()> {
        let (line, ledger) = (self.line, &self.line.ledger);
        let generation = ledger.read(|progress| progress.tables[&table.name].generation);
        let fresh = fresh && range.done.is_none();
        if faults::on(Saboteur::CopyRangeForgotten) {
            ledger.change(|progress| {
                let table = progress.tables.get_mut(&table.name).expect("copied tables are known");
                table.todo.retain(|todo| todo.range != range.range);
            });
            ledger.save().await?;
        }
        let rest = range.rest();
        let feed = line.source.copy(table, &rest, Columns::All, self.after).await?;
        if table.is_keyless() {
            let from = feed.stands_at();
            ledger.change(|progress| progress.tables.get_mut(&table.name).expect("known").from = from);
            ledger.save().await?;
        }
        let mut feed = Routed::new(Prefetch::new(feed, line.budget.clone()), Arc::clone(&line.route));
        let mut from = range.range.position(generation, &table.name, range.done.as_ref());
        let mut limit = line.limit.clone();
        loop {
            let batch = match feed.next(PATIENCE).await? {
                Next::Batch(batch) => batch,
                Next::Idle(_) => continue,
                Next::End => break,
            };
            let (rows, bytes) = (batch.changes(), batch.bytes() as u64);
            limit.pay(rows, bytes).await;
            let done = KeyRange::from_position(&batch.to).and_then(|(.., done)| done);
            let to = range.range.position(generation, &table.name, done.as_ref());
            // The source says whether it may show one key twice.
            let fresh = fresh && batch.kind == Kind::Copy { fresh: true };
            let batch = Batch { from, to: to.clone(), kind: Kind::Copy { fresh }, ..batch };
            self.apply(batch).await?;
            from = to;
            ledger.change(|progress| {
                let table = progress.tables.get_mut(&table.name).expect("copied tables are known");
                table.rows += rows;
                table.bytes += bytes;
            });
        }
        ledger.change(|progress| {
            progress.numbers.entry(Partition::new(Partition::COPY)).or_default().insert(self.lane, self.number);
            let table = progress.tables.get_mut(&table.name).expect("copied tables are known");
            table.todo.retain(|todo| todo.range != range.range);
        });
        faults::point("range-done");
        // The range is durable before this lane's watermark names another one.
        ledger.save().await
    }

    async fn apply(&mut self, batch: Batch) -> Result<()> {
        self.number += 1;
        faults::point("before-copy-apply");
        let waits = self.line.board.waits(&self.line.name, What::Target);
        self.lanes.apply_copy(&batch, self.after, self.number, self.of, self.lane).await?;
        drop(waits);
        faults::point("after-copy-apply");
        self.line.board.applied(&self.line.name, &batch);
        Ok(())
    }
}
