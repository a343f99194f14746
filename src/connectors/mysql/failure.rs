//! What an error of the server or of the way to it means for us.

use crate::error::{Error, ErrorKind};
use mysql_async::{DriverError, Error as Foreign, IoError, ServerError};

/// An answer of the server that is no error of ours yet: some callers expect some of them.
pub(super) type Answer<T> = Result<T, Foreign>;

/// The server's numbers that we look for.
pub(super) mod code {
    pub const NO_SUCH_DATABASE: u16 = 1049;
    pub const NO_SUCH_TABLE: u16 = 1146;
    pub const LOCK_WAIT: u16 = 1205;
    pub const DEADLOCK: u16 = 1213;
    pub const DUPLICATE: u16 = 1062;
    pub const DUPLICATE_NAMED: u16 = 1586;
    /// A statement needs a grant of the whole server that the account lacks.
    pub const NO_PRIVILEGE: u16 = 1227;
    /// A query in the place of one value gave two rows: what our upserts say where they meet another row.
    pub const TWO_ROWS: u16 = 1242;
}

/// The server's own number, if it was the server that complained.
pub(super) fn number(failure: &Foreign) -> Option<u16> {
    match failure {
        Foreign::Server(error) => Some(error.code),
        _ => None,
    }
}

/// The account may not do that to a table, or not to all of its columns.
pub(super) fn is_denied(failure: &Foreign) -> bool {
    matches!(number(failure), Some(1142 | 1143))
}

/// Another transaction stands in the way; this one is undone, or is to be.
pub(super) fn is_lock(failure: &Foreign) -> bool {
    matches!(number(failure), Some(code::DEADLOCK | code::LOCK_WAIT))
}

/// What should happen next after a complaint of the server.
pub(super) fn kind(code: u16) -> ErrorKind {
    meaning(code).0
}

/// Why the server does not take a row, in words of ours: its own often show values.
pub(super) fn without_values(failure: &Foreign) -> String {
    let Foreign::Server(error) = failure else { return "the connection broke".to_owned() };
    let why = match error.code {
        1048 | 1364 => "a column that must not be NULL has no value",
        code::DUPLICATE | code::DUPLICATE_NAMED | code::TWO_ROWS => "another row holds its values of a unique index",
        1264 | 1690 => "a number is out of the column's range",
        1265 | 1292 | 1300 | 1366 | 1416 | 3140 | 3643 | 6136 => "a value is none that the column can hold",
        1526 | 1748 => "no partition takes it",
        1406 => "a value is longer than the column",
        1216 | 1217 | 1451 | 1452 => "a foreign key stands in the way",
        3819 | 4025 => "a CHECK constraint stands in the way",
        _ => "the server refuses it",
    };
    // In these no value is shown.
    let name = matches!(error.code, 1048 | 1264 | 1265 | 1364 | 1406).then(|| error.message.split('\'').nth(1));
    match name.flatten() {
        Some(name) => format!("{why} (column `{name}`, error {})", error.code),
        None => format!("{why} (error {})", error.code),
    }
}

/// Whether the same may succeed later: the connection, a lock, a grant.
pub(super) fn is_passing(failure: &Foreign) -> bool {
    number(failure).is_none_or(|number| {
        matches!(number, code::DEADLOCK | code::LOCK_WAIT | 1040 | 1053 | 1317 | 3024 | 1021 | 1114 | 1969)
            || kind(number) == ErrorKind::Config
    })
}

/// Of a statement that makes or changes a table: what does not pass is for a person to do.
pub(super) fn made(failure: Foreign, what: &str, mend: &str) -> Error {
    match is_passing(&failure) {
        true => error(failure, what),
        false => Error::config(what.to_owned()).because(failure).hint(mend),
    }
}

/// With what was tried: `error(failure, "reading the catalogue")`.
pub(super) fn error(failure: Foreign, what: &str) -> Error {
    match failure {
        Foreign::Server(failure) => of_server(failure, what),
        // The driver has no kind of its own for it where it reads.
        Foreign::Io(failure) if failure.to_string().contains("larger than max_allowed_packet") => too_large(what),
        Foreign::Io(failure) => Error::transient(format!("{what}: the connection broke")).because(failure),
        Foreign::Driver(DriverError::NoClientSslFlagFromServer) => {
            Error::config(format!("{what}: the server has no TLS"))
                .hint("give it a certificate, or set the store's option `tls = \"off\"` where nobody can listen")
        }
        Foreign::Driver(DriverError::PacketTooLarge) => too_large(what),
        failure => Error::transient(what.to_owned()).because(failure),
    }
}

fn too_large(what: &str) -> Error {
    Error::refused(format!("{what}: a row is larger than `max_row_bytes`")).hint(
        "set the store's option `max_row_bytes` (and the job's `apply.max_row_bytes`) higher, or leave the table out",
    )
}

/// Before a connection is there, files may be missing and certificates wrong.
pub(super) fn connecting(failure: Foreign) -> Error {
    let is_tls = match &failure {
        Foreign::Io(IoError::Tls(_)) => true,
        Foreign::Io(IoError::Io(failure)) => {
            let text = failure.to_string();
            failure.kind() == std::io::ErrorKind::NotFound || text.contains("certificate") || text.contains("alert")
        }
        _ => false,
    };
    match is_tls {
        true => Error::config("connecting: no safe connection").because(failure).hint(
            "set the store's option `ca` to the file of the authority that signed the server's certificate, and \
             `tls_name` to the name in it where that is not the host's",
        ),
        false => error(failure, "connecting"),
    }
}

fn of_server(failure: ServerError, what: &str) -> Error {
    let (kind, hint) = meaning(failure.code);
    let hint = of_database(&failure).or_else(|| hint.map(str::to_owned));
    let error = Error::new(kind, what.to_owned()).because(failure);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// `Access denied for user 'u'@'h' to database 'd'`: the account as it is granted to, unlike where a table is denied.
fn of_database(failure: &ServerError) -> Option<String> {
    let quoted: Vec<&str> = failure.message.split('\'').collect();
    match (failure.code, &quoted[..]) {
        (1044, [_, user, _, host, _, database, ..]) => Some(format!(
            "GRANT SELECT ON {} TO '{user}'@'{host}'; then `whimbrel plan` names what else lacks",
            super::grants::database(database)
        )),
        _ => None,
    }
}

/// What should happen next, and what a person could type.
fn meaning(code: u16) -> (ErrorKind, Option<&'static str>) {
    use ErrorKind::{Config, Refused, Transient};
    match code {
        1044 | 1142 | 1143 | 1227 | 1370 => {
            (Config, Some("give the account the grant that is named; `whimbrel plan` prints the statement"))
        }
        1045 | 1698 | 1862 | 3118 | 1251 => {
            (Config, Some("look at the account in the store's URL and at `secrets.password`"))
        }
        1130 | 1129 => {
            (Config, Some("let the account connect from the daemon's host: `CREATE USER …@'%'`, or `FLUSH HOSTS`"))
        }
        code::NO_SUCH_DATABASE => (Config, Some("name a database that exists in the store's URL")),
        // A value, not a moment: repeating it changes nothing.
        1048 | 1062 | 1216 | 1217 | 1264 | 1265 | 1292 | 1300 | 1364 | 1366 | 1406 | 1416 | 1451 | 1452 | 1526
        | 1690 | 1748 | 3140 | 3643 | 3819 | 4025 | 6136 => (Refused, None),
        1153 => (Refused, Some("set the server's `max_allowed_packet` higher")),
        3159 => {
            (Config, Some("the server takes encrypted connections only: leave out the store's option `tls = \"off\"`"))
        }
        1290 | 1792 | 1836 => {
            (Config, Some("the server is read-only: point the store at the primary, or `SET GLOBAL read_only = 0`"))
        }
        _ => (Transient, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: u16) -> Error {
        error(Foreign::Server(ServerError { code, message: "no".into(), state: "HY000".into() }), "reading")
    }

    #[test]
    fn a_database_that_is_denied_is_told_with_the_grant() {
        let message = "Access denied for user 'p'@'%' to database 'my_shop'".into();
        let denied = error(Foreign::Server(ServerError { code: 1044, message, state: "42000".into() }), "connecting");
        assert!(denied.hint_text().is_some_and(|hint| hint.starts_with("GRANT SELECT ON `my\\_shop`.* TO 'p'@'%'; ")));
    }

    #[test]
    fn waits_for_what_passes_and_asks_a_person_for_the_rest() {
        assert!(of(1213).is_transient() && of(1205).is_transient() && of(1040).is_transient());
        let denied = of(1045);
        assert_eq!(denied.kind(), ErrorKind::Config);
        assert!(denied.hint_text().is_some() && denied.to_string().starts_with("reading: "));
        assert_eq!(of(1406).kind(), ErrorKind::Refused);
    }
}
