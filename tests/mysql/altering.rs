//! Tables that are altered: which shape rows of the log had, and what it is read from.

use super::{
    following::{FILES, Follower, JOB, name},
    reading::{settings, source},
};
use crate::support::{
    mysql::{Kind, PASSWORD, Server},
    wait::eventually,
};
use std::{sync::Arc, time::Duration};
use whimbrel::{
    connectors,
    model::{Action, Change, Checkpoint, KeyRange, Table},
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

#[tokio::test]
async fn children_of_children_follow_through_a_table_that_is_not_followed() {
    let server = Server::mariadb(&[]);
    server.sql("CREATE TABLE p (id INT PRIMARY KEY)");
    server.sql("CREATE TABLE m (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES p (id) ON DELETE CASCADE)");
    server.sql("CREATE TABLE c (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES m (id) ON DELETE CASCADE)");
    server.sql("INSERT INTO p VALUES (1), (2); INSERT INTO m VALUES (1), (2); INSERT INTO c VALUES (1), (2)");
    let mut follower = Follower::begin(&server, &["c"]).await;
    server.sql("DELETE FROM p WHERE id = 1");
    follower.agrees().await;
    server.sql("RENAME TABLE p TO q; DELETE FROM q WHERE id = 2");
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
            let (tables, _) = source.tables().await.expect("readable");
            let Some(table) = tables.into_iter().find(|table| table.name.name == "t") else { continue };
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
        let sent = || {
            let row = server.sql("SHOW GLOBAL STATUS LIKE 'Bytes_sent'");
            row.split_whitespace().last().and_then(|bytes| bytes.parse::<u64>().ok()).expect("a number")
        };
        let streams = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'";
        // From where it began, as behind a copy; then from where it came to.
        for start in 1..=2 {
            eventually("the stream from before is gone", async || (server.sql(streams) == "0\n").then_some(())).await;
            server.sql(&format!("INSERT INTO pad SELECT {start}, REPEAT('x', 4000000)"));
            server.sql(&format!("INSERT INTO t VALUES ({start}, 1, 1)"));
            let before = sent();
            follower.catch_up().await.expect("followed");
            follower.restart();
            let carried = sent() - before;
            assert!(
                (4_000_000..6_000_000).contains(&carried),
                "{kind:?}, start {start}: {carried} bytes for one reading of 4,000,000"
            );
            follower.restart_anew(&server);
        }
        // As many columns as before, of the same types: nothing in the log's own metadata tells.
        server.sql(
            "INSERT INTO t VALUES (3, 10, 20); ALTER TABLE t ADD c INT FIRST, DROP b; INSERT INTO t VALUES (1, 6, 30)",
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
        server.sql("INSERT INTO t (id, a, b) VALUES (9, 4, 5); ALTER TABLE t ADD COLUMN c INT FIRST");
        server.sql("INSERT INTO t (c, id, a, b) VALUES (1, 10, 6, 7); ALTER TABLE t DROP COLUMN c");
        server.sql("INSERT INTO t (id, a, b) VALUES (11, 8, 9)");
        follower.agrees().await;
    }
}

/// Hazard A4: what a parent's rows do to their children depends on keys that come, go, and follow a name.
#[tokio::test]
async fn foreign_keys_of_then_and_not_of_now_act_on_rows_of_the_log() {
    let tables = "CREATE TABLE p (id INT PRIMARY KEY); CREATE TABLE c (id INT PRIMARY KEY, p INT, v INT, CONSTRAINT f \
                  FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE); INSERT INTO p VALUES (1), (2), (3); \
                  INSERT INTO c VALUES (10, 1, 1), (20, 2, 2), (30, 3, 3)";
    for (names, then) in [
        (&["p", "c"][..], "DELETE FROM p WHERE id = 1; ALTER TABLE c DROP FOREIGN KEY f"),
        (&["c"], "DELETE FROM p WHERE id = 1; RENAME TABLE p TO q"),
        (&["c"], "RENAME TABLE p TO q; DELETE FROM q WHERE id = 1; RENAME TABLE q TO r; DELETE FROM r WHERE id = 2"),
        (
            &["p", "c"],
            "ALTER TABLE c DROP FOREIGN KEY f; DELETE FROM p WHERE id = 1; INSERT INTO p VALUES (1); ALTER TABLE c ADD \
             CONSTRAINT f FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE",
        ),
        (&["c"], "DELETE FROM c; ALTER TABLE c DROP COLUMN v"),
        (&["c"], "TRUNCATE c; ALTER TABLE c DROP COLUMN v"),
    ] {
        let server = Server::mariadb(&[]);
        server.sql(tables);
        let mut follower = Follower::begin(&server, names).await;
        follower.agrees().await;
        follower.restart_anew(&server);
        server.sql(then);
        follower.agrees().await;
    }
}

/// The first of two changes is applied, and then the key is gone.
#[tokio::test]
async fn a_parents_row_goes_although_its_childrens_key_is_gone_when_it_is_read_again() {
    let server = Server::mariadb(&[]);
    server.sql("CREATE TABLE p (id INT PRIMARY KEY)");
    server.sql(
        "CREATE TABLE c (id INT PRIMARY KEY, p INT, CONSTRAINT f FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)",
    );
    server.sql("INSERT INTO p VALUES (1); INSERT INTO c VALUES (10, 1)");
    let mut follower = Follower::begin(&server, &["p", "c"]).await;
    server.sql("DELETE FROM p");
    while follower.count(Change::Matching, "c") == 0 {
        follower.step().await.expect("followed");
    }
    assert_eq!(follower.count(Change::Delete, "p"), 0, "it comes behind");
    server.sql("ALTER TABLE c DROP FOREIGN KEY f");
    follower.restart_anew(&server);
    follower.agrees().await;
    assert_eq!(follower.count(Change::Delete, "p"), 1);
}

/// Who may only read is not told of foreign keys by the catalogue.
#[tokio::test]
async fn foreign_keys_are_known_to_an_account_that_may_only_read() {
    for kind in [Kind::Mariadb, Kind::Mysql] {
        let server = Server::of(kind, &[]);
        server.sql("CREATE TABLE p (id INT PRIMARY KEY)");
        server.sql("CREATE TABLE c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id) ON DELETE SET NULL)");
        server.sql(&format!("CREATE USER plain@'%' IDENTIFIED BY '{PASSWORD}'; GRANT SELECT ON shop.* TO plain@'%'"));
        let source = connectors::open(&settings(&server, "plain")).expect("good").source().expect("a source");
        let (tables, _) = source.tables().await.expect("readable");
        let child = tables.iter().find(|table| table.name.name == "c").expect("there");
        let key = child.foreign_keys.first().expect("told");
        assert_eq!((key.parent.name.as_str(), key.on_delete), ("p", Action::SetNull));
    }
}

/// Two targets: one stands before a table's rows that cannot be read any more, the other between two of them.
#[tokio::test]
async fn whoever_stands_further_on_is_told_again_that_a_table_is_copied() {
    let server = Server::mariadb(&[]);
    server.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT)");
    let mut follower = Follower::begin(&server, &["t"]).await;
    server.sql("INSERT INTO t VALUES (1, 1)");
    follower.agrees().await;
    let first = follower.at.clone();
    server.sql("INSERT INTO t VALUES (2, 2)");
    follower.agrees().await;
    let second = follower.at.clone();
    server.sql("INSERT INTO t VALUES (3, 3); ALTER TABLE t MODIFY v BIGINT");
    let source = source(&server);
    let mark = source.mark().await.expect("told");
    let mut feed = source.tail(JOB, &first, std::slice::from_ref(&second), &[name("t")]).await.expect("opens");
    let (mut early, mut late) = (0, 0);
    while !feed.passed(&mark) {
        let Next::Batch(batch) = feed.next(Duration::from_secs(1)).await.expect("followed") else { continue };
        let edge = second.get(&batch.partition).expect("the only one");
        let copied = batch.rows().mutations.iter().filter(|one| one.change == Change::Recopy).count();
        match source.order(&batch.to, edge).expect("one log").is_gt() {
            true => late += copied,
            false => early += copied,
        }
    }
    assert_eq!((early, late), (1, 1));
}

/// Hazard A2: the rows of a prepared transaction come with its end, which may be cut anywhere.
#[tokio::test]
async fn the_rest_of_a_prepared_transaction_comes_after_an_alter_of_another_of_its_tables() {
    let server = Server::mariadb(&[]);
    server.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT); CREATE TABLE u (id INT PRIMARY KEY, v INT)");
    let mut follower = Follower::begin(&server, &["t", "u"]).await;
    server.sql(
        "XA START 'x'; INSERT INTO t VALUES (1, 1), (2, 2), (3, 3), (4, 4); INSERT INTO u VALUES (1, 1), (2, 2), (3, 3); \
         XA END 'x'; XA PREPARE 'x'; XA COMMIT 'x'",
    );
    follower.agrees().await;
    let batch = follower.batches.iter().find(|batch| batch.rows().mutations.len() == 7).expect("all of it").clone();
    // Behind the first row of the second table.
    follower.at = Checkpoint::only(follower.source.cut(&batch, 5));
    server.sql("ALTER TABLE t MODIFY v BIGINT");
    follower.restart_anew(&server);
    follower.seen.clear();
    follower.agrees().await;
    assert_eq!(follower.count(Change::Upsert, "u"), 2);
}
