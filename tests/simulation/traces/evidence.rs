//! A job that is idle, or hears nothing: what it shows is what it can prove.

use super::{Scene, green, order, quiet};
use crate::{
    simulation::{
        plan::{Plan, Trouble},
        scene::Rest,
        stage,
    },
    support::{faulty::Fault, workload::orders},
};
use std::{sync::Arc, time::Duration};
use whimbrel::{
    error::ErrorKind,
    pipeline::status::{Observed, TargetStatus},
    state::MemoryState,
};

impl Scene {
    fn shown(&self) -> TargetStatus {
        self.process().status().targets["a"].clone()
    }
}

#[test]
fn a_feed_that_learns_nothing_is_no_evidence() {
    green(stage(quiet(), async |scene| {
        scene.start().await;
        scene.streaming().await;
        scene.faults().mute(true);
        scene.pass(Duration::from_secs(3)).await;
        let heard = scene.shown().last_answer_ms;
        scene.transact(|t| t.insert(&orders(), order(1, 1)));
        scene.until("it stalls", |scene| scene.shown().observed == Observed::Stalled).await;
        assert_eq!(scene.shown().last_answer_ms, heard, "nothing was heard since");
        scene.faults().mute(false);
        scene.caught_up(0).await;
        scene.settle().await
    }));
}

/// For days nothing may be written: that the target is still there must be asked.
#[test]
fn a_target_that_is_gone_is_noticed_though_nothing_is_written() {
    green(stage(quiet(), async |scene| {
        scene.start().await;
        scene.streaming().await;
        scene.pass(Duration::from_secs(300)).await;
        assert_eq!(scene.shown().observed, Observed::Streaming, "it was there");
        scene.targets[0].world.go_down(Duration::from_secs(86_400));
        scene.until("it stalls", |scene| scene.shown().observed == Observed::Stalled).await;
        scene.targets[0].world.go_down(Duration::ZERO);
        scene.streaming().await;
        scene.settle().await
    }));
}

#[test]
fn a_failover_of_a_target_is_noticed_though_nothing_is_written() {
    let plan = Plan { retain: Duration::from_secs(3_600), ..quiet() };
    green(stage(plan, async |scene| {
        scene.start().await;
        scene.streaming().await;
        for id in 1..=12 {
            scene.transact(|t| t.insert(&orders(), order(id, 1)));
            scene.caught_up(0).await;
        }
        // The news that there is nothing new is there, too.
        scene.pass(Duration::from_secs(15)).await;
        scene.trouble(Trouble::TargetFailsOver).await;
        let rest = scene.settle().await?;
        assert_eq!(rest, Rest::Equal, "the log was kept");
        Ok(rest)
    }));
}

#[test]
fn a_daemon_that_was_overtaken_is_told_though_nothing_is_written() {
    green(stage(quiet(), async |scene| {
        scene.start().await;
        scene.streaming().await;
        let clone: Arc<MemoryState> = Arc::new(scene.state.snapshot());
        let other = scene.start_on(&clone).await.expect("it knows the job");
        scene.until("the first one gives up", |scene| scene.process().is_over()).await;
        let error = scene.process.take().expect("just seen").result().await.expect_err("it was overtaken");
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        (scene.state, scene.process) = (clone, Some(other));
        scene.settle().await
    }));
}

#[test]
fn what_is_behind_is_unknown_while_the_source_cannot_be_asked() {
    let mut plan = quiet();
    plan.targets.push(plan.targets[0].clone());
    green(stage(plan, async |scene| {
        scene.start().await;
        scene.streaming().await;
        let known = |scene: &Scene| {
            let status = scene.process().status();
            let of = |target: &str| status.targets[target].behind;
            (of("a"), of("b"), status.held.and_then(|held| held.changes))
        };
        scene.until("it is known", |scene| known(scene) == (Some(0), Some(0), Some(0))).await;
        scene.source.go_down(Duration::from_secs(86_400));
        scene.until("it is unknown", |scene| known(scene) == (None, None, None)).await;
        scene.source.go_down(Duration::ZERO);
        scene.until("it is known again", |scene| known(scene) == (Some(0), Some(0), Some(0))).await;
        // What the job holds of the log is what the target holds that lacks most: it may be this one.
        scene.faults().queue("source.backlog", [Fault::LoseAnswer]);
        scene.until("one of them is unknown", |scene| known(scene) == (None, Some(0), None)).await;
        scene.settle().await
    }));
}
