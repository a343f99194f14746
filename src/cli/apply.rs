//! `whimbrel apply -f FILE`: makes the daemon's jobs what the files say; shows the difference before it does it.

use super::{
    ask::Ask,
    ended::Ended,
    files::{Files, Given},
    job,
    show::{Paint, Show, out, painted, to_yaml},
    status,
};
use crate::{
    client::{Client, Code, DesiredState, Job, JobSpec, ObservedState, Plain},
    control::convert,
};
use clap::Args;
use serde::Serialize;
use similar::{ChangeTag, TextDiff};
use std::fmt::Write;

#[derive(Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    files: Files,
    /// Starts the jobs as well, and looks how they begin.
    #[arg(long)]
    start: bool,
    /// Only shows what would change. The daemon looks at it; nothing is saved.
    #[arg(long, conflicts_with = "start")]
    dry_run: bool,
    #[command(flatten)]
    ask: Ask,
}

/// What became of one job.
#[derive(Serialize)]
struct Applied {
    /// `created`, `updated` or `unchanged`.
    did: &'static str,
    job: Plain,
}

pub fn run(args: &ApplyArgs) -> Result<(), Ended> {
    let (given, show) = (args.files.jobs()?, args.ask.show);
    args.ask.run(async |client| {
        // All of them, before the first is touched: half of a folder is no state that anybody wants.
        let mut steps = Vec::new();
        for Given { place, spec } in &given {
            steps.push(look(client, spec, show).await.map_err(|refused| refused.at(place))?);
        }
        let (mut did, mut jobs, mut ended) = (Vec::new(), Vec::new(), Ok(()));
        for (Given { place, spec }, step) in given.iter().zip(steps) {
            let done = step.did;
            match take(client, spec, step, args).await {
                Ok(job) => {
                    let would = if args.dry_run { " (dry run, nothing is saved)" } else { "" };
                    say(show, &format!("job `{}` {done}{would}", spec.name));
                    did.push(done);
                    jobs.push(job);
                }
                // What was done before is said all the same.
                Err(refused) => {
                    ended = Err(refused.at(place));
                    break;
                }
            }
        }
        if given.len() > 1 {
            say(show, &summary(&did, given.len()));
        }
        if args.start && ended.is_ok() {
            ended = start(client, &mut jobs, show).await;
        }
        if show.is_data() {
            let applied = did.into_iter().zip(&jobs).map(|(did, job)| Applied { did, job: Plain::new(job) });
            show.data(&applied.collect::<Vec<_>>());
        }
        if ended.is_ok() {
            next(args, &jobs);
        }
        ended
    })
}

fn say(show: Show, words: &str) {
    if !show.is_data() && !show.is_quiet() {
        out(&format!("{words}\n"));
    }
}

/// What is to be done about a job, found out before anything is done.
struct Step {
    did: &'static str,
    /// As the daemon has it, and the spec in it.
    known: Option<(Job, JobSpec)>,
    /// As it will be; the daemon has looked at it.
    valid: Job,
}

async fn look(client: &mut Client, spec: &JobSpec, show: Show) -> Result<Step, Ended> {
    let known = match client.job(&spec.name).await {
        Ok(job) => job,
        Err(failure) if failure.code == Code::NotFound => {
            let valid = client.validate_job(spec).await.inspect_err(|_| difference(show, None, spec))?;
            return Ok(Step { did: "created", known: None, valid });
        }
        Err(failure) => return Err(failure.into()),
    };
    if known.status.as_ref().is_some_and(|status| status.observed_state() == ObservedState::Deleting) {
        return Err(Ended::refused(
            format!("job `{}` is still being deleted", spec.name),
            format!("`whimbrel wait {} --for deleted`, then apply again", spec.name),
        ));
    }
    let before = convert::spec_from(known.spec.clone()).map_err(Ended::failed)?;
    if before == *spec {
        return Ok(Step { did: "unchanged", valid: known.clone(), known: Some((known, before)) });
    }
    let update = client.update_job(spec, &[]).etag(&known.etag).validate_only();
    let valid = update.await.inspect_err(|_| difference(show, Some(&before), spec))?;
    Ok(Step { did: "updated", known: Some((known, before)), valid })
}

async fn take(client: &mut Client, spec: &JobSpec, step: Step, args: &ApplyArgs) -> Result<Job, Ended> {
    if step.did == "unchanged" {
        return Ok(step.valid);
    }
    difference(args.ask.show, step.known.as_ref().map(|(_, before)| before), spec);
    match step.known {
        _ if args.dry_run => Ok(step.valid),
        None => Ok(client.create_job(spec, "").await?),
        // What the difference was shown against is what is changed.
        Some((known, _)) => Ok(client.update_job(spec, &[]).etag(&known.etag).await?),
    }
}

/// `3 jobs: 2 created, 1 unchanged`.
fn summary(did: &[&str], all: usize) -> String {
    let of = |word: &str| did.iter().filter(|did| **did == word).count();
    let words = ["created", "updated", "unchanged"].map(|word| (of(word), word)).into_iter();
    let left = (all - did.len(), "left as they were");
    let parts = words.chain([left]).filter(|(many, _)| *many > 0).map(|(many, word)| format!("{many} {word}"));
    format!("{all} jobs: {}", parts.collect::<Vec<_>>().join(", "))
}

/// Of the job files, line by line.
fn difference(show: Show, before: Option<&JobSpec>, after: &JobSpec) {
    if show.is_data() || show.is_quiet() {
        return;
    }
    let (before, after) = (before.map(to_yaml).unwrap_or_default(), to_yaml(after));
    let lines = TextDiff::from_lines(before.as_str(), after.as_str());
    let mut text = String::from("--- in the daemon\n+++ in the file\n");
    for hunk in lines.unified_diff().context_radius(3).iter_hunks() {
        let _ = writeln!(text, "{}", hunk.header());
        for change in hunk.iter_changes() {
            let (sign, paint) = match change.tag() {
                ChangeTag::Equal => (' ', Paint::Plain),
                ChangeTag::Delete => ('-', Paint::Bad),
                ChangeTag::Insert => ('+', Paint::Good),
            };
            let _ = writeln!(text, "{}", painted(&format!("{sign}{}", change.value().trim_end_matches('\n')), paint));
        }
    }
    out(&text);
}

/// All are started before the first is looked at; the first that failed is how it ended.
async fn start(client: &mut Client, jobs: &mut [Job], show: Show) -> Result<(), Ended> {
    for job in &mut *jobs {
        *job = client.start_job(&job.name).await?;
    }
    let mut first = Ok(());
    for job in jobs {
        match (job::begun(client, job.clone()).await, &first) {
            (Ok(begun), _) => {
                say(show, &job::begun_words(&begun));
                *job = begun;
            }
            (Err(ended), Ok(())) => first = Err(ended),
            (Err(ended), Err(_)) => drop(ended.say()),
        }
    }
    first
}

fn next(args: &ApplyArgs, jobs: &[Job]) {
    let (show, typed) = (args.ask.show, args.files.typed());
    match jobs {
        _ if args.dry_run => show.next(&format!("whimbrel apply {typed}")),
        [job] if job.desired_state() == DesiredState::Created => {
            let name = &job.name;
            show.next(&format!("whimbrel plan {typed} (writes nothing), then whimbrel job start {name}"));
        }
        [job] if args.start => show.next(&status::next(job)),
        [job] => show.next(&format!("whimbrel status {}", job.name)),
        _ => show.next("whimbrel status"),
    }
}
