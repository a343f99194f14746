//! Reads a tail to a mark, and holds every batch to the form that the contract gives it.

use super::check::{Failure, Verdict, must};
use crate::{
    model::{Batch, Change, Checkpoint, Field, Key, Kind, Mark, NO_ROW, Partition, RowRef, TableName},
    source::{Feed, Next, Source},
};
use std::{cmp::Ordering, collections::BTreeMap, time::Duration};

/// As patient as a pump that has nothing else to do.
pub const PATIENCE: Duration = Duration::from_millis(20);
/// A quiet source shows what is committed long before.
pub const SOON: Duration = Duration::from_secs(120);

/// A batch of a tail, and where the whole feed stands before and after it.
#[derive(Clone, Debug)]
pub struct Told {
    pub batch: Batch,
    pub before: Checkpoint,
    pub after: Checkpoint,
}

/// Everything until the feed says that `mark` is passed. `stands` is where it stands, before and then after.
pub async fn read(
    source: &dyn Source,
    feed: &mut dyn Feed,
    stands: &mut Checkpoint,
    mark: &Mark,
) -> Result<Vec<Told>, Failure> {
    let mut told = Vec::new();
    let reading = async {
        while !feed.passed(mark) {
            let next = feed.next(PATIENCE).await?;
            if let Some(batch) = follow(source, stands, next)? {
                told.push(batch);
            }
        }
        Ok::<(), Failure>(())
    };
    match tokio::time::timeout(SOON, reading).await {
        Ok(done) => done.map(|()| told),
        Err(_) => Err(Failure(format!("the mark was not passed within {SOON:?} on an idle source"))),
    }
}

/// Moves `stands` by what a tail gave, and looks at its form.
pub fn follow(source: &dyn Source, stands: &mut Checkpoint, next: Next) -> Result<Option<Told>, Failure> {
    match next {
        Next::End => Err(Failure("a tail ended".into())),
        Next::Idle(upto) => {
            for (partition, position) in &upto.0 {
                if let Some(stood) = stands.get(partition) {
                    must(source.order(stood, position)? != Ordering::Greater, || {
                        format!("Idle goes back from {stood:?} to {position:?}")
                    })?;
                }
                stands.set(partition, position.clone());
            }
            Ok(None)
        }
        Next::Batch(batch) => {
            let before = stands.clone();
            lint(&batch)?;
            must(batch.kind == Kind::Log, || "a batch of a tail says that it is a copy's".into())?;
            if let Some(stood) = stands.get(&batch.partition) {
                must(source.order(stood, &batch.from)? != Ordering::Greater, || {
                    format!("a batch begins at {:?}, before {stood:?} where the feed stood", batch.from)
                })?;
            }
            must(source.order(&batch.from, &batch.to)? != Ordering::Greater, || {
                format!("a batch goes back from {:?} to {:?}", batch.from, batch.to)
            })?;
            stands.set(&batch.partition, batch.to.clone());
            Ok(Some(Told { batch, before, after: stands.clone() }))
        }
    }
}

/// The form of every batch, of copies and tails.
pub fn lint(batch: &Batch) -> Verdict {
    let rows = batch.rows();
    for mutation in &rows.mutations {
        let shape = rows.table(mutation);
        let change = mutation.change;
        let wrong = |what: &str| Err(Failure(format!("{change:?} of {}: {what}", shape.name)));
        if change.is_alone() {
            if rows.mutations.len() > 1 {
                return wrong("it must be alone in its batch");
            }
            continue;
        }
        if mutation.row == NO_ROW {
            return wrong("it has no row");
        }
        let Some(row) = RowRef::checked(&rows.slab[mutation.row as usize..]) else {
            return wrong("its row is not well formed");
        };
        if row.len() != shape.columns.len() {
            return wrong(&format!("{} fields for {} columns", row.len(), shape.columns.len()));
        }
        if !shape.is_keyless() && Key::of(shape, row).is_none() {
            return wrong("it lacks its key");
        }
        let whole = row.fields().all(|field| matches!(field, Field::Value(_)));
        match change {
            Change::Upsert if !whole => return wrong("it leaves fields unset"),
            Change::Delete if shape.is_keyless() && !whole => return wrong("without a key it needs all fields"),
            Change::Patch | Change::Touched if shape.is_keyless() => return wrong("the table has no key"),
            _ => {}
        }
    }
    Ok(())
}

/// What one mutation says, for comparing two reads of one log.
pub type Said = (TableName, Change, Vec<u8>);

/// All that a read said, in the order of each partition.
pub fn said(told: &[Told]) -> BTreeMap<Partition, Vec<Said>> {
    let mut said: BTreeMap<Partition, Vec<Said>> = BTreeMap::new();
    for Told { batch, .. } in told {
        let rows = batch.rows();
        for mutation in &rows.mutations {
            let bytes = if mutation.row == NO_ROW { Vec::new() } else { rows.row(mutation.row).bytes().to_vec() };
            let one = (rows.table(mutation).name.clone(), mutation.change, bytes);
            said.entry(batch.partition.clone()).or_default().push(one);
        }
    }
    said
}

/// A second read of the log says what the first said from there on. Where the log gives keys, the same keys: how often
/// each is told may depend on how the log is cut.
pub fn same_said(what: &str, found: &[Told], expected: &[Told]) -> Verdict {
    let (found, expected) = (said(found), said(expected));
    let none = Vec::new();
    for partition in found.keys().chain(expected.keys()) {
        let split = |said: &BTreeMap<Partition, Vec<Said>>| {
            let said = said.get(partition).unwrap_or(&none);
            said.iter().cloned().partition::<Vec<Said>, _>(|(_, change, _)| *change == Change::Touched)
        };
        let ((mut keys, rows), (mut wanted_keys, wanted_rows)) = (split(&found), split(&expected));
        [&mut keys, &mut wanted_keys].into_iter().for_each(|keys| {
            keys.sort();
            keys.dedup();
        });
        if let Some(missing) = wanted_keys.iter().find(|key| !keys.contains(key)) {
            return Err(Failure(format!("{what}: {partition} does not tell of {missing:?} again")));
        }
        if rows != wanted_rows {
            let place = rows.iter().zip(&wanted_rows).take_while(|(a, b)| a == b).count();
            let one = |said: &[Said]| said.get(place).map(|(table, change, _)| format!("{change:?} of {table}"));
            return Err(Failure(format!(
                "{what}: {partition} told {} changes and not {}; change {place} is {:?} and not {:?}",
                rows.len(),
                wanted_rows.len(),
                one(&rows),
                one(&wanted_rows)
            )));
        }
    }
    Ok(())
}

/// Those mutations of a read that lie behind the first `taken` of batch `number`.
pub fn rest(told: &[Told], number: usize, taken: usize) -> Vec<Told> {
    let mut rest = told[number..].to_vec();
    if taken > 0 {
        let first = &mut rest[0].batch;
        let mut rows = crate::model::Rows::clone(first.rows());
        rows.mutations.drain(..taken.min(rows.mutations.len()));
        first.body = crate::model::Body::Rows(std::sync::Arc::new(rows));
    }
    rest
}
