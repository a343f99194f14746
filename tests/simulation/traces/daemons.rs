//! State that is old or gone, targets that forget, daemons that meet.

use super::{green, order, quiet};
use crate::{
    simulation::{
        plan::{Plan, Trouble},
        process::Process,
        scene::{Rest, Scene},
        stage,
    },
    support::{
        faulty::{Fault, Gate},
        workload::orders,
    },
};
use std::{sync::Arc, time::Duration};
use whimbrel::{error::ErrorKind, model::Value, state::MemoryState};

async fn some_orders(scene: &mut Scene, from: i64) {
    for id in from..from + 10 {
        scene.transact(|t| t.insert(&orders(), order(id, 1)));
        scene.pass(Duration::from_millis(300)).await;
    }
    scene.caught_up(0).await;
}

#[test]
fn state_is_older_than_the_target() {
    green(stage(quiet(), async |scene| {
        scene.start().await;
        scene.streaming().await;
        let before = scene.state.snapshot();
        some_orders(scene, 1).await;
        scene.transact(|t| t.refill(&orders(), |row| row[1] = Value::Int(5)));
        scene.pass(Duration::from_millis(50)).await;
        scene.old_states = vec![before];
        scene.trouble(Trouble::StateOlder).await;
        scene.start().await;
        scene.settle().await
    }));
}

#[test]
fn state_is_lost_and_rebuilt_from_the_target() {
    green(stage(quiet(), async |scene| {
        scene.start().await;
        scene.streaming().await;
        some_orders(scene, 1).await;
        scene.transact(|t| t.delete(&orders(), &[Value::Int(1)]).map(drop));
        scene.trouble(Trouble::StateLost).await;
        scene.start().await;
        scene.settle().await
    }));
}

#[test]
fn a_target_loses_its_newest_commits_and_the_source_still_has_them() {
    let plan = Plan { retain: Duration::from_secs(120), ..quiet() };
    green(stage(plan, async |scene| {
        scene.start().await;
        scene.streaming().await;
        some_orders(scene, 1).await;
        scene.targets[0].world.make_durable();
        some_orders(scene, 11).await;
        scene.transact(|t| t.delete(&orders(), &[Value::Int(12)]).map(drop));
        scene.caught_up(0).await;
        scene.trouble(Trouble::TargetFailsOver).await;
        let rest = scene.settle().await?;
        assert_eq!(rest, Rest::Equal, "the log was kept");
        Ok(rest)
    }));
}

#[test]
fn a_target_loses_rows_of_its_copy() {
    let mut plan = quiet();
    plan.source.page_rows = 5;
    green(stage(plan, async |scene| {
        scene.transact(|t| (1..=40).try_for_each(|id| t.insert(&orders(), order(id, 1))));
        scene.start().await;
        scene.faults().queue("tail.next", [Fault::Hold(Arc::new(Gate::default()))]);
        scene.until("all is copied", |scene| scene.faults().count("tail.next") > 0).await;
        assert!(scene.targets[0].world.fail_over(3) > 0);
        let (_, rows) = scene.targets[0].world.rows(&orders()).expect("it was copied");
        assert!(rows.len() < 40, "no row was lost");
        scene.process.take().expect("it runs").kill().await;
        scene.start().await;
        scene.settle().await
    }));
}

#[test]
fn one_of_two_daemons_is_refused() {
    green(stage(quiet(), async |scene| {
        scene.start().await;
        scene.streaming().await;
        let clone: Arc<MemoryState> = Arc::new(scene.state.snapshot());
        let other = scene.start_on(&clone).await.expect("it knows the job");
        some_orders(scene, 1).await;
        scene.until("the first one gives up", |scene| scene.process.as_ref().is_some_and(Process::is_over)).await;
        let error = scene.process.take().expect("just seen").result().await.expect_err("it was overtaken");
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(!other.is_over());
        (scene.state, scene.process) = (clone, Some(other));
        some_orders(scene, 11).await;
        scene.settle().await
    }));
}
