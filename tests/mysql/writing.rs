//! Servers as targets: the batteries, and what only the server's own client can tell.

use super::reading::settings;
use crate::support::mysql::Server;
use whimbrel::{
    certify::{self, Report, Trait},
    connectors::mysql::Databases,
};

/// Every check that was not skipped has passed, and as many were as are expected here.
fn expect(report: &Report, passed: usize, skipped: usize) {
    assert!(report.failed().next().is_none(), "\n{report}");
    assert_eq!((report.passed(), report.skipped()), (passed, skipped), "\n{report}");
}

fn databases(name: &str, server: &Server) -> Databases {
    let lacks = vec![Trait::OpenChanges, Trait::Leftovers, Trait::Backups, Trait::Another];
    Databases { name: name.to_owned(), store: settings(server, "writer"), another: None, lacks }
}

#[tokio::test]
async fn mariadb_is_a_target() {
    let server = Server::mariadb(&[]);
    expect(&certify::target(&databases("MariaDB", &server), &[]).await, 35, 1);
}

#[tokio::test]
async fn mariadb_pairs() {
    let (from, to) = (Server::mariadb(&[]), Server::mariadb(&["--server-id=2"]));
    expect(&certify::pair(&databases("the source", &from), &databases("the target", &to), &[]).await, 7, 1);
}
