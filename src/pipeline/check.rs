//! What stands in the way of a job: one examination, made before a start and for a plan.

use super::{
    Route, named,
    ring::{self, Other, Spot},
};
use crate::{
    error::{Error, Result},
    model::{Finding, JobId, JobSpec, Keyless, Severity, Table, TableName, in_file},
    source::Source,
    target::Target,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

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

/// A spec and its open stores; the targets in the order of the spec.
pub struct Examined<'a> {
    /// Only names what would be made.
    pub job: JobId,
    pub spec: &'a JobSpec,
    pub source: &'a dyn Source,
    pub targets: Vec<&'a dyn Target>,
    pub route: &'a Route,
    /// The daemon's other jobs.
    pub others: &'a [Other],
}

/// Everything that a start would refuse blocks here, and nothing else does. `all`, `not_carried`: as the source lists
/// them.
pub async fn check(examined: &Examined<'_>, all: &[Arc<Table>], not_carried: &[Finding]) -> Result<Vec<Found>> {
    let Examined { job, spec, source, targets, route, others } = examined;
    let tables: &[Arc<Table>] = &route.selected(all);
    let mut found = Vec::new();
    let mut add = |side, store: &str, findings: Vec<Finding>| {
        found.extend(findings.into_iter().map(|finding| Found { side, store: store.to_owned(), finding }));
    };
    let name = &spec.source.store;
    add(Side::Source, name, named::look(&spec.source, route, all, not_carried));
    add(Side::Source, name, of_selection(spec, tables, source.is_key_only()));
    let findings = source.check(*job, tables).await.map_err(|error| error.at(format!("store `{name}`")))?;
    add(Side::Source, name, findings);
    let renamed: Vec<Arc<Table>> = tables.iter().map(|table| route.target_table(table)).collect();
    let mut places = BTreeMap::from([(source.place(), name)]);
    for (target, wanted) in targets.iter().zip(&spec.targets) {
        let findings = target.check(&renamed, wanted.existing).await;
        let findings = findings.map_err(|error| error.at(format!("store `{}`", wanted.store)))?;
        // Some stores know which one they are once they were asked something.
        let place = target.place();
        match places.get(&place).filter(|_| place.is_some()) {
            Some(other) => {
                let text = format!("it is the same store as `{other}`, under another name");
                let finding = Finding::new(Severity::Blocking, &wanted.store, text);
                add(Side::Pair, &wanted.store, vec![finding.mend("name another store as the target")]);
            }
            None => drop(places.insert(place, &wanted.store)),
        }
        add(Side::Pair, &wanted.store, same_names(tables, &renamed));
        if !target.is_transactional() {
            add(Side::Pair, &wanted.store, tables.iter().filter_map(|table| keyless_into_loose(table)).collect());
        }
        add(Side::Target, &wanted.store, findings);
    }
    let spot = |name: &str, place| Spot { name: name.to_owned(), place };
    let spots = targets.iter().zip(&spec.targets).map(|(target, wanted)| spot(&wanted.store, target.place()));
    let own =
        Other { spec: (*spec).clone(), is_started: true, source: spot(name, source.place()), targets: spots.collect() };
    let names: Vec<TableName> = tables.iter().map(|table| table.name.clone()).collect();
    found.extend(ring::look(&own, others, &names)?);
    Ok(found)
}

/// The error of a start that is blocked: all that blocks, and what mends the first.
pub fn refuse(found: &[Found]) -> Result<()> {
    let blocking = found.iter().map(|found| &found.finding).filter(|one| one.severity == Severity::Blocking);
    let blocking: Vec<&Finding> = blocking.collect();
    let Some(first) = blocking.first() else { return Ok(()) };
    let text: Vec<String> = blocking.iter().map(|finding| format!("{}: {}", finding.subject, finding.text)).collect();
    let error = Error::config(text.join("; "));
    Err(match &first.mend {
        Some(mend) => error.hint(mend),
        None => error,
    })
}

/// What can be said before any store is asked.
fn of_selection(spec: &JobSpec, tables: &[Arc<Table>], key_only: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if tables.is_empty() {
        findings.push(
            Finding::new(Severity::Blocking, "source.tables", "the job selects no table of the source")
                .mend(in_file("globs of the form schema.table; without any, every table is carried")),
        );
    }
    if spec.source.keyless == Keyless::Refuse {
        findings.extend(tables.iter().filter(|table| table.is_keyless()).map(|table| {
            Finding::new(Severity::Blocking, table.name.to_string(), "it has no key").mend(in_file(format!(
                "give it a primary key, or leave it out (`!{}`), or set `source.keyless: exact`",
                table.name
            )))
        }));
    }
    if spec.apply.transactional && key_only {
        let text = "this source's log holds keys only, its transactions are not known";
        let finding = Finding::new(Severity::Blocking, "apply.transactional", text);
        findings.push(finding.mend(in_file("remove `transactional: true`")));
    }
    findings
}

/// Two tables that would be one in a target.
fn same_names(tables: &[Arc<Table>], renamed: &[Arc<Table>]) -> Vec<Finding> {
    let mut by_name: BTreeMap<&TableName, BTreeSet<&TableName>> = BTreeMap::new();
    for (table, target) in tables.iter().zip(renamed) {
        by_name.entry(&target.name).or_default().insert(&table.name);
    }
    let doubled = by_name.into_iter().filter(|(_, from)| from.len() > 1);
    doubled
        .map(|(to, from)| {
            let from: Vec<String> = from.into_iter().map(TableName::to_string).collect();
            let text = format!("{} would all be written into it", from.join(" and "));
            let mend = in_file(format!("rename one of them: `source.rename: {{{}: {}_2}}`", from[1], to));
            Finding::new(Severity::Blocking, to.to_string(), text).mend(mend)
        })
        .collect()
}

fn keyless_into_loose(table: &Table) -> Option<Finding> {
    table.is_keyless().then(|| {
        let text = "it has no key, and the target has no transactions: it takes keyed tables only";
        let mend = in_file(format!("leave it out: `!{}`", table.name));
        Finding::new(Severity::Blocking, table.name.to_string(), text).mend(mend)
    })
}
