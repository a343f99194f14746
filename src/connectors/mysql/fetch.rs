//! Rows by key, now, all of one request in one snapshot.

use super::{
    binding,
    connect::Session,
    copy::{Reads, next_row, positional, show, too_big},
    decode, failure, paging,
    schema::Shape,
};
use crate::{
    error::{Error, Result},
    model::{Checkpoint, Key, Place, RowRef},
    source::{Fetched, Wanted},
};
use mysql_async::{Row, prelude::Queryable};
use std::{collections::HashMap, sync::Arc};

/// Keys in one statement: few different ones, so that prepared statements are used again.
const SIZES: [usize; 3] = [64, 8, 1];

pub(super) async fn fetch(
    reads: &Reads,
    wanted: &[Wanted],
    after: &Checkpoint,
    max_bytes: usize,
) -> Result<Vec<Fetched>> {
    let mut session = reads.connections.lease().await?;
    reads.sight.prove(&mut session, after).await?;
    let opening = |failure| failure::error(failure, "opening a snapshot");
    session.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await.map_err(opening)?;
    let mut answers = Vec::with_capacity(wanted.len());
    let mut budget = Budget { left: max_bytes, first: true };
    for wanted in wanted {
        let answer = table(reads, &mut session, wanted, &mut budget).await;
        answers.push(answer.map_err(|error| error.at(&wanted.table.name))?);
    }
    session.run("COMMIT").await.map_err(|failure| failure::error(failure, "closing a snapshot"))?;
    let server = Arc::clone(&session.server);
    reads.connections.give_back(session);
    reads.sight.note(&reads.connections, &server).await?;
    Ok(answers)
}

/// Bytes that the answer may still hold; the first row always fits.
struct Budget {
    left: usize,
    first: bool,
}

impl Budget {
    fn takes(&mut self, bytes: usize) -> bool {
        let takes = bytes <= self.left || self.first;
        if takes && bytes > 0 {
            self.first = false;
        }
        self.left = if takes { self.left.saturating_sub(bytes) } else { 0 };
        takes
    }
}

async fn table(reads: &Reads, session: &mut Session, wanted: &Wanted, budget: &mut Budget) -> Result<Fetched> {
    let Some(shape) = reads.shapes.get(session, &wanted.table.name).await? else {
        return Ok(Fetched { table: None, slab: Vec::new(), rows: vec![None; wanted.keys.len()] });
    };
    if shape.table.is_keyless() {
        return Err(Error::config("the table has no key any more, its rows cannot be addressed")
            .hint("give it a primary key, or delete the job and create it again with `existing: replace`"));
    }
    let mut fetched = Fetched { table: Some(Arc::clone(&shape.table)), slab: Vec::new(), rows: Vec::new() };
    let mut rest = &wanted.keys[..];
    while !rest.is_empty() {
        let size = SIZES.into_iter().find(|size| *size <= rest.len()).unwrap_or(1);
        let (now, later) = rest.split_at(size);
        if !chunk(reads, session, &shape, now, budget, &mut fetched).await? {
            break;
        }
        rest = later;
    }
    Ok(fetched)
}

/// The rows of a few keys; `false` once the budget is used up.
async fn chunk(
    reads: &Reads,
    session: &mut Session,
    shape: &Arc<Shape>,
    keys: &[Key],
    budget: &mut Budget,
    fetched: &mut Fetched,
) -> Result<bool> {
    let mut found = Found::default();
    if keys.len() > 1 {
        // What does not fit is asked for again by itself, or in the next request.
        found.read(reads, session, shape, keys, budget.left).await?;
    }
    for key in keys {
        let place = match found.places.get(key) {
            Some(place) => Some(*place),
            None => {
                // Not there; or of other bytes than the key that the server takes for the same.
                let mut alone = Found::default();
                alone.read(reads, session, shape, std::slice::from_ref(key), usize::MAX).await?;
                let only = alone.places.into_values().next();
                only.map(|place| found.add(RowRef::new(&alone.slab, place)))
            }
        };
        let row = place.map(|place| RowRef::new(&found.slab, place).bytes());
        if !budget.takes(row.map_or(0, <[u8]>::len)) {
            return Ok(false);
        }
        fetched.rows.push(row.map(|row| {
            let place = Place::try_from(fetched.slab.len()).expect("below the budget");
            fetched.slab.extend_from_slice(row);
            place
        }));
    }
    Ok(true)
}

/// Rows by the bytes of their keys.
#[derive(Default)]
struct Found {
    slab: Vec<u8>,
    places: HashMap<Key, Place>,
}

impl Found {
    /// Keeps what fits into `room`, and the rest out of memory.
    async fn read(
        &mut self,
        reads: &Reads,
        session: &mut Session,
        shape: &Shape,
        keys: &[Key],
        room: usize,
    ) -> Result<()> {
        let can_be = |key: &&Key| {
            let mut parts = shape.terms.iter().zip(key.values());
            key.row().len() == shape.terms.len()
                && !parts.any(|(term, value)| binding::is_absent(&shape.natives[term.column], value))
        };
        let asked: Vec<&Key> = keys.iter().filter(can_be).collect();
        let Some(last) = asked.last().copied() else { return Ok(()) };
        let padding = std::iter::repeat_n(last, keys.len() - asked.len());
        let select = paging::by_keys(shape, &shape.column_list(), asked.iter().copied().chain(padding))?;
        let reading = |failure| failure::error(failure, "reading rows by key");
        let mut result = session.conn.exec_iter(&select.sql, positional(select.parameters)).await.map_err(reading)?;
        let Some(mut stream) = result.stream::<Row>().await.map_err(reading)? else { return Ok(()) };
        let limit = reads.connections.config.max_row_bytes;
        while let Some(row) = next_row(&mut stream).await? {
            let before = self.slab.len();
            let place = decode::row(&row, &shape.table, &shape.natives, &mut self.slab)?;
            let key = Key::of(&shape.table, RowRef::new(&self.slab, place));
            if self.slab.len() - before > limit {
                let key = key.map_or_else(|| "?".to_owned(), |key| show(key.values()));
                return Err(too_big(&key, limit));
            }
            if self.slab.len() > room && before > 0 {
                self.slab.truncate(before);
                continue;
            }
            self.places.extend(key.map(|key| (key, place)));
        }
        Ok(())
    }

    fn add(&mut self, row: RowRef<'_>) -> Place {
        let place = Place::try_from(self.slab.len()).expect("a few rows");
        self.slab.extend_from_slice(row.bytes());
        place
    }
}
