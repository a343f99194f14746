//! What a job leaves out, and how much of all that was found is shown. Pure.

use super::Found;
use crate::{
    config::nearest_name,
    model::{Finding, Severity, Table, TableName},
    pipeline::{Route, list},
};
use std::{collections::BTreeSet, sync::Arc};

/// Of each severity; thousands of tables would bury what matters.
const SHOWN: [(Severity, usize); 3] = [(Severity::Blocking, 1_000), (Severity::Warning, 1_000), (Severity::Info, 500)];

/// Globs without a table, tables without a glob, and what is not carried among those that the job selects.
pub fn look(route: &Route, all: &[Arc<Table>], not_carried: Vec<Finding>) -> Vec<Finding> {
    let named = |finding: &Finding| finding.subject.parse::<TableName>().ok();
    let mut names: Vec<TableName> = all.iter().map(|table| table.name.clone()).collect();
    // A glob for a view finds something, even if that is not carried.
    names.extend(not_carried.iter().filter_map(named));
    let idle = route.idle(&names.iter().collect::<Vec<_>>()).into_iter().map(|glob| {
        let text = format!("`{glob}` concerns no table of the source");
        let mend = match meant(glob.trim_start_matches('!'), &names) {
            Some(name) => format!("did you mean `{name}`?"),
            None => "see the tables' names: `whimbrel store tables STORE`".to_owned(),
        };
        Finding::new(Severity::Warning, glob, text).mend(mend)
    });
    let mut findings: Vec<Finding> = idle.collect();
    let left: BTreeSet<String> =
        all.iter().filter(|table| !route.selects(&table.name)).map(|table| table.name.to_string()).collect();
    if !left.is_empty() {
        let text = format!("left out by the job's globs: {}", list(&left));
        findings.push(Finding::new(Severity::Info, "source.tables", text));
    }
    let wanted = |finding: &Finding| named(finding).is_none_or(|name| route.selects(&name));
    findings.extend(not_carried.into_iter().filter(wanted));
    findings
}

/// The table that a name without wildcards probably means: one in that schema, or of that name in another.
fn meant(given: &str, names: &[TableName]) -> Option<String> {
    let (schema, table) = given.split_once('.').filter(|_| !given.contains(['*', '?']))?;
    let here = names.iter().filter(|name| name.schema == schema).map(|name| name.name.as_str());
    let there = names.iter().filter(|name| name.name == table).map(|name| name.schema.as_str());
    let beside = nearest_name(table, here).map(|table| format!("{schema}.{table}"));
    beside.or_else(|| nearest_name(schema, there).map(|schema| format!("{schema}.{table}")))
}

/// The gravest first, and of each severity as many as can be read.
pub fn bounded(mut all: Vec<Found>) -> Vec<Found> {
    // Stable: findings of one kind stay in the order of the stores.
    all.sort_by_key(|found| std::cmp::Reverse(found.finding.severity));
    let mut shown = Vec::new();
    for (severity, most) in SHOWN {
        let mut of_this: Vec<Found> = all.extract_if(.., |found| found.finding.severity == severity).collect();
        if let Some(more) = of_this.len().checked_sub(most).filter(|more| *more > 0) {
            of_this.truncate(most);
            let last = of_this.last().expect("more than none").clone();
            let text = format!("{more} more findings of this severity are not shown");
            of_this.push(Found { finding: Finding::new(severity, "findings", text), ..last });
        }
        shown.append(&mut of_this);
    }
    shown
}
