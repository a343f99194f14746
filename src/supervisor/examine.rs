//! Looks into stores for people: checks, tables, plans, leftovers, the battery. Changes no job.

use super::{
    Shared, Supervisor, audit,
    denied::{self, Answer, Reason},
    others,
    stores::{Reloaded, answered, timely},
};
use crate::{
    certify,
    error::Error,
    fixture::Fixture,
    model::{Finding, JobId, JobSpec, Leftover, Severity, SourceSpec, Table},
    pipeline::{Route, flat, named},
    plan::{self, Pair, Plan},
    state::Desired,
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

/// A battery about to run: one at a time.
pub struct Certification {
    pub fixture: Box<dyn Fixture>,
    /// The checks to run, in order.
    pub checks: Vec<&'static str>,
    pub is_target: bool,
    _one: OwnedMutexGuard<()>,
}

impl Certification {
    /// Runs one of its checks.
    pub async fn run(&self, check: &str) -> certify::Report {
        match self.is_target {
            true => certify::target(&*self.fixture, &[check]).await,
            false => certify::source(&*self.fixture, &[check]).await,
        }
    }
}

impl Supervisor {
    /// What stands in the way of a job with this store, and what a job would create there. The gravest first.
    pub async fn check_source(&self, store: &str, globs: &[String]) -> Answer<Vec<Finding>> {
        let _one = self.asking.acquire().await.expect("never closed");
        let source = self.shared.stores.open(store)?.source().map_err(denied::of_store)?;
        let (tables, mut findings) = answered(store, source.tables()).await.map_err(denied::of_store)?;
        let (spec, route) = route(store, globs)?;
        let named = named(&spec, &route, &tables, &findings);
        findings.extend(named);
        let tables = route.selected(&tables);
        if tables.is_empty() {
            let text = "no table is selected: nothing would be carried";
            let mend = "globs of the form schema.table; without any, every table is carried";
            findings.push(Finding::new(Severity::Blocking, store, text).mend(mend));
        }
        // A check belongs to no job; the id only names what would be created.
        let id = JobId(Uuid::now_v7());
        findings.extend(answered(store, source.check(id, &tables)).await.map_err(denied::of_store)?);
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Ok(findings)
    }

    pub async fn check_target(&self, store: &str) -> Answer<Vec<Finding>> {
        let _one = self.asking.acquire().await.expect("never closed");
        let target = self.shared.stores.open(store)?.target().map_err(denied::of_store)?;
        let mut findings = answered(store, target.check(&[], Default::default())).await.map_err(denied::of_store)?;
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Ok(findings)
    }

    /// In order of their names, with what cannot be carried.
    pub async fn tables(&self, store: &str) -> Answer<(Vec<Arc<Table>>, Vec<Finding>)> {
        let _one = self.asking.acquire().await.expect("never closed");
        let source = self.shared.stores.open(store)?.source().map_err(denied::of_store)?;
        let (mut tables, findings) = answered(store, source.tables()).await.map_err(denied::of_store)?;
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((tables, findings))
    }

    /// What a job of this spec would meet and do. Its name may be taken: a plan makes no job.
    pub async fn plan(&self, spec: &JobSpec) -> Answer<Plan> {
        super::validate::validate(spec, &self.shared.stores)?;
        let _one = self.planning.acquire().await.expect("never closed");
        let name = &spec.source.store;
        let source = self.shared.stores.open(name)?.source().map_err(denied::of_store)?;
        let mut pair = Pair { spec, source, targets: Vec::new(), others: others::others(&self.shared) };
        for target in &spec.targets {
            pair.targets.push(self.shared.stores.open(&target.store)?.target().map_err(denied::of_store)?);
        }
        pair.source = flat::over(pair.source, &spec.source, &pair.targets);
        let mut plan = timely("one of the stores", plan::plan(&pair)).await.map_err(denied::of_store)?;
        // One that was never started holds nothing.
        let mut started = self.jobs().filter(|job| job.record.borrow().desired != Desired::Created);
        if let Some(job) = started.find(|job| job.name() == spec.name) {
            let carried = job.record.borrow().tables.clone();
            plan.leave_out_own(&spec.name, job.id, &carried);
        }
        Ok(plan)
    }

    /// What of ours is in the store and belongs to no job of this daemon.
    pub async fn leftovers(&self, store: &str) -> Answer<Vec<Leftover>> {
        let _one = self.asking.acquire().await.expect("never closed");
        let opened = self.shared.stores.open(store)?;
        let known: Vec<JobId> = self.jobs().map(|job| job.id).collect();
        let mut found = answered(store, opened.leftovers(&known)).await.map_err(denied::of_store)?;
        // A job that was made meanwhile owns what it made.
        let now: Vec<String> = self.jobs().map(|job| job.id.to_string()).collect();
        found.retain(|leftover| leftover.job.as_ref().is_none_or(|job| !now.contains(job)));
        Ok(found)
    }

    /// Makes a battery ready; `only`: the checks of these names, none means all.
    pub async fn certify(&self, store: &str, is_target: bool, only: &[String], who: &str) -> Answer<Certification> {
        let Some(fixture) = self.shared.stores.fixture(store)? else {
            return Reason::StoreNotCertifiable.deny(
                Error::config(format!("store `{store}`: this kind of store brings no scratch tables for the battery"))
                    .hint("`whimbrel store check` still says what stands in the way of a job"),
            );
        };
        let all = if is_target { certify::target_checks() } else { certify::source_checks() };
        if let Some(unknown) = only.iter().find(|name| !all.contains(&name.as_str())) {
            return Reason::InvalidArgument.deny(
                Error::config(format!("`checks`: there is no check `{unknown}`"))
                    .hint(format!("name some of: {}", all.join(", "))),
            );
        }
        let Ok(one) = Arc::clone(&self.certifying).try_lock_owned() else {
            return Reason::CertifyRunning
                .deny(Error::transient("another battery is running").hint("wait until it is through, then again"));
        };
        let checks = all.into_iter().filter(|name| only.is_empty() || only.iter().any(|wanted| wanted == name));
        let certification = Certification { fixture, checks: checks.collect(), is_target, _one: one };
        audit(&self.shared, None, who, "certify", [("store".into(), store.to_owned())].into()).await;
        Ok(certification)
    }

    /// Reads the config's stores again; also names the running jobs that still use what was changed.
    pub async fn reload_stores(&self, who: &str) -> Answer<(Reloaded, Vec<String>)> {
        let shared = Arc::clone(&self.shared);
        let read = tokio::task::spawn_blocking(move || shared.stores.reload(|store| user_of(&shared, store)));
        let reloaded = read.await.expect("reading does not panic")?;
        let is_old = |store: &String| reloaded.changed.contains(store) || reloaded.removed.contains(store);
        let runs_with_old = |job: &Arc<super::job::Job>| {
            let record = job.record.borrow();
            let mut stores = record.spec.targets.iter().map(|target| &target.store).chain([&record.spec.source.store]);
            (record.desired == Desired::Run && stores.any(is_old)).then(|| record.spec.name.clone())
        };
        let jobs: Vec<String> = self.jobs().filter_map(|job| runs_with_old(&job)).collect();
        tracing::info!(
            added = ?reloaded.added, changed = ?reloaded.changed, removed = ?reloaded.removed, "stores reloaded"
        );
        let lists = [("added", &reloaded.added), ("changed", &reloaded.changed), ("removed", &reloaded.removed)];
        let details: BTreeMap<String, String> =
            lists.iter().map(|(what, names)| ((*what).to_owned(), names.join(", "))).collect();
        audit(&self.shared, None, who, "reload-stores", details).await;
        Ok((reloaded, jobs))
    }
}

/// A job whose source or target the store is.
fn user_of(shared: &Shared, store: &str) -> Option<String> {
    let jobs = shared.jobs.lock();
    let uses = |job: &&Arc<super::job::Job>| {
        let record = job.record.borrow();
        let mut stores = record.spec.targets.iter().map(|target| &target.store).chain([&record.spec.source.store]);
        stores.any(|name| name == store)
    };
    jobs.values().find(uses).map(|job| job.name())
}

fn route(store: &str, globs: &[String]) -> Answer<(SourceSpec, Route)> {
    let spec = SourceSpec { tables: globs.to_vec(), ..SourceSpec::new(store) };
    let route = Route::new(&spec).map_err(Reason::InvalidArgument.because())?;
    Ok((spec, route))
}
