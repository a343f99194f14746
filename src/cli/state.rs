//! `whimbrel state export|import|rebuild`: the daemon's own state as a file, while it is stopped.

use super::{
    ServeArgs,
    ended::Ended,
    show::{Show, out},
};
use crate::{
    error::Error,
    model::Severity,
    pipeline::now_ms,
    state::{Document, SledState, export, import, rebuild},
    supervisor::Stores,
};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::{collections::BTreeMap, fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

#[derive(Subcommand)]
pub enum StateCommand {
    /// Writes all jobs, their progress and the audit trail into a JSON file.
    Export(StateArgs),
    /// Fills an empty state folder from such a file.
    Import(StateArgs),
    /// Reads back from the targets what a lost state folder held, into such a file.
    Rebuild(StateArgs),
}

#[derive(Args)]
pub struct StateArgs {
    /// The JSON file: a new one to be written, or the one to be read.
    file: std::path::PathBuf,
    #[command(flatten)]
    daemon: ServeArgs,
    #[command(flatten)]
    show: Show,
}

/// What was done, as data.
#[derive(Serialize)]
struct Done {
    /// `exported`, `imported` or `rebuilt`.
    did: &'static str,
    file: String,
    state_dir: String,
    /// Names of jobs.
    jobs: Vec<String>,
    /// What could not be rebuilt, or not wholly.
    findings: Vec<Missing>,
}

#[derive(Serialize)]
struct Missing {
    /// A job or a store.
    subject: String,
    text: String,
    hint: Option<String>,
}

pub fn run(command: &StateCommand) -> Result<(), Ended> {
    let (StateCommand::Export(args) | StateCommand::Import(args) | StateCommand::Rebuild(args)) = command;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Ended::failed)?;
    runtime.block_on(async {
        match command {
            StateCommand::Export(_) => export_to(args).await,
            StateCommand::Import(_) => import_from(args).await,
            StateCommand::Rebuild(_) => rebuild_to(args).await,
        }
    })
}

async fn export_to(args: &StateArgs) -> Result<(), Ended> {
    let folder = args.daemon.load()?.state.dir;
    if !folder.join("lock").exists() {
        return Err(Ended::refused(
            format!("there is no state in {}", folder.display()),
            "name the daemon's config with --config, or its folder with --state-dir",
        ));
    }
    let document = export(&SledState::open(&folder)?).await?;
    write(&args.file, &document)?;
    let words = format!("{} jobs written to {}", document.jobs.len(), args.file.display());
    args.show.done(&words, &args.done("exported", &folder, &document));
    Ok(())
}

async fn import_from(args: &StateArgs) -> Result<(), Ended> {
    let folder = args.daemon.load()?.state.dir;
    let text = std::fs::read_to_string(&args.file).map_err(|error| {
        Error::config(format!("{} cannot be read", args.file.display()))
            .because(error)
            .hint("give a file that `whimbrel state export` or `whimbrel state rebuild` wrote")
    })?;
    let document = Document::from_json(&text)?;
    import(&SledState::open(&folder)?, &document).await?;
    let words = format!("{} jobs are in {}", document.jobs.len(), folder.display());
    args.show.done(&words, &args.done("imported", &folder, &document));
    args.show.next("start the daemon, look at the jobs (whimbrel status), then whimbrel job start JOB");
    Ok(())
}

async fn rebuild_to(args: &StateArgs) -> Result<(), Ended> {
    let config = args.daemon.load()?;
    let folder = config.state.dir;
    // What a running daemon applies while its targets are read would be of two times; and it has lost nothing.
    let _held = SledState::hold(&folder)?;
    let is_empty = is_empty(&folder);
    let stores = Stores::new(config.stores)?;
    let (mut rows, mut missing, mut whole) = (BTreeMap::new(), Vec::new(), true);
    for (name, _) in stores.list() {
        match asked(&stores, &name).await {
            Ok(jobs) => drop(rows.insert(name.clone(), jobs)),
            Err(error) => {
                whole = false;
                eprintln!("store `{name}`: {error}");
                let hint = error.hint_text().map(str::to_owned);
                missing.push(Missing { subject: name, text: error.to_string(), hint });
            }
        }
    }
    let rebuilt = rebuild(&rows, now_ms());
    for finding in rebuilt.findings {
        whole &= finding.severity != Severity::Blocking;
        eprintln!("job `{}`: {}", finding.subject, finding.text);
        finding.mend.iter().for_each(|mend| eprintln!("hint: {mend}"));
        missing.push(Missing { subject: finding.subject, text: finding.text, hint: finding.mend });
    }
    write(&args.file, &rebuilt.document)?;
    let file = args.file.display();
    let words = format!("{} jobs written to {file}, all paused", rebuilt.document.jobs.len());
    let done = args.done("rebuilt", &folder, &rebuilt.document);
    args.show.done(&words, &Done { findings: missing, ..done });
    if !args.show.is_data() && !args.show.is_quiet() {
        out(UNKNOWN);
    }
    args.show.next(&args.import_next(&folder, is_empty));
    match whole {
        true => Ok(()),
        false => Err(Ended::failed("not everything could be rebuilt, see above")),
    }
}

/// What no target remembers.
const UNKNOWN: &str = "\
not in it, since no target knows: the history, jobs that never began (apply their files again), and which were paused
a job that was deleted with --keep-target-objects is in it, paused like all others: delete it again
";

/// But for what holding it makes.
fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut all| !all.any(|one| one.is_ok_and(|one| one.file_name() != "lock")))
}

async fn asked(stores: &Stores, name: &str) -> Result<Vec<crate::target::JobRow>, Error> {
    stores.open(name).map_err(|denied| denied.error)?.target()?.jobs().await
}

impl StateArgs {
    /// As it is to be typed; a folder that holds a state is left as it is.
    fn import_next(&self, folder: &Path, is_empty: bool) -> String {
        let mut given = format!("--config {}", self.daemon.config.display());
        match (&self.daemon.state_dir, is_empty) {
            (None, true) => {}
            (Some(folder), true) => given.push_str(&format!(" --state-dir {folder}")),
            (_, false) => given.push_str(&format!(" --state-dir {}-rebuilt", folder.display())),
        }
        format!("whimbrel state import {} {given}, then whimbrel serve {given}", self.file.display())
    }

    fn done(&self, did: &'static str, folder: &Path, document: &Document) -> Done {
        Done {
            did,
            file: self.file.display().to_string(),
            state_dir: folder.display().to_string(),
            jobs: document.jobs.iter().map(|job| job.job.spec.name.clone()).collect(),
            findings: Vec::new(),
        }
    }
}

/// Never over another file, and for its owner only.
fn write(path: &Path, document: &Document) -> Result<(), Ended> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written =
        file.and_then(|mut file| file.write_all(document.to_json().as_bytes()).and_then(|()| file.sync_all()));
    Ok(written.map_err(|error| {
        Error::config(format!("{} cannot be written", path.display()))
            .because(error)
            .hint("name a new file in a folder that this user may write")
    })?)
}
