//! The battery on real servers.

use super::reading::settings;
use crate::support::mysql::Server;
#[cfg(feature = "sqlite")]
use whimbrel::connectors::sqlite::Files;
use whimbrel::{
    certify::{self, Fixture, Report, Trait},
    connectors::mysql::Databases,
};

/// Every check that was not skipped has passed, and as many were as are expected here.
fn expect(report: &Report, passed: usize, skipped: usize) {
    assert!(report.failed().next().is_none(), "\n{report}");
    assert_eq!((report.passed(), report.skipped()), (passed, skipped), "\n{report}");
}

fn databases(name: &str, server: &Server, another: &Server) -> impl Fixture {
    Databases {
        name: name.to_owned(),
        store: settings(server, "writer"),
        another: Some(settings(another, "writer")),
        lacks: vec![Trait::Leftovers, Trait::Backups],
    }
}

#[tokio::test]
async fn mariadb_is_a_source() {
    let server = Server::mariadb(&[]);
    let another = Server::mariadb(&["--server-id=2", "--gtid-domain-id=7"]);
    expect(&certify::source(&databases("MariaDB", &server, &another), &[]).await, 40, 2);
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn mariadb_goes_to_sqlite() {
    let server = Server::mariadb(&[]);
    let files = Files { name: "WAL", lacks: &[], wal: true, without_rowid: false, beside: None };
    expect(&certify::pair(&databases("MariaDB", &server, &server), &files, &[]).await, 8, 0);
}
