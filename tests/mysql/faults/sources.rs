//! What goes wrong with the source's server: its log is purged, a replica takes its place, it numbers in several domains.

use super::rig::Rig;
use crate::support::{
    mysql::{Kind, PASSWORD, Server},
    wait::until,
};
use whimbrel::control::v1::ObservedState;

const TABLES: &[&str] = &["t", "sentinel"];
const TABLE: &str = "CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)";

fn streaming(mut rig: Rig) -> Rig {
    rig.source.sql(TABLE);
    rig.start(None);
    rig.create("apply:\n  lanes: 4\n");
    rig.run_job();
    rig.settle();
    rig
}

#[test]
fn a_log_that_is_purged_under_a_paused_job_is_announced_and_then_lost() {
    for kind in [Kind::Mariadb, Kind::Mysql] {
        is_announced_and_then_lost(Rig::new((kind, &["--binlog-expire-logs-seconds=7200"]), (Kind::Mariadb, &[])));
    }
}

fn is_announced_and_then_lost(rig: Rig) {
    let mut rig = streaming(rig);
    assert!(rig.ask(&["job", "pause", super::rig::JOB]).status.success());
    rig.is(ObservedState::Paused);
    rig.source.sql("INSERT INTO t VALUES (10, 10)");
    let written = rig.source.sql("SELECT UNIX_TIMESTAMP() * 1000").trim().parse::<f64>().expect("a number") as i64;
    rig.source.sql("FLUSH BINARY LOGS; INSERT INTO t VALUES (11, 11); FLUSH BINARY LOGS");
    // A look at what rests is made when a daemon starts, too.
    rig.stop();
    rig.start(None);
    let held = until("it is known how much of the log is held", || {
        rig.job()?.status?.held.filter(|held| held.bytes > Some(0))
    });
    let sizes = rig.source.sql("SHOW BINARY LOGS");
    let all: u64 =
        sizes.lines().map(|line| line.split('\t').nth(1).expect("a size").parse::<u64>().expect("a size")).sum();
    assert!(held.bytes.expect("asked for") <= all, "{held:?} of {sizes}");
    let oldest = held.oldest_time.as_ref().expect("known").seconds * 1000;
    assert!((oldest - written).abs() < 20_000, "the oldest is of {oldest}, not of {written}");
    assert_eq!(held.kept.as_ref().map(|kept| kept.seconds), Some(7_200));
    until("the log is purged", || {
        let newest = rig.source.sql("SHOW BINARY LOGS");
        let newest = newest.lines().last()?.split('\t').next()?.to_owned();
        rig.source.sql(&format!("PURGE BINARY LOGS TO '{newest}'"));
        (rig.source.sql("SHOW BINARY LOGS").lines().count() == 1).then_some(())
    });
    // It may be lost before the start has its answer.
    rig.ask(&["job", "start", super::rig::JOB]);
    rig.is(ObservedState::Lost);
    let complaint = rig.complaint().expect("it says why");
    assert!(complaint.contains("purged") && complaint.contains("existing: replace"), "{complaint}");
    assert_eq!(rig.target.sql("SELECT COUNT(*) FROM t"), "3\n", "nothing was skipped");
    rig.stop();
}

/// A replica of the first that logs what it replicates.
fn replica_of(primary: &Server) -> Server {
    let replica = Server::of(Kind::Mariadb, &["--server-id=3", "--log-slave-updates"]);
    replica.sql(&format!(
        "DROP DATABASE shop; RESET MASTER; SET GLOBAL gtid_slave_pos = ''; \
         CHANGE MASTER TO master_host = '127.0.0.1', master_port = {}, master_user = 'reader', \
         master_password = '{PASSWORD}', master_use_gtid = slave_pos; START SLAVE; CREATE DATABASE IF NOT EXISTS shop",
        primary.port
    ));
    replica
}

fn caught_up(primary: &Server, replica: &Server) {
    let at = primary.sql("SELECT @@gtid_binlog_pos").trim().to_owned();
    until("the replica has all", || {
        let has = replica.try_sql(&format!("SELECT MASTER_GTID_WAIT('{at}', 1)"))?;
        (has == "0\n").then_some(())
    });
}

/// The job's source is one URL over both servers, the first alive.
fn over_both() -> (Rig, Server) {
    let primary = Server::of(Kind::Mariadb, &[]);
    primary.sql("SET sql_log_bin = 0; DROP DATABASE shop; SET sql_log_bin = 1; CREATE DATABASE shop");
    let replica = replica_of(&primary);
    let mut rig = Rig::between(primary, Server::of(Kind::Mariadb, &["--server-id=2"]));
    let url = format!("mysql://reader@127.0.0.1:{},127.0.0.1:{}/shop", rig.source.port, replica.port);
    let target = rig.target.url("writer");
    rig.write_config(&url, &target);
    (streaming(rig), replica)
}

fn promote(replica: &Server) {
    replica.sql("STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = 0");
}

#[test]
fn a_job_goes_on_at_a_replica_that_takes_over() {
    let (mut rig, replica) = over_both();
    rig.source.sql("INSERT INTO t VALUES (4, 4); UPDATE t SET v = 9 WHERE id = 1");
    rig.settle();
    // The last one is on the replica, and maybe not yet in the target.
    rig.source.sql("DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (5, 5)");
    caught_up(&rig.source, &replica);
    rig.source.kill();
    promote(&replica);
    replica.sql("INSERT INTO t VALUES (6, 6); UPDATE t SET id = 7 WHERE id = 3");
    rig.source = replica;
    rig.settle();
    rig.assert_equal(TABLES, "a failover");
    // And through a restart there.
    rig.kill();
    rig.source.sql("INSERT INTO t VALUES (8, 8)");
    rig.start(None);
    rig.settle();
    rig.assert_equal(TABLES, "a failover and a restart");
    rig.stop();
}

#[test]
fn a_replica_that_lacks_what_the_target_has_is_found_out() {
    let (mut rig, replica) = over_both();
    caught_up(&rig.source, &replica);
    replica.sql("STOP SLAVE");
    rig.source.sql("INSERT INTO t VALUES (4, 4); INSERT INTO t VALUES (5, 5)");
    rig.settle();
    rig.source.kill();
    promote(&replica);
    // As many of its own, under the numbers that the first one gave, and more.
    for id in 20..30 {
        replica.sql(&format!("INSERT INTO t VALUES ({id}, 0)"));
    }
    rig.source = replica;
    rig.is(ObservedState::Lost);
    let complaint = rig.complaint().expect("it says why");
    assert!(complaint.contains("existing: replace"), "{complaint}");
    rig.stop();
}

#[test]
fn transactions_of_several_domains_all_come() {
    let mut rig = streaming(Rig::new((Kind::Mariadb, &[]), (Kind::Mariadb, &[])));
    let mut sessions = [rig.source.session(), rig.source.session(), rig.source.session()];
    for (domain, session) in sessions.iter_mut().enumerate() {
        session.sql(&format!("SET SESSION gtid_domain_id = {}", domain * 7));
    }
    let mut id = 100;
    for round in 0..6 {
        for session in &mut sessions {
            for _ in 0..10 {
                id += 1;
                session.sql(&format!("INSERT INTO t VALUES ({id}, {round})"));
            }
            session.sql(&format!("UPDATE t SET v = v + 100 WHERE id % 5 = {round}"));
        }
        match round % 3 {
            0 => {
                rig.kill();
                rig.start(None);
            }
            1 => {
                rig.source.sql("FLUSH BINARY LOGS");
            }
            _ => {
                rig.target.kill();
                rig.target.start();
            }
        }
    }
    rig.settle();
    rig.assert_equal(TABLES, "several domains");
    assert_eq!(rig.source.sql("SELECT @@gtid_binlog_pos").split(',').count(), 3);
    rig.stop();
}

#[test]
fn another_server_in_the_sources_place_is_found_out() {
    let mut rig = streaming(Rig::new((Kind::Mariadb, &[]), (Kind::Mariadb, &[])));
    let other = Server::of(Kind::Mariadb, &[]);
    other.sql(TABLE);
    for id in 50..80 {
        other.sql(&format!("INSERT INTO t VALUES ({id}, 0)"));
    }
    rig.source.kill();
    rig.source.take_over(other);
    rig.is(ObservedState::Lost);
    assert_eq!(rig.target.sql("SELECT COUNT(*) FROM t"), "3\n", "nothing of the other one's came");
    rig.stop();
}
