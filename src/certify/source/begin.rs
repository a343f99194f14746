//! Where a job begins: R1, again and again, beside another job, and undone.

use super::stage::Stage;
use crate::{
    certify::{
        check::{Verdict, must, same},
        fixture::{Scratch, Write},
        scene::{JOB, OTHER_JOB, busy, plain, plain_row},
        tape,
    },
    error::ErrorKind,
    model::{Checkpoint, JobId, Value},
};
use std::cmp::Ordering;
use uuid::Uuid;

/// Writes before, beside and after `begin`; what is copied and what is replayed must be all of it together.
pub async fn rounds_down(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::new(scratch, &[plain(&scratch.schema())]).await?;
    let table = stage.tables[0].name.clone();
    let mut n = 0;
    let mut next = || {
        n += 1;
        busy(&table, n)
    };
    for round in 0..5 {
        for _ in 0..6 {
            stage.write(&next()).await?;
        }
        let job = JobId(Uuid::from_u128(0x1000 + round));
        let (source, tables) = (scratch.source()?, stage.tables.clone());
        let writing = async {
            for _ in 0..12 {
                stage.write(&next()).await?;
                tokio::task::yield_now().await;
            }
            Ok::<(), crate::certify::Failure>(())
        };
        let (begun, written) = tokio::join!(source.begin(job, &tables), writing);
        written?;
        stage.begun = begun?;
        let begun = stage.begun.clone();
        let mut left = 10;
        // R1 holds for every read that starts now, also for one that says nothing of the log.
        let after = if round % 2 == 0 { begun.clone() } else { Checkpoint::default() };
        let copied = stage
            .copied(&after, || {
                left -= 1;
                (left > 0).then(&mut next)
            })
            .await?;
        for _ in 0..3 {
            stage.write(&next()).await?;
        }
        let mark = stage.source.mark().await?;
        let mut feed = stage.source.tail(job, &begun, &[], &stage.names()).await?;
        let told = tape::read(&*stage.source, &mut *feed, &mut begun.clone(), &mark).await?;
        stage.replayed(&format!("round {round}"), copied, &told, &begun).await?;
        drop(feed);
        stage.source.release(job).await?;
    }
    Ok(())
}

pub async fn repeatable(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::new(scratch, &[plain(&scratch.schema())]).await?;
    let table = stage.tables[0].name.clone();
    stage.write(&[Write::insert(&table, plain_row(1, "before"))]).await?;
    stage.begin().await?;
    let first = stage.begun.clone();
    stage.write(&[Write::insert(&table, plain_row(2, "between"))]).await?;
    // As after a crash: another instance, and the first answer was never saved.
    stage.source = scratch.source()?;
    stage.begin().await?;
    let second = stage.begun.clone();
    for (partition, position) in &second.0 {
        if let Some(before) = first.get(partition) {
            let order = stage.source.order(before, position)?;
            must(order != Ordering::Greater, || format!("begin went back from {before:?} to {position:?}"))?;
        }
    }
    stage.write(&[Write::insert(&table, plain_row(3, "after"))]).await?;
    let copied = stage.copied(&second, || None).await?;
    stage.write(&[Write::delete(&table, vec![Value::Int(2)])]).await?;
    stage.converges("begun twice", copied, &second).await
}

pub async fn two_jobs(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::begun(scratch).await?;
    let begun = stage.begun.clone();
    let other = scratch.source()?.begin(OTHER_JOB, &stage.tables).await?;
    let mut half = stage.story();
    let rest = half.split_off(half.len() / 2);
    for transaction in half {
        stage.write(&transaction).await?;
    }
    // The other reads, acknowledges and goes; ours still has everything from its own start on.
    let mark = stage.source.mark().await?;
    let mut feed = stage.source.tail(OTHER_JOB, &other, &[], &stage.names()).await?;
    let mut stands = other;
    tape::read(&*stage.source, &mut *feed, &mut stands, &mark).await?;
    feed.acknowledge(&stands).await?;
    drop(feed);
    scratch.source()?.release(OTHER_JOB).await?;
    for transaction in rest {
        stage.write(&transaction).await?;
    }
    let empty = crate::certify::replica::Replica::new(&stage.tables);
    stage.converges("beside a job that was deleted", empty, &begun).await
}

pub async fn released(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::begun(scratch).await?;
    let begun = stage.begun.clone();
    let table = stage.tables[0].name.clone();
    stage.write(&[Write::insert(&table, plain_row(1, "followed"))]).await?;
    for _ in 0..2 {
        scratch.source()?.release(JOB).await?;
    }
    scratch.source()?.release(OTHER_JOB).await?;
    // The application goes on as if we had never been there.
    for id in 2..5 {
        stage.write(&[Write::insert(&table, plain_row(id, "not followed"))]).await?;
    }
    let opened = stage.source.tail(JOB, &begun, &[], &stage.names()).await;
    let read = match opened {
        Err(error) => Err(error),
        Ok(mut feed) => {
            let mark = stage.source.mark().await?;
            // Some sources keep a log whoever reads it: all of it, then.
            match feed.next(tape::PATIENCE).await {
                Err(error) => Err(error),
                Ok(next) => {
                    let mut stands = begun.clone();
                    let first = tape::follow(&*stage.source, &mut stands, next)?;
                    let rest = tape::read(&*stage.source, &mut *feed, &mut stands, &mark).await?;
                    Ok(first.into_iter().chain(rest).collect::<Vec<_>>())
                }
            }
        }
    };
    match read {
        Err(error) => must(matches!(error.kind(), ErrorKind::Lost | ErrorKind::Config), || {
            format!("a released job was told to try again: {error:?}")
        }),
        Ok(told) => {
            let empty = crate::certify::replica::Replica::new(&stage.tables);
            stage.replayed("a job that was released, and tails nevertheless", empty, &told, &begun).await
        }
    }
}

pub async fn leaves_nothing(scratch: &dyn Scratch) -> Verdict {
    let schema = scratch.schema();
    scratch.create(&plain(&schema)).await?;
    let before = scratch.leftovers().await?;
    let source = scratch.source()?;
    let (tables, _) = source.tables().await?;
    same("left behind by a look at the tables", &scratch.leftovers().await?, &before)?;
    source.check(JOB, &tables).await?;
    same("left behind by check, which writes nothing", &scratch.leftovers().await?, &before)?;
    source.begin(JOB, &tables).await?;
    must(scratch.leftovers().await? != before, || "the fixture does not see what begin made".into())?;
    source.begin(OTHER_JOB, &tables).await?;
    source.release(OTHER_JOB).await?;
    source.release(JOB).await?;
    same("left behind by release", &scratch.leftovers().await?, &before)
}
