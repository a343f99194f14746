//! Reads a torn batch again: exactly what it was, as one batch.

use super::{
    line::Line,
    resolve::{Resolve, at},
    route::Routed,
    standing::Torn,
};
use crate::{
    error::{Error, Result},
    model::{Batch, Body, Change, Checkpoint, Kind, NO_ROW, Rows},
    source::{Feed, Next},
};
use std::{cmp::Ordering, sync::Arc, time::Duration};

const PATIENCE: Duration = Duration::from_secs(1);

/// Everything in `(torn.from, torn.to]`. What is fetched may be newer than it was; that converges.
pub async fn read(line: &Line, stands: &Checkpoint, torn: &Torn) -> Result<Batch> {
    let mut whole = Batch {
        partition: torn.partition.clone(),
        from: torn.from.clone(),
        to: torn.to.clone(),
        complete: true,
        kind: Kind::Log,
        body: Body::Rows(Arc::default()),
        committed_ms: 0,
    };
    if line.source.order(&torn.from, &torn.to)? != Ordering::Less {
        return Ok(whole); // A held range: its slice is asked for again.
    }
    let mut start = stands.clone();
    start.set(&torn.partition, torn.from.clone());
    let edges = [at(&torn.partition, &torn.to)];
    let tail = line.source.tail(line.job, &start, &edges, &line.carried).await?;
    let tail = Resolve::new(tail, Arc::clone(&line.source), false);
    let mut tail = Routed::new(tail, Arc::clone(&line.route));
    let mut rows = Rows::default();
    loop {
        match tail.next(PATIENCE).await? {
            Next::Batch(batch) if batch.partition == torn.partition => {
                append(&mut rows, batch.rows());
                whole.complete = batch.complete;
                match line.source.order(&batch.to, &torn.to)? {
                    Ordering::Less => {}
                    Ordering::Equal => break,
                    Ordering::Greater => return Err(Error::lost(format!("the log crosses the edge {:?}", torn.to))),
                }
            }
            Next::Batch(_) | Next::End => {}
            Next::Idle(upto) => {
                let passed = upto.get(&torn.partition).map(|at| line.source.order(at, &torn.to)).transpose()?;
                if passed.is_some_and(Ordering::is_ge) {
                    break;
                }
            }
        }
    }
    whole.body = Body::Rows(Arc::new(rows));
    Ok(whole)
}

/// Takes those changes out that stand for rows which cannot be read a second time, each as a batch without extent.
pub fn take_recopies(whole: &mut Batch) -> Vec<Batch> {
    let recopies: Vec<Rows> = {
        let rows = whole.rows();
        let again = rows.mutations.iter().filter(|one| one.change == Change::Recopy);
        let alone = again.map(|one| {
            let mut alone = Rows::default();
            let shape = alone.shape(rows.table(one));
            alone.push(shape, Change::Recopy, NO_ROW, NO_ROW);
            alone
        });
        alone.collect()
    };
    if let Body::Rows(rows) = &mut whole.body
        && !recopies.is_empty()
    {
        Arc::make_mut(rows).mutations.retain(|one| one.change != Change::Recopy);
    }
    let batch = |rows| Batch { to: whole.from.clone(), body: Body::Rows(Arc::new(rows)), ..whole.clone() };
    recopies.into_iter().map(batch).collect()
}

/// Puts the rows of one batch behind those of another.
fn append(rows: &mut Rows, more: &Rows) {
    let base = u32::try_from(rows.slab.len()).expect("a slab stays below 4 GiB");
    rows.slab.extend_from_slice(&more.slab);
    for mutation in &more.mutations {
        let mut moved = *mutation;
        moved.shape = rows.shape(more.table(mutation));
        for place in [&mut moved.row, &mut moved.before] {
            if *place != NO_ROW {
                *place += base;
            }
        }
        rows.mutations.push(moved);
    }
}
