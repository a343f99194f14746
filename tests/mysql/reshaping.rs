//! Columns that go and come back, and statements that change tables in an unusual dress.

use super::{faults::rig::Rig, following::Follower};
use crate::support::mysql::{Kind, Server};
use whimbrel::error::ErrorKind;

/// The target keeps a column that goes, with its values; the one that comes is empty.
#[test]
fn a_column_that_went_and_comes_back_is_empty() {
    for kind in [Kind::Mariadb, Kind::Mysql] {
        let mut rig = Rig::new((kind, &[]), (kind, &[]));
        rig.source.sql("CREATE TABLE t (id INT PRIMARY KEY, c INT, d INT); INSERT INTO t VALUES (1, 7, 1), (2, 8, 2)");
        rig.start(None);
        rig.create("apply:\n  lanes: 4\n");
        rig.run_job();
        rig.settle();
        let agrees = |rig: &Rig, what: &str| {
            let ask = "SELECT id, c, d FROM t ORDER BY id";
            assert_eq!(rig.target.sql(ask), rig.source.sql(ask), "{what}");
        };
        rig.source.sql("ALTER TABLE t DROP COLUMN c; INSERT INTO t VALUES (3, 3)");
        rig.source.sql("ALTER TABLE t ADD COLUMN c INT; INSERT INTO t VALUES (4, 4, 9)");
        rig.settle();
        agrees(&rig, "one after the other");
        rig.source.sql("ALTER TABLE t DROP COLUMN d");
        rig.settle();
        rig.stop();
        rig.source.sql("ALTER TABLE t ADD COLUMN d INT; UPDATE t SET d = 5 WHERE id = 2");
        rig.start(None);
        rig.settle();
        agrees(&rig, "after a restart");
        rig.stop();
        // Nothing of the table is logged between the two, so that the last shape is all that can be told.
        rig.source.sql(
            "ALTER TABLE t DROP COLUMN d; ALTER TABLE t ADD COLUMN d INT AFTER id; UPDATE t SET d = 6 WHERE id = 1",
        );
        rig.start(None);
        rig.settle();
        agrees(&rig, "both behind us");
        // Somebody took the table away: all its rows are copied again.
        rig.stop();
        rig.target.sql("RENAME TABLE t TO t_old");
        rig.source.sql("ALTER TABLE t ADD COLUMN e INT");
        rig.start(None);
        rig.settle();
        agrees(&rig, "a table that was taken away");
        rig.stop();
    }
}

/// What the source has no more may go at the target: where it cannot be empty, it must.
#[test]
fn a_column_that_is_gone_from_both_is_not_missed_and_a_late_table_stops_nothing() {
    let mut rig = Rig::new((Kind::Mariadb, &[]), (Kind::Mariadb, &[]));
    rig.source.sql("CREATE TABLE t (id INT PRIMARY KEY, must INT NOT NULL); INSERT INTO t VALUES (1, 7)");
    rig.start(None);
    rig.create("");
    rig.run_job();
    rig.settle();
    rig.source.sql("ALTER TABLE t DROP COLUMN must; INSERT INTO t VALUES (2)");
    let complaint = rig.complains("must not be NULL");
    assert!(complaint.contains("DROP COLUMN `must`"), "{complaint}");
    rig.target.sql("ALTER TABLE t DROP COLUMN must");
    rig.run_job();
    rig.settle();
    rig.stop();
    rig.source.sql("CREATE TABLE late (id INT PRIMARY KEY) WITH SYSTEM VERSIONING; INSERT INTO t VALUES (3)");
    rig.start(None);
    rig.settle();
    rig.assert_equal(&["t"], "a column that is gone from both");
    rig.stop();
}

/// MariaDB logs the statement behind `SET STATEMENT … FOR` as it was typed, with what stands before it.
#[tokio::test]
async fn settings_before_a_statement_hide_nothing() {
    let server = Server::mariadb(&[]);
    server.sql("CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT); INSERT INTO t VALUES (1, 1, 2)");
    let mut follower = Follower::begin(&server, &["t"]).await;
    follower.agrees().await;
    server.sql("SET STATEMENT lock_wait_timeout = 5, max_statement_time = (SELECT 1) FOR TRUNCATE TABLE t");
    server.sql("INSERT INTO t VALUES (2, 3, 4)");
    follower.agrees().await;
    // As many columns of the same types: nothing in the log's own metadata tells.
    server.sql("SET STATEMENT lock_wait_timeout = 5 FOR ALTER TABLE t DROP COLUMN b, ADD COLUMN c INT AFTER id");
    server.sql("INSERT INTO t VALUES (3, 5, 6)");
    follower.agrees().await;
    follower.restart_anew(&server);
    server.sql("INSERT INTO t VALUES (4, 7, 8); ALTER TABLE t ADD COLUMN IF NOT EXISTS c INT");
    follower.agrees().await;
    server.sql("RENAME TABLE t WAIT 5 TO u; CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (9)");
    follower.agrees().await;
}

#[tokio::test]
async fn a_database_that_is_made_anew_loses_its_rows() {
    let server = Server::mariadb(&[]);
    server.sql("CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1)");
    let mut follower = Follower::begin(&server, &["t"]).await;
    server.sql("INSERT INTO t VALUES (2)");
    follower.agrees().await;
    server.sql("CREATE OR REPLACE DATABASE shop; CREATE TABLE IF NOT EXISTS shop.t (id INT PRIMARY KEY)");
    server.sql("INSERT INTO t VALUES (9)");
    follower.agrees().await;
}

/// Rows would be left out without a word.
#[tokio::test]
async fn a_table_that_can_be_read_no_more_is_not_taken_for_gone() {
    let server = Server::mariadb(&[]);
    server.sql("CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1)");
    let mut follower = Follower::begin(&server, &["t"]).await;
    follower.agrees().await;
    server.sql("ALTER TABLE t ADD SYSTEM VERSIONING; INSERT INTO t VALUES (2)");
    for _ in 0..2 {
        let error = follower.catch_up().await.expect_err("its rows are lost otherwise");
        assert!(error.kind() == ErrorKind::Config && error.to_string().contains("system-versioned"), "{error:?}");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("!shop.t")), "{error:?}");
        follower.restart_anew(&server);
    }
}

/// A start asks what `plan` shows.
#[test]
fn a_job_does_not_start_without_a_table_that_it_names() {
    let mut rig = Rig::new((Kind::Mariadb, &[]), (Kind::Mariadb, &[]));
    rig.source.sql("CREATE TABLE t (id INT PRIMARY KEY); CREATE TABLE v (id INT PRIMARY KEY) WITH SYSTEM VERSIONING");
    rig.start(None);
    rig.create("");
    rig.ask(&["job", "start", super::faults::rig::JOB]);
    let complaint = rig.complains("system-versioned");
    assert!(complaint.contains("!shop.v"), "{complaint}");
    rig.stop();
}
