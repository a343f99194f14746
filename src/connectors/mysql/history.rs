//! Which shape rows of the log have: the catalogue's, where the log holds no change of the table between the two.
//!
//! The catalogue tells of now; the log may be behind. So the log is looked through, once, from where we stand to where
//! the catalogue was read. A table that was altered in between is *ahead*: its rows up to there cannot be read for
//! certain (MariaDB's default metadata has neither names nor signs), and the table is copied again instead.
//!
//! That costs a second reading of the log, which may be far away and long. So a position tells which shapes the tables had
//! there: what the catalogue still has like that is certain without a look, until the log itself changes it.

use super::{
    binlog::{Decoder, Event},
    cascades::Cascades,
    config::Config,
    connect::{Connections, Session},
    ddl::{self, OldRows, Statement, What},
    failure,
    position::{Point, Reach},
    schema::Shape,
    shapes::Shapes,
    sight,
    stream::Transactions,
    wire::Wire,
};
use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{Table, TableName},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use xxhash_rust::xxh3::Xxh3;

/// The log is read anew when the catalogue changes while it is being read.
const TRIES: usize = 5;

/// The log that was there when the catalogue was read comes without a pause.
const QUIET: Duration = Duration::from_secs(10);

/// What a tail needs of its source besides the stream.
#[derive(Clone)]
pub(super) struct World {
    pub config: Arc<Config>,
    pub connections: Arc<Connections>,
    pub shapes: Arc<Shapes>,
}

/// The tables of a tail: those that it follows, and those whose rows have children among them.
pub(super) struct History {
    world: World,
    pub followed: BTreeSet<TableName>,
    known: BTreeMap<TableName, Known>,
    pub cascades: Cascades,
    folds_names: bool,
    fingerprint: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) enum Known {
    Certain(Arc<Shape>),
    /// Altered behind where we stand, up to there.
    Ahead(Ahead),
    Gone,
}

#[derive(Clone, Debug)]
pub(super) struct Ahead {
    pub until: Reach,
    /// Of then.
    pub shape: Option<Arc<Shape>>,
    /// Rows that are there stay as they are.
    pub keeps: bool,
    /// That it is to be copied again was said.
    pub told: bool,
}

impl History {
    pub async fn open(world: World, point: &Point, names: &[TableName], folds_names: bool) -> Result<History> {
        let followed: BTreeSet<TableName> = names.iter().cloned().collect();
        let (known, cascades) = (BTreeMap::new(), Cascades::default());
        let mut history = History { world, followed, known, cascades, folds_names, fingerprint: None };
        if point.shapes.is_none() || !history.is_unchanged(point, names.to_vec()).await? {
            history.known.clear();
            history.look(&point.at, names.to_vec()).await?;
        }
        Ok(history)
    }

    /// Whether the catalogue has every table as it was where we stand; each is read at a moment of its own, since what
    /// comes after that is in the log. If so, they are known.
    async fn is_unchanged(&mut self, point: &Point, mut names: Vec<TableName>) -> Result<bool> {
        let mut session = self.world.connections.lease().await?;
        while !names.is_empty() {
            for name in &names {
                let known = self.shape(&mut session, name).await?.map_or(Known::Gone, Known::Certain);
                self.known.insert(name.clone(), known);
            }
            names = self.point();
        }
        self.world.connections.give_back(session);
        Ok(self.fingerprint == point.shapes || faults::on(Saboteur::ShapesUnproven))
    }

    async fn shape(&self, session: &mut Session, name: &TableName) -> Result<Option<Arc<Shape>>> {
        let shape = self.world.shapes.get(session, name).await;
        shape.map_err(|error| match self.followed.contains(name) || error.is_transient() {
            true => error,
            false => Error::config(format!("what {name} does to rows of the tables that point to it: {error}")).hint(
                "leave those tables out of the job, or let their foreign keys change nothing (ON DELETE RESTRICT)",
            ),
        })
    }

    /// Of all the shapes that we know for certain; `None` while one of them is not.
    pub fn fingerprint(&self) -> Option<u64> {
        self.fingerprint
    }

    /// The table, spelled as we know it.
    pub fn name(&self, schema: &[u8], name: &[u8]) -> Option<TableName> {
        let (schema, name) = (std::str::from_utf8(schema).ok()?, std::str::from_utf8(name).ok()?);
        self.spelled(&TableName::new(schema, name))
    }

    pub fn spelled(&self, name: &TableName) -> Option<TableName> {
        if let Some((name, _)) = self.known.get_key_value(name) {
            return Some(name.clone());
        }
        let same = |own: &&TableName| {
            own.schema.eq_ignore_ascii_case(&name.schema) && own.name.eq_ignore_ascii_case(&name.name)
        };
        self.known.keys().find(same).filter(|_| self.folds_names).cloned()
    }

    pub fn known(&self, name: &TableName) -> Option<&Known> {
        self.known.get(name)
    }

    /// Followed tables that the catalogue does not have.
    pub fn gone(&self) -> Vec<TableName> {
        let gone = |known: &Known| matches!(known, Known::Gone | Known::Ahead(Ahead { shape: None, .. }));
        let all = self.known.iter().filter(|(name, known)| gone(known) && self.followed.contains(*name));
        all.map(|(name, _)| name.clone()).collect()
    }

    pub fn set_told(&mut self, name: &TableName) {
        if let Some(Known::Ahead(ahead)) = self.known.get_mut(name) {
            ahead.told = true;
        }
    }

    /// Not all who listen have heard of what was said.
    pub fn untell(&mut self) {
        for known in self.known.values_mut() {
            if let Known::Ahead(ahead) = known {
                ahead.told = false;
            }
        }
    }

    /// Of a table that is ahead: a change that rows do not survive was met on the way.
    pub fn set_changed(&mut self, name: &TableName) {
        if let Some(Known::Ahead(ahead)) = self.known.get_mut(name) {
            ahead.keeps = false;
        }
    }

    /// Followed tables whose rows go or change with rows of this one.
    pub fn children(&self, parent: &TableName) -> Vec<Arc<Table>> {
        self.cascades.below(parent).filter(|table| self.followed.contains(&table.name)).collect()
    }

    pub fn of_schema(&self, schema: &str) -> Vec<TableName> {
        let same = |name: &&TableName| match self.folds_names {
            true => name.schema.eq_ignore_ascii_case(schema),
            false => name.schema == schema,
        };
        self.known.keys().filter(same).cloned().collect()
    }

    /// Reads the catalogue for `names`, seen from `at`; parents of theirs are found on the way.
    pub async fn look(&mut self, at: &Reach, mut names: Vec<TableName>) -> Result<()> {
        let mut session = self.world.connections.lease().await?;
        for _ in 0..TRIES {
            let before = sight::shown(&mut session).await?;
            let mut found = BTreeMap::new();
            for name in &names {
                found.insert(name.clone(), self.shape(&mut session, name).await?);
            }
            let after = logged(&mut session).await?;
            let altered = match at.contains(&after)? {
                true => BTreeMap::new(),
                false => self.altered(at, &after, &names).await?,
            };
            let mut again = false;
            for (name, shape) in found {
                let known = match (altered.get(&name), shape) {
                    (Some(later), _) if !before.contains(&later.last)? => {
                        again = true;
                        continue;
                    }
                    (Some(later), shape) => match shape.as_ref().and_then(|shape| later.shape_before(shape)) {
                        Some(shape) => Known::Certain(shape),
                        None => {
                            let keeps = later.keeps && !matches!(self.known.get(&name), Some(Known::Gone));
                            Known::Ahead(Ahead {
                                until: later.last.clone(),
                                shape,
                                keeps,
                                told: self.was_told(&name, later),
                            })
                        }
                    },
                    (None, shape) => shape.map_or(Known::Gone, Known::Certain),
                };
                if self.followed.contains(&name)
                    && matches!(known, Known::Gone | Known::Ahead(Ahead { shape: None, .. }))
                    && !self.known.contains_key(&name)
                {
                    tracing::warn!(
                        table = %name,
                        "the table is not at the source any more: its last changes cannot be read; it is kept in \
                         the targets as it is, and followed again if it comes back"
                    );
                }
                self.known.insert(name, known);
            }
            if again {
                continue;
            }
            names = self.point();
            if names.is_empty() {
                self.world.connections.give_back(session);
                return Ok(());
            }
        }
        Err(Error::transient("tables are altered faster than the catalogue can be read"))
    }

    /// It is copied again from behind that change already.
    fn was_told(&self, name: &TableName, later: &Later) -> bool {
        matches!(self.known.get(name), Some(Known::Ahead(ahead)) if ahead.told && ahead.until == later.last)
    }

    /// Parents that are not known yet.
    fn point(&mut self) -> Vec<TableName> {
        let certain = self.known.values().filter_map(|known| match known {
            Known::Certain(shape) => Some(shape),
            Known::Ahead(ahead) => ahead.shape.as_ref(),
            Known::Gone => None,
        });
        self.cascades = Cascades::of(certain);
        self.fingerprint = fingerprint(&self.known);
        self.cascades.parents().filter(|name| !self.known.contains_key(*name)).cloned().collect()
    }

    /// Tables that the log alters in `(at, upto]`: where last, and whether each time their rows stayed as they are.
    async fn altered(&self, at: &Reach, upto: &Reach, names: &[TableName]) -> Result<BTreeMap<TableName, Later>> {
        let session = Session::open(&self.world.config).await?;
        let since = at.askable();
        let mut wire = Wire::open(&self.world.config, session, &since).await?;
        let (mut decoder, mut transactions) = (Decoder::default(), Transactions::new(&since));
        let mut altered: BTreeMap<TableName, Later> = BTreeMap::new();
        let mut now = Vec::new();
        let mut quiet = Instant::now();
        while !transactions.at.contains(upto)? {
            let raw = wire.next().await?;
            let (header, body) = raw.open(&mut decoder)?;
            let event = decoder.read(&header, body)?;
            match event {
                // A number may be taken for long before its transaction is written, or given back.
                Event::Heartbeat if quiet.elapsed() > QUIET => {
                    return Err(Error::transient(format!(
                        "the log does not come to {upto}, it stands at {}",
                        transactions.at
                    ))
                    .hint("a transaction that has its number is not written yet: `SHOW PROCESSLIST` at the source"));
                }
                Event::Heartbeat => {}
                _ => quiet = Instant::now(),
            }
            if let Event::Query(query) = &event {
                match ddl::read(query) {
                    Statement::Tables(changes) => now.extend(changes),
                    Statement::DropDatabase(schema) => {
                        let same = |name: &&TableName| match self.folds_names {
                            true => name.schema.eq_ignore_ascii_case(&schema),
                            false => name.schema == schema,
                        };
                        let gone = names.iter().filter(same);
                        now.extend(gone.map(|name| (name.clone(), What::Gone)));
                    }
                    _ => {}
                }
            }
            if !transactions.step(&header, &event)?.ended {
                continue;
            }
            if at.contains(&transactions.at)? {
                now.clear();
            }
            for (changed, what) in now.drain(..) {
                if what == What::Truncated || what == (What::Created { if_absent: true }) {
                    continue;
                }
                let same = |name: &&TableName| match self.folds_names {
                    true => {
                        name.schema.eq_ignore_ascii_case(&changed.schema)
                            && name.name.eq_ignore_ascii_case(&changed.name)
                    }
                    false => **name == changed,
                };
                if let Some(name) = names.iter().find(same) {
                    let first = || Later { last: transactions.at.clone(), keeps: true, came: Some(Vec::new()) };
                    altered.entry(name.clone()).or_insert_with(first).add(what, &transactions.at);
                }
            }
        }
        Ok(altered)
    }
}

/// What the log does to a table between where we stand and where the catalogue was read.
struct Later {
    last: Reach,
    keeps: bool,
    /// The columns that came; `None`: other things happened, too.
    came: Option<Vec<String>>,
}

impl Later {
    fn add(&mut self, what: What, at: &Reach) {
        self.last = at.clone();
        match (what, &mut self.came) {
            (What::Altered(OldRows::Grow(names)), Some(came)) => came.extend(names),
            (What::Altered(OldRows::Grow(names)), None) if names.is_empty() => {}
            (What::Altered(OldRows::Keep), came @ Some(_)) => *came = None,
            // What comes may be what went before: the two together leave a column that rows have a value in.
            _ => (self.keeps, self.came) = (false, None),
        }
    }

    /// The shape that the table has where we stand.
    fn shape_before(&self, now: &Arc<Shape>) -> Option<Arc<Shape>> {
        let came = self.came.as_ref()?;
        let is_new = |column: usize| came.contains(&now.table.columns[column].name.to_lowercase());
        let kept: Vec<usize> = (0..now.table.columns.len()).filter(|&column| !is_new(column)).collect();
        let place = |column: usize| kept.iter().position(|&kept| kept == column);
        if now.table.key.iter().any(|&column| is_new(column)) {
            return None;
        }
        let mut table = Table::clone(&now.table);
        table.columns = kept.iter().map(|&column| now.table.columns[column].clone()).collect();
        table.key = now.table.key.iter().filter_map(|&column| place(column)).collect();
        // Their columns may be new, or they themselves: rows are read without them, and the newest shape brings them.
        table.uniques.clear();
        table.foreign_keys.retain(|key| key.columns.iter().all(|&column| !is_new(column)));
        for key in &mut table.foreign_keys {
            key.columns = key.columns.iter().filter_map(|&column| place(column)).collect();
        }
        table.version = now.table.version.saturating_sub(1);
        table.definition = None;
        let natives = kept.iter().map(|&column| now.natives[column].clone()).collect();
        let terms = now
            .terms
            .iter()
            .filter_map(|term| Some(super::schema::Term { column: place(term.column)?, ..term.clone() }));
        let terms = terms.collect();
        Some(Arc::new(Shape { table: Arc::new(table), natives, terms, ..Shape::clone(now) }))
    }
}

/// Whether rows of the old shape stay as they are in the new one: columns that came are empty, others went.
pub(super) fn follows(old: &Table, new: &Table) -> bool {
    let key = |table: &Table| table.key.iter().map(|&column| table.columns[column].name.clone()).collect::<Vec<_>>();
    let stays = new.columns.iter().all(|column| match old.column(&column.name) {
        Some(before) => *column == old.columns[before],
        None => column.nullable && !column.generated,
    });
    stays && key(old) == key(new)
}

fn fingerprint(known: &BTreeMap<TableName, Known>) -> Option<u64> {
    let mut hash = Xxh3::new();
    for (name, known) in known {
        // One that is gone comes back by a statement in the log.
        let definition = match known {
            Known::Certain(shape) => shape.table.definition.as_deref()?,
            Known::Gone => "",
            Known::Ahead(_) => return None,
        };
        for text in [name.schema.as_str(), name.name.as_str(), definition] {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
    }
    Some(hash.digest())
}

async fn logged(session: &mut Session) -> Result<Reach> {
    sight::logged(session).await.map_err(|failure| failure::error(failure, "asking where the log ends"))
}
