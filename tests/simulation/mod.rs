//! Seeds of a small world in which everything goes wrong that can, judged row by row.
//!
//! `WHIMBREL_SEED=7 cargo test --features faults simulation::seeds` replays one and tells its story;
//! `WHIMBREL_SEEDS=5000` runs more than the few hundred of a normal run.

pub mod judge;
pub mod plan;
pub mod process;
pub mod scene;
pub mod traces;
mod troubles;

use crate::support::workload::{ACTS, Tally};
use plan::{Plan, Trouble};
use process::Process;
use scene::{Rest, Scene};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// What one seed came to.
pub struct Outcome {
    pub seed: u64,
    pub tally: Tally,
    pub failure: Option<String>,
    pub story: Vec<String>,
}

/// Runs a plan on a clock of its own.
pub fn run(plan: Plan) -> Outcome {
    stage(plan, play)
}

/// Plays a story in the world of a plan, on a clock of its own.
pub fn stage(plan: Plan, story: impl AsyncFnOnce(&mut Scene) -> Result<Rest, String>) -> Outcome {
    process::watch_panics();
    let visited = whimbrel::faults::visits();
    let seed = plan.seed;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let mut scene = Scene::new(plan).await;
        let rest = story(&mut scene).await;
        scene.kill().await;
        whimbrel::faults::stop_at(None);
        let wrong = std::mem::take(&mut *scene.wrong.lock());
        let failure = match rest {
            Ok(rest) if wrong.is_empty() => {
                scene.tally.add(if rest == Rest::Lost { "ended in Lost" } else { "ended equal" }, 1);
                None
            }
            Ok(_) => Some(wrong.join("\n")),
            Err(error) => Some(wrong.into_iter().chain([error]).collect::<Vec<_>>().join("\n")),
        };
        count(&mut scene, &visited);
        Outcome { seed, tally: scene.tally, failure, story: scene.story }
    })
}

async fn play(scene: &mut Scene) -> Result<Rest, String> {
    scene.start().await;
    for _ in 0..scene.plan.steps {
        let acts = if scene.chance.hits(100) { scene.plan.burst } else { scene.chance.index(4) };
        for _ in 0..acts {
            scene.write().await;
        }
        let lasting = *scene.chance.pick(&[1, 5, 20, 20, 200, 2_000, 15_000]);
        scene.pass(Duration::from_millis(lasting)).await;
        if scene.is_wrong() {
            return Err("see above".into());
        }
        // A job that is Lost is not started again as if nothing had been.
        if scene.may_be_lost && scene.process.as_ref().is_some_and(Process::is_lost) {
            return Ok(Rest::Lost);
        }
        for (trouble, per_mille) in scene.plan.troubles.clone() {
            if scene.chance.hits(per_mille) {
                scene.trouble(trouble).await;
            }
        }
        if scene.chance.hits(100) {
            let snapshot = scene.state.snapshot();
            scene.old_states.push(snapshot);
        }
        if scene.process.is_none() && scene.chance.hits(500) {
            scene.start().await;
        }
    }
    scene.settle().await
}

fn count(scene: &mut Scene, visited: &BTreeMap<&'static str, u64>) {
    scene.tally.merge(&scene.workload.tally);
    for target in &scene.targets {
        let counts = target.world.counts();
        for (what, count) in [
            ("deadlocks", counts.deadlocks),
            ("connections cut", counts.cuts),
            ("answers lost", counts.lost_answers),
            ("requests that hung", counts.hangs),
            ("patches without a row", counts.missing),
            ("unique clashes", counts.taken),
            ("batches held open", counts.held),
            ("commits of clients that had gone", counts.zombies),
            ("late requests refused", counts.refused_zombies),
            ("transactions applied", counts.applies),
        ] {
            scene.tally.add(what, count);
        }
    }
    let counts = scene.source.counts();
    scene.tally.add("rows that moved on disk", counts.moved_rows);
    scene.tally.add("tails opened", counts.tails);
    scene.tally.add("fetches", counts.fetches);
    scene.tally.add("pages copied", counts.pages);
    for (point, visits) in whimbrel::faults::visits() {
        scene.tally.add(format!("point {point}"), visits - visited.get(point).copied().unwrap_or(0));
    }
}

/// Plays `seeds` on all cores. Gives what happened in all, and those that failed.
pub fn play_all(seeds: std::ops::Range<u64>, plan: impl Fn(u64) -> Plan + Sync) -> (Tally, Vec<Outcome>) {
    let next = AtomicU64::new(seeds.start);
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let play = || {
        let (mut tally, mut failed) = (Tally::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= seeds.end || failed.len() >= 5 {
                return (tally, failed);
            }
            let outcome = run(plan(seed));
            tally.merge(&outcome.tally);
            if outcome.failure.is_some() {
                failed.push(outcome);
            }
        }
    };
    let parts = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(play)).collect();
        running.into_iter().map(|thread| thread.join().expect("a seed's panic is caught")).collect::<Vec<_>>()
    });
    let (mut tally, mut failed) = (Tally::default(), Vec::new());
    for (part, more) in parts {
        tally.merge(&part);
        failed.extend(more);
    }
    (tally, failed)
}

/// Runs a plan and prints what it was and what happened.
pub fn tell(plan: Plan) -> Outcome {
    println!("{plan:#?}");
    // With RUST_LOG=trace each batch is shown where it happened in the story.
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let log = tracing_subscriber::fmt().with_env_filter(filter).without_time().with_ansi(false);
    let _log = tracing::subscriber::set_default(log.finish());
    let outcome = run(plan);
    println!("{}", outcome.story.join("\n"));
    outcome
}

pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn seeds() {
    if let Some(seed) = number("WHIMBREL_SEED") {
        let outcome = tell(Plan::new(seed));
        assert!(outcome.failure.is_none(), "{}", outcome.failure.unwrap_or_default());
        return;
    }
    let count = number("WHIMBREL_SEEDS").unwrap_or(300);
    let first = number("WHIMBREL_FIRST_SEED").unwrap_or(0);
    let (tally, failed) = play_all(first..first + count, Plan::new);
    for (what, count) in &tally.0 {
        println!("{count:>9}  {what}");
    }
    for outcome in &failed {
        let failure = outcome.failure.as_deref().unwrap_or_default();
        println!(
            "\nseed {} (replay: WHIMBREL_SEED={} cargo test --features faults simulation::seeds)\n{failure}",
            outcome.seed, outcome.seed
        );
    }
    let numbers: Vec<u64> = failed.iter().map(|outcome| outcome.seed).collect();
    assert!(failed.is_empty(), "seeds that failed: {numbers:?}");
    let expected = ACTS.iter().map(|act| act.name.to_owned()).chain(Trouble::ALL.map(Trouble::name)).chain(
        [
            "update while copying",
            "rows that moved on disk",
            "patches without a row",
            "unique clashes",
            "batches held open",
            "commits of clients that had gone",
            "late requests refused",
            "answers lost",
            "restart with other lanes",
        ]
        .map(String::from),
    );
    let never: Vec<String> = expected.filter(|what| tally.get(what) == 0).collect();
    assert!(never.is_empty() || count < 300, "never happened: {never:?}");
}
