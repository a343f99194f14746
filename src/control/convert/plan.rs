//! A plan.

use super::{finding, span};
use crate::{
    control::v1::{LimitingSide, PlanJobResponse, PlannedFinding, PlannedLog, PlannedTable, PlannedTarget, Side},
    plan,
};

pub fn plan(plan: &plan::Plan) -> PlanJobResponse {
    PlanJobResponse {
        ok: plan.is_ok(),
        findings: plan.findings.iter().map(found).collect(),
        tables: plan.tables.iter().map(table).collect(),
        targets: plan.targets.iter().map(target).collect(),
        log: Some(PlannedLog {
            needed: plan.log.needed.map(span),
            kept: plan.log.kept.map(span),
            text: plan.log.text.clone(),
        }),
    }
}

fn found(found: &plan::Found) -> PlannedFinding {
    let side = match found.side {
        plan::Side::Source => Side::Source,
        plan::Side::Target => Side::Target,
        plan::Side::Pair => Side::Pair,
    };
    PlannedFinding { side: side.into(), store: found.store.clone(), finding: Some(finding(&found.finding)) }
}

fn table(table: &plan::PlannedTable) -> PlannedTable {
    let shape = &table.shape;
    PlannedTable {
        name: shape.name.to_string(),
        target_name: table.target_shape.name.to_string(),
        rows: table.rows,
        bytes: table.bytes,
        key: shape.key.iter().map(|&column| shape.columns[column].name.clone()).collect(),
    }
}

fn target(target: &plan::PlannedTarget) -> PlannedTarget {
    let limiting_side = match target.limiting {
        None => LimitingSide::Unspecified,
        Some(plan::Limiting::Source) => LimitingSide::Source,
        Some(plan::Limiting::Target) => LimitingSide::Target,
        Some(plan::Limiting::Limits) => LimitingSide::Limits,
    };
    PlannedTarget {
        store: target.store.clone(),
        duration: target.duration.map(span),
        limiting_side: limiting_side.into(),
        rows_per_s: target.rows_per_s,
        bytes_per_s: target.bytes_per_s,
        parallelism: target.parallelism.into(),
        lanes: target.lanes.into(),
        basis: target.basis.clone(),
    }
}
