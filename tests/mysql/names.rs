//! Tables as people name and shape them: odd names, very many columns, columns that come at any place, indexes over
//! expressions, words for some versions only. From end to end, in both families.

use super::{
    faults::rig::Rig,
    following::{FILES, Follower},
};
use crate::support::mysql::{Kind, Server};
use whimbrel::model::Change;

/// Quoted as the servers' clients want them.
const NAMES: &[&str] = &[
    "`order`",
    "`a.b`",
    "`sp ace`",
    "`quo``te`",
    "`it's`",
    "`dou\"ble`",
    "`ünïcode 表`",
    "`SELECT`",
    "`semi;colon`",
    "`per%cent`",
    "`back\\slash`",
    "`-- no comment`",
    "`/*! not run */`",
    "`1`",
    "`a,b`",
    "`(c)`",
    "`UPPER`",
    "`$x`",
];

#[test]
fn names_of_any_kind_and_three_hundred_columns_go_through() {
    for (from, to) in [(Kind::Mysql, Kind::Mysql), (Kind::Mariadb, Kind::Mysql)] {
        go_through(from, to);
    }
}

fn go_through(from: Kind, to: Kind) {
    let mut rig = Rig::new((from, &[]), (to, &[]));
    let columns = NAMES.iter().map(|name| format!("{name} VARCHAR(20)")).collect::<Vec<_>>().join(", ");
    // A table of each name, with a column and an index of that name; and one that has all of them.
    let mut sql =
        format!("CREATE TABLE columns (`the key` INT PRIMARY KEY, {columns}, KEY `the key` (`order`, `a.b`));\n");
    for name in NAMES {
        sql += &format!(
            "CREATE TABLE {name} (`the key` INT, `its` INT, {name} VARCHAR(20), PRIMARY KEY (`the key`), \
             UNIQUE KEY {name} (`its`)); INSERT INTO {name} VALUES (1, 1, 'x'), (2, 2, 'y');\n"
        );
    }
    let wide: Vec<String> =
        (0..300).map(|column| format!("`c {column}` {}", ["INT", "VARCHAR(9)"][column % 2])).collect();
    sql +=
        &format!("CREATE TABLE wide (id INT PRIMARY KEY, {}); INSERT INTO wide (id) VALUES (1), (2);", wide.join(", "));
    rig.source.sql(&sql);
    rig.start(None);
    rig.create("");
    rig.run_job();
    rig.settle();
    let mut sql = String::new();
    for (key, name) in NAMES.iter().enumerate() {
        sql += &format!(
            "UPDATE {name} SET {name} = 'new', `the key` = 7 WHERE `the key` = 1; DELETE FROM {name} WHERE `its` = 2; \
             INSERT INTO {name} (`the key`, {name}) VALUES (3, '%s'); INSERT INTO columns (`the key`, {name}) VALUES ({key}, 'x');\n"
        );
    }
    sql += "ALTER TABLE columns ADD COLUMN `an``other` INT; UPDATE columns SET `an``other` = `the key` WHERE `the key` > 3;\n";
    let set: Vec<String> = (0..300).map(|column| format!("`c {column}` = {column}")).collect();
    rig.source.sql(&format!(
        "{sql} UPDATE wide SET {} WHERE id = 2; UPDATE wide SET `c 299` = 7, id = 9 WHERE id = 1",
        set.join(", ")
    ));
    rig.settle();
    let named: Vec<String> = NAMES.iter().map(|name| name.trim_matches('`').replace("``", "`")).collect();
    let mut tables: Vec<&str> = named.iter().map(String::as_str).collect();
    tables.extend(["columns", "wide"]);
    rig.assert_equal(&tables, &format!("{from:?} into {to:?}"));
    rig.stop();
}

#[tokio::test]
async fn columns_that_come_at_any_place_without_a_copy_are_read_by_their_place() {
    let named = ["--binlog-row-metadata=FULL"];
    for (kind, flags) in [(Kind::Mariadb, &[][..]), (Kind::Mysql, &[]), (Kind::Mysql, &named), (Kind::Mysql, FILES)] {
        let server = Server::of(kind, flags);
        server.sql("CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT); INSERT INTO t VALUES (1, 10, 20)");
        let mut follower = Follower::begin(&server, &["t"]).await;
        // While it runs: rows before and after, in one go.
        server.sql(
            "INSERT INTO t VALUES (2, 11, 21); ALTER TABLE t ADD COLUMN c INT FIRST, ALGORITHM=INSTANT; \
             INSERT INTO t VALUES (7, 3, 12, 22); UPDATE t SET b = 30 WHERE id = 1; \
             ALTER TABLE t ADD COLUMN d INT AFTER a, ALGORITHM=INSTANT; INSERT INTO t VALUES (8, 4, 13, 9, 23)",
        );
        follower.agrees().await;
        // While nobody looks: rows that were logged before are read after.
        follower.restart();
        server.sql(
            "INSERT INTO t VALUES (9, 5, 14, 10, 24); ALTER TABLE t ADD COLUMN e INT AFTER id, ADD COLUMN f INT FIRST, \
             ALGORITHM=INSTANT; UPDATE t SET e = 1, a = 99 WHERE id = 2",
        );
        follower.agrees().await;
        assert_eq!((follower.count(Change::Recopy, "t"), follower.count(Change::Reshape, "t")), (0, 3), "{kind:?}");
        // With a value for the rows that are there, which no log has.
        server.sql(
            "ALTER TABLE t ADD COLUMN g INT DEFAULT 5 AFTER b, ALGORITHM=INSTANT; UPDATE t SET b = 0 WHERE id = 3",
        );
        follower.agrees().await;
        follower.restart();
        server
            .sql("UPDATE t SET b = 1 WHERE id = 4; ALTER TABLE t DROP COLUMN a, ALGORITHM=INSTANT; UPDATE t SET b = 2");
        follower.agrees().await;
        assert!(follower.count(Change::Recopy, "t") >= 1);
    }
}

#[tokio::test]
async fn words_for_some_versions_are_read_as_the_server_has_run_them() {
    for kind in [Kind::Mariadb, Kind::Mysql] {
        let server = Server::of(kind, &[]);
        server.sql("CREATE TABLE t (id INT PRIMARY KEY /*!40000 , a INT */ /*!99999 , never INT */); INSERT INTO t VALUES (1, 1)");
        let mut follower = Follower::begin(&server, &["t"]).await;
        for run in [true, false] {
            if !run {
                follower.restart();
            }
            let [b, c] = if run { ["b", "c"] } else { ["d", "e"] };
            let now = if run { "2, 2, 2, 2" } else { "3, 3, 3, 3, 3, 3" };
            // What another version would drop is here before and after.
            server.sql(&format!(
                "UPDATE t SET a = 5 WHERE id = 1; ALTER TABLE t /*!40000 ADD COLUMN {b} INT */ /*!99999 , ADD COLUMN a INT */; \
                 ALTER TABLE t ADD COLUMN {c} INT /*!99999 , DROP COLUMN a */; INSERT INTO t VALUES ({now}); \
                 UPDATE t SET a = 6 WHERE id = 1",
            ));
            follower.agrees().await;
            assert_eq!(follower.count(Change::Recopy, "t"), 0, "{kind:?}");
        }
        server.sql("/*!40000 TRUNCATE TABLE t */; INSERT INTO t (id) VALUES (9); /*!99999 TRUNCATE TABLE t */");
        follower.agrees().await;
        assert_eq!(follower.count(Change::Truncate, "t"), 1);
        assert_eq!(server.sql("SELECT COUNT(*) FROM t"), "1\n");
    }
}

/// Columns that nobody sees hold what such an index is over.
#[test]
fn indexes_over_expressions_and_lists_go_through() {
    let mut rig = Rig::new((Kind::Mysql, &[]), (Kind::Mysql, &[]));
    rig.source.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20), doc JSON, KEY low ((LOWER(name))), \
         UNIQUE KEY up ((UPPER(name)), id), UNIQUE KEY only ((CONCAT(name, '!'))), \
         KEY tags ((CAST(doc->'$.tags' AS UNSIGNED ARRAY))), KEY down (name DESC)); \
         INSERT INTO t VALUES (1, 'a', '{\"tags\": [1, 2]}'), (2, 'b', '{\"tags\": []}'), (3, NULL, NULL)",
    );
    rig.start(None);
    rig.create("apply:\n  lanes: 4\n");
    rig.run_job();
    rig.settle();
    rig.assert_equal(&["t"], "copied");
    rig.source.sql(
        "INSERT INTO t VALUES (4, 'd', '{\"tags\": [7]}'); UPDATE t SET doc = JSON_SET(doc, '$.tags[0]', 9) WHERE id = 1; \
         UPDATE t SET name = 'c' WHERE id = 3; DELETE FROM t WHERE id = 2",
    );
    rig.settle();
    rig.assert_equal(&["t"], "followed");
    // Values of an index that is unique over an expression change places.
    rig.source.sql(
        "BEGIN; UPDATE t SET name = 'x' WHERE id = 1; UPDATE t SET name = 'a' WHERE id = 4; \
         UPDATE t SET name = 'd' WHERE id = 1; COMMIT; DELETE FROM t WHERE id = 3; INSERT INTO t VALUES (5, 'c', NULL)",
    );
    rig.settle();
    rig.assert_equal(&["t"], "changed places");
    let indexes = "SELECT INDEX_NAME, COUNT(*) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = 'shop' \
                   AND TABLE_NAME = 't' GROUP BY INDEX_NAME ORDER BY 1";
    assert_eq!(rig.source.sql(indexes), rig.target.sql(indexes));
    rig.stop();
}
