//! `whimbrel apply -f FILE`: makes the daemon's job what the file says.

use super::{Daemon, ended::Ended, with_client};
use crate::{
    client::{Client, Code},
    config::job_from_file,
    control::convert,
    model::JobSpec,
};
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub struct ApplyArgs {
    /// The job file; config/jobs/every-key.yaml explains it.
    #[arg(short, long)]
    file: PathBuf,
    /// Starts the job as well.
    #[arg(long)]
    start: bool,
    #[command(flatten)]
    daemon: Daemon,
}

pub fn run(args: &ApplyArgs) -> Result<(), Ended> {
    let spec = job_from_file(&args.file)?;
    with_client(&args.daemon, async |mut client| {
        println!("job `{}` {}", spec.name, apply(&mut client, &spec).await?);
        if args.start {
            client.start_job(&spec.name).await?;
            println!("job `{}` started", spec.name);
        }
        Ok(())
    })
}

async fn apply(client: &mut Client, spec: &JobSpec) -> Result<&'static str, Ended> {
    let known = match client.job(&spec.name).await {
        Ok(job) => convert::spec_from(job.spec).map_err(Ended::failed)?,
        Err(failure) if failure.code == Code::NotFound => {
            client.create_job(spec, "").await?;
            return Ok("created");
        }
        Err(failure) => return Err(failure.into()),
    };
    if known == *spec {
        return Ok("unchanged");
    }
    let mut limited = known;
    limited.copy.limits = spec.copy.limits;
    if limited != *spec {
        return Err(Ended::refused(
            format!("job `{}` is there with other settings; only its limits can be changed", spec.name),
            format!("`whimbrel job delete {}`, then apply again: it is copied anew", spec.name),
        ));
    }
    client.set_limits(&spec.name, spec.copy.limits).await?;
    Ok("limits set")
}
