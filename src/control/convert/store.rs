//! Stores, what is in them, and what was found out about them.

use super::{Page, finding};
use crate::{
    certify,
    config::StoreConfig,
    control::v1::{
        CertifyStoreResponse, CheckOutcome, CheckStoreResponse, Column, Leftover, ListTablesRequest,
        ListTablesResponse, ReloadStoresResponse, Store, Table,
    },
    model,
    state::JobRecord,
    supervisor::Reloaded,
};
use std::sync::Arc;
use tonic::Status;

/// `jobs`: all of the daemon.
pub fn store(name: &str, config: &StoreConfig, jobs: &[Arc<JobRecord>]) -> Store {
    let names = |uses: &dyn Fn(&model::JobSpec) -> bool| {
        jobs.iter().filter(|job| uses(&job.spec)).map(|job| job.spec.name.clone()).collect()
    };
    Store {
        name: name.to_owned(),
        kind: config.url.split(':').next().unwrap_or_default().to_owned(),
        url: config.url.clone(),
        source_of: names(&|spec| spec.source.store == name),
        target_of: names(&|spec| spec.targets.iter().any(|target| target.store == name)),
    }
}

pub fn checked(findings: &[model::Finding]) -> CheckStoreResponse {
    let ok = findings.iter().all(|finding| finding.severity != model::Severity::Blocking);
    CheckStoreResponse { findings: findings.iter().map(finding).collect(), ok }
}

/// A page of tables in order of their names: those behind the token.
pub fn tables(
    tables: &[Arc<model::Table>],
    findings: &[model::Finding],
    request: &ListTablesRequest,
) -> Result<ListTablesResponse, Status> {
    let page = Page::of("tables", &request.name, &request.page_token, request.page_size)?;
    let mut all: Vec<Table> = tables.iter().map(|shape| table(shape)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let mut rest = all.into_iter().filter(|table| table.name.as_str() > page.after());
    let tables: Vec<Table> = rest.by_ref().take(page.limit).collect();
    let next_page_token = match (rest.next(), tables.last()) {
        (Some(_), Some(last)) => page.next(&last.name),
        _ => String::new(),
    };
    let findings = if page.is_first() { findings.iter().map(finding).collect() } else { Vec::new() };
    Ok(ListTablesResponse { tables, next_page_token, findings })
}

fn table(table: &model::Table) -> Table {
    let columns = table.columns.iter().map(|column| Column {
        name: column.name.clone(),
        r#type: column.declared.clone(),
        nullable: column.nullable,
        generated: column.generated,
    });
    Table {
        name: table.name.to_string(),
        columns: columns.collect(),
        key: table.key.iter().map(|&column| table.columns[column].name.clone()).collect(),
    }
}

/// Check `number` of `count`.
pub fn certified(line: &certify::Line, number: usize, count: usize) -> CertifyStoreResponse {
    let (outcome, text) = match &line.outcome {
        certify::Outcome::Passed => (CheckOutcome::Passed, String::new()),
        certify::Outcome::Failed(why) => (CheckOutcome::Failed, why.clone()),
        certify::Outcome::Skipped(lacking) => (CheckOutcome::Skipped, format!("this kind of store lacks {lacking:?}")),
    };
    CertifyStoreResponse {
        check: line.name.to_owned(),
        proves: line.proves.to_owned(),
        rule: line.rule.to_owned(),
        outcome: outcome.into(),
        text,
        number: number as u32,
        count: count as u32,
    }
}

pub fn reloaded((reloaded, jobs): (Reloaded, Vec<String>)) -> ReloadStoresResponse {
    let Reloaded { added, changed, removed, unchanged } = reloaded;
    ReloadStoresResponse { added, changed, removed, unchanged, jobs }
}

pub fn leftover(left: model::Leftover) -> Leftover {
    let model::Leftover { object, job, text, remove } = left;
    Leftover { object, job_uid: job.unwrap_or_default(), text, remove }
}
