//! Fetches the rows of `Touched` keys from the source, so that nothing behind it sees a key without its row.

use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{
        Batch, Body, Change, Checkpoint, Key, Kind, Mark, Mutation, NO_ROW, Partition, Position, Rows, Table, TableName,
    },
    source::{Feed, Fetched, Next, Source, Wanted},
};
use async_trait::async_trait;
use std::{collections::HashMap, sync::Arc, time::Duration};

/// Bytes of rows fetched for one batch; a batch whose rows need more is cut in two. Four such batches are on their way
/// at a time, each for a moment twice.
pub const FETCH_BYTES: usize = 2 << 20;

/// A tail whose `Touched` keys have become `Upsert`s and `Delete`s.
///
/// It converges because the fetched row is at or after its batch (R2), and whatever is later will be replayed.
pub struct Resolve {
    feed: Box<dyn Feed>,
    source: Arc<dyn Source>,
    /// The batch being resolved, or the rest of one that was cut: a dropped `next` loses nothing.
    rest: Option<Batch>,
    /// Whether a batch may be cut where its rows are too many. A torn batch is read again as exactly one.
    may_cut: bool,
}

impl Resolve {
    pub fn new(feed: Box<dyn Feed>, source: Arc<dyn Source>, may_cut: bool) -> Self {
        Resolve { feed, source, rest: None, may_cut }
    }

    /// The batch with its rows; and what was cut off it.
    async fn resolve(&mut self, batch: Batch) -> Result<(Batch, Option<Batch>)> {
        if !batch.rows().mutations.iter().any(|mutation| mutation.change == Change::Touched) {
            return Ok((batch, None));
        }
        let touched = Touched::of(batch.rows())?;
        let after = match faults::on(Saboteur::FetchBeforeBatch) {
            true => at(&batch.partition, &batch.from),
            false => at(&batch.partition, &batch.to), // R2.
        };
        let mut answers = Answers::new(touched.wanted.len());
        loop {
            let missing = answers.missing(&touched.wanted);
            let before = answers.count();
            answers.add(self.source.fetch(&missing, &after, FETCH_BYTES).await?);
            if answers.missing(&touched.wanted).is_empty() {
                break;
            }
            if answers.count() == before {
                return Err(Error::transient("the source fetched none of the keys it was asked for"));
            }
            // A torn batch goes to the lanes that lack it as it was: all of it, whatever its rows weigh now.
            if self.may_cut {
                let (head, rest) = self.cut(batch, &touched, &answers);
                let rows = write(head.rows(), &touched, &answers);
                return Ok((Batch { body: Body::Rows(Arc::new(rows)), ..head }, Some(rest)));
            }
        }
        let rows = write(batch.rows(), &touched, &answers);
        // A torn batch keeps the end that the lanes know it by.
        let to = match self.may_cut {
            true => self.source.cut(&batch, batch.rows().mutations.len()),
            false => batch.to.clone(),
        };
        Ok((Batch { to, body: Body::Rows(Arc::new(rows)), ..batch }, None))
    }

    /// The batch up to the first key that was not answered, and the rest.
    fn cut(&mut self, batch: Batch, touched: &Touched, answers: &Answers) -> (Batch, Batch) {
        let rows = batch.rows();
        let known = |index: &usize| touched.slots[*index].is_none_or(|slot| answers.get(touched.keys[slot]).is_some());
        let taken = (0..rows.mutations.len()).take_while(known).count();
        let cut = self.source.cut(&batch, taken);
        let part = |mutations: &[Mutation]| {
            let (slab, shapes) = (rows.slab.clone(), rows.shapes.clone());
            Body::Rows(Arc::new(Rows { slab, shapes, mutations: mutations.to_vec() }))
        };
        let (head, rest) = rows.mutations.split_at(taken);
        let rest = Batch { from: cut.clone(), body: part(rest), ..batch.clone() };
        let head = Batch { to: cut, complete: false, body: part(head), ..batch };
        (head, rest)
    }
}

/// The touched keys of a batch, each once per table, in the order of their first appearance (so that a cut keeps order).
struct Touched {
    wanted: Vec<Wanted>,
    /// (table, key) in `wanted`, by slot.
    keys: Vec<(usize, usize)>,
    /// For each mutation of the batch the slot of its key, if that key is touched anywhere in the batch.
    slots: Vec<Option<usize>>,
}

impl Touched {
    fn of(rows: &Rows) -> Result<Touched> {
        let mut touched = Touched { wanted: Vec::new(), keys: Vec::new(), slots: vec![None; rows.mutations.len()] };
        let mut known: HashMap<(usize, Key), usize> = HashMap::with_capacity(rows.mutations.len());
        for (index, mutation) in rows.mutations.iter().enumerate() {
            if mutation.change != Change::Touched {
                continue;
            }
            let table = rows.table(mutation);
            let key = Key::of(table, rows.row(mutation.row))
                .ok_or_else(|| Error::refused(format!("{}: a changed row without its key", table.name)))?;
            let number = touched.table(table);
            let slot = *known.entry((number, key)).or_insert_with_key(|(_, key)| {
                touched.wanted[number].keys.push(key.clone());
                touched.keys.push((number, touched.wanted[number].keys.len() - 1));
                touched.keys.len() - 1
            });
            touched.slots[index] = Some(slot);
        }
        for (index, mutation) in rows.mutations.iter().enumerate() {
            if touched.slots[index].is_some() || mutation.row == NO_ROW || mutation.change.is_alone() {
                continue;
            }
            let table = rows.table(mutation);
            let number = touched.wanted.iter().position(|wanted| wanted.table.name == table.name);
            if let (Some(number), Some(key)) = (number, Key::of(table, rows.row(mutation.row))) {
                touched.slots[index] = known.get(&(number, key)).copied();
            }
        }
        Ok(touched)
    }

    fn table(&mut self, table: &Arc<Table>) -> usize {
        let same = |wanted: &Wanted| Arc::ptr_eq(&wanted.table, table) || wanted.table.name == table.name;
        self.wanted.iter().position(same).unwrap_or_else(|| {
            self.wanted.push(Wanted { table: Arc::clone(table), keys: Vec::new() });
            self.wanted.len() - 1
        })
    }
}

/// What was fetched: per table, the answers in the order they came.
struct Answers {
    fetched: Vec<Vec<Fetched>>,
    /// Per table and key: which answer, which row in it.
    places: Vec<Vec<(usize, usize)>>,
}

impl Answers {
    fn new(tables: usize) -> Self {
        Answers { fetched: (0..tables).map(|_| Vec::new()).collect(), places: vec![Vec::new(); tables] }
    }

    fn add(&mut self, fetched: Vec<Fetched>) {
        for (table, fetched) in fetched.into_iter().enumerate() {
            let part = self.fetched[table].len();
            self.places[table].extend((0..fetched.rows.len()).map(|row| (part, row)));
            self.fetched[table].push(fetched);
        }
    }

    fn count(&self) -> usize {
        self.places.iter().map(Vec::len).sum()
    }

    fn get(&self, (table, key): (usize, usize)) -> Option<(&Fetched, usize)> {
        let &(part, row) = self.places[table].get(key)?;
        Some((&self.fetched[table][part], row))
    }

    /// What is still to fetch: empty when all is there; else one entry per table, as `add` expects.
    fn missing(&self, wanted: &[Wanted]) -> Vec<Wanted> {
        if wanted.iter().zip(&self.places).all(|(wanted, places)| wanted.keys.len() == places.len()) {
            return Vec::new();
        }
        let rest = |(wanted, places): (&Wanted, &Vec<_>)| Wanted {
            table: Arc::clone(&wanted.table),
            keys: wanted.keys[places.len()..].to_vec(),
        };
        wanted.iter().zip(&self.places).map(rest).collect()
    }
}

/// The batch with every change of a touched key replaced, at the last of them, by what was fetched.
fn write(old: &Rows, touched: &Touched, answers: &Answers) -> Rows {
    let mut last = vec![usize::MAX; touched.keys.len()];
    for (index, slot) in touched.slots.iter().take(old.mutations.len()).enumerate() {
        if let Some(slot) = slot {
            last[*slot] = index;
        }
    }
    let mut rows = Rows { shapes: old.shapes.clone(), ..Rows::default() };
    rows.slab.reserve(answers.fetched.iter().flatten().map(|fetched| fetched.slab.len()).sum());
    for (index, mutation) in old.mutations.iter().enumerate() {
        let Some(slot) = touched.slots[index] else {
            let mut moved = *mutation;
            for row in [&mut moved.row, &mut moved.before] {
                if *row != NO_ROW {
                    *row = rows.copy_row(old.row(*row));
                }
            }
            rows.mutations.push(moved);
            continue;
        };
        if last[slot] != index {
            continue;
        }
        let (table, key) = touched.keys[slot];
        let wanted = &touched.wanted[table];
        let (fetched, row) = answers.get((table, key)).expect("a batch is cut before the first key without an answer");
        let shape = rows.shape(fetched.table.as_ref().unwrap_or(&wanted.table));
        replace(&mut rows, shape, &wanted.keys[key], fetched, row, mutation.at);
    }
    rows
}

/// Writes what was fetched for `key`: the row, or that it is gone. A row found under a key of other bytes (case,
/// padding) replaces the one that had these.
pub fn replace(rows: &mut Rows, shape: u16, key: &Key, fetched: &Fetched, index: usize, at: u64) {
    let table = Arc::clone(&rows.shapes[usize::from(shape)]);
    let row = fetched.row(index);
    if row.is_none_or(|row| Key::of(&table, row).as_ref() != Some(key)) {
        let place = key.write_row(&table, &mut rows.slab);
        rows.mutations.push(Mutation { shape, change: Change::Delete, row: place, before: NO_ROW, at });
    }
    if let Some(row) = row {
        let place = rows.copy_row(row);
        rows.mutations.push(Mutation { shape, change: Change::Upsert, row: place, before: NO_ROW, at });
    }
}

/// One partition's position as a checkpoint.
pub fn at(partition: &Partition, position: &Position) -> Checkpoint {
    Checkpoint([(partition.clone(), position.clone())].into())
}

#[async_trait]
impl Feed for Resolve {
    async fn next(&mut self, patience: Duration) -> Result<Next> {
        if self.rest.is_none() {
            match self.feed.next(patience).await? {
                Next::Batch(batch) => self.rest = Some(batch),
                other => return Ok(other),
            }
        }
        let batch = self.rest.clone().expect("just put there");
        debug_assert_eq!(batch.kind, Kind::Log, "copies hold whole rows");
        let (resolved, rest) = self.resolve(batch).await?;
        self.rest = rest;
        Ok(Next::Batch(resolved))
    }

    async fn ahead(&mut self) {
        self.feed.ahead().await
    }

    async fn acknowledge(&mut self, upto: &Checkpoint) -> Result<()> {
        self.feed.acknowledge(upto).await
    }

    fn passed(&mut self, mark: &Mark) -> bool {
        self.rest.is_none() && self.feed.passed(mark)
    }

    fn gone(&self) -> Vec<TableName> {
        self.feed.gone()
    }

    fn made(&self) -> Vec<(TableName, bool)> {
        self.feed.made()
    }
}
