//! Which servers are written, and which of them our tests run against.

use super::server::Server;
use crate::{
    error::{Error, Result},
    model::{Finding, Severity},
};

/// What stands in the way of writing into this server: before, no time had fractions.
pub(super) fn unwritten(server: &Server) -> Option<Finding> {
    let oldest = if server.is_mariadb() { (10, 0, 0) } else { (5, 6, 4) };
    let text = || format!("{server} is too old to be written");
    (server.version < oldest).then(|| {
        let mend = "write into a newer server: MySQL from 5.6 on, MariaDB from 10 on";
        Finding::new(Severity::Blocking, "server", text()).mend(mend)
    })
}

/// The same as an error.
pub(super) fn written(server: &Server) -> Result<()> {
    unwritten(server).map_or(Ok(()), |finding| {
        Err(Error::config(finding.text).hint(finding.mend.unwrap_or_else(|| "write into a newer server".to_owned())))
    })
}

/// That our tests were never run against a server like this one.
pub(super) fn untried(server: &Server) -> Option<Finding> {
    let tried: &[(u16, u16)] = if server.is_mariadb() { &[(10, 11)] } else { &[(5, 6), (9, 7)] };
    let (major, minor, _) = server.version;
    let text = || {
        format!(
            "this is {server}; our tests run against MariaDB 10.11, MySQL 9.7 and MySQL 5.6, so that surprises are \
             possible"
        )
    };
    (!tried.contains(&(major, minor))).then(|| {
        let mend = "try the job on a copy of the data first, and compare the tables: CHECKSUM TABLE";
        Finding::new(Severity::Info, "server", text()).mend(mend)
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
    fn what_was_never_tried_is_written_and_told() {
        for (version, is_tried) in [
            ("10.11.19-MariaDB-log", true),
            ("9.7.4", true),
            ("5.6.24-log", true),
            ("8.4.7", false),
            ("11.4.2-MariaDB", false),
        ] {
            let server = server(version);
            assert_eq!(unwritten(&server), None);
            written(&server).expect("written");
            let told = untried(&server);
            assert_eq!(told.is_none(), is_tried, "{told:?}");
            assert!(told.is_none_or(|told| told.severity == Severity::Info && told.mend.is_some()));
        }
        let error = written(&server("5.5.62")).expect_err("too old");
        assert!(error.kind() == ErrorKind::Config && error.hint_text().is_some(), "{error:?}");
    }
}
