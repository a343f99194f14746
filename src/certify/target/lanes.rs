//! The watermark: which lane has which batch.

use super::drive::{Changes, Drive, claim, log, place};
use crate::{
    certify::{
        check::{Failure, Verdict, must, refused, same},
        fixture::Scratch,
        scene::{JOB, plain, plain_row},
    },
    model::{Kind, Partition, Position},
    target::{Applied, Part},
};
use std::sync::Arc;

pub async fn once(scratch: &dyn Scratch) -> Verdict {
    let plain = Arc::new(plain(&scratch.schema()));
    let mut drive = Drive::start(scratch, &[&plain]).await?;
    let one = |id, word| Changes::new().upsert(&plain, plain_row(id, word));
    drive.done(&one(1, "a")).await?;
    drive.done(&one(2, "b")).await?;
    for number in [2, 1] {
        refused(&format!("batch {number} after batch 2"), drive.apply_as(number, &[0], 1, &one(3, "c")).await)?;
        drive.reopen().await?;
        same("the newest batch", &drive.number, &2)?;
        drive.holds("after a batch that came again", &plain, &[plain_row(1, "a"), plain_row(2, "b")]).await?;
    }
    refused("a lane that was never opened", drive.apply_as(3, &[7], 8, &one(3, "c")).await)?;
    drive.reopen().await?;
    drive.holds("after a lane that was never opened", &plain, &[plain_row(1, "a"), plain_row(2, "b")]).await?;
    drive.done(&one(3, "c")).await
}

pub async fn gap(scratch: &dyn Scratch) -> Verdict {
    let plain = Arc::new(plain(&scratch.schema()));
    let mut drive = Drive::start(scratch, &[&plain]).await?;
    let one = |id| Changes::new().upsert(&plain, plain_row(id, "v"));
    let transient = |what: &str, answer| {
        let error = refused(what, answer)?;
        must(error.is_transient(), || format!("{what} is not Transient: {error:?}"))
    };
    transient("batch 2 of the log before batch 1", drive.apply_as(2, &[0], 1, &one(1)).await)?;
    drive.reopen().await?;
    drive.stands_at("after a batch that came too early", 0).await?;
    drive.done(&one(2)).await?;
    // Lane 1 did not take part in the batch before: that lane 0 has it is enough.
    same("batch 2 on lane 1", &drive.apply_as(2, &[1], 2, &one(3)).await?, &Applied::Done)?;
    same("batch 2 on lane 0", &drive.apply_as(2, &[0], 2, &one(4)).await?, &Applied::Done)?;
    transient("batch 4 after batch 2", drive.apply_as(4, &[0, 1], 2, &one(5)).await)?;
    drive.reopen().await?;
    let (feed, at) = (Partition::new(Partition::COPY), Position::new(b"", 0));
    let copied = |number, lane: &'static [u16], id| {
        let (drive, feed, at, changes) = (&drive, &feed, &at, Changes { kind: Kind::Copy { fresh: false }, ..one(id) });
        async move { drive.apply_part(Part { number, lanes: lane, of: 2, ..changes.part(feed, at, at) }).await }
    };
    same("batch 1 of a copy", &copied(1, &[0], 6).await?, &Applied::Done)?;
    // Each lane of a copy has a count of its own.
    transient("batch 2 of a copy, lane 1", copied(2, &[1], 7).await)?;
    drive.reopen().await?;
    drive.holds("what fitted", &plain, &[2, 3, 4, 6].map(|id| plain_row(id, "v"))).await
}

pub async fn apart(scratch: &dyn Scratch) -> Verdict {
    let plain = Arc::new(plain(&scratch.schema()));
    let mut drive = Drive::start(scratch, &[&plain]).await?;
    let one = |id| Changes::new().upsert(&plain, plain_row(id, "v"));
    same("lane 1 alone", &drive.apply_as(1, &[1], 2, &one(1)).await?, &Applied::Done)?;
    drive.stands_at("beside lane 1", 0).await?;
    // Lane 1 has it: together they are refused, and lane 0 has not moved.
    refused("two lanes, one of which has the batch", drive.apply_as(1, &[0, 1], 2, &one(2)).await)?;
    drive.reopen().await?;
    drive.stands_at("after two lanes that were refused", 0).await?;
    drive.holds("after two lanes that were refused", &plain, &[plain_row(1, "v")]).await?;
    same("lane 0 alone", &drive.apply_as(1, &[0], 2, &one(3)).await?, &Applied::Done)?;
    same("two lanes together", &drive.apply_as(2, &[0, 1], 2, &one(4)).await?, &Applied::Done)?;
    for lane in [0, 1] {
        let mark = drive.mark(&log(), lane).await?;
        same(&format!("lane {lane}"), &(mark.batch, mark.lanes, mark.from, mark.to), &(2, 2, place(1), place(2)))?;
    }
    drive.holds("what the lanes wrote", &plain, &[1, 3, 4].map(|id| plain_row(id, "v"))).await
}

pub async fn beside(scratch: &dyn Scratch) -> Verdict {
    let plain = Arc::new(plain(&scratch.schema()));
    let drive = Drive::start(scratch, &[&plain]).await?;
    let share = |number: u64, lane: i64| {
        let first = i64::try_from(number).expect("few") * 100 + lane * 10;
        (first..first + 5).map(|id| plain_row(id, "v")).collect::<Vec<_>>()
    };
    let mut expected = Vec::new();
    for number in 1..=8 {
        let changes = [0, 1].map(|lane| {
            let rows = share(number, lane);
            expected.extend(rows.clone());
            rows.into_iter().fold(Changes::new(), |changes, row| changes.upsert(&plain, row))
        });
        let (first, second) =
            tokio::join!(drive.apply_as(number, &[0], 2, &changes[0]), drive.apply_as(number, &[1], 2, &changes[1]));
        same("two lanes side by side", &(first?, second?), &(Applied::Done, Applied::Done))?;
    }
    drive.holds("what they wrote", &plain, &expected).await?;
    same("lane 1", &drive.mark(&log(), 1).await?.batch, &8)
}

pub async fn rows(scratch: &dyn Scratch) -> Verdict {
    let plain = Arc::new(plain(&scratch.schema()));
    let mut first = claim(JOB, 1, &[&plain]);
    first.feeds = vec![(log(), 1, place(5))];
    let mut drive = Drive::start_as(scratch, first, &[&plain]).await?;
    same("lanes of a new job", &drive.opened.marks.len(), &1)?;
    let mark = &drive.opened.marks[0];
    same("a new lane", &(mark.batch, &mark.from, &mark.to, mark.epoch), &(0, &place(5), &place(5), 1))?;
    // Positions of any bytes and of any length come back as they are.
    let long = Position::new(&(0..=255).cycle().take(6000).collect::<Vec<u8>>(), 3);
    let (feed, from, changes) = (log(), place(5), Changes::new().upsert(&plain, plain_row(1, "v")));
    let part = Part { complete: false, ..changes.part(&feed, &from, &long) };
    same("a batch", &drive.apply_part(part).await?, &Applied::Done)?;
    let shard = Partition::new("shard «1»/it's");
    drive.claim.feeds = vec![(log(), 3, place(99)), (shard.clone(), 2, place(7))];
    drive.reopen().await?;
    let mut found: Vec<_> = drive.opened.marks.iter().collect();
    found.sort_by_key(|mark| (mark.feed.clone(), mark.lane));
    same("lanes after a claim of more", &found.len(), &5)?;
    let mark = found[0];
    same("an old lane's batch", &(mark.batch, mark.lanes, mark.hash_version), &(1, 1, drive.target.hash_version()))?;
    must(mark.from == from && mark.to == long, || {
        format!("the positions came back as {:?}, {:?}", mark.from, mark.to)
    })?;
    for (mark, (feed, lane, at)) in
        found[1..].iter().zip([(log(), 1, 99), (log(), 2, 99), (shard.clone(), 0, 7), (shard, 1, 7)])
    {
        same("a lane that was added", &(&mark.feed, mark.lane, mark.batch), &(&feed, lane, 0))?;
        same("where it begins", &mark.to, &place(at))?;
    }
    let epochs: Vec<u64> = found.iter().map(|mark| mark.epoch).collect();
    same("every row has the epoch of the claim", &epochs, &vec![drive.claim.epoch; 5])?;
    let tables = drive.opened.tables.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    must(tables == [plain.name.clone()], || format!("open knows the tables {tables:?}"))
}

pub async fn empty(scratch: &dyn Scratch) -> Verdict {
    let plain = Arc::new(plain(&scratch.schema()));
    let mut drive = Drive::start(scratch, &[&plain]).await?;
    drive.done(&Changes::new()).await?;
    let mark = drive.mark(&log(), 0).await?;
    same("the watermark of an empty batch", &(mark.batch, mark.to), &(1, place(1)))?;
    drive.reopen().await?;
    drive.done(&Changes::new()).await?;
    drive.stands_at("two empty batches", 2).await.map_err(|failure: Failure| failure.at("after a restart"))
}
