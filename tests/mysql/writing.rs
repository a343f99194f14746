//! What is written, as only the server's own client can tell.

use super::{
    reading::{settings, source, table},
    types::MARIADB,
    written::{Written, claim, moved, shapes, text, upsert},
};
use crate::support::mysql::{Kind as Which, Server};
use std::sync::Arc;
use whimbrel::{
    connectors::{self, StoreSettings},
    error::ErrorKind,
    model::{
        Batch, Body, Change, Existing, Key, Kind, NO_ROW, Partition, Position, Rows, Severity, Table, Value, ValueRef,
    },
    target::{Applied, Clash, Finished, Noted, Part},
};

/// A type, how the client is asked for its values, and values as SQL.
pub type Case = (String, String, Vec<&'static str>);

/// Every type that this server has.
pub fn cases(kind: Which) -> Vec<Case> {
    let own: &[(&str, &str, &[&str])] = match kind {
        Which::Mariadb => &[],
        Which::Mysql => &[
            (
                "json",
                "CAST(v AS CHAR)",
                &["'{\"b\": [1, 2.5, null, true], \"a\": \"é😀\"}'", "'1.7976931348623157e308'"],
            ),
            ("vector(3)", "HEX(v)", &["TO_VECTOR('[1,-2.5,3e10]')"]),
            ("point SRID 4326", "CONCAT(HEX(v), ST_AsText(v))", &["ST_GeomFromText('POINT(10 20)', 4326)"]),
            (
                "geometry",
                "CONCAT(HEX(v), ST_AsText(v))",
                &["ST_GeomFromText('POINT(-10 20)', 4326, 'axis-order=long-lat')"],
            ),
            ("varchar(9) COLLATE utf8mb4_0900_as_cs", "HEX(v)", &["'a '", "'é'"]),
        ],
        Which::Mysql56 => &[],
    };
    let has = |declared: &str| match kind {
        Which::Mariadb => true,
        _ => !["COMPRESSED", "uuid", "inet6", "inet4", "json"].iter().any(|word| declared.contains(word)),
    };
    let common = MARIADB.iter().filter(|(declared, ..)| has(declared));
    let case = |(declared, ask, values): &(&'static str, &'static str, &'static [&'static str])| {
        let declared = match kind {
            Which::Mysql56 => declared.replace("utf8mb3", "utf8"),
            _ => (*declared).to_owned(),
        };
        (declared, ask.replace("CAST(v AS DOUBLE)", "v + 0e0"), values.to_vec())
    };
    common.chain(own).map(case).collect()
}

#[tokio::test]
async fn every_type_is_written_as_it_was() {
    writes_every_type(Which::Mariadb).await;
}

#[tokio::test]
async fn every_type_is_written_as_it_was_in_mysql() {
    writes_every_type(Which::Mysql).await;
}

#[tokio::test]
async fn every_type_is_written_as_it_was_in_mysql_56() {
    writes_every_type(Which::Mysql56).await;
}

async fn writes_every_type(kind: Which) {
    // Nothing here is about what is on a disk.
    let quick = ["--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0"];
    let server = Server::of(kind, &[&["--sql-mode=", "--default-time-zone=-05:00"], &quick[..]].concat());
    let cases = cases(kind);
    let mut sql = String::from("SET time_zone = '+00:00';\n");
    for (number, (declared, _, values)) in cases.iter().enumerate() {
        sql += &format!("CREATE TABLE k{number} (id INT PRIMARY KEY, v {declared} DEFAULT NULL);\n");
        for (id, value) in values.iter().chain(&["NULL"]).enumerate() {
            sql += &format!("INSERT INTO k{number} VALUES ({id}, {value});\n");
        }
    }
    server.sql(&sql);
    let source = source(&server);
    let mut shapes = Vec::new();
    for number in 0..cases.len() {
        shapes.push(table(&*source, &format!("k{number}")).await);
    }
    let copies: Vec<Arc<Table>> = shapes.iter().map(|shape| moved(shape)).collect();
    let mut written = Written::open(&server, &copies).await;
    for (number, (declared, ask, _)) in cases.iter().enumerate() {
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

#[tokio::test]
async fn indexes_and_foreign_keys_are_made_as_at_the_source_once_rows_are_there() {
    for kind in [Which::Mariadb, Which::Mysql, Which::Mysql56] {
        makes_indexes(kind).await;
    }
}

async fn makes_indexes(kind: Which) {
    let server = Server::of(kind, &[]);
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
    for kind in [Which::Mariadb, Which::Mysql] {
        writes_nothing_else(kind).await;
    }
}

async fn writes_nothing_else(kind: Which) {
    let server = Server::of(kind, &["--explicit-defaults-for-timestamp=1"]);
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
    for kind in [Which::Mariadb, Which::Mysql] {
        tries_again_and_names(kind).await;
    }
}

async fn tries_again_and_names(kind: Which) {
    let server = Server::of(kind, &["--innodb-lock-wait-timeout=1"]);
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
    for kind in [Which::Mariadb, Which::Mysql, Which::Mysql56] {
        waits_for_who_holds(kind).await;
    }
}

async fn waits_for_who_holds(kind: Which) {
    let server = Server::of(kind, &["--innodb-lock-wait-timeout=1"]);
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
    for kind in [Which::Mariadb, Which::Mysql, Which::Mysql56] {
        opens_again(kind).await;
    }
}

async fn opens_again(kind: Which) {
    let mut server = Server::of(kind, &[]);
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

#[tokio::test]
async fn a_column_taken_away_by_hand_is_missed_until_its_rows_are_copied_again() {
    for kind in [Which::Mariadb, Which::Mysql] {
        let server = Server::of(kind, &[]);
        server.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20), w INT)");
        let shapes = shapes(&server, &["t"]).await;
        let table = Arc::clone(&shapes[0]);
        let row = |id| vec![Value::Int(id), text("v"), Value::Int(7)];
        let mut written = Written::open(&server, &shapes).await;
        written.apply(upsert(&table, &[&row(1)])).await;
        server.sql("ALTER TABLE copy.t DROP COLUMN w");
        // Also by a daemon that did not see it go.
        written.target.open(&claim(2, &shapes)).await.expect("opens");
        let error = written.try_apply(upsert(&table, &[&row(2)])).await.expect_err("its values would be lost");
        assert!(error.kind() == ErrorKind::Config && error.to_string().contains("column `w`"), "{error:?}");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("existing: replace")), "{error:?}");
        let error = written.target.prepare(&table, 1).await.expect_err("old rows have no value");
        assert!(error.to_string().contains("column `w`"), "{error:?}");
        assert_eq!(server.sql("SELECT id FROM copy.t"), "1\n");
        // The plan does not offer to add it empty.
        let findings = written.target.check(&shapes, Existing::Replace).await.expect("checked");
        let about = |text: &str| findings.iter().filter(|finding| finding.text.contains(text)).count();
        assert_eq!((about("which was there"), about("will be added")), (1, 0), "{findings:?}");
        // One that the source had before the table was prepared was never here.
        let mut before = Table::clone(&table);
        before.columns.push(whimbrel::model::Column::new("x", whimbrel::model::Type::Int));
        server.sql("ALTER TABLE copy.t ADD w INT");
        let before = Arc::new(before);
        let older = [row(3), vec![Value::Int(1)]].concat();
        written.apply(upsert(&before, &[&older])).await;
        assert_eq!(server.sql("SELECT * FROM copy.t WHERE id = 3"), "3\tv\t7\n");
        // A copy brings them all.
        server.sql("ALTER TABLE copy.t DROP COLUMN w");
        written.target.prepare(&table, 2).await.expect("prepared");
        written.apply(upsert(&table, &[&row(1), &row(3)])).await;
        assert_eq!(server.sql("SELECT w FROM copy.t"), "7\n7\n");
    }
}

#[tokio::test]
async fn what_the_first_version_noted_is_taken_over() {
    let server = Server::mariadb(&[]);
    server.sql("CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1)");
    let shapes = shapes(&server, &["t"]).await;
    server.sql("CREATE DATABASE copy; CREATE TABLE copy.t (id INT PRIMARY KEY)");
    for line in include_str!("../data/golden/mysql-target-v1.sql").lines() {
        if let Some((name, columns)) = line.split_once(": ") {
            server.sql(&format!("CREATE TABLE copy.{name} ({columns})"));
        }
    }
    let noted =
        r#"{"claimed":["copy.t"],"prepared":{"copy.t":{"finished":true,"generation":7,"stood":true,"indexes":{}}}}"#;
    let job = claim(1, &shapes).job;
    server.sql(&format!(
        "INSERT INTO copy.whimbrel_job VALUES ('{job}', '{{}}', '{noted}', 1, '{}', 1)",
        claim(1, &shapes).token
    ));
    let store = settings(&server, "writer");
    let store = StoreSettings { url: store.url.replace("/shop", "/copy"), ..store };
    let target = connectors::open(&store).expect("good settings").target().expect("a target");
    let known = [(shapes[0].name.clone(), Noted { generation: 7, finished: true })];
    assert_eq!(target.jobs().await.expect("readable")[0].opened.tables, known, "also before it is taken over");
    for epoch in [2, 3] {
        assert_eq!(target.open(&claim(epoch, &shapes)).await.expect("opens").tables, known);
    }
    assert_eq!(server.sql("SELECT version, `tables` FROM copy.whimbrel_job"), "2\t{\"claimed\":[\"copy.t\"]}\n");
    target.forget(job).await.expect("forgotten");
    assert_eq!(server.sql("SHOW TABLES IN copy"), "t\n");
}

#[tokio::test]
async fn a_row_above_the_packet_is_refused_and_a_server_that_turned_read_only_is_told() {
    let server = Server::of(Which::Mysql, &["--max-allowed-packet=1M"]);
    server.sql("CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT)");
    let shapes = shapes(&server, &["t"]).await;
    let table = &shapes[0];
    let mut written = Written::open(&server, &shapes).await;
    let row = |id, length| vec![Value::Int(id), text(&"x".repeat(length))];
    let error = written.try_apply(upsert(table, &[&row(1, 9), &row(7, 2 << 20)])).await.expect_err("too large");
    assert!(error.kind() == ErrorKind::Refused && error.to_string().contains("key (7)"), "{error:?}");
    assert!(error.hint_text().is_some_and(|hint| hint.contains("max_allowed_packet")), "{error:?}");
    // Several texts, each below it.
    written.apply(upsert(table, &[&row(1, 700_000), &row(2, 700_000), &row(3, 700_000)])).await;
    server.sql("SET GLOBAL super_read_only = ON");
    let error = written.try_apply(upsert(table, &[&row(4, 9)])).await.expect_err("it takes no writes");
    assert!(
        error.kind() == ErrorKind::Config && error.hint_text().is_some_and(|hint| hint.contains("read-only")),
        "{error:?}"
    );
    let findings = written.target.check(&shapes, Existing::Refuse).await.expect("checked");
    for name in ["read_only", "super_read_only"] {
        let told = findings.iter().find(|finding| finding.subject == name).expect("told");
        assert_eq!(told.severity, Severity::Blocking);
        let statement = told.mend.as_deref().and_then(|mend| mend.split_once(", or ")).expect("told").1;
        server.sql(statement);
    }
    written.apply(upsert(table, &[&row(4, 9)])).await;
    assert_eq!(server.sql("SELECT COUNT(*) FROM copy.t"), "4\n");
}

#[test]
fn our_tables_are_as_they_were_on_the_first_day() {
    let kept = [include_str!("../data/golden/mysql-target-v1.sql"), include_str!("../data/golden/mysql-target-v2.sql")];
    let source = include_str!("../../src/connectors/mysql/watermark.rs");
    // The text in the code is broken over lines; words are what counts.
    let words = |text: &str| {
        let text = text.replace(['\\', '(', ')', ','], " ");
        text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    for (name, columns) in kept.iter().flat_map(|kept| kept.lines()).filter_map(|line| line.split_once(": ")) {
        let (code, columns) = (words(source).join(" "), words(columns).join(" "));
        assert!(code.contains(&columns), "{name} has changed: what is in users' servers can no longer be read");
    }
}
