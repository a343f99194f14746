//! Worlds in which one thing goes wrong more often than in any seed.

use crate::{
    simulation::plan::{Plan, TargetPlan, Trouble},
    support::workload::{leaves, orders, stock, trees, words},
};
use std::time::Duration;
use whimbrel::{
    connectors::memory::{Cascades, Habits, Images, Mishaps, Paging},
    model::Existing,
};

/// Nothing goes wrong but what is asked for; the source keeps its log.
fn plain(seed: u64, source: Habits, target: Habits) -> Plan {
    let quiet = Plan::quiet(seed);
    let common = Habits { losable: 20, history: true, seed, ..Habits::default() };
    let source = Habits { trims: false, losable: common.losable, history: true, seed, ..source };
    let habits = Habits { losable: common.losable, seed: seed + 1, ..target };
    Plan {
        source,
        targets: vec![TargetPlan { habits, existing: Existing::Refuse, foreign: 0 }],
        tables: vec![orders(), stock()],
        rows: 60,
        steps: 40,
        burst: 10,
        ..quiet
    }
}

/// Rows lie about and are updated in part while they are copied by place.
pub fn moving(seed: u64) -> Plan {
    let source = Habits {
        images: Images::External,
        paging: Paging::Place,
        page_rows: 3,
        latency: Duration::from_millis(60),
        ..Habits::default()
    };
    let acts = vec!["insert", "update of a short column", "delete", "key move"];
    Plan { rows: 150, burst: 20, only_acts: acts, ..plain(seed, source, Habits::default()) }
}

/// The state's disk is slow.
pub fn slow_saves(seed: u64) -> Plan {
    Plan { slow_saves: Duration::from_secs(3), ..plain(seed, Habits::default(), Habits::default()) }
}

/// Large batches over many lanes; the process dies between them.
pub fn torn(seed: u64) -> Plan {
    let source =
        Habits { images: Images::External, log_delay: Duration::from_secs(2), batch_rows: 400, ..Habits::default() };
    let target = Habits { latency: Duration::from_millis(60), ..Habits::default() };
    Plan {
        lanes: 4,
        big: 200,
        burst: 40,
        troubles: vec![(Trouble::KillAtPoint, 300), (Trouble::Kill, 50), (Trouble::Restart, 50)],
        ..plain(seed, source, target)
    }
}

/// Transactions larger than a batch stay open in the target for a while.
pub fn held_open(seed: u64) -> Plan {
    let source = Habits { images: Images::External, batch_rows: 3, ..Habits::default() };
    let target = Habits { latency: Duration::from_millis(60), ..Habits::default() };
    Plan { transactional: true, big: 250, troubles: vec![(Trouble::Kill, 30)], ..plain(seed, source, target) }
}

/// Connections break while the server is at work.
pub fn broken_lines(seed: u64) -> Plan {
    let mishaps = Mishaps { cut: 120, lost_answer: 60, hang: 120, ..Mishaps::default() };
    let target = Habits { latency: Duration::from_millis(60), mishaps, ..Habits::default() };
    let source = Habits { page_rows: 3, batch_rows: 20, ..Habits::default() };
    Plan { lanes: 2, parallelism: 2, troubles: vec![(Trouble::Kill, 50)], ..plain(seed, source, target) }
}

/// Keys change their case, in batches that are worth several lanes.
pub fn case_changes(seed: u64) -> Plan {
    let source = Habits { log_delay: Duration::from_secs(3), ..Habits::default() };
    let target = Habits { latency: Duration::from_millis(60), ..Habits::default() };
    let acts = vec!["insert", "case change of a key", "large transaction"];
    Plan {
        tables: vec![words()],
        lanes: 8,
        big: 80,
        burst: 60,
        steps: 12,
        only_acts: acts,
        ..plain(seed, source, target)
    }
}

/// The target loses its newest commits, most of them rows of a copy.
pub fn failovers(seed: u64) -> Plan {
    let source = Habits { page_rows: 3, latency: Duration::from_millis(20), ..Habits::default() };
    let target = Habits { latency: Duration::from_millis(60), ..Habits::default() };
    let troubles = vec![(Trouble::TargetFailsOver, 150), (Trouble::Kill, 50)];
    Plan { rows: 150, troubles, ..plain(seed, source, target) }
}

/// Reads see what is committed only later.
pub fn late_reads(seed: u64) -> Plan {
    let late = Duration::from_secs(3);
    let source = Habits { images: Images::Mixed, read_delay: late, ..Habits::default() };
    plain(seed, source, Habits::default())
}

/// The source crashes and comes back without its newest commits.
pub fn forgetful(seed: u64) -> Plan {
    Plan { troubles: vec![(Trouble::SourceForgets, 60)], ..plain(seed, Habits::default(), Habits::default()) }
}

/// The target takes nothing for longer than the source's server waits for its client.
pub fn stalling(seed: u64) -> Plan {
    let source = Habits { keepalive: Duration::from_secs(5), ..Habits::default() };
    Plan { troubles: vec![(Trouble::TargetStalls, 100)], ..plain(seed, source, Habits::default()) }
}

/// Parts of the log divide.
pub fn splitting(seed: u64) -> Plan {
    let source = Habits { partitions: 2, batch_rows: 3, ..Habits::default() };
    let target = Habits { latency: Duration::from_millis(60), ..Habits::default() };
    let troubles = vec![(Trouble::PartitionSplit, 80), (Trouble::Kill, 80), (Trouble::TargetStalls, 30)];
    Plan { troubles, ..plain(seed, source, target) }
}

/// Parents take the keys of earlier ones while their children are copied, and the source does not log what that does.
pub fn cascading(seed: u64) -> Plan {
    let source =
        Habits { cascades: Cascades::Matching, page_rows: 3, latency: Duration::from_millis(60), ..Habits::default() };
    let acts = vec!["insert", "delete", "key move back", "cascading key change"];
    Plan {
        tables: vec![trees(), leaves()],
        rows: 60,
        burst: 20,
        only_acts: acts,
        ..plain(seed, source, Habits::default())
    }
}
