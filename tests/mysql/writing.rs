//! Servers as targets: the batteries, and what only the server's own client can tell.

use super::{
    reading::{drain, settings, source, table},
    types::MARIADB,
};
use crate::support::mysql::Server;
use std::sync::Arc;
use uuid::Uuid;
use whimbrel::{
    certify::{self, Report, Trait},
    connectors::{self, StoreSettings, mysql::Databases, sqlite::Files},
    error::Result,
    model::{Batch, Body, Checkpoint, Existing, JobId, KeyRange, Kind, Partition, Position, Rows, Table},
    source::{Columns, Source},
    target::{Applied, Claim, Finished, Part, Target},
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

#[tokio::test]
async fn sqlite_and_mariadb_pair() {
    let server = Server::mariadb(&[]);
    let files = Files { name: "WAL", lacks: &[Trait::Keyless], wal: true, without_rowid: false, beside: None };
    expect(&certify::pair(&files, &databases("MariaDB", &server), &[]).await, 7, 1);
}

/// A target in the database `copy` of a test's server, driven as a pipeline would.
struct Written<'s> {
    server: &'s Server,
    target: Arc<dyn Target>,
    number: u64,
}

impl<'s> Written<'s> {
    async fn open(server: &'s Server, tables: &[Arc<Table>]) -> Written<'s> {
        server.sql("CREATE DATABASE IF NOT EXISTS copy");
        let store = settings(server, "writer");
        let store = StoreSettings { url: store.url.replace("/shop", "/copy"), ..store };
        let target = connectors::open(&store).expect("good settings").target().expect("a target");
        let claim = Claim {
            job: JobId(Uuid::from_u128(1)),
            spec: "{}".into(),
            epoch: 1,
            token: Uuid::from_u128(2),
            tables: tables.iter().map(|table| table.name.clone()).collect(),
            feeds: vec![(Partition::new(Partition::ONLY), 1, Position::new(b"0", 0))],
            existing: Existing::Refuse,
            transactional: false,
        };
        target.open(&claim).await.expect("opens");
        for table in tables {
            target.prepare(table, 1).await.expect("prepared");
        }
        Written { server, target, number: 0 }
    }

    async fn try_apply(&mut self, rows: Rows) -> Result<Applied> {
        let batch = Batch {
            partition: Partition::new(Partition::ONLY),
            from: Position::new(b"0", 0),
            to: Position::new(b"1", 0),
            complete: true,
            kind: Kind::Log,
            body: Body::Rows(Arc::new(rows)),
            committed_ms: 0,
        };
        let applied = self.target.apply(Part::whole(&batch, self.number + 1)).await;
        self.number += u64::from(matches!(applied, Ok(Applied::Done)));
        applied
    }

    async fn apply(&mut self, rows: Rows) {
        assert_eq!(self.try_apply(rows).await.expect("applied"), Applied::Done);
    }

    /// Copies a table of `shop` as it is read, and finishes it.
    async fn copy(&mut self, source: &dyn Source, from: &Arc<Table>, to: &Arc<Table>) {
        let mut feed = source.copy(from, &KeyRange::all(), Columns::All, &Checkpoint::default()).await.expect("opens");
        for batch in drain(&mut *feed).await.expect("readable") {
            let mut rows = Rows::clone(batch.rows());
            rows.shapes.iter_mut().for_each(|shape| *shape = Arc::clone(to));
            self.apply(rows).await;
        }
        assert_eq!(self.target.finish(to).await.expect("finished"), Finished::Done, "{}", to.name);
    }

    /// What the server's client says of a query, in `shop` and in `copy`.
    fn both(&self, query: &str) -> [String; 2] {
        ["shop", "copy"].map(|database| self.server.sql(&format!("USE {database}; SET time_zone = '+00:00'; {query}")))
    }
}

/// The same table in the database `copy`; keys point there too.
fn moved(table: &Table) -> Arc<Table> {
    let mut table = table.clone();
    table.name.schema = "copy".into();
    table.foreign_keys.iter_mut().for_each(|key| key.parent.schema = "copy".into());
    Arc::new(table)
}

#[tokio::test]
async fn every_type_is_written_as_it_was() {
    let server = Server::mariadb(&["--sql-mode=", "--default-time-zone=-05:00"]);
    let mut sql = String::from("SET time_zone = '+00:00';\n");
    for (number, (declared, _, values)) in MARIADB.iter().enumerate() {
        sql += &format!("CREATE TABLE k{number} (id INT PRIMARY KEY, v {declared} DEFAULT NULL);\n");
        for (id, value) in values.iter().chain(&["NULL"]).enumerate() {
            sql += &format!("INSERT INTO k{number} VALUES ({id}, {value});\n");
        }
    }
    server.sql(&sql);
    let source = source(&server);
    let mut shapes = Vec::new();
    for number in 0..MARIADB.len() {
        shapes.push(table(&*source, &format!("k{number}")).await);
    }
    let copies: Vec<Arc<Table>> = shapes.iter().map(|shape| moved(shape)).collect();
    let mut written = Written::open(&server, &copies).await;
    for (number, (declared, ask, _)) in MARIADB.iter().enumerate() {
        // Twice: as new rows, and over those that are there.
        for _ in 0..2 {
            written.copy(&*source, &shapes[number], &copies[number]).await;
            let query = format!("SELECT id, COALESCE({ask}, 'NULL') FROM k{number} ORDER BY id");
            let [there, here] = written.both(&query);
            assert_eq!(there, here, "{declared}");
            let [there, here] = written.both(&format!("CHECKSUM TABLE k{number}"));
            assert_eq!(there.split('\t').nth(1), here.split('\t').nth(1), "{declared}");
        }
        let [there, here] = written.both(&format!("SHOW CREATE TABLE k{number}"));
        assert_eq!(there, here);
    }
}
