//! Following a server: every form of a row in its log.

use super::{
    following::{FILES, Follower, SERVERS},
    types,
};
use crate::support::mysql::{Kind, Server};
use std::fmt::Write;
use whimbrel::{
    error::ErrorKind,
    model::{Batch, Change, Checkpoint, Mutation, Value},
};

/// How a server may write its rows.
const FORMS: &[(Kind, &[&str])] = &[
    (Kind::Mariadb, &[]),
    (Kind::Mariadb, &["--binlog-row-metadata=MINIMAL", "--binlog-row-image=MINIMAL"]),
    (
        Kind::Mariadb,
        &[
            "--binlog-row-metadata=FULL",
            "--binlog-row-image=NOBLOB",
            "--log-bin-compress=ON",
            "--log-bin-compress-min-len=10",
        ],
    ),
    (Kind::Mariadb, &["--binlog-checksum=NONE", "--binlog-annotate-row-events=OFF", "--binlog-row-event-max-size=256"]),
    (Kind::Mysql, &["--binlog-checksum=NONE", "--binlog-row-event-max-size=256", FILES[0], FILES[1]]),
    (
        Kind::Mysql,
        &["--binlog-row-metadata=FULL", "--binlog-row-image=MINIMAL", "--binlog-row-value-options=PARTIAL_JSON"],
    ),
    (Kind::Mysql, &["--binlog-row-image=NOBLOB", "--binlog-transaction-compression=ON"]),
    (Kind::Mysql56, &["--binlog-row-image=MINIMAL"]),
    (
        Kind::Mysql56,
        &[
            "--binlog-row-image=NOBLOB",
            "--binlog-checksum=NONE",
            "--binlog-row-event-max-size=256",
            "--binlog-rows-query-log-events=ON",
            FILES[0],
            FILES[1],
        ],
    ),
];

/// Times as MySQL 5.5 kept them: MariaDB can still make such tables, and those of an old server that was upgraded are so.
const OLD_TIMES: &[&str] = &["--mysql56-temporal-format=OFF"];

#[tokio::test]
async fn every_type_has_the_same_bytes_in_the_log_as_in_a_copy() {
    for (kind, form) in FORMS.iter().chain(&[(Kind::Mariadb, OLD_TIMES)]) {
        let flags: Vec<&str> = form.iter().copied().chain(["--default-time-zone=+02:00", "--sql-mode="]).collect();
        let server = Server::of(*kind, &flags);
        let mut cases = types::of(*kind);
        if *form == OLD_TIMES {
            // Its own form of fractions, which MySQL never had, is not read.
            cases.retain(|(declared, ..)| ["date", "datetime", "timestamp NULL", "time", "year"].contains(declared));
            assert_eq!(cases.len(), 5);
        }
        let (mut tables, mut names) = (String::new(), Vec::new());
        for (number, (declared, ..)) in cases.iter().enumerate() {
            writeln!(tables, "CREATE TABLE k{number} (id INT PRIMARY KEY, v {declared} DEFAULT NULL, w INT);").unwrap();
            names.push(format!("k{number}"));
        }
        server.sql(&tables);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut follower = Follower::begin(&server, &names).await;
        let mut sql = String::from("SET time_zone = '+00:00';\n");
        for (number, (_, _, values)) in cases.iter().enumerate() {
            for (id, value) in values.iter().chain(&["NULL"]).enumerate() {
                writeln!(sql, "INSERT INTO k{number} (id, v) VALUES ({id}, {value}), ({id} + 100, NULL);").unwrap();
            }
            // Only another column; then the value; then the key.
            let first = format!("(SELECT v FROM (SELECT v FROM k{number} WHERE id = 0) first)");
            writeln!(sql, "UPDATE k{number} SET w = id WHERE id < 100;").unwrap();
            writeln!(sql, "UPDATE k{number} SET v = {first} WHERE id >= 100;").unwrap();
            writeln!(sql, "UPDATE k{number} SET id = id + 1000 WHERE id = 0;").unwrap();
            writeln!(sql, "DELETE FROM k{number} WHERE id = 101;").unwrap();
        }
        server.sql(&sql);
        follower.agrees().await;
        let came = |change| follower.seen.iter().any(|(seen, _)| *seen == change);
        assert!(!came(Change::Recopy), "{kind:?} {form:?}: read from the log alone");
        let is_whole = !form.iter().any(|flag| flag.contains("row-image"));
        assert!(!is_whole || !came(Change::Touched), "{kind:?} {form:?}: nothing is fetched");
        if form.iter().any(|flag| flag.contains("image=MINIMAL")) {
            assert!(came(Change::Patch));
        }
    }
}

/// Nothing but all of its values names such a row.
#[tokio::test]
async fn a_table_without_a_key_is_copied_again_where_the_log_tells_its_rows_in_part() {
    for (kind, recopies) in [(Kind::Mariadb, 0), (Kind::Mysql, 1), (Kind::Mysql56, 1)] {
        let server = Server::of(kind, &["--binlog-row-image=MINIMAL"]);
        server.sql("CREATE TABLE t (a INT, b VARCHAR(9), c INT DEFAULT 7); INSERT INTO t VALUES (0, 'x', 0)");
        let mut follower = Follower::begin(&server, &["t"]).await;
        // Once for all rows of a transaction.
        server.sql("INSERT INTO t (a, b) VALUES (1, 'a'), (1, 'a'), (2, 'b')");
        follower.agrees().await;
        assert_eq!(follower.count(Change::Recopy, "t"), recopies, "{kind:?}");
        server.sql("UPDATE t SET b = 'c' WHERE a = 1 LIMIT 1; DELETE FROM t WHERE a = 2");
        follower.agrees().await;
        assert_eq!(follower.count(Change::Recopy, "t"), recopies, "{kind:?}: what was before is whole");
    }
}

#[tokio::test]
async fn documents_that_are_changed_in_part_are_right() {
    for image in ["FULL", "MINIMAL"] {
        let image = format!("--binlog-row-image={image}");
        let server = Server::of(Kind::Mysql, &["--binlog-row-value-options=PARTIAL_JSON", &image]);
        server.sql("CREATE TABLE t (id INT PRIMARY KEY, a JSON, v INT, b JSON)");
        let mut follower = Follower::begin(&server, &["t"]).await;
        let long = "\"long\": \"0123456789012345678901234567890123456789012345678901234567890123456789\"";
        server.sql(&format!(
            "INSERT INTO t VALUES (1, '{{\"n\": 1, {long}}}', 1, '[1, 2, 3]'), (2, '{{\"n\": 2, {long}}}', 2, NULL); \
             UPDATE t SET a = JSON_SET(a, '$.n', 7); UPDATE t SET b = JSON_SET(b, '$[1]', 'x'), v = 9 WHERE id = 1; \
             UPDATE t SET a = JSON_REMOVE(a, '$.n'), b = '{{}}' WHERE id = 2; \
             UPDATE t SET v = 5; UPDATE t SET a = JSON_SET(a, '$.long', 'short'), id = id + 10"
        ));
        follower.agrees().await;
        assert!(follower.count(Change::Touched, "t") >= 2, "differences are not documents");
        let inserted = if image.ends_with("FULL") { 2 } else { 0 };
        assert!(follower.count(Change::Upsert, "t") >= inserted);
    }
}

#[tokio::test]
async fn a_large_transaction_is_cut_and_taken_up_again_inside() {
    for (kind, flags) in SERVERS.iter().chain(&[(Kind::Mysql, &["--binlog-transaction-compression=ON"][..])]) {
        let server = Server::of(*kind, flags);
        server.numbers(&[25_000]);
        server.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(600)); CREATE TABLE u (id INT PRIMARY KEY, v INT)");
        let mut follower = Follower::begin(&server, &["t", "u"]).await;
        server.sql(
            "INSERT INTO u VALUES (1, 1); BEGIN; INSERT INTO u VALUES (2, 2); \
             INSERT INTO t SELECT seq, REPEAT('x', 600) FROM numbers.seq_1_to_25000; \
             UPDATE t SET id = -id WHERE id <= 9000; UPDATE u SET v = 7; COMMIT; DELETE FROM u WHERE id = 1",
        );
        // From every end of a batch on it is the same: the next batch begins there.
        follower.catch_up().await.expect("followed");
        follower.compare().await;
        let batches = std::mem::take(&mut follower.batches);
        assert!(batches.iter().filter(|batch| !batch.complete).count() >= 2, "cut inside");
        let told = |batches: &[Batch]| -> Vec<(Change, Vec<Option<Value>>)> {
            let rows = |batch: &Batch| {
                let rows = batch.rows();
                let one = |one: &Mutation| (one.change, rows.row(one.row).to_values());
                rows.mutations.iter().map(one).collect::<Vec<_>>()
            };
            batches.iter().flat_map(rows).collect()
        };
        let all = told(&batches);
        let mut passed = 0;
        let (last, rest) = batches.split_last().expect("some");
        for batch in rest.iter().chain([last]) {
            let half = batch.rows().mutations.len() / 2;
            for taken in [half, batch.rows().mutations.len()] {
                let from = Checkpoint::only(follower.source.cut(batch, taken));
                follower.at = from;
                follower.restart();
                follower.batches.clear();
                follower.catch_up().await.expect("followed");
                assert_eq!(told(&follower.batches), all[passed + taken..], "from {taken} mutations into a batch on");
            }
            passed += batch.rows().mutations.len();
        }
    }
}

#[tokio::test]
async fn statements_that_change_tables_are_followed_or_the_table_is_copied_again() {
    for (kind, flags) in &[(Kind::Mariadb, &[][..]), (Kind::Mysql, &[]), (Kind::Mysql, FILES)] {
        let server = Server::of(*kind, flags);
        server.sql("CREATE TABLE t (id INT PRIMARY KEY, a INT UNSIGNED, b VARCHAR(10) CHARACTER SET latin1)");
        server.sql("INSERT INTO t VALUES (1, 4294967295, 'é')");
        let mut follower = Follower::begin(&server, &["t"]).await;
        let upsert = Change::Upsert;
        for (sql, changes) in [
            ("INSERT INTO t VALUES (2, 4294967295, 'ü')", vec![upsert]),
            ("ALTER TABLE t ADD c INT; INSERT INTO t VALUES (3, 1, 'x', 5)", vec![Change::Reshape, upsert]),
            (
                "ALTER TABLE t ADD d INT NOT NULL DEFAULT 9; INSERT INTO t VALUES (4, 1, 'x', 5, 6)",
                vec![Change::Recopy, upsert],
            ),
            ("CREATE INDEX i ON t (a)", vec![Change::Reshape]),
            ("ALTER TABLE t MODIFY a BIGINT; UPDATE t SET a = -1 WHERE id = 1", vec![Change::Recopy, upsert]),
            ("ALTER TABLE t RENAME COLUMN b TO e; UPDATE t SET e = 'z' WHERE id = 1", vec![Change::Recopy, upsert]),
            ("ALTER TABLE t DROP COLUMN c; UPDATE t SET e = 'y' WHERE id = 1", vec![Change::Reshape, upsert]),
            ("TRUNCATE t; INSERT INTO t VALUES (7, 7, 'q', 7)", vec![Change::Truncate, upsert]),
            ("CREATE TABLE IF NOT EXISTS t (id INT PRIMARY KEY)", vec![]),
            ("DROP TABLE t", vec![]),
            (
                "CREATE TABLE t (x VARCHAR(5) PRIMARY KEY) SELECT 'a' AS x UNION SELECT 'b'",
                vec![Change::Recopy, upsert, upsert],
            ),
            (
                "CREATE TABLE new LIKE t; INSERT INTO new VALUES ('n'); RENAME TABLE t TO old, new TO t",
                vec![Change::Recopy],
            ),
        ] {
            server.sql(sql);
            follower.seen.clear();
            follower.catch_up().await.expect("followed");
            let seen: Vec<Change> = follower.seen.iter().map(|(change, _)| *change).collect();
            assert_eq!(seen, changes, "{sql}");
            follower.compare().await;
        }
    }
}

/// Neither table's rows are in the log.
#[tokio::test]
async fn rows_that_change_places_with_a_partition_are_copied_again_in_both_tables() {
    let server = Server::mariadb(&[]);
    let parts = "PARTITION BY RANGE (id) (PARTITION low VALUES LESS THAN (100), PARTITION high VALUES LESS THAN (200))";
    server.sql(&format!(
        "CREATE TABLE t (id INT PRIMARY KEY, a INT) {parts}; CREATE TABLE u (id INT PRIMARY KEY, a INT)"
    ));
    server.sql("INSERT INTO t VALUES (1, 1), (150, 2); INSERT INTO u VALUES (7, 7)");
    let mut follower = Follower::begin(&server, &["t", "u"]).await;
    server.sql("ALTER TABLE t EXCHANGE PARTITION low WITH TABLE u; UPDATE u SET a = 9");
    follower.agrees().await;
    assert_eq!((follower.count(Change::Recopy, "t"), follower.count(Change::Recopy, "u")), (1, 1));
    server.sql("ALTER TABLE t CONVERT PARTITION high TO TABLE v; INSERT INTO u VALUES (8, 8)");
    follower.agrees().await;
    assert_eq!(follower.count(Change::Recopy, "t"), 2);
}

#[tokio::test]
async fn rows_from_before_an_alter_that_was_read_after_it_are_never_guessed() {
    for (kind, flags) in &[(Kind::Mariadb, &[][..]), (Kind::Mysql, &[])] {
        let server = Server::of(*kind, flags);
        server.sql("CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT); CREATE TABLE u (id INT PRIMARY KEY, a INT)");
        let mut follower = Follower::begin(&server, &["t", "u"]).await;
        // Two columns change places: nothing in the log's own metadata tells.
        server.sql("INSERT INTO t VALUES (1, 10, 20); INSERT INTO u VALUES (1, -1)");
        server.sql("ALTER TABLE t RENAME COLUMN a TO x, RENAME COLUMN b TO a; ALTER TABLE t RENAME COLUMN x TO b");
        server.sql("INSERT INTO t VALUES (2, 20, 10)");
        server.sql("INSERT INTO u VALUES (2, -2); ALTER TABLE u ADD c INT; INSERT INTO u VALUES (3, -3, 3)");
        follower.agrees().await;
        assert_eq!((follower.count(Change::Recopy, "t"), follower.count(Change::Recopy, "u")), (1, 0));
        assert_eq!(follower.count(Change::Reshape, "u"), 1, "what came last is left out, and the rest is known");
        // Columns that come and go, and no row before them: nothing is copied again.
        follower.restart();
        server.sql("ALTER TABLE u ADD d INT; ALTER TABLE u DROP COLUMN c; INSERT INTO u VALUES (4, 4, 4)");
        follower.seen.clear();
        follower.agrees().await;
        let seen: Vec<Change> = follower.seen.iter().map(|(change, _)| *change).collect();
        assert_eq!(seen, [Change::Reshape, Change::Upsert]);
    }
}

#[tokio::test]
pub async fn children_follow_their_parents_although_the_log_is_silent_about_them() {
    for (kind, flags, collation) in [
        (Kind::Mariadb, &[][..], "utf8mb4_nopad_bin"),
        (Kind::Mysql, &["--innodb-native-foreign-keys=ON"], "utf8mb4_0900_bin"),
        (Kind::Mysql56, &[], "utf8mb4_bin"),
        // The only one that logs what happens to children.
        (Kind::Mysql, &[], "utf8mb4_0900_bin"),
    ] {
        let server = Server::of(kind, flags);
        let is_silent = kind != Kind::Mysql || !flags.is_empty();
        server.sql(&format!(
            "CREATE TABLE p (id INT PRIMARY KEY, code VARCHAR(5) COLLATE {collation} UNIQUE); \
             CREATE TABLE c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) \
             REFERENCES p (id) ON DELETE CASCADE ON UPDATE CASCADE); \
             CREATE TABLE n (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) \
             REFERENCES p (id) ON DELETE SET NULL ON UPDATE SET NULL); \
             CREATE TABLE g (id INT PRIMARY KEY, c INT, FOREIGN KEY (c) REFERENCES c (id) ON DELETE CASCADE); \
             CREATE TABLE s (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES s (id) ON DELETE CASCADE); \
             INSERT INTO p VALUES (1, 'a'), (2, 'b'), (3, 'c'); INSERT INTO c VALUES (1, 1), (2, 2), (3, 3), (4, NULL); \
             INSERT INTO n VALUES (1, 1), (2, 2), (3, 3); INSERT INTO g VALUES (1, 1), (2, 2), (3, 4); \
             INSERT INTO s VALUES (1, NULL), (2, 1), (3, 2), (4, 4)",
        ));
        // The parent itself is nobody's: its rows still tell.
        let mut follower = Follower::begin(&server, &["c", "n", "g", "s"]).await;
        server.sql("DELETE FROM p WHERE id = 1");
        follower.agrees().await;
        let matching = |follower: &Follower, table| follower.count(Change::Matching, table);
        if !is_silent {
            assert_eq!((matching(&follower, "c"), follower.count(Change::Delete, "c")), (0, 1));
        }
        let [one, two] = [1, 2].map(|times| if is_silent { times } else { 0 });
        assert_eq!((matching(&follower, "c"), matching(&follower, "n")), (one, one));
        assert_eq!(follower.count(Change::Recopy, "g"), one, "which of the children's children went is not in the log");
        server.sql("UPDATE p SET id = 20 WHERE id = 2; UPDATE p SET code = 'x'  WHERE id = 3");
        follower.agrees().await;
        assert_eq!(matching(&follower, "c"), two, "what nobody points to changed");
        server.sql("DELETE FROM s WHERE id = 1; SET foreign_key_checks = 0; DELETE FROM p WHERE id = 3");
        follower.agrees().await;
        assert_eq!(matching(&follower, "c"), two, "a session that looks at no foreign keys cascades nothing");
    }
}

/// Whether children are told is said by each event: a log may hold rows from before a setting, or a version, was changed.
#[tokio::test]
async fn one_log_is_silent_about_some_children_and_tells_of_others() {
    let mut server = Server::of(Kind::Mysql, &["--innodb-native-foreign-keys=ON"]);
    server.sql(
        "CREATE TABLE p (id INT PRIMARY KEY); CREATE TABLE c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) \
         REFERENCES p (id) ON DELETE CASCADE); INSERT INTO p VALUES (1), (2), (3), (4); \
         INSERT INTO c VALUES (1, 1), (2, 2), (3, 3), (4, 4)",
    );
    let mut follower = Follower::begin(&server, &["p", "c"]).await;
    server.sql("DELETE FROM p WHERE id = 1");
    server.set_flags(&[]);
    server.restart();
    server.sql("DELETE FROM p WHERE id = 2");
    follower.restart_anew(&server);
    follower.agrees().await;
    assert_eq!((follower.count(Change::Matching, "c"), follower.count(Change::Delete, "c")), (1, 1));
    server.sql("DELETE FROM p WHERE id = 3");
    server.set_flags(&["--innodb-native-foreign-keys=ON"]);
    server.restart();
    server.sql("DELETE FROM p WHERE id = 4");
    follower.restart_anew(&server);
    follower.agrees().await;
    assert_eq!((follower.count(Change::Matching, "c"), follower.count(Change::Delete, "c")), (2, 2));
}

#[tokio::test]
async fn a_parent_of_whose_row_only_part_is_logged_takes_no_child_along() {
    let server = Server::mariadb(&["--binlog-row-image=MINIMAL"]);
    server.sql(
        "CREATE TABLE p (a INT, b INT, name TEXT, PRIMARY KEY (a, b)); \
         CREATE TABLE c (id INT PRIMARY KEY, a INT, b INT, FOREIGN KEY (a, b) REFERENCES p (a, b) \
         ON DELETE CASCADE ON UPDATE CASCADE); \
         INSERT INTO p VALUES (1, 1, 'x'), (2, 2, 'y'), (3, 3, 'z'); \
         INSERT INTO c VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3)",
    );
    let mut follower = Follower::begin(&server, &["p", "c"]).await;
    server.sql("UPDATE p SET name = 'other' WHERE a = 1");
    follower.agrees().await;
    assert_eq!(follower.count(Change::Matching, "c") + follower.count(Change::Recopy, "c"), 0);
    server.sql("UPDATE p SET b = 20 WHERE a = 2; DELETE FROM p WHERE a = 3");
    follower.agrees().await;
    assert_eq!(follower.count(Change::Matching, "c"), 2, "half of the key is in the row before");
}

#[tokio::test]
async fn statements_instead_of_rows_stop_the_feed() {
    for (kind, flags) in SERVERS {
        let server = Server::of(*kind, flags);
        server.sql("CREATE TABLE t (id INT PRIMARY KEY)");
        let mut follower = Follower::begin(&server, &["t"]).await;
        server.sql("SET binlog_format = 'STATEMENT'; INSERT INTO t VALUES (1)");
        let error = follower.catch_up().await.expect_err("rows unseen");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.hint_text().is_some_and(|hint| hint.contains("binlog_format")), "{error:?}");
    }
}

#[tokio::test]
async fn tables_without_a_key_are_followed_row_by_row() {
    for (kind, flags) in SERVERS {
        let server = Server::of(*kind, flags);
        server.sql("CREATE TABLE t (a INT, b VARCHAR(5)); INSERT INTO t VALUES (1, 'x'), (1, 'x')");
        let mut follower = Follower::begin(&server, &["t"]).await;
        server.sql(
            "INSERT INTO t VALUES (1, 'x'), (2, NULL); DELETE FROM t WHERE a = 1 LIMIT 1; UPDATE t SET b = 'z' WHERE a = 2",
        );
        follower.agrees().await;
    }
}
