//! Where a secret is found. The secret itself is never in the config, a job, an answer, a log line or the state.

use super::private_file;
use crate::error::{Error, Result};
use secrecy::{SecretString, zeroize::Zeroizing};
use serde::{Deserialize, Serialize};
use std::{env::VarError, fmt, io, path::PathBuf};

/// A reference, `env:NAME` or `file:PATH`; looked up each time the store is opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Secret {
    Env(String),
    File(PathBuf),
}

impl Secret {
    /// Wiped from memory when it is dropped, and hidden wherever it is printed.
    pub fn read(&self) -> Result<SecretString> {
        let text = match self {
            Secret::Env(name) => std::env::var(name).map(Zeroizing::new).map_err(|error| {
                // The error of a value that is not UTF-8 would show it.
                let why = match error {
                    VarError::NotPresent => "the variable is not set",
                    VarError::NotUnicode(_) => "its value is not UTF-8",
                };
                Error::config(format!("the secret {self} cannot be read: {why}"))
                    .hint(format!("set {name} in the daemon's environment and restart it"))
            })?,
            Secret::File(path) => {
                let cannot = |error: io::Error| {
                    Error::config(format!("the secret {self} cannot be read"))
                        .because(error)
                        .hint(format!("let the daemon's user read {}", path.display()))
                };
                let bytes = private_file::read(path).map_err(cannot)?;
                let text = std::str::from_utf8(&bytes).map_err(|_| cannot(io::Error::other("it is not UTF-8")))?;
                // Editors and `echo` end a file with a newline that nobody meant.
                Zeroizing::new(text.strip_suffix('\n').unwrap_or(text).to_owned())
            }
        };
        Ok(SecretString::from(text.as_str()))
    }

    /// Says so in the log if others may read it as well.
    pub fn warn_if_open(&self) {
        if let Secret::File(path) = self {
            private_file::warn_if_open(path);
        }
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secret::Env(name) => write!(f, "env:{name}"),
            Secret::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl From<Secret> for String {
    fn from(secret: Secret) -> String {
        secret.to_string()
    }
}

impl TryFrom<String> for Secret {
    type Error = &'static str;

    /// The text may be the secret itself, so no error shows it.
    fn try_from(text: String) -> Result<Secret, &'static str> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Secret::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Secret::File(path.into())),
            _ => Err("a secret is a reference, `env:NAME` or `file:PATH`, never the secret itself"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_secret_in_plain_sight_is_refused_and_not_repeated() {
        let error = Secret::try_from("hunter2".to_owned()).expect_err("not a reference");
        assert!(!error.contains("hunter2"));
    }

    #[test]
    fn files_lose_one_newline() {
        let file = tempfile::NamedTempFile::new().expect("a temp file");
        std::fs::write(file.path(), "hunter2\n").expect("ours");
        let secret = Secret::File(file.path().into()).read().expect("readable");
        assert_eq!(secret.expose_secret(), "hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
