//! `whimbrel demo`, and the two processes that it starts beside the daemon.

use super::ended::Ended;
use crate::demo::{self, Demo, Outcome};
use clap::Args;
use std::{path::PathBuf, time::Duration, time::Instant};

#[derive(Args)]
pub struct DemoArgs {
    /// Ends after so many seconds; without it, on Ctrl-C.
    #[arg(long)]
    seconds: Option<u64>,
    /// Kills the daemon twice on the way (SIGKILL) and starts it again.
    #[arg(long)]
    kill: bool,
    /// Your own SQLite file, instead of the small shop that keeps changing.
    #[arg(long, requires = "target", value_name = "FILE")]
    source: Option<PathBuf>,
    /// The file to copy it to.
    #[arg(long, requires = "source", value_name = "FILE")]
    target: Option<PathBuf>,
    /// Changes a second that the shop's writer makes.
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// Leaves its folder, and in your own files the copy and what follows the source.
    #[arg(long)]
    keep: bool,
}

/// What `demo-writer` is told.
#[derive(Args)]
pub struct WriterArgs {
    shop: PathBuf,
    #[arg(long, default_value_t = 500)]
    rate: u32,
    #[arg(long)]
    seconds: Option<u64>,
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

/// What `demo-compare` is told.
#[derive(Args)]
pub struct CompareArgs {
    source: PathBuf,
    target: PathBuf,
    /// What the job carries; without one, all tables of the source.
    #[arg(last = true)]
    tables: Vec<String>,
}

pub fn run(args: &DemoArgs) -> Result<(), Ended> {
    let files = args.source.clone().zip(args.target.clone());
    let demo = Demo { seconds: args.seconds, kill: args.kill, files, rate: args.rate, keep: args.keep };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Ended::failed)?;
    match runtime.block_on(demo::run(demo))? {
        Outcome::Equal { rows } => {
            println!("equal: {rows} rows compared by a process of its own, value by value");
            Ok(())
        }
        Outcome::Different(differences) => {
            differences.iter().for_each(|one| println!("  {one}"));
            Err(Ended::different(format!("{} differences", differences.len())))
        }
        Outcome::Unknown(why) => Err(Ended::unknown(format!("not compared, the targets are not through: {why}"))),
    }
}

pub fn write(args: &WriterArgs) -> Result<(), Ended> {
    demo::create_shop(&args.shop).map_err(Ended::failed)?;
    let until = args.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let changes = demo::write_shop(&args.shop, args.rate, until, args.seed).map_err(Ended::failed)?;
    println!("{changes} changes");
    Ok(())
}

pub fn compare(args: &CompareArgs) -> Result<(), Ended> {
    let (rows, differences) = demo::compare(&args.source, &args.target, &args.tables).map_err(Ended::failed)?;
    println!("{rows} rows");
    differences.iter().for_each(|one| println!("{one}"));
    match differences.len() {
        0 => Ok(()),
        many => Err(Ended::different(format!("{many} differences"))),
    }
}
