//! The job file, there and back.

use super::{invalid, unknown};
use crate::{
    control::v1::{
        ApplySettings, ColumnList, CopySettings, Existing, Job, JobSpec, Keyless, Limits, RefusedRow, SourceSpec,
        TargetSpec,
    },
    model,
    supervisor::{Denied, Reason, Update},
};
use prost_types::FieldMask;
use tonic::Status;

pub fn spec_from(spec: Option<JobSpec>) -> Result<model::JobSpec, Status> {
    let spec = spec.ok_or_else(|| invalid("spec", "missing", "send the job file's content as `spec`"))?;
    let source = spec.source.ok_or_else(|| invalid("source", "missing", "say what is read: {store: NAME}"))?;
    let apply = spec.apply.unwrap_or_default();
    let copy = spec.copy.unwrap_or_default();
    let small = |field: &str, value: u32| {
        u16::try_from(value).map_err(|_| invalid(field, "too large", "0 lets the daemon choose"))
    };
    let targets = spec.targets.into_iter().map(|target| {
        let existing = match target.existing() {
            Existing::Unspecified if target.existing != 0 => return Err(unknown("targets.existing", target.existing)),
            Existing::Unspecified | Existing::Refuse => model::Existing::Refuse,
            Existing::Merge => model::Existing::Merge,
            Existing::Replace => model::Existing::Replace,
        };
        Ok(model::TargetSpec { store: target.store, existing })
    });
    let refused_row = match apply.refused_row() {
        RefusedRow::Unspecified if apply.refused_row != 0 => {
            return Err(unknown("apply.refused_row", apply.refused_row));
        }
        RefusedRow::Unspecified | RefusedRow::Stop => model::Refusal::Stop,
    };
    let keyless = match source.keyless() {
        Keyless::Unspecified if source.keyless != 0 => return Err(unknown("source.keyless", source.keyless)),
        Keyless::Unspecified | Keyless::Refuse => model::Keyless::Refuse,
        Keyless::Exact => model::Keyless::Exact,
        Keyless::Append => model::Keyless::Append,
    };
    Ok(model::JobSpec {
        name: spec.name,
        labels: spec.labels.into_iter().collect(),
        source: model::SourceSpec {
            store: source.store,
            tables: source.tables,
            rename: source.rename.into_iter().collect(),
            columns: source.columns.into_iter().map(|(table, list)| (table, list.columns)).collect(),
            rest: source.rest.unwrap_or_else(model::default_rest),
            keyless,
        },
        targets: targets.collect::<Result<_, Status>>()?,
        copy: model::CopySettings {
            parallelism: small("copy.parallelism", copy.parallelism)?,
            limits: limits_from(copy.limits),
        },
        apply: model::ApplySettings {
            lanes: small("apply.lanes", apply.lanes)?,
            transactional: apply.transactional,
            max_row_bytes: match apply.max_row_bytes {
                0 => model::ApplySettings::default().max_row_bytes,
                bytes => bytes,
            },
            refused_row,
        },
    })
}

pub fn limits_from(limits: Option<Limits>) -> model::Limits {
    let Limits { rows_per_s, bytes_per_s } = limits.unwrap_or_default();
    model::Limits { rows_per_s, bytes_per_s }
}

pub fn spec(spec: &model::JobSpec) -> JobSpec {
    let targets = spec.targets.iter().map(|target| TargetSpec {
        store: target.store.clone(),
        existing: match target.existing {
            model::Existing::Refuse => Existing::Refuse,
            model::Existing::Merge => Existing::Merge,
            model::Existing::Replace => Existing::Replace,
        }
        .into(),
    });
    JobSpec {
        name: spec.name.clone(),
        labels: spec.labels.clone().into_iter().collect(),
        source: Some(SourceSpec {
            store: spec.source.store.clone(),
            tables: spec.source.tables.clone(),
            rename: spec.source.rename.clone().into_iter().collect(),
            columns: {
                let columns = spec.source.columns.clone().into_iter();
                columns.map(|(table, columns)| (table, ColumnList { columns })).collect()
            },
            rest: (spec.source.rest != model::default_rest()).then(|| spec.source.rest.clone()),
            keyless: match spec.source.keyless {
                model::Keyless::Refuse => Keyless::Refuse,
                model::Keyless::Exact => Keyless::Exact,
                model::Keyless::Append => Keyless::Append,
            }
            .into(),
        }),
        targets: targets.collect(),
        copy: Some(CopySettings { parallelism: spec.copy.parallelism.into(), limits: Some(limits(spec.copy.limits)) }),
        apply: Some(ApplySettings {
            lanes: spec.apply.lanes.into(),
            transactional: spec.apply.transactional,
            max_row_bytes: spec.apply.max_row_bytes,
            refused_row: match spec.apply.refused_row {
                model::Refusal::Stop => RefusedRow::Stop,
            }
            .into(),
        }),
    }
}

pub fn limits(limits: model::Limits) -> Limits {
    Limits { rows_per_s: limits.rows_per_s, bytes_per_s: limits.bytes_per_s }
}

/// Name, etag and what shall change. What the mask does not name may be missing.
pub fn update_from(job: Option<Job>, mask: Option<FieldMask>) -> Result<(String, String, Update), Status> {
    let job = job.ok_or_else(|| invalid("job", "missing", "send its name, and the new values in its spec"))?;
    let mut given = job.spec.unwrap_or_default();
    if !given.name.is_empty() && !job.name.is_empty() && given.name != job.name {
        let text = format!("`{}` cannot become `{}`", job.name, given.name);
        return Err(invalid("job.spec.name", &text, "a job keeps its name; make another job"));
    }
    let name = if job.name.is_empty() { given.name.clone() } else { job.name };
    given.name.clone_from(&name);
    given.source.get_or_insert_default();
    let paths = mask.map(|mask| mask.paths).unwrap_or_default();
    let update = Update::new(spec_from(Some(given))?, &paths);
    let update = update.map_err(|error| super::status(Denied::new(Reason::InvalidArgument, error)))?;
    Ok((name, job.etag, update))
}
