//! Who may write: epochs, tokens, and jobs that must not share a table.

use super::drive::{Changes, Drive, claim};
use crate::{
    certify::{
        check::{Failure, Verdict, must, refused, same},
        fixture::Scratch,
        scene::{JOB, OTHER_JOB, double, double_row, plain, plain_row},
    },
    error::ErrorKind,
    model::Table,
    target::{Claim, Target},
};
use std::sync::Arc;
use uuid::Uuid;

/// The refusal names itself as one that a person must mend.
async fn refused_open(what: &str, target: &dyn Target, claim: &Claim) -> Verdict {
    let error = refused(what, target.open(claim).await)?;
    same(&format!("{what}: the kind of {error:?}"), &error.kind(), &ErrorKind::Config)?;
    must(error.hint_text().is_some(), || format!("{what}: no hint says what to do: {error:?}"))
}

pub async fn epochs(scratch: &dyn Scratch) -> Verdict {
    let plain = Arc::new(plain(&scratch.schema()));
    let mut drive = Drive::start_as(scratch, claim(JOB, 5, &[&plain]), &[&plain]).await?;
    let stranger = Uuid::from_u128(8);
    refused_open("an older epoch", &*scratch.target()?, &claim(JOB, 4, &[&plain])).await?;
    let cloned = Claim { token: stranger, ..claim(JOB, 5, &[&plain]) };
    refused_open("an equal epoch of another daemon", &*scratch.target()?, &cloned).await?;
    // Those that were refused have changed nothing.
    drive.done(&Changes::new().upsert(&plain, plain_row(1, "a"))).await?;
    same("the epoch that stands", &epoch_of(scratch, &drive).await?, &5)?;
    // The same daemon may open again with the epoch it has, and any daemon with a newer one.
    scratch.target()?.open(&claim(JOB, 5, &[&plain])).await?;
    let newer = Claim { token: stranger, ..claim(JOB, 6, &[&plain]) };
    let opened = scratch.target()?.open(&newer).await?;
    must(opened.marks.iter().any(|mark| mark.batch == 1), || "the next daemon does not see batch 1".into())?;
    refused_open("the one before", &*drive.target, &claim(JOB, 5, &[&plain])).await?;
    same("the epoch that stands", &epoch_of(scratch, &drive).await?, &6)
}

async fn epoch_of(scratch: &dyn Scratch, drive: &Drive<'_>) -> Result<u64, Failure> {
    let jobs = scratch.target()?.jobs().await?;
    let row = jobs.into_iter().find(|row| row.job == drive.claim.job);
    row.map(|row| row.epoch).ok_or_else(|| Failure("`jobs` does not name the job".into()))
}

pub async fn zombie(scratch: &dyn Scratch) -> Verdict {
    let plain = Arc::new(plain(&scratch.schema()));
    let mut zombie = Drive::start(scratch, &[&plain]).await?;
    zombie.done(&Changes::new().upsert(&plain, plain_row(1, "old"))).await?;
    let mut next = Drive::start_as(scratch, claim(JOB, 2, &[&plain]), &[&plain]).await?;
    next.number = 1;
    let late = Changes::new().upsert(&plain, plain_row(1, "zombie")).upsert(&plain, plain_row(2, "zombie"));
    // Before and after the new one has written, and with a number that nobody has yet.
    refused("a batch of an older epoch", zombie.apply_as(2, &[0], 1, &late).await)?;
    next.done(&Changes::new().delete(&plain, &[crate::model::Value::Int(1)])).await?;
    refused("a batch of an older epoch", zombie.apply_as(3, &[0], 1, &late).await)?;
    refused("a lane that the new one has not used", zombie.apply_as(9, &[1], 2, &late).await)?;
    next.holds("after a zombie", &plain, &[]).await?;
    next.done(&Changes::new().upsert(&plain, plain_row(3, "new"))).await?;
    next.holds("what the new one wrote", &plain, &[plain_row(3, "new")]).await?;
    next.stands_at("what the new one wrote", 3).await
}

pub async fn tables(scratch: &dyn Scratch) -> Verdict {
    let (plain, double) = (Arc::new(plain(&scratch.schema())), Arc::new(double(&scratch.schema())));
    let mut first = Drive::start(scratch, &[&plain]).await?;
    first.done(&Changes::new().upsert(&plain, plain_row(1, "a"))).await?;
    let other = |tables: &[&Arc<Table>]| claim(OTHER_JOB, 1, tables);
    refused_open("a table of another job", &*scratch.target()?, &other(&[&double, &plain])).await?;
    let mut second = Drive::start_as(scratch, other(&[&double]), &[&double]).await?;
    second.done(&Changes::new().upsert(&double, double_row("k", 1, "v"))).await?;
    first.done(&Changes::new().upsert(&plain, plain_row(2, "b"))).await?;
    let mut jobs = scratch.target()?.jobs().await?;
    jobs.sort_by_key(|row| row.job);
    same("jobs", &jobs.iter().map(|row| row.job).collect::<Vec<_>>(), &vec![JOB, OTHER_JOB])?;
    for (row, (claim, table, batch)) in jobs.iter().zip([(&first.claim, &plain, 2), (&second.claim, &double, 1)]) {
        same("a job's spec", &row.spec, &claim.spec)?;
        same(
            "a job's tables",
            &row.opened.tables,
            &vec![(table.name.clone(), crate::target::Noted { generation: 1, finished: false })],
        )?;
        let newest = row.opened.marks.iter().map(|mark| mark.batch).max();
        same("a job's newest batch", &newest, &Some(batch))?;
    }
    for _ in 0..2 {
        scratch.target()?.forget(JOB).await?;
    }
    first.holds("data after forget", &plain, &[plain_row(1, "a"), plain_row(2, "b")]).await?;
    same("jobs after forget", &scratch.target()?.jobs().await?.len(), &1)?;
    second.done(&Changes::new().upsert(&double, double_row("k", 2, "v"))).await?;
    let both = Claim { epoch: 2, ..other(&[&double, &plain]) };
    let mut both = Drive::start_as(scratch, both, &[&double, &plain]).await?;
    both.number = 2;
    both.done(&Changes::new().delete(&plain, &[crate::model::Value::Int(1)])).await?;
    // A new job of the same name inherits nothing.
    let again = scratch.target()?.open(&claim(JOB, 1, &[])).await?;
    must(again.marks.iter().all(|mark| mark.batch == 0) && again.tables.is_empty(), || {
        format!("a forgotten job came back with {again:?}")
    })
}
