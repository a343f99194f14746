//! Named stories: each is one way in which rows were lost, doubled or invented somewhere.

pub mod ahead;
pub mod copies;
mod daemons;
mod evidence;
pub mod lanes;
mod others;
mod whole;

use super::{Outcome, plan::Plan, process::Process, scene::Scene};
use crate::support::faulty::Faults;
use std::{sync::Arc, time::Duration};
use whimbrel::{
    connectors::memory::{Habits, Transaction},
    error::Result,
    model::Value,
    pipeline::status::Observed,
    source::only_partition,
    state::State,
};

/// A quiet world whose target is some way off, so that things can happen meanwhile.
fn quiet() -> Plan {
    let mut plan = Plan::quiet(1);
    plan.targets[0].habits.latency = Duration::from_millis(20);
    plan
}

fn with_source(change: impl FnOnce(&mut Habits)) -> Plan {
    let mut plan = quiet();
    change(&mut plan.source);
    plan
}

/// The story ended as it should.
fn green(outcome: Outcome) {
    let failure = outcome.failure.as_deref().unwrap_or_default();
    assert!(outcome.failure.is_none(), "{}\n{failure}", outcome.story.join("\n"));
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn order(id: i64, amount: i64) -> Vec<Value> {
    vec![Value::Int(id), Value::Int(amount), text("new"), text(&format!("body of {id}"))]
}

fn person(id: i64) -> Vec<Value> {
    vec![Value::Int(id), text(&format!("m{id}")), text(&format!("n{id}")), text(&format!("body of {id}"))]
}

impl Scene {
    /// One transaction of the application.
    fn transact(&self, work: impl FnOnce(&mut Transaction<'_>) -> Result<()>) {
        self.source.transact(work).expect("a story's own rows fit");
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    fn faults(&self) -> Arc<Faults> {
        Arc::clone(&self.process().faults)
    }

    /// Time passes until it is so.
    async fn until(&mut self, condition: &str, holds: impl Fn(&Scene) -> bool) {
        for _ in 0..60_000 {
            if holds(self) {
                return;
            }
            self.pass(Duration::from_millis(10)).await;
            assert!(!self.is_wrong(), "before `{condition}`: {:?}", self.wrong.lock());
        }
        panic!("never came: {condition}");
    }

    async fn streaming(&mut self) {
        self.until("everything streams", |scene| {
            scene.process.as_ref().is_some_and(|process| process.status().observed == Observed::Streaming)
        })
        .await;
    }

    /// Everything the source has told is durable in this target.
    async fn caught_up(&mut self, target: usize) {
        let end = self.source.end();
        self.until("the target has caught up", |scene| {
            let at = super::judge::stands(&scene.targets[target].world.ledger(), scene.plan.job());
            at.values().all(|at| *at >= end)
        })
        .await;
    }

    /// Some lanes of the target's newest batch have it, others lack it.
    fn is_torn(&self, target: usize) -> bool {
        let ledger = self.targets[target].world.ledger();
        ledger.newest(self.plan.job(), &only_partition()).is_some_and(|(_, whole)| !whole)
    }

    /// What the job's owner asks for from the next start on.
    async fn ask_for_lanes(&mut self, lanes: u16) {
        for mut record in self.state.jobs().await.expect("memory") {
            record.spec.apply.lanes = lanes;
            self.state.save_job(&record).await.expect("memory");
        }
    }
}
