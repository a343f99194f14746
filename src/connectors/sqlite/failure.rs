//! What SQLite answers when it does not do what was asked, and which of the four kinds of error that is.

use crate::error::{Error, ErrorKind};
use rusqlite::ffi;
use std::fmt;

/// An answer of SQLite, by its extended result code.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub code: i32,
    pub text: String,
}

pub(super) type Answer<T> = std::result::Result<T, Failure>;

impl Failure {
    pub fn primary(&self) -> i32 {
        self.code & 0xff
    }

    /// Somebody else holds a lock.
    pub fn is_busy(&self) -> bool {
        matches!(self.primary(), ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED)
    }

    /// Another row has the same key or unique value.
    pub fn is_taken(&self) -> bool {
        matches!(
            self.code,
            ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID
        )
    }

    /// The store will never take this row as it is.
    pub fn is_refusal(&self) -> bool {
        matches!(self.primary(), ffi::SQLITE_CONSTRAINT | ffi::SQLITE_MISMATCH | ffi::SQLITE_TOOBIG)
    }

    pub fn is_too_big(&self) -> bool {
        self.primary() == ffi::SQLITE_TOOBIG
    }

    fn kind_and_hint(&self) -> (ErrorKind, Option<&'static str>) {
        match self.primary() {
            ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => (
                ErrorKind::Transient,
                Some("another process holds a lock on the file: end its transaction, or wait; it is tried again"),
            ),
            ffi::SQLITE_FULL => (ErrorKind::Transient, Some("free space on the disk of the file; it is tried again")),
            ffi::SQLITE_READONLY if self.code == ffi::SQLITE_READONLY_DBMOVED => (ErrorKind::Transient, None),
            ffi::SQLITE_READONLY | ffi::SQLITE_PERM | ffi::SQLITE_AUTH | ffi::SQLITE_CANTOPEN => (
                ErrorKind::Config,
                Some("let the daemon's user write the file and the directory it is in: SQLite keeps its journal there"),
            ),
            ffi::SQLITE_NOTADB => {
                (ErrorKind::Config, Some("name a SQLite database (version 3, not encrypted) in the URL"))
            }
            ffi::SQLITE_CORRUPT | ffi::SQLITE_FORMAT => {
                (ErrorKind::Config, Some("run `PRAGMA integrity_check` on the file, and restore it if that fails"))
            }
            ffi::SQLITE_CONSTRAINT | ffi::SQLITE_MISMATCH | ffi::SQLITE_TOOBIG => (ErrorKind::Refused, None),
            ffi::SQLITE_ERROR => (
                ErrorKind::Config,
                Some("if the text names a function or collation, it belongs to the application: leave the table out"),
            ),
            _ => (ErrorKind::Transient, None),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLite code {})", self.text, self.code)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        match error {
            rusqlite::Error::SqliteFailure(code, text) => Failure {
                code: code.extended_code,
                text: text.unwrap_or_else(|| ffi::code_to_str(code.extended_code).to_owned()),
            },
            // Of our own statements: they would be wrong on every file, so this is about a file unlike any other.
            other => Failure { code: ffi::SQLITE_ERROR, text: other.to_string() },
        }
    }
}

impl std::error::Error for Failure {}

/// Whether an error is about another process's lock.
pub(super) fn is_locked(error: &Error) -> bool {
    let source = std::error::Error::source(error);
    source.and_then(|source| source.downcast_ref::<Failure>()).is_some_and(Failure::is_busy)
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        let (kind, hint) = failure.kind_and_hint();
        let error = Error::new(kind, "SQLite").because(failure);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}
