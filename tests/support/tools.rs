//! Real tools that `tests/run` has set up.

use std::{path::PathBuf, process::Command};

/// # Panics
/// If it is not there: a test that cannot check does not pass.
pub fn tool(name: &str) -> Command {
    let path = folder().join("bin").join(name);
    assert!(path.exists(), "{} is not there: run tests/run, or bash tests/setup/{name}.sh", path.display());
    Command::new(path)
}

/// What has a folder of its own.
///
/// # Panics
/// As `tool`.
pub fn server(name: &str) -> PathBuf {
    let path = folder().join(name);
    assert!(path.exists(), "{} is not there: run tests/run, or bash tests/setup/{name}.sh", path.display());
    path
}

fn folder() -> PathBuf {
    let given = std::env::var_os("WHIMBREL_SERVERS").map(PathBuf::from);
    given.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache/whimbrel-servers"))
}
