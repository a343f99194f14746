//! Where a log shows tables and branches otherwise than the catalogue: columns that only the server sees, keys that it
//! made, rows of a shape that has gone since, values that no statement wrote.

use super::{
    following::{FILES, Follower},
    reading::table,
};
use crate::support::mysql::{Kind, Server};
use whimbrel::model::Change;

#[tokio::test]
async fn texts_that_are_unique_as_a_whole_have_columns_that_only_the_log_shows() {
    for image in ["FULL", "MINIMAL", "NOBLOB"] {
        for metadata in ["NO_LOG", "FULL"] {
            let flags = [format!("--binlog-row-image={image}"), format!("--binlog-row-metadata={metadata}")];
            let server = Server::mariadb(&[&flags[0], &flags[1]]);
            server.sql(
                "CREATE TABLE one (id INT PRIMARY KEY, t TEXT UNIQUE); \
                 CREATE TABLE more (id INT PRIMARY KEY, t TEXT UNIQUE, g INT AS (id + 1) VIRTUAL, u VARCHAR(4000) UNIQUE, \
                 s INT AS (id * 2) STORED UNIQUE, i INT INVISIBLE DEFAULT 3, w BIGINT); \
                 CREATE TABLE keyless (t TEXT NOT NULL UNIQUE, v INT); \
                 CREATE TABLE memory (id INT PRIMARY KEY, v VARCHAR(9), UNIQUE (v) USING HASH) ENGINE = MEMORY; \
                 INSERT INTO one VALUES (0, 'zero'); INSERT INTO more (id, t, u) VALUES (0, 'zero', 'y')",
            );
            let mut follower = Follower::begin(&server, &["one", "more", "keyless", "memory"]).await;
            server.sql(
                "INSERT INTO one VALUES (1, 'x'), (2, NULL), (3, ''); UPDATE one SET t = 'y' WHERE id = 1; \
                 INSERT INTO more (id, t, u, w) VALUES (1, 'x', NULL, 1), (2, NULL, 'b', -1); \
                 UPDATE more SET w = 7; UPDATE more SET t = 'z', i = NULL WHERE id = 1; \
                 UPDATE more SET id = 9 WHERE id = 2; \
                 DELETE FROM one WHERE id = 0; DELETE FROM more WHERE id = 0; \
                 INSERT INTO keyless VALUES ('a', 1), ('b', 2); UPDATE keyless SET v = 3 WHERE t = 'a'; \
                 DELETE FROM keyless WHERE t = 'b'; INSERT INTO memory VALUES (1, 'a'); UPDATE memory SET v = 'c'",
            );
            follower.agrees().await;
            // And where one more came since.
            server.sql("ALTER TABLE one ADD n INT; INSERT INTO one VALUES (5, 'five', 5)");
            follower.agrees().await;
            server.sql("UPDATE one SET n = 6; ALTER TABLE one ADD UNIQUE long_n (n, t); UPDATE one SET t = 'late' WHERE id = 5");
            follower.restart();
            follower.agrees().await;
        }
    }
}

#[tokio::test]
async fn a_branch_that_was_applied_is_read_again_behind_an_alter_of_its_table() {
    for (kind, flags) in [(Kind::Mariadb, &[][..]), (Kind::Mysql, &[]), (Kind::Mysql, FILES)] {
        let server = Server::of(kind, flags);
        server.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT); CREATE TABLE u (id INT PRIMARY KEY)");
        let mut follower = Follower::begin(&server, &["t", "u"]).await;
        // It stays open, and the log is read again from before it.
        let mut first = server.session();
        first.sql("XA START 'x1'; INSERT INTO u VALUES (1); XA END 'x1'; XA PREPARE 'x1'");
        server.sql(
            "XA START 'x2'; INSERT INTO t VALUES (1, 1); XA END 'x2'; XA PREPARE 'x2'; XA COMMIT 'x2'; \
             ALTER TABLE t ADD c INT; INSERT INTO t VALUES (2, 2, 2)",
        );
        follower.agrees().await;
        follower.restart();
        server.sql("INSERT INTO t VALUES (3, 3, 3)");
        follower.agrees().await;
        follower.restart();
        first.sql("XA COMMIT 'x1'");
        follower.agrees().await;
        assert_eq!(follower.count(Change::Upsert, "t") + follower.count(Change::Recopy, "t"), 3, "{kind:?}: each once");
    }
}

#[tokio::test]
async fn a_key_that_the_server_made_and_hides_is_a_column_like_others() {
    let flags = ["--sql-generate-invisible-primary-key=ON", "--show-gipk-in-create-table-and-information-schema=OFF"];
    let server = Server::of(Kind::Mysql, &flags);
    server.sql("CREATE TABLE t (v INT); INSERT INTO t VALUES (1), (1), (2)");
    let mut follower = Follower::begin(&server, &["t"]).await;
    let shape = table(&*follower.source, "t").await;
    assert_eq!((shape.columns[0].name.as_str(), shape.key.as_slice()), ("my_row_id", &[0][..]));
    server.sql("INSERT INTO t VALUES (3); UPDATE t SET v = 4 WHERE v = 2; DELETE FROM t WHERE v = 1 LIMIT 1");
    follower.agrees().await;
    assert_eq!(server.sql("SELECT COUNT(*) FROM t"), "3\n");
}

#[tokio::test]
async fn what_a_child_computes_from_its_parent_follows_it() {
    let server = Server::mariadb(&[]);
    server.sql(
        "CREATE TABLE p (id INT PRIMARY KEY); \
         CREATE TABLE c (id INT PRIMARY KEY, p INT, g INT AS (p + 1) VIRTUAL, \
         FOREIGN KEY (p) REFERENCES p (id) ON DELETE SET NULL ON UPDATE CASCADE); \
         INSERT INTO p VALUES (1), (2), (3); INSERT INTO c (id, p) VALUES (1, 1), (2, 2), (3, 3)",
    );
    let mut follower = Follower::begin(&server, &["p", "c"]).await;
    server.sql("DELETE FROM p WHERE id = 1; UPDATE p SET id = 20 WHERE id = 2");
    follower.agrees().await;
    assert_eq!(server.sql("SELECT g FROM c ORDER BY id"), "NULL\n21\n4\n");
}

#[tokio::test]
async fn rows_are_named_by_the_key_that_the_server_logs() {
    for kind in [Kind::Mariadb, Kind::Mysql, Kind::Mysql56] {
        let server = Server::of(kind, &["--binlog-row-image=MINIMAL"]);
        server.sql(
            "CREATE TABLE t (n INT UNIQUE, a INT NOT NULL, b INT NOT NULL, c INT NOT NULL, w INT, \
             UNIQUE z (a, b), UNIQUE c (c)); INSERT INTO t VALUES (1, 1, 1, 1, 1), (2, 2, 2, 2, 2)",
        );
        let mut follower = Follower::begin(&server, &["t"]).await;
        server.sql("UPDATE t SET w = 5 WHERE c = 1; DELETE FROM t WHERE c = 2; INSERT INTO t VALUES (3, 3, 3, 3, 3)");
        follower.agrees().await;
    }
}
