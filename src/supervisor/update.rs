//! Changes of a job's spec: which fields are meant, and what of a job may change when.

use super::{
    Supervisor, audit, check_etag, deleting,
    denied::{Answer, Denied, Reason},
    job::JobView,
    validate,
};
use crate::{
    error::{Error, Result},
    model::JobSpec,
    state::{Desired, JobRecord},
};
use std::{collections::BTreeMap, sync::Arc};

/// New values for some fields of a spec.
#[derive(Clone, Debug)]
pub struct Update {
    given: JobSpec,
    fields: Vec<&'static Field>,
    /// Single labels: `None` takes one away.
    labels: BTreeMap<String, Option<String>>,
}

/// One field of a spec, as a mask names it behind `spec.`.
#[derive(Debug)]
struct Field {
    path: &'static str,
    may: May,
    set: fn(&mut JobSpec, &JobSpec),
}

/// When a field may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum May {
    /// What runs takes it at once, or has no need of it.
    Always,
    /// What runs is stopped at a saved position and run again with it: the start path is good for any lane count.
    ByRunningAgain,
    /// What a job carries, and from where to where, is settled by its `begin`.
    BeforeStart,
}

const FIELDS: &[Field] = &[
    Field { path: "labels", may: May::Always, set: |to, from| to.labels.clone_from(&from.labels) },
    Field {
        path: "source.store",
        may: May::BeforeStart,
        set: |to, from| to.source.store.clone_from(&from.source.store),
    },
    Field {
        path: "source.tables",
        may: May::BeforeStart,
        set: |to, from| to.source.tables.clone_from(&from.source.tables),
    },
    Field {
        path: "source.rename",
        may: May::BeforeStart,
        set: |to, from| to.source.rename.clone_from(&from.source.rename),
    },
    Field {
        path: "source.columns",
        may: May::BeforeStart,
        set: |to, from| to.source.columns.clone_from(&from.source.columns),
    },
    Field { path: "source.rest", may: May::BeforeStart, set: |to, from| to.source.rest.clone_from(&from.source.rest) },
    Field { path: "source.keyless", may: May::BeforeStart, set: |to, from| to.source.keyless = from.source.keyless },
    Field { path: "targets", may: May::BeforeStart, set: |to, from| to.targets.clone_from(&from.targets) },
    Field {
        path: "copy.parallelism",
        may: May::ByRunningAgain,
        set: |to, from| to.copy.parallelism = from.copy.parallelism,
    },
    Field {
        path: "copy.limits.rows_per_s",
        may: May::Always,
        set: |to, from| to.copy.limits.rows_per_s = from.copy.limits.rows_per_s,
    },
    Field {
        path: "copy.limits.bytes_per_s",
        may: May::Always,
        set: |to, from| to.copy.limits.bytes_per_s = from.copy.limits.bytes_per_s,
    },
    Field { path: "apply.lanes", may: May::ByRunningAgain, set: |to, from| to.apply.lanes = from.apply.lanes },
    Field {
        path: "apply.transactional",
        may: May::BeforeStart,
        set: |to, from| to.apply.transactional = from.apply.transactional,
    },
    Field {
        path: "apply.max_row_bytes",
        may: May::ByRunningAgain,
        set: |to, from| to.apply.max_row_bytes = from.apply.max_row_bytes,
    },
    Field {
        path: "apply.refused_row",
        may: May::ByRunningAgain,
        set: |to, from| to.apply.refused_row = from.apply.refused_row,
    },
];

impl Field {
    fn differs(&self, a: &JobSpec, b: &JobSpec) -> bool {
        let mut changed = a.clone();
        (self.set)(&mut changed, b);
        changed != *a
    }
}

impl Update {
    /// `paths` as a field mask has them; none: what is not at its default in `given`.
    pub fn new(given: JobSpec, paths: &[String]) -> Result<Update> {
        let (mut fields, mut labels): (Vec<&Field>, BTreeMap<_, _>) = Default::default();
        if paths.is_empty() {
            let blank = JobSpec::new(&given.name, "", &[]);
            fields.extend(FIELDS.iter().filter(|field| field.differs(&blank, &given)));
        }
        for path in paths {
            let below = match path.as_str() {
                "*" | "spec" => "",
                // Named only to be there: a job is never renamed, which `update` sees to.
                "name" | "spec.name" | "etag" => continue,
                path => path.strip_prefix("spec.").filter(|below| !below.is_empty()).ok_or_else(|| unknown(path))?,
            };
            if let Some(key) = below.strip_prefix("labels.") {
                labels.insert(key.to_owned(), given.labels.get(key).cloned());
                continue;
            }
            let before = fields.len();
            let is_meant = |field: &&Field| {
                let rest = field.path.strip_prefix(below);
                rest.is_some_and(|rest| below.is_empty() || rest.is_empty() || rest.starts_with('.'))
            };
            fields.extend(FIELDS.iter().filter(is_meant));
            if fields.len() == before {
                return Err(unknown(path));
            }
        }
        Ok(Update { given, fields, labels })
    }

    fn applied_to(&self, spec: &JobSpec) -> JobSpec {
        let mut changed = spec.clone();
        for field in &self.fields {
            (field.set)(&mut changed, &self.given);
        }
        for (key, value) in &self.labels {
            match value {
                Some(value) => drop(changed.labels.insert(key.clone(), value.clone())),
                None => drop(changed.labels.remove(key)),
            }
        }
        changed
    }
}

fn unknown(path: &str) -> Error {
    let known: Vec<String> = FIELDS.iter().map(|field| format!("spec.{}", field.path)).collect();
    Error::config(format!("`update_mask`: a job has no field `{path}` that could be changed"))
        .hint(format!("name one of: {}, spec.labels.KEY; or `*` for the whole spec", known.join(", ")))
}

impl Supervisor {
    /// Changes some fields of the spec. What is as it was leaves the job untouched, its etag too.
    pub async fn update(&self, name: &str, update: Update, etag: &str, only: bool, who: &str) -> Answer<JobView> {
        let job = self.job(name)?;
        let before = job.view();
        let allowed = |record: &JobRecord| {
            deleting(record)?;
            check_etag(record, etag)?;
            let spec = update.applied_to(&record.spec);
            validate::validate(&spec, &self.shared.stores)?;
            settled(record, &spec)
        };
        let spec = update.applied_to(&before.record.spec);
        if only || spec == before.record.spec {
            allowed(&before.record)?;
            let record = Arc::new(JobRecord { spec, ..JobRecord::clone(&before.record) });
            return Ok(JobView { record, ..before });
        }
        let change = {
            let update = update.clone();
            move |record: &mut JobRecord| {
                let changed = update.applied_to(&record.spec);
                let created = std::mem::replace(&mut record.spec, changed);
                if record.request_id.is_some() {
                    record.created_spec.get_or_insert_with(|| Box::new(created));
                }
            }
        };
        let view = job.change(&*self.shared.state, allowed, change).await?;
        let changed = |field: &&Field| field.differs(&before.record.spec, &view.record.spec);
        let changed: Vec<&Field> = FIELDS.iter().filter(changed).collect();
        let is_running = view.record.desired == Desired::Run && view.record.stopped.is_none();
        if is_running && changed.iter().any(|field| field.may == May::ByRunningAgain) {
            job.again.notify_one();
        }
        let paths: Vec<&str> = changed.iter().map(|field| field.path).collect();
        audit(&self.shared, Some(&view), who, "update", [("fields".into(), paths.join(", "))].into()).await;
        Ok(view)
    }
}

/// Refuses what a started job keeps for good, field by field.
fn settled(record: &JobRecord, spec: &JobSpec) -> Answer<()> {
    if record.desired == Desired::Created {
        return Ok(());
    }
    // One whose start was refused carries nothing yet. (At its source there may be what was made before it failed.)
    let never_began = record.begun.is_none() && record.stopped.is_some();
    let is_settled = |field: &&Field| {
        let may = field.may != May::BeforeStart || (never_began && field.path != "source.store");
        !may && field.differs(&record.spec, spec)
    };
    let settled: Vec<&str> = FIELDS.iter().filter(is_settled).map(|field| field.path).collect();
    if settled.is_empty() {
        return Ok(());
    }
    let name = &record.spec.name;
    let error = Error::config(format!("job `{name}` was started: {} stay as they are", settled.join(", "))).hint(
        format!(
            "`whimbrel job delete {name}` and apply again with `existing: replace` (it is copied anew), or make another \
             job for the rest"
        ),
    );
    let violation = |path: &&str| (format!("spec.{path}"), "it is settled by the first start".to_owned());
    let violations = settled.iter().map(violation).collect();
    Err(Denied { violations, ..Denied::new(Reason::JobStarted, error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(paths: &[&str], given: impl FnOnce(&mut JobSpec)) -> Result<JobSpec> {
        let mut old = JobSpec::new("orders", "", &[]);
        old.labels = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())].into();
        (old.copy.parallelism, old.copy.limits.rows_per_s) = (4, 100);
        let mut new = JobSpec::new("orders", "", &[]);
        given(&mut new);
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        Ok(Update::new(new, &paths)?.applied_to(&old))
    }

    #[test]
    fn only_what_the_mask_names_changes() {
        let changed = masked(&["spec.copy.limits"], |new| new.copy.parallelism = 9).expect("known");
        assert_eq!((changed.copy.parallelism, changed.copy.limits.rows_per_s), (4, 0), "absent is the default");
        let changed = masked(&["spec.labels.a", "spec.labels.c"], |new| {
            new.labels.insert("c".into(), "3".into());
        });
        let labels: Vec<_> = changed.expect("known").labels.into_iter().collect();
        assert_eq!(labels, [("b".into(), "2".into()), ("c".into(), "3".into())]);
        let changed = masked(&[], |new| new.apply.lanes = 3).expect("known");
        assert_eq!((changed.apply.lanes, changed.copy.parallelism), (3, 4), "without a mask, what is not the default");
        let changed = masked(&["*"], |_| {}).expect("known");
        assert_eq!(changed, JobSpec::new("orders", "", &[]));
    }

    #[test]
    fn a_field_that_is_not_there_is_named_with_those_that_are() {
        for path in ["spec.copy.speed", "status", "spec.cop", "spec."] {
            let error = masked(&[path], |_| {}).expect_err(path);
            assert!(error.hint_text().is_some_and(|hint| hint.contains("spec.apply.lanes")), "{error:?}");
        }
    }
}
