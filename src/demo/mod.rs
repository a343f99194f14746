//! The demo: a shop that keeps changing, a daemon that follows it into two targets, and an independent comparison.
//!
//! Everything runs in processes of its own, as in real life: the application (`demo-writer`), the daemon (`serve`), which
//! `--kill` ends by SIGKILL on the way, and the comparison (`demo-compare`), which knows nothing of the daemon.

mod compare;
mod processes;
mod screen;
mod shop;
mod stores;
mod traces;

pub use compare::compare;
pub use shop::{create as create_shop, write as write_shop};

use crate::{
    client::{Answer, Client},
    control::v1::{Job, ObservedState},
    error::{Error, Result},
    model::{ApplySettings, CopySettings, Existing, JobSpec, SourceSpec, TargetSpec},
};
use processes::{Daemon, Writer};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use stores::{Named, Stores};
use traces::Before;

/// What the demo is asked to do.
pub struct Demo {
    /// Ends after this; `None`: on Ctrl-C.
    pub seconds: Option<u64>,
    /// Kill the daemon twice on the way.
    pub kill: bool,
    /// The user's own files, and no writer.
    pub files: Option<(PathBuf, PathBuf)>,
    /// Changes a second of the shop's writer.
    pub rate: u32,
    /// Leave the folder, the copy and all that was made in the user's files.
    pub keep: bool,
}

/// The targets must have everything within this after the writer stopped.
const CATCHES_UP_WITHIN: Duration = Duration::from_secs(120);
/// An application may be writing in the user's files.
const BUSY: Duration = Duration::from_secs(30);
const JOB: &str = "demo";
/// What shows them.
const LEFT: &str = "SELECT name FROM sqlite_schema WHERE name LIKE 'whimbrel%'";

/// How it ended.
pub enum Outcome {
    Equal {
        rows: u64,
    },
    Different(Vec<String>),
    /// Not everything arrived in time: nothing was compared.
    Unknown(String),
}

/// Runs the demo; prints as it goes. Leaves nothing behind, unless it is to be looked at.
pub async fn run(demo: Demo) -> Result<Outcome> {
    let folder = std::env::temp_dir().join(format!("whimbrel-demo-{}", std::process::id()));
    let io = |error: std::io::Error| Error::config(format!("{}: cannot be made", folder.display())).because(error);
    std::fs::create_dir_all(&folder).map_err(io)?;
    let stores = match &demo.files {
        Some((source, target)) => Stores::of_files(source, target),
        None => Stores::of_shop(&folder),
    };
    if demo.files.is_some() {
        stores.prove().inspect_err(|_| drop(std::fs::remove_dir(&folder)))?;
    }
    let source = &stores.source.path;
    let before = demo.files.as_ref().map(|(source, target)| Before::look(source, target)).transpose();
    let before = before.map_err(|error| Error::config("your files cannot be read").because(error))?;
    let mut writer = None;
    if demo.files.is_none() {
        create_shop(source).map_err(|error| Error::config("the shop cannot be made").because(error))?;
        writer = Some(Writer::start(source, demo.rate)?);
    }
    let mut daemon = Daemon::start(&folder, &stores).await?;
    let shown = show(&demo, &mut daemon, &stores, writer, &folder).await;
    let is_well = matches!(shown, Ok(Outcome::Equal { .. }));
    let mine = before.as_ref().filter(|_| !demo.keep);
    let mut is_gone = true;
    if let Some(before) = mine {
        is_gone = release(before, &mut daemon, &shown).await;
    }
    let address = daemon.address().to_owned();
    daemon.stop().await;
    if let (Some(before), true) = (mine, is_gone) {
        let restored = before.restore();
        restored.map_err(|error| Error::config("the copy cannot be taken away again").because(error))?;
        println!("what the demo made in your files is gone again (--keep leaves it)");
    }
    // Left where something went wrong, to be looked at.
    if demo.keep || !is_well || !is_gone {
        println!("the daemon's log, its config and state stay in {}", folder.display());
        if demo.files.is_some() && (demo.keep || !is_gone) {
            println!("to go on with it:   whimbrel serve --config {}", folder.join("whimbrel.toml").display());
            println!("to take it away:    then whimbrel job delete {JOB} --server {address}, and drop the copy");
        }
        return shown;
    }
    let _ = std::fs::remove_dir_all(&folder);
    shown
}

/// Whatever came of it, the application's writes shall not go on filling a log that nobody reads. Whether it is gone.
async fn release(before: &Before, daemon: &mut Daemon, shown: &Result<Outcome>) -> bool {
    // Refused before anything was made: there is nothing to wait for.
    if shown.is_err() && !before.is_marked() {
        return true;
    }
    let released = match daemon.client().await {
        Ok(mut client) => traces::release(&mut client).await,
        Err(error) => Err(error.to_string()),
    };
    match released {
        Err(why) if before.is_marked() => {
            println!("what the demo made in {} is still there: {why}", before.source().display());
            println!("it is shown by: {LEFT}");
            false
        }
        _ => true,
    }
}

/// From the job's start to the comparison.
async fn show(
    demo: &Demo,
    daemon: &mut Daemon,
    stores: &Stores,
    writer: Option<Writer>,
    folder: &Path,
) -> Result<Outcome> {
    let mut client = daemon.client().await?;
    let failed = |failure: crate::client::Failure| {
        Error::config(failure.text.clone()).hint(failure.hint.clone().unwrap_or_default())
    };
    client.create_job(&spec(stores), "").await.map_err(failed)?;
    client.start_job(JOB).await.map_err(failed)?;
    screen::welcome(stores, daemon.address(), folder, demo.files.is_none());
    watch(demo, daemon, &mut client).await?;
    if writer.is_some() {
        println!("\nthe writer has stopped; waiting until the targets have everything");
    }
    drop(writer); // Stopped before the comparison.
    match settled(&mut client).await {
        Err(why) => match screen::refused(&client.job(JOB).await.map_err(failed)?) {
            Some((text, hint)) => Err(in_the_way(text, hint)),
            None => Ok(Outcome::Unknown(why)),
        },
        Ok(()) => {
            let job = client.job(JOB).await.map_err(failed)?;
            compare_all(stores, &screen::carried(&job)).await
        }
    }
}

/// What is in the way is in the user's files: which of them to change, where the daemon's hint speaks of job files.
fn in_the_way(text: String, hint: String) -> Error {
    let hint = match &text {
        text if text.contains("writes") && text.contains("already") => {
            "an earlier `whimbrel demo --keep`, or a job of your own, writes these tables: give another --target FILE, or \
             take that away first (the demo said how when it ended)"
                .to_owned()
        }
        text if text.contains("rows already") => {
            "give a file that holds none of these tables: --target FILE; after --keep a new one, or delete the copy"
                .to_owned()
        }
        _ => hint,
    };
    Error::config(text).hint(hint)
}

fn spec(stores: &Stores) -> JobSpec {
    let target = |named: &Named| TargetSpec { store: named.name.clone(), existing: Existing::Refuse };
    JobSpec {
        name: JOB.into(),
        labels: BTreeMap::new(),
        source: SourceSpec::new(&stores.source.name),
        targets: stores.targets.iter().map(target).collect(),
        copy: CopySettings::default(),
        apply: ApplySettings::default(),
    }
}

/// Shows the job until time is up, and kills the daemon on the way if asked.
async fn watch(demo: &Demo, daemon: &mut Daemon, client: &mut Client) -> Result<()> {
    let start = Instant::now();
    let end = demo.seconds.map(Duration::from_secs);
    let mut kills: Vec<Duration> = match (demo.kill, end) {
        (false, _) => Vec::new(),
        (true, Some(end)) => vec![end * 2 / 3, end / 3],
        (true, None) => vec![Duration::from_secs(20), Duration::from_secs(8)],
    };
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    let mut screen = screen::Screen::new();
    loop {
        tokio::select! {
            _ = clock.tick() => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
        if end.is_some_and(|end| start.elapsed() >= end) {
            return Ok(());
        }
        if kills.last().is_some_and(|at| start.elapsed() >= *at) {
            kills.pop();
            screen.say("the daemon is killed (SIGKILL) and started again");
            daemon.kill_and_restart().await?;
            *client = daemon.client().await?;
        }
        // A daemon that is just starting has nothing to show yet.
        if let Ok(job) = client.job(JOB).await {
            screen.show(start.elapsed(), &job);
            if screen::needs_a_person(&job) {
                return Ok(());
            }
        }
    }
}

/// Waits until every target is Streaming and lacks nothing of the log.
async fn settled(client: &mut Client) -> std::result::Result<(), String> {
    let deadline = Instant::now() + CATCHES_UP_WITHIN;
    let since = std::time::SystemTime::now();
    loop {
        let answer: Answer<Job> = client.job(JOB).await;
        let why = match &answer {
            Ok(job) if has_everything(job, since) => return Ok(()),
            Ok(job) if screen::needs_a_person(job) => return Err(screen::in_words(job)),
            Ok(job) => screen::in_words(job),
            Err(failure) => failure.to_string(),
        };
        if Instant::now() > deadline {
            return Err(why);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn has_everything(job: &Job, since: std::time::SystemTime) -> bool {
    let Some(status) = &job.status else { return false };
    let since = since.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis());
    status.targets.iter().all(|target| {
        let answered = target.last_answer_time.as_ref().map_or(0, |time| {
            u128::try_from(time.seconds).unwrap_or(0) * 1000 + u128::try_from(time.nanos).unwrap_or(0) / 1_000_000
        });
        target.observed_state == i32::from(ObservedState::Streaming)
            && target.behind_changes == Some(0)
            && answered > since
    })
}

async fn compare_all(stores: &Stores, tables: &[String]) -> Result<Outcome> {
    let mut rows = 0;
    let mut differences = Vec::new();
    for Named { path: target, .. } in &stores.targets {
        let (compared, found) = processes::compare(&stores.source.path, target, tables).await?;
        rows += compared;
        differences.extend(found.into_iter().map(|one| format!("{}: {one}", target.display())));
    }
    Ok(if differences.is_empty() { Outcome::Equal { rows } } else { Outcome::Different(differences) })
}
