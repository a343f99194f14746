//! Each defence is taken away in turn; a world in which everything goes wrong must then turn red.
//!
//! A defence that nothing misses is no defence, or the world is too kind: both are failures here.
//! `WHIMBREL_SABOTEUR=TornBatchSkipped` looks at one; with `WHIMBREL_SEED=5` it tells that seed's story.

mod plans;
mod proof;

use proof::proof;
use std::{collections::VecDeque, sync::Mutex};
use whimbrel::faults::Saboteur;

#[test]
fn every_defence_is_missed_when_it_is_gone() {
    let only = std::env::var("WHIMBREL_SABOTEUR").ok();
    let wanted = |saboteur: &&Saboteur| only.as_ref().is_none_or(|only| *only == format!("{saboteur:?}"));
    let queue: Mutex<VecDeque<Saboteur>> = Mutex::new(Saboteur::ALL.iter().filter(wanted).copied().collect());
    let unproven: Mutex<Vec<String>> = Mutex::default();
    let work = || {
        loop {
            let next = queue.lock().expect("no panic holds it").pop_front();
            let Some(saboteur) = next else { return };
            match proof(saboteur).run(saboteur) {
                Ok(red) => println!("{saboteur:?}: {red}"),
                Err(why) => unproven.lock().expect("no panic holds it").push(format!("{saboteur:?}: {why}")),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    let unproven = unproven.into_inner().expect("no panic holds it");
    assert!(unproven.is_empty(), "not shown to be needed:\n{}", unproven.join("\n"));
}
