//! Each defence is taken away in turn; a world in which everything goes wrong must then turn red.
//!
//! A defence that no seed misses is no defence, or the world is too kind: both are failures here.

use crate::simulation::{Outcome, plan::Plan, run};
use std::sync::Mutex;
use whimbrel::faults::{self, Saboteur};

/// Each defence, and seeds that are known to miss it; others are searched when these have become green.
const DEFENCES: &[(Saboteur, &[u64])] = &[
    (Saboteur::SaveBeforeApply, &[10]),
    (Saboteur::UnsetAsNull, &[1]),
    (Saboteur::TruncateNotAlone, &[0]),
    (Saboteur::BeginRoundedUp, &[6]),
    (Saboteur::AcknowledgeAtFastestTarget, &[5]),
    (Saboteur::EpochIgnored, &[14]),
    (Saboteur::CopyRangeForgotten, &[3]),
    (Saboteur::FetchBeforeBatch, &[0]),
    (Saboteur::ConsistentWithoutMark, &[1]),
    (Saboteur::TakenEvictedNow, &[0]),
    (Saboteur::EdgeCrossed, &[6]),
    (Saboteur::HeldRangeNotHeld, &[0]),
];

/// Seeds searched for each.
const SEARCHED: u64 = 500;

#[test]
fn every_defence_is_missed_when_it_is_gone() {
    let queue = Mutex::new(DEFENCES.iter());
    let report: Mutex<Vec<(Saboteur, Option<Outcome>)>> = Mutex::default();
    let only = std::env::var("WHIMBREL_SABOTEUR").ok();
    let search = || {
        loop {
            let next = queue.lock().expect("no panic holds it").next();
            let Some((saboteur, known)) = next else { return };
            if only.as_ref().is_some_and(|only| *only != format!("{saboteur:?}")) {
                continue;
            }
            let red = known.iter().copied().chain(0..searched()).map(|seed| sabotaged(*saboteur, seed));
            let red = red.into_iter().find(|outcome| outcome.failure.is_some());
            let line = red.as_ref().map_or("-".to_owned(), |one| {
                let broken = one.failure.as_deref().and_then(|text| text.lines().next()).unwrap_or_default();
                format!("seed {}: {broken}", one.seed)
            });
            println!("{saboteur:?}: {line}");
            report.lock().expect("no panic holds it").push((*saboteur, red));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(search);
        }
    });
    let report = report.into_inner().expect("no panic holds it");
    let kind: Vec<_> = report.iter().filter(|(_, red)| red.is_none()).map(|(saboteur, _)| saboteur).collect();
    assert!(kind.is_empty(), "nothing turns red without these defences: {kind:?}");
}

fn searched() -> u64 {
    std::env::var("WHIMBREL_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEARCHED).min(SEARCHED)
}

fn sabotaged(saboteur: Saboteur, seed: u64) -> Outcome {
    faults::sabotage(Some(saboteur));
    let outcome = run(Plan::new(seed));
    faults::sabotage(None);
    outcome
}
