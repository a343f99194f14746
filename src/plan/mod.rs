//! What a job would meet and do, found out before it is made. Writes nothing, reserves nothing.

use crate::{
    error::{Error, Result},
    model::{Finding, JobId, JobSpec, Keyless, Severity, Table},
    pipeline::Route,
    source::Source,
    target::Target,
};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// A spec, and its stores opened.
pub struct Pair<'a> {
    pub spec: &'a JobSpec,
    pub source: Arc<dyn Source>,
    /// In the order of the spec.
    pub targets: Vec<Arc<dyn Target>>,
}

/// Whatever is `None` is not known.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The gravest first.
    pub findings: Vec<Found>,
    /// In the order of their names.
    pub tables: Vec<PlannedTable>,
    /// In the order of the spec.
    pub targets: Vec<PlannedTarget>,
    pub log: PlannedLog,
}

/// A finding, and where.
#[derive(Clone, Debug)]
pub struct Found {
    pub side: Side,
    /// For a pair, the target's.
    pub store: String,
    pub finding: Finding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Source,
    Target,
    /// Both are well, but do not fit each other.
    Pair,
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

/// Examines the source, each target, and what the one makes of the other.
pub async fn plan(pair: &Pair<'_>) -> Result<Plan> {
    let Pair { spec, source, targets } = pair;
    let route = Route::new(&spec.source)?;
    let at = |store: &str| {
        let place = format!("store `{store}`");
        move |error: Error| error.at(place)
    };
    let name = &spec.source.store;
    let (all, not_carried) = source.tables().await.map_err(at(name))?;
    let mut tables: Vec<Arc<Table>> = all.into_iter().filter(|table| route.selects(&table.name)).collect();
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    let mut plan = Plan::default();
    let mut found = |side, store: &str, findings: Vec<Finding>| {
        let found = |finding| Found { side, store: store.to_owned(), finding };
        plan.findings.extend(findings.into_iter().map(found));
    };
    found(Side::Source, name, not_carried);
    found(Side::Source, name, of_selection(spec, &tables, source.is_key_only()));
    // The id only names what would be made.
    found(Side::Source, name, source.check(JobId(Uuid::now_v7()), &tables).await.map_err(at(name))?);
    let renamed: Vec<Arc<Table>> = tables.iter().map(|table| route.target_table(table)).collect();
    for (target, wanted) in targets.iter().zip(&spec.targets) {
        found(Side::Target, &wanted.store, target.check(&renamed, wanted.existing).await.map_err(at(&wanted.store))?);
        if !target.is_transactional() {
            found(Side::Pair, &wanted.store, tables.iter().filter_map(|table| keyless_into_loose(table)).collect());
        }
    }
    plan.findings.sort_by_key(|found| std::cmp::Reverse(found.finding.severity));
    plan.tables = tables
        .into_iter()
        .zip(renamed)
        .map(|(shape, target_shape)| PlannedTable { shape, target_shape, rows: None, bytes: None })
        .collect();
    plan.targets = targets
        .iter()
        .zip(&spec.targets)
        .map(|(target, wanted)| PlannedTarget {
            store: wanted.store.clone(),
            parallelism: spec.copy.parallelism,
            lanes: if spec.apply.lanes == 0 { target.lanes() } else { spec.apply.lanes },
            basis: "not predicted: the source does not say how large its tables are".into(),
            ..PlannedTarget::default()
        })
        .collect();
    plan.log.text = "it must reach back to the job's start for as long as the slowest target is copied".into();
    Ok(plan)
}

/// What a start would refuse before it asks any store.
fn of_selection(spec: &JobSpec, tables: &[Arc<Table>], key_only: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if tables.is_empty() {
        findings.push(
            Finding::new(Severity::Blocking, "source.tables", "the job selects no table of the source")
                .mend("globs of the form schema.table; without any, every table is carried"),
        );
    }
    if spec.source.keyless == Keyless::Refuse {
        findings.extend(tables.iter().filter(|table| table.is_keyless()).map(|table| {
            Finding::new(Severity::Blocking, table.name.to_string(), "it has no key").mend(format!(
                "give it a primary key, leave it out (`!{}`), or set `source.keyless: exact`",
                table.name
            ))
        }));
    }
    if spec.apply.transactional && key_only {
        let text = "this source's log holds keys only, its transactions are not known";
        findings
            .push(Finding::new(Severity::Blocking, "apply.transactional", text).mend("remove `transactional: true`"));
    }
    findings
}

fn keyless_into_loose(table: &Table) -> Option<Finding> {
    table.is_keyless().then(|| {
        let text = "it has no key, and the target has no transactions: it takes keyed tables only";
        Finding::new(Severity::Blocking, table.name.to_string(), text).mend(format!("leave it out: `!{}`", table.name))
    })
}
