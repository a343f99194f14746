//! The battery over every connector and keeper of state, with how many checks each must pass.

mod memory;

use memory::Worlds;
use std::time::Duration;
use whimbrel::{
    certify::{self, Report, Trait},
    connectors::memory::Habits,
};

/// Every check that was not skipped has passed, and as many were as are expected here: nothing is skipped silently.
fn expect(report: &Report, passed: usize, skipped: usize) {
    assert!(report.failed().next().is_none(), "\n{report}");
    assert_eq!((report.passed(), report.skipped()), (passed, skipped), "\n{report}");
}

fn worlds(name: &'static str, lacks: &[Trait], habits: Habits) -> Worlds {
    let lacks = lacks.iter().copied().chain([Trait::NotNull, Trait::Evictions]).collect();
    Worlds { name, habits, lacks }
}

#[tokio::test(start_paused = true)]
async fn memory_is_a_target() {
    expect(&certify::target(&worlds("at once", &[], Habits::default())).await, 32, 1);
}

#[tokio::test(start_paused = true)]
async fn memory_far_away_is_a_target() {
    let habits = Habits { latency: Duration::from_millis(40), lanes: 4, seed: 7, ..Habits::default() };
    expect(&certify::target(&worlds("far away", &[], habits)).await, 32, 1);
}
