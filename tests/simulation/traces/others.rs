//! Rows of others, targets beside others, and records of other builds.

use super::{green, order, quiet};
use crate::{
    simulation::{
        process::Process,
        scene::{Rest, Scene},
        stage,
    },
    support::{faulty::Fault, workload::orders},
};
use std::{sync::Arc, time::Duration};
use whimbrel::{
    connectors::memory::Transaction,
    error::{Error, ErrorKind},
    model::Value,
    pipeline::status::Observed,
    state::State,
};

impl Scene {
    /// Starts it, and sees it stop by itself.
    async fn refused(&mut self) -> Error {
        self.start().await;
        self.until("it stops", |scene| scene.process.as_ref().is_some_and(Process::is_over)).await;
        let error = self.process.take().expect("just seen").result().await.expect_err("it was refused");
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        error
    }

    /// What the records of an earlier build are like.
    async fn forget_tables(&self) {
        for mut record in self.state.jobs().await.expect("memory") {
            record.tables.clear();
            self.state.save_job(&record).await.expect("memory");
        }
    }
}

/// Neither a start nor a death in between makes them ours: they would be swept.
#[test]
fn rows_of_others_are_refused_at_every_start() {
    // Where it dies the check has been passed already: they come only then, and the next start is no first one.
    for dies_at in [None, Some(("a.open", true)), Some(("a.prepare", false))] {
        let mut plan = quiet();
        plan.targets[0].foreign = 3;
        green(stage(plan, async |scene| {
            let theirs = scene.targets[0].world.rows(&orders()).expect("they made it").1;
            scene.transact(|t| (1..=5).try_for_each(|id| t.insert(&orders(), order(id, 1))));
            if let Some((operation, done)) = dies_at {
                let theirs_go = |t: &mut Transaction<'_>| {
                    theirs.iter().try_for_each(|row| t.delete(&orders(), &row[..1]).map(drop))
                };
                scene.targets[0].world.transact(theirs_go).expect("they are there");
                scene.start().await;
                scene.faults().queue(operation, [Fault::Die { done }]);
                scene.until("the process died", |scene| scene.process.is_none()).await;
                let theirs_come =
                    |t: &mut Transaction<'_>| theirs.iter().try_for_each(|row| t.insert(&orders(), row.clone()));
                scene.targets[0].world.transact(theirs_come).expect("nothing is there");
            }
            for _ in 0..3 {
                let error = scene.refused().await.to_string();
                assert!(error.contains("has rows already"), "{error}");
                assert_eq!(scene.targets[0].world.rows(&orders()).expect("it is there").1, theirs, "{dies_at:?}");
            }
            let empty = scene.targets[0]
                .world
                .transact(|t| theirs.iter().try_for_each(|row| t.delete(&orders(), &row[..1]).map(drop)));
            empty.expect("they are there");
            scene.start().await;
            scene.settle().await
        }));
    }
}

#[test]
fn a_target_whose_log_is_gone_does_not_stop_the_others() {
    let mut plan = quiet();
    plan.targets.push(plan.targets[0].clone());
    green(stage(plan, async |scene| {
        let insert = |scene: &Scene, id| scene.transact(|t| t.insert(&orders(), order(id, 1)));
        scene.start().await;
        scene.streaming().await;
        scene.targets[1].world.go_down(Duration::from_secs(86_400));
        for id in 1..=5 {
            insert(scene, id);
            scene.caught_up(0).await;
        }
        scene.may_be_lost = true;
        scene.source.trim();
        scene.targets[1].world.go_down(Duration::ZERO);
        let shown = |scene: &Scene, name: &str| scene.process().status().targets[name].observed;
        scene.until("one is lost", |scene| shown(scene, "b") == Observed::Lost).await;
        insert(scene, 6);
        scene.caught_up(0).await;
        scene.until("the other one streams", |scene| shown(scene, "a") == Observed::Streaming).await;
        let rest = scene.settle().await?;
        assert_eq!(rest, Rest::Lost, "nothing brings back what was trimmed");
        assert_eq!(scene.targets[0].world.rows(&orders()).expect("it was copied").1.len(), 6);
        Ok(rest)
    }));
}

#[test]
fn a_record_that_names_no_tables_carries_those_of_its_progress() {
    green(stage(quiet(), async |scene| {
        scene.transact(|t| (1..=5).try_for_each(|id| t.insert(&orders(), order(id, 1))));
        scene.start().await;
        scene.streaming().await;
        scene.kill().await;
        scene.forget_tables().await;
        scene.transact(|t| t.delete(&orders(), &[Value::Int(2)]).map(drop));
        scene.transact(|t| t.insert(&orders(), order(6, 1)));
        scene.start().await;
        scene.settle().await
    }));
}

/// Nothing carried must not look like everything in step.
#[test]
fn a_job_of_which_nobody_knows_a_table_does_not_run() {
    green(stage(quiet(), async |scene| {
        scene.transact(|t| t.insert(&orders(), order(1, 1)));
        scene.start().await;
        scene.faults().queue("a.open", [Fault::Die { done: false }]);
        scene.until("the process died", |scene| scene.process.is_none()).await;
        let whole = Arc::new(scene.state.snapshot());
        scene.forget_tables().await;
        let error = scene.refused().await.to_string();
        assert!(error.contains("which tables"), "{error}");
        scene.state = whole;
        scene.start().await;
        scene.settle().await
    }));
}
