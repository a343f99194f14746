//! What MySQL is just committing: counted where reads may have shown it, left out where it is given back.

use super::following::{FILES, Follower, JOB, name};
use super::reading::source;
use crate::support::{
    mysql::{Kind, Server},
    wait::{DEADLINE, until},
};
use std::time::Duration;
use tokio::time::timeout;
use whimbrel::model::Change;

const TABLE: &str = "CREATE TABLE t (id INT PRIMARY KEY, v INT, w INT)";

#[tokio::test]
pub async fn numbers_that_are_given_back_do_not_count() {
    for kind in [Kind::Mysql, Kind::Mysql56] {
        given_back(kind).await;
    }
}

async fn given_back(kind: Kind) {
    let server = Server::of(kind, &[]);
    server.sql(TABLE);
    server.sql("INSERT INTO t VALUES (0, 0, 0)");
    let mut follower = Follower::begin(&server, &["t"]).await;
    let uuid = server.sql("SELECT @@server_uuid").trim().to_owned();
    // As a replica's workers and whoever injects a transaction: the number is theirs from the beginning.
    let mut sessions = [server.session(), server.session(), server.session()];
    for (at, session) in sessions.iter_mut().enumerate() {
        session.sql(&format!("SET gtid_next = '{uuid}:{}'", (at + 1) * 1_000));
    }
    let [_, open, busy] = &mut sessions;
    open.sql("BEGIN; INSERT INTO t VALUES (2, 2, 2)");
    let id = busy.sql("BEGIN; INSERT INTO t VALUES (3, 3, 3); SELECT CONNECTION_ID()").trim().to_owned();
    busy.say("SELECT SLEEP(3600)");
    until("it sleeps", || {
        let state = server.sql(&format!("SELECT INFO FROM information_schema.PROCESSLIST WHERE ID = {id}"));
        state.contains("SLEEP").then_some(())
    });
    assert_eq!(server.sql("SELECT @@GLOBAL.gtid_owned").matches('#').count(), 3);

    let shape = follower.source.tables().await.expect("readable").0.remove(0);
    follower.copy(&shape).await;
    let (seen, mark) = (follower.source.seen(), follower.source.mark().await.expect("a mark"));
    assert!(!seen.is_empty());
    server.sql(&format!("KILL {id}"));
    for session in &mut sessions[..2] {
        session.sql("ROLLBACK; SET gtid_next = 'AUTOMATIC'");
    }
    until("all are given back", || server.sql("SELECT @@GLOBAL.gtid_owned").trim().is_empty().then_some(()));

    // What a start asks for: the server has all that was shown.
    source(&server).fetch(&[], &seen, 0).await.expect("nothing is waited for that never was");
    let mut tail = follower.source.tail(JOB, &follower.at, &[], &[name("t")]).await.expect("opens");
    let passing = async {
        while !tail.passed(&mark) {
            tail.next(Duration::from_millis(20)).await.expect("followed");
        }
    };
    timeout(DEADLINE, passing).await.expect("a mark over nothing is passed");
    // Another transaction may have the number.
    server.sql(&format!("SET gtid_next = '{uuid}:2000'; INSERT INTO t VALUES (20, 2, 2)"));
    follower.agrees().await;
    assert_eq!(follower.count(Change::Upsert, "t"), 1);
}

#[tokio::test]
async fn branches_that_wait_stand_in_nobody_s_way() {
    for (kind, flags) in [(Kind::Mysql, FILES), (Kind::Mysql56, &[]), (Kind::Mysql56, FILES)] {
        let server = Server::of(kind, flags);
        server.sql(TABLE);
        server.sql("CREATE TABLE isam (id INT PRIMARY KEY) ENGINE = MyISAM; SET GLOBAL binlog_row_image = 'MINIMAL'");
        let mut follower = Follower::begin(&server, &["t"]).await;
        let branches = [("idle", "SELECT * FROM t"), ("full", "INSERT INTO t VALUES (9, 9, 9)")];
        let foreign = ("foreign", "INSERT INTO isam VALUES (1)");
        let mut sessions = Vec::new();
        for (branch, does) in branches.into_iter().chain([foreign]) {
            let mut session = server.session();
            session.sql(&format!("XA START '{branch}'; {does}; XA END '{branch}'; XA PREPARE '{branch}'"));
            sessions.push((branch, session));
        }
        assert_eq!(server.sql("XA RECOVER").lines().count(), 3, "{kind:?}");
        // Others commit all the time.
        let mut writer = server.session();
        let many: String = (100..400).map(|id| format!("INSERT INTO t (id) VALUES ({id});")).collect();
        writer.say(&many);
        // Each row is read from the source, where what the log has must be shown.
        server.sql("INSERT INTO t (id) VALUES (1)");
        follower.catch_up().await.expect("followed");
        writer.answer();
        follower.agrees().await;
        for (branch, session) in &mut sessions {
            session.sql(&format!("XA COMMIT '{branch}'"));
        }
        follower.agrees().await;
        assert_eq!(server.sql("SELECT v FROM t WHERE id = 9"), "9\n", "{kind:?}");
        follower.restart();
        server.sql("INSERT INTO t (id) VALUES (2)");
        follower.agrees().await;
    }
}
