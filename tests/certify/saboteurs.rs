//! Takes the memory store's defences away one by one: the battery must notice each, by name.

use super::{slow, worlds};
use whimbrel::{
    certify::{self, Report},
    connectors::memory::{Habits, Images, Worlds},
    faults::{self, Saboteur},
};

/// The checks that failed.
async fn caught<F: Future<Output = Report>>(saboteur: Saboteur, battery: F) -> Vec<&'static str> {
    faults::sabotage(Some(saboteur));
    let report = battery.await;
    faults::sabotage(None);
    report.failed().map(|line| line.name).collect()
}

#[tokio::test(start_paused = true)]
async fn broken_sources_are_caught() {
    let cases = [
        (Saboteur::BeginRoundedUp, "begin-rounds-down"),
        (Saboteur::MarkRoundedDown, "mark-passed"),
        (Saboteur::ReadIgnoresAfter, "fetch-sees"),
        (Saboteur::ReadIgnoresAfter, "copy-sees"),
        (Saboteur::EdgeCrossed, "tail-edges"),
        (Saboteur::TruncateNotAlone, "tail-truncated"),
    ];
    let fixture: Worlds = worlds("sabotaged", &[], slow(Images::Changed));
    for (saboteur, check) in cases {
        let failed = caught(saboteur, certify::source(&fixture, &[check])).await;
        assert_eq!(failed, [check], "{saboteur:?} was not caught");
    }
}

#[tokio::test(start_paused = true)]
async fn broken_targets_are_caught() {
    let cases = [
        (Saboteur::EpochIgnored, "epochs"),
        (Saboteur::EpochIgnored, "zombie-writes-nothing"),
        (Saboteur::ZombieAllowed, "applied-once"),
        (Saboteur::UnsetAsNull, "unset-is-not-null"),
        (Saboteur::UpsertOverwritesHolder, "taken"),
    ];
    let habits = Habits { latency: std::time::Duration::from_millis(40), seed: 3, ..Habits::default() };
    let fixture: Worlds = worlds("sabotaged", &[], habits);
    for (saboteur, check) in cases {
        let failed = caught(saboteur, certify::target(&fixture, &[check])).await;
        assert_eq!(failed, [check], "{saboteur:?} was not caught");
    }
}
