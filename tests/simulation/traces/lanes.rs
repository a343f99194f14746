//! Batches that reach a target in part, late, or without an answer.

use super::{green, order, person, quiet, text};
use crate::{
    simulation::{Outcome, plan::Plan, scene::Scene, stage},
    support::{
        faulty::Fault,
        workload::{audit, orders, people},
    },
};
use std::time::Duration;
use whimbrel::{
    connectors::memory::{Images, Transaction},
    error::Result,
    model::Value,
};

/// Two lanes, and batches large enough for both.
fn two_lanes() -> Plan {
    Plan { lanes: 2, ..quiet() }
}

fn hundred_orders(from: i64) -> impl FnOnce(&mut Transaction<'_>) -> Result<()> {
    move |t| (from..from + 100).try_for_each(|id| t.insert(&orders(), order(id, 1)))
}

/// One transaction reaches lane 0 of a target; the process dies before it is sent to lane 1.
async fn tear(scene: &mut Scene, target: usize, work: impl FnOnce(&mut Transaction<'_>) -> Result<()>) {
    let operation = format!("{}.apply", scene.targets[target].name);
    scene.faults().queue(&operation, [Fault::Pass, Fault::Die { done: false }]);
    scene.transact(work);
    scene.until("the process died", |scene| scene.process.is_none()).await;
    scene.until("one of two lanes has it", |scene| scene.is_torn(target)).await;
}

#[test]
fn a_torn_batch_goes_to_the_lanes_that_lack_it() {
    green(stage(two_lanes(), async |scene| {
        scene.start().await;
        scene.streaming().await;
        tear(scene, 0, hundred_orders(1)).await;
        let applied = scene.targets[0].world.counts().applies;
        scene.ask_for_lanes(5).await;
        scene.source.set_habits(|habits| habits.batch_rows = 7);
        scene.start().await;
        scene.until("it is whole", |scene| !scene.is_torn(0)).await;
        let world = &scene.targets[0].world;
        assert_eq!(world.counts().applies, applied + 1, "one lane lacked it, one transaction went there");
        scene.settle().await
    }));
}

/// Read again in pieces, a row that is gone by now comes as a delete, and then a patch of it, older than that.
pub fn torn_and_read_in_pieces() -> Outcome {
    let mut plan = two_lanes();
    plan.source.images = Images::External;
    stage(plan, async |scene| {
        scene.transact(|t| (1..=8).try_for_each(|id| t.insert(&orders(), order(id, 1))));
        scene.start().await;
        scene.streaming().await;
        let moved = |id: i64| [Value::Int(id + 1_000)];
        tear(scene, 0, |t| {
            hundred_orders(100)(t)?;
            for id in 1..=8 {
                t.update(&orders(), &[Value::Int(id)], &[(0, moved(id)[0].clone())])?;
                t.update(&orders(), &moved(id), &[(1, Value::Int(2))])?;
            }
            Ok(())
        })
        .await;
        scene.transact(|t| (1..=8).try_for_each(|id| t.delete(&orders(), &moved(id)).map(drop)));
        scene.source.set_habits(|habits| habits.batch_rows = 1);
        scene.start().await;
        scene.settle().await
    })
}

#[test]
fn a_torn_batch_is_read_again_in_pieces() {
    green(torn_and_read_in_pieces());
}

#[test]
fn two_targets_are_torn_at_different_batches_and_one_is_down_over_a_restart() {
    let mut plan = two_lanes();
    plan.targets.push(plan.targets[0].clone());
    green(stage(plan, async |scene| {
        scene.start().await;
        scene.streaming().await;
        tear(scene, 1, hundred_orders(1)).await;
        scene.targets[1].world.go_down(Duration::from_secs(600));
        scene.ask_for_lanes(3).await;
        scene.start().await;
        scene.caught_up(0).await;
        scene.ask_for_lanes(2).await;
        scene.process.take().expect("it runs").stop(Duration::from_secs(60)).await?;
        scene.start().await;
        scene.pass(Duration::from_secs(5)).await;
        tear(scene, 0, hundred_orders(201)).await;
        assert!(scene.is_torn(1), "it was down all the time");
        scene.ask_for_lanes(5).await;
        scene.start().await;
        scene.settle().await
    }));
}

/// Rows without a key show whether a batch was applied again.
#[test]
fn a_lost_answer_is_looked_up() {
    let plan = Plan { tables: vec![audit()], ..quiet() };
    green(stage(plan, async |scene| {
        scene.start().await;
        scene.streaming().await;
        let opened = scene.faults().count("a.open");
        scene.faults().queue("a.apply", [Fault::LoseAnswer]);
        let row = vec![Value::Int(1), text("in")];
        scene.transact(|t| (0..3).try_for_each(|_| t.insert(&audit(), row.clone())));
        scene.caught_up(0).await;
        scene.until("it was asked", |scene| scene.faults().count("a.open") > opened).await;
        scene.settle().await
    }));
}

#[test]
fn a_late_transaction_of_a_dead_process_is_refused() {
    green(stage(quiet(), async |scene| {
        scene.transact(|t| t.insert(&orders(), order(1, 1)));
        scene.start().await;
        scene.streaming().await;
        scene.targets[0].world.stall(Duration::from_secs(30));
        let sent = scene.faults().count("a.apply");
        scene.transact(|t| t.update(&orders(), &[Value::Int(1)], &[(1, Value::Int(2))]).map(drop));
        scene.until("it is on its way", |scene| scene.faults().count("a.apply") > sent).await;
        scene.pass(Duration::from_millis(100)).await;
        scene.kill().await;
        scene.transact(|t| t.delete(&orders(), &[Value::Int(1)]).map(drop));
        scene.start().await;
        scene.until("the zombie was refused", |scene| scene.targets[0].world.counts().refused_zombies > 0).await;
        scene.settle().await
    }));
}

/// Some of them with a value in between, so that there is an order in which they fit; the others only all at once.
#[test]
fn unique_values_are_swapped_over_two_lanes() {
    let mut plan = Plan { tables: vec![people()], ..two_lanes() };
    plan.source.deferred_uniques = true;
    for (rotated, fetches) in [(false, 0), (true, 1)] {
        green(stage(plan.clone(), async |scene| {
            scene.transact(|t| (1..=20).try_for_each(|id| t.insert(&people(), person(id))));
            scene.start().await;
            scene.streaming().await;
            let fetched = scene.source.counts().fetches;
            scene.transact(|t| {
                (100..200).try_for_each(|id| t.insert(&people(), person(id)))?;
                for one in (1..=20).step_by(2) {
                    let mut mail = |id: i64, mail: String| t.update(&people(), &[Value::Int(id)], &[(1, text(&mail))]);
                    if !rotated {
                        mail(one, "between".into())?;
                    }
                    mail(one + 1, format!("m{one}"))?;
                    mail(one, format!("m{}", one + 1))?;
                }
                Ok(())
            });
            scene.caught_up(0).await;
            assert!(scene.targets[0].world.counts().taken > 0, "no lane met the value of another");
            assert_eq!(scene.source.counts().fetches.min(fetched + 1), fetched + fetches, "rotated: {rotated}");
            scene.settle().await
        }));
    }
}
