//! Where a job begins and goes on: what a snapshot does not show is behind it; a log that forgot something is found out.

use super::{
    following::{FILES, Follower, JOB, SERVERS},
    reading::{drain, source},
};
use crate::support::{
    mysql::{Kind, Server},
    wait::{DEADLINE, eventually, until},
};
use std::{path::Path, process::Command};
use whimbrel::{
    error::ErrorKind,
    model::{Change, KeyRange},
    source::{Columns, Next},
};

const TABLE: &str = "CREATE TABLE t (id INT PRIMARY KEY, v INT)";

/// Commits that wait for a replica, which never comes: what turns that on and off, and where the log ends meanwhile.
const WAITING: &[(Kind, &[&str], &str, &str, &str)] = &[
    (
        Kind::Mariadb,
        &[],
        "SET GLOBAL rpl_semi_sync_master_enabled = ON, GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC, \
         GLOBAL rpl_semi_sync_master_timeout = 3600000, GLOBAL rpl_semi_sync_master_wait_no_slave = ON",
        "SET GLOBAL rpl_semi_sync_master_enabled = OFF",
        "SHOW MASTER STATUS",
    ),
    (Kind::Mysql, &[], SEMI_SYNC, "SET GLOBAL rpl_semi_sync_source_enabled = OFF", "SHOW BINARY LOG STATUS"),
    (Kind::Mysql, FILES, SEMI_SYNC, "SET GLOBAL rpl_semi_sync_source_enabled = OFF", "SHOW BINARY LOG STATUS"),
];

const SEMI_SYNC: &str = "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'; \
    SET GLOBAL rpl_semi_sync_source_enabled = ON, GLOBAL rpl_semi_sync_source_wait_point = AFTER_SYNC, \
    GLOBAL rpl_semi_sync_source_timeout = 3600000, GLOBAL rpl_semi_sync_source_wait_no_replica = ON";

#[tokio::test]
pub async fn a_commit_that_waits_for_its_replica_is_behind_the_begin() {
    // Hazard E3: the log has the transaction, no read shows it.
    for (kind, flags, on, off, end) in WAITING {
        let server = Server::of(*kind, flags);
        server.sql(TABLE);
        server.sql(on);
        let before = server.sql(end);
        let mut waiting = server.session();
        waiting.say("INSERT INTO t VALUES (1, 1)");
        until("the log has it", || (server.sql(end) != before).then_some(()));
        assert_eq!(server.sql("SELECT COUNT(*) FROM t"), "0\n");
        let mut follower = match flags.is_empty() {
            true => {
                let follower = Follower::begin(&server, &["t"]).await;
                server.sql(off);
                follower
            }
            // Where files are counted there is no place before it: who begins waits until it is shown.
            false => {
                let ours = "SELECT 1 FROM information_schema.PROCESSLIST WHERE USER = 'reader' AND COMMAND = 'Sleep'";
                let release = async {
                    eventually("somebody begins", async || (!server.sql(ours).is_empty()).then_some(())).await;
                    server.sql(off);
                };
                let ((), follower) = tokio::join!(release, Follower::begin(&server, &["t"]));
                follower
            }
        };
        waiting.answer();
        follower.agrees().await;
        assert_eq!(server.sql("SELECT COUNT(*) FROM t"), "1\n");
        assert_eq!(follower.count(Change::Upsert, "t"), usize::from(flags.is_empty()), "{kind:?}");
    }
}

#[tokio::test]
async fn a_mark_holds_what_a_read_has_shown_and_a_fetch_what_the_log_has() {
    // A row in the log that no read shows yet: the tail has it, and a fetch for it waits until it is shown.
    for (kind, flags, on, off, end) in WAITING {
        let server = Server::of(*kind, flags);
        server.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT, w INT)");
        server.sql("SET GLOBAL binlog_row_image = 'MINIMAL'");
        let mut follower = Follower::begin(&server, &["t"]).await;
        // A branch that has changed nothing is no transaction of the engine's: it must hide none.
        let mut branch = server.session();
        branch.sql("XA START 'idle'; SELECT * FROM t; XA END 'idle'; XA PREPARE 'idle'");
        server.sql(on);
        let before = server.sql(end);
        let mut waiting = server.session();
        // What the log does not tell of it must be fetched.
        waiting.say("INSERT INTO t (id) VALUES (1)");
        until("the log has it", || (server.sql(end) != before).then_some(()));
        // Whoever waits for the row asks again and again.
        let questions = || -> u64 {
            let asked = server.sql(
                "SHOW GLOBAL STATUS WHERE Variable_name IN ('Com_select', 'Com_show_engine_status', 'Com_show_status')",
            );
            asked.lines().filter_map(|line| line.split('\t').nth(1)?.parse::<u64>().ok()).sum()
        };
        let (before, done) = (questions(), std::cell::Cell::new(false));
        let release = async {
            let waits = async || (done.get() || questions() > before + 150).then_some(());
            eventually("somebody waits for the row", waits).await;
            server.sql(off);
        };
        let following = async {
            let followed = follower.catch_up().await;
            done.set(true);
            followed
        };
        let ((), followed) = tokio::join!(release, following);
        followed.expect("followed");
        waiting.answer();
        follower.agrees().await;
        assert_eq!(follower.count(Change::Touched, "t"), 1, "{kind:?}");
    }
}

#[tokio::test]
pub async fn a_table_without_a_key_is_copied_at_the_place_of_its_snapshot() {
    // The same for a copy of which the position must be exact: what it does not show comes from the log.
    let server = Server::mariadb(&[]);
    server.sql("CREATE TABLE t (v INT)");
    let source = source(&server);
    let shapes = source.tables().await.expect("readable").0;
    let begun = source.begin(JOB, &shapes).await.expect("begun");
    server.sql(
        "SET GLOBAL rpl_semi_sync_master_enabled = ON, GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC, \
         GLOBAL rpl_semi_sync_master_timeout = 3600000, GLOBAL rpl_semi_sync_master_wait_no_slave = ON",
    );
    let before = server.sql("SELECT @@gtid_binlog_pos");
    let mut waiting = server.session();
    waiting.say("INSERT INTO t VALUES (1)");
    until("the log has it", || (server.sql("SELECT @@gtid_binlog_pos") != before).then_some(()));
    let mut feed = source.copy(&shapes[0], &KeyRange::all(), Columns::All, &begun).await.expect("opens");
    let at = feed.stands_at().expect("a table without a key");
    assert!(drain(&mut *feed).await.expect("readable").is_empty(), "it is not shown yet");
    server.sql("SET GLOBAL rpl_semi_sync_master_enabled = OFF");
    waiting.answer();
    let mark = source.mark().await.expect("asked");
    let mut tail = source.tail(JOB, &at, &[], &[shapes[0].name.clone()]).await.expect("opens");
    let mut rows = 0;
    while !tail.passed(&mark) {
        if let Next::Batch(batch) = tail.next(DEADLINE).await.expect("followed") {
            rows += batch.rows().mutations.len();
        }
    }
    assert_eq!(rows, 1, "neither in the copy nor in the log");
}

#[tokio::test]
pub async fn rows_of_a_prepared_transaction_come_with_its_end() {
    // Hazard E6: behind a begin the log would hold `XA COMMIT` alone. (MySQL 5.6 logs nothing before the end.)
    for (kind, flags) in [(Kind::Mariadb, &[][..]), (Kind::Mysql, &[]), (Kind::Mysql, FILES)] {
        let mut server = Server::of(kind, flags);
        server.sql(TABLE);
        let mut early = server.session();
        early.sql("XA START 'early'; INSERT INTO t VALUES (1, 1); XA END 'early'; XA PREPARE 'early'");
        let unfollowed = source(&server);
        let tables = unfollowed.tables().await.expect("readable").0;
        let error = unfollowed.begin(JOB, &tables).await.expect_err("it could end behind the begin");
        assert_eq!(error.kind(), ErrorKind::Transient);
        assert!(error.to_string().contains("early") && error.hint_text().is_some(), "{error:?}");
        early.sql("XA COMMIT 'early'");

        let mut follower = Follower::begin(&server, &["t"]).await;
        let mut sessions = [server.session(), server.session()];
        for (session, id) in sessions.iter_mut().zip([2, 3]) {
            session.sql(&format!(
                "XA START 'x{id}', 'b'; INSERT INTO t VALUES ({id}, 1); UPDATE t SET v = 9 WHERE id = {id}; \
                 XA END 'x{id}', 'b'; XA PREPARE 'x{id}', 'b'"
            ));
        }
        server.sql("INSERT INTO t VALUES (10, 10)");
        follower.agrees().await;
        // It is read again from before the oldest that is open, wherever it went on from.
        for round in 0..2 {
            follower.restart();
            server.sql(&format!("INSERT INTO t VALUES ({}, 0)", 20 + round));
            follower.agrees().await;
        }
        // The server holds them over its own restart, too.
        drop(sessions);
        server.restart();
        follower.restart_anew(&server);
        server.sql("INSERT INTO t VALUES (30, 0)");
        follower.agrees().await;
        server.sql("XA ROLLBACK 'x3', 'b'");
        follower.restart();
        server.sql("XA COMMIT 'x2', 'b'");
        follower.agrees().await;
        assert!(follower.seen.iter().filter(|(change, _)| *change == Change::Upsert).count() >= 5);
        follower.restart();
        server.sql("XA START 'one'; INSERT INTO t VALUES (4, 4); XA END 'one'; XA COMMIT 'one' ONE PHASE");
        follower.agrees().await;
        assert_eq!(server.sql("SELECT COUNT(*) FROM t"), "7\n");
    }
}

#[tokio::test]
async fn an_old_server_logs_a_prepared_transaction_where_it_ends() {
    for flags in [&[][..], FILES] {
        let server = Server::of(Kind::Mysql56, flags);
        server.sql(TABLE);
        let mut session = server.session();
        session.sql("XA START 'early'; INSERT INTO t VALUES (1, 1); XA END 'early'; XA PREPARE 'early'");
        let unfollowed = source(&server);
        let tables = unfollowed.tables().await.expect("readable").0;
        let error = unfollowed.begin(JOB, &tables).await.expect_err("one is prepared");
        assert!(error.is_transient() && error.to_string().contains("early"), "{error:?}");
        session.sql("XA COMMIT 'early'");
        let mut follower = Follower::begin(&server, &["t"]).await;
        session.sql("XA START 'x'; INSERT INTO t VALUES (2, 2); XA END 'x'; XA PREPARE 'x'");
        for id in [10, 11] {
            // It is on no side yet, and keeps nobody.
            server.sql(&format!("INSERT INTO t VALUES ({id}, 0)"));
            follower.agrees().await;
            follower.restart();
        }
        assert_eq!(follower.count(Change::Upsert, "t"), 2);
        session.sql("XA COMMIT 'x'");
        follower.agrees().await;
        follower.restart();
        session.sql(
            "XA START 'y'; INSERT INTO t VALUES (3, 3); XA END 'y'; XA PREPARE 'y'; XA ROLLBACK 'y'; \
             XA START 'z'; INSERT INTO t VALUES (4, 4); XA END 'z'; XA COMMIT 'z' ONE PHASE",
        );
        follower.agrees().await;
        assert_eq!((follower.count(Change::Upsert, "t"), server.sql("SELECT SUM(id) FROM t")), (4, "28\n".to_owned()));
    }
}

#[tokio::test]
async fn numbers_of_a_session_s_own_choice_are_followed() {
    let server = Server::of(Kind::Mysql, &[]);
    server.sql(TABLE);
    server.sql("SET gtid_next = 'AUTOMATIC:early'; INSERT INTO t VALUES (1, 1)");
    // Nobody can ask for those before us any more.
    server.sql("FLUSH BINARY LOGS; PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY");
    assert_eq!(server.sql("SHOW BINARY LOGS").lines().count(), 1);
    let mut follower = Follower::begin(&server, &["t"]).await;
    let other = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    server.sql(&format!(
        "SET gtid_next = 'AUTOMATIC:tagx'; INSERT INTO t VALUES (2, 2); INSERT INTO t VALUES (3, 3); \
         SET gtid_next = '{other}:7'; INSERT INTO t VALUES (4, 4); SET gtid_next = '{other}:tagx:5'; BEGIN; COMMIT; \
         SET gtid_next = '{other}:tagx:3'; INSERT INTO t VALUES (5, 5)"
    ));
    follower.agrees().await;
    follower.restart();
    server.sql("SET gtid_next = 'AUTOMATIC:early'; INSERT INTO t VALUES (6, 6); SET gtid_next = 'AUTOMATIC'; DELETE FROM t WHERE id = 1");
    follower.agrees().await;
    let ids: usize = (2..=6).sum();
    assert_eq!(follower.count(Change::Upsert, "t"), 5, "each once");
    assert_eq!(server.sql("SELECT SUM(id) FROM t"), format!("{ids}\n"));
}

#[tokio::test]
async fn a_log_that_rotates_and_a_server_that_restarts_are_followed_on() {
    for (kind, flags) in SERVERS {
        let mut server = Server::of(*kind, flags);
        server.sql(TABLE);
        let mut follower = Follower::begin(&server, &["t"]).await;
        server.sql("INSERT INTO t VALUES (1, 1); FLUSH BINARY LOGS; INSERT INTO t VALUES (2, 2); FLUSH BINARY LOGS");
        follower.agrees().await;
        server.restart();
        server.sql("INSERT INTO t VALUES (3, 3)");
        let error = follower.catch_up().await.err();
        assert!(error.as_ref().is_none_or(|error| error.kind() == ErrorKind::Transient), "{error:?}");
        follower.agrees().await;
        server.kill();
        server.start();
        server.sql("INSERT INTO t VALUES (4, 4)");
        let error = follower.catch_up().await.err();
        assert!(error.as_ref().is_none_or(|error| error.kind() == ErrorKind::Transient), "{error:?}");
        follower.agrees().await;
        // Purged up to where we stand, and no further: nothing is missing.
        follower.restart();
        server.sql("FLUSH BINARY LOGS");
        if *flags == FILES {
            // What is left of a file is not known before it was read.
            follower.agrees().await;
            follower.restart();
        }
        let newest =
            server.sql("SHOW BINARY LOGS").lines().last().and_then(|line| line.split('\t').next().map(str::to_owned));
        server.sql(&format!("PURGE BINARY LOGS TO '{}'", newest.expect("a file")));
        server.sql("INSERT INTO t VALUES (5, 5)");
        follower.agrees().await;
    }
}

#[tokio::test]
async fn a_log_that_was_purged_or_made_anew_is_lost() {
    for (kind, flags) in SERVERS {
        for forget in [
            "INSERT INTO t VALUES (2, 2); FLUSH BINARY LOGS",
            kind.reset(),
            &format!("{}; INSERT INTO t VALUES (2, 2), (3, 3)", kind.reset()),
        ] {
            let server = Server::of(*kind, flags);
            server.sql(TABLE);
            let mut follower = Follower::begin(&server, &["t"]).await;
            server.sql("INSERT INTO t VALUES (1, 1)");
            follower.agrees().await;
            follower.restart();
            server.sql(forget);
            until("the log is as it should be", || {
                // A file that is being sent, also to somebody who has gone, stays.
                server.sql("PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY");
                (server.sql("SHOW BINARY LOGS").lines().count() == 1).then_some(())
            });
            let error = follower.catch_up().await.expect_err(forget);
            assert_eq!(error.kind(), ErrorKind::Lost, "{forget}: {error:?}");
            assert!(error.hint_text().is_some(), "{forget}: {error:?}");
            let error = follower.source.backlog(JOB, &follower.at).await.expect_err(forget);
            assert_eq!(error.kind(), ErrorKind::Lost, "{forget}: {error:?}");
        }
    }
}

const NOW: &str = "SELECT UNIX_TIMESTAMP()";

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("`cp` runs");
    assert!(done.success());
}

#[tokio::test]
pub async fn a_server_that_was_put_back_to_a_backup_is_found_out() {
    for (kind, flags) in SERVERS {
        let mut server = Server::of(*kind, flags);
        server.sql(TABLE);
        let mut follower = Follower::begin(&server, &["t"]).await;
        server.sql("INSERT INTO t VALUES (1, 1)");
        server.stop();
        let (data, backup) = (server.path().join("data"), server.path().join("backup"));
        copy(&data, &backup);
        server.start();
        server.sql("INSERT INTO t VALUES (2, 2); INSERT INTO t VALUES (3, 3)");
        let last = server.sql(NOW);
        follower.restart_anew(&server);
        follower.agrees().await;
        follower.restart();
        server.stop();
        std::fs::remove_dir_all(&data).expect("ours");
        copy(&backup, &data);
        server.start();
        // Its end is before us (invariant 8, the near side) ...
        follower.restart_anew(&server);
        let error = follower.catch_up().await.expect_err("forgotten");
        assert_eq!(error.kind(), ErrorKind::Lost, "{error:?}");
        // ... and behind it come others under the numbers that we have seen (hazard A13).
        until("a second that was not seen yet", || (server.sql(NOW) > last).then_some(()));
        server.sql("INSERT INTO t VALUES (20, 2); INSERT INTO t VALUES (30, 3); INSERT INTO t VALUES (40, 4)");
        let error = follower.catch_up().await.expect_err("another history");
        assert_eq!(error.kind(), ErrorKind::Lost, "{error:?}");
        assert!(error.to_string().contains("anew"), "{error}");
    }
}

#[tokio::test]
pub async fn a_server_that_was_put_back_behind_a_begin_is_found_out_before_anything_is_applied() {
    for (kind, flags) in SERVERS {
        let mut server = Server::of(*kind, flags);
        server.sql(TABLE);
        server.sql("INSERT INTO t VALUES (1, 1)");
        server.back_up();
        server.sql("INSERT INTO t VALUES (2, 2); INSERT INTO t VALUES (3, 3)");
        let mut follower = Follower::begin(&server, &["t"]).await;
        // What is before it is not told again.
        follower.agrees().await;
        assert_eq!(follower.seen.len(), 0, "{kind:?} {flags:?}");
        // As one that began, copied, and was not there when the server forgot.
        let mut copied = Follower::begin(&server, &["t"]).await;
        server.restore();
        server.sql("INSERT INTO t VALUES (20, 2); INSERT INTO t VALUES (30, 3); INSERT INTO t VALUES (40, 4)");
        copied.restart_anew(&server);
        let error = copied.catch_up().await.expect_err("another history");
        assert_eq!(error.kind(), ErrorKind::Lost, "{kind:?} {flags:?}: {error:?}");
        assert!(error.to_string().contains("anew"), "{error}");
    }
}
