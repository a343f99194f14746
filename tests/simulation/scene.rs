//! The stage of one seed: stores, application, state, and the process that comes and goes.

use super::{
    judge::{Foreign, History, Judged},
    plan::{Plan, TargetPlan},
    process::{Process, take_panics, take_stopped},
};
use crate::support::{
    wait::pass,
    workload::{Tally, Workload, audit, shape, words},
};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use whimbrel::{
    connectors::memory::{Chance, Habits, Heap, Images, MemoryTarget, World},
    error::ErrorKind,
    model::{Existing, TableName, TableState, Value},
    pipeline::status::Observed,
    state::{Desired, JobRecord, MemoryState, State, rebuild},
    target::Target,
};

pub struct Scene {
    pub plan: Plan,
    pub chance: Chance,
    pub source: Arc<World>,
    pub targets: Vec<Judged>,
    pub workload: Workload,
    pub state: Arc<MemoryState>,
    /// Copies of the state folder as it was.
    pub old_states: Vec<MemoryState>,
    pub process: Option<Process>,
    pub wrong: Arc<Mutex<Vec<String>>>,
    pub tally: Tally,
    /// Something happened after which Lost is a right answer.
    pub may_be_lost: bool,
    /// Something happened after which a daemon may be told that another one is newer.
    pub may_be_refused: bool,
    /// The source was put back to what it was before.
    pub past_changed: bool,
    history: History,
    tokens: u128,
    /// What happened, for a person with a failing seed.
    pub story: Vec<String>,
}

/// How a job came to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    Equal,
    Lost,
}

impl Scene {
    pub async fn new(plan: Plan) -> Scene {
        let mut chance = Chance::new(plan.seed ^ 0xacce55);
        let source = World::new("source", plan.source.clone());
        plan.tables.iter().for_each(|table| source.create(shape(table)));
        // What is there before the job is created is to be seen.
        pass(plan.source.read_delay + plan.source.log_delay).await;
        let mut workload = Workload::new(&source, chance.fork(), |act| plan.allows(act), plan.big);
        workload.fill(plan.rows);
        if chance.hits(500) {
            pass(plan.source.read_delay + plan.source.log_delay).await;
        }
        source.make_durable();
        let targets = plan.targets.iter().enumerate();
        let targets = targets.map(|(index, target)| stage_target(index, target, &plan, &source, &mut chance)).collect();
        let state = Arc::new(MemoryState::default());
        let record = JobRecord::new(plan.job(), plan.spec(), Desired::Run);
        state.save_job(&record).await.expect("memory");
        Scene {
            plan,
            chance,
            source,
            targets,
            workload,
            state,
            old_states: Vec::new(),
            process: None,
            wrong: Arc::default(),
            tally: Tally::default(),
            may_be_lost: false,
            may_be_refused: false,
            past_changed: false,
            history: History::default(),
            tokens: 0,
            story: Vec::new(),
        }
    }

    pub fn tell(&mut self, what: impl Into<String>) {
        let what = what.into();
        tracing::info!("{what}");
        self.story.push(what);
    }

    pub async fn start(&mut self) {
        let state = Arc::clone(&self.state);
        self.process = self.start_on(&state).await;
        self.tally.add("processes", 1);
    }

    pub async fn start_on(&mut self, state: &Arc<MemoryState>) -> Option<Process> {
        self.tokens += 1;
        let token = self.tokens;
        Process::start(self, state, token).await
    }

    pub async fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill().await;
        }
    }

    /// Time passes; everybody is watched meanwhile.
    pub async fn pass(&mut self, lasting: Duration) {
        let slice = (lasting / 8).clamp(Duration::from_millis(1), Duration::from_secs(1));
        let mut left = lasting;
        while left > Duration::ZERO {
            let now = slice.min(left);
            pass(now).await;
            left -= now;
            self.observe().await;
        }
    }

    pub async fn observe(&mut self) {
        if self.process.as_ref().is_some_and(|process| process.faults.spins()) {
            self.wrong.lock().push("the process does the same again and again, and no time passes".into());
        }
        if take_stopped() || self.process.as_ref().is_some_and(Process::is_dead) {
            self.tell("the process died");
            self.kill().await;
        }
        self.history.read_on(&self.source);
        let mut wrong = Vec::new();
        self.targets.iter().for_each(|target| target.note(self.plan.job()));
        // Once the source's past has changed, only the end can be judged.
        for target in self.targets.iter().filter(|_| !self.past_changed) {
            wrong.extend(target.observe(&self.history, self.plan.job(), &self.source, self.process.as_ref()).await);
        }
        for world in self.worlds() {
            wrong.extend(world.breaches().into_iter().map(|rule| format!("{}: {rule}", world.name)));
        }
        wrong.extend(take_panics().into_iter().map(|panic| format!("a task panicked: {panic}")));
        self.wrong.lock().extend(wrong);
    }

    pub fn is_wrong(&self) -> bool {
        !self.wrong.lock().is_empty()
    }

    fn worlds(&self) -> impl Iterator<Item = &Arc<World>> {
        self.targets.iter().map(|target| &target.world).chain([&self.source])
    }

    /// One transaction of the application.
    pub async fn write(&mut self) {
        let copying = self.copying().await;
        if let Some(act) = self.workload.act() {
            self.tell(format!("{act} ({})", self.source.end().sequence));
            if act.starts_with("update") && copying {
                self.tally.add("update while copying", 1);
            }
        }
    }

    async fn copying(&self) -> bool {
        let progress = self.state.progress(self.plan.job(), &self.targets[0].name).await.expect("memory");
        progress.is_some_and(|progress| progress.tables.values().any(|table| table.state == TableState::Copying))
    }

    /// State as `state rebuild` would make it; `None` where the targets know nothing of the job yet.
    pub async fn rebuilt(&self) -> Option<MemoryState> {
        let mut rows = BTreeMap::new();
        for target in &self.targets {
            rows.insert(target.name.clone(), MemoryTarget::new(Arc::clone(&target.world)).jobs().await.ok()?);
        }
        let document = rebuild(&rows, 0).document;
        let found = document.jobs.into_iter().find(|found| found.job.id == self.plan.job())?;
        let state = MemoryState::default();
        state.save_job(&JobRecord { desired: Desired::Run, ..found.job }).await.expect("memory");
        for (target, progress) in found.progress {
            state.save_progress(self.plan.job(), &target, &progress).await.expect("memory");
        }
        Some(state)
    }

    /// Everything is well again, the application rests: now the targets must become equal, in bounded time.
    pub async fn settle(&mut self) -> Result<Rest, String> {
        const LONGEST: Duration = Duration::from_secs(4 * 60 * 60);
        self.tell("everything is well again");
        whimbrel::faults::stop_at(None);
        for world in self.worlds() {
            world.set_habits(|habits| habits.mishaps = Default::default());
        }
        let started = tokio::time::Instant::now();
        let mut starts = 0;
        while started.elapsed() < LONGEST {
            self.pass(Duration::from_secs(2)).await;
            if self.is_wrong() {
                return Err("see above".into());
            }
            match &self.process {
                None => self.start().await,
                Some(process) if process.is_over() => {
                    let error = self.process.take().expect("just seen").result().await.err();
                    let error = error.ok_or("the job ended by itself")?;
                    self.tell(format!("the job stopped: {error:?}"));
                    match error.kind() {
                        ErrorKind::Lost if self.may_be_lost => return Ok(Rest::Lost),
                        // A person starts it again, and again: each start has a newer epoch.
                        ErrorKind::Config if self.may_be_refused && starts < 20 => {
                            starts += 1;
                            self.after_refusal().await;
                        }
                        _ => return Err(format!("the job stopped: {error:?}")),
                    }
                }
                Some(process) => {
                    let status = process.status();
                    let failed = status.targets.values().any(|target| target.observed <= Observed::Lost);
                    if failed && starts < 20 {
                        // The others go on; a person looks and starts it again.
                        let lost = status.targets.values().any(|target| target.observed == Observed::Lost);
                        let right = if lost { self.may_be_lost } else { self.may_be_refused };
                        if !right {
                            return Err(format!("a target stopped: {}", self.standing().await));
                        }
                        if lost {
                            return Ok(Rest::Lost);
                        }
                        starts += 1;
                        let process = self.process.take().expect("just seen");
                        process.stop(Duration::from_secs(600)).await?;
                        self.after_refusal().await;
                    } else if status.observed == Observed::Streaming && self.all_passed() {
                        let verdict = self.verdict();
                        // What a new part of the log has to say may not be read yet.
                        if verdict.is_ok() || self.has_opened_all() {
                            return verdict;
                        }
                    }
                }
            }
        }
        Err(format!("not settled after {LONGEST:?}: {}", self.standing().await))
    }

    /// A person starts it again; if that does not help, the state is rebuilt from the targets.
    async fn after_refusal(&mut self) {
        // Not at once: what is down comes back.
        self.pass(Duration::from_secs(20)).await;
        if self.chance.hits(500)
            && let Some(state) = self.rebuilt().await
        {
            self.tell("the state is rebuilt");
            self.tally.add("state rebuilt after a refusal", 1);
            self.state = Arc::new(state);
        }
    }

    /// Where everything is, in a few lines.
    async fn standing(&self) -> String {
        let mut lines = vec![format!("source ends at {:?}", self.source.end())];
        let status = self.process.as_ref().map(Process::status).unwrap_or_default();
        lines.push(format!("job {:?}, source error {:?}", status.observed, status.error));
        for target in &self.targets {
            let at = super::judge::stands(&target.world.ledger(), self.plan.job());
            let shown = status.targets.get(&target.name).cloned().unwrap_or_default();
            lines.push(format!("{} {:?} at {at:?}, error {:?}", target.name, shown.observed, shown.error));
            let progress =
                self.state.progress(self.plan.job(), &target.name).await.expect("memory").unwrap_or_default();
            for (name, table) in &progress.tables {
                lines.push(format!("  {name} {:?} todo {} sweep {}", table.state, table.todo.len(), table.sweep.len()));
            }
        }
        lines.join("\n")
    }

    fn all_passed(&self) -> bool {
        let end = self.source.end();
        let partitions = self.source.partitions();
        self.targets.iter().all(|target| {
            let at = super::judge::stands(&target.world.ledger(), self.plan.job());
            // A part that was never heard of has had nothing to say.
            partitions.iter().all(|name| at.get(name).is_none_or(|at| at.identity == end.identity && *at >= end))
        })
    }

    fn has_opened_all(&self) -> bool {
        let partitions = self.source.partitions();
        self.targets.iter().all(|target| {
            let at = super::judge::stands(&target.world.ledger(), self.plan.job());
            partitions.iter().all(|name| at.contains_key(name))
        })
    }

    fn verdict(&mut self) -> Result<Rest, String> {
        self.history.read_on(&self.source);
        let mut wrong = Vec::new();
        for target in &self.targets {
            for table in &self.plan.tables {
                wrong.extend(target.compare(&self.history, &self.source, table, None));
            }
            self.tally.add("Streaming held against rows", target.seen.lock().proofs);
        }
        if wrong.is_empty() { Ok(Rest::Equal) } else { Err(wrong.join("\n")) }
    }
}

fn stage_target(index: usize, plan: &TargetPlan, whole: &Plan, source: &World, chance: &mut Chance) -> Judged {
    let name = Plan::target_name(index);
    let world = World::new(&name, Habits { seed: plan.habits.seed ^ index as u64, ..plan.habits.clone() });
    let mut foreign = Foreign::new();
    if plan.foreign > 0 {
        for table in &whole.tables {
            if *table == audit() && plan.existing == Existing::Merge {
                continue;
            }
            world.create(shape(table));
            // A target that tells case apart keeps a row of another case beside ours: it is another row there.
            let same_keys = *table != words() || plan.habits.coarse != Some(false);
            let rows: Vec<Vec<Value>> = foreign_rows(table, plan.foreign, source, chance, same_keys);
            let scratch = Heap::new(shape(table), None, false);
            for row in rows {
                if world.transact(|t| t.insert(table, row.clone())).is_ok() {
                    foreign.entry(table.clone()).or_default().insert(scratch.key_of(&row), row);
                }
            }
        }
    }
    if plan.existing != Existing::Merge {
        foreign.clear();
    }
    world.make_durable();
    let may_mix = matches!(whole.source.images, Images::External | Images::Changed | Images::Mixed);
    Judged { name, world, seen: Arc::default(), foreign: Arc::new(foreign), may_mix }
}

/// Rows that were in the target before: some with keys that the source has too, all with unique values of their own.
fn foreign_rows(
    table: &TableName,
    count: usize,
    source: &World,
    chance: &mut Chance,
    same_keys: bool,
) -> Vec<Vec<Value>> {
    let (shape, known) = source.rows(table).expect("a table of the world");
    let row = |number: usize, chance: &mut Chance| -> Vec<Value> {
        let mut row: Vec<Value> = shape
            .columns
            .iter()
            .map(|column| match column.kind {
                whimbrel::model::Type::Int => Value::Int(-1_000_000 - number as i64),
                _ => Value::Text(format!("foreign{number}")),
            })
            .collect();
        for foreign in &shape.foreign_keys {
            row[foreign.columns[0]] = Value::Null;
        }
        if same_keys && !known.is_empty() && chance.hits(300) {
            let same = chance.pick(&known);
            shape.key.iter().for_each(|&column| row[column] = same[column].clone());
        }
        row
    };
    (0..count).map(|number| row(number, chance)).collect()
}
