//! The one error of the house: what happened, what should happen next, and what a person should type.
//!
//! There are four kinds because the pipeline has four answers; see [`ErrorKind`].

use std::{error::Error as StdError, fmt};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What should happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// Wait and try again: a lock, a connection, a restart. Only `pipeline/retry.rs` waits.
    Transient,
    /// The position is gone, on either side: the job stops; verify-and-repair or a new copy heals it.
    Lost,
    /// A person must change something: the config, a grant, a job. The job stops.
    Config,
    /// The store will never take (or give) this row. Parked, or the job stops, by the job's policy.
    Refused,
}

/// An error for the person at 3 a.m.
pub struct Error {
    kind: ErrorKind,
    context: String,
    hint: Option<String>,
    of_source: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Error { kind, context: context.into(), hint: None, of_source: false, source: None }
    }

    pub fn transient(context: impl Into<String>) -> Self {
        Self::new(ErrorKind::Transient, context)
    }

    pub fn lost(context: impl Into<String>) -> Self {
        Self::new(ErrorKind::Lost, context)
    }

    pub fn config(context: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, context)
    }

    pub fn refused(context: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, context)
    }

    /// What the reader should type or change.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The foreign error underneath.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says where it happened, in front of what happened.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.context = format!("{place}: {}", self.context);
        self
    }

    /// It is the source's, the store of this name, on the way into a target. Said once.
    #[must_use]
    pub fn of_source(self, store: &str) -> Self {
        match self.of_source {
            true => self,
            false => Error { of_source: true, ..self.at(format!("source `{store}`")) },
        }
    }

    pub fn is_of_source(&self) -> bool {
        self.of_source
    }

    /// The same for a second listener: kind, text and hint.
    pub fn copy(&self) -> Error {
        Error { source: None, context: self.to_string(), hint: self.hint.clone(), ..*self }
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub fn is_transient(&self) -> bool {
        self.kind == ErrorKind::Transient
    }

    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind)?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_what_and_why() {
        let io = std::io::Error::other("disk on fire");
        let error = Error::transient("write failed").because(io).at("target b").hint("buy a disk");
        assert_eq!(error.to_string(), "target b: write failed: disk on fire");
        assert_eq!(error.hint_text(), Some("buy a disk"));
    }
}
