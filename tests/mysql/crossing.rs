//! Tables of one family in a server of the other, and of a new server in an old one.

use super::{
    reading::{settings, source, table},
    types::MARIADB,
    writing::cases,
    written::{Written, moved, text, upsert},
};
use crate::support::mysql::{Kind, Server};
use std::sync::Arc;
use whimbrel::{
    connectors::{self, StoreSettings},
    error::ErrorKind,
    model::{Change, Existing, Finding, NO_ROW, Rows, Severity, Table, Value},
    target::{Applied, Finished},
};

/// How both clients are asked for what both servers have, but MySQL 9.7 shows otherwise.
fn asked(ask: &str) -> String {
    ask.replace("CONCAT(HEX(v), ST_AsText(v))", "HEX(v)").replace("CAST(v AS DOUBLE)", "v + 0e0")
}

#[tokio::test]
async fn every_type_of_mariadb_goes_to_mysql() {
    for kind in [Kind::Mysql, Kind::Mysql56] {
        let cases =
            MARIADB.iter().map(|(declared, ask, values)| ((*declared).to_owned(), (*ask).to_owned(), values.to_vec()));
        // Another longest time, which is looked at below.
        goes(Kind::Mariadb, kind, cases.filter(|(declared, ..)| declared != "time(6)").collect()).await;
    }
}

#[tokio::test]
async fn every_type_of_mysql_goes_to_mariadb_and_to_an_older_one() {
    for kind in [Kind::Mariadb, Kind::Mysql56] {
        let cases = cases(Kind::Mysql).into_iter().filter(|(declared, ..)| declared != "vector(3)");
        goes(Kind::Mysql, kind, cases.collect()).await;
    }
}

#[tokio::test]
async fn every_type_of_old_mysql_goes_to_new_ones() {
    for kind in [Kind::Mariadb, Kind::Mysql] {
        goes(Kind::Mysql56, kind, cases(Kind::Mysql56)).await;
    }
}

async fn goes(from: Kind, to: Kind, cases: Vec<(String, String, Vec<&'static str>)>) {
    // Nothing here is about what is on a disk.
    let flags = |zone| ["--sql-mode=", zone, "--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0"];
    let (from, to) =
        (Server::of(from, &flags("--default-time-zone=-05:00")), Server::of(to, &flags("--default-time-zone=+02:00")));
    let mut sql = String::from("SET time_zone = '+00:00';\n");
    for (number, (declared, _, values)) in cases.iter().enumerate() {
        sql += &format!("CREATE TABLE k{number} (id INT PRIMARY KEY, v {declared} DEFAULT NULL);\n");
        for (id, value) in values.iter().chain(&["NULL"]).enumerate() {
            sql += &format!("INSERT INTO k{number} VALUES ({id}, {value});\n");
        }
    }
    from.sql(&sql);
    let source = source(&from);
    let (tables, _) = source.tables().await.expect("readable");
    let shape = |number: usize| tables.iter().find(|table| table.name.name == format!("k{number}")).expect("there");
    let copies: Vec<Arc<Table>> = (0..cases.len()).map(|number| moved(shape(number))).collect();
    let mut written = Written::open(&to, &copies).await;
    for (number, (declared, ask, _)) in cases.iter().enumerate() {
        written.copy(&*source, shape(number), &copies[number]).await;
        let query = format!("SELECT id, COALESCE({}, 'NULL') FROM k{number} ORDER BY id", asked(ask));
        let told =
            |server: &Server, database| server.sql(&format!("USE {database}; SET time_zone = '+00:00'; {query}"));
        assert_eq!(told(&from, "shop"), told(&to, "copy"), "{declared}");
    }
}

fn about<'f>(findings: &'f [Finding], words: &str) -> &'f Finding {
    findings.iter().find(|finding| finding.text.contains(words)).unwrap_or_else(|| panic!("{words}: {findings:#?}"))
}

/// The table `t` of one server, made by a job in another; what the check said before, and `SHOW CREATE TABLE` after.
async fn made(from: &Server, to: &Server) -> (Vec<Finding>, String) {
    let shape = moved(&*table(&*source(from), "t").await);
    let store = settings(to, "writer");
    let store = StoreSettings { url: store.url.replace("/shop", "/copy"), ..store };
    to.sql("CREATE DATABASE IF NOT EXISTS copy");
    let target = connectors::open(&store).expect("good settings").target().expect("a target");
    let findings = target.check(&[Arc::clone(&shape)], Existing::Refuse).await.expect("checked");
    assert!(findings.iter().all(|finding| finding.severity != Severity::Blocking), "{findings:#?}");
    let written = Written::open(to, &[Arc::clone(&shape)]).await;
    assert_eq!(written.target.finish(&shape).await.expect("finished"), Finished::Done);
    // Nothing is made twice, and nothing that we made is in our way.
    written.target.prepare(&shape, 1).await.expect("prepared again");
    assert_eq!(written.target.finish(&shape).await.expect("finished again"), Finished::Done);
    let findings_again = written.target.check(&[shape], Existing::Refuse).await.expect("checked");
    let ours = |finding: &Finding| finding.text.contains("writes it already");
    let stands = |finding: &&Finding| finding.severity == Severity::Blocking && !ours(finding);
    assert_eq!(findings_again.iter().find(stands), None);
    (findings, to.sql("SHOW CREATE TABLE copy.t").replace("\\n", "\n"))
}

#[tokio::test]
async fn a_table_of_mariadb_in_mysqls_words() {
    let (from, to) = (Server::mariadb(&[]), Server::of(Kind::Mysql, &[]));
    from.sql(
        "CREATE TABLE t (id UUID PRIMARY KEY DEFAULT uuid(), name VARCHAR(50) COLLATE utf8mb4_uca1400_ai_ci NOT NULL \
         DEFAULT 'it''s' COMMENT 'a `name`', other VARCHAR(9) COLLATE utf8mb4_uca1400_as_cs, note TEXT DEFAULT 'n', \
         hidden INT INVISIBLE DEFAULT 7, n INT AUTO_INCREMENT, m INT, twice INT AS (m * 2) STORED, third DOUBLE AS (m / 3) VIRTUAL, \
         doc JSON, at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), ip INET6, \
         CHECK (m > -5), KEY u (name(5)), KEY n (n), KEY d (at DESC), KEY gone (other) IGNORED) \
         ENGINE=Aria COMMENT='x' PARTITION BY KEY (id) PARTITIONS 2",
    );
    let (findings, shown) = made(&from, &to).await;
    for words in [
        "`id` char(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT (uuid())",
        "`name` varchar(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci NOT NULL",
        "DEFAULT 'it''s' COMMENT 'a `name`'",
        "`other` varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_as_cs",
        "`note` text",
        "DEFAULT (_utf8mb4'n')",
        "`hidden` int DEFAULT '7' /*!80023 INVISIBLE */",
        "`n` int NOT NULL AUTO_INCREMENT",
        "`twice` int GENERATED ALWAYS AS ((`m` * 2)) STORED",
        "`third` double DEFAULT NULL",
        "`ip` varchar(45)",
        "ON UPDATE CURRENT_TIMESTAMP(3)",
        "KEY `u` (`name`(5))",
        "KEY `d` (`at` DESC)",
        "KEY `gone` (`other`) /*!80000 INVISIBLE */",
        "ENGINE=InnoDB",
        "COMMENT='x'",
    ] {
        assert!(shown.contains(words), "{words} is not in\n{shown}");
    }
    assert!(shown.contains("CHECK ((`m` >") && !shown.contains("gone_2"), "{shown}");
    assert!(!shown.contains("PARTITION"), "{shown}");
    about(&findings, "column `third` is computed at the source");
    about(&findings, "its partitions are not made here");
    about(&findings, "its engine is Aria");
    about(&findings, "compared by the nearest rules");
}

#[tokio::test]
async fn a_table_of_mysql_in_mariadbs_words() {
    let (from, to) = (Server::of(Kind::Mysql, &[]), Server::mariadb(&[]));
    from.sql(
        "CREATE TABLE t (id VARCHAR(20) PRIMARY KEY, doc JSON DEFAULT (JSON_OBJECT()), v VARCHAR(20), \
         big VARCHAR(20) AS (UPPER(v)) VIRTUAL, first VARCHAR(20) AS (doc->>'$.a') STORED, hidden INT INVISIBLE, \
         place POINT NOT NULL SRID 4326, old VARCHAR(9) CHARACTER SET latin1, vec VECTOR(3), UNIQUE KEY u (v), \
         KEY f ((LENGTH(v))), KEY h (hidden) INVISIBLE, CONSTRAINT c CHECK (id <> ''), SPATIAL KEY s (place))",
    );
    let (findings, shown) = made(&from, &to).await;
    for words in [
        "`id` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL",
        "`doc` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin DEFAULT json_object()",
        "`v` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
        "`big` varchar(20)",
        "`first` varchar(20)",
        "`hidden` int(11) INVISIBLE",
        "`place` point NOT NULL",
        "`old` varchar(9) CHARACTER SET latin1 COLLATE latin1_swedish_ci",
        "UNIQUE KEY `u` (`v`)",
        "KEY `h` (`hidden`) IGNORED",
        "CONSTRAINT `c` CHECK (`id` <> ",
        "SPATIAL KEY `s` (`place`)",
        "COLLATE=utf8mb4_uca1400_nopad_ai_ci",
    ] {
        assert!(shown.contains(words), "{words} is not in\n{shown}");
    }
    assert!(!shown.contains("GENERATED"), "{shown}");
    about(&findings, "column `big` is computed at the source");
    about(&findings, "column `first` is computed at the source");
    about(&findings, "told apart by their bytes");
    about(&findings, "the index `f` cannot be made here");
    let vector = about(&findings, "column `vec` becomes `longtext`");
    assert!(vector.severity == Severity::Warning && vector.mend.is_some(), "{vector:?}");
}

/// A document is written as text, and read anew.
#[tokio::test]
async fn what_documents_lose_in_mysql_is_told_and_stops_tables_without_a_key() {
    let server = Server::of(Kind::Mysql, &[]);
    server.sql("CREATE TABLE t (id INT PRIMARY KEY, doc JSON); CREATE TABLE bare (doc JSON); CREATE DATABASE copy");
    let source = source(&server);
    let shapes = [table(&*source, "t").await, table(&*source, "bare").await].map(|table| moved(&table));
    let store = settings(&server, "writer");
    let store = StoreSettings { url: store.url.replace("/shop", "/copy"), ..store };
    let target = connectors::open(&store).expect("good settings").target().expect("a target");
    let findings = target.check(&shapes, Existing::Refuse).await.expect("checked");
    let of = |name: &str| {
        let found = findings.iter().find(|one| one.subject.ends_with(name) && one.text.contains("documents"));
        found.unwrap_or_else(|| panic!("{name}: {findings:#?}")).severity
    };
    assert_eq!((of(".t"), of(".bare")), (Severity::Warning, Severity::Blocking));
}

#[tokio::test]
async fn a_table_of_new_mysql_in_an_old_one() {
    let (from, to) = (Server::of(Kind::Mysql, &[]), Server::of(Kind::Mysql56, &[]));
    from.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, doc JSON DEFAULT (JSON_OBJECT()), v VARCHAR(20) DEFAULT 'x', \
         big VARCHAR(20) AS (UPPER(v)) VIRTUAL, hidden INT INVISIBLE, at TIMESTAMP NOT NULL, wide VARCHAR(255), \
         KEY d (at DESC, v), KEY w (wide), CONSTRAINT c CHECK (id <> 0), note TEXT DEFAULT ('n'))",
    );
    let (findings, shown) = made(&from, &to).await;
    for words in [
        "`doc` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        "`v` varchar(20) COLLATE utf8mb4_unicode_520_ci DEFAULT 'x'",
        "`big` varchar(20) COLLATE utf8mb4_unicode_520_ci DEFAULT NULL",
        "`hidden` int(11) DEFAULT NULL",
        "`at` timestamp NOT NULL DEFAULT '0000-00-00 00:00:00'",
        "KEY `d` (`at`,`v`)",
        "KEY `w` (`wide`(191))",
    ] {
        assert!(shown.contains(words), "{words} is not in\n{shown}");
    }
    about(&findings, "column `big` is computed at the source");
    about(&findings, "column `hidden` is invisible at the source");
    about(&findings, "the default of column `doc` is not made here");
}

/// Whose server says nothing of the collation that its character set has there by itself.
#[tokio::test]
async fn texts_of_old_mysql_are_compared_in_a_new_one_as_they_were() {
    let (from, to) = (Server::of(Kind::Mysql56, &[]), Server::of(Kind::Mysql, &[]));
    from.sql(
        "CREATE TABLE t (a VARCHAR(9) PRIMARY KEY, b VARCHAR(9) CHARACTER SET utf8, c CHAR(3) CHARACTER SET latin1) \
         DEFAULT CHARSET=utf8mb4",
    );
    made(&from, &to).await;
    let told = to.sql(
        "SELECT COLLATION_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'copy' AND TABLE_NAME = 't' ORDER BY COLUMN_NAME",
    );
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told, ["utf8mb4_general_ci", "utf8mb3_general_ci", "latin1_swedish_ci"]);
}

#[tokio::test]
async fn what_only_the_source_computes_is_fetched_where_the_log_does_not_say_it() {
    let (from, to) = (Server::mariadb(&[]), Server::of(Kind::Mysql, &[]));
    from.sql("CREATE TABLE t (id INT PRIMARY KEY, n INT, third DOUBLE AS (n / 3) VIRTUAL)");
    let shape = moved(&*table(&*source(&from), "t").await);
    let mut written = Written::open(&to, &[Arc::clone(&shape)]).await;
    written.apply(upsert(&shape, &[&[Value::Int(1), Value::Int(3), Value::Float64(1.0)]])).await;
    let mut patch = Rows::default();
    let number = patch.shape(&shape);
    let place = patch.add_row(&[Some(Value::Int(1)), Some(Value::Int(6)), None]);
    patch.push(number, Change::Patch, place, NO_ROW);
    assert_eq!(written.try_apply(patch.clone()).await.expect("an answer"), Applied::Missing(vec![0]));
    assert_eq!(to.sql("SELECT * FROM copy.t"), "1\t3\t1\n");
    let mut patch = Rows::default();
    let number = patch.shape(&shape);
    let place = patch.add_row(&[Some(Value::Int(1)), Some(Value::Int(6)), Some(Value::Float64(2.0))]);
    patch.push(number, Change::Patch, place, NO_ROW);
    written.apply(patch).await;
    assert_eq!(to.sql("SELECT * FROM copy.t"), "1\t6\t2\n");
}

#[tokio::test]
async fn what_the_other_family_cannot_hold_is_refused_by_its_key() {
    let (from, to) = (Server::mariadb(&[]), Server::of(Kind::Mysql, &[]));
    from.sql("CREATE TABLE t (id INT PRIMARY KEY, v TIME(6), g GEOMETRY, s VARCHAR(9) CHARACTER SET gbk)");
    let shape = moved(&*table(&*source(&from), "t").await);
    let mut written = Written::open(&to, &[Arc::clone(&shape)]).await;
    let longest = Value::Time((838 * 3_600 + 59 * 60 + 59) * 1_000_000_000 + 999_999_000);
    let torn = Value::Native("geometry".into(), vec![0, 0, 0, 0, 1, 1]);
    let malformed = Value::Native("gbk".into(), vec![0xff, 0x27]);
    for row in [
        [Value::Int(7), longest, Value::Null, Value::Null],
        [Value::Int(7), Value::Null, torn, Value::Null],
        [Value::Int(7), Value::Null, Value::Null, malformed],
    ] {
        let error = written.try_apply(upsert(&shape, &[&row])).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
        assert!(error.to_string().contains("key (7)"), "{error:?}");
    }
    written.apply(upsert(&shape, &[&[Value::Int(7), Value::Null, Value::Null, text("中")]])).await;
    assert_eq!(to.sql("SELECT id, s FROM copy.t"), "7\t中\n");
}
