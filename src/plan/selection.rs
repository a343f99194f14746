//! What a job leaves out, and how much of all that was found is shown. Pure.

use super::Found;
use crate::{
    model::{Finding, Severity, Table, TableName},
    pipeline::{Route, list},
};
use std::{collections::BTreeSet, sync::Arc};

/// Of each severity; thousands of tables would bury what matters.
const SHOWN: [(Severity, usize); 3] = [(Severity::Blocking, 1_000), (Severity::Warning, 1_000), (Severity::Info, 500)];

/// Tables without a glob, and what is not carried among those that the job selects.
pub fn look(route: &Route, all: &[Arc<Table>], not_carried: Vec<Finding>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let left: BTreeSet<String> =
        all.iter().filter(|table| !route.selects(&table.name)).map(|table| table.name.to_string()).collect();
    if !left.is_empty() {
        let text = format!("left out by the job's globs: {}", list(&left));
        findings.push(Finding::new(Severity::Info, "source.tables", text));
    }
    let wanted = |finding: &Finding| match finding.subject.parse::<TableName>() {
        Ok(name) if name.name == "*" => route.reaches_into(&name.schema),
        Ok(name) => route.selects(&name),
        Err(_) => true,
    };
    findings.extend(not_carried.into_iter().filter(wanted));
    findings
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
