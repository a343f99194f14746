//! `whimbrel job start|pause|delete NAME`.

use super::{Daemon, ended::Ended, with_client};
use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub enum JobCommand {
    /// Starts it, resumes it, or tries a failed one again.
    Start(JobArgs),
    /// Stops it at a saved position.
    Pause(JobArgs),
    /// Removes what it made in its stores, then the job; rows stay.
    Delete(JobArgs),
}

#[derive(Args)]
pub struct JobArgs {
    name: String,
    #[command(flatten)]
    daemon: Daemon,
}

pub fn run(command: &JobCommand) -> Result<(), Ended> {
    let (JobCommand::Start(args) | JobCommand::Pause(args) | JobCommand::Delete(args)) = command;
    with_client(&args.daemon, async |mut client| {
        let done = match command {
            JobCommand::Start(_) => client.start_job(&args.name).await.map(|_| "is started"),
            JobCommand::Pause(_) => client.pause_job(&args.name).await.map(|_| "is pausing"),
            JobCommand::Delete(_) => client.delete_job(&args.name).await.map(|_| "is being deleted"),
        };
        println!("job `{}` {}; `whimbrel status {}` shows it", args.name, done?, args.name);
        Ok(())
    })
}
