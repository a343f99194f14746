//! The battery on real servers.

use super::reading::settings;
use crate::support::mysql::{Kind, Server};
use async_trait::async_trait;
use std::sync::{Arc, Mutex};
#[cfg(feature = "sqlite")]
use whimbrel::connectors::sqlite::Files;
use whimbrel::{
    certify::{self, Fixture, Report, Scratch, Trait, Write},
    connectors::mysql::Databases,
    error::Result,
    model::{Column, Table, TableName, Value},
    source::Source,
    target::Target,
};

/// Every check that was not skipped has passed, and as many were as are expected here.
fn expect(report: &Report, passed: usize, skipped: usize) {
    assert!(report.failed().next().is_none(), "\n{report}");
    assert_eq!((report.passed(), report.skipped()), (passed, skipped), "\n{report}");
}

/// Scratch databases on a server that can be put back.
struct Own {
    databases: Databases,
    server: Arc<Mutex<Server>>,
}

impl Own {
    fn new(server: Server, another: &Server) -> Own {
        let databases = Databases {
            name: format!("{:?}", server.kind),
            store: settings(&server, "writer"),
            another: Some(settings(another, "writer")),
            // A source leaves nothing in its server.
            lacks: vec![Trait::Leftovers],
        };
        Own { databases, server: Arc::new(Mutex::new(server)) }
    }
}

#[async_trait]
impl Fixture for Own {
    fn name(&self) -> String {
        self.databases.name()
    }

    fn lacks(&self) -> &[Trait] {
        self.databases.lacks()
    }

    async fn scratch(&self) -> Result<Box<dyn Scratch>> {
        Ok(Box::new(OfOwn { scratch: self.databases.scratch().await?, server: Arc::clone(&self.server) }))
    }
}

struct OfOwn {
    scratch: Box<dyn Scratch>,
    server: Arc<Mutex<Server>>,
}

#[async_trait]
impl Scratch for OfOwn {
    fn source(&self) -> Result<Arc<dyn Source>> {
        self.scratch.source()
    }

    fn target(&self) -> Result<Arc<dyn Target>> {
        self.scratch.target()
    }

    fn schema(&self) -> String {
        self.scratch.schema()
    }

    async fn create(&self, table: &Table) -> Result<()> {
        self.scratch.create(table).await
    }

    async fn write(&self, transaction: &[Write]) -> Result<()> {
        self.scratch.write(transaction).await
    }

    async fn rows(&self, table: &TableName) -> Result<Option<Vec<Vec<Value>>>> {
        self.scratch.rows(table).await
    }

    fn kinds(&self) -> Vec<(Column, Vec<Value>)> {
        self.scratch.kinds()
    }

    async fn another(&self) -> Result<Box<dyn Scratch>> {
        self.scratch.another().await
    }

    async fn back_up(&self) -> Result<()> {
        self.server.lock().expect("no panic").back_up();
        Ok(())
    }

    async fn restore(&self) -> Result<()> {
        self.server.lock().expect("no panic").restore();
        Ok(())
    }
}

#[tokio::test]
async fn mariadb_is_a_source() {
    let another = Server::mariadb(&["--server-id=2", "--gtid-domain-id=7"]);
    expect(&certify::source(&Own::new(Server::mariadb(&[]), &another), &[]).await, 41, 1);
}

#[tokio::test]
async fn mysql_is_a_source() {
    let another = Server::of(Kind::Mysql, &["--server-id=2"]);
    expect(&certify::source(&Own::new(Server::of(Kind::Mysql, &[]), &another), &[]).await, 41, 1);
}

#[tokio::test]
async fn mysql_56_is_a_source() {
    let another = Server::of(Kind::Mysql56, &["--server-id=2"]);
    expect(&certify::source(&Own::new(Server::of(Kind::Mysql56, &[]), &another), &[]).await, 41, 1);
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn mariadb_goes_to_sqlite() {
    let server = Server::mariadb(&[]);
    let another = Server::mariadb(&["--server-id=2"]);
    let files = Files { name: "WAL", lacks: &[], wal: true, without_rowid: false, beside: None };
    expect(&certify::pair(&Own::new(server, &another), &files, &[]).await, 8, 0);
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn mysqls_go_to_sqlite() {
    for kind in [Kind::Mysql, Kind::Mysql56] {
        let (server, another) = (Server::of(kind, &[]), Server::of(kind, &["--server-id=2"]));
        let files = Files { name: "WAL", lacks: &[], wal: true, without_rowid: false, beside: None };
        expect(&certify::pair(&Own::new(server, &another), &files, &[]).await, 8, 0);
    }
}
