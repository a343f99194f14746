//! Tables within a family, where the same words mean something else on another server or in another session.

use super::{
    reading::{settings, source, table},
    written::{Written, moved, shapes},
};
use crate::support::mysql::{Kind, Server};
use std::sync::Arc;
use whimbrel::{
    connectors::{self, StoreSettings},
    model::{Existing, Severity},
};

#[tokio::test]
async fn texts_of_old_mysql_are_compared_in_a_new_one_as_they_were() {
    let (from, to) = (Server::of(Kind::Mysql56, &[]), Server::of(Kind::Mysql, &[]));
    from.sql(
        "CREATE TABLE t (k VARCHAR(20) PRIMARY KEY, v VARCHAR(20), l VARCHAR(9) CHARACTER SET latin1, u VARCHAR(9) \
         CHARACTER SET utf8, e ENUM('a', 'b'), note TEXT COLLATE utf8mb4_unicode_ci, UNIQUE KEY (v)) \
         DEFAULT CHARSET = utf8mb4",
    );
    // The newer default takes each for its neighbour, and does not pass over spaces at the end.
    from.sql(
        "CREATE TABLE wide (k VARCHAR(20) CHARACTER SET utf8mb4 PRIMARY KEY) DEFAULT CHARSET = latin1; \
         INSERT INTO wide VALUES ('ß'), ('ss')",
    );
    from.sql(
        "INSERT INTO t VALUES ('ß', 'œ', 'x', 'x', 'a', ''), ('ss', 'oe', 'x', 'x', 'b', ''), \
         ('ae', '', '', '', 'a', ''), ('æ', NULL, '', '', 'a', '')",
    );
    let source = source(&from);
    let of = [table(&*source, "t").await, table(&*source, "wide").await];
    let copies = [moved(&of[0]), moved(&of[1])];
    let mut written = Written::open(&to, &copies).await;
    for (shape, copy) in of.iter().zip(&copies) {
        written.copy(&*source, shape, copy).await;
    }
    for query in [
        "SELECT HEX(k), HEX(v), l, u, e FROM t ORDER BY HEX(k)",
        "SELECT COUNT(*) FROM t WHERE k IN ('SS  ', 'S ')",
        "SELECT COUNT(*) FROM t WHERE v = 'OE '",
        "SELECT TABLE_COLLATION FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 't'",
        "SELECT COLUMN_NAME, REPLACE(COLLATION_NAME, 'utf8mb3', 'utf8') FROM information_schema.COLUMNS \
         WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 't' ORDER BY COLUMN_NAME",
    ] {
        let told = |server: &Server, database| server.sql(&format!("USE {database}; {query}"));
        assert_eq!(told(&from, "shop"), told(&to, "copy"), "{query}");
    }
    assert_eq!(to.sql("SELECT COUNT(*) FROM copy.t; SELECT COUNT(*) FROM copy.wide"), "4\n2\n");
}

#[tokio::test]
async fn what_was_computed_in_a_zone_keeps_its_value() {
    for kind in [Kind::Mariadb, Kind::Mysql] {
        let server = Server::of(kind, &[]);
        server.sql(
            "CREATE TABLE t (id INT PRIMARY KEY, ts TIMESTAMP NULL, h INT AS (HOUR(ts)) STORED, next INT AS (h + 1) \
             STORED, d DATE AS (DATE(ts)) STORED, twice INT AS (id * 2) STORED, v INT AS (HOUR(ts)) VIRTUAL, KEY h (h), \
             KEY v (v)); \
             SET time_zone = '+05:00'; INSERT INTO t (id, ts) VALUES (1, '2020-09-13 17:26:40'), (2, NULL); \
             SET time_zone = '-11:00'; INSERT INTO t (id, ts) VALUES (3, '2020-09-13 17:26:40')",
        );
        let from = source(&server);
        let shape = table(&*from, "t").await;
        let copy = shapes(&server, &["t"]).await.remove(0);
        let store = settings(&server, "writer");
        let store = StoreSettings { url: store.url.replace("/shop", "/copy"), ..store };
        server.sql("CREATE DATABASE copy");
        let target = connectors::open(&store).expect("good settings").target().expect("a target");
        let findings = target.check(&[Arc::clone(&copy)], Existing::Refuse).await.expect("checked");
        let told: Vec<_> = findings.iter().filter(|one| one.text.contains("time zone")).collect();
        assert_eq!(told.len(), 4, "three columns and an index: {findings:#?}");
        assert!(told.iter().all(|finding| finding.severity == Severity::Info), "{told:#?}");

        let mut written = Written::open(&server, &[Arc::clone(&copy)]).await;
        written.copy(&*from, &shape, &copy).await;
        let [shop, copied] = written.both("SELECT id, ts, h, next, d, twice, v FROM t ORDER BY id");
        assert_eq!(shop, copied, "{kind:?}");
        assert!(shop.starts_with("1\t2020-09-13 12:26:40\t17\t18\t2020-09-13\t2\t12\n"), "{shop}");
        let shown = server.sql("SHOW CREATE TABLE copy.t");
        assert_eq!(shown.matches("GENERATED").count(), 2, "{shown}");

        // One that was made by hand computes by itself, and in our zone.
        server.sql("DROP TABLE copy.t; CREATE TABLE copy.t LIKE shop.t");
        let findings = target.check(&[copy], Existing::Refuse).await.expect("checked");
        let blocks = |name: &str| {
            let about = format!("its column `{name}` is computed there, in our time zone");
            findings.iter().any(|one| one.severity == Severity::Blocking && one.text.starts_with(&about))
        };
        assert_eq!(["h", "next", "d", "twice", "v"].map(blocks), [true, true, true, false, false], "{findings:#?}");
    }
}
