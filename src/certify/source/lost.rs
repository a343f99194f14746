//! Positions that cannot be gone on from: forgotten, foreign, or of a store that was put back.

use super::stage::Stage;
use crate::{
    certify::{
        check::{Failure, Verdict, must},
        fixture::{Scratch, Write},
        replica::key,
        scene::{JOB, plain_row},
        tape::{self, PATIENCE, Told, rest, same_said},
    },
    error::{Error, ErrorKind},
    model::{Checkpoint, KeyRange, Position},
    source::{Columns, Wanted},
};
use std::sync::Arc;

/// A tail from here: what it tells, or the error that it opens or begins with.
async fn tried(stage: &Stage<'_>, from: &Checkpoint) -> Result<Result<Vec<Told>, Error>, Failure> {
    let mark = stage.source.mark().await?;
    let mut feed = match stage.source.tail(JOB, from, &[], &stage.names()).await {
        Ok(feed) => feed,
        Err(error) => return Ok(Err(error)),
    };
    let first = match feed.next(PATIENCE).await {
        Ok(next) => next,
        Err(error) => return Ok(Err(error)),
    };
    let mut stands = from.clone();
    let mut told: Vec<Told> = tape::follow(&*stage.source, &mut stands, first)?.into_iter().collect();
    told.extend(tape::read(&*stage.source, &mut *feed, &mut stands, &mark).await?);
    Ok(Ok(told))
}

/// A person must look: trying again would not help.
fn is_final(what: &str, error: &Error) -> Verdict {
    must(matches!(error.kind(), ErrorKind::Lost | ErrorKind::Config), || format!("{what} is not Lost but {error:?}"))
}

fn must_fail<T>(what: &str, answer: Result<T, Error>) -> Verdict {
    match answer {
        Err(error) => is_final(what, &error),
        Ok(_) => Err(Failure(format!("{what} was answered as if it were good"))),
    }
}

pub async fn acknowledged(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::begun(scratch).await?;
    let (mut feed, told) = stage.live().await?;
    let complete: Vec<usize> = (0..told.len()).filter(|number| told[*number].batch.complete).collect();
    must(!complete.is_empty(), || "no batch of the story is complete".into())?;
    let middle = complete[complete.len() / 2];
    for upto in [&told[complete[0]].after, &told[middle].after, &told[middle].after] {
        feed.acknowledge(upto).await?;
    }
    let found = stage.read(&told[middle].after, &[]).await?;
    same_said("opened again where it was acknowledged", &found, &rest(&told, middle + 1, 0))?;
    // Before it: all of it, or Lost; never a part of it.
    match tried(&stage, &stage.begun).await? {
        Err(error) => is_final("a position that was acknowledged", &error)?,
        Ok(found) => same_said("opened before what was acknowledged", &found, &told)?,
    }
    let end = told.last().map_or(&stage.begun, |told| &told.after).clone();
    feed.acknowledge(&end).await?;
    drop(feed);
    let table = stage.names()[0].clone();
    stage.write(&[Write::insert(&table, plain_row(77, "after"))]).await?;
    let found = stage.read(&end, &[]).await?;
    must(found.iter().map(|told| told.batch.changes()).sum::<u64>() == 1, || {
        format!("one change came after what was acknowledged, {} were told", found.len())
    })
}

pub async fn foreign(scratch: &dyn Scratch) -> Verdict {
    let stage = Stage::begun(scratch).await?;
    let another = scratch.another().await?;
    let theirs = Stage::begun(&*another).await?;
    let nowhere =
        |bytes: &[u8]| Checkpoint(stage.begun.0.keys().map(|name| (name.clone(), Position::new(bytes, 0))).collect());
    let foreign = [
        ("another store", theirs.begun.clone()),
        ("nowhere", nowhere(b"certify: from nowhere")),
        ("nothing", nowhere(&[])),
    ];
    for (what, at) in foreign {
        must_fail(&format!("a tail from a position of {what}"), tried(&stage, &at).await?)?;
        for (partition, position) in &at.0 {
            if let Some(own) = stage.begun.get(partition) {
                must_fail(&format!("the order of our position and one of {what}"), stage.source.order(own, position))?;
            }
        }
        let table = &stage.tables[0];
        let wanted = Wanted { table: Arc::clone(table), keys: vec![key(1)] };
        must_fail(&format!("a fetch after a position of {what}"), stage.source.fetch(&[wanted], &at, 1000).await)?;
        let copied = match stage.source.copy(table, &KeyRange::all(), Columns::All, &at).await {
            Err(error) => Err(error),
            Ok(mut feed) => feed.next(PATIENCE).await.map(drop),
        };
        must_fail(&format!("a copy after a position of {what}"), copied)?;
    }
    must_fail("a tail from no position at all", tried(&stage, &Checkpoint::default()).await?)
}

/// A13: a store that was put back has lost what we have seen, whatever it has done since.
pub async fn restored(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::begun(scratch).await?;
    let table = stage.names()[0].clone();
    let insert = |id| [Write::insert(&table, plain_row(id, "v"))];
    for id in 0..5 {
        stage.write(&insert(id)).await?;
    }
    scratch.back_up().await?;
    for id in 5..10 {
        stage.write(&insert(id)).await?;
    }
    let told = stage.read(&stage.begun, &[]).await?;
    let seen = told.last().map_or(&stage.begun, |told| &told.after).clone();
    for more in [0, 2, 5, 9] {
        scratch.restore().await?;
        // Another instance, as after a restart; and one that had the store open all along.
        for id in 0..more {
            scratch.write(&insert(100 + id)).await?;
        }
        for (who, source) in [("a new instance", scratch.source()?), ("the same", Arc::clone(&stage.source))] {
            let now = Stage { source, ..Stage::over(&stage) };
            let what = format!("put back, {more} transactions ago, asked of {who}");
            must_fail(&format!("a tail from what was seen before it was {what}"), tried(&now, &seen).await?)?;
        }
    }
    Ok(())
}
