//! What can happen to a running job, one function each.

use super::{plan::Trouble, process::Process, scene::Scene};
use std::{sync::Arc, time::Duration};
use whimbrel::{
    faults,
    model::{Checkpoint, Partition},
    state::{MemoryState, State},
};

/// Where a process may be stopped; `stop_at` counts visits.
const POINTS: [&str; 13] = [
    "before-begin",
    "after-begin",
    "before-save",
    "after-save",
    "before-apply",
    "after-apply",
    "between-lanes",
    "before-copy-apply",
    "after-copy-apply",
    "range-done",
    "before-acknowledge",
    "before-apply",
    "between-lanes",
];

impl Scene {
    pub async fn trouble(&mut self, trouble: Trouble) {
        self.tell(format!("trouble: {trouble:?}"));
        let done = match trouble {
            Trouble::Kill => {
                self.kill().await;
                true
            }
            Trouble::KillAtStep => {
                let steps = self.chance.between(1, 120);
                self.process.as_ref().is_some_and(|process| {
                    process.faults.die_after(steps);
                    true
                })
            }
            Trouble::KillAtPoint => {
                let point = *self.chance.pick(&POINTS);
                let visits = self.chance.between(1, 6);
                self.tell(format!("will stop at visit {visits} of {point}"));
                faults::stop_at(Some((point, visits)));
                true
            }
            Trouble::Restart => self.restart().await,
            Trouble::TargetDown => {
                let lasting = self.chance.upto(Duration::from_secs(150));
                self.any_target().go_down(lasting);
                true
            }
            Trouble::TargetStalls => {
                let lasting = self.chance.upto(Duration::from_secs(300));
                self.any_target().stall(lasting);
                true
            }
            Trouble::TargetFailsOver => self.fail_over().await,
            Trouble::SourceDown => {
                let lasting = self.chance.upto(Duration::from_secs(60));
                self.source.go_down(lasting);
                true
            }
            Trouble::StateOlder => self.older_state().await,
            Trouble::StateLost => self.lost_state().await,
            Trouble::TwoDaemons => self.two_daemons().await,
            Trouble::PartitionSplit => self.split(),
            Trouble::LogTrimmed => {
                self.may_be_lost = true;
                self.source.trim();
                true
            }
            Trouble::SourceRestored => {
                self.may_be_lost = true;
                self.past_changed = true;
                self.source.restore(self.chance.between(0, 6) as usize);
                true
            }
            Trouble::SourceForgets => self.forget().await,
        };
        if done {
            self.tally.add(trouble.name(), 1);
        }
    }

    fn any_target(&mut self) -> Arc<whimbrel::connectors::memory::World> {
        let index = self.chance.index(self.targets.len());
        Arc::clone(&self.targets[index].world)
    }

    /// A new version of the daemon, with another configuration.
    async fn restart(&mut self) -> bool {
        let Some(process) = self.process.take() else { return false };
        if let Err(stuck) = process.stop(Duration::from_secs(900)).await {
            self.wrong.lock().push(stuck);
        }
        let lanes = *self.chance.pick(&[1, 2, 3, 5, 8]);
        let rows = *self.chance.pick(&[3, 20, 120, 500]);
        let commits = *self.chance.pick(&[1, 4, 50, 1_000]);
        self.source.set_habits(|habits| (habits.batch_rows, habits.batch_commits) = (rows, commits));
        let state = Arc::clone(&self.state);
        for mut record in state.jobs().await.expect("memory") {
            if record.spec.apply.lanes != lanes {
                self.tally.add("restart with other lanes", 1);
            }
            record.spec.apply.lanes = lanes;
            state.save_job(&record).await.expect("memory");
        }
        self.start().await;
        true
    }

    async fn fail_over(&mut self) -> bool {
        self.observe().await;
        let index = self.chance.index(self.targets.len());
        let target = self.targets[index].clone();
        let epoch = target.world.ledger().jobs.get(&self.plan.job()).map_or(0, |entry| entry.epoch);
        let commits = self.chance.between(1, 12) as usize;
        let lost = target.world.fail_over(commits);
        let left = target.world.ledger().jobs.get(&self.plan.job()).map_or(0, |entry| entry.epoch);
        target.seen.lock().failed_over_at = Some(epoch.max(left));
        self.tell(format!("target {} lost {lost} commits", target.name));
        self.tally.add("commits lost by failover", lost as u64);
        // What was acknowledged is gone from the log: then nobody can bring it back.
        self.may_be_lost |= self.plan.source.trims;
        lost > 0
    }

    async fn older_state(&mut self) -> bool {
        if self.old_states.is_empty() {
            self.old_states.push(self.state.snapshot());
            return false;
        }
        self.kill().await;
        let index = self.chance.index(self.old_states.len());
        self.state = Arc::new(self.old_states.swap_remove(index));
        self.may_be_refused = true;
        true
    }

    async fn lost_state(&mut self) -> bool {
        let Some(rebuilt) = self.rebuilt().await else { return false };
        self.kill().await;
        // Asked after the daemon has stopped: what it did last is in the answer.
        let state = self.rebuilt().await.unwrap_or(rebuilt);
        self.state = Arc::new(state);
        self.may_be_refused = true;
        true
    }

    async fn begun(&self, state: &MemoryState) -> Option<Checkpoint> {
        let jobs = state.jobs().await.expect("memory");
        jobs.into_iter().find(|record| record.id == self.plan.job()).and_then(|record| record.begun)
    }

    /// The folder was cloned with its machine; both run. One of them is refused, whichever it is.
    async fn two_daemons(&mut self) -> bool {
        if self.process.is_none() {
            return false;
        }
        self.may_be_refused = true;
        // Whose task stops at a point is not known where there are two.
        faults::stop_at(None);
        let clone: Arc<MemoryState> = Arc::new(self.state.snapshot());
        let Some(other) = self.start_on(&clone).await else { return false };
        for _ in 0..self.chance.between(4, 20) {
            for _ in 0..self.chance.between(0, 10) {
                self.write().await;
            }
            let lasting = *self.chance.pick(&[20, 500, 3_000]);
            self.pass(Duration::from_millis(lasting)).await;
        }
        // Both began the job: the log is reserved where the later one did, and a target may stand where the other did.
        let (ours, theirs) = (self.begun(&self.state).await, self.begun(&clone).await);
        self.may_be_lost |= ours.is_some() && theirs.is_some() && ours != theirs;
        if self.process.as_ref().is_some_and(Process::is_lost) {
            other.kill().await;
            return true;
        }
        let first_is_over = self.process.as_ref().is_none_or(Process::is_over);
        let keep_other = first_is_over || (!other.is_over() && self.chance.hits(500));
        if keep_other {
            self.kill().await;
            self.state = clone;
            self.process = Some(other);
        } else {
            other.kill().await;
        }
        true
    }

    fn split(&mut self) -> bool {
        let partitions: Vec<Partition> = self.source.partitions();
        if partitions.len() < 2 || partitions.len() > 5 {
            return false;
        }
        let partition = self.chance.pick(&partitions).clone();
        self.source.split_partition(&partition);
        true
    }

    /// Its clients come back before anybody has written again: a position of this store holds no proof of the rows that
    /// were fetched after it.
    async fn forget(&mut self) -> bool {
        if self.process.as_ref().is_none_or(Process::is_over) {
            return false;
        }
        self.may_be_lost = true;
        self.past_changed = true;
        let tails = self.source.counts().tails;
        self.source.forget(self.chance.between(1, 5) as usize);
        for _ in 0..200 {
            self.pass(Duration::from_secs(3)).await;
            let came = self.source.counts().tails > tails;
            if came || self.process.as_ref().is_none_or(Process::is_over) {
                return came;
            }
        }
        false
    }
}
