//! A copy covers its table exactly once, however it is cut and wherever it goes on.

use super::stage::Stage;
use crate::{
    certify::{
        check::{Failure, Verdict, must, same},
        fixture::{Scratch, Write},
        replica::{equal_rows, key_from},
        scene::{double, double_row, key_of, loose, loose_row, plain, plain_row},
        tape,
    },
    model::{Batch, Change, Field, Key, KeyRange, Table, Value},
    source::Columns,
};
use std::sync::Arc;

const ROWS: i64 = 157;

/// `plain` and `double` with rows, begun.
async fn filled(scratch: &dyn Scratch) -> Result<Stage<'_>, Failure> {
    let schema = scratch.schema();
    let mut stage = Stage::new(scratch, &[plain(&schema), double(&schema)]).await?;
    let (plain, double) = (stage.tables[0].name.clone(), stage.tables[1].name.clone());
    // Gaps, negative keys, keys that end alike.
    stage.write(&(0..ROWS).map(|n| Write::insert(&plain, plain_row((n - 40) * 3, "row"))).collect::<Vec<_>>()).await?;
    // A store that takes 'a ' for 'a' cannot hold both.
    let spaced = if stage.tables[1].has_coarse_key() { "a -" } else { "a " };
    let letter = |n: i64| ["", "a", "A", spaced, "b", "é", "zz", "Z"][usize::try_from(n % 8).expect("small")];
    let rows = (0..ROWS).map(|n| Write::insert(&double, double_row(letter(n), n / 8 - 5, "row")));
    stage.write(&rows.collect::<Vec<_>>()).await?;
    stage.begin().await?;
    Ok(stage)
}

/// The rows of copied batches, in order.
fn rows_of(batches: &[Batch]) -> Vec<Vec<Value>> {
    let rows = |batch: &Batch| {
        let rows = batch.rows();
        let one = |place| rows.row(place).to_values().into_iter().map(|value| value.unwrap_or(Value::Null)).collect();
        rows.mutations.iter().map(|mutation| one(mutation.row)).collect::<Vec<_>>()
    };
    batches.iter().flat_map(rows).collect()
}

/// The key up to which a copy has come, as its position names it.
fn done(batch: &Batch) -> Result<Option<Key>, Failure> {
    let read = KeyRange::from_position(&batch.to);
    read.map(|(_, _, _, done)| done).ok_or_else(|| Failure(format!("{:?} is no position of a copy", batch.to)))
}

/// The ranges follow each other from end to end.
fn adjoin(what: &str, ranges: &[KeyRange], whole: &KeyRange) -> Verdict {
    let mut after = whole.after.clone();
    for range in ranges {
        same(&format!("{what}: where a range starts"), &range.after, &after)?;
        after.clone_from(&range.upto);
    }
    must(!ranges.is_empty(), || format!("{what}: no range"))?;
    same(&format!("{what}: where the last range ends"), &after, &whole.upto)
}

pub async fn covers(scratch: &dyn Scratch) -> Verdict {
    let stage = filled(scratch).await?;
    let now = stage.now().await?;
    for table in &stage.tables {
        for pieces in [1, 2, 3, 7, 64, 1000] {
            let what = format!("{} in {pieces} pieces", table.name);
            let ranges = stage.source.split(table, &KeyRange::all(), pieces).await?;
            must(ranges.len() <= pieces, || format!("{what}: {} ranges", ranges.len()))?;
            adjoin(&what, &ranges, &KeyRange::all())?;
            let mut found = Vec::new();
            for range in &ranges {
                found.extend(rows_of(&stage.copy(table, range, Columns::All, &now).await?));
            }
            equal_rows(&what, &found, &stage.replica.rows(&table.name))?;
        }
        // A range cut again: an idle connection takes half of what another has.
        let ranges = stage.source.split(table, &KeyRange::all(), 3).await?;
        let whole = &ranges[ranges.len() / 2];
        let again = stage.source.split(table, whole, 4).await?;
        adjoin("a range cut again", &again, whole)?;
        let mut found = Vec::new();
        for range in &again {
            found.extend(rows_of(&stage.copy(table, range, Columns::All, &now).await?));
        }
        let expected = rows_of(&stage.copy(table, whole, Columns::All, &now).await?);
        equal_rows("a range cut again", &found, &expected)?;
    }
    Ok(())
}

pub async fn outside(scratch: &dyn Scratch) -> Verdict {
    let mut stage = filled(scratch).await?;
    let table = Arc::clone(&stage.tables[0]);
    let ranges = stage.source.split(&table, &KeyRange::all(), 5).await?;
    let late = [i64::MIN, -1_000_000, 1, 1_000_000, i64::MAX];
    let inserts =
        late.map(|id| Write::insert(&table.name, vec![Value::Int(id), Value::Null, Value::Null, Value::Null]));
    stage.write(&inserts).await?;
    let at = stage.now().await?;
    let mut found = Vec::new();
    for range in &ranges {
        found.extend(rows_of(&stage.copy(&table, range, Columns::All, &at).await?));
    }
    equal_rows("keys beyond those that were there when it was split", &found, &stage.replica.rows(&table.name))
}

pub async fn empty(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::new(scratch, &[plain(&scratch.schema())]).await?;
    stage.begin().await?;
    let (table, now) = (Arc::clone(&stage.tables[0]), stage.now().await?);
    let ranges = stage.source.split(&table, &KeyRange::all(), 8).await?;
    adjoin("an empty table", &ranges, &KeyRange::all())?;
    for range in &ranges {
        let rows = rows_of(&stage.copy(&table, range, Columns::All, &now).await?);
        must(rows.is_empty(), || format!("an empty table has the rows {rows:?}"))?;
    }
    Ok(())
}

pub async fn resumes(scratch: &dyn Scratch) -> Verdict {
    let stage = filled(scratch).await?;
    let now = stage.now().await?;
    for table in &stage.tables {
        let ranges = stage.source.split(table, &KeyRange::all(), 3).await?;
        for range in [&KeyRange::all(), &ranges[0], &ranges[ranges.len() - 1]] {
            let batches = stage.copy(table, range, Columns::All, &now).await?;
            let mut from = None;
            for (number, batch) in batches.iter().enumerate() {
                let what = format!("{} after batch {number} of a copy", table.name);
                must(batch.complete, || format!("{what}: it is not complete"))?;
                let begins = KeyRange::from_position(&batch.from).map(|(_, _, _, done)| done);
                same(&format!("{what}: it begins after"), &begins, &Some(from))?;
                from = done(batch)?;
                let rest = KeyRange { after: from.clone(), upto: range.upto.clone() };
                let found = rows_of(&stage.copy(table, &rest, Columns::All, &now).await?);
                equal_rows(&what, &found, &rows_of(&batches[number + 1..]))?;
            }
        }
        // And after any row: what a restart reads in the watermark is the key of a row.
        let all = rows_of(&stage.copy(table, &KeyRange::all(), Columns::All, &now).await?);
        for (number, row) in all.iter().enumerate().step_by(37) {
            let rest = KeyRange { after: Some(key_from(&key_of(table, row))), upto: None };
            let found = rows_of(&stage.copy(table, &rest, Columns::All, &now).await?);
            equal_rows(&format!("{} after row {number}", table.name), &found, &all[number + 1..])?;
        }
    }
    Ok(())
}

pub async fn keys(scratch: &dyn Scratch) -> Verdict {
    let stage = filled(scratch).await?;
    let now = stage.now().await?;
    for table in &stage.tables {
        let batches = stage.copy(table, &KeyRange::all(), Columns::Key, &now).await?;
        let mut found = Vec::new();
        for batch in &batches {
            for mutation in &batch.rows().mutations {
                found.push(key_alone(table, batch, mutation.change, mutation.row)?);
            }
        }
        found.sort();
        same(&format!("keys of {}", table.name), &found, &stage.replica.keys(&table.name))?;
    }
    Ok(())
}

fn key_alone(table: &Table, batch: &Batch, change: Change, row: u32) -> Result<Key, Failure> {
    same("a key of a copy", &change, &Change::Touched)?;
    let row = batch.rows().row(row);
    for (column, field) in row.fields().enumerate() {
        must(table.key.contains(&column) || field == Field::Unset, || {
            format!("column {column} came with the keys: {field:?}")
        })?;
    }
    Key::of(table, row).ok_or_else(|| Failure("a key that is not whole".into()))
}

pub async fn sees(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::new(scratch, &[plain(&scratch.schema())]).await?;
    stage.begin().await?;
    let table = Arc::clone(&stage.tables[0]);
    let mut stands = stage.begun.clone();
    let mut feed = stage.tail(&stands, &[]).await?;
    for round in 0..12 {
        stage.write(&[Write::insert(&table.name, plain_row(round, "seen"))]).await?;
        let mark = stage.source.mark().await?;
        tape::read(&*stage.source, &mut *feed, &mut stands, &mark).await?;
        // R2: at once, and by an instance that knows nothing of the tail.
        let other = Stage { source: scratch.source()?, ..Stage::over(&stage) };
        let found = rows_of(&other.copy(&table, &KeyRange::all(), Columns::All, &stands).await?);
        equal_rows(&format!("copied after change {round}"), &found, &stage.replica.rows(&table.name))?;
    }
    Ok(())
}

pub async fn keyless(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::new(scratch, &[loose(&scratch.schema())]).await?;
    let table = Arc::clone(&stage.tables[0]);
    must(table.is_keyless(), || format!("a table without a key got the key {:?}", table.key))?;
    let inserts = |range: std::ops::Range<i64>| {
        range.map(|x| Write::insert(&table.name, loose_row(x / 2, (x % 3 == 0).then_some("y")))).collect::<Vec<_>>()
    };
    stage.write(&inserts(0..40)).await?;
    stage.begin().await?;
    stage.write(&inserts(10..14)).await?;
    let ranges = stage.source.split(&table, &KeyRange::all(), 8).await?;
    same("ranges of a table without a key", &ranges, &vec![KeyRange::all()])?;
    let mut feed = stage.source.copy(&table, &KeyRange::all(), Columns::All, &stage.begun).await?;
    let at = feed.stands_at().ok_or_else(|| Failure("a copy without a key does not say where it stands".into()))?;
    stage.write(&inserts(60..63)).await?;
    let mut copied = crate::certify::replica::Replica::new(&stage.tables);
    while let Some(batch) = super::stage::next_copied(&mut *feed).await? {
        batch.rows().mutations.iter().try_for_each(|mutation| copied.apply(batch.rows(), mutation, true))?;
        stage.write(&[Write::DeleteOne { table: table.name.clone(), row: loose_row(5, None) }]).await?;
    }
    let gone = [loose_row(0, Some("y")), loose_row(6, Some("y")), loose_row(7, None)];
    for row in gone {
        stage.write(&[Write::DeleteOne { table: table.name.clone(), row }]).await?;
    }
    // Exactly: what is before is in the copy, what is after is not.
    for told in stage.read(&at, &[]).await? {
        let rows = told.batch.rows();
        rows.mutations.iter().try_for_each(|mutation| copied.apply(rows, mutation, true))?;
    }
    let there = scratch.rows(&table.name).await?.unwrap_or_default();
    equal_rows("a table without a key, copied and replayed", &copied.rows(&table.name), &there)
}
