//! Where rows go on from a target, through the daemon's other jobs. Pure.
//!
//! Nothing tells a change of ours from one of the application once it is in a source's log: in a ring each change would
//! come back for ever. So the job that would close one is refused.

use super::{Found, Route, Side};
use crate::{
    error::Result,
    model::{Finding, JobSpec, Severity, SourceSpec, TableName},
};
use std::{collections::BTreeSet, sync::Arc};

/// Another job of the daemon.
#[derive(Clone, Debug)]
pub struct Other {
    pub spec: JobSpec,
    /// It carries rows, or will by itself.
    pub is_started: bool,
    pub source: Spot,
    /// In the order of the spec.
    pub targets: Vec<Spot>,
}

/// Where a store is. One that cannot be opened now is still told by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    pub name: String,
    pub place: Option<String>,
}

impl Spot {
    fn is(&self, other: &Spot) -> bool {
        self.name == other.name || (self.place.is_some() && self.place == other.place)
    }
}

/// The daemon's other jobs, as they are when asked.
pub type Others = Arc<dyn Fn() -> Vec<Other> + Send + Sync>;

/// Changes that would come back to where they were read, and tables that two jobs would write. `own`: this job, and where
/// its stores are; `tables`: of the source.
pub fn look(own: &Other, others: &[Other], tables: &[TableName]) -> Result<Vec<Found>> {
    let mut routes = Vec::new();
    for other in others.iter().filter(|other| other.spec.name != own.spec.name) {
        routes.push((other, caseless(&other.spec.source)?));
    }
    let route = &caseless(&own.spec.source)?;
    let started: Vec<&(&Other, Route)> = routes.iter().filter(|(other, _)| other.is_started).collect();
    let routes: Vec<&(&Other, Route)> = routes.iter().collect();
    let written: Vec<TableName> = tables.iter().map(|name| route.target_name(&lower(name))).collect();
    let mut all = Vec::new();
    for (target, spot) in own.spec.targets.iter().zip(&own.targets) {
        let found = |finding| Found { side: Side::Pair, store: target.store.clone(), finding };
        // Jobs that were never started may never be: they are in the way of nothing yet.
        let closed = ring(own, spot, &written, &started, route, Severity::Blocking);
        let ring = closed.or_else(|| ring(own, spot, &written, &routes, route, Severity::Warning));
        all.extend(ring.map(found));
        all.extend(doubles(&target.store, spot, &written, &routes).into_iter().map(found));
    }
    Ok(all)
}

/// To many stores names that differ by case are one; a ring that is none there is refused as well.
fn caseless(source: &SourceSpec) -> Result<Route> {
    let lower = |text: &String| text.to_lowercase();
    let tables = source.tables.iter().map(lower).collect();
    let rename = source.rename.iter().map(|(from, to)| (lower(from), lower(to))).collect();
    Route::new(&SourceSpec { tables, rename, ..source.clone() })
}

fn lower(name: &TableName) -> TableName {
    TableName::new(name.schema.to_lowercase(), name.name.to_lowercase())
}

type Routes<'a> = [&'a (&'a Other, Route)];

fn ring(
    own: &Other,
    spot: &Spot,
    written: &[TableName],
    others: &Routes<'_>,
    route: &Route,
    severity: Severity,
) -> Option<Finding> {
    let mut open: Vec<(Spot, TableName)> = written.iter().map(|name| (spot.clone(), name.clone())).collect();
    let mut seen: BTreeSet<(Spot, TableName)> = open.iter().cloned().collect();
    let (mut through, mut back) = (BTreeSet::new(), BTreeSet::new());
    while let Some((spot, table)) = open.pop() {
        for (other, others_route) in others.iter().filter(|(other, _)| other.source.is(&spot)) {
            if !others_route.selects(&table) {
                continue;
            }
            for next in &other.targets {
                let next = (next.clone(), others_route.target_name(&table));
                if next.0.is(&own.source) && route.selects(&next.1) {
                    through.insert(other.spec.name.as_str());
                    back.insert(next.1.to_string());
                }
                if seen.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
    }
    let (jobs, tables) = (list(&through), list(&back));
    let job = through.into_iter().next()?;
    let text = format!("a ring: what this job writes comes back to its source by job {jobs}, in {tables}");
    let finding = Finding::new(severity, &own.spec.source.store, text);
    Some(finding.mend(format!("whimbrel job delete {job}   # or leave the tables out of one of the two")))
}

fn doubles(store: &str, spot: &Spot, written: &[TableName], others: &Routes<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (other, route) in others.iter().filter(|(other, _)| other.targets.iter().any(|target| target.is(spot))) {
        // Tables that it renames are known once it has begun: then the target itself says so.
        let same = |name: &&TableName| route.selects(name) && route.target_name(name) == **name;
        let both: BTreeSet<String> = written.iter().filter(same).map(TableName::to_string).collect();
        if !both.is_empty() {
            let name = &other.spec.name;
            let text = format!("job `{name}` may write {} as well: only one of the two can start", list(&both));
            let finding = Finding::new(Severity::Warning, store, text);
            findings.push(finding.mend(format!("whimbrel job delete {name}   # or leave the tables out")));
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

    /// One whose stores are where their names say.
    fn started(spec: JobSpec) -> Other {
        let spot = |name: &str| Spot { name: name.to_owned(), place: None };
        let targets = spec.targets.iter().map(|target| spot(&target.store)).collect();
        Other { is_started: true, source: spot(&spec.source.store), targets, spec }
    }

    fn job(name: &str, source: &str, target: &str) -> Other {
        started(JobSpec::new(name, source, &[target]))
    }

    fn found(own: &Other, others: &[Other]) -> Vec<(Severity, String)> {
        let tables = [TableName::new("main", "t"), TableName::new("main", "u")];
        let found = look(own, others, &tables).expect("good specs");
        found.into_iter().map(|found| (found.finding.severity, found.finding.text)).collect()
    }

    #[test]
    fn a_ring_over_three_stores_is_seen() {
        let own = job("one", "a", "b");
        let (two, mut three) = (job("two", "b", "c"), job("three", "c", "a"));
        let text = "a ring: what this job writes comes back to its source by job `three`, in `main.t`, `main.u`";
        assert_eq!(found(&own, &[two.clone(), three.clone()]), [(Severity::Blocking, text.to_owned())]);
        three.is_started = false;
        assert_eq!(found(&own, &[two.clone(), three]), [(Severity::Warning, text.to_owned())]);
        assert!(found(&own, &[two]).is_empty(), "a chain is none");
    }

    #[test]
    fn a_store_is_known_under_another_name() {
        let (mut own, mut back) = (job("there", "a", "b"), job("back", "b-again", "a"));
        own.targets[0].place = Some("sqlite:8:15".into());
        assert!(found(&own, std::slice::from_ref(&back)).is_empty());
        back.source.place = Some("sqlite:8:15".into());
        back.targets[0].place = Some("sqlite:8:16".into());
        assert_eq!(found(&own, &[back]).len(), 1, "its own source is told by its name: it is away");
    }

    #[test]
    fn two_ways_with_tables_of_their_own_are_no_ring() {
        let (mut there, mut back) = (JobSpec::new("there", "a", &["b"]), JobSpec::new("back", "b", &["a"]));
        there.source.tables = vec!["main.t".into()];
        back.source.tables = vec!["main.u".into()];
        let (there, mut back) = (started(there), started(back));
        let only = [TableName::new("main", "t")];
        assert!(look(&there, &[back.clone()], &only).expect("good specs").is_empty());
        for reaches in ["main.*", "main.T"] {
            back.spec.source.tables = vec![reaches.into()];
            assert_eq!(look(&there, &[back.clone()], &only).expect("good specs").len(), 1, "{reaches}");
        }
    }

    #[test]
    fn a_job_is_no_rival_of_itself() {
        let own = job("one", "a", "b");
        assert!(found(&own, std::slice::from_ref(&own)).is_empty());
        assert!(found(&own, &[job("two", "c", "b")])[0].1.contains("job `two` may write `main.t`, `main.u` as well"));
    }
}
