//! Rows by key: those that are there, those that are not, as many as fit.

use super::stage::Stage;
use crate::{
    certify::{
        check::{Verdict, must, same},
        fixture::{Scratch, Write},
        replica::{key, key_from},
        scene::{double, double_row, key_of, plain, plain_row, spelled as spelled_table},
        tape,
    },
    model::{Equality, Key, Value},
    source::Wanted,
};
use std::sync::Arc;

pub async fn rows(scratch: &dyn Scratch) -> Verdict {
    let schema = scratch.schema();
    let mut stage = Stage::new(scratch, &[plain(&schema), double(&schema)]).await?;
    let (plain, double) = (Arc::clone(&stage.tables[0]), Arc::clone(&stage.tables[1]));
    let mut writes: Vec<_> = (0..30).map(|id| Write::insert(&plain.name, plain_row(id, "here"))).collect();
    writes.extend((0..5).map(|b| Write::insert(&double.name, double_row("k", b, "here"))));
    stage.write(&writes).await?;
    stage.begin().await?;
    let pair = |a: &str, b: i64| key_from(&key_of(&double, &double_row(a, b, "")));
    // Not in key order, gone ones between, one key twice, two tables in one call.
    let wanted = [
        Wanted { table: Arc::clone(&plain), keys: [7, 99, 3, 29, -1, 7, 0].map(key).to_vec() },
        Wanted { table: Arc::clone(&double), keys: vec![pair("k", 4), pair("K", 4), pair("k", 0), pair("k", 5)] },
        Wanted { table: Arc::clone(&plain), keys: Vec::new() },
    ];
    let now = stage.now().await?;
    let answers = stage.source.fetch(&wanted, &now, usize::MAX).await?;
    same("answers", &answers.len(), &3)?;
    let found = |answer: usize| {
        let answer = &answers[answer];
        let row = |index: usize| answer.row(index).map(|row| row.to_values().into_iter().flatten().collect::<Vec<_>>());
        (0..answer.rows.len()).map(row).collect::<Vec<_>>()
    };
    let here = |id: i64| Some(plain_row(id, "here"));
    same("rows by key", &found(0), &vec![here(7), None, here(3), here(29), None, here(7), here(0)])?;
    let here = |b: i64| Some(double_row("k", b, "here"));
    same("rows by composite key", &found(1), &vec![here(4), None, here(0), None])?;
    same("rows for no keys", &found(2), &Vec::new())?;
    must(answers.iter().all(|answer| answer.table.is_some()), || "an answer without a shape".into())
}

/// A target that compares as coarsely would lose the row of a key that is "gone".
pub async fn spelled(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::new(scratch, &[spelled_table(&scratch.schema())]).await?;
    let table = Arc::clone(&stage.tables[0]);
    let row = vec![Value::Text("Word".into()), Value::Int(1)];
    stage.write(&[Write::insert(&table.name, row.clone())]).await?;
    stage.begin().await?;
    let text = |word: &str| key_from(&[Value::Text(word.into())]);
    let wanted = Wanted { table: Arc::clone(&table), keys: ["wORD", "Word", "words"].map(text).to_vec() };
    let now = stage.now().await?;
    let answer = stage.source.fetch(&[wanted], &now, usize::MAX).await?.remove(0);
    let found: Vec<_> = (0..3).map(|index| answer.row(index).map(|row| row.to_values())).collect();
    let there = Some(row.into_iter().map(Some).collect::<Vec<_>>());
    let shape = answer.table.as_ref().unwrap_or(&table);
    let other = if shape.columns[0].equality == Equality::Coarse { there.clone() } else { None };
    same("rows by other spellings", &found, &vec![other, there, None])
}

pub async fn bounded(scratch: &dyn Scratch) -> Verdict {
    let schema = scratch.schema();
    let mut stage = Stage::new(scratch, &[plain(&schema)]).await?;
    let table = Arc::clone(&stage.tables[0]);
    let note = |id: i64| Value::Text("x".repeat(usize::try_from(id).expect("positive") * 100));
    let row = |id: i64| vec![Value::Int(id), Value::Null, note(id), Value::Null];
    stage.write(&(0..24).map(|id| Write::insert(&table.name, row(id))).collect::<Vec<_>>()).await?;
    stage.begin().await?;
    let now = stage.now().await?;
    for max_bytes in [1, 700, 5_000, 1 << 20] {
        let all: Vec<Key> = [-1, -2].into_iter().chain((0..24).rev()).map(key).collect();
        let mut left = &all[..];
        let mut rows = Vec::new();
        while !left.is_empty() {
            let wanted = Wanted { table: Arc::clone(&table), keys: left.to_vec() };
            let answer = stage.source.fetch(&[wanted], &now, max_bytes).await?.remove(0);
            let given = answer.rows.len();
            must(given > 0 && given <= left.len(), || format!("{given} rows for {} keys", left.len()))?;
            let found: Vec<_> = (0..given).filter_map(|index| answer.row(index)).collect();
            let bytes: usize = found.iter().map(|row| row.bytes().len()).sum();
            must(bytes <= max_bytes || found.len() == 1, || {
                format!("{} rows of {bytes} bytes where {max_bytes} were the bound", found.len())
            })?;
            rows.extend((0..given).map(|index| answer.row(index).and_then(|row| row.get(0).value()).is_some()));
            left = &left[given..];
        }
        let expected: Vec<bool> = [false, false].into_iter().chain([true; 24]).collect();
        same(&format!("keys found, {max_bytes} bytes a call"), &rows, &expected)?;
    }
    Ok(())
}

/// R2: what the tail has told of is visible to a fetch that names its position, at once.
pub async fn sees(scratch: &dyn Scratch) -> Verdict {
    let mut stage = Stage::begun(scratch).await?;
    let (table, begun) = (Arc::clone(&stage.tables[0]), stage.begun.clone());
    let mut feed = stage.tail(&begun, &[]).await?;
    let mut stands = begun;
    for round in 0..20 {
        let id = round % 3;
        stage.write(&[Write::delete(&table.name, vec![Value::Int(id)])]).await?;
        if round % 4 != 3 {
            stage.write(&[Write::insert(&table.name, plain_row(id, &round.to_string()))]).await?;
        }
        let mark = stage.source.mark().await?;
        tape::read(&*stage.source, &mut *feed, &mut stands, &mark).await?;
        let wanted = Wanted { table: Arc::clone(&table), keys: vec![key(id)] };
        let answer = scratch.source()?.fetch(&[wanted], &stands, usize::MAX).await?.remove(0);
        let found = answer.row(0).map(|row| row.to_values().into_iter().flatten().collect::<Vec<_>>());
        let expected = (round % 4 != 3).then(|| plain_row(id, &round.to_string()));
        same(&format!("row {id} after change {round} was told"), &found, &expected)?;
    }
    Ok(())
}
