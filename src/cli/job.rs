//! `whimbrel job …`: the verbs about one job, and lists, for scripts.

use super::{
    ask::Ask,
    ended::Ended,
    show::{Cell, Paint, Table, out, span, state, to_yaml},
    status, time,
};
use crate::{
    client::{Client, DesiredState, ErrorKind, Failure, HistoryEntry, Job, ObservedState, Plain, Timestamp},
    control::convert,
};
use clap::{Args, Subcommand};
use futures_util::StreamExt;
use std::{
    io::{BufRead, IsTerminal, Write},
    time::Duration,
};

#[derive(Subcommand)]
pub enum JobCommand {
    /// Lists all jobs, or those that meet a filter.
    List(ListArgs),
    /// Shows what a job shall do, as its job file. `-o yaml` is that file alone, to be applied again; `-o json` is the
    /// whole job as the API answers it: name, uid, etag, spec, status.
    Show(JobArgs),
    /// Starts it, resumes it, or tries a failed one again.
    Start(JobArgs),
    /// Stops it at a saved position. Its hold on the source's log stays.
    Pause(PauseArgs),
    /// Stops it, removes what it made in its stores, then the job itself; rows stay.
    Delete(DeleteArgs),
    /// Who did what and when, of one job (deleted ones too) or of all.
    History(HistoryArgs),
    /// Changes the speed of copying, while it runs; what is not named stays.
    SetLimits(LimitsArgs),
}

#[derive(Args)]
pub struct ListArgs {
    /// For example: state = STREAMING AND labels.env = "prod" AND name : "orders-*"
    #[arg(long, default_value = "", value_name = "FILTER", hide_default_value = true)]
    filter: String,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Args)]
pub struct JobArgs {
    #[arg(value_name = "JOB")]
    name: String,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Args)]
pub struct PauseArgs {
    #[arg(value_name = "JOB")]
    name: String,
    /// It runs again by itself after this, so that a forgotten pause does not outlive the source's log; as 8h or 2d.
    #[arg(long, value_parser = time::parse, value_name = "TIME")]
    max_pause: Option<Duration>,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Args)]
pub struct DeleteArgs {
    #[arg(value_name = "JOB")]
    name: String,
    /// Leaves what it made at its source, and does not ask the source: the way out when that is gone for good.
    #[arg(long)]
    keep_source_objects: bool,
    /// Leaves its own tables in its targets, and asks none of them: the way out when one is gone for good.
    #[arg(long)]
    keep_target_objects: bool,
    /// Does not ask back.
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Args)]
pub struct HistoryArgs {
    #[arg(value_name = "JOB")]
    name: Option<String>,
    /// At most so many, the newest first.
    #[arg(long, default_value_t = 100, value_name = "ENTRIES", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Args)]
#[group(id = "limit", multiple = true, required = true, args = ["rows_per_s", "bytes_per_s"])]
pub struct LimitsArgs {
    #[arg(value_name = "JOB")]
    name: String,
    /// Rows a second, of all tables together; 0 is unlimited.
    #[arg(long, value_name = "ROWS", value_parser = limit, allow_hyphen_values = true)]
    rows_per_s: Option<u64>,
    /// Bytes of rows a second; 0 is unlimited.
    #[arg(long, value_name = "BYTES", value_parser = limit, allow_hyphen_values = true)]
    bytes_per_s: Option<u64>,
    #[command(flatten)]
    ask: Ask,
}

fn limit(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "a whole number, as 5000 or 80000000; 0 is unlimited".to_owned())
}

pub fn run(command: &JobCommand) -> Result<(), Ended> {
    match command {
        JobCommand::List(args) => list(args),
        JobCommand::Show(args) => show(args),
        JobCommand::Start(args) => args.ask.run(async |client| {
            let job = client.start_job(&args.name).await?;
            let (job, show) = (begun(client, job).await?, args.ask.show);
            show.done(&begun_words(&job), &Plain::new(&job));
            show.next(&status::next(&job));
            Ok(())
        }),
        JobCommand::Pause(args) => pause(args),
        JobCommand::Delete(args) => delete(args),
        JobCommand::History(args) => history(args),
        JobCommand::SetLimits(args) => set_limits(args),
    }
}

fn list(args: &ListArgs) -> Result<(), Ended> {
    args.ask.run(async |client| {
        let jobs = client.jobs_where(&args.filter).await?;
        let data: Vec<Plain> = jobs.iter().map(Plain::new).collect();
        args.ask.show.list(&status::jobs(&jobs), &data);
        Ok(())
    })
}

fn show(args: &JobArgs) -> Result<(), Ended> {
    args.ask.run(async |client| {
        let (job, show) = (client.job(&args.name).await?, args.ask.show);
        let spec = convert::spec_from(job.spec.clone()).map_err(Ended::failed)?;
        if show.is_json() {
            show.data(&Plain::new(&job));
            return Ok(());
        }
        if !show.is_quiet() && !show.is_data() {
            let created = job.create_time.as_ref().map_or_else(|| "-".into(), time::of);
            out(&format!("# uid {}, etag {}, created {created}, {}\n", job.uid, job.etag, desired(&job)));
        }
        out(&to_yaml(&spec));
        Ok(())
    })
}

/// What the user wants of it.
fn desired(job: &Job) -> &'static str {
    match job.desired_state() {
        DesiredState::Created | DesiredState::Unspecified => "never started",
        DesiredState::Run => "shall run",
        DesiredState::Pause => "shall stand still",
        DesiredState::Delete => "shall go",
    }
}

/// Long enough for a job to meet what its check refuses, in stores that answer.
const BEGINS_WITHIN: Duration = Duration::from_secs(5);

/// Looks at a job that was just started: one that fails in its first moments is a command that failed.
pub async fn begun(client: &mut Client, started: Job) -> Result<Job, Ended> {
    let name = started.name.as_str();
    // What it failed of before it was started again is seen until it runs.
    let old = status::error_of(&started).and_then(|(_, error)| error.time);
    let mut job = started.clone();
    let look = async {
        let mut watch = client.watch_job(name).await?;
        while is_beginning(&job, old) {
            match watch.next().await {
                Some(news) => job = news?,
                None => break,
            }
        }
        Ok::<(), Failure>(())
    };
    // One that is only slow has not failed: it is said how far it is.
    if let Ok(looked) = tokio::time::timeout(BEGINS_WITHIN, look).await {
        looked?;
    }
    let observed = status::observed(&job);
    if matches!(observed, ObservedState::Failed | ObservedState::Lost) {
        let (place, error) = status::error_of(&job).map(|(place, error)| (place, error.clone())).unwrap_or_default();
        let text = format!("job `{name}` does not start{place}: {}", error.text);
        let hint = match error.hint.as_str() {
            "" => format!("whimbrel status {name} shows more"),
            hint if status::says_delete(hint) => hint.to_owned(),
            hint => format!("{hint}\nthen: whimbrel job start {name}; the job itself is made, and stays"),
        };
        // Lost, or what nobody can say: it is no decision that waits for a person.
        return Err(match error.kind() {
            ErrorKind::Config | ErrorKind::Refused => Ended::refused(text, hint),
            _ => Ended::failed(text).hint(hint),
        });
    }
    Ok(job)
}

pub fn begun_words(job: &Job) -> String {
    let observed = status::observed(job);
    let error = status::error_of(job).filter(|_| status::is_in_trouble(observed));
    let why = error.map_or_else(String::new, |(place, error)| format!("{place}: {}", error.text));
    format!("job `{}` is started; it is {}{why}", job.name, state(observed))
}

fn is_beginning(job: &Job, old_error: Option<Timestamp>) -> bool {
    match status::observed(job) {
        // Paused and created: what was asked for is not seen yet.
        ObservedState::Created | ObservedState::Paused | ObservedState::Preparing | ObservedState::Stalled => true,
        ObservedState::Failed | ObservedState::Lost => {
            old_error.is_some() && status::error_of(job).and_then(|(_, error)| error.time) == old_error
        }
        _ => false,
    }
}

fn pause(args: &PauseArgs) -> Result<(), Ended> {
    let (name, show) = (&args.name, args.ask.show);
    args.ask.run(async |client| {
        let mut pause = client.pause_job(name);
        if let Some(max) = args.max_pause {
            pause = pause.max_pause(max);
        }
        let job = pause.await?;
        if job.desired_state() == DesiredState::Created {
            show.done(&format!("job `{name}` was never started: there is nothing to pause"), &Plain::new(&job));
            return Ok(());
        }
        let until = args.max_pause.map_or_else(String::new, |max| format!(" for at most {}", span(max)));
        show.done(&format!("job `{name}` is pausing{until}"), &Plain::new(&job));
        show.next(&format!("whimbrel wait {name} --for paused; whimbrel job start {name} resumes it"));
        Ok(())
    })
}

fn delete(args: &DeleteArgs) -> Result<(), Ended> {
    let (name, show) = (&args.name, args.ask.show);
    args.ask.run(async |client| {
        // Who mistyped is told so before being asked.
        let job = client.job(name).await?;
        if !args.yes {
            agreed(&job, args)?;
        }
        let mut delete = client.delete_job(name);
        if args.keep_source_objects {
            delete = delete.keep_source_objects();
        }
        if args.keep_target_objects {
            delete = delete.keep_target_objects();
        }
        let job = delete.await?;
        show.done(&format!("job `{name}` is being deleted"), &Plain::new(&job));
        show.next(&format!("whimbrel wait {name} --for deleted"));
        Ok(())
    })
}

/// Asks on a terminal; refuses where nobody can answer.
fn agreed(job: &Job, args: &DeleteArgs) -> Result<(), Ended> {
    let (name, not) = (&job.name, "nothing was deleted");
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        let text = format!("deleting job `{name}` asks back, and there is nobody to ask; {not}");
        return Err(Ended::refused(text, format!("whimbrel job delete {name} --yes")));
    }
    let spec = job.spec.clone().unwrap_or_default();
    let source = spec.source.unwrap_or_default().store;
    let targets: Vec<String> = spec.targets.into_iter().map(|target| target.store).collect();
    let fate = |keeps| if keeps { "stays in" } else { "goes from" };
    let (at_source, at_targets) = (fate(args.keep_source_objects), fate(args.keep_target_objects));
    eprintln!("What it made {at_source} `{source}` and {at_targets} {}; rows stay.", targets.join(", "));
    eprint!("Delete job `{name}`? [y/N] ");
    let mut answer = String::new();
    let read = std::io::stderr().flush().and_then(|()| std::io::stdin().lock().read_line(&mut answer));
    read.map_err(Ended::failed)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Ended::refused(not, "answer y, or give --yes")),
    }
}

fn history(args: &HistoryArgs) -> Result<(), Ended> {
    args.ask.run(async |client| {
        let show = args.ask.show;
        let entries = client.history(args.name.as_deref(), args.limit as usize).await?;
        let mut table = Table::new(&["TIME", "WHO", "WHAT", "JOB", "DETAILS"], &["UID"]);
        for entry in &entries {
            table.row([
                entry.time.as_ref().map_or_else(|| "-".into(), time::of).into(),
                entry.who.as_str().into(),
                entry.what.as_str().into(),
                entry.job.as_str().into(),
                Cell::new(details(entry), Paint::Dim),
                entry.job_uid.as_str().into(),
            ]);
        }
        let data: Vec<Plain> = entries.iter().map(Plain::new).collect();
        show.list(&table, &data);
        match &args.name {
            Some(name) if entries.is_empty() => {
                show.next(&format!("nothing is known of a job `{name}`: whimbrel status lists all jobs"))
            }
            _ => {}
        }
        Ok(())
    })
}

fn details(entry: &HistoryEntry) -> String {
    let mut details: Vec<String> = entry.details.iter().map(|(key, value)| format!("{key}={value}")).collect();
    details.sort();
    details.join(" ")
}

fn set_limits(args: &LimitsArgs) -> Result<(), Ended> {
    args.ask.run(async |client| {
        let job = client.job(&args.name).await?;
        let mut limits = convert::spec_from(job.spec).map_err(Ended::failed)?.copy.limits;
        limits.rows_per_s = args.rows_per_s.unwrap_or(limits.rows_per_s);
        limits.bytes_per_s = args.bytes_per_s.unwrap_or(limits.bytes_per_s);
        let job = client.set_limits(&args.name, limits).etag(&job.etag).await?;
        let limits = convert::spec_from(job.spec.clone()).map_err(Ended::failed)?.copy.limits;
        let words = |limit: u64, unit: &str| match limit {
            0 => format!("no limit of {unit}"),
            limit => format!("at most {limit} {unit} a second"),
        };
        let words = format!("{}, {}", words(limits.rows_per_s, "rows"), words(limits.bytes_per_s, "bytes"));
        args.ask.show.done(&format!("job `{}`: {words}", args.name), &Plain::new(&job));
        Ok(())
    })
}
