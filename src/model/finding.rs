//! What an examination has to say: findings before a start, leftovers after an end.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Works, but somebody may be surprised later.
    Warning,
    /// The job cannot start before this is mended.
    Blocking,
}

/// One thing found, with what mends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub severity: Severity,
    /// What it is about: a table, a setting, a file.
    pub subject: String,
    pub text: String,
    /// The exact statement or command that mends it (or, for `Info`, that we are going to run).
    pub mend: Option<String>,
}

/// A change of a job's file, and what makes it count: the daemon has its own copy.
pub fn in_file(change: impl std::fmt::Display) -> String {
    format!("{change}; then `whimbrel apply -f FILE`")
}

/// What leaves a table out of a job.
pub fn without(table: impl std::fmt::Display) -> String {
    in_file(format!("tables: [\"!{table}\"]"))
}

impl Finding {
    pub fn new(severity: Severity, subject: impl Into<String>, text: impl Into<String>) -> Self {
        Finding { severity, subject: subject.into(), text: text.into(), mend: None }
    }

    #[must_use]
    pub fn mend(mut self, statement: impl Into<String>) -> Self {
        self.mend = Some(statement.into());
        self
    }
}

/// Something of ours in a store that no job of this daemon owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// What it is: a table, a reservation.
    pub object: String,
    /// The job that made it, as the store names it.
    pub job: Option<String>,
    pub text: String,
    /// What removes exactly this, for the store's own shell.
    pub remove: String,
}
