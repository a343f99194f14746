//! Where rows go on from a target, through the daemon's other jobs. Pure.

use super::{Found, Side};
use crate::{
    error::Result,
    model::{Finding, JobSpec, Severity, TableName},
    pipeline::Route,
};
use std::collections::BTreeSet;

/// Changes that would come back to where they were read, and tables that two jobs would write. `tables`: of the source.
pub fn look(spec: &JobSpec, others: &[JobSpec], route: &Route, tables: &[TableName]) -> Result<Vec<Found>> {
    let mut routes = Vec::new();
    for other in others.iter().filter(|other| other.name != spec.name) {
        routes.push((other, Route::new(&other.source)?));
    }
    let written: Vec<TableName> = tables.iter().map(|name| route.target_name(name)).collect();
    let mut all = Vec::new();
    for target in &spec.targets {
        let found = |finding| Found { side: Side::Pair, store: target.store.clone(), finding };
        all.extend(ring(spec, &target.store, &written, &routes, route).map(found));
        all.extend(doubles(&target.store, &written, &routes).into_iter().map(found));
    }
    Ok(all)
}

type Routes<'a> = [(&'a JobSpec, Route)];

fn ring(spec: &JobSpec, store: &str, written: &[TableName], others: &Routes<'_>, own: &Route) -> Option<Finding> {
    let mut open: Vec<(String, TableName)> = written.iter().map(|name| (store.to_owned(), name.clone())).collect();
    let mut seen: BTreeSet<(String, TableName)> = open.iter().cloned().collect();
    let (mut through, mut back) = (BTreeSet::new(), BTreeSet::new());
    while let Some((store, table)) = open.pop() {
        for (other, route) in others.iter().filter(|(other, _)| other.source.store == store) {
            if !route.selects(&table) {
                continue;
            }
            for next in &other.targets {
                let place = (next.store.clone(), route.target_name(&table));
                if next.store == spec.source.store && own.selects(&place.1) {
                    through.insert(other.name.as_str());
                    back.insert(place.1.to_string());
                }
                if seen.insert(place.clone()) {
                    open.push(place);
                }
            }
        }
    }
    let (jobs, tables) = (list(&through), list(&back));
    let job = through.into_iter().next()?;
    let text = format!("a ring: what this job writes comes back to its source by job {jobs}, in {tables}");
    let finding = Finding::new(Severity::Warning, &spec.source.store, text);
    Some(finding.mend(format!("whimbrel job delete {job}   # or leave the tables out of one of the two")))
}

fn doubles(store: &str, written: &[TableName], others: &Routes<'_>) -> Vec<Finding> {
    let writes = |other: &JobSpec| other.targets.iter().any(|target| target.store == store);
    let mut findings = Vec::new();
    for (other, route) in others.iter().filter(|(other, _)| writes(other)) {
        // Tables that it renames are known once it has begun: then the target itself says so.
        let same = |name: &&TableName| route.selects(name) && route.target_name(name) == **name;
        let both: BTreeSet<String> = written.iter().filter(same).map(TableName::to_string).collect();
        if !both.is_empty() {
            let text = format!("job `{}` may write {} as well: only one of the two can start", other.name, list(&both));
            let finding = Finding::new(Severity::Warning, store, text);
            findings.push(finding.mend(format!("whimbrel job delete {}   # or leave the tables out", other.name)));
        }
    }
    findings
}

/// The first few, for a sentence.
pub fn list(names: &BTreeSet<impl AsRef<str>>) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{}`", name.as_ref())).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(spec: &JobSpec, others: &[JobSpec]) -> Vec<String> {
        let route = Route::new(&spec.source).expect("a good spec");
        let tables = [TableName::new("main", "t"), TableName::new("main", "u")];
        let found = look(spec, others, &route, &tables).expect("good specs");
        found.into_iter().map(|found| found.finding.text).collect()
    }

    #[test]
    fn a_ring_over_three_stores_is_seen() {
        let spec = JobSpec::new("one", "a", &["b"]);
        let (two, three) = (JobSpec::new("two", "b", &["c"]), JobSpec::new("three", "c", &["a"]));
        let texts = found(&spec, &[two.clone(), three]);
        assert_eq!(
            texts,
            ["a ring: what this job writes comes back to its source by job `three`, in `main.t`, `main.u`"]
        );
        assert!(found(&spec, &[two]).is_empty(), "a chain is none");
    }

    #[test]
    fn two_ways_with_tables_of_their_own_are_no_ring() {
        let (mut there, mut back) = (JobSpec::new("there", "a", &["b"]), JobSpec::new("back", "b", &["a"]));
        there.source.tables = vec!["main.t".into()];
        back.source.tables = vec!["main.u".into()];
        let route = Route::new(&there.source).expect("a good spec");
        let only = [TableName::new("main", "t")];
        assert!(look(&there, &[back.clone()], &route, &only).expect("good specs").is_empty());
        back.source.tables = vec!["main.*".into()];
        assert_eq!(look(&there, &[back], &route, &only).expect("good specs").len(), 1);
    }

    #[test]
    fn a_job_is_no_rival_of_itself() {
        let spec = JobSpec::new("one", "a", &["b"]);
        assert!(found(&spec, std::slice::from_ref(&spec)).is_empty());
        let other = JobSpec::new("two", "c", &["b"]);
        assert!(found(&spec, &[other])[0].contains("job `two` may write `main.t`, `main.u` as well"));
    }
}
