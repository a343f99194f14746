//! The transaction log of a world: what was committed, what of it the log and what of it readers show already.

use super::{
    cell::{Cell, RowKey},
    chance::mix,
    config::Habits,
    decode::{Emitted, emit},
    heap::{Step, Tables},
};
use crate::model::{Criterion, Partition, Table, Value};
use std::{collections::VecDeque, sync::Arc};
use tokio::time::Instant;

/// One transaction.
#[derive(Clone, Debug)]
pub struct Commit {
    pub sequence: u64,
    pub at_ms: u64,
    /// What the log says of it, in order.
    pub emitted: Arc<Vec<Emitted>>,
}

/// A change as a store writes it down, before its habits decide what of it the log tells.
#[derive(Clone, Debug)]
pub struct Logged {
    pub table: Arc<Table>,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    Insert(Vec<Value>),
    Update { before: Vec<Value>, after: Vec<Value> },
    Delete(Vec<Value>),
    Truncate,
    Matching { criteria: Vec<Criterion>, patch: Option<Vec<Option<Value>>> },
    Reshape,
    Recopy,
}

#[derive(Debug)]
pub struct Log {
    /// Changes when the store is put back from a backup.
    pub identity: u64,
    /// The newest transaction; the next has one more.
    pub end: u64,
    /// Numbers of transactions that a crash has taken back, first and last: they are not given again.
    pub forgotten: Vec<(u64, u64)>,
    /// Everything at or before this is gone from the log.
    pub trimmed: u64,
    pub commits: VecDeque<Commit>,
    /// Up to here the log may be read.
    pub logged: u64,
    /// Up to here reads see.
    pub visible: u64,
    unlogged: VecDeque<(u64, Instant)>,
    unseen: VecDeque<(u64, Instant, Vec<Step>)>,
    splits: Vec<(u64, Partition)>,
}

impl Log {
    pub(super) fn new(identity: u64) -> Log {
        Log {
            identity,
            end: 0,
            forgotten: Vec::new(),
            trimmed: 0,
            commits: VecDeque::new(),
            logged: 0,
            visible: 0,
            unlogged: VecDeque::new(),
            unseen: VecDeque::new(),
            splits: Vec::new(),
        }
    }

    /// Adds a transaction that is shown later, or at once where no delay is given.
    pub(super) fn push(&mut self, habits: &Habits, at_ms: u64, changes: &[Logged], keep: bool) -> u64 {
        self.end += 1;
        if keep {
            let emitted = Arc::new(emit(habits, self.end, changes));
            self.commits.push_back(Commit { sequence: self.end, at_ms, emitted });
        } else {
            self.trim(self.end);
        }
        self.end
    }

    /// When the newest transaction gets into the log and before the eyes of readers. Both keep the order of commits.
    pub(super) fn show_later(&mut self, logged: Instant, visible: Instant, steps: Vec<Step>) {
        let logged = self.unlogged.back().map_or(logged, |(_, last)| logged.max(*last));
        let visible = self.unseen.back().map_or(visible, |(_, last, _)| visible.max(*last));
        self.unlogged.push_back((self.end, logged));
        self.unseen.push_back((self.end, visible, steps));
    }

    /// Shows what is due; `seen` are the tables as readers see them.
    pub(super) fn advance(&mut self, now: Instant, seen: Option<&mut Tables>) {
        while self.unlogged.front().is_some_and(|(_, due)| *due <= now) {
            self.logged = self.unlogged.pop_front().expect("just seen").0;
        }
        let mut shown = Vec::new();
        while self.unseen.front().is_some_and(|(_, due, _)| *due <= now) {
            shown.push(self.unseen.pop_front().expect("just seen"));
        }
        if let Some((sequence, ..)) = shown.last() {
            self.visible = *sequence;
        }
        if let Some(seen) = seen {
            shown.iter().for_each(|(_, _, steps)| seen.redo(steps));
        }
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        let logged = self.unlogged.front().map(|(_, due)| *due);
        let visible = self.unseen.front().map(|(_, due, _)| *due);
        logged.into_iter().chain(visible).min()
    }

    /// Forgets everything at or before `sequence`.
    pub(super) fn trim(&mut self, sequence: u64) {
        self.trimmed = self.trimmed.max(sequence);
        while self.commits.front().is_some_and(|commit| commit.sequence <= self.trimmed) {
            self.commits.pop_front();
        }
    }

    /// Transactions after `sequence` that the log shows.
    pub(super) fn after(&self, sequence: u64) -> impl Iterator<Item = &Commit> {
        let first = self.commits.partition_point(|commit| commit.sequence <= sequence);
        self.commits.range(first..).take_while(|commit| commit.sequence <= self.logged)
    }

    /// From the next transaction on, the keys of `partition` live in two others.
    pub(super) fn split(&mut self, partition: &Partition) {
        self.splits.push((self.end, partition.clone()));
    }

    /// The parts of the log when `sequence` transactions were in it.
    pub(super) fn partitions(&self, habits: &Habits, sequence: u64) -> Vec<Partition> {
        let first = (0..habits.partitions).map(|number| name_of(habits, u64::from(number)));
        let mut names: Vec<Partition> = first.collect();
        for (at, parent) in self.splits.iter().filter(|(at, _)| *at < sequence) {
            debug_assert!(*at < sequence);
            names.retain(|name| name != parent);
            names.extend(children(parent));
        }
        names
    }

    /// Where `partition` ended, if it was split.
    pub(super) fn end_of(&self, partition: &Partition) -> Option<u64> {
        self.splits.iter().find(|(_, parent)| parent == partition).map(|(at, _)| *at)
    }

    /// The partition that tells of a key in transaction `sequence`.
    pub(super) fn route(&self, habits: &Habits, hash: u64, sequence: u64) -> Partition {
        let mut name = name_of(habits, hash % u64::from(habits.partitions.max(1)));
        let mut bits = mix(hash);
        while self.splits.iter().any(|(at, parent)| *parent == name && *at < sequence) {
            name = children(&name)[usize::from(bits & 1 == 1)].clone();
            bits >>= 1;
        }
        name
    }
}

fn name_of(habits: &Habits, number: u64) -> Partition {
    match habits.partitions {
        0 | 1 => Partition::new(Partition::ONLY),
        _ => Partition::new(&format!("p{number}")),
    }
}

/// The partition that this one came from.
pub(super) fn parent(child: &Partition) -> Option<Partition> {
    child.as_str().rsplit_once('.').map(|(parent, _)| Partition::new(parent))
}

pub(super) fn children(parent: &Partition) -> [Partition; 2] {
    [Partition::new(&format!("{parent}.0")), Partition::new(&format!("{parent}.1"))]
}

/// A hash of a key that is the same in every run.
pub(super) fn hash_of(key: &RowKey) -> u64 {
    let mut bytes = Vec::new();
    for cell in key {
        match cell {
            Cell::Null => bytes.push(0),
            Cell::Number(_, whole, _) => bytes.extend_from_slice(&whole.to_be_bytes()),
            Cell::Text(text) => bytes.extend_from_slice(text.as_bytes()),
            Cell::Other(other) => bytes.extend_from_slice(other),
        }
        bytes.push(0xff);
    }
    xxhash_rust::xxh3::xxh3_64(&bytes)
}
