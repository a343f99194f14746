//! The command line: one file per subcommand. All but `serve` and `state` speak to the daemon through `client`.

mod apply;
mod demo;
mod ended;
mod job;
mod reload;
mod serve;
mod state;
mod status;

use self::ended::Ended;
use clap::{Args, Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

/// Keeps databases in step without stopping either.
#[derive(Parser)]
#[command(name = "whimbrel", version, arg_required_else_help = true)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the daemon until SIGTERM or Ctrl-C.
    Serve(ServeArgs),
    /// Replicates a small shop (or your own SQLite file) before your eyes, and compares.
    Demo(demo::DemoArgs),
    #[command(hide = true)]
    DemoWriter(demo::WriterArgs),
    #[command(hide = true)]
    DemoCompare(demo::CompareArgs),
    /// Creates the job of a file, or sets its limits if it is there already.
    Apply(apply::ApplyArgs),
    /// Shows all jobs, or one with its targets and tables.
    Status(status::StatusArgs),
    /// Starts, pauses or deletes a job.
    #[command(subcommand)]
    Job(job::JobCommand),
    /// Reads and writes the daemon's own state, while it is stopped.
    #[command(subcommand)]
    State(state::StateCommand),
}

/// What `serve` and `state` are told.
#[derive(Args, Clone)]
struct ServeArgs {
    /// The settings; config/whimbrel.toml explains them.
    #[arg(long, env = "WHIMBREL_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// Instead of `listen` in the config.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Instead of `state.dir` in the config.
    #[arg(long, value_name = "FOLDER")]
    state_dir: Option<String>,
}

/// Which daemon to ask.
#[derive(Args)]
struct Daemon {
    /// Where it listens.
    #[arg(long, env = "WHIMBREL_ADDRESS", default_value = "127.0.0.1:7411", value_name = "ADDRESS:PORT")]
    address: String,
}

/// Reads the arguments, does what they say, and says how that ended.
pub fn run() -> ExitCode {
    // clap prints by itself: help to standard output (0), wrong usage to standard error (2).
    let done = match Line::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::DemoWriter(args) => demo::write(&args),
        Command::DemoCompare(args) => demo::compare(&args),
        Command::Apply(args) => apply::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Job(command) => job::run(&command),
        Command::State(command) => state::run(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(ended) => ended.say(),
    }
}

impl ServeArgs {
    fn load(&self) -> Result<crate::config::Config, Ended> {
        Ok(self.read()?)
    }

    fn read(&self) -> crate::error::Result<crate::config::Config> {
        let flags = [("listen", &self.listen), ("state.dir", &self.state_dir)];
        let flags: Vec<_> = flags.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect();
        crate::config::Config::load(Some(&self.config), &flags)
    }
}

/// Runs one conversation with the daemon.
fn with_client<F>(daemon: &Daemon, talk: impl FnOnce(crate::client::Client) -> F) -> Result<(), Ended>
where
    F: Future<Output = Result<(), Ended>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .map_err(Ended::failed)?
        .block_on(async { talk(crate::client::Client::connect(&daemon.address).await?).await })
}
