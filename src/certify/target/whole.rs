//! Transactions of the source kept whole: open over several batches, seen at the last.

use super::{
    drive::{Changes, Drive, claim},
    shapes::{wider, with_extra},
};
use crate::{
    certify::{
        check::{Failure, Verdict, same},
        fixture::Scratch,
        scene::{JOB, plain, plain_row},
    },
    model::{Change, Table, Value},
    target::{Applied, Claim, Finished},
};
use std::sync::Arc;

/// One row and one batch are there; then a transaction of two batches is open.
async fn open<'s>(scratch: &'s dyn Scratch) -> Result<(Drive<'s>, Arc<Table>), Failure> {
    let plain = Arc::new(plain(&scratch.schema()));
    let claim = Claim { transactional: true, ..claim(JOB, 1, &[&plain]) };
    let mut drive = Drive::start_as(scratch, claim, &[&plain]).await?;
    drive.done(&Changes::new().upsert(&plain, plain_row(1, "first"))).await?;
    hold(&mut drive, Changes::new().upsert(&plain, plain_row(2, "held")).delete(&plain, &[Value::Int(1)])).await?;
    hold(&mut drive, Changes::new().upsert(&plain, plain_row(3, "held"))).await?;
    Ok((drive, plain))
}

async fn hold(drive: &mut Drive<'_>, changes: Changes) -> Verdict {
    let part = Changes { complete: false, ..changes };
    same("a batch that is not complete", &drive.apply(&part).await?, &Applied::Held)
}

/// Sets the size of a row that an earlier batch of the open transaction wrote.
fn patch(plain: &Arc<Table>, id: i64) -> Changes {
    Changes::new().patch(plain, &[Some(Value::Int(id)), None, None, Some(Value::Int(-1))])
}

async fn complete(drive: &mut Drive<'_>, plain: &Arc<Table>) -> Verdict {
    drive.done(&patch(plain, 2)).await?;
    let mut second = plain_row(2, "held");
    second[3] = Value::Int(-1);
    drive.holds("once it is complete", plain, &[second, plain_row(3, "held")]).await?;
    drive.stands_at("once it is complete", 4).await
}

pub async fn held(scratch: &dyn Scratch) -> Verdict {
    let (mut drive, plain) = open(scratch).await?;
    drive.holds("while the transaction is open", &plain, &[plain_row(1, "first")]).await?;
    drive.stands_at("while the transaction is open", 1).await?;
    complete(&mut drive, &plain).await
}

pub async fn gone(scratch: &dyn Scratch) -> Verdict {
    let (mut drive, plain) = open(scratch).await?;
    drive.reopen().await?;
    same("the newest batch after a restart", &drive.number, &1)?;
    drive.holds("after a restart", &plain, &[plain_row(1, "first")]).await?;
    hold(&mut drive, Changes::new().upsert(&plain, plain_row(2, "held")).delete(&plain, &[Value::Int(1)])).await?;
    hold(&mut drive, Changes::new().upsert(&plain, plain_row(3, "held"))).await?;
    complete(&mut drive, &plain).await
}

pub async fn missing(scratch: &dyn Scratch) -> Verdict {
    let (mut drive, plain) = open(scratch).await?;
    let unfit = Changes { complete: false, ..patch(&plain, 77) };
    let unfit = unfit.upsert(&plain, plain_row(4, "undone"));
    same("a patch without its row", &drive.apply(&unfit).await?, &Applied::Missing(vec![0]))?;
    drive.holds("after Missing", &plain, &[plain_row(1, "first")]).await?;
    complete(&mut drive, &plain).await
}

/// As a source does that changes tables inside transactions.
pub async fn widened(scratch: &dyn Scratch) -> Verdict {
    let (mut drive, plain) = open(scratch).await?;
    let wide = wider(&plain);
    let rows = |ids: &[i64]| ids.iter().map(|&id| with_extra(plain_row(id, "wide"), Some("x"))).collect::<Vec<_>>();
    for last in [4, 6] {
        drive.target.prepare(&wide, 1).await?;
        same("its indexes", &drive.target.finish(&wide).await?, &Finished::Done)?;
        hold(&mut drive, Changes::new().alone(&wide, Change::Reshape)).await?;
        hold(&mut drive, Changes::new().upsert(&wide, rows(&[last]).remove(0))).await?;
        if last == 4 {
            drive.stands_at("while the transaction is open", 1).await?;
            // Gone with its owner; then once more.
            drive.reopen().await?;
            same("the newest batch after a restart", &drive.number, &1)?;
        }
    }
    drive.done(&Changes::new().upsert(&wide, rows(&[7]).remove(0))).await?;
    let first = with_extra(plain_row(1, "first"), None);
    drive.holds("once it is complete", &wide, &[vec![first], rows(&[6, 7])].concat()).await
}
