//! Rows that were fetched are newer than the batch that asked for them.

use super::{Scene, green, order, text, with_source};
use crate::{
    simulation::{Outcome, plan::Plan, stage},
    support::{
        faulty::{Fault, Gate},
        workload::{leaves, orders, trees},
    },
};
use std::sync::Arc;
use whimbrel::{
    connectors::memory::{Cascades, Images},
    model::{Unique, Value},
};

#[test]
fn a_fetched_row_is_ahead_of_its_batch_and_the_log_converges() {
    let plan = with_source(|habits| (habits.images, habits.batch_commits) = (Images::Keys, 1));
    green(stage(plan, async |scene| {
        let key = |id: i64| [Value::Int(id)];
        scene.transact(|t| (1..=3).try_for_each(|id| t.insert(&orders(), order(id, 1))));
        scene.start().await;
        scene.streaming().await;
        let gates = [Arc::new(Gate::default()), Arc::new(Gate::default())];
        scene.faults().queue("source.fetch", gates.iter().map(|gate| Fault::Hold(Arc::clone(gate))));
        let fetched = scene.faults().count("source.fetch");
        // All three in the batch that asks first; what becomes of them later is in batches of their own.
        scene.transact(|t| (1..=3).try_for_each(|id| t.update(&orders(), &key(id), &[(1, Value::Int(2))]).map(drop)));
        scene.until("the rows are asked for", |scene| scene.faults().count("source.fetch") > fetched).await;
        scene.transact(|t| t.update(&orders(), &key(1), &[(1, Value::Int(3))]).map(drop));
        scene.transact(|t| t.delete(&orders(), &key(2)).map(drop));
        scene.transact(|t| t.delete(&orders(), &key(3)).map(drop));
        scene.transact(|t| t.insert(&orders(), order(3, 9)));
        gates[0].open();
        scene
            .until("the first batch is there", |scene| scene.targets[0].world.rows(&orders()).unwrap().1.len() == 2)
            .await;
        let (_, rows) = scene.targets[0].world.rows(&orders()).expect("it was copied");
        assert_eq!(rows, [order(1, 3), order(3, 9)], "as the source has them now");
        // The process forgets what it fetched; the rest of the log is told again.
        scene.kill().await;
        gates[1].open();
        scene.start().await;
        scene.settle().await
    }));
}

/// A fetched child points to a key that another parent gives up first, and its own takes later: the process that took the
/// first change is not the one that meets the second.
pub fn a_parents_key_is_taken_over_a_restart() -> Outcome {
    let plan = with_source(|habits| {
        (habits.images, habits.cascades, habits.batch_commits) = (Images::Keys, Cascades::Matching, 1);
    });
    stage(Plan { tables: vec![trees(), leaves()], ..plan }, async |scene| {
        let leaf = |id: i64, tree: i64| vec![Value::Int(id), Value::Int(tree), text("green"), text("")];
        let parent = |scene: &Scene, id: i64| {
            let (_, rows) = scene.targets[0].world.rows(&leaves()).expect("it was copied");
            rows.into_iter().find(|row| row[0] == Value::Int(id)).map(|row| row[1].clone())
        };
        let moves = |scene: &Scene, from: i64, to: i64| {
            scene.transact(|t| t.update(&trees(), &[Value::Int(from)], &[(0, Value::Int(to))]).map(drop));
        };
        scene.transact(|t| {
            [5, 7].into_iter().try_for_each(|id| t.insert(&trees(), vec![Value::Int(id), text("oak")]))?;
            [leaf(1, 7), leaf(2, 5)].into_iter().try_for_each(|row| t.insert(&leaves(), row))
        });
        scene.start().await;
        scene.streaming().await;
        // What is taken for another's until then is wrong, and is known to be.
        scene.past_changed = true;
        let gate = Arc::new(Gate::default());
        scene.faults().queue("source.fetch", [Fault::Hold(Arc::clone(&gate))]);
        let fetched = scene.faults().count("source.fetch");
        scene.transact(|t| t.update(&leaves(), &[Value::Int(1)], &[(2, text("red"))]).map(drop));
        scene.until("the leaf is asked for", |scene| scene.faults().count("source.fetch") > fetched).await;
        moves(scene, 5, 9);
        moves(scene, 7, 5);
        gate.open();
        scene.until("both are taken for the first one's", |scene| parent(scene, 1) == Some(Value::Int(9))).await;
        scene.kill().await;
        scene.start().await;
        scene.settle().await
    })
}

#[test]
fn children_of_two_parents_are_told_apart_over_a_restart() {
    green(a_parents_key_is_taken_over_a_restart());
}

/// Somebody deleted a row in the target: a patch that finds none is no patch to skip.
#[test]
fn a_patch_that_finds_no_row_brings_it() {
    let plan = with_source(|habits| habits.images = Images::External);
    green(stage(plan, async |scene| {
        scene.transact(|t| t.insert(&orders(), order(1, 1)));
        scene.start().await;
        scene.streaming().await;
        // From here on only the end can be judged.
        scene.past_changed = true;
        scene.targets[0].world.transact(|t| t.delete(&orders(), &[Value::Int(1)]).map(drop)).expect("it is there");
        scene.transact(|t| t.update(&orders(), &[Value::Int(1)], &[(1, Value::Int(2))]).map(drop));
        scene.caught_up(0).await;
        assert!(scene.targets[0].world.counts().missing > 0, "the patch found a row");
        scene.settle().await
    }));
}

/// Rows ahead of the log have values that others still hold there: an index that is made meanwhile does not fit yet.
#[test]
fn a_unique_index_is_made_once_the_rows_fit() {
    let plan = with_source(|habits| (habits.images, habits.batch_commits) = (Images::External, 1));
    green(stage(plan, async |scene| {
        fn set(scene: &Scene, id: i64, column: usize, value: Value) {
            scene.transact(|t| t.update(&orders(), &[Value::Int(id)], &[(column, value)]).map(drop));
        }
        scene.transact(|t| {
            [(1, 1), (2, 2), (3, 2)].into_iter().try_for_each(|(id, n)| t.insert(&orders(), order(id, n)))
        });
        scene.start().await;
        scene.streaming().await;
        scene.past_changed = true;
        scene.targets[0].world.transact(|t| t.delete(&orders(), &[Value::Int(1)]).map(drop)).expect("it is there");
        let gate = Arc::new(Gate::default());
        scene.faults().queue("source.fetch", [Fault::Hold(Arc::clone(&gate))]);
        let fetched = scene.faults().count("source.fetch");
        set(scene, 1, 2, text("fetched"));
        scene.until("the row is asked for", |scene| scene.faults().count("source.fetch") > fetched).await;
        set(scene, 3, 1, Value::Int(5));
        set(scene, 2, 1, Value::Int(3));
        let unique = Unique { name: "orders_amount".into(), columns: vec![1], definition: None };
        scene.transact(|t| t.add_unique(&orders(), unique));
        // The row that is fetched takes the value that row 2 has when the index is made.
        set(scene, 2, 1, Value::Int(4));
        set(scene, 1, 1, Value::Int(3));
        gate.open();
        scene.caught_up(0).await;
        scene.streaming().await;
        let ledger = scene.targets[0].world.ledger();
        assert!(ledger.jobs[&scene.plan.job()].prepared[&orders()].finished, "it streams without its index");
        scene.settle().await
    }));
}
