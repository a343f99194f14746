//! What one seed decides before anything runs: the stores' habits, the job, the troubles to come.

use crate::support::workload::{audit, buds, leaves, orders, people, stock, trees, words};
use std::time::Duration;
use uuid::Uuid;
use whimbrel::{
    connectors::memory::{Cascades, Chance, Habits, Images, Mishaps, Paging},
    model::{ApplySettings, CopySettings, Existing, JobId, JobSpec, Keyless, SourceSpec, TableName, TargetSpec},
};

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub source: Habits,
    pub targets: Vec<TargetPlan>,
    pub tables: Vec<TableName>,
    /// Rows at the source before the job is created.
    pub rows: usize,
    pub lanes: u16,
    pub parallelism: u16,
    pub transactional: bool,
    pub retain: Duration,
    /// How long the state's disk takes for each save of progress.
    pub slow_saves: Duration,
    pub steps: usize,
    /// Rows of a large transaction.
    pub big: usize,
    /// Acts in a row, now and then.
    pub burst: usize,
    /// Per thousand steps, by name.
    pub troubles: Vec<(Trouble, u32)>,
    /// No act but these, where it is not empty.
    pub only_acts: Vec<&'static str>,
}

#[derive(Clone, Debug)]
pub struct TargetPlan {
    pub habits: Habits,
    pub existing: Existing,
    /// Rows of others that are there before.
    pub foreign: usize,
}

/// What happens to a running job, beside what the stores' mishaps do to single requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    Kill,
    KillAtStep,
    KillAtPoint,
    Restart,
    TargetDown,
    TargetStalls,
    TargetFailsOver,
    SourceDown,
    StateOlder,
    StateLost,
    TwoDaemons,
    PartitionSplit,
    LogTrimmed,
    SourceRestored,
    SourceForgets,
}

impl Trouble {
    pub const ALL: [Trouble; 15] = [
        Trouble::Kill,
        Trouble::KillAtStep,
        Trouble::KillAtPoint,
        Trouble::Restart,
        Trouble::TargetDown,
        Trouble::TargetStalls,
        Trouble::TargetFailsOver,
        Trouble::SourceDown,
        Trouble::StateOlder,
        Trouble::StateLost,
        Trouble::TwoDaemons,
        Trouble::PartitionSplit,
        Trouble::LogTrimmed,
        Trouble::SourceRestored,
        Trouble::SourceForgets,
    ];

    pub fn name(self) -> String {
        format!("{self:?}")
    }
}

impl Plan {
    pub fn new(seed: u64) -> Plan {
        let mut chance = Chance::new(seed);
        let c = &mut chance;
        let partitions = if c.hits(150) { c.between(2, 3) as u16 } else { 1 };
        let images = *c.pick(&[Images::Full, Images::External, Images::Changed, Images::Keys, Images::Mixed]);
        let keys = matches!(images, Images::Keys | Images::Mixed);
        let loose = c.hits(120);
        let transactional = !keys && !loose && partitions == 1 && c.hits(200);
        let mut tables = vec![orders(), stock()];
        if partitions == 1 {
            tables.extend([words(), trees(), leaves(), buds()]);
            if !loose {
                tables.push(people());
            }
            if !loose && c.hits(500) {
                tables.push(audit());
            }
        }
        tables.retain(|table| *table == orders() || c.hits(750));
        // Children need their parents.
        if !tables.contains(&trees()) {
            tables.retain(|table| *table != leaves());
        }
        if !tables.contains(&leaves()) {
            tables.retain(|table| *table != buds());
        }
        let latency = *c.pick(&[Duration::ZERO, Duration::from_millis(5), Duration::from_millis(60)]);
        let mut source = Habits {
            seed: c.number(),
            images,
            cascades: *c.pick(&[Cascades::Logged, Cascades::Matching]),
            paging: *c.pick(&[Paging::Key, Paging::Place]),
            deferred_uniques: c.hits(500),
            partitions,
            log_delay: lag(c),
            read_delay: lag(c),
            batch_rows: *c.pick(&[3, 20, 120, 500]),
            batch_commits: *c.pick(&[1, 4, 50, 1_000]),
            page_rows: *c.pick(&[1, 3, 10, 100]),
            keepalive: Duration::from_secs(*c.pick(&[5, 60])),
            latency,
            mishaps: Mishaps { read: *c.pick(&[0, 0, 10, 40]), ..Mishaps::default() },
            losable: 20,
            history: true,
            ..Habits::default()
        };
        // What `Matching` asks of a source.
        if source.paging == Paging::Place {
            source.cascades = Cascades::Logged;
        }
        let targets: Vec<TargetPlan> = (0..*c.pick(&[1, 1, 1, 2, 2, 3])).map(|_| target(c, loose, latency)).collect();
        if targets.iter().any(|target| target.existing == Existing::Merge) {
            // Whether a row that holds a unique value is of others, or only not deleted yet, `merge` cannot know: it stops.
            tables.retain(|table| *table != people());
        }
        let mut troubles: Vec<(Trouble, u32)> = Vec::new();
        for trouble in Trouble::ALL {
            if c.hits(350) {
                troubles.push((trouble, c.between(10, 60) as u32));
            }
        }
        // What ends in Lost ends the story: rarely.
        let ending = [Trouble::LogTrimmed, Trouble::SourceRestored, Trouble::SourceForgets];
        let may_end = c.hits(120);
        troubles.retain(|(trouble, _)| may_end || !ending.contains(trouble));
        Plan {
            seed,
            source,
            targets,
            tables,
            rows: *c.pick(&[0, 10, 60, 150]),
            lanes: *c.pick(&[1, 2, 3, 8]),
            parallelism: *c.pick(&[1, 2, 4]),
            transactional,
            retain: Duration::from_secs(*c.pick(&[0, 5, 120])),
            slow_saves: Duration::from_millis(*Chance::new(seed ^ 0xd15c).pick(&[0, 0, 0, 30, 300])),
            steps: c.between(20, 70) as usize,
            big: *c.pick(&[15, 90, 250]),
            burst: *c.pick(&[5, 40]),
            troubles,
            only_acts: Vec::new(),
        }
    }

    /// A quiet world: one target, nothing goes wrong. Traces start from it.
    pub fn quiet(seed: u64) -> Plan {
        let habits = Habits { losable: 20, history: true, seed, ..Habits::default() };
        Plan {
            seed,
            source: habits.clone(),
            targets: vec![TargetPlan { habits, existing: Existing::Refuse, foreign: 0 }],
            tables: vec![orders()],
            rows: 0,
            lanes: 1,
            parallelism: 1,
            transactional: false,
            retain: Duration::ZERO,
            slow_saves: Duration::ZERO,
            steps: 0,
            big: 100,
            burst: 1,
            troubles: Vec::new(),
            only_acts: Vec::new(),
        }
    }

    pub fn job(&self) -> JobId {
        JobId(Uuid::from_u128(u128::from(self.seed) + 1))
    }

    pub fn target_name(index: usize) -> String {
        char::from(b'a' + u8::try_from(index).expect("few targets")).to_string()
    }

    pub fn spec(&self) -> JobSpec {
        let target = |(index, plan): (usize, &TargetPlan)| TargetSpec {
            store: Plan::target_name(index),
            existing: plan.existing,
        };
        JobSpec {
            name: format!("seed-{}", self.seed),
            labels: Default::default(),
            source: SourceSpec {
                keyless: if self.tables.contains(&audit()) { Keyless::Exact } else { Keyless::Refuse },
                ..SourceSpec::new("source")
            },
            targets: self.targets.iter().enumerate().map(target).collect(),
            copy: CopySettings { parallelism: self.parallelism, ..CopySettings::default() },
            apply: ApplySettings { lanes: self.lanes, transactional: self.transactional, ..ApplySettings::default() },
        }
    }

    /// Whether the world and the job can bear an act.
    pub fn allows(&self, act: &str) -> bool {
        if !self.only_acts.is_empty() {
            return self.only_acts.contains(&act);
        }
        let several = self.source.partitions > 1;
        // A truncate of the source's table takes other rows along; that is said in the docs of `merge`.
        let merged = self.targets.iter().any(|target| target.existing == Existing::Merge && target.foreign > 0);
        let has = |table: TableName| self.tables.contains(&table);
        match act {
            "truncate" => !several && !merged,
            "column added" | "table changed unlogged" => !several,
            // Under `merge` nobody can tell rows of others from rows that went without a word.
            "keys changed unlogged" => !several && self.targets.iter().all(|target| target.existing != Existing::Merge),
            "unique value moved" | "unique values swapped" => has(people()),
            "unique values rotated, deferred" => has(people()) && self.source.deferred_uniques,
            "keyless insert" | "keyless doubles" | "keyless delete" | "keyless update" => has(audit()),
            "case change of a key" | "case change and delete" => has(words()),
            "cascading delete" => has(trees()),
            "cascading key change" => has(leaves()),
            "set null by foreign key" => has(buds()),
            _ => true,
        }
    }
}

fn lag(c: &mut Chance) -> Duration {
    if c.hits(600) { Duration::ZERO } else { Duration::from_millis(c.between(10, 3_000)) }
}

fn target(c: &mut Chance, loose: bool, latency: Duration) -> TargetPlan {
    let existing = *c.pick(&[Existing::Refuse, Existing::Refuse, Existing::Refuse, Existing::Merge, Existing::Replace]);
    let habits = Habits {
        seed: c.number(),
        coarse: *c.pick(&[None, None, Some(false)]),
        latency,
        transactional: !loose,
        ddl_commits: c.hits(300),
        page_rows: *c.pick(&[1, 3, 10, 100]),
        lanes: c.between(1, 4) as u16,
        mishaps: Mishaps {
            read: *c.pick(&[0, 0, 10]),
            deadlock: *c.pick(&[0, 0, 20, 80]),
            cut: *c.pick(&[0, 0, 10, 60]),
            lost_answer: *c.pick(&[0, 0, 10, 60]),
            hang: *c.pick(&[0, 0, 5, 20]),
        },
        losable: 20,
        early_indexes: existing != Existing::Refuse && c.hits(500),
        ..Habits::default()
    };
    let foreign = if existing == Existing::Refuse { 0 } else { c.between(0, 12) as usize };
    TargetPlan { habits, existing, foreign }
}
