//! Unique values that two rows want, and foreign keys that come before what they point to.

use super::drive::{Changes, Drive};
use crate::{
    certify::{
        check::{Failure, Verdict, must, same},
        fixture::Scratch,
        replica::key,
        scene::{child, plain, plain_row, unique, unique_row},
    },
    model::{Kind, Table, Value},
    target::{Applied, Finished},
};
use std::{collections::BTreeSet, sync::Arc};

/// A table whose unique index stands, with 1:a, 2:b, 3:NULL.
async fn standing<'s>(scratch: &'s dyn Scratch) -> Result<(Drive<'s>, Arc<Table>, Vec<Vec<Value>>), Failure> {
    let unique = Arc::new(unique(&scratch.schema()));
    let mut drive = Drive::start(scratch, &[&unique]).await?;
    let rows = vec![unique_row(1, Some("a"), "one"), unique_row(2, Some("b"), "two"), unique_row(3, None, "three")];
    drive.done(&rows.iter().fold(Changes::new(), |changes, row| changes.upsert(&unique, row.clone()))).await?;
    same("finish without doubles", &drive.target.finish(&unique).await?, &Finished::Done)?;
    Ok((drive, unique, rows))
}

pub async fn taken(scratch: &dyn Scratch) -> Verdict {
    let (mut drive, unique, rows) = standing(scratch).await?;
    let mail = |id: i64, mail: &str| [Some(Value::Int(id)), Some(Value::Text(mail.into())), None];
    let other = Changes::new().upsert(&unique, unique_row(9, Some("z"), "nine"));
    let cases = [
        ("a new row", other.clone().upsert(&unique, unique_row(4, Some("a"), "four")), (1, 1)),
        ("a row that is there", other.clone().upsert(&unique, unique_row(3, Some("b"), "three")), (1, 2)),
        ("a patch", other.clone().patch(&unique, &mail(2, "a")), (1, 1)),
        ("a row of the same batch", other.clone().upsert(&unique, unique_row(8, Some("z"), "eight")), (1, 9)),
    ];
    for (what, changes, (mutation, holder)) in cases {
        let applied = drive.apply(&changes).await?;
        let Applied::Taken(clashes) = applied else {
            return Err(Failure(format!("{what} that wants another's value was answered with {applied:?}")));
        };
        must(!clashes.is_empty(), || format!("{what}: Taken, and by nobody"))?;
        for clash in clashes {
            same(&format!("{what}: the mutation that clashes"), &clash.mutation, &mutation)?;
            same(&format!("{what}: the holder"), &clash.holder, &key(holder))?;
        }
        drive.holds(&format!("{what}: after Taken"), &unique, &rows).await?;
        drive.stands_at(what, 1).await?;
    }
    // NULLs clash with nothing, and what a row holds itself is free to it.
    let free = Changes::new()
        .upsert(&unique, unique_row(5, None, "five"))
        .upsert(&unique, unique_row(1, Some("a"), "changed"))
        .patch(&unique, &mail(2, "b"));
    drive.done(&free).await?;
    let expected = [unique_row(1, Some("a"), "changed"), rows[1].clone(), rows[2].clone(), unique_row(5, None, "five")];
    drive.holds("what does not clash", &unique, &expected).await
}

pub async fn untangled(scratch: &dyn Scratch) -> Verdict {
    let (mut drive, unique, rows) = standing(scratch).await?;
    let swap = Changes::new()
        .upsert(&unique, unique_row(1, Some("b"), "one"))
        .upsert(&unique, unique_row(2, Some("a"), "two"));
    let swapped = [unique_row(1, Some("b"), "one"), unique_row(2, Some("a"), "two"), rows[2].clone()];
    match drive.apply(&swap).await? {
        // A store that looks at the end of the transaction takes it as it is.
        Applied::Done => drive.holds("a swap in one batch", &unique, &swapped).await?,
        Applied::Taken(_) => {
            drive.holds("a swap that was undone", &unique, &rows).await?;
            let deletes = Changes::new().delete(&unique, &[Value::Int(1)]).delete(&unique, &[Value::Int(2)]);
            let changes = deletes.upsert(&unique, swapped[0].clone()).upsert(&unique, swapped[1].clone());
            drive.done(&changes).await?;
            drive.holds("a swap, deletes first", &unique, &swapped).await?;
        }
        applied => return Err(Failure(format!("a swap was answered with {applied:?}"))),
    }
    let next = Changes::new().delete(&unique, &[Value::Int(1)]).upsert(&unique, unique_row(7, Some("b"), "seven"));
    drive.done(&next).await?;
    let expected = [swapped[1].clone(), rows[2].clone(), unique_row(7, Some("b"), "seven")];
    drive.holds("a value that was given up before", &unique, &expected).await
}

pub async fn doubles(scratch: &dyn Scratch) -> Verdict {
    let unique = Arc::new(unique(&scratch.schema()));
    let mut drive = Drive::start(scratch, &[&unique]).await?;
    let rows: Vec<_> =
        [(1, Some("a")), (2, Some("a")), (3, Some("b")), (4, None), (5, None), (6, Some("c")), (7, Some("c"))]
            .map(|(id, mail)| unique_row(id, mail, "v"))
            .into();
    let mut changes = rows.iter().fold(Changes::new(), |changes, row| changes.upsert(&unique, row.clone()));
    changes.kind = Kind::Copy { fresh: true };
    // A fuzzy copy meets doubles; they are no clash before the table is consistent.
    drive.done(&changes).await?;
    same("tables that open knows", &unfinished(&mut drive, &unique).await?, &false)?;
    for turn in 1..=2 {
        let finished = drive.target.finish(&unique).await?;
        let Finished::Taken(keys) = finished else {
            return Err(Failure(format!("two doubled values were answered with {finished:?}")));
        };
        let keys: BTreeSet<_> = keys.into_iter().collect();
        same(&format!("rows of doubled values, call {turn}"), &keys, &[1, 2, 6, 7].map(key).into())?;
    }
    let mended = Changes::new().delete(&unique, &[Value::Int(1)]).upsert(&unique, unique_row(6, Some("d"), "v"));
    drive.done(&mended).await?;
    for _ in 0..2 {
        same("finish once they are mended", &drive.target.finish(&unique).await?, &Finished::Done)?;
    }
    same("tables that open knows after finish", &unfinished(&mut drive, &unique).await?, &true)?;
    let clash = drive.apply(&Changes::new().upsert(&unique, unique_row(9, Some("a"), "v"))).await?;
    must(matches!(&clash, Applied::Taken(clashes) if clashes.iter().all(|clash| clash.holder == key(2))), || {
        format!("after finish a doubled value was answered with {clash:?}")
    })
}

/// Whether the table is finished, as the next `open` tells it.
async fn unfinished(drive: &mut Drive<'_>, table: &Table) -> Result<bool, Failure> {
    drive.reopen().await?;
    let known = drive.opened.tables.iter().find(|(name, _)| *name == table.name);
    known.map(|(_, noted)| noted.finished).ok_or_else(|| Failure("open does not know a prepared table".into()))
}

pub async fn children(scratch: &dyn Scratch) -> Verdict {
    let (plain, child) = (Arc::new(plain(&scratch.schema())), Arc::new(child(&scratch.schema())));
    let mut drive = Drive::start(scratch, &[&child, &plain]).await?;
    let kid = |id: i64, parent: i64| vec![Value::Int(id), Value::Int(parent)];
    drive.done(&Changes::new().upsert(&child, kid(1, 10)).upsert(&child, kid(2, 11))).await?;
    drive.done(&Changes::new().upsert(&plain, plain_row(10, "p")).upsert(&plain, plain_row(11, "p"))).await?;
    for table in [&plain, &child] {
        same("finish of a pair of tables", &drive.target.finish(table).await?, &Finished::Done)?;
    }
    // The source tells of the child itself; a target that cascades too must not lose rows that were put back.
    let changes = Changes::new()
        .delete(&child, &[Value::Int(1)])
        .delete(&plain, &[Value::Int(10)])
        .upsert(&plain, plain_row(10, "again"))
        .upsert(&child, kid(3, 10));
    drive.done(&changes).await?;
    drive.holds("parents", &plain, &[plain_row(10, "again"), plain_row(11, "p")]).await?;
    drive.holds("children", &child, &[kid(2, 11), kid(3, 10)]).await
}
