//! `whimbrel plan -f FILE`: what a job would meet and do, from both stores and the pair. Writes nothing.

use super::{
    ask::Ask,
    ended::Ended,
    files::{Files, Given},
    findings,
    show::{Show, Table, bytes, count, counted, out, span},
    time,
};
use crate::client::{JobSpec, LimitingSide, Plain, PlanJobResponse, PlannedFinding, PlannedTarget, Side};
use clap::Args;
use std::fmt::Write;

#[derive(Args)]
pub struct PlanArgs {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    ask: Ask,
}

pub fn run(args: &PlanArgs) -> Result<(), Ended> {
    let (given, show) = (args.files.jobs()?, args.ask.show);
    args.ask.run(async |client| {
        let (mut plans, mut blocked) = (Vec::new(), Vec::new());
        for Given { place, spec } in &given {
            let plan = client.plan_job(spec).await.map_err(|failure| Ended::from(failure).at(place))?;
            if !show.is_data() {
                out(&whole(spec, &plan, show));
            }
            if !plan.ok {
                blocked.push(format!("`{}`", spec.name));
            }
            plans.push(Plain::new(&plan));
        }
        match (&plans[..], show.is_data()) {
            ([plan], true) => show.data(plan),
            (plans, true) => show.data(&plans),
            (_, false) if !show.is_quiet() => out("\nNothing was written, nothing is reserved.\n"),
            (_, false) => {}
        }
        if blocked.is_empty() {
            show.next(&format!("whimbrel apply {} --start", args.files.typed()));
            return Ok(());
        }
        let text = format!("job {} cannot start like this: see what is blocking", blocked.join(", "));
        Err(Ended::refused(text, format!("run what mends it, then again: whimbrel plan {}", args.files.typed())))
    })
}

fn whole(spec: &JobSpec, plan: &PlanJobResponse, show: Show) -> String {
    let targets: Vec<&str> = spec.targets.iter().map(|target| target.store.as_str()).collect();
    let mut text = format!("plan for job `{}`: {} to {}\n", spec.name, spec.source.store, targets.join(", "));
    let found: Vec<_> =
        plan.findings.iter().filter_map(|found| Some((place(spec, found), found.finding.as_ref()?))).collect();
    if !found.is_empty() {
        let _ = write!(text, "\n{}", findings::text(&found, show));
    }
    tables(&mut text, plan, show);
    for target in &plan.targets {
        let _ = writeln!(text, "\ntime into {}: {}", target.store, duration(target));
    }
    if let Some(log) = &plan.log {
        let needed = time::span(log.needed).map_or_else(|| "for a time that is not known".into(), span);
        let kept =
            time::span(log.kept).map_or_else(|| "without a known bound".into(), |kept| format!("for {}", span(kept)));
        let _ = writeln!(text, "\nsource's log: must reach back {needed}; it is kept {kept}");
        if !log.text.is_empty() {
            let _ = writeln!(text, "  {}", log.text);
        }
    }
    text
}

/// Where it was found. A daemon may know sides that we do not.
fn place(spec: &JobSpec, found: &PlannedFinding) -> String {
    let store = &found.store;
    match found.side() {
        Side::Pair => format!("pair {} and {store}", spec.source.store),
        Side::Target => format!("target {store}"),
        Side::Source => format!("source {store}"),
        Side::Unspecified => store.clone(),
    }
}

fn tables(text: &mut String, plan: &PlanJobResponse, show: Show) {
    let sum = |of: fn(&crate::client::PlannedTable) -> Option<u64>| plan.tables.iter().map(of).sum::<Option<u64>>();
    let rows = sum(|table| table.rows).map_or_else(String::new, |rows| format!(", about {} rows", count(rows)));
    let size = sum(|table| table.bytes).map_or_else(String::new, |size| format!(", {}", bytes(size)));
    let _ = writeln!(text, "\n{}{rows}{size}", counted(plan.tables.len(), "table"));
    let mut table = Table::new(&["TABLE", "ROWS", "SIZE", "KEY"], &["AT THE TARGET"]).indented();
    let or_unknown = |known: Option<String>| known.unwrap_or_else(|| "?".into());
    for one in &plan.tables {
        table.row([
            one.name.as_str().into(),
            or_unknown(one.rows.map(count)).into(),
            or_unknown(one.bytes.map(bytes)).into(),
            if one.key.is_empty() { "none".to_owned() } else { one.key.join(",") }.into(),
            one.target_name.as_str().into(),
        ]);
    }
    if !table.is_empty() {
        text.push_str(&table.text(show));
    }
}

fn duration(target: &PlannedTarget) -> String {
    let mut words =
        time::span(target.duration).map_or_else(|| "not known".into(), |time| format!("about {}", span(time)));
    words += match target.limiting_side() {
        LimitingSide::Source => ", limited by the source",
        LimitingSide::Target => ", limited by the target",
        LimitingSide::Limits => ", limited by the job's own limits",
        LimitingSide::Unspecified => "",
    };
    let mut facts = Vec::new();
    facts.extend(target.rows_per_s.map(|rows| format!("{} rows/s", count(rows.max(0.0).round() as u64))));
    facts.extend(target.bytes_per_s.map(|size| format!("{}/s", bytes(size.max(0.0) as u64))));
    facts.extend(
        (target.parallelism > 0).then(|| format!("{} side by side", counted(target.parallelism as usize, "range"))),
    );
    facts.extend((target.lanes > 0).then(|| counted(target.lanes as usize, "lane")));
    if !facts.is_empty() {
        words += &format!(" ({})", facts.join(", "));
    }
    if !target.basis.is_empty() {
        words += &format!("\n  {}", target.basis);
    }
    words
}
