//! Reads the change log, a snapshot at a time.

use super::{
    change::{self, Told},
    copy::{has_null_key, show},
    decode,
    file::Database,
    log,
    position::{Point, Proof},
    seen::{self, Seen},
    shapes::Shapes,
    statement::Row,
    text::quote,
};
use crate::{
    error::{Error, Result},
    model::{
        Batch, Body, Change, Checkpoint, JobId, Kind, NO_ROW, Partition, Position, Rows, Table, TableName, ValueRef,
    },
    source::Next,
};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    ops::ControlFlow,
    sync::Arc,
    time::Duration,
};
use xxhash_rust::xxh3::xxh3_64;

/// Keys of a batch: few while we keep up, more with every batch that was full.
const FEWEST_KEYS: u64 = 2_000;
const MOST_KEYS: u64 = 20_000;

/// How long one look waits for a lock: the next one comes soon.
const LOOK_BUSY: Duration = Duration::from_millis(20);

/// The thread's side of a tail.
pub(super) struct Tail {
    pub db: Database,
    pub job: JobId,
    seen: Arc<Seen>,
    /// Tables whose keys are handed out, by number.
    tables: HashMap<i64, Touchable>,
    /// Those that the file does not have now.
    pub gone: Arc<Mutex<Vec<TableName>>>,
    names: Vec<TableName>,
    /// After the last change handed out, as it was handed out.
    at: Position,
    point: Point,
    /// The newest entry at the last look: it must still be there at the next.
    newest: Proof,
    /// Positions that no batch crosses, those before us removed.
    edges: VecDeque<(Point, Position)>,
    /// The schema's version at which `settle` had nothing to do.
    settled: Option<i64>,
    data_version: Option<i64>,
    /// The last snapshot was read to its end.
    at_end: bool,
    keys: u64,
}

/// A followed table as the tail hands it out.
struct Touchable {
    shape: Arc<Table>,
    places: Vec<Option<usize>>,
    may_have_null_key: bool,
}

/// What one look found.
pub(super) enum Found {
    Next(Next),
    /// As before.
    Nothing,
}

impl Tail {
    /// Proves that the log goes on from `from`, both ways (invariant 8).
    pub fn open(
        mut db: Database,
        job: JobId,
        from: &Position,
        edges: &[Position],
        names: &[TableName],
        seen: Arc<Seen>,
    ) -> Result<Tail> {
        let point = Point::read(from)?;
        let newest = db.snapshot(|db| {
            seen::prove(db, &point, &seen)?;
            Ok(log::newest(db)?.unwrap_or_default())
        })?;
        let mut marked = Vec::new();
        for edge in edges {
            marked.push((Point::read(edge)?, edge.clone()));
        }
        marked.sort_by_key(|(edge, _)| edge.place());
        let mut tail = Tail {
            db,
            job,
            seen,
            tables: HashMap::new(),
            gone: Arc::default(),
            names: names.to_vec(),
            at: from.clone(),
            point,
            newest,
            edges: marked.into(),
            settled: None,
            data_version: None,
            at_end: false,
            keys: FEWEST_KEYS,
        };
        // The same rule as while running: what is handed out was read under shapes that the log knows.
        if tail.db.snapshot(change::is_unsettled)? {
            tail.db.write(change::settle)?;
        }
        tail.follow()?;
        // From here on it looks again soon.
        tail.db.patience(LOOK_BUSY)?;
        Ok(tail)
    }

    /// Looks once. Nothing is held open afterwards.
    pub fn look(&mut self) -> Result<Found> {
        let written = self.db.prove_and_look()?;
        loop {
            let data_version = self.db.data_version()?;
            if self.at_end && self.data_version == Some(data_version) {
                if !written {
                    return Ok(Found::Nothing);
                }
                // A checkpoint, or a backup put over the file: the next read looks at the file itself.
                self.db.forget_pages()?;
            }
            self.at_end = false;
            self.db.run("BEGIN")?;
            let read = self.read();
            self.db.rollback();
            self.data_version = Some(data_version);
            match read? {
                Read::Unsettled => self.db.write(change::settle)?,
                Read::Told(told) => {
                    self.follow()?;
                    return Ok(Found::Next(Next::Batch(self.tell(&told))));
                }
                Read::Idle => {
                    self.at_end = true;
                    return Ok(Found::Next(Next::Idle(self.checkpoint())));
                }
                Read::Batch(batch) => {
                    self.at_end = batch.complete;
                    // Nothing for us in it: the position moves on all the same. An edge is shown in any case.
                    let at_edge = self.edges.front().is_some_and(|(edge, _)| edge.place() == self.point.place());
                    let empty = batch.changes() == 0 && !at_edge;
                    return Ok(Found::Next(if empty { Next::Idle(self.checkpoint()) } else { Next::Batch(batch) }));
                }
            }
        }
    }

    /// Where it stands, as it was handed out.
    pub fn position(&self) -> &Position {
        &self.at
    }

    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint::only(self.at.clone())
    }

    pub fn point(&self) -> Point {
        self.point
    }

    /// Acknowledged changes are not needed any more; removes a piece of them and says whether there is more to remove.
    pub fn prune(&mut self, acknowledged: u64) -> Result<bool> {
        let (job, newest) = (self.job.to_string(), self.newest);
        self.db.write(|db| {
            if log::entry(db, newest.seq)? != Some(newest) {
                // Another history: `look` will say what is lost. Nothing is removed from it.
                return Ok(false);
            }
            let seq = i64::try_from(acknowledged).unwrap_or(i64::MAX);
            db.statement("UPDATE whimbrel_follow SET acknowledged = ?2 WHERE job = ?1 AND acknowledged < ?2")?
                .run([ValueRef::Text(&job), ValueRef::Int(seq)])?;
            log::prune(db)
        })
    }

    /// Reads numbers and shapes of the followed tables anew.
    fn follow(&mut self) -> Result<()> {
        let (names, job) = (&self.names, self.job.to_string());
        let (mut tables, mut gone) = (HashMap::new(), Vec::new());
        self.db.snapshot(|db| {
            let mine = db.rows("SELECT name FROM whimbrel_follow WHERE job = ?1", [ValueRef::Text(&job)], |row| {
                super::schema::text(row.get(0)).to_lowercase()
            })?;
            let mut followed = log::followed(db)?;
            let mut shapes = Shapes::default();
            for name in names {
                let lower = name.name.to_lowercase();
                let table = followed.remove(&lower).filter(|_| mine.contains(&lower)).ok_or_else(|| {
                    Error::lost(format!("{name}: nothing was noted for this table")).hint(
                        "delete the job and create it again with `existing: replace`: the table is then followed \
                             from its copy on",
                    )
                })?;
                if table.gone {
                    gone.push(name.clone());
                    continue;
                }
                let shape = Arc::new(table.shape);
                let places = decode::key_places(&shape);
                let may_have_null_key = shapes.get(db, &name.name)?.is_some_and(|shape| shape.may_have_null_key());
                tables.insert(table.number, Touchable { shape, places, may_have_null_key });
            }
            Ok(())
        })?;
        self.tables = tables;
        *self.gone.lock() = gone;
        Ok(())
    }

    /// One look into the open snapshot.
    fn read(&mut self) -> Result<Read> {
        let schema_version = self.db.schema_version()?;
        if self.settled != Some(schema_version) {
            if log::token(&mut self.db)? != Some(self.point.token) || change::is_unsettled(&mut self.db)? {
                seen::prove(&mut self.db, &self.point, &self.seen)?;
                return Ok(Read::Unsettled);
            }
            self.settled = Some(schema_version);
        }
        while self.edges.front().is_some_and(|(edge, _)| edge.place() <= self.point.place()) {
            self.edges.pop_front();
        }
        let told = change::told_after(&mut self.db, self.point.told)?;
        if let Some(told) = told.into_iter().find(|told| self.names.contains(&told.table.name)) {
            return Ok(Read::Told(told));
        }
        let newest = self.prove_going_on()?;
        let mut end = newest.seq.min(self.point.seq + self.keys);
        if let Some((edge, _)) = self.edges.front() {
            end = end.min(edge.seq);
        }
        if end == self.point.seq {
            self.keys = FEWEST_KEYS;
            self.stand_at(self.point, newest);
            return Ok(Read::Idle);
        }
        self.keys = if end == newest.seq { FEWEST_KEYS } else { (self.keys * 2).min(MOST_KEYS) };
        self.batch(end, newest)
    }

    /// The newest entry; the one of the last look must still be there, or another file is being read.
    fn prove_going_on(&mut self) -> Result<Proof> {
        if log::entry(&mut self.db, self.newest.seq)? != Some(self.newest) {
            seen::prove(&mut self.db, &Point { proof: self.newest, ..self.point }, &self.seen)?;
        }
        self.newest = log::newest(&mut self.db)?.unwrap_or(self.newest);
        self.seen.note(self.point.token, self.newest);
        Ok(self.newest)
    }

    /// Entries up to and with `end` as touched keys, each key once, where it was touched last.
    fn batch(&mut self, end: u64, newest: Proof) -> Result<Read> {
        let first = self.point.seq + 1;
        // Tables that hold no row with NULL in its key now: those that the log tells of were taken back, mended or deleted,
        // and no target has one.
        let mut harmless = HashSet::new();
        let Gathered { gather, at, last, .. } = loop {
            let gathered = self.gather(end, &harmless)?;
            match &gathered.null_key {
                Some((number, _)) if !self.holds_null_key(*number)? => drop(harmless.insert(*number)),
                Some((number, key)) if gathered.last < first => {
                    return Err(has_null_key(&self.tables[number].shape.name.name, key));
                }
                None if gathered.last < end => {
                    let path = self.db.path.display();
                    let missing = gathered.last + 1;
                    let text = format!("{path}: change {missing} is missing from the log: somebody removed it");
                    return Err(Error::lost(text).hint("delete the job and create it again with `existing: replace`"));
                }
                // What came before it is handed out first.
                _ => break gathered,
            }
        };
        let from = self.at.clone();
        let told = match self.edges.front() {
            // A target that stands there was told no more than that: what came since is told again behind it.
            Some((edge, _)) if edge.seq == last => edge.told,
            _ => self.point.told.max(last),
        };
        self.stand_at(Point { seq: last, told, ..self.point }, newest);
        let batch = self.sealed(gather.rows(), from, last == newest.seq, at);
        Ok(Read::Batch(batch))
    }

    /// Up to and with `end`, or up to a key with NULL in it of a table that is not `harmless`.
    fn gather(&mut self, end: u64, harmless: &HashSet<i64>) -> Result<Gathered> {
        let mut gathered = Gathered { gather: Gather::default(), at: 0.0, last: self.point.seq, null_key: None };
        let (tables, first) = (&self.tables, self.point.seq + 1);
        let span = [first, end].map(|seq| ValueRef::Int(i64::try_from(seq).unwrap_or(i64::MAX)));
        let sql = "SELECT * FROM whimbrel_log WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq";
        self.db.statement(sql)?.query(span, |row| {
            // seq, tbl, at, origin, k1 …
            let seq = gathered.last + 1;
            if row.int(0).unsigned_abs() != seq {
                return Ok(ControlFlow::Break(()));
            }
            let number = row.int(1);
            let table = tables.get(&number);
            let parts = |table: &Touchable| 4..4 + table.shape.key.len();
            let has_null = |table: &&Touchable| {
                table.may_have_null_key && parts(table).any(|part| row.get(part) == ValueRef::Null)
            };
            match (table, table.filter(has_null)) {
                (_, Some(table)) if !harmless.contains(&number) => {
                    gathered.null_key = Some((number, show(parts(table).map(|part| row.get(part)))));
                    return Ok(ControlFlow::Break(()));
                }
                (Some(table), None) => gathered.gather.add(row, seq, table),
                _ => {}
            }
            if let ValueRef::Float64(day) = row.get(2) {
                gathered.at = day;
            }
            gathered.last = seq;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(gathered)
    }

    fn holds_null_key(&mut self, number: i64) -> Result<bool> {
        let shape = &self.tables[&number].shape;
        let nulls = shape.key.iter().map(|&column| format!("{} IS NULL", quote(&shape.columns[column].name)));
        let nulls: Vec<String> = nulls.collect();
        let sql = format!("SELECT 1 FROM {} WHERE {} LIMIT 1", quote(&shape.name.name), nulls.join(" OR "));
        Ok(!self.db.rows(&sql, [], |_| ())?.is_empty())
    }

    /// What became of a table, alone in its batch, at the place where the tail stands.
    fn tell(&mut self, told: &Told) -> Batch {
        let from = self.at.clone();
        self.stand_at(Point { told: told.seq, ..self.point }, self.newest);
        let mut rows = Rows::default();
        match told.change {
            Some(change) => {
                let shape = rows.shape(&told.table);
                rows.push(shape, change, NO_ROW, NO_ROW);
                rows.mutations[0].at = self.point.seq;
            }
            None => tracing::warn!(
                table = %told.table.name, job = %self.job,
                "the table is gone from the source; it is kept in the targets, and followed again if it comes back"
            ),
        }
        self.sealed(rows, from, true, 0.0)
    }

    /// Moves on. An edge keeps the bytes that its target knows it by.
    fn stand_at(&mut self, point: Point, newest: Proof) {
        let point = self.seen.vouch(Point { proof: newest, ..point });
        if point == self.point {
            return;
        }
        self.point = point;
        self.at = match self.edges.front() {
            Some((edge, position)) if edge.place() == point.place() => position.clone(),
            _ => point.position(),
        };
    }

    fn sealed(&self, rows: Rows, from: Position, complete: bool, at: f64) -> Batch {
        Batch {
            partition: Partition::new(Partition::ONLY),
            from,
            to: self.at.clone(),
            complete,
            kind: Kind::Log,
            body: Body::Rows(Arc::new(rows)),
            committed_ms: milliseconds(at),
        }
    }
}

enum Read {
    /// The schema is not what the log says.
    Unsettled,
    /// The log tells of a table.
    Told(Told),
    Idle,
    Batch(Batch),
}

struct Gathered {
    gather: Gather,
    /// When the last of them was committed.
    at: f64,
    /// Its number.
    last: u64,
    /// What comes next: its table, and how it shows.
    null_key: Option<(i64, String)>,
}

/// Collects touched keys; of several touches of one key the last counts.
#[derive(Default)]
struct Gather {
    rows: Rows,
    /// By hash of table and key: which mutation.
    places: HashMap<u64, usize>,
    outdated: Vec<bool>,
}

impl Gather {
    fn add(&mut self, row: Row<'_>, seq: u64, table: &Touchable) {
        let shape = self.rows.shape(&table.shape);
        let start = self.rows.slab.len();
        let place = decode::key_row(row, 4, &table.places, &mut self.rows.slab);
        let hash = xxh3_64(&self.rows.slab[start..]) ^ u64::from(shape).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.rows.push(shape, Change::Touched, place, NO_ROW);
        let index = self.rows.mutations.len() - 1;
        self.rows.mutations[index].at = seq;
        self.outdated.push(false);
        if let Some(earlier) = self.places.insert(hash, index) {
            let before = self.rows.mutations[earlier];
            let same = before.shape == shape && self.rows.row(before.row).bytes() == self.rows.row(place).bytes();
            // Another key of the same hash stays as well: fetching one twice does no harm.
            self.outdated[earlier] = same;
        }
    }

    fn rows(mut self) -> Rows {
        let mut outdated = self.outdated.iter();
        self.rows.mutations.retain(|_| !outdated.next().copied().unwrap_or(false));
        self.rows
    }
}

/// SQLite's day number as milliseconds since 1970.
pub(super) fn milliseconds(day: f64) -> u64 {
    const DAY_OF_1970: f64 = 2_440_587.5;
    const MS_OF_DAY: f64 = 86_400_000.0;
    let ms = ((day - DAY_OF_1970) * MS_OF_DAY).round();
    if ms > 0.0 { ms as u64 } else { 0 }
}
