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
    error::{ErrorKind, Result},
    model::{
        Batch, Body, Change, Checkpoint, Existing, JobId, Key, KeyRange, Kind, NO_ROW, Partition, Position, Rows,
        Severity, Table, Value, ValueRef,
    },
    source::{Columns, Source},
    target::{Applied, Claim, Clash, Finished, Part, Target},
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

fn claim(epoch: u64, tables: &[Arc<Table>]) -> Claim {
    Claim {
        job: JobId(Uuid::from_u128(1)),
        spec: "{}".into(),
        epoch,
        token: Uuid::from_u128(2),
        tables: tables.iter().map(|table| table.name.clone()).collect(),
        feeds: vec![(Partition::new(Partition::ONLY), 1, Position::new(b"0", 0))],
        existing: Existing::Refuse,
        transactional: false,
    }
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
        target.open(&claim(1, tables)).await.expect("opens");
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

fn upsert(table: &Arc<Table>, rows: &[&[Value]]) -> Rows {
    let mut batch = Rows::default();
    let shape = batch.shape(table);
    for row in rows {
        let place = batch.add_row(&row.iter().cloned().map(Some).collect::<Vec<_>>());
        batch.push(shape, Change::Upsert, place, NO_ROW);
    }
    batch
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// Tables of `shop` and what they become in `copy`.
async fn shapes(server: &Server, names: &[&str]) -> Vec<Arc<Table>> {
    let source = source(server);
    let mut shapes = Vec::new();
    for name in names {
        shapes.push(moved(&*table(&*source, name).await));
    }
    shapes
}

#[tokio::test]
async fn indexes_and_foreign_keys_are_made_as_at_the_source_once_rows_are_there() {
    let server = Server::mariadb(&[]);
    let parent = "CREATE TABLE parent (id INT PRIMARY KEY, code VARCHAR(300) NOT NULL, n INT, UNIQUE KEY code (code(5)), \
                  KEY by_n (n DESC), FULLTEXT KEY words (code)) COMMENT='it''s, a `comment`'";
    let child = "CREATE TABLE child (id INT PRIMARY KEY, parent INT, CONSTRAINT of_parent FOREIGN KEY (parent) \
                 REFERENCES parent (id) ON DELETE CASCADE)";
    server.sql(&format!(
        "{parent}; {child}; INSERT INTO parent VALUES (1, 'aaaaa1', 1); INSERT INTO child VALUES (1, 1)"
    ));
    let shapes = shapes(&server, &["child", "parent"]).await;
    let mut written = Written::open(&server, &shapes).await;
    let [child, parent] = &shapes[..] else { panic!("two tables") };
    written.apply(upsert(child, &[&[Value::Int(1), Value::Int(1)]])).await;
    // Both begin alike, which the unique index of five characters does not allow.
    let row = |id, code| vec![Value::Int(id), text(code), Value::Int(1)];
    written.apply(upsert(parent, &[&row(1, "aaaaa1"), &row(2, "aaaaa2")])).await;
    let taken = written.target.finish(parent).await.expect("an answer");
    let key = |id| Key::from_values([ValueRef::Int(id)]);
    assert_eq!(taken, Finished::Taken(vec![key(1), key(2)]));
    written.apply(upsert(parent, &[&row(2, "bbbbb")])).await;
    for table in [child, parent, child] {
        assert_eq!(written.target.finish(table).await.expect("finished"), Finished::Done);
    }
    let [there, here] = written.both("SHOW CREATE TABLE parent");
    assert_eq!(there, here);
    let [there, here] = written.both("SHOW CREATE TABLE child");
    assert_eq!(there, here);
    // And the index that stands says who holds what another wants.
    let clash = written.try_apply(upsert(parent, &[&row(3, "bbbbbx")])).await.expect("an answer");
    assert_eq!(clash, Applied::Taken(vec![Clash { mutation: 0, holder: key(2) }]));
}

#[tokio::test]
pub async fn children_may_come_before_their_parents() {
    let server = Server::mariadb(&[]);
    server.sql(
        "CREATE TABLE p (id INT PRIMARY KEY); INSERT INTO p VALUES (1); \
         CREATE TABLE c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE); \
         INSERT INTO c VALUES (1, 1)",
    );
    let source = source(&server);
    let shapes = shapes(&server, &["c", "p"]).await;
    let mut written = Written::open(&server, &shapes).await;
    for shape in &shapes {
        let from = table(&*source, &shape.name.name).await;
        written.copy(&*source, &from, shape).await;
    }
    assert!(server.sql("SHOW CREATE TABLE copy.c").contains("FOREIGN KEY"), "it is made, and does not act on us");
    written.apply(upsert(&shapes[0], &[&[Value::Int(2), Value::Int(9)]])).await;
    written.apply(upsert(&shapes[1], &[&[Value::Int(9)]])).await;
    assert_eq!(server.sql("SELECT id, p FROM copy.c ORDER BY id"), "1\t1\n2\t9\n");
}

#[tokio::test]
pub async fn what_the_server_would_write_by_itself_is_written_by_nobody_else() {
    let server = Server::mariadb(&["--explicit-defaults-for-timestamp=1"]);
    server.sql(
        "CREATE TABLE t (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, v INT, twice INT AS (v * 2) STORED, \
         seen TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6))",
    );
    let shapes = shapes(&server, &["t"]).await;
    let table = &shapes[0];
    let mut written = Written::open(&server, &shapes).await;
    // A key of 0 stays 0.
    written
        .apply(upsert(table, &[&[Value::Int(0), Value::Int(1), Value::Int(2), Value::Instant(1_000_000, 7_000)]]))
        .await;
    let look = || server.sql("SELECT id, v, twice, UNIX_TIMESTAMP(seen) FROM copy.t");
    assert_eq!(look(), "0\t1\t2\t1000000.000007\n");
    let mut patch = Rows::default();
    let shape = patch.shape(table);
    let place = patch.add_row(&[Some(Value::Int(0)), Some(Value::Int(5)), None, None]);
    patch.push(shape, Change::Patch, place, NO_ROW);
    written.apply(patch).await;
    assert_eq!(look(), "0\t5\t10\t1000000.000007\n");
    // An older shape, without the column.
    let mut older = Table::clone(table);
    older.columns.truncate(2);
    written.apply(upsert(&Arc::new(older), &[&[Value::Int(0), Value::Int(6)]])).await;
    assert_eq!(look(), "0\t6\t12\t1000000.000007\n");
}

#[tokio::test]
async fn a_locked_row_is_tried_again_and_a_row_that_does_not_fit_is_named_without_its_values() {
    let server = Server::mariadb(&["--innodb-lock-wait-timeout=1"]);
    server.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(5) CHARACTER SET latin1, CHECK (v <> 'no'))");
    let shapes = shapes(&server, &["t"]).await;
    let table = &shapes[0];
    let mut written = Written::open(&server, &shapes).await;
    let row = |id, v| vec![Value::Int(id), text(v)];
    written.apply(upsert(table, &[&row(1, "a")])).await;
    let mut session = server.session();
    session.sql("BEGIN; UPDATE copy.t SET v = 'held' WHERE id = 1");
    assert_eq!(written.try_apply(upsert(table, &[&row(2, "b"), &row(1, "c")])).await.unwrap(), Applied::Again);
    session.sql("ROLLBACK");
    written.apply(upsert(table, &[&row(2, "b"), &row(1, "c")])).await;
    for secret in ["secret", "中", "no"] {
        let error = written.try_apply(upsert(table, &[&row(3, "ok"), &row(7, secret)])).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
        let told = format!("{error:?}");
        assert!(told.contains("key (7)") && (secret == "no" || !told.contains(secret)), "{told}");
    }
    assert_eq!(server.sql("SELECT * FROM copy.t ORDER BY id"), "1\tc\n2\tb\n");
}

#[tokio::test]
async fn a_lock_on_who_holds_a_wanted_value_is_waited_for_again() {
    let server = Server::mariadb(&["--innodb-lock-wait-timeout=1"]);
    server.sql("CREATE TABLE t (id INT PRIMARY KEY, a INT UNIQUE, b INT UNIQUE)");
    let shapes = shapes(&server, &["t"]).await;
    let table = &shapes[0];
    let mut written = Written::open(&server, &shapes).await;
    let row = |id, a, b| [id, a, b].map(Value::Int);
    written.apply(upsert(table, &[&row(1, 1, 1), &row(2, 2, 2)])).await;
    assert_eq!(written.target.finish(table).await.expect("finished"), Finished::Done);
    // The insert meets row 1, which nobody has locked; who else is in the way is row 2.
    let mut session = server.session();
    session.sql("BEGIN; SELECT id FROM copy.t WHERE id = 2 FOR UPDATE");
    assert_eq!(written.try_apply(upsert(table, &[&row(3, 1, 2)])).await.expect("an answer"), Applied::Again);
    session.sql("ROLLBACK");
    let Applied::Taken(clashes) = written.try_apply(upsert(table, &[&row(3, 1, 2)])).await.expect("an answer") else {
        panic!("two rows hold what it wants")
    };
    let key = |id| Key::from_values([ValueRef::Int(id)]);
    assert_eq!(clashes.into_iter().map(|clash| clash.holder).collect::<Vec<_>>(), [key(1), key(2)]);
}

#[tokio::test]
async fn what_cannot_be_a_target_is_told_before_the_start() {
    let server = Server::mariadb(&["--innodb-flush-log-at-trx-commit=2"]);
    server.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, k VARCHAR(9) COLLATE utf8mb4_bin); CREATE DATABASE copy; \
         CREATE TABLE copy.t (id INT PRIMARY KEY, k VARCHAR(9), must INT NOT NULL) ENGINE=Aria; \
         CREATE TRIGGER copy.tr BEFORE INSERT ON copy.t FOR EACH ROW SET NEW.must = 1; \
         INSERT INTO copy.t VALUES (1, 'a', 1)",
    );
    let shapes = shapes(&server, &["t"]).await;
    let store = settings(&server, "writer");
    let store = StoreSettings { url: store.url.replace("/shop", "/copy"), ..store };
    let target = connectors::open(&store).unwrap().target().unwrap();
    let findings = target.check(&shapes, Existing::Refuse).await.expect("checked");
    let told = |severity| {
        let found = findings.iter().filter(move |finding| finding.severity == severity);
        found.map(|finding| format!("{}: {} -> {:?}", finding.subject, finding.text, finding.mend)).collect::<String>()
    };
    for expected in ["ENGINE=InnoDB", "DROP TRIGGER `copy`.`tr`", "`must` must not be NULL", "rows already"] {
        assert!(told(Severity::Blocking).contains(expected), "{expected}: {}", told(Severity::Blocking));
    }
    assert!(told(Severity::Warning).contains("SET GLOBAL innodb_flush_log_at_trx_commit = 1"));
    server.sql("SET GLOBAL read_only = 1");
    let findings = target.check(&shapes, Existing::Refuse).await.expect("checked");
    assert!(findings.iter().any(|finding| finding.subject == "read_only" && finding.severity == Severity::Blocking));
}

#[tokio::test]
async fn a_server_that_ends_in_the_midst_is_opened_again_and_says_where_it_stands() {
    let mut server = Server::mariadb(&[]);
    server.sql("CREATE TABLE t (id INT PRIMARY KEY, v TEXT)");
    let shapes = shapes(&server, &["t"]).await;
    let table = Arc::clone(&shapes[0]);
    let mut written = Written::open(&server, &shapes).await;
    let row = |id| vec![Value::Int(id), text("v")];
    written.apply(upsert(&table, &[&row(1)])).await;
    let target = Arc::clone(&written.target);
    server.kill();
    server.start();
    let batch = |number| Batch {
        partition: Partition::new(Partition::ONLY),
        from: Position::new(b"0", 0),
        to: Position::new(b"1", 0),
        complete: true,
        kind: Kind::Log,
        body: Body::Rows(Arc::new(upsert(&table, &[&row(number)]))),
        committed_ms: 0,
    };
    let error = target.apply(Part::whole(&batch(2), 2)).await.expect_err("the connection is gone");
    assert!(error.is_transient(), "{error:?}");
    let opened = target.open(&claim(2, &shapes)).await.expect("opens again");
    assert_eq!(opened.marks.iter().map(|mark| mark.batch).collect::<Vec<_>>(), [1]);
    assert_eq!(target.apply(Part::whole(&batch(2), 2)).await.expect("applied"), Applied::Done);
    assert_eq!(server.sql("SELECT id FROM copy.t ORDER BY id"), "1\n2\n");
}

#[test]
fn our_tables_are_as_they_were_on_the_first_day() {
    let kept = include_str!("../data/golden/mysql-target-v1.sql");
    let source = include_str!("../../src/connectors/mysql/watermark.rs");
    // The text in the code is broken over lines; words are what counts.
    let words = |text: &str| {
        let text = text.replace(['\\', '(', ')', ','], " ");
        text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    for (name, columns) in kept.lines().filter_map(|line| line.split_once(": ")) {
        let (code, columns) = (words(source).join(" "), words(columns).join(" "));
        assert!(code.contains(&columns), "{name} has changed: what is in users' servers can no longer be read");
    }
}
