//! Follows the log from a position: events in, batches out. `feed` waits for the events.

use super::{
    batches::{Batches, Told, ordinal, steps_of},
    binlog::{Decoder, Event, Header, Query, maria},
    changes::Watched,
    ddl::{self, Statement, What},
    history::{History, Known},
    image::Misfit,
    position::{Gtid, Point, Proof, Reach, Time},
    prepared::{self, Held, Owned, Prepared},
    proof::Last,
    stream::{Open, Transactions, before},
    wire::Logged,
};
use crate::{
    error::{Error, Result},
    model::{Change, Position, Table, TableName},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

pub(super) struct Tail {
    pub batches: Batches,
    /// Where the last transaction that ended left us.
    pub point: Point,
    pub(super) history: History,
    pub(super) decoder: Decoder,
    /// By the number that row events name.
    pub(super) tables: HashMap<u64, Mapped>,
    transactions: Transactions,
    /// All up to here was applied before we began.
    saved: Reach,
    last: Last,
    /// Of the first transaction behind `saved`, so much was applied before.
    skip: u64,
    /// Whether parents' changes tell of their children's.
    pub(super) expands: bool,
    prepared: Prepared,
    /// Edges that were behind us when it was last asked.
    edges: u64,
    pub(super) open: Current,
    pub(super) altering: Option<Altering>,
    /// Tables that we do not know, made (`true`) or dropped by a statement of the log.
    pub(super) made: BTreeMap<TableName, bool>,
    pub(super) scratch: Vec<u8>,
}

/// What a number stands for.
pub(super) struct Mapped {
    /// As the log told it.
    pub body: Box<[u8]>,
    pub watched: Arc<Watched>,
    /// Not to be relied on when it is told again.
    pub once: bool,
}

/// The transaction that is being read.
pub(super) struct Current {
    what: Option<Open>,
    /// What is before it in the stream.
    previous: Reach,
    pub mode: Mode,
    pub row: u64,
    pub step: u64,
    /// Tables whose rows were told.
    touched: Vec<Arc<Table>>,
    /// Copied again already.
    recopied: BTreeSet<TableName>,
    /// Some of it did not happen, and it is not known what.
    doubtful: bool,
    held: Vec<Owned>,
    held_bytes: usize,
    /// Rows that could not be read, of a branch that may have been applied before.
    pub misfit: Option<(TableName, Misfit)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Applied before we began.
    Skip,
    Apply,
    /// An XA transaction: kept until its end is known. `again`: applied before we began, if it was.
    Prepare {
        again: bool,
    },
}

/// A statement that waits for a look at the catalogue.
pub(super) struct Altering {
    /// As they were known before.
    pub changes: Vec<(TableName, What, Option<Known>)>,
    /// It is the whole transaction.
    pub ended: bool,
}

/// Of tables that are nobody's; some are enough to be told of.
const MADE: usize = 1_000;

impl Tail {
    /// The stream starts at the point's `since`.
    pub fn new(from: &Position, point: Point, batches: Batches, history: History, expands: bool) -> Tail {
        let last = Last::of(&point);
        let open = Current {
            what: None,
            previous: point.since.clone(),
            mode: Mode::Skip,
            row: 0,
            step: 0,
            touched: Vec::new(),
            recopied: BTreeSet::new(),
            doubtful: false,
            held: Vec::new(),
            held_bytes: 0,
            misfit: None,
        };
        Tail {
            batches,
            history,
            decoder: Decoder::default(),
            tables: HashMap::new(),
            transactions: Transactions::new(&point.since),
            saved: point.at.clone(),
            point,
            last,
            skip: from.ordinal(),
            expands,
            prepared: Prepared::default(),
            edges: 0,
            open,
            altering: None,
            made: BTreeMap::new(),
            scratch: Vec::new(),
        }
    }

    /// Takes an event. If it says so, `look` comes next.
    pub fn take(&mut self, logged: &Logged) -> Result<bool> {
        let mut decoder = std::mem::take(&mut self.decoder);
        let taken = logged.open(&mut decoder).and_then(|(header, body)| {
            let event = decoder.read(&header, body)?;
            self.event(&header, event)
        });
        self.decoder = decoder;
        taken?;
        Ok(self.altering.is_some())
    }

    /// Whether nothing of a transaction is read yet.
    pub fn is_between(&self) -> bool {
        self.transactions.open.is_none()
    }

    /// A batch is as large as one may be, or the catalogue comes next.
    pub fn must_wait(&self) -> bool {
        self.altering.is_some() || self.batches.is_full()
    }

    fn event(&mut self, header: &Header, event: Event<'_>) -> Result<()> {
        let step = self.transactions.step(header, &event)?;
        if step.torn {
            self.torn()?;
        }
        if let Some(open) = step.began {
            self.begin(open)?;
        }
        if let (Some(time), Some(open)) = (step.timed, &mut self.open.what) {
            open.proof = Some(time);
            self.last.meet_time(open)?;
        }
        match event {
            // Numbers of tables start anew with the server.
            Event::Format if !header.artificial => self.tables.clear(),
            Event::TableMap(map) => self.table(&map)?,
            Event::Rows(rows) => self.rows(&rows)?,
            Event::Query(query) => {
                self.query(&query, step.ended)?;
                if self.altering.is_some() {
                    return Ok(());
                }
            }
            Event::XaPrepare { one_phase, xid } => self.prepare(one_phase, xid)?,
            Event::Incident(text) => {
                return Err(Error::lost(format!("the server could not log something: {text}"))
                    .hint("delete the job and create it again with `existing: replace`"));
            }
            Event::Anonymous if !matches!(self.saved, Reach::File(_)) => {
                return Err(Error::lost("the log holds a transaction without a GTID, and is followed by GTIDs").hint(
                    "SET GLOBAL gtid_mode = ON; then delete the job and create it again with `existing: replace`",
                ));
            }
            _ => {}
        }
        match (step.ended, step.moved) {
            (true, _) => self.end(),
            (false, true) => self.moved(),
            (false, false) => Ok(()),
        }
    }

    /// A file of the log went on without a transaction: where files are counted, that is a place of its own.
    fn moved(&mut self) -> Result<()> {
        let at = &self.transactions.at;
        if at.compare(&self.point.at)?.is_gt() {
            self.point.at = at.clone();
            self.batches.end(&self.point)?;
        }
        Ok(())
    }

    fn begin(&mut self, what: Open) -> Result<()> {
        self.last.meet(&what, &self.saved)?;
        let again = what.is_behind(&self.saved)?;
        self.open.mode = match what.flags & maria::PREPARED_XA != 0 {
            true => Mode::Prepare { again },
            false if again => Mode::Skip,
            false => Mode::Apply,
        };
        self.open.previous.clone_from(&what.from);
        self.open.what = Some(what);
        (self.open.row, self.open.step, self.open.doubtful, self.open.held_bytes) = (0, 0, false, 0);
        self.open.touched.clear();
        self.open.recopied.clear();
        self.open.held.clear();
        self.open.misfit = None;
        if !again {
            self.batches.begin(&self.point);
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        if self.open.doubtful {
            for table in std::mem::take(&mut self.open.touched) {
                self.recopy(&table)?;
            }
        }
        let Some(open) = self.open.what.take() else { return Ok(()) };
        if open.is_behind(&self.saved)? {
            return Ok(());
        }
        let mut at = self.point.at.clone();
        at.union(&self.transactions.at)?;
        let since = before(&at, &self.open.previous, &open.gtid);
        let since = self.prepared.oldest().cloned().unwrap_or(since);
        let time = open.proof.unwrap_or(Time::Began(open.time));
        let proof = Some(Proof { of: open.gtid, time });
        self.point = Point { since, proof, at, seen: None, shapes: self.history.fingerprint() };
        self.skip = 0;
        self.batches.end(&self.point)
    }

    /// The server died while it wrote the transaction, and has taken it back.
    fn torn(&mut self) -> Result<()> {
        self.open.held.clear();
        self.history.untell();
        let happened = self.open.mode == Mode::Apply && self.open.row + self.open.step > 0;
        match self.open.what.take() {
            Some(open) if happened && !self.batches.take_back() => Err(Error::lost(format!(
                "transaction {} was taken back by the server after part of it was applied",
                open.gtid
            ))
            .hint("delete the job and create it again with `existing: replace`")),
            _ => Ok(()),
        }
    }

    /// A change for the targets, at the place where we are in the transaction.
    pub(super) fn tell(&mut self, told: &Told<'_>) -> Result<()> {
        match self.open.mode {
            Mode::Skip => return Ok(()),
            Mode::Prepare { .. } => {
                let held = Owned::of(told, (self.open.row, self.open.step));
                self.open.step += 1;
                self.open.held_bytes += held.bytes();
                prepared::check(self.open.held_bytes)?;
                self.open.held.push(held);
                return Ok(());
            }
            Mode::Apply => {}
        }
        if !self.open.touched.last().is_some_and(|last| Arc::ptr_eq(last, told.table)) {
            self.open.touched.push(Arc::clone(told.table));
        }
        let done = ordinal(self.open.row, self.open.step);
        self.open.step += 1;
        if done < self.skip {
            return Ok(());
        }
        let committed_ms = self.open.what.as_ref().map_or(0, |open| match open.committed_us {
            0 => u64::from(open.time) * 1000,
            micros => micros / 1000,
        });
        self.batches.push(&self.point.at, done, committed_ms, told);
        Ok(())
    }

    /// What would be told now, inside of the transaction in which the last run ended, was applied by it.
    pub(super) fn applied_before(&self) -> bool {
        ordinal(self.open.row, self.open.step) < self.skip
    }

    /// Targets that stand further on have not been told what was told before: it is told again behind each edge.
    pub(super) fn note_edges(&mut self) {
        let edges = self.batches.edges_before(&self.point.at, ordinal(self.open.row, self.open.step));
        if edges != self.edges {
            self.edges = edges;
            self.history.untell();
            self.open.recopied.clear();
        }
    }

    /// How many mutations of the present row were applied by the last run.
    pub(super) fn steps_before(&self) -> u64 {
        steps_of(self.open.row, self.skip)
    }

    /// The table is copied again; once in a transaction is enough.
    pub(super) fn recopy(&mut self, table: &Arc<Table>) -> Result<()> {
        self.note_edges();
        if self.open.mode == Mode::Apply && !self.applied_before() && !self.open.recopied.insert(table.name.clone()) {
            return Ok(());
        }
        self.tell(&Told { table, change: Change::Recopy, row: None, before: None })
    }

    fn query(&mut self, query: &Query<'_>, ended: bool) -> Result<()> {
        let statement = ddl::read(query);
        let skips = self.open.mode == Mode::Skip;
        match statement {
            Statement::XaStart => {
                if !matches!(self.saved, Reach::Maria(_)) && !matches!(self.open.mode, Mode::Prepare { .. }) {
                    self.open.mode = Mode::Prepare { again: skips };
                }
            }
            Statement::XaCommit(xid) => match self.prepared.end(&xid) {
                Some(held) => self.replay(&held)?,
                None if skips => {}
                None => {
                    return Err(Error::lost(format!("XA transaction {xid} was prepared before this job began"))
                        .hint("delete the job and create it again with `existing: replace`"));
                }
            },
            Statement::XaRollback(xid) => drop(self.prepared.end(&xid)),
            _ if skips => {}
            Statement::Rollback | Statement::RollbackTo => self.open.doubtful = true,
            Statement::Tables(changes) => self.alter(changes, ended),
            Statement::DropDatabase(schema) => {
                let gone = self.history.of_schema(&schema);
                self.alter(gone.into_iter().map(|name| (name, What::Gone)).collect(), ended);
            }
            Statement::Rows | Statement::Unknown => {
                let text = String::from_utf8_lossy(&query.text);
                let word: String = text.trim_start().chars().take_while(|c| c.is_alphanumeric()).take(20).collect();
                let of = self.open.what.as_ref().map_or(String::new(), |open| format!(" (transaction {})", open.gtid));
                return Err(Error::config(format!(
                    "the log holds a statement, `{word} …`{of}, instead of the rows it changed"
                ))
                .hint(
                    "SET GLOBAL binlog_format = 'ROW' and end the sessions that began before it; then delete the job \
                           and create it again with `existing: replace`",
                ));
            }
            Statement::Begin | Statement::Commit | Statement::Other => {}
        }
        Ok(())
    }

    /// A table that we watch changes: the catalogue must be looked at before anything else is read.
    fn alter(&mut self, changes: Vec<(TableName, What)>, ended: bool) {
        self.note_edges();
        for (name, what) in &changes {
            let is_there = match what {
                What::Created { .. } => true,
                What::Gone => false,
                _ => continue,
            };
            let is_new = self.history.spelled(name).is_none();
            if is_new && (self.made.len() < MADE || self.made.contains_key(name)) {
                self.made.insert(name.clone(), is_there);
            }
        }
        let known = |(name, what)| {
            let name = self.history.spelled(&name)?;
            let known = self.history.known(&name).cloned();
            Some((name, what, known))
        };
        let changes: Vec<_> = changes.into_iter().filter_map(known).collect();
        if !changes.is_empty() {
            self.altering = Some(Altering { changes, ended });
        }
    }

    /// What `look` does once the catalogue was read.
    pub(super) fn finish_altering(&mut self, ended: bool) -> Result<()> {
        // Rows of the old shape came under other numbers.
        self.tables.clear();
        if ended { self.end() } else { Ok(()) }
    }

    /// Everything before us, with the transaction that is open.
    pub(super) fn reach_with_this(&self) -> Result<Reach> {
        let mut at = self.point.at.clone();
        at.union(&self.transactions.at)?;
        match (&mut at, self.open.what.as_ref().map(|open| &open.gtid)) {
            (Reach::Maria(domains), Some(Gtid::Maria(gtid))) => domains.set(*gtid),
            (Reach::Mysql(set), Some(Gtid::Mysql(gtid))) => set.add(gtid),
            (Reach::File(file), _) => file.byte = self.transactions.here,
            _ => {}
        }
        Ok(at)
    }

    fn prepare(&mut self, one_phase: bool, xid: String) -> Result<()> {
        let changes = std::mem::take(&mut self.open.held);
        let held = Held { changes, misfit: self.open.misfit.take() };
        if one_phase {
            self.open.mode = match self.open.mode {
                Mode::Prepare { again: true } | Mode::Skip => Mode::Skip,
                Mode::Prepare { again: false } | Mode::Apply => Mode::Apply,
            };
            return self.replay(&held);
        }
        self.prepared.add(xid, self.open.previous.clone(), held)
    }

    /// Rows of a transaction that was prepared and is committed now.
    fn replay(&mut self, held: &Held) -> Result<()> {
        if let (Mode::Apply, Some((name, misfit))) = (self.open.mode, &held.misfit) {
            return Err(misfit.error(name));
        }
        for owned in &held.changes {
            (self.open.row, self.open.step) = owned.place;
            self.tell(&owned.told())?;
        }
        (self.open.row, self.open.step) = (self.open.row + 1, 0);
        Ok(())
    }
}
