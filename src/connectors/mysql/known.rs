//! Which servers are written today: those that the tests run against. Others are refused by name.

use super::server::Server;
use crate::{
    error::{Error, Result},
    model::{Finding, Severity},
};

const INSTEAD: &str = "give the URL of a MariaDB server, or of a SQLite file";

/// What stands in the way of writing into this server.
pub(super) fn unwritten(server: &Server) -> Option<Finding> {
    let text = || format!("MySQL is not written yet; MariaDB is. This is {server}");
    (!server.is_mariadb()).then(|| Finding::new(Severity::Blocking, "server", text()).mend(INSTEAD))
}

/// The same as an error.
pub(super) fn written(server: &Server) -> Result<()> {
    refused(unwritten(server))
}

fn refused(findings: impl IntoIterator<Item = Finding>) -> Result<()> {
    findings.into_iter().next().map_or(Ok(()), |finding| {
        let error = Error::config(finding.text);
        Err(match finding.mend {
            Some(mend) => error.hint(mend),
            None => error,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use uuid::Uuid;

    fn server(version: &str) -> Server {
        let answer = [version, "", "7", "db1", "3306", "0", "/var/lib/mysql/"].map(str::to_owned);
        Server::read(&answer, Some(Uuid::from_u128(7).to_string())).expect("an answer")
    }

    #[test]
    fn mariadb_is_written_and_mysql_is_refused_by_name() {
        let mariadb = server("10.11.19-MariaDB-log");
        assert_eq!(unwritten(&mariadb), None);
        written(&mariadb).expect("written");
        let mysql = server("8.4.7");
        let error = written(&mysql).expect_err("not written yet");
        assert!(error.kind() == ErrorKind::Config && error.hint_text().is_some(), "{error:?}");
        assert!(unwritten(&mysql).is_some_and(|finding| finding.severity == Severity::Blocking));
    }
}
