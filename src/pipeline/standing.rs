//! Where a target stands: what its watermarks say, held against what state says.

use super::line::Line;
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{Existing, KeyRange, LaneMark, Partition, Position, Progress, TableName, TableProgress, TableState},
    pipeline::spread::Spread,
    target::Opened,
};
use std::collections::BTreeMap;

/// Why tables are copied again.
const LOST: &str = "the target has lost changes that it had confirmed";
const OTHER: &str = "the target knows another copy of it, or one that was not finished";
const MISSED: &str = "the target has lost the table";

/// The newest batch of each feed, by the target's own word.
pub struct Standing {
    opened: Opened,
    /// Per partition of the log: the number of its newest batch.
    pub numbers: BTreeMap<Partition, u64>,
    /// Per lane of the feed `copy`: the number of its newest batch.
    pub copies: BTreeMap<u16, u64>,
    /// Batches that some lanes have and others lack.
    pub torn: Vec<Torn>,
}

/// Exactly `(from, to]` is read again, split as it was, and given to the lanes that lack it (lane protocol 5).
#[derive(Clone, Debug)]
pub struct Torn {
    pub partition: Partition,
    pub number: u64,
    pub from: Position,
    pub to: Position,
    pub spread: Spread,
}

impl Standing {
    pub fn new(opened: Opened) -> Self {
        let mut standing = Standing { opened, numbers: BTreeMap::new(), copies: BTreeMap::new(), torn: Vec::new() };
        let opened = std::mem::take(&mut standing.opened);
        for mark in &opened.marks {
            if mark.feed.as_str() == Partition::COPY {
                standing.copies.insert(mark.lane, mark.batch);
            } else {
                let newest = standing.numbers.entry(mark.feed.clone()).or_default();
                *newest = mark.batch.max(*newest);
            }
        }
        standing.opened = opened;
        standing
    }

    /// The lanes of a batch in hand that have it already: after a lost answer, no guess (lane protocol 4).
    pub fn lacking(&self, partition: &Partition, number: u64, of: u16) -> Spread {
        let has = |lane: &u16| {
            let mut marks = self.opened.marks.iter();
            marks.any(|mark| mark.feed == *partition && mark.lane == *lane && mark.batch == number)
        };
        Spread { of, lacking: (0..of).filter(|lane| !has(lane)).collect() }
    }

    /// Makes progress say what the target says: it is right (lane protocol 8).
    pub fn reconcile(&mut self, line: &Line) -> Result<()> {
        if self.opened.marks.iter().any(|mark| mark.batch > 0 && mark.hash_version != line.target.hash_version()) {
            return Err(Error::config("the target's watermarks were written by another version of the lane hash")
                .hint("run the version of whimbrel that wrote them until the job is paused, then this one"));
        }
        let epoch = line.ledger.read(|progress| progress.epoch);
        line.ledger.change(|progress| {
            if self.is_behind(progress) && !faults::on(Saboteur::TargetBehindIgnored) {
                self.lost_commits(progress, epoch, line);
            }
            self.unfinished(progress, epoch, line);
            self.gone(progress, epoch, line);
            for (partition, number) in self.numbers.clone() {
                self.newest(&partition, number, progress);
            }
            self.ranges(progress);
            self.numbers_into(progress);
        });
        Ok(())
    }

    /// Whether the target has lost something that state says it had: this needs the start path.
    pub fn has_lost(&self, line: &Line) -> bool {
        line.ledger.read(|progress| {
            let differs = |(name, table): (&TableName, &TableProgress)| {
                let name = line.route.target_name(name);
                let noted = self.opened.tables.iter().find(|(known, _)| *known == name).map(|(_, noted)| noted);
                noted.is_none_or(|noted| {
                    noted.generation != table.generation || (table.is_streaming() && !noted.finished)
                })
            };
            self.is_behind(progress) || progress.tables.iter().any(differs)
        })
    }

    /// Whether the target has confirmed batches that it does not know now: a failover, a restore.
    fn is_behind(&self, progress: &Progress) -> bool {
        progress.numbers.keys().any(|feed| self.is_behind_on(feed, progress))
    }

    fn is_behind_on(&self, feed: &Partition, progress: &Progress) -> bool {
        progress.numbers.get(feed).into_iter().flatten().any(|(lane, number)| {
            let mut marks = self.opened.marks.iter();
            let mark = marks.find(|mark| mark.feed == *feed && mark.lane == *lane);
            mark.is_none_or(|mark| mark.batch < *number)
        })
    }

    /// Tables that were not consistent at the point where the target stands are copied again; the log is rewound, and
    /// the source says whether it still reaches.
    fn lost_commits(&self, progress: &mut Progress, epoch: u64, line: &Line) {
        // What the copies wrote came before all of the log: a target that lost of that has lost everything after.
        let copies = Partition::new(Partition::COPY);
        let copies_lost = self.is_behind_on(&copies, progress);
        for (name, table) in &mut progress.tables {
            let kept = match &table.state {
                TableState::Streaming { since } => since
                    .iter()
                    .all(|(partition, since)| self.numbers.get(partition).is_some_and(|number| number >= since)),
                _ => false,
            };
            if !kept || copies_lost {
                // What was swept may be there again.
                let keyless = line.tables.lock().get(name).is_some_and(|table| table.is_keyless());
                let sweeps = line.existing != Existing::Merge && !keyless;
                let sweep = if sweeps { vec![KeyRange::all()] } else { Vec::new() };
                let (version, generation) = (table.version, epoch.max(table.generation + 1));
                let copying = TableProgress::new(TableState::Copying, generation).because(LOST);
                *table = TableProgress { started: true, sweep, version, ..copying };
            }
        }
        progress.numbers.clear();
    }

    /// The target knows a table as prepared and not finished that state takes for consistent, or another copy of it than
    /// state does (one of the two is older), or state does not know it at all: it is copied again, and swept, since all
    /// of its rows are ours.
    fn unfinished(&self, progress: &mut Progress, epoch: u64, line: &Line) {
        for (name, noted) in &self.opened.tables {
            let tables = line.tables.lock();
            let Some(source) = tables.values().find(|table| line.route.target_name(&table.name) == *name) else {
                continue;
            };
            let keyless = source.is_keyless();
            let sweeps = line.existing != Existing::Merge && !keyless;
            let known = progress.tables.get_mut(&source.name);
            let same = |table: &&mut TableProgress| {
                table.generation == noted.generation && (noted.finished || !table.is_streaming())
            };
            if known.as_ref().is_some_and(same) {
                continue;
            }
            let (version, generation) = known.map_or((0, 0), |known| (known.version, known.generation));
            let generation = epoch.max(generation + 1).max(noted.generation + 1);
            let new = TableProgress::new(TableState::Copying, generation).because(OTHER);
            let table = TableProgress { started: true, version, ..new };
            let sweep = if sweeps { vec![KeyRange::all()] } else { Vec::new() };
            progress.tables.insert(source.name.clone(), TableProgress { sweep, ..table });
        }
    }

    /// Tables that state knows and the target does not: a failover took them.
    fn gone(&self, progress: &mut Progress, epoch: u64, line: &Line) {
        for (name, table) in &mut progress.tables {
            let target = line.route.target_name(name);
            if table.state != TableState::Copying && !self.opened.tables.iter().any(|(known, _)| *known == target) {
                let generation = epoch.max(table.generation + 1);
                let new = TableProgress::new(TableState::Copying, generation).because(MISSED);
                *table = TableProgress { started: true, ..new };
            }
        }
    }

    fn newest(&mut self, partition: &Partition, number: u64, progress: &mut Progress) {
        let mut marks = self.opened.marks.iter().filter(|mark| mark.feed == *partition && mark.batch == number);
        let Some(newest) = marks.next() else { return };
        if number == 0 {
            progress.checkpoint.set(partition, newest.to.clone());
            return;
        }
        let spread = self.lacking(partition, number, newest.lanes);
        if spread.lacking.is_empty() || faults::on(Saboteur::TornBatchSkipped) {
            progress.checkpoint.set(partition, newest.to.clone());
        } else {
            let LaneMark { from, to, .. } = newest.clone();
            progress.checkpoint.set(partition, from.clone());
            self.torn.push(Torn { partition: partition.clone(), number, from, to, spread });
        }
    }

    /// Ranges that had begun go on from the key in their watermark.
    fn ranges(&self, progress: &mut Progress) {
        let copies = self.opened.marks.iter().filter(|mark| mark.feed.as_str() == Partition::COPY && mark.batch > 0);
        let mut marks: Vec<&LaneMark> = copies.collect();
        marks.sort_by_key(|mark| (mark.epoch, mark.batch));
        for mark in marks {
            let Some((generation, name, range, Some(done))) = KeyRange::from_position(&mark.to) else { continue };
            let Some(table) = progress.tables.get_mut(&name).filter(|table| table.generation == generation) else {
                continue;
            };
            if let Some(todo) = table.todo.iter_mut().find(|todo| todo.range == range) {
                todo.done = Some(done);
            }
        }
    }

    fn numbers_into(&self, progress: &mut Progress) {
        for mark in self.opened.marks.iter().filter(|mark| mark.batch > 0) {
            progress.numbers.entry(mark.feed.clone()).or_default().insert(mark.lane, mark.batch);
        }
    }
}
