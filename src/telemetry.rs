//! Logs: sentences with fields, to standard error.

use crate::{
    config::{LogConfig, LogFormat},
    error::{Error, Result},
};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Once per process.
pub fn start(config: &LogConfig) -> Result<()> {
    let filter = EnvFilter::builder().parse(&config.filter).map_err(|error| {
        Error::config(format!("`log.filter`: `{}`", config.filter))
            .because(error)
            .hint("a level (error, warn, info, debug, trace), or levels per module: info,whimbrel::pipeline=debug")
    })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.format {
        LogFormat::Pretty => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Error::config("logs were started twice").because(error))
}
