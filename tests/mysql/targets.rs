//! The batteries of targets, and of pairs into servers.

use super::reading::settings;
use crate::support::mysql::{Kind, Server};
use whimbrel::{
    certify::{self, Report, Trait},
    connectors::{mysql::Databases, sqlite::Files},
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
pub async fn mariadb_is_a_target() {
    let server = Server::mariadb(&[]);
    expect(&certify::target(&databases("MariaDB", &server), &[]).await, 35, 1);
}

#[tokio::test]
async fn mysql_is_a_target() {
    let server = Server::of(Kind::Mysql, &[]);
    expect(&certify::target(&databases("9.7", &server), &[]).await, 35, 1);
}

/// Before MySQL 8.0.17 no collation of texts tells 'k' and 'k ' apart: a table that wants it in its key is refused. What
/// has such a table is not asked for here.
#[tokio::test]
async fn mysql_56_is_a_target() {
    let server = Server::of(Kind::Mysql56, &[]);
    let checks = certify::target_checks().into_iter();
    let asked: Vec<&str> =
        checks.filter(|name| !["prepare-creates", "composite-keys", "one-job-a-table"].contains(name)).collect();
    expect(&certify::target(&databases("5.6", &server), &asked).await, 32, 1);
    let refused = certify::target(&databases("5.6", &server), &["composite-keys"]).await;
    assert_eq!(refused.failed().count(), 1, "it can be asked for now:\n{refused}");
}

#[tokio::test]
async fn mariadb_pairs() {
    let (from, to) = (Server::mariadb(&[]), Server::mariadb(&["--server-id=2"]));
    expect(&certify::pair(&databases("the source", &from), &databases("the target", &to), &[]).await, 7, 1);
}

#[tokio::test]
async fn sqlite_and_mariadb_pair() {
    let server = Server::mariadb(&[]);
    let files = Files { name: "WAL", lacks: &[Trait::Keyless], wal: true, without_rowid: false, beside: None };
    expect(&certify::pair(&files, &databases("MariaDB", &server), &[]).await, 7, 1);
}

#[tokio::test]
async fn sqlite_and_mysql_pair() {
    let server = Server::of(Kind::Mysql, &[]);
    let files = Files { name: "WAL", lacks: &[Trait::Keyless], wal: true, without_rowid: false, beside: None };
    expect(&certify::pair(&files, &databases("9.7", &server), &[]).await, 7, 1);
}

#[tokio::test]
async fn mariadb_and_mysql_pair() {
    let (from, to) = (Server::mariadb(&[]), Server::of(Kind::Mysql, &["--server-id=2"]));
    expect(&certify::pair(&databases("the source", &from), &databases("9.7", &to), &[]).await, 7, 1);
}

#[tokio::test]
async fn mariadb_and_mysql_56_pair() {
    let (from, to) = (Server::mariadb(&[]), Server::of(Kind::Mysql56, &["--server-id=2"]));
    let asked = ["values-swapped", "values-evicted", "children", "column-added"];
    expect(&certify::pair(&databases("the source", &from), &databases("5.6", &to), &asked).await, 4, 0);
}

/// From MySQL, into each.
async fn goes(from: Kind, to: Kind) {
    let (from, to) = (Server::of(from, &[]), Server::of(to, &["--server-id=2"]));
    expect(&certify::pair(&databases("the source", &from), &databases("the target", &to), &[]).await, 7, 1);
}

#[tokio::test]
async fn mysql_pairs() {
    goes(Kind::Mysql, Kind::Mysql).await;
}

#[tokio::test]
async fn mysql_and_mariadb_pair() {
    goes(Kind::Mysql, Kind::Mariadb).await;
}

#[tokio::test]
async fn mysql_56_and_mysql_pair() {
    goes(Kind::Mysql56, Kind::Mysql).await;
}

#[tokio::test]
async fn mysql_56_and_mariadb_pair() {
    goes(Kind::Mysql56, Kind::Mariadb).await;
}
