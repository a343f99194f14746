//! The command line: one file per subcommand. All but `serve` and `state` speak to the daemon through `client`.

mod apply;
mod ask;
mod demo;
mod ended;
mod files;
mod findings;
mod job;
mod live;
mod pages;
mod plan;
mod reload;
mod serve;
mod show;
mod state;
mod status;
mod store;
mod time;
mod wait;

use self::ended::Ended;
use clap::{Args, Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

/// Keeps databases in step without stopping either.
#[derive(Parser)]
#[command(name = "whimbrel", version, arg_required_else_help = true, after_help = EXIT_CODES)]
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
    /// Examines both stores and the pair for a job: what blocks, what mends it, sizes, time. Writes nothing.
    Plan(plan::PlanArgs),
    /// Makes the daemon's jobs what the files say; shows the difference before it does it.
    Apply(apply::ApplyArgs),
    /// Shows all jobs, or one with its targets and tables, and what to type next.
    ///
    /// LAG is how long the newest batch took from the source's commit to the target, or the age of what waits; BEHIND, the
    /// changes that the target lacks now: many of them are a short lag where many are applied a second.
    ///
    /// COPIED counts the rows of a table's copy, and stands still afterwards; what follows are the target's changes.
    Status(status::StatusArgs),
    /// Waits until a job is there, for scripts.
    Wait(wait::WaitArgs),
    /// Lists, shows and steers jobs.
    #[command(subcommand)]
    Job(job::JobCommand),
    /// Shows, examines and proves the stores of the daemon's config.
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Reads and writes the daemon's own state, while it is stopped.
    #[command(subcommand)]
    State(state::StateCommand),
    /// Prints what a shell needs to complete commands and options.
    Completions(pages::CompletionsArgs),
    /// Writes man pages into a folder, one for each command.
    Man(pages::ManArgs),
}

/// Below the help of every command.
const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused (a hint says what to do), 4 no daemon \
                          answers, 5 timed out, 6 data differ, 7 could not be compared";

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

/// Reads the arguments, does what they say, and says how that ended.
pub fn run() -> ExitCode {
    // clap prints by itself: help to standard output (0), wrong usage to standard error (2).
    let done = match Line::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::DemoWriter(args) => demo::write(&args),
        Command::DemoCompare(args) => demo::compare(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Apply(args) => apply::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Wait(args) => wait::run(&args),
        Command::Job(command) => job::run(&command),
        Command::Store(command) => store::run(&command),
        Command::State(command) => state::run(&command),
        Command::Completions(args) => pages::completions(&args),
        Command::Man(args) => pages::man(&args),
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
