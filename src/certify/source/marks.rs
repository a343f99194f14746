//! Marks, patience, and the order of positions.

use super::stage::Stage;
use crate::{
    certify::{
        check::{Failure, Verdict, must, same},
        fixture::{Scratch, Write},
        scene::{double_row, plain_row},
        tape::{self, PATIENCE, SOON},
    },
    model::{Key, Partition, Position, Table, Value, ValueRef},
    source::{Next, Wanted},
};
use std::{cmp::Ordering, collections::BTreeMap, sync::Arc, time::Duration};

/// R1: a mark is passed when everything before it was returned, and not before; on an idle source it comes to that.
pub async fn passed(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::begun(scratch).await?;
    let mut stands = stage.begun.clone();
    let mut feed = stage.tail(&stands, &[]).await?;
    let idle = stage.source.mark().await?;
    tape::read(&*stage.source, &mut *feed, &mut stands, &idle)
        .await
        .map_err(|failure| failure.at("before any change"))?;
    let mut marks = vec![idle];
    for (number, transaction) in stage.story().into_iter().enumerate() {
        stage.replica.changed.clear();
        stage.write(&transaction).await?;
        let mark = stage.source.mark().await?;
        must(!feed.passed(&mark), || format!("transaction {number} is passed before any of it was returned"))?;
        let told = tape::read(&*stage.source, &mut *feed, &mut stands, &mark).await?;
        let found = super::tail::keys_of(&told);
        let lost = stage.replica.changed.difference(&found).next();
        must(lost.is_none(), || format!("transaction {number} is passed, and no word came of {lost:?}"))?;
        marks.push(mark);
    }
    for (number, mark) in marks.iter().enumerate() {
        must(feed.passed(mark), || format!("mark {number} is not passed any more"))?;
    }
    Ok(())
}

/// A table that nobody follows changes: marks are passed all the same, and positions move on.
pub async fn others(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::begun(scratch).await?;
    let followed = vec![stage.names()[0].clone()];
    let double = stage.names()[1].clone();
    let mut feed = stage.source.tail(crate::certify::scene::JOB, &stage.begun, &[], &followed).await?;
    let mut stands = stage.begun.clone();
    for b in 0..5 {
        stage.write(&[Write::insert(&double, double_row("k", b, "other"))]).await?;
        let mark = stage.source.mark().await?;
        let told = tape::read(&*stage.source, &mut *feed, &mut stands, &mark).await?;
        let changes: u64 = told.iter().map(|told| told.batch.changes()).sum();
        same("changes of tables that nobody asked for", &changes, &0)?;
    }
    Ok(())
}

/// What a read has shown is at or before what the source says it has seen, and a read from there sees it.
pub async fn seen(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::begun(scratch).await?;
    let table = Arc::clone(&stage.tables[0]);
    let wanted = Wanted { table: Arc::clone(&table), keys: vec![Key::from_values([ValueRef::Int(1)])] };
    for round in 0..5 {
        if round > 0 {
            stage.write(&[Write::delete(&table.name, vec![Value::Int(1)])]).await?;
        }
        stage.write(&[Write::insert(&table.name, plain_row(1, "new"))]).await?;
        let shown = stage.now().await?;
        stage.source.fetch(std::slice::from_ref(&wanted), &shown, 1 << 20).await?;
        let seen = stage.source.seen();
        for (partition, shown) in &shown.0 {
            let seen = seen.get(partition).ok_or_else(|| Failure(format!("nothing was seen of {partition}")))?;
            let order = stage.source.order(seen, shown)?;
            must(order != Ordering::Less, || format!("a read has shown {shown:?}, and only {seen:?} counts as seen"))?;
        }
        let again = stage.source.fetch(std::slice::from_ref(&wanted), &seen, 1 << 20).await?;
        must(again[0].row(0).is_some(), || "a read from what was seen does not see it".into())?;
    }
    Ok(())
}

/// Always an answer, whether or not there is something to tell.
pub async fn patience(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::begun(scratch).await?;
    let mut stands = stage.begun.clone();
    let mut feed = stage.tail(&stands, &[]).await?;
    let mark = stage.source.mark().await?;
    tape::read(&*stage.source, &mut *feed, &mut stands, &mark).await?;
    for patience in [Duration::ZERO, Duration::from_millis(1), PATIENCE, Duration::from_millis(150)] {
        let answer = tokio::time::timeout(SOON, feed.next(patience)).await;
        let next =
            answer.map_err(|_| Failure(format!("an idle feed with a patience of {patience:?} never answered")))?;
        let next = next?;
        must(matches!(next, Next::Idle(_)), || format!("an idle feed answered {next:?}"))?;
        tape::follow(&*stage.source, &mut stands, next)?;
    }
    // What Idle names is a place to start again.
    let table = stage.names()[0].clone();
    stage.write(&[Write::insert(&table, plain_row(1, "after"))]).await?;
    let told = stage.read(&stands, &[]).await?;
    same("changes after an idle position", &told.iter().map(|told| told.batch.changes()).sum::<u64>(), &1)
}

pub async fn order(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::begun(scratch).await?;
    let (_, told) = stage.live().await?;
    let mut met: BTreeMap<Partition, Vec<Position>> = BTreeMap::new();
    for (partition, position) in &stage.begun.0 {
        met.entry(partition.clone()).or_default().push(position.clone());
    }
    for one in &told {
        let positions = met.entry(one.batch.partition.clone()).or_default();
        let all = one.batch.rows().mutations.len();
        let cuts = (0..=all).step_by((all / 3).max(1)).map(|taken| stage.source.cut(&one.batch, taken));
        positions.extend([one.batch.from.clone()].into_iter().chain(cuts).chain([one.batch.to.clone()]));
    }
    for positions in met.values() {
        for (place, a) in positions.iter().enumerate() {
            for b in &positions[place..] {
                let order = stage.source.order(a, b)?;
                must(order != Ordering::Greater, || format!("{a:?} came before {b:?} and is said to be after it"))?;
                same("the same, asked the other way", &stage.source.order(b, a)?, &order.reverse())?;
            }
            same("a position and itself", &stage.source.order(a, a)?, &Ordering::Equal)?;
            let again =
                Position::from_bytes(a.bytes()).ok_or_else(|| Failure(format!("{a:?} cannot be read again")))?;
            same("a position that was saved", &stage.source.order(a, &again)?, &Ordering::Equal)?;
        }
    }
    Ok(())
}

pub async fn backlog(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::begun(scratch).await?;
    let table: Arc<Table> = Arc::clone(&stage.tables[0]);
    let none = stage.source.backlog(crate::certify::scene::JOB, &stage.begun).await?;
    must(none.changes.is_none_or(|changes| changes == 0), || format!("nothing was written, and {none:?} is behind"))?;
    stage.write(&(0..40).map(|id| Write::insert(&table.name, plain_row(id, "x"))).collect::<Vec<_>>()).await?;
    let end = stage.now().await?;
    let some = stage.source.backlog(crate::certify::scene::JOB, &stage.begun).await?;
    must(some.changes.is_none_or(|changes| changes >= 20), || format!("40 changes are behind, and it says {some:?}"))?;
    let none = stage.source.backlog(crate::certify::scene::JOB, &end).await?;
    must(none.changes.is_none_or(|changes| changes == 0), || format!("all was read, and {none:?} is behind"))
}
