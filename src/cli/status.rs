//! `whimbrel status [JOB]`: what the daemon sees, for eyes, and what to type next.

use super::{
    ask::Ask,
    ended::Ended,
    live,
    show::{Cell, Paint, Show, Table, bytes, count, out, painted, percent, rate, since, span, state, state_cell},
    time,
};
use crate::client::{Job, JobError, ObservedState, Plain, TargetStatus};
use clap::Args;
use std::{collections::BTreeMap, fmt::Write};

#[derive(Args)]
pub struct StatusArgs {
    /// One job, with its targets and tables.
    #[arg(value_name = "JOB")]
    name: Option<String>,
    /// Goes on until Ctrl-C: drawn over itself on a terminal, a line or document for each change elsewhere.
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    ask: Ask,
}

pub fn run(args: &StatusArgs) -> Result<(), Ended> {
    let show = args.ask.show;
    args.ask.run(async |client| match (&args.name, args.watch) {
        (Some(name), true) => live::one(client, name, show).await,
        (None, true) => live::all(client, show).await,
        (Some(name), false) => {
            let job = client.job(name).await?;
            match show.is_data() {
                true => show.data(&Plain::new(&job)),
                false => out(&whole(&job, show)),
            }
            show.next(&next(&job));
            Ok(())
        }
        (None, false) => {
            let all = client.all_jobs().await?;
            match show.is_data() {
                true => show.data(&all.iter().map(Plain::new).collect::<Vec<_>>()),
                false => out(&overview(&all, show)),
            }
            show.next(&next_of_all(&all));
            Ok(())
        }
    })
}

/// A row for each.
pub fn jobs(jobs: &[Job]) -> Table {
    let mut table =
        Table::new(&["JOB", "STATE", "SOURCE", "TARGETS", "LAG", "BEHIND"], &["DONE", "LABELS", "CREATED", "UID"]);
    for job in jobs {
        let spec = job.spec.clone().unwrap_or_default();
        let targets: Vec<String> = spec.targets.into_iter().map(|target| target.store).collect();
        let all = targets_of(job);
        let lag = all.iter().map(|target| time::span(target.lag)).collect::<Option<Vec<_>>>();
        let behind = all.iter().map(|target| target.behind_changes).collect::<Option<Vec<_>>>();
        let mut labels: Vec<String> = spec.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        labels.sort();
        table.row([
            job.name.as_str().into(),
            state_cell(observed(job)),
            spec.source.unwrap_or_default().store.into(),
            targets.join(",").into(),
            lag.and_then(|all| all.into_iter().max()).map_or_else(|| "-".into(), span).into(),
            behind.and_then(|all| all.into_iter().max()).map_or_else(|| "-".into(), count).into(),
            share(job).map_or_else(|| "-".into(), percent).into(),
            labels.join(",").into(),
            job.create_time.as_ref().map_or_else(|| "-".into(), time::of).into(),
            Cell::new(job.uid.as_str(), Paint::Dim),
        ]);
    }
    table
}

/// All jobs, and what stands in the way of those that do not move.
pub fn overview(all: &[Job], show: Show) -> String {
    if all.is_empty() {
        return "no jobs\n".into();
    }
    let mut text = jobs(all).text(show);
    let is_held_up = |observed| is_in_trouble(observed) || observed == ObservedState::Deleting;
    for job in all.iter().filter(|job| is_held_up(observed(job))) {
        if let Some((place, error)) = error_of(job) {
            let _ = writeln!(text, "\n{} is {}{place}: {}", job.name, state(observed(job)), error.text);
            hint(&mut text, "  ", error);
        }
    }
    text
}

pub fn whole(job: &Job, show: Show) -> String {
    let status = job.status.clone().unwrap_or_default();
    let mut text = format!("{}  {}\n", job.name, states(observed(job)));
    if let Some(resume) = &job.resume_time {
        let _ = writeln!(text, "  runs again by itself at {}", time::of(resume));
    }
    if let Some(held) = &status.held {
        let changes = held.changes.map(|changes| format!("{} changes", count(changes)));
        let size = held.bytes.map(bytes);
        let oldest = held.oldest_time.as_ref().map(|oldest| format!("the oldest {}", since(time::system(oldest))));
        let kept = time::span(held.kept).map(|kept| format!("which keeps it for {}", span(kept)));
        let known: Vec<String> = changes.into_iter().chain(size).chain(oldest).chain(kept).collect();
        if !known.is_empty() {
            let _ = writeln!(text, "  holds of the source's log: {}", known.join(", "));
        }
    }
    error(&mut text, "  ", status.error.as_ref());
    late(&mut text, &status.late_tables);
    for target in &status.targets {
        text.push_str(&target_head(target));
        match is_present(target) {
            true => error(&mut text, "  ", target.error.as_ref()),
            false => earlier(&mut text, target),
        }
        text.push_str(&tables(target).text(show));
        again(&mut text, target);
        if target.tables.iter().any(|table| table.gone) {
            text.push_str(
                "  gone: not at the source any more; kept here as it was, and followed again if it comes back\n",
            );
        }
    }
    text
}

/// Tables that came too late for the job, and what copies them.
fn late(text: &mut String, tables: &[String]) {
    if tables.is_empty() {
        return;
    }
    let _ = writeln!(text, "  not copied: {}, made after the job was started", some(tables));
    let _ = writeln!(
        text,
        "  hint: copy the job's file, give it another name and `tables: [\"{}\"]`, and type `whimbrel apply -f FILE` and \
         `whimbrel job start NAME`",
        tables[0]
    );
}

/// Why tables are copied again, each reason once.
fn again(text: &mut String, target: &TargetStatus) {
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for table in target.tables.iter().filter(|table| !table.again.is_empty()) {
        reasons.entry(&table.again).or_default().push(table.name.clone());
    }
    for (reason, tables) in reasons {
        let _ = writeln!(text, "  copied again: {}, because {reason}", some(&tables));
    }
}

/// `a, b, c and 7 more`.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        Some(more) => format!("{shown} and {more} more"),
        None => shown,
    }
}

fn target_head(target: &TargetStatus) -> String {
    let mut facts = Vec::new();
    if let Some(lag) = time::span(target.lag) {
        facts.push(format!("lag {}", span(lag)));
    }
    if let Some(changes) = target.behind_changes {
        facts.push(format!("{changes} changes behind"));
    }
    if target.changes > 0 {
        facts.push(format!(
            "{} changes applied since the daemon started it, {}",
            count(target.changes),
            rate(target.changes_per_s)
        ));
    }
    if let Some(write) = &target.last_write_time {
        facts.push(format!("last write {}", since(time::system(write))));
    }
    let facts: String = facts.into_iter().map(|fact| format!(", {fact}")).collect();
    format!("\ntarget {}  {}{facts}\n", target.store, states(target.observed_state()))
}

fn tables(target: &TargetStatus) -> Table {
    let mut table = Table::new(&["TABLE", "STATE", "COPIED", "DONE", "RATE", "ETA"], &["SIZE"]).indented();
    for one in &target.tables {
        let is_copied = one.observed_state() == ObservedState::Copying;
        table.row([
            one.name.as_str().into(),
            if one.gone { Cell::new("gone", Paint::Careful) } else { state_cell(one.observed_state()) },
            count(one.rows).into(),
            percent(one.share).into(),
            if is_copied { rate(one.rows_per_s) } else { "-".into() }.into(),
            time::span(one.eta).filter(|_| is_copied).map_or_else(|| "-".into(), span).into(),
            bytes(one.bytes).into(),
        ]);
    }
    table
}

/// What to type next about a job.
pub fn next(job: &Job) -> String {
    let name = &job.name;
    match observed(job) {
        ObservedState::Created => format!("whimbrel job start {name}"),
        ObservedState::Preparing | ObservedState::Copying | ObservedState::CatchingUp => {
            format!("whimbrel status {name} --watch, or whimbrel wait {name} --for streaming")
        }
        ObservedState::Streaming => format!("nothing to do, it follows; whimbrel status {name} --watch shows it live"),
        ObservedState::Paused => format!("whimbrel job start {name}"),
        ObservedState::Stalled => {
            format!("it tries again by itself; mend what the error says, whimbrel wait {name} --for streaming")
        }
        ObservedState::Failed => match error_of(job).map_or("", |(_, error)| &error.hint) {
            hint if !says_delete(hint) => format!("do what the hint says, then whimbrel job start {name}"),
            // One that is to be made anew is not started again.
            hint if !hint.contains("or delete the job") => copied_anew(name),
            _ => format!("do what the hint says; a job that stays goes on with whimbrel job start {name}"),
        },
        ObservedState::Lost => copied_anew(name),
        ObservedState::Deleting => format!("whimbrel wait {name} --for deleted"),
        ObservedState::Unspecified => "use a whimbrel as new as the daemon".into(),
    }
}

fn copied_anew(name: &str) -> String {
    format!(
        "do what the hint says; to copy anew: whimbrel job delete {name}, then apply its file with existing: replace"
    )
}

/// Whether a hint may end with a job that is made anew.
pub fn says_delete(hint: &str) -> bool {
    hint.contains("delete the job")
}

/// About the job that needs it most.
fn next_of_all(jobs: &[Job]) -> String {
    let urgency = |job: &&Job| match observed(job) {
        ObservedState::Lost | ObservedState::Failed => 0,
        ObservedState::Stalled => 1,
        ObservedState::Created => 2,
        ObservedState::Paused => 3,
        _ => 4,
    };
    match jobs.iter().min_by_key(urgency) {
        None => "whimbrel apply -f FILE creates a job; config/jobs/every-key.yaml explains the file".into(),
        Some(job) if is_in_trouble(observed(job)) => format!("whimbrel status {}", job.name),
        Some(job) if urgency(&job) < 4 => next(job),
        Some(_) => "whimbrel status JOB shows targets and tables".into(),
    }
}

pub fn observed(job: &Job) -> ObservedState {
    job.status.as_ref().map(crate::client::JobStatus::observed_state).unwrap_or_default()
}

pub fn targets_of(job: &Job) -> &[TargetStatus] {
    job.status.as_ref().map_or(&[], |status| &status.targets)
}

/// Of all copies, by bytes where they are known; the least of the targets.
fn share(job: &Job) -> Option<f64> {
    let of_target = |target: &TargetStatus| {
        let all = target.tables.len();
        (all > 0).then(|| target.tables.iter().map(|table| table.share).sum::<f64>() / all as f64)
    };
    targets_of(job).iter().filter_map(of_target).min_by(f64::total_cmp)
}

pub fn is_in_trouble(observed: ObservedState) -> bool {
    matches!(observed, ObservedState::Stalled | ObservedState::Failed | ObservedState::Lost)
}

/// What stopped it: of the job, else of its first target that is in trouble, with where.
pub fn error_of(job: &Job) -> Option<(String, &JobError)> {
    let status = job.status.as_ref()?;
    let own = status.error.as_ref().map(|error| (String::new(), error));
    let troubled = status.targets.iter().filter(|target| is_present(target));
    own.or_else(|| {
        let mut errors = troubled.filter_map(|target| Some((format!(" in {}", target.store), target.error.as_ref()?)));
        errors.next()
    })
}

fn states(observed: ObservedState) -> String {
    state_cell(observed).painted()
}

fn error(text: &mut String, indent: &str, error: Option<&JobError>) {
    let Some(error) = error else { return };
    let when = error.time.as_ref().map_or_else(String::new, |at| format!(" ({})", since(time::system(at))));
    let _ = writeln!(text, "{indent}{} {}{when}", painted("error:", Paint::Bad), error.text);
    hint(text, indent, error);
}

fn hint(text: &mut String, indent: &str, error: &JobError) {
    if !error.hint.is_empty() {
        let _ = writeln!(text, "{indent}hint: {}", error.hint);
    }
}

/// Whether the error that a target shows is what troubles it now.
fn is_present(target: &TargetStatus) -> bool {
    is_in_trouble(target.observed_state()) && target.error.as_ref().is_some_and(|error| !error.passed)
}

/// What stopped it for a while, and when.
fn earlier(text: &mut String, target: &TargetStatus) {
    let Some(error) = &target.error else { return };
    let when = error.time.as_ref().map_or_else(String::new, |at| format!(", {}", since(time::system(at))));
    // One that prepares has not come to where it failed.
    let passed = error.passed && target.observed_state() != ObservedState::Preparing;
    let passed = if passed { ", which has passed" } else { "" };
    let _ = writeln!(text, "  last error{when}{passed}: {}", error.text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::JobStatus;

    fn failed(hint: &str) -> Job {
        let error = Some(JobError { text: "x".into(), hint: hint.into(), ..JobError::default() });
        let status = JobStatus { observed_state: ObservedState::Failed.into(), error, ..JobStatus::default() };
        Job { name: "shop".into(), status: Some(status), ..Job::default() }
    }

    #[test]
    fn what_comes_next_says_what_the_hint_says() {
        let start = "whimbrel job start shop";
        assert!(next(&failed("SET GLOBAL x = 1")).ends_with(&format!("then {start}")));
        let anew = next(&failed("SET GLOBAL x = 1; then delete the job and create it again with `existing: replace`"));
        assert!(anew.contains("whimbrel job delete shop") && !anew.contains(start), "{anew}");
        let either = next(&failed("restore it, or delete the job and create it again with `existing: replace`"));
        assert!(either.contains(start) && !either.contains("then"), "{either}");
    }
}
