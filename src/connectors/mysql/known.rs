//! Which servers are followed and written today: those that the tests run against. Others are refused by name.

use super::{position::Reach, server::Server};
use crate::{
    error::{Error, Result},
    model::{Finding, Severity},
};

const INSTEAD: &str = "give the URL of a MariaDB server, or of a SQLite file";

/// What stands in the way of following the log of this server. `gtids`: transactions have numbers there.
pub(super) fn unfollowed(server: &Server, gtids: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !server.is_mariadb() {
        let text = format!("MySQL's log is not followed yet; MariaDB's is. This is {server}");
        findings.push(Finding::new(Severity::Blocking, "server", text).mend(INSTEAD));
    }
    if !gtids {
        // A file and an offset are in the format of positions; the stream does not count them.
        let text = "GTIDs are off: places in files of the log are not followed yet, numbers of transactions are";
        let mend =
            "SET GLOBAL enforce_gtid_consistency = ON; then gtid_mode = OFF_PERMISSIVE, ON_PERMISSIVE and ON in turn";
        findings.push(Finding::new(Severity::Blocking, "gtid_mode", text).mend(mend));
    }
    findings
}

/// The same as an error: `reach` is where the job stands, or is about to begin.
pub(super) fn followed(server: &Server, reach: &Reach) -> Result<()> {
    refused(unfollowed(server, !matches!(reach, Reach::File(_))))
}

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
    refused(unwritten(server))
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
    use super::{super::position::File, *};
    use crate::error::ErrorKind;
    use uuid::Uuid;

    fn server(version: &str) -> Server {
        let answer = [version, "", "7", "db1", "3306", "0", "/var/lib/mysql/"].map(str::to_owned);
        Server::read(&answer, Some(Uuid::from_u128(7).to_string())).expect("an answer")
    }

    fn numbers() -> Reach {
        Reach::Maria("0-1-5".parse().expect("a number"))
    }

    fn file() -> Reach {
        Reach::File(File { server: Uuid::from_u128(7), name: "binlog.000001".into(), byte: 4 })
    }

    #[test]
    fn mariadb_is_followed_and_written() {
        let mariadb = server("10.11.19-MariaDB-log");
        assert_eq!(unfollowed(&mariadb, true), []);
        assert_eq!(unwritten(&mariadb), None);
        followed(&mariadb, &numbers()).expect("followed");
        written(&mariadb).expect("written");
    }

    #[test]
    fn mysql_is_followed_by_nobody_yet() {
        let mysql = server("8.4.7");
        let findings = unfollowed(&mysql, true);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].severity == Severity::Blocking && findings[0].mend.is_some(), "{findings:?}");
        assert!(findings[0].text.starts_with("MySQL's log is not followed yet; MariaDB's is."), "{findings:?}");
        assert!(findings[0].text.contains("MySQL 8.4.7"), "{findings:?}");
        let followed = followed(&mysql, &Reach::Mysql(Default::default())).expect_err("not followed yet");
        assert!(followed.kind() == ErrorKind::Config && followed.hint_text().is_some(), "{followed:?}");
    }

    #[test]
    fn what_was_never_tried_is_written_and_told() {
        for (version, is_tried) in [("9.7.4", true), ("5.6.24-log", true), ("8.4.7", false), ("11.4.2-MariaDB", false)]
        {
            let server = server(version);
            written(&server).expect("written");
            let told = untried(&server);
            assert_eq!(told.is_none(), is_tried, "{told:?}");
            assert!(told.is_none_or(|told| told.severity == Severity::Info && told.mend.is_some()));
        }
        assert_eq!(written(&server("5.5.62")).expect_err("too old").kind(), ErrorKind::Config);
    }

    #[test]
    fn places_in_files_are_refused_on_either() {
        for version in ["10.11.19-MariaDB-log", "8.4.7"] {
            let findings = unfollowed(&server(version), false);
            let about = findings.iter().find(|finding| finding.subject == "gtid_mode").expect("told");
            assert_eq!(about.severity, Severity::Blocking);
            assert_eq!(followed(&server(version), &file()).expect_err("refused").kind(), ErrorKind::Config);
        }
    }
}
