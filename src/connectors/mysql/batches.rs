//! Mutations of the log put together to batches: cut at edges, at the budget, and around changes that are alone.
//!
//! An ordinal counts the rows of followed tables inside a transaction, and the mutations of each: `row << 24 | step`. Other
//! servers, which may write the same transaction as other events, count the same. For `cut`, a slab ends in a row that
//! names the transactions of its batch (first mutation, start), and in that row's place.

use super::position::{Point, Reach};
use crate::{
    error::Result,
    model::{
        Batch, Body, Change, Checkpoint, Field, Kind, Mutation, NO_ROW, Partition, Position, RowBuilder, RowRef, Rows,
        Table, ValueRef,
    },
};
use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock},
};

/// A batch is handed out at the first end of a row past this: what a target 80 ms away needs to be kept busy.
const BUDGET_BYTES: usize = 6 << 20;
const BUDGET_MUTATIONS: usize = 50_000;

const STEP_BITS: u32 = 24;

/// A row's own mutations are counted from here on, what it does to other tables' rows before: how much that is depends on
/// foreign keys, which may be others when the transaction is read again.
pub(super) const OWN: u64 = 1 << (STEP_BITS - 1);

/// How far into a transaction: behind so many mutations of the row, which comes after so many rows.
pub(super) fn ordinal(row: u64, step: u64) -> u64 {
    row << STEP_BITS | step
}

/// How many mutations of this row are before the ordinal.
pub(super) fn steps_of(row: u64, ordinal: u64) -> u64 {
    if ordinal >> STEP_BITS == row { ordinal & ((1 << STEP_BITS) - 1) } else { 0 }
}

/// A change of a row or table on its way into a batch. Rows are encoded, of the table's shape.
pub(super) struct Told<'a> {
    pub table: &'a Arc<Table>,
    pub change: Change,
    pub row: Option<RowRef<'a>>,
    pub before: Option<RowRef<'a>>,
}

pub(super) struct Batches {
    rows: Rows,
    transactions: Vec<(u64, Vec<u8>)>,
    /// The end of the batch before.
    from: Position,
    /// Where `rows` end.
    to: Position,
    complete: bool,
    /// Nothing more may come into it.
    full: bool,
    committed_ms: u64,
    ready: VecDeque<Batch>,
    edges: VecDeque<(Reach, Position)>,
    /// Edges that were passed.
    passed: u64,
    /// The transaction that is open, as its batch names it; empty: not yet named in this batch.
    start: Vec<u8>,
    named: bool,
}

impl Batches {
    pub fn new(from: &Position, edges: &[Checkpoint]) -> Result<Batches> {
        let mut sorted: Vec<(Reach, Position)> = Vec::new();
        for edge in edges.iter().filter_map(|edge| edge.get(&PARTITION)) {
            let reach = Point::read(edge)?.at;
            let mut place = 0;
            for (known, position) in &sorted {
                let order = known.compare(&reach)?.then(position.ordinal().cmp(&edge.ordinal()));
                place += usize::from(order.is_lt());
            }
            if sorted.get(place).is_none_or(|(known, position)| *known != reach || position.ordinal() != edge.ordinal())
            {
                sorted.insert(place, (reach, edge.clone()));
            }
        }
        let at = Point::read(from)?.at;
        while let Some((reach, edge)) = sorted.first()
            && reach.compare(&at)?.then(edge.ordinal().cmp(&from.ordinal())).is_le()
        {
            sorted.remove(0);
        }
        Ok(Batches {
            rows: Rows::default(),
            transactions: Vec::new(),
            from: from.clone(),
            to: from.clone(),
            complete: from.ordinal() == 0,
            full: false,
            committed_ms: 0,
            ready: VecDeque::new(),
            edges: sorted.into(),
            passed: 0,
            start: Vec::new(),
            named: false,
        })
    }

    /// A transaction begins behind `point`.
    pub fn begin(&mut self, point: &Point) {
        self.start = point.position(0).point().to_vec();
        self.named = false;
    }

    /// `at`: what comes before the transaction; `done`: how far into it the mutation is, itself not counted.
    pub fn push(&mut self, at: &Reach, done: u64, committed_ms: u64, told: &Told<'_>) {
        let is_alone = told.change.is_alone();
        if self.full {
            self.seal();
        }
        if is_alone && !self.rows.is_empty() {
            self.stand_behind_the_last();
            self.seal();
        }
        while let Some((reach, edge)) = self.edges.front()
            && edge.ordinal() > 0
            && edge.ordinal() <= done
            && reach == at
        {
            self.to = edge.clone();
            self.complete = false;
            self.pass_edge();
            self.seal();
        }
        if !self.named {
            self.transactions.push((self.rows.mutations.len() as u64, self.start.clone()));
            self.named = true;
        }
        let shape = self.rows.shape(told.table);
        let mut copy = |row: Option<RowRef<'_>>| row.map_or(NO_ROW, |row| self.rows.copy_row(row));
        let (row, before) = (copy(told.row), copy(told.before));
        self.rows.mutations.push(Mutation { shape, change: told.change, row, before, at: done + 1 });
        self.committed_ms = committed_ms;
        self.complete = false;
        let too_much = self.rows.slab.len() > BUDGET_BYTES || self.rows.mutations.len() >= BUDGET_MUTATIONS;
        if is_alone || too_much {
            self.full = true;
        }
        // Most mutations are followed by another one: their own position is not made.
        if self.full {
            self.to = Position::new(&self.start, done + 1);
        }
    }

    fn pass_edge(&mut self) {
        self.edges.pop_front();
        self.passed += 1;
    }

    /// How many edges a mutation at this place is behind: who stands at one has heard nothing of what is before it.
    pub fn edges_before(&self, at: &Reach, done: u64) -> u64 {
        let inside = |(reach, edge): &&(Reach, Position)| edge.ordinal() > 0 && edge.ordinal() <= done && reach == at;
        self.passed + self.edges.iter().take_while(inside).count() as u64
    }

    /// The batch ends in the middle of its transaction, or at the end of the one before.
    fn stand_behind_the_last(&mut self) {
        if !self.complete
            && let Some(last) = self.rows.mutations.last()
        {
            self.to = Position::new(&self.start, last.at);
        }
    }

    /// The transaction has ended, and `point` is behind it.
    pub fn end(&mut self, point: &Point) -> Result<()> {
        while let Some((reach, edge)) = self.edges.front() {
            let is_here = *reach == point.at && edge.ordinal() == 0;
            if !is_here && (edge.ordinal() == 0 || *reach == point.at || !point.at.contains(reach)?) {
                break;
            }
            self.to = edge.clone();
            self.complete = is_here;
            self.pass_edge();
            self.seal();
            if is_here {
                return Ok(());
            }
        }
        self.to = point.position(0);
        self.complete = true;
        if self.full {
            self.seal();
        }
        Ok(())
    }

    /// What was pushed since `begin` did not happen: gone, if it is still here. Says whether all of it was.
    pub fn take_back(&mut self) -> bool {
        if !self.named {
            return self.ready.is_empty() || self.complete;
        }
        let Some((first, _)) = self.transactions.pop() else { return false };
        let first = usize::try_from(first).unwrap_or(0);
        self.rows.mutations.truncate(first);
        self.named = false;
        self.full = false;
        first > 0 || self.from.ordinal() == 0
    }

    /// Whether there is a batch that cannot grow.
    pub fn is_full(&self) -> bool {
        self.full || !self.ready.is_empty()
    }

    /// The next batch; with `all`, also one that could grow.
    pub fn next(&mut self, all: bool) -> Option<Batch> {
        if self.ready.is_empty() && all && self.complete && !self.rows.is_empty() {
            self.seal();
        }
        self.ready.pop_front()
    }

    /// Where everything before is handed out, once there is nothing to hand out.
    pub fn idle(&mut self) -> Position {
        if self.complete && self.rows.is_empty() && self.ready.is_empty() {
            self.from = self.to.clone();
        }
        self.from.clone()
    }

    fn seal(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        if !self.transactions.is_empty() {
            let mut row = RowBuilder::new(&mut rows.slab);
            for (first, start) in self.transactions.drain(..) {
                row.value(ValueRef::Unsigned(first)).value(ValueRef::Bytes(&start));
            }
            let place = row.finish();
            rows.slab.extend_from_slice(&place.to_le_bytes());
        }
        self.named = false;
        self.full = false;
        let from = std::mem::replace(&mut self.from, self.to.clone());
        self.ready.push_back(Batch {
            partition: PARTITION.clone(),
            from,
            to: self.to.clone(),
            complete: self.complete,
            kind: Kind::Log,
            body: Body::Rows(Arc::new(rows)),
            committed_ms: self.committed_ms,
        });
    }
}

pub(super) static PARTITION: LazyLock<Partition> = LazyLock::new(|| Partition::new(Partition::ONLY));

/// The position behind the first `taken` mutations of a batch that was sealed here.
pub(super) fn cut(batch: &Batch, taken: usize) -> Position {
    let rows = batch.rows();
    let Some(last) = taken.checked_sub(1) else { return batch.from.clone() };
    if taken >= rows.mutations.len() {
        return batch.to.clone();
    }
    let place = rows
        .slab
        .split_last_chunk()
        .and_then(|(head, place)| RowRef::checked(head.get(u32::from_le_bytes(*place) as usize..)?));
    let mut found = None;
    if let Some(row) = place {
        let mut fields = row.fields();
        while let (Some(Field::Value(ValueRef::Unsigned(first))), Some(Field::Value(ValueRef::Bytes(start)))) =
            (fields.next(), fields.next())
        {
            if first <= last as u64 {
                found = Some(start);
            }
        }
    }
    found.map_or_else(|| batch.from.clone(), |start| Position::new(start, rows.mutations[last].at))
}
