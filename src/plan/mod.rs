//! What a job would meet and do, found out before it is made. Writes nothing, reserves nothing.

mod basis;
mod measure;
mod own;
mod predict;
mod room;
mod selection;

pub use crate::pipeline::{Found, Side};

use crate::{
    error::{Error, Result},
    model::{JobId, JobSpec, Severity, Table},
    pipeline::{Examined, Other, Route, check},
    source::{Size, Source},
    target::Target,
};
use basis::Measured;
use futures_util::future::join_all;
use measure::Trial;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;
use uuid::Uuid;

/// A spec, and its stores opened.
pub struct Pair<'a> {
    pub spec: &'a JobSpec,
    pub source: Arc<dyn Source>,
    /// In the order of the spec.
    pub targets: Vec<Arc<dyn Target>>,
    /// The daemon's other jobs.
    pub others: Vec<Other>,
}

/// Whatever is `None` is not known.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The source's store.
    pub source: String,
    /// The gravest first.
    pub findings: Vec<Found>,
    /// In the order of their names.
    pub tables: Vec<PlannedTable>,
    /// In the order of the spec.
    pub targets: Vec<PlannedTarget>,
    pub log: PlannedLog,
}

#[derive(Clone, Debug)]
pub struct PlannedTable {
    pub shape: Arc<Table>,
    /// The shape under its name in the targets.
    pub target_shape: Arc<Table>,
    /// As the source estimates them.
    pub rows: Option<u64>,
    pub bytes: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub struct PlannedTarget {
    pub store: String,
    /// From the start until it follows.
    pub duration: Option<Duration>,
    pub limiting: Option<Limiting>,
    pub rows_per_s: Option<f64>,
    pub bytes_per_s: Option<f64>,
    /// 0: not known.
    pub parallelism: u16,
    /// 0: not known.
    pub lanes: u16,
    /// How the duration was come by.
    pub basis: String,
}

/// What a copy would wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limiting {
    Source,
    Target,
    /// The job's own limits.
    Limits,
}

/// The source's log while a job copies.
#[derive(Clone, Debug, Default)]
pub struct PlannedLog {
    pub needed: Option<Duration>,
    pub kept: Option<Duration>,
    pub text: String,
}

impl Plan {
    /// Nothing blocks.
    pub fn is_ok(&self) -> bool {
        self.findings.iter().all(|found| found.finding.severity != Severity::Blocking)
    }
}

/// A source answers within this what it is asked about its sizes.
const SURVEY: Duration = Duration::from_millis(1_500);
/// Measuring is bounded by itself; a store that hangs must not take the rest of the plan with it.
const MEASURING: Duration = Duration::from_secs(8);
/// Free space that a source should have for its log.
const LOG_ROOM: u64 = 256 << 20;
/// A log kept as long as this many copies last survives one that has to be done again.
const LOG_COPIES: u32 = 2;

/// Examines the source, each target, and what the one makes of the other; then measures.
pub async fn plan(pair: &Pair<'_>) -> Result<Plan> {
    let Pair { spec, source, targets, others } = pair;
    let name = &spec.source.store;
    let at_source = |error: Error| error.at(format!("store `{name}`"));
    let route = Arc::new(Route::new(&spec.source)?);
    let (all, not_carried) = source.tables().await.map_err(at_source)?;
    let mut tables = route.selected(&all);
    tables.sort_by(|a, b| a.name.cmp(&b.name));

    let of_source = |finding| Found { side: Side::Source, store: name.clone(), finding };
    let borrowed = targets.iter().map(|target| &**target).collect();
    // The id only names what would be made.
    let job = JobId(Uuid::now_v7());
    let examined = Examined { job, spec, source: &**source, targets: borrowed, route: &route, others };
    let mut findings = check(&examined, &all, &not_carried).await?;
    findings.extend(selection::look(&route, &all, not_carried).into_iter().map(of_source));
    let survey = source.survey(&tables, SURVEY).await.map_err(at_source)?;
    findings.extend(survey.findings.iter().cloned().map(of_source));

    let mut plan = Plan { source: name.clone(), ..Plan::default() };
    let target_shapes = tables.iter().map(|table| route.target_table(table));
    plan.tables = tables
        .iter()
        .zip(target_shapes)
        .zip(&survey.sizes)
        .map(|((shape, target_shape), size)| PlannedTable {
            shape: Arc::clone(shape),
            target_shape,
            rows: size.rows,
            bytes: size.bytes,
        })
        .collect();
    let measured = targets.iter().map(|target| measure_into(pair, &route, &tables, &survey.sizes, &**target));
    let measured = join_all(measured).await;
    measured.iter().filter_map(|measured| measured.samples.as_ref().ok()).for_each(|samples| fill(&mut plan, samples));
    for ((target, wanted), measured) in targets.iter().zip(&spec.targets).zip(measured) {
        let at_target = |error: Error| error.at(format!("store `{}`", wanted.store));
        let room = target.room().await.map_err(at_target)?;
        let finding = room::of_target(&plan.tables, room.as_ref());
        findings.extend(finding.map(|finding| Found { side: Side::Target, store: wanted.store.clone(), finding }));
        let side_by_side = spec.copy.side_by_side(target.lanes());
        let mut planned = measured.predict(&plan.tables, spec);
        planned.store.clone_from(&wanted.store);
        (planned.parallelism, planned.lanes) = (side_by_side, lanes(spec, &**target));
        plan.targets.push(planned);
    }
    findings.extend(room::of_log(survey.room.as_ref(), LOG_ROOM).map(of_source));
    let longest: Option<Vec<Duration>> = plan.targets.iter().map(|target| target.duration).collect();
    plan.log = PlannedLog {
        needed: longest.and_then(|all| all.into_iter().max()).map(|longest| longest * LOG_COPIES),
        kept: survey.log_kept,
        text: survey.log,
    };
    plan.findings = selection::bounded(findings);
    Ok(plan)
}

fn lanes(spec: &JobSpec, target: &dyn Target) -> u16 {
    match spec.apply.lanes {
        _ if spec.apply.transactional => 1,
        0 => target.lanes(),
        lanes => lanes,
    }
}

/// What the samples showed of tables whose sizes the source did not know.
fn fill(plan: &mut Plan, samples: &measure::Samples) {
    for (index, sample) in samples {
        let table = &mut plan.tables[*index];
        if sample.all {
            table.rows.get_or_insert(sample.rows);
        }
        if let (None, Some(rows), true) = (table.bytes, table.rows, sample.rows > 0) {
            table.bytes = Some((rows as f64 * sample.bytes as f64 / sample.rows as f64) as u64);
        }
    }
}

async fn measure_into(
    pair: &Pair<'_>,
    route: &Arc<Route>,
    tables: &[Arc<Table>],
    sizes: &[Size],
    target: &dyn Target,
) -> Measured {
    let side_by_side = pair.spec.copy.side_by_side(target.lanes());
    let mut about = None;
    let samples = timeout(MEASURING, async {
        let scratch = target.scratch().await?;
        about = scratch.as_ref().map(|scratch| scratch.about.clone());
        let target = scratch.as_ref().map(|scratch| &*scratch.target);
        measure::measure(&Trial { source: &*pair.source, target, route, tables, sizes, side_by_side }).await
    });
    let samples =
        samples.await.unwrap_or_else(|_| Err(Error::transient(format!("no answer in {} s", MEASURING.as_secs()))));
    Measured { samples, about, side_by_side }
}
