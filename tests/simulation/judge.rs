//! Looks at all stores from outside and says what is wrong. It knows the source's whole history.

use super::{process::Process, scene::Scene};
use futures_util::FutureExt;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use whimbrel::{
    connectors::memory::{Heap, Ledger, Point, RowKey, Step, World},
    model::{Checkpoint, JobId, Partition, RowBuilder, Table, TableName, TableState, Value},
    pipeline::status::Observed,
    state::{MemoryState, State},
};

type Row = Vec<Value>;

/// What each key held, by the commit that changed it.
type Versions = BTreeMap<RowKey, Vec<(u64, Option<Row>)>>;

/// What each row of the source was, and when.
#[derive(Default)]
pub struct History {
    known: usize,
    rows: BTreeMap<TableName, Versions>,
    /// How many columns each table had, and since when.
    widths: BTreeMap<TableName, Vec<(u64, usize)>>,
}

impl History {
    pub fn read_on(&mut self, source: &World) {
        for (sequence, steps) in source.history(self.known) {
            self.known += 1;
            for step in &steps {
                match step {
                    Step::Row { table, key, after, .. } => {
                        self.note(table, key, sequence, after.as_ref().map(|row| row.values.clone()));
                    }
                    Step::Table { table, before, after } => {
                        if let Some(heap) = after {
                            let widths = self.widths.entry(table.clone()).or_default();
                            widths.push((sequence, heap.shape.columns.len()));
                        }
                        let keys = |heap: &Option<Box<Heap>>| -> BTreeSet<RowKey> {
                            heap.iter().flat_map(|heap| heap.rows().map(|(key, _)| key.clone())).collect()
                        };
                        for key in keys(before).union(&keys(after)) {
                            let row = after.as_ref().and_then(|heap| heap.get(key));
                            self.note(table, key, sequence, row.map(|row| row.values.clone()));
                        }
                    }
                }
            }
        }
    }

    fn note(&mut self, table: &TableName, key: &RowKey, sequence: u64, row: Option<Row>) {
        let times = self.rows.entry(table.clone()).or_default().entry(key.clone()).or_default();
        // Every value: a target may stand in the middle of a transaction that is larger than a batch.
        times.push((sequence, row));
    }

    /// What a row was after `sequence`, and everything it became later.
    fn since<'h>(&'h self, table: &TableName, key: &RowKey, sequence: u64) -> Vec<Option<&'h Row>> {
        let Some(times) = self.rows.get(table).and_then(|rows| rows.get(key)) else { return vec![None] };
        let then = times.iter().rfind(|(at, _)| *at <= sequence).and_then(|(_, row)| row.as_ref());
        let later = times.iter().filter(|(at, _)| *at > sequence).map(|(_, row)| row.as_ref());
        [then].into_iter().chain(later).collect()
    }

    /// How many columns a table had after `sequence`.
    fn width(&self, table: &TableName, sequence: u64) -> usize {
        let widths = self.widths.get(table).map_or(&[][..], Vec::as_slice);
        widths.iter().rfind(|(at, _)| *at <= sequence).map_or(0, |(_, width)| *width)
    }

    fn keys(&self, table: &TableName) -> impl Iterator<Item = &RowKey> {
        self.rows.get(table).into_iter().flat_map(BTreeMap::keys)
    }
}

/// Rows of others, by table and by key as the source would compare it.
pub type Foreign = BTreeMap<TableName, BTreeMap<RowKey, Row>>;

/// What was seen of one target so far.
#[derive(Default)]
pub struct Seen {
    /// Where it stood at its best; a failover takes it back, the judge does not.
    pub best: BTreeMap<Partition, Point>,
    last: BTreeMap<Partition, (u64, Point)>,
    /// The epoch at the moment of a failover: until it was opened again it says nothing.
    pub failed_over_at: Option<u64>,
    /// When it was opened again: what it lost is known to state a moment later.
    opened_again: Option<tokio::time::Instant>,
    /// Where Streaming was reported and held against the rows.
    pub proofs: u64,
    /// What was looked at last: nothing has changed as long as this has not.
    looked_at: (u64, u64, u64, Vec<TableName>),
}

/// Where a target stands in each partition: behind it everything is durable.
pub fn stands(ledger: &Ledger, job: JobId) -> BTreeMap<Partition, Point> {
    let feeds: BTreeSet<Partition> = ledger.marks_of(job).map(|mark| mark.feed.clone()).collect();
    let log = feeds.into_iter().filter(|feed| feed.as_str() != Partition::COPY);
    log.filter_map(|feed| {
        let (newest, whole) = ledger.newest(job, &feed)?;
        let at = if whole { &newest[0].to } else { &newest[0].from };
        Some((feed, Point::read(at).ok()?))
    })
    .collect()
}

/// Is told what a source was acknowledged, and by whom.
pub type Listener = Arc<dyn Fn(&str, &Checkpoint) + Send + Sync>;

/// Told of each acknowledgement: it must be saved, and durable in every target.
pub fn watch(scene: &Scene, state: &Arc<MemoryState>) -> Listener {
    let targets = scene.targets.clone();
    let (state, job, wrong) = (Arc::clone(state), scene.plan.job(), Arc::clone(&scene.wrong));
    Arc::new(move |_, upto| {
        for target in &targets {
            let saved = state.progress(job, &target.name).now_or_never().expect("memory").expect("memory");
            let saved = saved.map(|progress| progress.checkpoint).unwrap_or_default();
            let durable = stands(&target.world.ledger(), job);
            let jobs = state.jobs().now_or_never().expect("memory").expect("memory");
            let begun = jobs.into_iter().find(|record| record.id == job).and_then(|record| record.begun);
            let begun = begun.unwrap_or_default();
            for (partition, position) in &upto.0 {
                let Ok(wanted) = Point::read(position) else { continue };
                let reaches = |at: Option<Point>| at.is_some_and(|at| at >= wanted);
                if !reaches(saved.get(partition).and_then(|at| Point::read(at).ok())) {
                    wrong.lock().push(format!(
                        "acknowledged {partition} {position:?} before {} saved it: {saved:?}",
                        target.name
                    ));
                }
                let best = target.seen.lock().best.get(partition).copied();
                // Where the job began nothing was before.
                let start = begun.get(partition).and_then(|at| Point::read(at).ok());
                if ![durable.get(partition).copied(), best, start].into_iter().any(reaches) {
                    wrong.lock().push(format!(
                        "acknowledged {partition} {position:?}, which {} does not have: {durable:?}",
                        target.name
                    ));
                }
            }
        }
    })
}

/// One target of a scene.
#[derive(Clone)]
pub struct Judged {
    pub name: String,
    pub world: Arc<World>,
    pub seen: Arc<Mutex<Seen>>,
    pub foreign: Arc<Foreign>,
    /// The log tells of some columns only.
    pub may_mix: bool,
}

impl Judged {
    /// How far it has come, whatever became of it later.
    pub fn note(&self, job: JobId) {
        let mut seen = self.seen.lock();
        for (partition, point) in stands(&self.world.ledger(), job) {
            let best = seen.best.entry(partition).or_insert(point);
            *best = (*best).max(point);
        }
    }

    /// Positions only move on; whatever is said to stream equals the source where the target stands.
    pub async fn observe(
        &self,
        history: &History,
        job: JobId,
        source: &World,
        process: Option<&Process>,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let ledger = self.world.ledger();
        let at = stands(&ledger, job);
        let epoch = ledger.jobs.get(&job).map_or(0, |entry| entry.epoch);
        {
            let mut seen = self.seen.lock();
            if seen.failed_over_at.is_some_and(|before| epoch > before) {
                let since = *seen.opened_again.get_or_insert_with(tokio::time::Instant::now);
                if since.elapsed() > std::time::Duration::from_secs(5) {
                    (seen.failed_over_at, seen.opened_again) = (None, None);
                    seen.last.clear();
                }
            }
            for (partition, point) in &at {
                let (newest, _) = ledger.newest(job, partition).expect("it stands there");
                let now = (newest[0].batch, *point);
                let last = seen.last.insert(partition.clone(), now).unwrap_or(now);
                if (now.0 < last.0 || now.1 < last.1) && seen.failed_over_at.is_none() {
                    wrong.push(format!("{}: the watermark went back from {last:?} to {now:?}", self.name));
                }
            }
            if seen.failed_over_at.is_some() {
                return wrong;
            }
        }
        let Some(process) = process else { return wrong };
        let saved = process.state.progress(job, &self.name).await.expect("memory").unwrap_or_default();
        // What a daemon shows that another one has overtaken is of no weight.
        let owns = ledger.jobs.get(&job).is_some_and(|entry| entry.token == process.token);
        if saved.epoch != epoch || !owns {
            return wrong;
        }
        let status = process.status();
        let Some(status) = status.targets.get(&self.name) else { return wrong };
        let streams = |name: &TableName| {
            status.tables.get(name).is_some_and(|table| table.observed == Observed::Streaming)
                && saved.tables.get(name).is_some_and(|table| matches!(table.state, TableState::Streaming { .. }))
        };
        let names: Vec<TableName> = source.table_names().into_iter().filter(streams).collect();
        let now = (self.world.counts().commits, source.end().sequence, saved.epoch, names.clone());
        if std::mem::replace(&mut self.seen.lock().looked_at, now.clone()) == now {
            return wrong;
        }
        // One table at each look: over a run each has its turn often.
        let turn = {
            let mut seen = self.seen.lock();
            seen.proofs += u64::from(!names.is_empty());
            seen.proofs as usize
        };
        if let Some(name) = names.get(turn % names.len().max(1)) {
            wrong.extend(self.compare(history, source, name, Some(&at)));
        }
        wrong
    }

    /// Row by row. `at`: each row is what it was there, or became later; `None`: it is what it is now.
    pub fn compare(
        &self,
        history: &History,
        source: &World,
        name: &TableName,
        at: Option<&BTreeMap<Partition, Point>>,
    ) -> Vec<String> {
        let Some((shape, now)) = source.rows(name) else { return Vec::new() };
        let Some((own, rows)) = self.world.rows(name) else { return vec![format!("{}: no table {name}", self.name)] };
        let rows: Vec<Row> = rows.iter().map(|row| project(&shape, &own, row)).collect();
        if shape.is_keyless() {
            // A keyless row cannot be ahead, but where it stands in the middle there is no one truth to compare with.
            return if at.is_some() { Vec::new() } else { self.multiset(name, &now, &rows) };
        }
        let scratch = Heap::new(Arc::clone(&shape), None, false);
        let mut wrong = Vec::new();
        let mut found: BTreeMap<RowKey, Row> = BTreeMap::new();
        for row in rows {
            let key = scratch.key_of(&row);
            // A target that tells case apart keeps the older spelling of a row that was fetched ahead, until the log comes
            // to its change.
            let ahead = at.is_some() && self.may_mix;
            if let Some(other) = found.insert(key, row.clone()).filter(|_| !ahead) {
                wrong.push(format!("{}: {name} holds one row twice: {row:?} and {other:?}", self.name));
            }
        }
        let current: BTreeMap<RowKey, Row> = now.iter().map(|row| (scratch.key_of(row), row.clone())).collect();
        let earliest = at.map_or(u64::MAX, |at| at.values().map(|point| point.sequence).min().unwrap_or(0));
        // A11: a row that was fetched ahead may be without the columns that the log has still to bring.
        let told = history.width(name, earliest);
        // Inside a transaction anything of what it touches may be half done.
        let inside: Vec<u64> =
            at.into_iter().flat_map(BTreeMap::values).filter(|p| p.ordinal > 0).map(|p| p.sequence + 1).collect();
        let half_done = |key: &RowKey| {
            let times = history.rows.get(name).and_then(|rows| rows.get(key));
            times.is_some_and(|times| times.iter().any(|(sequence, _)| inside.contains(sequence)))
        };
        let foreign = self.foreign.get(name);
        let keys: BTreeSet<&RowKey> =
            history.keys(name).chain(found.keys()).chain(foreign.into_iter().flat_map(BTreeMap::keys)).collect();
        for key in keys {
            let has = found.get(key);
            let mut may: Vec<Option<&Row>> = match at {
                Some(_) => history.since(name, key, earliest),
                None => vec![current.get(key)],
            };
            if let Some(foreign) = foreign.and_then(|rows| rows.get(key))
                && may[0].is_none()
            {
                // Written over while the source had such a row, and deleted with it; or not, before the job began.
                let had = history.rows.get(name).is_some_and(|rows| rows.contains_key(key));
                may.retain(|_| had);
                may.push(Some(foreign));
            }
            let mixed = at.is_some() && self.may_mix && has.is_some_and(|has| is_mixture(has, &may, told));
            if !mixed && !half_done(key) && !may.iter().any(|may| equal(*may, has, told)) {
                let what = match (has, may[0]) {
                    (None, _) => "lost",
                    (Some(_), None) => "invented",
                    _ => "wrong",
                };
                wrong.push(format!("{}: {name} {key:?} is {what}: has {has:?}, source {may:?}", self.name));
            }
        }
        wrong
    }

    fn multiset(&self, name: &TableName, source: &[Row], target: &[Row]) -> Vec<String> {
        let mut counts: BTreeMap<Vec<u8>, (i64, &Row)> = BTreeMap::new();
        source.iter().for_each(|row| counts.entry(bytes(row)).or_insert((0, row)).0 -= 1);
        target.iter().for_each(|row| counts.entry(bytes(row)).or_insert((0, row)).0 += 1);
        let differ: Vec<&(i64, &Row)> = counts.values().filter(|(count, _)| *count != 0).collect();
        match differ.is_empty() {
            true => Vec::new(),
            false => vec![format!("{}: {name} (keyless) has too many or too few of: {differ:?}", self.name)],
        }
    }
}

/// The target's row in the order of the source's columns; what it lacks is NULL.
fn project(shape: &Table, own: &Table, row: &Row) -> Row {
    let value = |name: &str| own.column(name).map_or(Value::Null, |column| row[column].clone());
    shape.columns.iter().map(|column| value(&column.name)).collect()
}

/// A row that was fetched ahead, with an older patch written over some of its columns.
fn is_mixture(has: &Row, may: &[Option<&Row>], told: usize) -> bool {
    let fits = |column: usize| may.iter().flatten().any(|may| same(may, has, column, told));
    (0..has.len()).all(fits)
}

fn equal(may: Option<&Row>, has: Option<&Row>, told: usize) -> bool {
    match (may, has) {
        (Some(may), Some(has)) => (0..may.len().max(has.len())).all(|column| same(may, has, column, told)),
        (may, has) => may.is_none() && has.is_none(),
    }
}

fn same(may: &Row, has: &Row, column: usize, told: usize) -> bool {
    let has = value(has, column);
    has == value(may, column) || (column >= told && has == Value::Null)
}

/// Rows of an older shape lack columns at their end: NULL there.
fn value(row: &Row, column: usize) -> Value {
    row.get(column).cloned().unwrap_or(Value::Null)
}

fn bytes(row: &Row) -> Vec<u8> {
    let mut slab = Vec::new();
    let mut built = RowBuilder::new(&mut slab);
    for value in row {
        built.owned(value);
    }
    built.finish();
    slab
}
