//! What those who look on may see: every job as it is, and what the daemon as a whole holds and takes.

use super::Supervisor;
use crate::{
    pipeline::status::JobStatus,
    state::JobRecord,
    telemetry::{
        flushes::Flushes,
        turns::{Late, Turns},
    },
};
use std::time::Duration;

/// A disk that takes longer for one write of the state is not slow but stuck.
const DISK_PATIENCE: Duration = Duration::from_secs(10);

/// Of the daemon as a whole.
pub struct Vitals {
    pub rows_in_flight_bytes: u64,
    pub rows_in_flight_limit_bytes: u64,
    /// `None`: this daemon saves nothing.
    pub flushes: Option<Flushes>,
    pub tasks: usize,
    pub late: Vec<Late>,
}

impl Supervisor {
    pub fn vitals(&self) -> Vitals {
        let (rows_in_flight_bytes, rows_in_flight_limit_bytes) = self.shared.budget.bytes();
        Vitals {
            rows_in_flight_bytes,
            rows_in_flight_limit_bytes,
            flushes: self.shared.state.flushes(),
            tasks: self.turns.count(),
            late: self.turns.late(),
        }
    }

    pub fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Why the daemon cannot do its work, though it lives.
    pub fn trouble(&self) -> Option<String> {
        if self.stop.is_cancelled() {
            return Some("it is stopping".to_owned());
        }
        self.shared.state.flushes().and_then(|flushes| flushes.trouble(DISK_PATIENCE))
    }

    /// Shows each job, in the order of their names, without copying it. `look` is short: a job's own task waits for it.
    pub fn look(&self, mut look: impl FnMut(&JobRecord, &JobStatus)) {
        for job in self.jobs() {
            let record = job.record.borrow().clone();
            look(&record, &job.status.borrow());
        }
    }
}
