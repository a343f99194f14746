//! Restarts with another lane count, and with an older, a cloned and a lost state folder.

use super::rig::Rig;
use crate::support::wait::until;
use std::{fs, path::Path, process::Command};
use whimbrel::control::v1::ObservedState;

fn copy_folder(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp");
    assert!(done.success());
}

/// A rig that streams, stopped.
fn streaming(lanes: u16) -> Rig {
    let mut rig = Rig::new();
    rig.start(None);
    rig.create(lanes);
    assert!(rig.start_job());
    rig.settle();
    rig
}

#[test]
fn a_torn_batch_is_mended_with_another_lane_count() {
    let mut rig = streaming(4);
    rig.stop();
    rig.start(Some(("between-lanes", 3)));
    let burst = rig.burst(2, 6000);
    rig.died("between-lanes");
    // The job's lanes change in the state that a person exports, edits and imports.
    let file = rig.path("state.json");
    let exported = rig.state_command("export", &file);
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let text = fs::read_to_string(&file).expect("just written");
    let edited = text.replace("\"lanes\": 4", "\"lanes\": 2");
    assert_ne!(text, edited, "the lanes stand in the document");
    fs::write(&file, edited).expect("our own file");
    rig.use_state("state-2");
    let imported = rig.state_command("import", &file);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    rig.start(None);
    burst.finish();
    rig.settle();
    rig.assert_equal("another lane count");
    rig.stop();
}

#[test]
fn two_targets_torn_apart_and_one_of_them_down_over_a_restart() {
    let mut rig = streaming(4);
    rig.stop();
    // Each target loses the daemon somewhere inside a batch of its own, twice.
    for visit in [2, 7] {
        rig.start(Some(("between-lanes", visit)));
        let burst = rig.burst(2, 6000);
        rig.died("between-lanes");
        // Somebody else holds one target's lock while the daemon starts again.
        let holder = rig.hold_lock("copy-b.db");
        rig.start(None);
        burst.finish();
        until("the other target goes on alone", || {
            let status = rig.job()?.status?;
            let state = |store: &str| status.targets.iter().find(|target| target.store == store).cloned();
            let (one, two) = (state("copy-a")?, state("copy-b")?);
            let streams = one.observed_state == i32::from(ObservedState::Streaming) && one.behind_changes == Some(0);
            (streams && two.observed_state != i32::from(ObservedState::Streaming)).then_some(())
        });
        drop(holder);
        rig.settle();
        rig.assert_equal("two targets torn apart");
        rig.stop();
    }
}

#[test]
fn a_lost_state_folder_is_rebuilt_from_the_targets() {
    let mut rig = streaming(2);
    let burst = rig.burst(2, 3000);
    rig.kill();
    fs::remove_dir_all(rig.path("state")).expect("our own folder");
    let file = rig.path("rebuilt.json");
    let rebuilt = rig.state_command("rebuild", &file);
    assert!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
    let imported = rig.state_command("import", &file);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    rig.start(None);
    burst.finish();
    until("the rebuilt job starts", || rig.start_job().then_some(()));
    rig.settle();
    rig.assert_equal("a rebuilt state");
    rig.stop();
}

#[test]
fn an_older_state_folder_is_refused_or_right() {
    let mut rig = streaming(2);
    rig.stop();
    copy_folder(&rig.path("state"), &rig.path("older"));
    for _ in 0..3 {
        rig.start(None);
        let burst = rig.burst(1, 3000);
        burst.finish();
        rig.settle();
        rig.stop();
    }
    rig.use_state("older");
    rig.start(None);
    // Its epoch is behind the targets': it must not write, and must say so.
    let error = until("the older state is refused", || {
        let status = rig.job()?.status?;
        let failed = status.observed_state == i32::from(ObservedState::Failed);
        failed.then(|| status.targets.into_iter().find_map(|target| target.error).or(status.error))?
    });
    assert!(!error.hint.is_empty(), "it says what to do: {}", error.text);
    rig.stop();
    rig.assert_equal("nothing was written by the older state");
}

#[test]
fn of_two_daemons_with_the_same_state_one_writes() {
    let mut rig = streaming(2);
    copy_folder(&rig.path("state"), &rig.path("cloned"));
    let first = (rig.daemon.take().expect("it runs"), rig.address().to_owned());
    rig.use_state("cloned");
    let lock = rig.path("cloned");
    assert!(lock.exists());
    rig.start(None);
    let burst = rig.burst(2, 3000);
    burst.finish();
    // The clone claimed a newer epoch: it goes on, the first is refused and says so.
    rig.settle();
    rig.assert_equal("two daemons");
    rig.stop();
    let mut first_daemon = first.0;
    first_daemon.kill().expect("our own child");
    first_daemon.wait().expect("our own child");
    assert!(!first.1.is_empty());
}
