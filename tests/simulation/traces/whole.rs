//! Transactions that the target holds open, and tables that change meanwhile.

use super::{green, order, quiet, text};
use crate::{
    simulation::{plan::Plan, stage},
    support::{
        faulty::{Fault, Gate},
        workload::{audit, orders},
    },
};
use std::sync::Arc;
use whimbrel::{
    connectors::memory::Images,
    model::{Column, Type, Value},
};

fn whole() -> Plan {
    let mut plan = Plan { transactional: true, ..quiet() };
    (plan.source.images, plan.source.batch_rows) = (Images::External, 3);
    plan
}

/// Lane protocol 5: a table changes between transactions. A target may be unable to alter one in the middle of it.
#[test]
fn a_row_fetched_ahead_alters_no_table_inside_a_transaction() {
    // Its key moved, or it is not there: it is fetched before its batch is handed out, or when it is applied.
    for (is_moved, applies) in [(true, 2), (false, 3)] {
        green(stage(whole(), async |scene| {
            let key = |id: i64| [Value::Int(id)];
            scene.transact(|t| (1..=2).try_for_each(|id| t.insert(&orders(), order(id, 1))));
            scene.start().await;
            scene.streaming().await;
            if !is_moved {
                scene.past_changed = true;
                scene.targets[0].world.transact(|t| t.delete(&orders(), &key(1)).map(drop)).expect("it is there");
            }
            let (fetched, last) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
            let (fetches, prepares) = (scene.faults().count("source.fetch"), scene.faults().count("a.prepare"));
            let held = scene.targets[0].world.counts().held;
            scene.faults().queue("source.fetch", [Fault::Hold(Arc::clone(&fetched))]);
            let passed = (0..applies).map(|_| Fault::Pass);
            scene.faults().queue("a.apply", passed.chain([Fault::Hold(Arc::clone(&last))]));
            scene.transact(|t| {
                (10..13).try_for_each(|id| t.insert(&orders(), order(id, 1)))?;
                match is_moved {
                    true => t.update(&orders(), &key(1), &[(0, Value::Int(101))])?,
                    false => t.update(&orders(), &key(1), &[(1, Value::Int(7))])?,
                };
                (13..17).try_for_each(|id| t.insert(&orders(), order(id, 1)))
            });
            scene.until("a row is asked for", |scene| scene.faults().count("source.fetch") > fetches).await;
            scene.transact(|t| t.add_column(&orders(), Column::new("extra", Type::Text), &Value::Null));
            let row = if is_moved { 101 } else { 1 };
            scene.transact(|t| t.update(&orders(), &key(row), &[(4, text("later"))]).map(drop));
            fetched.open();
            scene.until("two parts are held", |scene| scene.targets[0].world.counts().held >= held + 2).await;
            assert_eq!(scene.faults().count("a.prepare"), prepares, "a table was altered in the middle");
            last.open();
            scene.caught_up(0).await;
            let (shape, _) = scene.targets[0].world.rows(&orders()).expect("it was copied");
            assert!(shape.column("extra").is_some(), "the log tells of the column");
            scene.settle().await
        }));
    }
}

/// It is copied as at the start, once the transaction is through.
#[test]
fn a_table_without_a_key_is_made_anew_inside_a_transaction() {
    let mut plan = whole();
    plan.tables = vec![audit()];
    green(stage(plan, async |scene| {
        let row = |at: i64| vec![Value::Int(at), text("in")];
        scene.transact(|t| (1..=5).try_for_each(|at| t.insert(&audit(), row(at))));
        scene.start().await;
        scene.streaming().await;
        scene.transact(|t| {
            t.insert(&audit(), row(6))?;
            t.refill(&audit(), |row| row[1] = text("out"))?;
            (7..12).try_for_each(|at| t.insert(&audit(), row(at)))
        });
        scene.caught_up(0).await;
        scene.settle().await
    }));
}
