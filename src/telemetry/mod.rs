//! What the daemon says of itself: logs (sentences with fields, to standard error), metrics, and whether it turns.

pub mod flushes;
mod json;
pub mod metrics;
pub mod process;
pub mod turns;

use crate::{
    config::{LogConfig, LogFormat},
    error::{Error, Result},
};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Once per process.
pub fn start(config: &LogConfig) -> Result<()> {
    process::started_s();
    let filter = EnvFilter::builder().parse(&config.filter).map_err(|error| {
        Error::config(format!("`log.filter`: `{}`", config.filter))
            .because(error)
            .hint("a level (error, warn, info, debug, trace), or levels per module: info,whimbrel::pipeline=debug")
    })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.format {
        LogFormat::Pretty => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => lines.json().event_format(json::FlatJson).try_init(),
    };
    started.map_err(|error| Error::config("logs were started twice").because(error))
}
