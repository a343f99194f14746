//! Reads one slice of a held range: rows of the source to copy again, or keys of the target to sweep.

use super::{
    resolve::{FETCH_BYTES, replace},
    route::Route,
};
use crate::{
    error::{Error, Result},
    model::{Batch, Body, Checkpoint, Key, KeyRange, Kind, Mutation, Rows, Table},
    source::{Columns, Next, Source, Wanted},
};
use std::{sync::Arc, time::Duration};

/// What a pump asks of the tee.
#[derive(Clone)]
pub struct Ask {
    /// As the source knows it.
    pub table: Arc<Table>,
    /// The copy of the table that this belongs to.
    pub generation: u64,
    pub range: KeyRange,
    /// The target, to read its keys: those that the source does not have are deleted. `None`: copy.
    pub sweep: Option<Arc<dyn Source>>,
    /// Only behind a commit: the target keeps transactions whole.
    pub at_commit: bool,
}

/// What the slice covers; the pump moves its progress by it once the batch is applied.
#[derive(Clone)]
pub struct Slice {
    pub ask: Ask,
    /// Everything up to and with this key; `None` with `ended`: all of the range.
    pub upto: Option<Key>,
    pub ended: bool,
    /// What it read, for the job's limits.
    pub rows: u64,
    pub bytes: u64,
}

/// Reads from the start of the asked range. `at` is the last position handed out: the batch stands behind it, before
/// the next, and what it holds is at or after it (R2), so everything later is replayed over it.
pub async fn read(source: &dyn Source, route: &Route, ask: Ask, at: &Checkpoint) -> Result<(Batch, Slice)> {
    let (partition, position) =
        at.0.first_key_value().ok_or_else(|| Error::transient("no position to hold a range at"))?;
    let (rows, upto) = match &ask.sweep {
        None => first_batch(source, &ask.table, &ask, Columns::All, at).await?,
        Some(target) => {
            first_batch(&**target, &route.target_table(&ask.table), &ask, Columns::Key, &Checkpoint::default()).await?
        }
    };
    let ended = rows.is_empty();
    let (read, bytes) = (rows.mutations.len() as u64, rows.slab.len() as u64);
    let mut rows = match &ask.sweep {
        None => rows,
        Some(_) => extra(source, &ask.table, &rows, at).await?,
    };
    for shape in &mut rows.shapes {
        *shape = route.target_table(shape);
    }
    let batch = Batch {
        partition: partition.clone(),
        from: position.clone(),
        to: position.clone(),
        complete: true,
        kind: Kind::Copy { fresh: false },
        body: Body::Rows(Arc::new(rows)),
        committed_ms: 0,
    };
    Ok((batch, Slice { ask, upto, ended, rows: read, bytes }))
}

async fn first_batch(
    from: &dyn Source,
    table: &Arc<Table>,
    ask: &Ask,
    columns: Columns,
    at: &Checkpoint,
) -> Result<(Rows, Option<Key>)> {
    let mut feed = from.copy(table, &ask.range, columns, at).await?;
    loop {
        match feed.next(Duration::from_secs(10)).await? {
            Next::Batch(batch) if batch.rows().is_empty() => {}
            Next::Batch(batch) => {
                let upto = KeyRange::from_position(&batch.to).and_then(|(.., done)| done);
                return Ok((Rows::clone(batch.rows()), upto));
            }
            Next::Idle(_) => {}
            Next::End => return Ok((Rows::default(), None)),
        }
    }
}

/// Deletes for those keys of the target that the source does not have, or has as other bytes.
async fn extra(source: &dyn Source, table: &Arc<Table>, found: &Rows, at: &Checkpoint) -> Result<Rows> {
    let key = |mutation: &Mutation| Key::of(found.table(mutation), found.row(mutation.row));
    let mut keys: Vec<Key> = found.mutations.iter().filter_map(key).collect();
    let mut rows = Rows::default();
    while !keys.is_empty() {
        let wanted = Wanted { table: Arc::clone(table), keys };
        let answer = source.fetch(std::slice::from_ref(&wanted), at, FETCH_BYTES).await?;
        let rows_fetched = &answer[0].rows;
        if rows_fetched.is_empty() {
            return Err(Error::transient("the source fetched none of the keys it was asked for"));
        }
        let shape = rows.shape(answer[0].table.as_ref().unwrap_or(table));
        for (index, key) in wanted.keys[..rows_fetched.len()].iter().enumerate() {
            let row = answer[0].row(index);
            let same = row.is_some_and(|row| Key::of(&rows.shapes[usize::from(shape)], row).as_ref() == Some(key));
            if !same {
                // A row of other bytes may be the very row of the target, respelled by a batch on its way to it.
                replace(&mut rows, shape, key, &answer[0], index, 0);
            }
        }
        keys = wanted.keys[rows_fetched.len()..].to_vec();
    }
    Ok(rows)
}
