//! Each kind of change, applied to rows that are there and rows that are not.

use super::drive::{Changes, Drive, log, place};
use crate::{
    certify::{
        check::{Failure, Verdict, must, same},
        fixture::Scratch,
        replica::key,
        scene::{self, double, double_row, loose, loose_row, plain, plain_row},
    },
    model::{Change, Criterion, KeyRange, Kind, Operator, Partition, Value},
    target::{Applied, Part},
};
use std::sync::Arc;

pub async fn rows(scratch: &dyn Scratch) -> Verdict {
    let plain = Arc::new(plain(&scratch.schema()));
    let mut drive = Drive::start(scratch, &[&plain]).await?;
    let row = |id, word| plain_row(id, word);
    drive.done(&Changes::new().upsert(&plain, row(1, "a")).upsert(&plain, row(2, "b"))).await?;
    drive.holds("two upserts", &plain, &[row(1, "a"), row(2, "b")]).await?;
    // All columns of a row that is there are replaced, its NULLs too.
    let nulls = vec![Value::Int(1), Value::Null, Value::Null, Value::Null];
    drive.done(&Changes::new().upsert(&plain, nulls.clone())).await?;
    drive.holds("an upsert of a row that is there", &plain, &[nulls, row(2, "b")]).await?;
    let there_and_not = Changes::new().delete(&plain, &[Value::Int(1)]).delete(&plain, &[Value::Int(77)]);
    drive.done(&there_and_not).await?;
    drive.holds("deletes of a row that is there and of one that is not", &plain, &[row(2, "b")]).await?;
    let order = Changes::new()
        .upsert(&plain, row(3, "a"))
        .upsert(&plain, row(3, "b"))
        .delete(&plain, &[Value::Int(2)])
        .upsert(&plain, row(2, "c"))
        .upsert(&plain, row(4, "d"))
        .delete(&plain, &[Value::Int(4)]);
    drive.done(&order).await?;
    drive.holds("changes of one key, in order", &plain, &[row(2, "c"), row(3, "b")]).await?;
    let moved = Changes::new().delete(&plain, &[Value::Int(2)]).upsert(&plain, row(1002, "c"));
    drive.done(&moved).await?;
    drive.holds("a key that moved", &plain, &[row(3, "b"), row(1002, "c")]).await?;
    let number = drive.number;
    drive.stands_at("after all of them", number).await
}

pub async fn unset(scratch: &dyn Scratch) -> Verdict {
    let plain = Arc::new(plain(&scratch.schema()));
    let mut drive = Drive::start(scratch, &[&plain]).await?;
    let mut expected = plain_row(1, "old");
    drive.done(&Changes::new().upsert(&plain, expected.clone())).await?;
    let patch = |name: Option<Value>, note: Option<Value>, size: Option<Value>| {
        Changes::new().patch(&plain, &[Some(Value::Int(1)), name, note, size])
    };
    drive.done(&patch(Some(Value::Text("new".into())), None, None)).await?;
    expected[1] = Value::Text("new".into());
    drive.holds("a patch of one column", &plain, std::slice::from_ref(&expected)).await?;
    drive.done(&patch(None, Some(Value::Null), None)).await?;
    expected[2] = Value::Null;
    drive.holds("a patch that sets NULL", &plain, std::slice::from_ref(&expected)).await?;
    // As it is already, and with nothing to set: both find their row.
    drive.done(&patch(Some(Value::Text("new".into())), None, None)).await?;
    drive.done(&patch(None, None, None)).await?;
    // Two patches of one row in one batch, of different columns.
    let both =
        patch(None, None, Some(Value::Int(5))).patch(&plain, &[Some(Value::Int(1)), Some(Value::Null), None, None]);
    drive.done(&both).await?;
    (expected[1], expected[3]) = (Value::Null, Value::Int(5));
    drive.holds("patches that change nothing, and two in a row", &plain, &[expected]).await
}

pub async fn missing(scratch: &dyn Scratch) -> Verdict {
    let plain = Arc::new(plain(&scratch.schema()));
    let mut drive = Drive::start(scratch, &[&plain]).await?;
    let before = [plain_row(1, "a"), plain_row(2, "b")];
    drive.done(&before.iter().fold(Changes::new(), |changes, row| changes.upsert(&plain, row.clone()))).await?;
    let patch = |changes: Changes, id: i64| {
        changes.patch(&plain, &[Some(Value::Int(id)), Some(Value::Text("patched".into())), None, None])
    };
    let changes = Changes::new().upsert(&plain, plain_row(5, "e"));
    let changes = patch(patch(patch(changes, 7), 1), 5).delete(&plain, &[Value::Int(2)]);
    let changes = patch(changes, 2).patch(&plain, &[Some(Value::Int(9)), None, None, None]);
    let applied = drive.apply(&changes).await?;
    let Applied::Missing(mut places) = applied else {
        return Err(Failure(format!("three patches without a row were answered with {applied:?}")));
    };
    places.sort_unstable();
    // 7 was never there, 2 is deleted before, 9 has nothing to set and is not there either; 5 was just written.
    same("patches without a row", &places, &vec![1, 5, 6])?;
    drive.holds("after Missing", &plain, &before).await?;
    drive.stands_at("after Missing", 1).await?;
    drive.done(&Changes::new().upsert(&plain, plain_row(7, "g"))).await?;
    drive.stands_at("the next try of that batch", 2).await
}

pub async fn composite(scratch: &dyn Scratch) -> Verdict {
    let double = Arc::new(double(&scratch.schema()));
    let mut drive = Drive::start(scratch, &[&double]).await?;
    let all = [("k", 1), ("k", 2), ("K", 1), ("k ", 1), ("é", 1), ("", -1)];
    let changes = all.iter().fold(Changes::new(), |changes, (a, b)| changes.upsert(&double, double_row(a, *b, "v")));
    drive.done(&changes).await?;
    let key = |a: &str, b: i64| scene::key_of(&double, &double_row(a, b, ""));
    let changes = Changes::new()
        .delete(&double, &key("k", 1))
        .upsert(&double, double_row("k", 2, "w"))
        .patch(&double, &[Some(Value::Null), Some(Value::Int(1)), Some(Value::Text("é".into()))])
        .delete(&double, &key("", 1));
    drive.done(&changes).await?;
    let mut gone_value = double_row("é", 1, "");
    gone_value[0] = Value::Null;
    let expected = [
        double_row("k", 2, "w"),
        double_row("K", 1, "v"),
        double_row("k ", 1, "v"),
        gone_value,
        double_row("", -1, "v"),
    ];
    drive.holds("composite keys", &double, &expected).await
}

pub async fn truncate(scratch: &dyn Scratch) -> Verdict {
    let (plain, double) = (Arc::new(plain(&scratch.schema())), Arc::new(double(&scratch.schema())));
    let mut drive = Drive::start(scratch, &[&plain, &double]).await?;
    let changes = Changes::new().upsert(&plain, plain_row(1, "a")).upsert(&double, double_row("k", 1, "v"));
    drive.done(&changes).await?;
    drive.done(&Changes::new().alone(&plain, Change::Truncate)).await?;
    drive.holds("after Truncate", &plain, &[]).await?;
    drive.holds("beside Truncate", &double, &[double_row("k", 1, "v")]).await?;
    drive.stands_at("after Truncate", 2).await?;
    drive.done(&Changes::new().alone(&plain, Change::Truncate)).await?;
    drive.done(&Changes::new().upsert(&plain, plain_row(1, "b"))).await?;
    drive.holds("written after Truncate", &plain, &[plain_row(1, "b")]).await
}

pub async fn matching(scratch: &dyn Scratch) -> Verdict {
    let plain = Arc::new(plain(&scratch.schema()));
    let mut drive = Drive::start(scratch, &[&plain]).await?;
    let row = |id: i64, name: &str, size: Option<i64>| {
        vec![Value::Int(id), Value::Text(name.into()), Value::Null, size.map_or(Value::Null, Value::Int)]
    };
    let all =
        [row(1, "a", Some(1)), row(2, "a", Some(2)), row(3, "b", Some(3)), row(4, "b", None), row(5, "c", Some(5))];
    drive.done(&all.iter().fold(Changes::new(), |changes, row| changes.upsert(&plain, row.clone()))).await?;
    let criterion = |column: usize, operator, value| Criterion {
        column: u16::try_from(column).expect("few columns"),
        operator,
        value,
    };
    let patch = [None, Some(Value::Text("patched".into())), None, None];
    let between = [criterion(3, Operator::Greater, Value::Int(1)), criterion(3, Operator::LessOrEqual, Value::Int(3))];
    drive.done(&Changes::new().matching(&plain, &between, Some(&patch))).await?;
    let mut expected = all;
    expected[1][1] = Value::Text("patched".into());
    expected[2][1] = Value::Text("patched".into());
    drive.holds("a patch of a range", &plain, &expected).await?;
    drive.done(&Changes::new().matching(&plain, &[criterion(3, Operator::Equal, Value::Null)], None)).await?;
    drive.holds("NULL equals nothing", &plain, &expected).await?;
    let two = [
        criterion(1, Operator::Equal, Value::Text("patched".into())),
        criterion(0, Operator::GreaterOrEqual, Value::Int(3)),
    ];
    drive.done(&Changes::new().matching(&plain, &two, None)).await?;
    drive.done(&Changes::new().matching(&plain, &[criterion(3, Operator::Less, Value::Int(2))], None)).await?;
    let [_, second, _, fourth, fifth] = expected;
    drive.holds("deletes by two criteria and by one", &plain, &[second, fourth, fifth]).await
}

pub async fn keyless(scratch: &dyn Scratch) -> Verdict {
    let loose = Arc::new(loose(&scratch.schema()));
    let mut drive = Drive::start(scratch, &[&loose]).await?;
    let rows = [loose_row(1, Some("a")), loose_row(1, Some("a")), loose_row(1, None), loose_row(2, None)];
    let all = rows.iter().fold(Changes::new(), |changes, row| changes.upsert(&loose, row.clone()));
    drive.done(&all.clone().upsert(&loose, loose_row(1, Some("a")))).await?;
    let mut expected = rows.to_vec();
    expected.push(loose_row(1, Some("a")));
    drive.holds("three equal rows and a NULL", &loose, &expected).await?;
    drive.done(&Changes::new().delete_one(&loose, loose_row(1, Some("a")))).await?;
    drive.holds("one of three equal rows deleted", &loose, &rows).await?;
    let changes = Changes::new().delete_one(&loose, loose_row(1, None)).delete_one(&loose, loose_row(1, Some("a")));
    drive.done(&changes).await?;
    drive.holds("a row with a NULL deleted", &loose, &[loose_row(1, Some("a")), loose_row(2, None)]).await
}

pub async fn copies(scratch: &dyn Scratch) -> Verdict {
    let (plain, double) = (Arc::new(plain(&scratch.schema())), Arc::new(double(&scratch.schema())));
    let drive = Drive::start(scratch, &[&plain, &double]).await?;
    let feed = Partition::new(Partition::COPY);
    let range = KeyRange { after: Some(key(0)), upto: None };
    let (from, to) = (range.position(9, &plain.name, None), range.position(9, &plain.name, Some(&key(3))));
    let mut rows: Vec<_> = (1..=3).map(|id| plain_row(id, "copied")).collect();
    let write = |rows: &[Vec<Value>], fresh| {
        let mut changes = rows.iter().fold(Changes::new(), |changes, row| changes.upsert(&plain, row.clone()));
        changes.kind = Kind::Copy { fresh };
        changes
    };
    let fresh = write(&rows, true);
    let part = Part { number: 1, lanes: &[1], of: 2, ..fresh.part(&feed, &from, &to) };
    same("a fresh copy", &drive.apply_part(part).await?, &Applied::Done)?;
    drive.holds("a fresh copy", &plain, &rows).await?;
    rows.iter_mut().for_each(|row| row[1] = Value::Text("again".into()));
    rows.push(plain_row(4, "more"));
    let again = write(&rows, false);
    let part = Part { number: 2, lanes: &[1], of: 2, ..again.part(&feed, &from, &to) };
    same("a range that had begun", &drive.apply_part(part).await?, &Applied::Done)?;
    drive.holds("a copy over rows that are there", &plain, &rows).await?;
    let mark = drive.mark(&feed, 1).await?;
    same("the copy's watermark", &(mark.batch, mark.lanes), &(2, 2))?;
    let read = KeyRange::from_position(&mark.to);
    same("range and key in the watermark", &read, &Some((9, plain.name.clone(), range.clone(), Some(key(3)))))?;
    same("another connection's watermark", &drive.mark(&feed, 0).await?.batch, &0)?;
    must(drive.mark(&log(), 0).await?.to == place(0), || "a copy moved the log's watermark".into())
}
