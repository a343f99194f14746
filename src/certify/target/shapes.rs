//! Tables that are there, that are not, that are narrower or wider than the rows; values of every kind.

use super::drive::{Changes, Drive, claim};
use crate::{
    certify::{
        check::{Failure, Verdict, must, refused, same},
        fixture::{Scratch, Write},
        replica::equal_rows,
        scene::{JOB, double, double_row, odd, plain, plain_row},
        source::shown,
    },
    error::ErrorKind,
    model::{Change, Column, Existing, JobId, Severity, Table, TableName, Type, Value},
    target::Claim,
};
use std::sync::Arc;
use uuid::Uuid;

pub fn wider(table: &Table) -> Arc<Table> {
    let mut wider = table.clone();
    wider.version += 1;
    wider.columns.push(Column::new("extra", Type::Text));
    Arc::new(wider)
}

pub fn with_extra(mut row: Vec<Value>, extra: Option<&str>) -> Vec<Value> {
    row.push(extra.map_or(Value::Null, |extra| Value::Text(extra.into())));
    row
}

pub async fn prepare_creates(scratch: &dyn Scratch) -> Verdict {
    let (plain, double) = (Arc::new(plain(&scratch.schema())), Arc::new(double(&scratch.schema())));
    scratch.create(&double).await?;
    let target = scratch.target()?;
    let findings = target.check(&[Arc::clone(&plain), Arc::clone(&double)], Existing::Refuse).await?;
    let blocking = findings.iter().find(|finding| finding.severity == Severity::Blocking);
    must(blocking.is_none(), || format!("check stops a job that could run: {blocking:?}"))?;
    must(scratch.rows(&plain.name).await?.is_none(), || "check made a table".into())?;
    target.open(&claim(JOB, 1, &[&plain, &double])).await?;
    for table in [&plain, &double, &plain, &double] {
        same("rows of a table that has none", &target.prepare(table, 1).await?.has_rows, &false)?;
    }
    must(scratch.rows(&plain.name).await? == Some(Vec::new()), || "prepare made no empty table".into())?;
    let row = Write::insert(&double.name, double_row("k", 1, "theirs"));
    scratch.write(&[row]).await?;
    same("rows of others", &target.prepare(&double, 1).await?.has_rows, &true)?;
    let mut drive = Drive::start_as(scratch, claim(JOB, 2, &[&plain, &double]), &[&plain, &double]).await?;
    drive.done(&Changes::new().upsert(&plain, plain_row(1, "ours"))).await?;
    same("rows of ours", &drive.target.prepare(&plain, 1).await?.has_rows, &true)?;
    drive.holds("prepared again", &plain, &[plain_row(1, "ours")]).await?;
    drive.holds("prepared again", &double, &[double_row("k", 1, "theirs")]).await
}

pub async fn not_admitted(scratch: &dyn Scratch) -> Verdict {
    let plain = Arc::new(plain(&scratch.schema()));
    scratch.create(&plain).await?;
    scratch.write(&[Write::insert(&plain.name, plain_row(1, "theirs"))]).await?;
    let refuse = |epoch| Claim { existing: Existing::Refuse, ..claim(JOB, epoch, &[&plain]) };
    // At every start: the one before may have died at any moment.
    for epoch in 1..=3 {
        let target = scratch.target()?;
        let opened = target.open(&refuse(epoch)).await?;
        must(opened.tables.is_empty(), || format!("noted as the job's own: {:?}", opened.tables))?;
        same("rows of others", &target.prepare(&wider(&plain), epoch).await?.has_rows, &true)?;
        let rows = scratch.rows(&plain.name).await?.unwrap_or_default();
        equal_rows("a table that is not taken", &rows, &[plain_row(1, "theirs")])?;
    }
    scratch.write(&[Write::delete(&plain.name, vec![Value::Int(1)])]).await?;
    let mut drive = Drive::start_as(scratch, refuse(4), &[&plain]).await?;
    drive.done(&Changes::new().upsert(&plain, plain_row(2, "ours"))).await?;
    drive.reopen().await?;
    let noted = crate::target::Noted { generation: 1, finished: false };
    same("tables that open knows", &drive.opened.tables, &vec![(plain.name.clone(), noted)])?;
    // Its rows are ours from here on.
    drive.target.prepare(&wider(&plain), 1).await?;
    drive.holds("a table that is taken", &plain, &[with_extra(plain_row(2, "ours"), None)]).await
}

pub async fn prepare_widens(scratch: &dyn Scratch) -> Verdict {
    let plain = Arc::new(plain(&scratch.schema()));
    let wide = wider(&plain);
    let mut drive = Drive::start(scratch, &[&plain]).await?;
    drive.done(&Changes::new().upsert(&plain, plain_row(1, "narrow"))).await?;
    for _ in 0..2 {
        drive.target.prepare(&wide, 1).await?;
    }
    drive.done(&Changes::new().upsert(&wide, with_extra(plain_row(2, "wide"), Some("x")))).await?;
    let expected = [with_extra(plain_row(1, "narrow"), None), with_extra(plain_row(2, "wide"), Some("x"))];
    drive.holds("a wider table", &plain, &expected).await?;
    // What the source dropped is kept.
    drive.target.prepare(&plain, 1).await?;
    drive.holds("prepared for fewer columns", &plain, &expected).await
}

pub async fn older_shape(scratch: &dyn Scratch) -> Verdict {
    let plain = Arc::new(plain(&scratch.schema()));
    let wide = wider(&plain);
    let mut drive = Drive::start(scratch, &[&wide]).await?;
    drive.done(&Changes::new().upsert(&wide, with_extra(plain_row(1, "new"), Some("kept")))).await?;
    let older = Changes::new()
        .upsert(&plain, plain_row(1, "old"))
        .upsert(&plain, plain_row(2, "old"))
        .patch(&plain, &[Some(Value::Int(1)), None, None, Some(Value::Int(-7))]);
    drive.done(&older).await?;
    let mut first = with_extra(plain_row(1, "old"), Some("kept"));
    first[3] = Value::Int(-7);
    drive.holds("rows of an older shape", &wide, &[first, with_extra(plain_row(2, "old"), None)]).await
}

pub async fn newer_shape(scratch: &dyn Scratch) -> Verdict {
    let plain = Arc::new(plain(&scratch.schema()));
    let wide = wider(&plain);
    let mut drive = Drive::start(scratch, &[&plain]).await?;
    drive.done(&Changes::new().upsert(&plain, plain_row(1, "old"))).await?;
    let newer = Changes::new()
        .upsert(&wide, with_extra(plain_row(1, "new"), Some("left out")))
        .upsert(&wide, with_extra(plain_row(2, "new"), Some("left out")))
        .patch(&wide, &[Some(Value::Int(2)), None, None, Some(Value::Int(5)), Some(Value::Text("left out".into()))])
        .delete(&wide, &[Value::Int(77)]);
    drive.done(&newer).await?;
    let mut second = plain_row(2, "new");
    second[3] = Value::Int(5);
    drive.holds("rows of a newer shape", &plain, &[plain_row(1, "new"), second]).await
}

pub async fn reshape(scratch: &dyn Scratch) -> Verdict {
    let plain = Arc::new(plain(&scratch.schema()));
    let wide = wider(&plain);
    let mut drive = Drive::start(scratch, &[&plain]).await?;
    drive.done(&Changes::new().upsert(&plain, plain_row(1, "v"))).await?;
    drive.target.prepare(&wide, 1).await?;
    drive.done(&Changes::new().alone(&wide, Change::Reshape)).await?;
    drive.done(&Changes::new().alone(&wide, Change::Recopy)).await?;
    drive.holds("after Reshape and Recopy", &wide, &[with_extra(plain_row(1, "v"), None)]).await?;
    drive.stands_at("after Reshape and Recopy", 3).await
}

pub async fn odd_names(scratch: &dyn Scratch) -> Verdict {
    let odd = Arc::new(odd(&scratch.schema()));
    let mut drive = Drive::start(scratch, &[&odd]).await?;
    let row = |id: i64, text: &str| vec![Value::Int(id), Value::Text(text.into())];
    drive.done(&Changes::new().upsert(&odd, row(1, "'")).upsert(&odd, row(2, "\"; DROP TABLE x; --"))).await?;
    let changes = Changes::new()
        .patch(&odd, &[Some(Value::Int(1)), Some(Value::Text("?1 :a @b $c %s {}".into()))])
        .delete(&odd, &[Value::Int(2)]);
    drive.done(&changes).await?;
    drive.target.finish(&odd).await?;
    drive.reopen().await?;
    same(
        "an odd table that open knows",
        &drive.opened.tables,
        &vec![(odd.name.clone(), crate::target::Noted { generation: 1, finished: true })],
    )?;
    drive.holds("an odd table", &odd, &[row(1, "?1 :a @b $c %s {}")]).await
}

pub async fn kinds(scratch: &dyn Scratch) -> Verdict {
    for (number, (column, values)) in scratch.kinds().into_iter().enumerate() {
        let what = format!("{:?} {}", column.kind, column.declared);
        let id = Column { nullable: false, ..Column::new("id", Type::Int) };
        let name = TableName::new(scratch.schema(), format!("certify_kind_{number}"));
        let table = Table::new(name, vec![id, Column { name: "v".into(), ..column }], vec![0]);
        scratch.create(&table).await?;
        // As the store itself tells it: declared types mean something to it.
        let table = shown(&*scratch.source()?, |shape| shape.name == table.name).await?;
        let job = JobId(Uuid::from_u128(JOB.0.as_u128() + 100 + number as u128));
        let mut drive = Drive::start_as(scratch, claim(job, 1, &[&table]), &[&table]).await?;
        let rows: Vec<Vec<Value>> = (0..)
            .zip(values.iter().chain([&Value::Null]))
            .map(|(id, value)| vec![Value::Int(id), value.clone()])
            .collect();
        drive.done(&rows.iter().fold(Changes::new(), |changes, row| changes.upsert(&table, row.clone()))).await?;
        let found = scratch.rows(&table.name).await?.unwrap_or_default();
        equal_rows(&format!("upserts of {what}"), &found, &rows)?;
        // The same again as patches over another value, since stores write both in different ways.
        let moved: Vec<Vec<Value>> = rows
            .iter()
            .zip(rows.iter().cycle().skip(1))
            .map(|(row, next)| vec![row[0].clone(), next[1].clone()])
            .collect();
        let patch = |changes: Changes, row: &Vec<Value>| {
            changes.patch(&table, &row.iter().cloned().map(Some).collect::<Vec<_>>())
        };
        drive.done(&moved.iter().fold(Changes::new(), patch)).await?;
        let found = scratch.rows(&table.name).await?.unwrap_or_default();
        equal_rows(&format!("patches of {what}"), &found, &moved)?;
    }
    Ok(())
}

pub async fn large_values(scratch: &dyn Scratch) -> Verdict {
    let plain = Arc::new(plain(&scratch.schema()));
    let mut drive = Drive::start(scratch, &[&plain]).await?;
    let large = |id: i64, length: usize| {
        vec![Value::Int(id), Value::Text("n".into()), Value::Text("grün ".repeat(length / 6)), Value::Null]
    };
    let rows = [large(1, 3 << 20), large(2, 100_000), plain_row(3, "small")];
    drive.done(&rows.iter().fold(Changes::new(), |changes, row| changes.upsert(&plain, row.clone()))).await?;
    drive.holds("large values", &plain, &rows).await
}

pub async fn not_null(scratch: &dyn Scratch) -> Verdict {
    let mut strict = plain(&scratch.schema());
    strict.columns[1].nullable = false;
    let strict = Arc::new(strict);
    scratch.create(&strict).await?;
    let mut drive = Drive::start(scratch, &[&strict]).await?;
    drive.done(&Changes::new().upsert(&strict, plain_row(1, "a"))).await?;
    let bad = Changes::new()
        .upsert(&strict, plain_row(2, "b"))
        .upsert(&strict, vec![Value::Int(3), Value::Null, Value::Null, Value::Null]);
    let error = refused("a NULL where none may be", drive.apply(&bad).await)?;
    same(&format!("the kind of {error:?}"), &error.kind(), &ErrorKind::Refused)?;
    drive.reopen().await.map_err(|failure: Failure| failure.at("after a refused row"))?;
    same("the newest batch after a refused row", &drive.number, &1)?;
    drive.holds("after a refused row", &strict, &[plain_row(1, "a")]).await?;
    drive.done(&Changes::new().upsert(&strict, plain_row(2, "b"))).await
}
