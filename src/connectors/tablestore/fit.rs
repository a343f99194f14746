//! What stands in the way of a job in a target, and what its rows lose there.

use super::{
    catalog::Catalog,
    config::Config,
    prepare,
    shape::{Definition, FAMILY, Shape},
    survey, watermark,
};
use crate::{
    error::Result,
    model::{Existing, Finding, Severity, Table, Type},
};
use std::sync::Arc;

pub(super) async fn check(
    catalog: &Catalog,
    config: &Config,
    tables: &[Arc<Table>],
    existing: Existing,
) -> Result<Vec<Finding>> {
    let owners = watermark::owners(&catalog.client).await?;
    let mut findings: Vec<Finding> = survey::skew(&catalog.client).into_iter().collect();
    for table in tables {
        let name = table.name.to_string();
        if let Some(owner) = owners.iter().find(|owner| owner.claimed.contains(&table.name)) {
            findings.push(Finding::claimed(&name, &format!("job {}", owner.job)));
        }
        let blocking = |error: crate::error::Error| {
            let finding = Finding::new(Severity::Blocking, &name, error.to_string());
            match error.hint_text() {
                Some(hint) => finding.mend(hint),
                None => finding,
            }
        };
        let shape = catalog.look(&table.name.name).await?;
        let fits = match &shape {
            Some(shape) => prepare::fits(table, shape),
            None => prepare::fits(table, &Shape::wanted(table)),
        };
        findings.extend(fits.and_then(|()| prepare::names(table)).err().map(blocking));
        if let Some(shape) = &shape {
            if prepare::has_rows(catalog, shape).await? {
                findings.push(Finding::has_rows(&name, table, existing));
            }
            findings.extend(unlike(config, table, shape));
        }
        findings.extend(loses(table));
    }
    Ok(findings)
}

/// What the target's table does with rows that the source's does not.
fn unlike(config: &Config, table: &Table, shape: &Shape) -> Option<Finding> {
    const YEAR_S: i64 = 365 * 86_400;
    let name = table.name.to_string();
    let source = Definition::read(table);
    if shape.max_versions() < source.versions && table.family == FAMILY {
        let text = format!("the target keeps {} versions, and the source {}", shape.max_versions(), source.versions);
        return Some(Finding::new(Severity::Warning, name, text).mend("raise the target table's `max_versions`"));
    }
    if let Some(seconds) = shape.expires_after_s().filter(|seconds| source.time_to_live_s != *seconds) {
        let text = format!("the target's rows go after {seconds} s, and the source's do not");
        return Some(Finding::new(Severity::Warning, name, text).mend("set the same time to live on both tables"));
    }
    let keeps = config.keeps_times || shape.max_versions() > 1 || shape.expires_after_s().is_some();
    let deviation = shape.options.deviation_cell_version_s.unwrap_or(86_400);
    (keeps && table.beyond.is_some() && deviation < YEAR_S).then(|| {
        let text = format!("the target takes cells that are {deviation} s old, and refuses older ones of the source");
        Finding::new(Severity::Blocking, name, text)
            .mend("raise the target table's `deviation_cell_version_in_sec`, for example to 3153600000")
    })
}

/// Types that are kept as another.
fn loses(table: &Table) -> Option<Finding> {
    let is_lossy = |kind: Type| {
        matches!(
            kind,
            Type::Decimal
                | Type::Date
                | Type::Time
                | Type::DateTime
                | Type::Instant
                | Type::Interval
                | Type::Uuid
                | Type::Json
                | Type::List
                | Type::Map
        )
    };
    let kept: Vec<&str> =
        table.columns.iter().filter(|column| is_lossy(column.kind)).map(|column| column.name.as_str()).collect();
    (!kept.is_empty()).then(|| {
        Finding::new(
            Severity::Info,
            table.name.to_string(),
            format!("kept as text, with all digits: {}", kept.join(", ")),
        )
    })
}
