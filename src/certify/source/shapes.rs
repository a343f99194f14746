//! Shapes as the application declared them; values of every kind, the same through copy, log and fetch.

use super::stage::{Stage, shown};
use crate::{
    certify::{
        check::{Verdict, must, same},
        fixture::{Scratch, Write},
        replica::{Replica, equal_rows, key_from},
        scene::{self, JOB, plain_row},
        tape::PATIENCE,
    },
    model::{Action, Column, Equality, KeyRange, Severity, Table, TableName, Type, Value},
    source::{Columns, Next},
};
use std::sync::Arc;

pub async fn tables(scratch: &dyn Scratch) -> Verdict {
    let schema = scratch.schema();
    let declared = [scene::plain(&schema), scene::double(&schema), scene::unique(&schema), scene::odd(&schema)];
    let stage = Stage::new(scratch, &declared).await?;
    for (found, declared) in stage.tables.iter().zip(&declared) {
        let names = |table: &Table| table.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
        let what = |part: &str| format!("{part} of {}", declared.name);
        same(&what("columns"), &names(found), &names(declared))?;
        same(&what("the key"), &found.key, &declared.key)?;
        let computed = found.columns.iter().find(|column| column.generated);
        must(computed.is_none(), || format!("{computed:?} is said to be computed"))?;
        must(!found.has_coarse_key() || found.columns[found.key[0]].equality == Equality::Coarse, || {
            format!("the key of {} is coarse and not coarse", declared.name)
        })?;
    }
    let again = scratch.source()?.tables().await?.0;
    let before: Vec<_> = stage.tables.iter().map(|table| (table.name.clone(), table.version)).collect();
    for (name, version) in before {
        let found = again.iter().find(|table| table.name == name).map(|table| table.version);
        same(&format!("the version of {name}, which nobody changed"), &found, &Some(version))?;
    }
    Ok(())
}

pub async fn uniques(scratch: &dyn Scratch) -> Verdict {
    let stage = Stage::new(scratch, &[scene::unique(&scratch.schema())]).await?;
    let found: Vec<_> = stage.tables[0].uniques.iter().map(|unique| unique.columns.clone()).collect();
    same("unique indexes besides the key", &found, &vec![vec![1]])
}

pub async fn foreign_keys(scratch: &dyn Scratch) -> Verdict {
    let schema = scratch.schema();
    let (plain, child) = (scene::plain(&schema), scene::child(&schema));
    let stage = Stage::new(scratch, &[plain.clone(), child]).await?;
    let found = &stage.tables[1].foreign_keys;
    same("foreign keys", &found.len(), &1)?;
    let foreign = &found[0];
    same(
        "columns, parent and action",
        &(&foreign.columns, &foreign.parent, foreign.on_delete),
        &(&vec![1], &plain.name, Action::Cascade),
    )?;
    must(foreign.parent_columns.is_empty() || foreign.parent_columns == ["id"], || {
        format!("it points to {:?}", foreign.parent_columns)
    })
}

pub async fn check(scratch: &dyn Scratch) -> Verdict {
    let stage = Stage::new(scratch, &[scene::plain(&scratch.schema())]).await?;
    for _ in 0..2 {
        let findings = stage.source.check(JOB, &stage.tables).await?;
        let blocking = findings.iter().find(|finding| finding.severity == Severity::Blocking);
        must(blocking.is_none(), || format!("check stops a job that could run: {blocking:?}"))?;
    }
    let gone = Arc::new(scene::double(&scratch.schema()));
    match stage.source.check(JOB, &[gone]).await {
        Err(_) => Ok(()),
        Ok(findings) => must(findings.iter().any(|finding| finding.severity == Severity::Blocking), || {
            format!("a table that is not there is found good: {findings:?}")
        }),
    }
}

pub async fn odd_names(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::new(scratch, &[scene::odd(&scratch.schema())]).await?;
    let name = stage.tables[0].name.clone();
    let row = |id: i64| vec![Value::Int(id), Value::Text("'\"; ?1 :a %s".into())];
    stage.write(&(0..5).map(|id| Write::insert(&name, row(id))).collect::<Vec<_>>()).await?;
    stage.begin().await?;
    let begun = stage.begun.clone();
    stage.write(&[Write::delete(&name, vec![Value::Int(3)]), Write::insert(&name, row(9))]).await?;
    let copied = stage.copied(&begun, || None).await?;
    stage.converges("odd names", copied, &begun).await?;
    stage.source.release(JOB).await?;
    stage.write(&[Write::delete(&name, vec![Value::Int(9)])]).await
}

/// Every row of the table of types goes through copy, log and fetch (A15).
pub async fn kinds(scratch: &dyn Scratch) -> Verdict {
    for (number, (column, values)) in scratch.kinds().into_iter().enumerate() {
        let what = format!("{:?} {}", column.kind, column.declared);
        let id = Column { nullable: false, ..Column::new("id", Type::Int) };
        let name = TableName::new(scratch.schema(), format!("certify_kind_{number}"));
        let table = Table::new(name.clone(), vec![id, Column { name: "v".into(), ..column }], vec![0]);
        one_kind(scratch, table, &values).await.map_err(|failure| failure.at(what))?;
    }
    Ok(())
}

async fn one_kind(scratch: &dyn Scratch, table: Table, values: &[Value]) -> Verdict {
    let mut stage = Stage::new(scratch, &[table]).await?;
    let (name, table) = (stage.tables[0].name.clone(), Arc::clone(&stage.tables[0]));
    let values: Vec<Value> = values.iter().cloned().chain([Value::Null]).collect();
    let row = |id: usize, value: &Value| vec![Value::Int(i64::try_from(id).expect("few")), value.clone()];
    let inserts: Vec<_> = values.iter().enumerate().map(|(id, value)| Write::insert(&name, row(id, value))).collect();
    stage.write(&inserts).await?;
    stage.begin().await?;
    let begun = stage.begun.clone();
    let there = scratch.rows(&name).await?.unwrap_or_default();
    equal_rows("what the application wrote, read without the connector", &there, &stage.replica.rows(&name))?;
    let now = stage.now().await?;
    let copied = stage.copied(&now, || None).await?;
    equal_rows("through the copy", &copied.rows(&name), &there)?;
    // Each value again, in an insert and over another one.
    let len = values.len();
    let mut changes: Vec<_> =
        values.iter().enumerate().map(|(id, value)| Write::insert(&name, row(id + 100, value))).collect();
    changes.extend((0..len).map(|id| {
        let next = values[(id + 1) % len].clone();
        Write::update(&name, vec![Value::Int(i64::try_from(id).expect("few"))], vec![(1, next)])
    }));
    stage.write(&changes).await?;
    stage.converges("through the log", copied, &begun).await?;
    let there = scratch.rows(&name).await?.unwrap_or_default();
    let mut fetched = Replica::new(&stage.tables);
    fetched.touched = there.iter().map(|row| (name.clone(), key_from(&row[..1]))).collect();
    let now = stage.now().await?;
    stage.resolve(&mut fetched, &now).await?;
    equal_rows("fetched", &fetched.rows(&name), &there)?;
    let keys = stage.copy(&table, &KeyRange::all(), Columns::Key, &now).await?;
    same("keys", &keys.iter().map(|batch| batch.changes()).sum::<u64>(), &(2 * len as u64))?;
    Ok(stage.source.release(JOB).await?)
}

pub async fn added_column(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::new(scratch, &[scene::plain(&scratch.schema())]).await?;
    let name = stage.tables[0].name.clone();
    stage.write(&(1..5).map(|id| Write::insert(&name, plain_row(id, "old"))).collect::<Vec<_>>()).await?;
    stage.begin().await?;
    let begun = stage.begun.clone();
    let copied = stage.copied(&begun, || None).await?;
    let version = stage.tables[0].version;
    stage.write(&[Write::update(&name, vec![Value::Int(1)], vec![(scene::SIZE, Value::Int(1))])]).await?;
    // The application's own statement never fails because of us.
    let add = Write::AddColumn { table: name.clone(), column: Column::new("extra", Type::Text) };
    stage.write(&[add]).await.map_err(|failure| failure.at("ALTER TABLE of the application"))?;
    let mut row = plain_row(7, "new");
    row.push(Value::Text("x".into()));
    stage.write(&[Write::insert(&name, row), Write::delete(&name, vec![Value::Int(2)])]).await?;
    let wide = |table: &Table| table.name == name && table.columns.len() == 5;
    stage.tables[0] = shown(&*stage.source, wide).await.map_err(|failure| failure.at("with the new column"))?;
    must(stage.tables[0].version > version, || "the version did not grow with the shape".into())?;
    let mut wider = Replica::new(&stage.tables);
    for row in copied.rows(&name) {
        let row = row.into_iter().chain([Value::Null]).collect();
        wider.write(&[Write::insert(&name, row)]);
    }
    stage.converges("a column added", wider, &begun).await
}

pub async fn unknown_tables(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::new(scratch, &[scene::plain(&scratch.schema())]).await?;
    stage.begin().await?;
    let gone = Arc::new(scene::double(&scratch.schema()));
    let wanted = crate::source::Wanted {
        table: Arc::clone(&gone),
        keys: vec![key_from(&[Value::Text("k".into()), Value::Int(1)])],
    };
    let answers = stage.source.fetch(&[wanted], &stage.begun, usize::MAX).await?;
    same("tables in the answer", &answers.len(), &1)?;
    must(answers[0].table.is_none() && answers[0].rows == [None], || {
        format!("a table that is not there was answered with {:?}", answers[0])
    })?;
    match stage.source.copy(&gone, &KeyRange::all(), Columns::All, &stage.begun).await {
        Err(_) => Ok(()),
        Ok(mut feed) => {
            let first = feed.next(PATIENCE).await;
            must(!matches!(first, Ok(Next::Batch(_))), || format!("a copy of it gave {first:?}"))
        }
    }
}
