//! The demo: a shop that keeps changing, a daemon that follows it into two targets, and an independent comparison.
//!
//! Everything runs in processes of its own, as in real life: the application (`demo-writer`), the daemon (`serve`), which
//! `--kill` ends by SIGKILL on the way, and the comparison (`demo-compare`), which knows nothing of the daemon.

mod compare;
mod processes;
mod screen;
mod shop;
mod traces;

pub use compare::compare;
pub use shop::{create as create_shop, write as write_shop};

use crate::{
    client::{Answer, Client},
    control::v1::{Job, ObservedState},
    error::{Error, Result},
    model::{ApplySettings, CopySettings, Existing, JobSpec, Keyless, SourceSpec, TargetSpec},
};
use processes::{Daemon, Writer};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
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
const JOB: &str = "demo";
/// What shows them.
const LEFT: &str = "SELECT type, name FROM sqlite_schema WHERE name LIKE 'whimbrel%'";

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
    let (source, targets) = match &demo.files {
        Some((source, target)) => (source.clone(), vec![target.clone()]),
        None => (folder.join("shop.db"), vec![folder.join("copy-a.db"), folder.join("copy-b.db")]),
    };
    let before = demo.files.as_ref().map(|(_, target)| Before::look(target)).transpose();
    let before = before.map_err(|error| {
        Error::config(format!("{} cannot be read", targets[0].display()))
            .because(error)
            .hint("give an SQLite file, or the path of one that is not there yet")
    })?;
    let mut writer = None;
    if demo.files.is_none() {
        create_shop(&source).map_err(|error| Error::config("the shop cannot be made").because(error))?;
        writer = Some(Writer::start(&source, demo.rate)?);
    }
    let mut daemon = Daemon::start(&folder, &source, &targets).await?;
    let shown = show(&demo, &mut daemon, &source, &targets, writer, &folder).await;
    let is_well = matches!(shown, Ok(Outcome::Equal { .. }));
    // Whatever came of it, the application's writes shall not go on filling a log that nobody reads.
    if demo.files.is_some() && !demo.keep {
        let released = match daemon.client().await {
            Ok(mut client) => traces::release(&mut client).await,
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = released {
            println!("what the demo made in {} is still there: {why}", source.display());
            println!("`whimbrel demo` again with the same files, or drop its tables and triggers: {LEFT}");
        }
    }
    daemon.stop().await;
    // Left where something went wrong, to be looked at.
    if demo.keep || !is_well {
        println!("the daemon's log, its config and state stay in {}", folder.display());
        return shown;
    }
    if let Some(before) = before {
        let restored = before.restore();
        restored.map_err(|error| Error::config("the copy cannot be taken away again").because(error))?;
        println!("what the demo made in your files is gone again (--keep leaves it)");
    }
    let _ = std::fs::remove_dir_all(&folder);
    shown
}

/// From the job's start to the comparison.
async fn show(
    demo: &Demo,
    daemon: &mut Daemon,
    source: &Path,
    targets: &[PathBuf],
    writer: Option<Writer>,
    folder: &Path,
) -> Result<Outcome> {
    let mut client = daemon.client().await?;
    let failed = |failure: crate::client::Failure| {
        Error::config(failure.text.clone()).hint(failure.hint.clone().unwrap_or_default())
    };
    client.create_job(&spec(targets), "").await.map_err(failed)?;
    client.start_job(JOB).await.map_err(failed)?;
    screen::welcome(source, targets, daemon.address(), folder, demo.files.is_none());
    watch(demo, daemon, &mut client).await?;
    if writer.is_some() {
        println!("\nthe writer has stopped; waiting until the targets have everything");
    }
    drop(writer); // Stopped before the comparison.
    match settled(&mut client).await {
        Err(why) => match screen::refused(&client.job(JOB).await.map_err(failed)?) {
            // What is in the way is in the user's files.
            Some(text) => Err(Error::config(text).hint("give a file that holds none of these tables: --target FILE")),
            None => Ok(Outcome::Unknown(why)),
        },
        Ok(()) => compare_all(source, targets).await,
    }
}

fn spec(targets: &[PathBuf]) -> JobSpec {
    let target = |index: usize| TargetSpec { store: processes::target_store(index), existing: Existing::Refuse };
    JobSpec {
        name: JOB.into(),
        labels: BTreeMap::new(),
        source: SourceSpec {
            store: processes::SOURCE_STORE.into(),
            tables: Vec::new(),
            rename: BTreeMap::new(),
            keyless: Keyless::Refuse,
        },
        targets: (0..targets.len()).map(target).collect(),
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

async fn compare_all(source: &Path, targets: &[PathBuf]) -> Result<Outcome> {
    let mut rows = 0;
    let mut differences = Vec::new();
    for target in targets {
        let (compared, found) = processes::compare(source, target).await?;
        rows += compared;
        differences.extend(found.into_iter().map(|one| format!("{}: {one}", target.display())));
    }
    Ok(if differences.is_empty() { Outcome::Equal { rows } } else { Outcome::Different(differences) })
}
