//! A target that is followed in its turn: what one job writes there is in its log for the next.

use super::support::*;
use std::{path::Path, sync::Arc};
use whimbrel::{
    error::ErrorKind,
    model::{Batch, Change, NO_ROW, Rows, Table, Value},
    target::{Applied, Claim},
};

const TABLE: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, e TEXT, n INT CHECK (n < 100));
    CREATE UNIQUE INDEX te ON t(e); INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2);";

fn upsert(table: &Arc<Table>, id: i64, e: &str, n: i64) -> Batch {
    let mut rows = Rows::default();
    let shape = rows.shape(table);
    let row = rows.add_row(&[Some(Value::Int(id)), Some(Value::Text(e.into())), Some(Value::Int(n))]);
    rows.push(shape, Change::Upsert, row, NO_ROW);
    batch(rows)
}

/// Keys in the log of a file, and by whom they were written.
fn noted(path: &Path) -> Vec<String> {
    let rows = shell(path, "SELECT k1 || ' by ' || origin FROM whimbrel_log WHERE tbl IS NOT NULL ORDER BY seq;");
    rows.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn what_follows_a_batch_that_was_rolled_back_is_still_logged() {
    let world = World::new();
    let a = world.database("a.db", TABLE);
    let tables = all_tables(&source(&a)).await;
    for transactional in [false, true] {
        let b = world.database(&format!("b{transactional}.db"), TABLE);
        let onward = source(&b);
        onward.begin(job(2), &all_tables(&onward).await).await.expect("begun");
        let claim = Claim { transactional, ..claim(job(1), 1, &tables) };
        let mut applier = Applier::open(target(&b), &claim, &tables).await;
        // The first batch of a connection, and the first after a change of the schema, find no triggers to log by.
        for (first, alter) in [(10, "CREATE TABLE other(x);"), (20, "CREATE INDEX ti ON t(n);")] {
            let clash = applier.apply(&upsert(&tables[0], first, "b", 1)).await.expect("answered");
            assert!(matches!(clash, Applied::Taken(_)), "{clash:?}");
            applier.apply(&upsert(&tables[0], first + 1, &format!("new {first}"), 1)).await.expect("applied");
            shell(&b, alter);
            let error = applier.apply(&upsert(&tables[0], first + 2, "refused", 100)).await.expect_err("a constraint");
            assert_eq!(error.kind(), ErrorKind::Refused);
            applier.apply(&upsert(&tables[0], first + 3, &format!("newer {first}"), 1)).await.expect("applied");
            shell(&b, &format!("CREATE TABLE other{first}(x);"));
        }
        if transactional {
            // The first part of a transaction that is rolled back with the second one.
            let part = Batch { complete: false, ..upsert(&tables[0], 30, "held", 1) };
            assert_eq!(applier.apply(&part).await.expect("applied"), Applied::Held);
            applier.apply(&upsert(&tables[0], 31, "refused", 100)).await.expect_err("a constraint");
            applier.number -= 1;
            applier.apply(&upsert(&tables[0], 30, "held", 1)).await.expect("applied");
        }
        let mut expected = vec![11, 13, 21, 23];
        expected.extend(transactional.then_some(30));
        let expected: Vec<String> = expected.iter().map(|id| format!("{id} by {}", job(1))).collect();
        assert_eq!(noted(&b), expected, "transactional: {transactional}");
    }
}
