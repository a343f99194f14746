//! The log: every change once and in order, however it is cut, reopened or interrupted.

use super::stage::Stage;
use crate::{
    certify::{
        check::{Failure, Verdict, must, same},
        fixture::{Scratch, Write},
        replica::{Replica, key_from},
        scene::{NOTE, plain, plain_row, unique, unique_row},
        tape::{self, PATIENCE, Told, rest, same_said},
        target::steps,
    },
    model::{Change, Checkpoint, Key, Partition, Position, TableName, Value},
};
use std::{cmp::Ordering, collections::BTreeSet};

/// The keys that a read tells of.
pub fn keys_of(told: &[Told]) -> BTreeSet<(TableName, Key)> {
    let keys = |told: &Told| {
        let rows = told.batch.rows();
        let key = |mutation: &crate::model::Mutation| {
            let table = rows.table(mutation);
            Key::of(table, rows.row(mutation.row)).map(|key| (table.name.clone(), key))
        };
        rows.mutations.iter().filter(|mutation| !mutation.change.is_alone()).filter_map(key).collect::<Vec<_>>()
    };
    told.iter().flat_map(keys).collect()
}

pub async fn in_order(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::begun(scratch).await?;
    let empty = stage.replica.clone();
    let mut states = vec![empty.clone()];
    let (_, live) = stage.live_noting(&mut states).await?;
    let at_once = stage.read(&stage.begun, &[]).await?;
    for (what, told) in [("live", &live), ("at once", &at_once)] {
        let (found, written) = (keys_of(told), &stage.replica.changed);
        let lost = written.difference(&found).next();
        must(lost.is_none(), || format!("{what}: no word of {lost:?}, which changed"))?;
        let invented = found.difference(written).next();
        must(invented.is_none(), || format!("{what}: {invented:?} is told to have changed"))?;
        let replayed = replay(&stage, what, &empty, &states, told)?;
        let after = told.last().map_or(&stage.begun, |told| &told.after);
        stage.finished(what, replayed, after).await?;
    }
    same_said("read again", &at_once, &live)
}

/// Applies what was told over what was there; where the log tells rows, each complete batch ends in a state that was.
fn replay(
    stage: &Stage<'_>,
    what: &str,
    from: &Replica,
    states: &[Replica],
    told: &[Told],
) -> Result<Replica, Failure> {
    let one_partition = told.iter().all(|one| one.batch.partition.as_str() == Partition::ONLY);
    let tells_rows = !stage.source.is_key_only();
    let mut replica = from.clone();
    let mut state = 0;
    for (number, Told { batch, .. }) in told.iter().enumerate() {
        for mutation in &batch.rows().mutations {
            // A key that was touched may be anything until it is fetched.
            let exact = replica.touched.is_empty() && one_partition;
            replica.apply(batch.rows(), mutation, exact).map_err(|failure| failure.at(what))?;
        }
        if one_partition && tells_rows && batch.complete && replica.touched.is_empty() {
            let found = states[state..].iter().position(|state| state.equals(&replica));
            state += found.ok_or_else(|| {
                Failure(format!("{what}: batch {number} is said to be complete, and ends inside a transaction"))
            })?;
        }
    }
    Ok(replica)
}

/// The positions at which a batch may be cut, a few where there are many.
fn cuts(stage: &Stage<'_>, told: &Told) -> Vec<(usize, Position)> {
    let all = told.batch.rows().mutations.len();
    let step = (all / 8).max(1);
    let mut taken: Vec<usize> = (0..=all).step_by(step).collect();
    taken.extend([1, all.saturating_sub(1), all]);
    taken.retain(|taken| *taken <= all);
    taken.sort_unstable();
    taken.dedup();
    taken.into_iter().map(|taken| (taken, stage.source.cut(&told.batch, taken))).collect()
}

/// Where the feed stands when it has given the first part of a batch.
fn inside(told: &Told, cut: &Position) -> Checkpoint {
    let mut at = told.before.clone();
    at.set(&told.batch.partition, cut.clone());
    at
}

pub async fn reopened(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::begun(scratch).await?;
    let (_, live) = stage.live().await?;
    for told in [live, stage.read(&stage.begun, &[]).await?] {
        for (number, one) in told.iter().enumerate() {
            for (taken, cut) in cuts(&stage, one) {
                let what = format!("opened again after {taken} changes of batch {number}, at {cut:?}");
                let found = stage.read(&inside(one, &cut), &[]).await.map_err(|failure| failure.at(&what))?;
                same_said(&what, &found, &rest(&told, number, taken))?;
            }
        }
        let end = told.last().map_or(&stage.begun, |told| &told.after);
        let more = stage.read(end, &[]).await?;
        must(keys_of(&more).is_empty(), || format!("after the end came {:?}", keys_of(&more)))?;
    }
    Ok(())
}

pub async fn edges(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::begun(scratch).await?;
    for transaction in stage.story() {
        stage.write(&transaction).await?;
    }
    let told = stage.read(&stage.begun, &[]).await?;
    let mut marked = Vec::new();
    for one in &told {
        marked.extend(cuts(&stage, one).into_iter().map(|(_, cut)| (one.batch.partition.clone(), cut)));
    }
    must(!marked.is_empty(), || "the log told nothing of the story".into())?;
    // Alone, two side by side, and all of them, in any order.
    let one = |(partition, cut): &(Partition, Position)| Checkpoint([(partition.clone(), cut.clone())].into());
    let middle = marked.len() / 2;
    for few in [&marked[middle..=middle], &marked[middle..(middle + 2).min(marked.len())], &marked[..]] {
        let edges: Vec<Checkpoint> = few.iter().rev().map(one).collect();
        let found = stage.read(&stage.begun, &edges).await?;
        same_said(&format!("with {} edges", edges.len()), &found, &told)?;
        for (partition, edge) in few {
            let begins = stage.begun.get(partition);
            let mut is_end = begins.is_some_and(|begun| matches!(stage.source.order(edge, begun), Ok(Ordering::Equal)));
            for Told { batch, .. } in found.iter().filter(|told| told.batch.partition == *partition) {
                let (from, to) = (stage.source.order(&batch.from, edge)?, stage.source.order(edge, &batch.to)?);
                must(!(from == Ordering::Less && to == Ordering::Less), || {
                    format!("the batch from {:?} to {:?} crosses the edge {edge:?}", batch.from, batch.to)
                })?;
                is_end |= to == Ordering::Equal;
            }
            must(is_end, || format!("the edge {edge:?} is the end of no batch"))?;
        }
    }
    Ok(())
}

pub async fn dropped(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::begun(scratch).await?;
    let begun = stage.begun.clone();
    let mut feed = stage.tail(&begun, &[]).await?;
    let (mut told, mut stands) = (Vec::new(), begun.clone());
    for (round, transaction) in (0..).zip(stage.story()) {
        stage.write(&transaction).await?;
        for turn in 0..4 {
            // By turns: after some steps of its work, and after some time.
            let next = match turn % 2 {
                0 => steps(feed.next(PATIENCE), (round + turn) % 5).await,
                _ => tokio::time::timeout(std::time::Duration::from_micros(50 * round), feed.next(PATIENCE)).await.ok(),
            };
            if let Some(next) = next {
                told.extend(tape::follow(&*stage.source, &mut stands, next?)?);
            }
        }
    }
    let mark = stage.source.mark().await?;
    told.extend(tape::read(&*stage.source, &mut *feed, &mut stands, &mark).await?);
    let expected = stage.read(&begun, &[]).await?;
    same_said("with a `next` dropped now and then", &told, &expected)
}

/// A transaction far larger than a batch: cut inside, never told before it is committed.
pub async fn large(scratch: &dyn Scratch) -> Verdict {
    const ROWS: i64 = 5_000;
    let mut stage = Stage::begun(scratch).await?;
    let table = stage.tables[0].name.clone();
    let empty = stage.replica.clone();
    stage.write(&(0..ROWS).map(|id| Write::insert(&table, plain_row(id, "x"))).collect::<Vec<_>>()).await?;
    stage
        .write(&(0..ROWS).step_by(2).map(|id| Write::delete(&table, vec![Value::Int(id)])).collect::<Vec<_>>())
        .await?;
    let told = stage.read(&stage.begun, &[]).await?;
    same("keys told", &keys_of(&told).len(), &usize::try_from(ROWS).expect("few"))?;
    let mut replica = empty;
    for Told { batch, .. } in &told {
        batch.rows().mutations.iter().try_for_each(|mutation| replica.apply(batch.rows(), mutation, false))?;
    }
    let after = told.last().map_or(&stage.begun, |told| &told.after).clone();
    stage.finished("a large transaction", replica, &after).await?;
    must(!told.is_empty(), || "the log told nothing of it".into())?;
    let middle = &told[told.len() / 2];
    let cut = stage.source.cut(&middle.batch, middle.batch.rows().mutations.len() / 2);
    let found = stage.read(&inside(middle, &cut), &[]).await?;
    let expected = rest(&told, told.len() / 2, middle.batch.rows().mutations.len() / 2);
    same_said("opened again inside a large transaction", &found, &expected)
}

pub async fn truncated(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::begun(scratch).await?;
    let (table, empty) = (stage.tables[0].name.clone(), stage.replica.clone());
    stage.write(&(0..9).map(|id| Write::insert(&table, plain_row(id, "gone"))).collect::<Vec<_>>()).await?;
    stage.write(&[Write::insert(&table, plain_row(50, "gone")), Write::Truncate { table: table.clone() }]).await?;
    stage.write(&[Write::insert(&table, plain_row(3, "there"))]).await?;
    stage.converges("truncated", empty, &stage.begun).await
}

/// E12: what an insert evicts through a second unique index is told too.
pub async fn evicted(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::new(scratch, &[unique(&scratch.schema()), plain(&scratch.schema())]).await?;
    let (unique, plain) = (stage.tables[0].name.clone(), stage.tables[1].name.clone());
    let mut rows: Vec<_> =
        [(1, "a"), (2, "b"), (3, "c")].map(|(id, mail)| Write::insert(&unique, unique_row(id, Some(mail), "v"))).into();
    rows.push(Write::insert(&plain, plain_row(1, "v")));
    stage.write(&rows).await?;
    stage.begin().await?;
    let begun = stage.begun.clone();
    let copied = stage.copied(&begun, || None).await?;
    let replace = |row| Write::Replace { table: unique.clone(), row };
    stage.write(&[replace(unique_row(9, Some("a"), "evicts 1"))]).await?;
    // Evicts 2 by its key and 3 by its value.
    stage.write(&[replace(unique_row(2, Some("c"), "evicts two"))]).await?;
    stage.write(&[Write::Replace { table: plain, row: plain_row(1, "again") }]).await?;
    stage.converges("evicted rows", copied, &begun).await
}

pub async fn cascaded(scratch: &dyn Scratch) -> Verdict {
    let schema = scratch.schema();
    let mut stage = Stage::new(scratch, &[plain(&schema), crate::certify::scene::child(&schema)]).await?;
    let (plain, child) = (stage.tables[0].name.clone(), stage.tables[1].name.clone());
    let mut rows: Vec<_> = (0..4).map(|id| Write::insert(&plain, plain_row(id, "parent"))).collect();
    rows.extend((0..12).map(|id| Write::insert(&child, vec![Value::Int(id), Value::Int(id % 4)])));
    stage.write(&rows).await?;
    stage.begin().await?;
    let begun = stage.begun.clone();
    let copied = stage.copied(&begun, || None).await?;
    stage.write(&[Write::delete(&plain, vec![Value::Int(1)])]).await?;
    stage.write(&[Write::update(&plain, vec![Value::Int(2)], vec![(0, Value::Int(20))])]).await?;
    stage.converges("children that went with their parents", copied, &begun).await
}

/// Columns that an update does not name keep their values through the log (A1).
pub async fn unchanged(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::begun(scratch).await?;
    let (table, empty) = (stage.tables[0].name.clone(), stage.replica.clone());
    let large = Value::Text("large ".repeat(20_000));
    stage.write(&[Write::insert(&table, vec![Value::Int(1), Value::Null, large, Value::Int(0)])]).await?;
    for size in 1..4 {
        stage.write(&[Write::update(&table, vec![Value::Int(1)], vec![(3, Value::Int(size))])]).await?;
    }
    stage.write(&[Write::update(&table, vec![Value::Int(1)], vec![(0, Value::Int(2))])]).await?;
    stage.write(&[Write::update(&table, vec![Value::Int(2)], vec![(1, Value::Text("n".into()))])]).await?;
    let begun = stage.begun.clone();
    stage.converges("a large value that stayed", empty.clone(), &begun).await?;
    stage.write(&[Write::update(&table, vec![Value::Int(2)], vec![(NOTE, Value::Null)])]).await?;
    stage.converges("a large value set to NULL", empty, &begun).await?;
    let told = stage.read(&begun, &[]).await?;
    let key = (table, key_from(&[Value::Int(1)]));
    let deleted = told.iter().flat_map(|told| told.batch.rows().mutations.iter()).any(|m| m.change == Change::Delete);
    must(deleted || keys_of(&told).contains(&key), || "the old key of a row that moved is not told".into())
}
