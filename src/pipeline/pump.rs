//! The loop: `next → apply → save → acknowledge`. The only place that moves a position (invariant 2).

use super::{
    finish,
    held::Held,
    line::Line,
    parallel::Lanes,
    resolve::{Resolve, at},
    retry::Backoff,
    route::Routed,
    standing::{Standing, Torn},
    status::Observed,
    tee::Tap,
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{Batch, Body, Change, Checkpoint, Kind, Partition, Position, Rows, TableState},
    source::{Feed, Next},
    target::Applied,
};
use std::{cmp::Ordering, collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(1);
/// State is behind the target's watermark by this much at most; it only saves work after a restart.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How often an idle source may cost the target a transaction.
const IDLE_EVERY: Duration = Duration::from_secs(10);

/// The tail of one pipeline.
pub struct Pump<'a> {
    line: &'a Line,
    lanes: Lanes,
    numbers: BTreeMap<Partition, u64>,
    torn: Vec<Torn>,
    /// Where the target stands, including what is only held in an open transaction.
    at: Checkpoint,
    idle_since: Instant,
    saved: Instant,
    dirty: bool,
}

impl<'a> Pump<'a> {
    pub fn new(line: &'a Line, lanes: Lanes, standing: Standing) -> Self {
        let at = line.ledger.read(|progress| progress.checkpoint.clone());
        let Standing { numbers, torn, .. } = standing;
        let now = Instant::now();
        Pump { line, lanes, numbers, torn, at, idle_since: now, saved: now, dirty: false }
    }

    /// Follows the log until `stop`. An error drops the tap; the next attempt starts from what the target says.
    pub async fn run(mut self, stop: &CancellationToken, backoff: &mut Backoff) -> Result<()> {
        for torn in std::mem::take(&mut self.torn) {
            self.mend(torn, stop).await?;
        }
        self.save().await?;
        let edges = self
            .line
            .ledger
            .read(|progress| progress.tables.values().filter_map(|table| table.from.clone()).collect::<Vec<_>>());
        let mut tap = self.line.join.join(&self.line.name, self.at.clone(), edges).await?;
        let mut held = Held::default();
        loop {
            self.phase();
            held.ask(self.line, &tap).await?;
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                next = tap.next(PATIENCE) => next?,
            };
            match next {
                Next::Batch(batch) => {
                    let slice = tap.slice.take();
                    if !self.batch(batch, stop).await? {
                        break;
                    }
                    if let Some(slice) = slice {
                        held.applied(self.line, slice).await?;
                    }
                    backoff.succeeded();
                }
                Next::Idle(upto) => self.idle(&upto, stop).await?,
                Next::End => return Err(Error::transient("the tail of the log ended")),
            }
            self.consistent(&mut tap, stop).await?;
            if self.dirty && self.saved.elapsed() >= SAVE_EVERY {
                self.save().await?;
            }
        }
        self.save().await
    }

    /// Invariant 1: saved after it is applied, and only then offered for acknowledgement.
    async fn save(&mut self) -> Result<()> {
        if faults::on(Saboteur::AcknowledgeBeforeSave) {
            self.line.applied.set(&self.line.name, self.at.clone());
        }
        faults::point("before-save");
        self.line.ledger.save().await?;
        faults::point("after-save");
        let checkpoint = self.line.ledger.read(|progress| progress.checkpoint.clone());
        self.line.applied.set(&self.line.name, checkpoint);
        self.line.board.tables(&self.line.name, &self.line.ledger.read(Clone::clone));
        self.saved = Instant::now();
        self.dirty = false;
        Ok(())
    }

    /// A torn batch: exactly `(from, to]` again, for the lanes that lack it.
    async fn mend(&mut self, torn: Torn, stop: &CancellationToken) -> Result<()> {
        let line = self.line;
        let Torn { partition, number, from, to, spread } = torn;
        let mut whole = Batch {
            partition: partition.clone(),
            from: from.clone(),
            to: to.clone(),
            complete: true,
            kind: Kind::Log,
            body: Body::Rows(Arc::default()),
            committed_ms: 0,
        };
        if line.source.order(&from, &to)? == Ordering::Less {
            let mut start = self.at.clone();
            start.set(&partition, from);
            let tables: Vec<_> = line.tables.lock().keys().cloned().collect();
            let edges = [at(&partition, &to)];
            let tail = line.source.tail(line.job, &start, &edges, &tables).await?;
            let tail = Resolve::new(tail, Arc::clone(&line.source), false);
            let mut tail = Routed::new(tail, Arc::clone(&line.route));
            let mut rows = Rows::default();
            loop {
                let next = tokio::select! {
                    biased;
                    () = stop.cancelled() => return Err(Error::transient("stopped")),
                    next = tail.next(PATIENCE) => next?,
                };
                match next {
                    Next::Batch(batch) if batch.partition == partition => {
                        append(&mut rows, batch.rows());
                        whole.complete = batch.complete;
                        match line.source.order(&batch.to, &to)? {
                            Ordering::Less => {}
                            Ordering::Equal => break,
                            Ordering::Greater => return Err(Error::lost(format!("the log crosses the edge {to:?}"))),
                        }
                    }
                    Next::Batch(_) | Next::End => {}
                    Next::Idle(upto) => {
                        let passed = upto.get(&partition).map(|at| line.source.order(at, &to)).transpose()?;
                        if passed.is_some_and(Ordering::is_ge) {
                            break;
                        }
                    }
                }
            }
            whole.body = Body::Rows(Arc::new(rows));
        }
        tracing::info!(job = %line.job, target = line.name, number, lacking = ?spread.lacking, "mending a torn batch");
        self.at.set(&partition, whole.from.clone());
        self.lanes.apply(&whole, number, &spread).await?;
        self.moved(&whole, number, spread.of);
        Ok(())
    }

    /// Applies one batch, however often the target must be reopened for it; false if `stop` came first.
    async fn batch(&mut self, mut batch: Batch, stop: &CancellationToken) -> Result<bool> {
        self.drop_known(&mut batch)?;
        if let Some(alone) = batch.alone().copied() {
            self.before_alone(&batch, alone.change).await?;
        } else {
            self.new_shapes(&batch).await?;
        }
        if !self.numbers.contains_key(&batch.partition) {
            self.at.set(&batch.partition, batch.from.clone());
            self.line.ledger.change(|progress| progress.checkpoint.set(&batch.partition, batch.from.clone()));
            self.line.ledger.save().await?;
            self.line.open().await?;
        }
        let number = self.numbers.get(&batch.partition).copied().unwrap_or(0) + 1;
        if faults::on(Saboteur::SaveBeforeApply) {
            self.moved(&batch, number, 1);
            self.save().await?;
        }
        let mut spread = self.lanes.spread(&batch);
        let mut backoff = Backoff::default();
        self.line.board.in_hand(&self.line.name);
        loop {
            faults::point("before-apply");
            let error = match self.lanes.apply(&batch, number, &spread).await {
                Ok(Applied::Held) => {
                    self.numbers.insert(batch.partition.clone(), number);
                    self.at.set(&batch.partition, batch.to.clone());
                    return Ok(true);
                }
                Ok(_) => break,
                Err(error) if error.is_transient() && !self.line.apply.transactional => error,
                Err(error) => return Err(error),
            };
            // Lane protocol 7: the batch stays in hand; the source's log is not read again because a target is slow.
            self.line.board.target_error(&self.line.name, &error);
            tracing::warn!(job = %self.line.job, target = self.line.name, %error, "batch kept, reopening the target");
            loop {
                if !backoff.wait(stop).await {
                    return Ok(false);
                }
                match self.line.open().await {
                    Ok(standing) => {
                        // Lane protocol 4: a lost answer is looked up, not guessed.
                        let newest = standing.numbers.get(&batch.partition).copied().unwrap_or(0);
                        if newest + 1 < number || newest > number {
                            return Err(Error::transient(format!(
                                "the target stands at batch {newest}, not at {number}"
                            )));
                        }
                        spread = standing.lacking(&batch.partition, number, spread.of);
                        break;
                    }
                    Err(error) if error.is_transient() => self.line.board.target_error(&self.line.name, &error),
                    Err(error) => return Err(error),
                }
            }
            if spread.lacking.is_empty() {
                break;
            }
        }
        faults::point("after-apply");
        self.moved(&batch, number, spread.of);
        Ok(true)
    }

    /// The batch is durable in the target: the position moves, in memory.
    fn moved(&mut self, batch: &Batch, number: u64, of: u16) {
        self.numbers.insert(batch.partition.clone(), number);
        self.at.set(&batch.partition, batch.to.clone());
        let at = self.at.clone();
        self.line.ledger.change(|progress| {
            progress.checkpoint = at;
            let numbers = progress.numbers.entry(batch.partition.clone()).or_default();
            numbers.extend((0..of).map(|lane| (lane, number)));
        });
        self.dirty = true;
        self.idle_since = Instant::now();
        self.line.board.applied(&self.line.name, batch.changes(), batch.committed_ms);
    }

    /// A6: changes of a keyless table that its one read has seen already are dropped.
    fn drop_known(&mut self, batch: &mut Batch) -> Result<()> {
        let line = self.line;
        let mut over = Vec::new();
        for (name, from) in line.ledger.read(|progress| {
            let from = progress.tables.iter().filter_map(|(name, table)| Some((name.clone(), table.from.clone()?)));
            from.collect::<Vec<_>>()
        }) {
            let Some(from) = from.get(&batch.partition) else { continue };
            if line.source.order(&batch.to, from)? == Ordering::Greater {
                over.push(name);
                continue;
            }
            let target = line.route.target_name(&name);
            if let Body::Rows(rows) = &mut batch.body
                && rows.shapes.iter().any(|shape| shape.name == target)
            {
                let rows = Arc::make_mut(rows);
                let shapes = &rows.shapes;
                rows.mutations.retain(|mutation| shapes[usize::from(mutation.shape)].name != target);
            }
        }
        // With several partitions every one of them must be over; with one, this one is.
        line.ledger.change(|progress| {
            for name in over {
                let table = progress.tables.get_mut(&name).expect("just seen");
                if let Some(from) = &mut table.from {
                    from.0.remove(&batch.partition);
                }
                table.from = table.from.take().filter(|from| !from.0.is_empty());
            }
        });
        Ok(())
    }

    /// Shapes that the target has not seen are prepared before their first row.
    async fn new_shapes(&self, batch: &Batch) -> Result<()> {
        for shape in &batch.rows().shapes {
            let source = self.line.route.source_table(shape);
            let versions = self.line.ledger.read(|progress| {
                let table = progress.tables.get(&source.name)?;
                Some((table.version, table.is_streaming()))
            });
            // A11: below the consistent point a target never alters; columns it lacks are left out, the log brings them.
            if let Some((version, true)) = versions
                && version < shape.version
            {
                self.line.prepare(&source).await?;
                self.prepared(&source.name, shape.version);
            }
        }
        Ok(())
    }

    fn prepared(&self, name: &crate::model::TableName, version: u64) {
        self.line.ledger.change(|progress| {
            if let Some(table) = progress.tables.get_mut(name) {
                table.version = table.version.max(version);
            }
        });
    }

    /// What a change of a whole table asks for before its batch moves the watermark: it is repeated if that is lost.
    async fn before_alone(&mut self, batch: &Batch, change: Change) -> Result<()> {
        if !matches!(change, Change::Reshape | Change::Recopy) {
            return Ok(());
        }
        let line = self.line;
        let table = Arc::clone(batch.rows().table(batch.alone().expect("the caller saw it")));
        let source = line.route.source_table(&table);
        line.prepare(&source).await?;
        self.prepared(&source.name, table.version);
        line.tables.lock().insert(source.name.clone(), Arc::clone(&source));
        line.ledger.change(|progress| {
            let epoch = progress.epoch;
            let Some(known) = progress.tables.get_mut(&source.name) else { return };
            // A11: a shape that changes inside the window of a copy leaves rows of both shapes behind.
            if change == Change::Recopy || !known.is_streaming() {
                known.recopy(epoch);
            }
        });
        line.ledger.save().await
    }

    /// Nothing for us up to here: an empty batch, so that a position lives in one place, but not often.
    async fn idle(&mut self, upto: &Checkpoint, stop: &CancellationToken) -> Result<()> {
        self.line.board.up_to_date(&self.line.name);
        if self.idle_since.elapsed() < IDLE_EVERY {
            return Ok(());
        }
        for (partition, to) in &upto.0 {
            let from = self.at.get(partition).cloned().unwrap_or_else(|| to.clone());
            if from == *to {
                continue;
            }
            let batch = empty(partition, from, to.clone());
            if !self.batch(batch, stop).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Tables whose mark is passed get their unique indexes and become consistent (B5).
    async fn consistent(&mut self, tap: &mut Tap, stop: &CancellationToken) -> Result<()> {
        let waiting = self.line.ledger.read(|progress| {
            let waiting = progress.tables.iter().filter_map(|(name, table)| match &table.state {
                TableState::CatchingUp(mark) => Some((name.clone(), mark.clone())),
                _ => None,
            });
            waiting.collect::<Vec<_>>()
        });
        let mut ready: Vec<_> = waiting
            .into_iter()
            .filter(|(_, mark)| tap.passed(mark) || faults::on(Saboteur::ConsistentWithoutMark))
            .map(|(name, _)| name)
            .collect();
        // A foreign key needs both of its tables.
        let ready_now = ready.clone();
        ready.retain(|name| finish::parents_stand(self.line, name, &ready_now));
        for name in ready {
            loop {
                let table = self.line.table(&name)?;
                let Some(rows) = finish::finish(self.line, &table, &self.at).await? else { break };
                let Some((partition, position)) = self.at.0.first_key_value() else { break };
                let batch = Batch {
                    body: Body::Rows(Arc::new(rows)),
                    ..empty(&partition.clone(), position.clone(), position.clone())
                };
                if !self.batch(batch, stop).await? {
                    return Ok(());
                }
            }
            let since = self.numbers.clone();
            self.line.ledger.change(|progress| {
                progress.tables.get_mut(&name).expect("just seen").state = TableState::Streaming { since };
            });
            tracing::info!(job = %self.line.job, target = self.line.name, table = %name, "table is consistent");
            self.save().await?;
        }
        Ok(())
    }

    fn phase(&self) {
        let phase = self.line.ledger.read(|progress| {
            let mut states = progress.tables.values().map(|table| &table.state);
            match states.all(|state| matches!(state, TableState::Streaming { .. })) {
                true => Observed::Streaming,
                false => Observed::CatchingUp,
            }
        });
        self.line.board.phase_if_new(&self.line.name, phase);
    }
}

fn empty(partition: &Partition, from: Position, to: Position) -> Batch {
    Batch {
        partition: partition.clone(),
        from,
        to,
        complete: true,
        kind: Kind::Log,
        body: Body::Rows(Arc::default()),
        committed_ms: 0,
    }
}

/// Puts the rows of one batch behind those of another.
fn append(rows: &mut Rows, more: &Rows) {
    let base = u32::try_from(rows.slab.len()).expect("a slab stays below 4 GiB");
    rows.slab.extend_from_slice(&more.slab);
    for mutation in &more.mutations {
        let mut moved = *mutation;
        moved.shape = rows.shape(more.table(mutation));
        for place in [&mut moved.row, &mut moved.before] {
            if *place != crate::model::NO_ROW {
                *place += base;
            }
        }
        rows.mutations.push(moved);
    }
}
