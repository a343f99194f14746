//! The real binary, killed at placed moments and at random, under a writer; judged by the sqlite3 shell.

mod rig;
mod state;

use crate::support::wait::until;
use rig::Rig;

/// Every place where a kill has to be survived, and at which visit it comes.
const PLACES_OF_A_COPY: [(&str, u64); 9] = [
    ("before-begin", 1),
    ("after-begin", 1),
    ("before-copy-apply", 2),
    ("sqlite/apply-before-commit", 2),
    ("sqlite/apply-after-commit", 2),
    ("after-copy-apply", 3),
    ("range-done", 2),
    ("state/before-flush", 6),
    ("state/after-flush", 7),
];
const PLACES_OF_A_TAIL: [(&str, u64); 11] = [
    ("before-apply", 3),
    ("sqlite/apply-before-commit", 5),
    ("sqlite/apply-after-commit", 6),
    ("between-lanes", 2),
    ("between-lanes", 5),
    ("after-apply", 4),
    ("before-save", 3),
    ("after-save", 3),
    ("before-acknowledge", 2),
    ("sqlite/prune", 1),
    ("state/after-sync", 4),
];

#[test]
fn a_copy_survives_a_kill_at_every_place() {
    for (point, visit) in PLACES_OF_A_COPY {
        let mut rig = Rig::new();
        rig.start(None);
        rig.create(1);
        rig.stop();
        rig.start(Some((point, visit)));
        let burst = rig.burst(2, 2000);
        // Started under the daemon that is going to die, maybe before it has answered.
        until("the daemon is asked to start the job", || (rig.start_job() || rig.has_died()).then_some(()));
        rig.died(point);
        rig.start(None);
        until("the job runs", || rig.start_job().then_some(()));
        burst.finish();
        rig.settle();
        rig.assert_equal(point);
        rig.stop();
    }
}

#[test]
fn a_tail_survives_a_kill_at_every_place_and_at_random_ones() {
    let mut rig = Rig::new();
    rig.start(None);
    rig.create(3);
    assert!(rig.start_job());
    rig.settle();
    rig.assert_equal("the copy");
    rig.stop();
    for (point, visit) in PLACES_OF_A_TAIL {
        rig.start(Some((point, visit)));
        let burst = rig.burst(3, 6000);
        rig.died(point);
        rig.start(None);
        burst.finish();
        rig.settle();
        rig.assert_equal(point);
        rig.stop();
    }
    let kills = if std::env::var_os("WHIMBREL_LONG").is_some() { 200 } else { 12 };
    for kill in 0..kills {
        rig.start(None);
        let burst = rig.burst(2, 4000);
        // At another moment each time, from the first milliseconds to well into the tail.
        rig.wait_changes(kill * 37 % 11 * 100);
        rig.kill();
        rig.start(None);
        burst.finish();
        rig.settle();
        rig.assert_equal(&format!("random kill {kill}"));
        rig.stop();
    }
}

impl Rig {
    fn has_died(&mut self) -> bool {
        self.daemon.as_mut().is_some_and(|daemon| daemon.try_wait().expect("our own child").is_some())
    }

    /// Waits until the targets have applied so many changes since the daemon started.
    fn wait_changes(&self, changes: u64) {
        until("changes are applied", || {
            let status = self.job()?.status?;
            status.targets.iter().any(|target| target.changes >= changes).then_some(())
        });
    }
}
