//! `whimbrel status [NAME]`: what the daemon sees.

use super::{Daemon, ended::Ended, with_client};
use crate::control::v1::{Job, JobError, ObservedState, TargetStatus};
use clap::Args;
use std::fmt::Write;

#[derive(Args)]
pub struct StatusArgs {
    /// One job, with its targets and tables.
    name: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
}

pub fn run(args: &StatusArgs) -> Result<(), Ended> {
    with_client(&args.daemon, async |mut client| {
        let text = match &args.name {
            Some(name) => whole(&client.job(name).await?),
            None => list(&client.all_jobs().await?),
        };
        print!("{text}");
        Ok(())
    })
}

fn list(jobs: &[Job]) -> String {
    if jobs.is_empty() {
        return "no jobs; `whimbrel apply -f FILE` creates one\n".into();
    }
    let mut rows = vec![["JOB", "STATE", "SOURCE", "TARGETS", "LAG"].map(String::from).to_vec()];
    for job in jobs {
        let spec = job.spec.clone().unwrap_or_default();
        let status = job.status.clone().unwrap_or_default();
        let targets: Vec<String> = spec.targets.into_iter().map(|target| target.store).collect();
        let lag = status.targets.iter().filter_map(lag_ms).max();
        rows.push(vec![
            job.name.clone(),
            state(status.observed_state),
            spec.source.unwrap_or_default().store,
            targets.join(","),
            lag.map_or("-".into(), |ms| format!("{:.1} s", ms as f64 / 1000.0)),
        ]);
    }
    columns(&rows)
}

fn whole(job: &Job) -> String {
    let status = job.status.clone().unwrap_or_default();
    let mut text = format!("{} {}\n", job.name, state(status.observed_state));
    error(&mut text, "", status.error.as_ref());
    for target in &status.targets {
        let behind = target.behind_changes.map_or(String::new(), |changes| format!(", {changes} changes behind"));
        let _ = writeln!(text, "\ntarget {} {}{behind}", target.store, state(target.observed_state));
        match target.observed_state == i32::from(ObservedState::Streaming) {
            true => healed(&mut text, target.error.as_ref()),
            false => error(&mut text, "  ", target.error.as_ref()),
        }
        let mut rows = Vec::new();
        for table in &target.tables {
            rows.push(vec![
                format!("  {}", table.name),
                state(table.observed_state),
                format!("{} rows", table.rows),
                format!("{:.0} %", table.share * 100.0),
            ]);
        }
        text.push_str(&columns(&rows));
    }
    text
}

fn error(text: &mut String, indent: &str, error: Option<&JobError>) {
    let Some(error) = error else { return };
    let _ = writeln!(text, "{indent}error: {}", error.text);
    if !error.hint.is_empty() {
        let _ = writeln!(text, "{indent}hint: {}", error.hint);
    }
}

/// It goes on: what stopped it for a while, and when.
fn healed(text: &mut String, error: Option<&JobError>) {
    let Some(error) = error else { return };
    let time = error.time.as_ref().and_then(|time| jiff::Timestamp::from_second(time.seconds).ok());
    let _ = writeln!(text, "  healed since {}: {}", time.map_or("then".into(), |time| time.to_string()), error.text);
}

fn lag_ms(target: &TargetStatus) -> Option<i64> {
    target.lag.map(|lag| lag.seconds * 1000 + i64::from(lag.nanos) / 1_000_000)
}

/// `OBSERVED_STATE_CATCHING_UP` → `catching-up`.
fn state(number: i32) -> String {
    let name = ObservedState::try_from(number).unwrap_or_default().as_str_name();
    name.trim_start_matches("OBSERVED_STATE_").to_lowercase().replace('_', "-")
}

fn columns(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let line: String = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  ")).collect();
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
