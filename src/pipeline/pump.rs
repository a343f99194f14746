//! The loop: `next → apply → save → acknowledge`. The only place that moves a position (invariant 2).

use super::{
    finish,
    held::Held,
    line::Line,
    mend,
    parallel::{Lanes, Stand},
    retry::Backoff,
    shapes,
    standing::{Standing, Torn},
    status::Observed,
    tap::Tap,
    waits::What,
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{
        Batch, Body, Change, Checkpoint, Keyless, Kind, Mutation, NO_ROW, Partition, Position, Progress, TableName,
        TableProgress, TableState,
    },
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
/// How old the proof may be that the target is there and has what it confirmed; below what the board calls stale.
const PROOF_EVERY: Duration = Duration::from_secs(20);

/// The tail of one pipeline.
pub struct Pump<'a> {
    line: &'a Line,
    lanes: Lanes,
    numbers: BTreeMap<Partition, u64>,
    torn: Vec<Torn>,
    /// Where the target stands, including what is only held in an open transaction.
    at: Checkpoint,
    /// The target holds a transaction open.
    open: bool,
    /// A table is to be copied as at the start, once no transaction is open.
    anew: bool,
    idle_since: Instant,
    /// Nothing for us up to here: not applied yet.
    idle: Checkpoint,
    saved: Instant,
    dirty: bool,
}

impl<'a> Pump<'a> {
    pub fn new(line: &'a Line, lanes: Lanes, standing: Standing) -> Self {
        let at = line.ledger.read(|progress| progress.checkpoint.clone());
        let Standing { numbers, torn, .. } = standing;
        let now = Instant::now();
        Pump {
            line,
            lanes,
            numbers,
            torn,
            at,
            open: false,
            anew: false,
            idle_since: now,
            idle: Checkpoint::default(),
            saved: now,
            dirty: false,
        }
    }

    /// Follows the log until `stop`, or (true) until a table is to be copied as at the start. An error drops the tap; the
    /// next attempt starts from what the target says.
    pub async fn run(mut self, stop: &CancellationToken, backoff: &mut Backoff) -> Result<bool> {
        for torn in std::mem::take(&mut self.torn) {
            self.mend(torn, stop).await?;
        }
        self.save().await?;
        if self.begins_anew() {
            return Ok(true);
        }
        let edges = self
            .line
            .ledger
            .read(|progress| progress.tables.values().filter_map(|table| table.from.clone()).collect::<Vec<_>>());
        let mut tap = self.line.join.join(&self.line.name, self.at.clone(), edges).await?;
        let mut held = Held::default();
        let mut inherited = shapes::inherited(self.line).await;
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
                    if self.begins_anew() {
                        break;
                    }
                    if let Some(slice) = slice {
                        held.applied(self.line, slice).await?;
                    }
                    backoff.succeeded();
                }
                Next::Idle(upto) if tap.heard => self.idle(&upto, stop).await?,
                Next::Idle(_) => {}
                Next::End => return Err(Error::transient("the tail of the log ended")),
            }
            if !self.open {
                self.consistent(&mut tap, stop).await?;
            }
            if inherited.as_ref().is_some_and(|mark| tap.passed(mark)) {
                self.line.vanished.lock().caught_up();
                inherited = None;
            }
            if self.dirty && self.saved.elapsed() >= SAVE_EVERY {
                self.save().await?;
            }
        }
        self.save().await?;
        Ok(self.begins_anew())
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
        let (number, lacking) = (torn.number, &torn.spread.lacking);
        tracing::info!(number, ?lacking, "mending a torn batch");
        let mut whole = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Error::transient("stopped")),
            whole = mend::read(line, &self.at, &torn) => whole?,
        };
        // As it was spread: A6.
        self.drop_known(&mut whole)?;
        // Its rows cannot be read any more since the table has another shape: all of them are read anew.
        for again in mend::take_recopies(&mut whole) {
            self.before_alone(&again, Change::Recopy).await?;
        }
        self.note_stand();
        self.line.witness().note().await?;
        self.lanes.apply(&whole, torn.number, &torn.spread).await?;
        self.moved(&whole, torn.number, torn.spread.of);
        Ok(())
    }

    /// Applies one batch, however often the target must be reopened for it; false if `stop` came first.
    async fn batch(&mut self, mut batch: Batch, stop: &CancellationToken) -> Result<bool> {
        self.drop_known(&mut batch)?;
        self.only_appended(&batch)?;
        if let Some(alone) = batch.alone().copied() {
            self.before_alone(&batch, alone.change).await?;
        } else {
            shapes::new_shapes(self.line, &batch, self.open).await?;
        }
        self.phase();
        self.note_stand();
        // A held slice, or what `finish` asked for: read ahead of the position at which it stands.
        if batch.from == batch.to && !batch.rows().is_empty() {
            self.line.witness().note().await?;
        }
        if !self.numbers.contains_key(&batch.partition) {
            self.at.set(&batch.partition, batch.from.clone());
            self.line.ledger.change(|progress| {
                progress.checkpoint.set(&batch.partition, batch.from.clone());
                progress.starts.set(&batch.partition, batch.from.clone());
            });
            self.line.ledger.save().await?;
            // Whatever it has lost meanwhile, this opening is the only one that will say so.
            if self.line.open().await?.has_lost(self.line) {
                return Err(Error::transient("the target has lost what it had confirmed"));
            }
        }
        let number = self.numbers.get(&batch.partition).copied().unwrap_or(0) + 1;
        if faults::on(Saboteur::SaveBeforeApply) {
            self.moved(&batch, number, 1);
            self.save().await?;
        }
        let mut spread = self.lanes.spread(&batch);
        let mut backoff = Backoff::default();
        let _waits = self.line.board.waits(&self.line.name, What::Target);
        loop {
            faults::point("before-apply");
            let error = match self.lanes.apply(&batch, number, &spread).await {
                Ok(Applied::Held) if faults::on(Saboteur::CheckpointInsideTransaction) => break,
                Ok(Applied::Held) => {
                    // Invariant 3: applied, but not committed; what is saved stays where it was.
                    self.line.board.target_answered(&self.line.name);
                    self.numbers.insert(batch.partition.clone(), number);
                    self.at.set(&batch.partition, batch.to.clone());
                    self.open = true;
                    return Ok(true);
                }
                Ok(_) => break,
                Err(error) if error.is_transient() && !self.line.apply.transactional => error,
                Err(error) => return Err(error),
            };
            // Lane protocol 7: the batch stays in hand; the source's log is not read again because a target is slow.
            self.line.failed(&error);
            loop {
                if !backoff.wait(stop).await {
                    return Ok(false);
                }
                match self.line.open().await {
                    Ok(standing) => {
                        // Lane protocol 4: a lost answer is looked up, not guessed.
                        let newest = standing.numbers.get(&batch.partition).copied().unwrap_or(0);
                        if newest + 1 < number || newest > number || standing.has_lost(self.line) {
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

    async fn before_alone(&mut self, batch: &Batch, change: Change) -> Result<()> {
        shapes::before_alone(self.line, batch, change).await?;
        // One that is gone from the source waits for its return.
        let copies =
            |(name, table): (&_, &TableProgress)| table.state == TableState::Copying && self.line.table(name).is_some();
        let copying = |progress: &Progress| progress.tables.iter().any(copies);
        self.anew |= self.line.ledger.read(copying);
        Ok(())
    }

    /// No key, no ranges: such a table is copied as at the start, in one read at a known position.
    fn begins_anew(&self) -> bool {
        self.anew && !self.open
    }

    /// What the lanes have to know of the tables they write, be it a batch or the rest of a torn one.
    fn note_stand(&self) {
        let line = self.line;
        *self.lanes.stand.lock() = line.ledger.read(|progress| {
            let stand = |table: &TableProgress| Stand {
                consistent: table.is_streaming(),
                version: table.version,
                generation: table.generation,
                may_change: !self.open,
            };
            progress.tables.iter().map(|(name, table)| (line.route.target_name(name), stand(table))).collect()
        });
    }

    /// The batch is durable in the target: the position moves, in memory.
    fn moved(&mut self, batch: &Batch, number: u64, of: u16) {
        self.numbers.insert(batch.partition.clone(), number);
        self.at.set(&batch.partition, batch.to.clone());
        self.open = false;
        let at = self.at.clone();
        self.line.ledger.change(|progress| {
            progress.checkpoint = at;
            let numbers = progress.numbers.entry(batch.partition.clone()).or_default();
            numbers.extend((0..of).map(|lane| (lane, number)));
        });
        self.dirty = true;
        self.idle_since = Instant::now();
        self.line.board.applied(&self.line.name, batch);
    }

    /// A6: changes of a keyless table that its one read has seen already are dropped.
    fn drop_known(&mut self, batch: &mut Batch) -> Result<()> {
        let line = self.line;
        let mut over = Vec::new();
        for (name, from) in line.ledger.read(|progress| {
            let copied = |(name, table): (&TableName, &TableProgress)| Some((name.clone(), table.from.clone()?));
            progress.tables.iter().filter_map(copied).collect::<Vec<_>>()
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
                // Its shape may still be new to the target: then it is copied again.
                let version = line.given.lock().get(&name).copied().unwrap_or(0);
                let is_new = |one: &Mutation| {
                    matches!(one.change, Change::Reshape | Change::Recopy)
                        && shapes[usize::from(one.shape)].version > version
                };
                rows.mutations.retain(|one| shapes[usize::from(one.shape)].name != target || is_new(one));
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

    /// `keyless: append` is a promise about the source; what breaks it is not skipped (invariant 7).
    fn only_appended(&self, batch: &Batch) -> Result<()> {
        if self.line.keyless != Keyless::Append {
            return Ok(());
        }
        let rows = batch.rows();
        let breaks =
            |one: &&Mutation| one.change != Change::Upsert && rows.table(one).is_keyless() && one.row != NO_ROW;
        match rows.mutations.iter().find(breaks) {
            None => Ok(()),
            Some(one) => Err(Error::refused(format!("{}: a row was changed or deleted", rows.table(one).name))
                .hint("`keyless: append` is for tables whose rows are only ever added: use `keyless: exact`")),
        }
    }

    /// Nothing for us up to here: an empty batch, so that a position lives in one place, but not often.
    async fn idle(&mut self, upto: &Checkpoint, stop: &CancellationToken) -> Result<()> {
        self.line.board.up_to_date(&self.line.name);
        // The tee tells it once.
        upto.0.iter().for_each(|(partition, to)| self.idle.set(partition, to.clone()));
        if self.open || self.idle_since.elapsed() < IDLE_EVERY {
            return Ok(());
        }
        // An idle target that failed over meanwhile would never be noticed.
        if self.idle_since.elapsed() >= PROOF_EVERY
            && let Some((partition, at)) = self.at.0.first_key_value()
        {
            let batch = empty(&partition.clone(), at.clone(), at.clone());
            if !self.batch(batch, stop).await? {
                return Ok(());
            }
        }
        for (partition, to) in std::mem::take(&mut self.idle).0 {
            let from = self.at.get(&partition).cloned().unwrap_or_else(|| to.clone());
            if self.line.source.order(&to, &from)? != Ordering::Greater {
                continue;
            }
            let batch = empty(&partition, from, to.clone());
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
            .filter(|name| self.line.table(name).is_some())
            .collect();
        // A foreign key needs both of its tables.
        let ready_now = ready.clone();
        ready.retain(|name| finish::parents_stand(self.line, name, &ready_now));
        for name in ready {
            while let Some(table) = self.line.table(&name) {
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
            self.line.vanished.lock().settled(&name);
            tracing::info!(table = %name, "table is consistent");
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
