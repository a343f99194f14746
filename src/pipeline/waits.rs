//! What a target's pipeline waits for, and since when.

use super::board::Board;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A feed that has not answered, or a batch that was not written, for so long is evidence of nothing.
pub const STALE: Duration = Duration::from_secs(30);
/// Indexes are built for minutes.
const BUILDS: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Rows or another answer of the source.
    Source,
    /// The target opens, or takes a batch.
    Target,
    /// The target makes a table or an index.
    TargetBuilds,
}

/// Of one target: several copiers may wait at the same time.
#[derive(Default)]
pub struct Waits {
    next: u64,
    open: BTreeMap<u64, (What, Instant)>,
}

/// Ends when it is dropped.
#[must_use = "it waits only as long as this is kept"]
pub struct Waiting {
    pub board: Arc<Board>,
    pub target: String,
    pub id: u64,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.board.waits_no_more(&self.target, self.id);
    }
}

impl Waits {
    pub fn add(&mut self, what: What) -> u64 {
        self.next += 1;
        self.open.insert(self.next, (what, Instant::now()));
        self.next
    }

    pub fn remove(&mut self, id: u64) {
        self.open.remove(&id);
    }

    /// The longest wait for the source.
    pub fn source(&self) -> Duration {
        self.longest(|what| what == What::Source)
    }

    /// The longest wait for the target.
    pub fn target(&self) -> Duration {
        self.longest(|what| what != What::Source)
    }

    /// Whether the target has shown nothing for longer than it may take.
    pub fn are_too_long(&self) -> bool {
        self.longest(|what| what == What::Target) > STALE || self.longest(|what| what == What::TargetBuilds) > BUILDS
    }

    fn longest(&self, of: impl Fn(What) -> bool) -> Duration {
        let waits = self.open.values().filter(|(what, _)| of(*what));
        waits.map(|(_, since)| since.elapsed()).max().unwrap_or_default()
    }
}
