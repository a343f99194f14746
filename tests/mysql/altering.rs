//! Tables that are altered: which shape rows of the log had, and what it is read from.

use super::{
    following::{FILES, Follower},
    reading::source,
};
use crate::support::{
    mysql::{Kind, Server},
    wait::eventually,
};
use std::{sync::Arc, time::Duration};
use whimbrel::{
    model::{Change, Checkpoint, KeyRange, Table},
    source::{Columns, Next},
};

#[tokio::test]
async fn the_rest_of_a_transaction_that_an_alter_has_made_unreadable_is_copied() {
    for kind in [Kind::Mariadb, Kind::Mysql] {
        let server = Server::of(kind, &[]);
        server.numbers(&[25_000]);
        server.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(600))");
        let mut follower = Follower::begin(&server, &["t"]).await;
        server.sql("INSERT INTO t SELECT seq, REPEAT('x', 600) FROM numbers.seq_1_to_25000");
        while follower.batches.is_empty() {
            follower.step().await.expect("followed");
        }
        assert!(!follower.batches[0].complete, "cut inside");
        server.sql("ALTER TABLE t MODIFY v VARCHAR(700) NOT NULL");
        follower.restart_anew(&server);
        follower.agrees().await;
        assert_eq!(follower.count(Change::Recopy, "t"), 1);
    }
}

#[tokio::test]
async fn children_follow_a_parent_that_got_another_name() {
    let server = Server::mariadb(&[]);
    server.sql("CREATE TABLE p (id INT PRIMARY KEY)");
    server.sql("CREATE TABLE c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)");
    server.sql("INSERT INTO p VALUES (1), (2); INSERT INTO c VALUES (10, 1), (20, 2)");
    let mut follower = Follower::begin(&server, &["c"]).await;
    follower.agrees().await;
    server.sql("RENAME TABLE p TO q; DELETE FROM q WHERE id = 1");
    follower.agrees().await;
    server.sql("DELETE FROM q WHERE id = 2");
    follower.agrees().await;
}

/// The catalogue is read by several queries.
#[tokio::test]
async fn the_columns_of_a_table_are_those_of_its_statement_while_it_is_altered() {
    for kind in [Kind::Mariadb, Kind::Mysql] {
        let server = Arc::new(Server::of(kind, &[]));
        server.sql("CREATE TABLE t (id INT PRIMARY KEY, a INT); INSERT INTO t VALUES (1, 1)");
        let source = source(&server);
        let altering = Arc::clone(&server);
        let altering = tokio::task::spawn_blocking(move || {
            (0..8)
                .for_each(|_| drop(altering.sql(&"ALTER TABLE t ADD c INT FIRST; ALTER TABLE t DROP c; ".repeat(20))));
        });
        let is_whole = |table: &Table| {
            let has_c = table.columns.iter().any(|column| column.name == "c");
            table.definition.as_ref().expect("told").contains("`c` int") == has_c
        };
        let mut read = 0;
        while !altering.is_finished() {
            // It may say that the table is never still.
            let Ok((tables, _)) = source.tables().await else { continue };
            let table = tables.into_iter().find(|table| table.name.name == "t").expect("there");
            assert!(is_whole(&table), "{table:?}");
            let copy = source.copy(&table, &KeyRange::all(), Columns::All, &Checkpoint::default()).await;
            if let Ok(mut feed) = copy
                && let Ok(Next::Batch(batch)) = feed.next(Duration::from_secs(5)).await
            {
                assert!(is_whole(&batch.rows().shapes[0]), "{:?}", batch.rows().shapes[0]);
            }
            read += 1;
        }
        assert!(read > 3, "{read}");
    }
}

#[tokio::test]
pub async fn a_log_is_read_once_after_a_restart_unless_a_table_was_altered_meanwhile() {
    for (kind, flags) in &[(Kind::Mariadb, &[][..]), (Kind::Mysql, &[]), (Kind::Mysql, FILES)] {
        let server = Server::of(*kind, flags);
        server.sql(
            "CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT); CREATE TABLE pad (id INT PRIMARY KEY, p LONGTEXT)",
        );
        let mut follower = Follower::begin(&server, &["t", "pad"]).await;
        server.sql("INSERT INTO t VALUES (1, 1, 1)");
        follower.agrees().await;
        follower.restart_anew(&server);
        let streams = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'";
        eventually("the stream from before is gone", async || (server.sql(streams) == "0\n").then_some(())).await;
        server.sql("INSERT INTO pad SELECT 1, REPEAT('x', 4000000)");
        let sent = || {
            let row = server.sql("SHOW GLOBAL STATUS LIKE 'Bytes_sent'");
            row.split_whitespace().last().and_then(|bytes| bytes.parse::<u64>().ok()).expect("a number")
        };
        let before = sent();
        follower.catch_up().await.expect("followed");
        follower.restart();
        let carried = sent() - before;
        assert!((4_000_000..6_000_000).contains(&carried), "{carried} bytes for one reading of 4,000,000");
        // As many columns as before, of the same types: nothing in the log's own metadata tells.
        server.sql(
            "INSERT INTO t VALUES (2, 10, 20); ALTER TABLE t ADD c INT FIRST, DROP b; INSERT INTO t VALUES (1, 3, 30)",
        );
        follower.restart_anew(&server);
        follower.agrees().await;
        server.sql("ALTER TABLE t DROP c, ADD b INT");
        follower.agrees().await;
        // One column more.
        follower.restart_anew(&server);
        server.sql(
            "INSERT INTO t (id, a, b) VALUES (7, 7, 7); ALTER TABLE t ADD d INT; INSERT INTO t VALUES (8, 8, 8, 8)",
        );
        follower.agrees().await;
        // There, and back again.
        follower.restart_anew(&server);
        server.sql("INSERT INTO t (id, a, b) VALUES (4, 4, 5); ALTER TABLE t ADD COLUMN c INT FIRST");
        server.sql("INSERT INTO t (c, id, a, b) VALUES (1, 5, 6, 7); ALTER TABLE t DROP COLUMN c");
        server.sql("INSERT INTO t (id, a, b) VALUES (6, 8, 9)");
        follower.agrees().await;
    }
}
