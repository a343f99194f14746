//! One job's run: `source.begin → copy feeds → tail feed`, each `next → apply → save → acknowledge`.
//!
//! `run` starts one task that reads the log for all targets (`tee`) and one pipeline per target (`line`): it opens the
//! target and finds out where that stands (`standing`), copies what is not copied (`copy`), and pumps (`pump`). A batch
//! goes through `resolve` and `route` to the tee, and from a tap through `fold` and `parallel` into the target.

mod applied;
mod asked;
mod board;
mod budget;
mod check;
mod copy;
mod finish;
pub(crate) mod flat;
mod fold;
mod held;
mod ledger;
mod limit;
mod line;
mod mend;
mod named;
mod pace;
mod parallel;
mod prefetch;
mod pump;
mod resolve;
mod retention;
pub mod retry;
mod ring;
mod route;
mod shapes;
mod slice;
mod spread;
mod standing;
pub mod status;
mod tap;
mod tee;
mod told;
mod vanished;
mod waits;
mod witness;
mod work;
mod worklist;

pub use board::{now_ms, stopped};
pub use budget::Budget;
pub use check::{Examined, Found, Side, check};
pub(crate) use named::{is_of_one, look as named};
pub(crate) use prefetch::Prefetch;
pub(crate) use ring::list;
pub use ring::{Other, Others, Spot};
pub use route::Route;
pub(crate) use route::Routed;

use crate::{
    error::{Error, Result},
    faults::{self, Saboteur},
    model::{Finding, Limits, Progress, Severity, Table, TableName, in_file},
    source::{Backlog, Source},
    state::{JobRecord, State, remember},
    target::Target,
};
use applied::Applied;
use asked::Asked;
use board::Board;
use futures_util::{StreamExt, stream::FuturesUnordered};
use ledger::Ledger;
use limit::Limit;
use line::Line;
use parking_lot::Mutex;
use retention::Retention;
use retry::Backoff;
use status::{JobStatus, Observed};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tee::Tee;
use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;
use vanished::Vanished;

/// Everything a job needs to run. The supervisor makes it; nothing of it is global.
pub struct JobRun {
    pub record: JobRecord,
    pub source: Arc<dyn Source>,
    pub targets: Vec<TargetRun>,
    pub state: Arc<dyn State>,
    /// This daemon's own, random at each start.
    pub token: Uuid,
    pub limits: watch::Receiver<Limits>,
    /// Where the run shows what it sees; one writer.
    pub status: Arc<watch::Sender<JobStatus>>,
    /// How long the source keeps what is applied already, so that a target that lost commits can be rewound.
    pub retain_after_apply: Duration,
    /// Bytes of rows in flight, shared with the other jobs of the daemon.
    pub budget: Budget,
    /// Asked before the job begins.
    pub others: Others,
}

/// One target of the job.
pub struct TargetRun {
    /// The store's name.
    pub name: String,
    pub target: Arc<dyn Target>,
    /// The same store for reading: sweeps.
    pub reader: Arc<dyn Source>,
}

/// Runs the job until `stop` (then `Ok`, with everything applied saved) or until it needs a person.
/// One target that needs a person does not stop the others; `Err` only when nothing is left to run.
pub async fn run(mut job: JobRun, stop: CancellationToken) -> Result<()> {
    let targets: Vec<_> = job.targets.iter().map(|target| Arc::clone(&target.target)).collect();
    job.source = flat::over(job.source, &job.record.spec.source, &targets);
    let board = Arc::new(Board::new(Arc::clone(&job.status)));
    for target in &job.targets {
        board.phase(&target.name, Observed::Preparing);
    }
    let route = Arc::new(Route::new(&job.record.spec.source)?);
    let tables = tokio::select! {
        tables = begin_in_the_end(&mut job, &route, &board, &stop) => match tables? {
            Some(tables) => tables,
            None => return Ok(()),
        },
        never = board.keep_fresh() => match never {},
    };
    board.begun();
    let stop = stop.child_token();
    let _stops_the_rest = stop.clone().drop_guard();
    let begun = job.record.begun.clone().expect("begin saved it");
    let applied = Arc::new(Applied::default());
    let spec = &job.record.spec;
    let text = remember(spec, &job.record.tables)?;
    let mut ledgers = Vec::new();
    for target in &job.targets {
        let ledger = Ledger::load(job.record.id, &target.name, Arc::clone(&job.state)).await?;
        let checkpoint = ledger.read(|progress| progress.checkpoint.clone());
        applied.set(&target.name, if checkpoint.0.is_empty() { begun.clone() } else { checkpoint });
        ledgers.push(Arc::new(ledger));
    }
    let tee = Tee {
        job: job.record.id,
        source: Arc::clone(&job.source),
        store: spec.source.store.clone(),
        route: Arc::clone(&route),
        tables: job.record.tables.clone(),
        board: Arc::clone(&board),
        budget: job.budget.clone(),
        retention: Retention::new(job.retain_after_apply),
        applied: Arc::clone(&applied),
    };
    let (join, mut reading) = tee.start(stop.clone());
    let limit = Limit::new(job.limits.clone());
    let lines: Vec<Line> = job
        .targets
        .iter()
        .zip(&spec.targets)
        .zip(ledgers)
        .map(|((target, wanted), ledger)| Line {
            job: job.record.id,
            spec: text.clone(),
            name: target.name.clone(),
            target: Arc::clone(&target.target),
            reader: Arc::clone(&target.reader),
            source: Arc::new(Asked {
                source: Arc::clone(&job.source),
                board: Arc::clone(&board),
                target: target.name.clone(),
                store: spec.source.store.clone(),
            }),
            route: Arc::clone(&route),
            carried: job.record.tables.clone(),
            given: Mutex::default(),
            tables: Mutex::new(tables.clone()),
            begun: begun.clone(),
            existing: wanted.existing,
            keyless: spec.source.keyless,
            copy: spec.copy.clone(),
            apply: spec.apply.clone(),
            vanished: Mutex::new(Vanished::new(
                ledger.read(not_consistent),
                ledger.read(|progress| inherited(progress, &tables)),
            )),
            ledger,
            join: join.clone(),
            applied: Arc::clone(&applied),
            limit: limit.clone(),
            budget: job.budget.clone(),
            board: Arc::clone(&board),
            token: job.token,
        })
        .collect();
    let mut ended = false;
    let result = tokio::select! {
        biased;
        result = watch_over(&lines, &board, &stop) => result,
        error = died_early(&mut reading, &mut ended) => return Err(error),
        never = measure(&lines, &*job.source, &board) => match never {},
    };
    stop.cancel();
    // It ends by itself at its next await; an abort would only hide a panic.
    if !ended {
        reading.await.map_err(died)?;
    }
    result
}

/// Rows of these tables may be ahead of the log.
fn not_consistent(progress: &Progress) -> Vec<TableName> {
    let tables = progress.tables.iter().filter(|(_, table)| !table.is_streaming());
    tables.map(|(name, _)| name.clone()).collect()
}

/// Tables that stand, and whose rows an earlier process may have read ahead of its end.
fn inherited(progress: &Progress, tables: &BTreeMap<TableName, Arc<Table>>) -> Vec<TableName> {
    if faults::on(Saboteur::ParentsForgottenAtRestart) {
        return Vec::new();
    }
    let standing = progress.tables.iter().filter(|(_, table)| table.is_streaming()).map(|(name, _)| name);
    standing.filter(|name| tables.get(name).is_some_and(|table| vanished::follows_parents(table))).cloned().collect()
}

/// Ends only if the task that reads the log panicked; else notes when it has ended.
async fn died_early(reading: &mut JoinHandle<()>, ended: &mut bool) -> Error {
    let end = reading.await;
    *ended = true;
    match end {
        Err(error) => died(error),
        Ok(()) => std::future::pending().await,
    }
}

fn died(error: JoinError) -> Error {
    Error::config("the task that reads the log died").because(error).hint("this is a defect; please report it")
}

/// Every line of the log that comes from a pipeline says which it is.
fn span_of(line: &Line) -> tracing::Span {
    tracing::error_span!("target", target = line.name)
}

/// Runs the pipelines; keeps the status fresh; returns when all are through.
async fn watch_over(lines: &[Line], board: &Board, stop: &CancellationToken) -> Result<()> {
    let mut running: FuturesUnordered<_> =
        lines.iter().map(|line| async move { (line, line.run(stop).instrument(span_of(line)).await) }).collect();
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    let mut failed: Option<Error> = None;
    loop {
        tokio::select! {
            biased;
            done = running.next() => match done {
                None => return failed.map_or(Ok(()), Err),
                Some((_, Ok(()))) => {}
                Some((line, Err(error))) => {
                    // The last one to stop is told of as the job's end.
                    if !running.is_empty() || failed.is_some() {
                        tracing::error!(target = line.name, hint = error.hint_text(), %error, "target stopped");
                    }
                    board.ended(&line.name, &error);
                    board.phase(&line.name, match error.kind() {
                        crate::error::ErrorKind::Lost => Observed::Lost,
                        _ => Observed::Failed,
                    });
                    // The first one is the cause; the others are shown with their targets.
                    failed.get_or_insert(error);
                }
            },
            _ = clock.tick() => {
                for line in lines {
                    board.tables(&line.name, &line.ledger.read(Clone::clone));
                }
            }
        }
    }
}

/// A source that takes longer to say how much of its log is left does not know it.
const BACKLOG: Duration = Duration::from_secs(10);

/// Asks the source now and then how much of its log the targets lack.
async fn measure(lines: &[Line], source: &dyn Source, board: &Board) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut held: Option<Backlog> = None;
        let mut unknown = false;
        for line in lines {
            let at = line.ledger.read(|progress| progress.checkpoint.clone());
            // An error here says nothing about rows; the feed's own errors are shown.
            let Ok(Ok(behind)) = timeout(BACKLOG, source.backlog(line.job, &at)).await else {
                board.backlog_unknown(&line.name);
                unknown = true;
                continue;
            };
            board.backlog(&line.name, behind);
            held = held.into_iter().chain([behind]).max_by_key(Backlog::weight);
        }
        board.held(held.filter(|_| !unknown));
    }
}

/// Tries until it is done; `None`: the job was stopped meanwhile.
async fn begin_in_the_end(
    job: &mut JobRun,
    route: &Route,
    board: &Board,
    stop: &CancellationToken,
) -> Result<Option<BTreeMap<TableName, Arc<Table>>>> {
    let mut backoff = Backoff::default();
    loop {
        match begin(job, route, board, stop).await {
            Ok(tables) => return Ok(Some(tables)),
            Err(_) if stop.is_cancelled() => return Ok(None),
            Err(error) if error.is_transient() => {
                board.source_error(&error);
                if !backoff.wait(stop).await {
                    return Ok(None);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Waits for stores only as long as the job shall run.
async fn unless_stopped<T>(stop: &CancellationToken, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(Error::transient("the job is stopped")),
        done = work => done,
    }
}

/// Checks both sides and reserves the log, once in a job's life; saved before the first row is read. Gives the tables
/// that are at the source of those that the job carries.
async fn begin(
    job: &mut JobRun,
    route: &Route,
    board: &Board,
    stop: &CancellationToken,
) -> Result<BTreeMap<TableName, Arc<Table>>> {
    let mut before = None;
    let store = job.record.spec.source.store.clone();
    let of_source = |error: Error| error.of_source(&store);
    if job.record.begun.is_none() {
        let listed = unless_stopped(stop, listed(&*job.source, route, &[])).await;
        let (all, not_carried) = listed.map_err(of_source)?;
        let selected = route.selected(&all);
        unless_stopped(stop, not_known(job)).await?;
        let targets = job.targets.iter().map(|target| &*target.target).collect();
        let (id, spec, source) = (job.record.id, &job.record.spec, &*job.source);
        let examined = Examined { job: id, spec, source, targets, route, others: &(job.others)() };
        check::refuse(&unless_stopped(stop, check(&examined, &all, &not_carried)).await?)?;
        // Not cut off: what it makes at the source must not come after a `release`.
        faults::point("before-begin");
        let begun = job.source.begin(job.record.id, &selected).await.map_err(of_source)?;
        faults::point("after-begin");
        let tables: Vec<TableName> = selected.iter().map(|table| table.name.clone()).collect();
        // Only these fields: what the user asked for meanwhile (a pause, other limits) stays.
        let begin = |record: &mut JobRecord| (record.begun, record.tables) = (Some(begun), tables);
        let saved = job.state.change_job(job.record.id, Box::new(begin)).await?;
        let Some(saved) = saved else {
            return Err(Error::config("the job was deleted while it started").hint("nothing to do"));
        };
        (job.record.begun, job.record.tables) = (saved.begun, saved.tables);
        before = Some(selected);
    }
    if job.record.tables.is_empty() {
        // A record from before they were kept with the job. Nothing carried must never look like everything in step.
        for target in &job.targets {
            let progress = job.state.progress(job.record.id, &target.name).await?.unwrap_or_default();
            job.record.tables.extend(progress.tables.into_keys());
        }
        if job.record.tables.is_empty() {
            return Err(Error::config("the state does not say which tables the job carries")
                .hint("delete the job and create it again with `existing: replace`"));
        }
    }
    // R1: only shapes read after `begin` are sure to be those that its log starts with; another may have been altered
    // meanwhile, which that log does not tell.
    let now = match before {
        Some(before) if faults::on(Saboteur::ShapesBeforeBegin) => before,
        _ => {
            let listed = unless_stopped(stop, listed(&*job.source, route, &job.record.tables)).await;
            route.selected(&listed.map_err(of_source)?.0)
        }
    };
    let (carried, late): (Vec<_>, Vec<_>) = now.into_iter().partition(|table| job.record.tables.contains(&table.name));
    for table in &late {
        tracing::warn!(
            table = %table.name,
            "made after the job was started, so not carried: create a job of its own for it"
        );
    }
    board.late(late.iter().map(|table| (table.name.clone(), true)));
    Ok(carried.into_iter().map(|table| (table.name.clone(), table)).collect())
}

/// What is begun anew drops its reservation of the log; a target that knows the job needs that.
async fn not_known(job: &JobRun) -> Result<()> {
    for target in &job.targets {
        if target.target.jobs().await?.iter().any(|row| row.job == job.record.id) {
            return Err(Error::config(format!("target `{}` knows this job, and the state does not", target.name))
                .hint("the state folder is older than the target: rebuild it, `whimbrel state rebuild FILE`"));
        }
    }
    Ok(())
}

/// What the source lists. `begun`: what the job carries, once it does.
async fn listed(source: &dyn Source, route: &Route, begun: &[TableName]) -> Result<(Vec<Arc<Table>>, Vec<Finding>)> {
    let (all, findings) = source.tables().await?;
    // Such a table has rows that would be left out.
    let is_blocked = |finding: &&Finding| {
        let is_ours = |name| route.selects(&name) && (begun.is_empty() || begun.contains(&name));
        finding.severity == Severity::Blocking && finding.subject.parse().is_ok_and(is_ours)
    };
    if let Some(finding) = findings.iter().find(is_blocked) {
        let error = Error::config(format!("{}: {}", finding.subject, finding.text));
        return Err(match begun.is_empty() {
            true => error.hint(finding.mend.clone().unwrap_or_else(|| in_file("leave it out of the job's `tables`"))),
            false => error.hint("mend it, or delete the job and create it again without it, with `existing: replace`"),
        });
    }
    Ok((all, findings))
}
