//! What goes wrong with the source's server: its log is purged, a replica takes its place, it numbers in several domains.

use super::rig::Rig;
use crate::{
    mysql::following::FILES,
    support::{
        mysql::{Kind, PASSWORD, Server},
        wait::until,
    },
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
    let expires = "--binlog-expire-logs-seconds=7200";
    for (kind, flags) in
        [(Kind::Mariadb, &[expires][..]), (Kind::Mysql, &[expires]), (Kind::Mysql, &[expires, FILES[0], FILES[1]])]
    {
        is_announced_and_then_lost(Rig::new((kind, flags), (kind, &[])));
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
    let replica = Server::of(primary.kind, &["--server-id=3", "--log-slave-updates"]);
    let port = primary.port;
    replica.sql(&match primary.kind {
        Kind::Mariadb => format!(
            "DROP DATABASE shop; RESET MASTER; SET GLOBAL gtid_slave_pos = ''; \
             CHANGE MASTER TO master_host = '127.0.0.1', master_port = {port}, master_user = 'reader', \
             master_password = '{PASSWORD}', master_use_gtid = slave_pos; START SLAVE; CREATE DATABASE IF NOT EXISTS shop"
        ),
        _ => format!(
            "SET sql_log_bin = 0; DROP DATABASE shop; RESET BINARY LOGS AND GTIDS; \
             CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, SOURCE_USER = 'reader', \
             SOURCE_PASSWORD = '{PASSWORD}', SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1; START REPLICA"
        ),
    });
    replica
}

fn caught_up(primary: &Server, replica: &Server) {
    let (at, has) = match primary.kind {
        Kind::Mariadb => ("gtid_binlog_pos", "MASTER_GTID_WAIT"),
        _ => ("gtid_executed", "WAIT_FOR_EXECUTED_GTID_SET"),
    };
    let at = primary.sql(&format!("SELECT @@GLOBAL.{at}")).trim().replace("\\n", "");
    until("the replica has all", || {
        let has = replica.try_sql(&format!("SELECT {has}('{at}', 1)"))?;
        (has == "0\n").then_some(())
    });
}

/// The job's source is one URL over both servers, the first alive.
fn over_both(kind: Kind) -> (Rig, Server) {
    let primary = Server::of(kind, &[]);
    primary.sql("SET sql_log_bin = 0; DROP DATABASE shop; SET sql_log_bin = 1; CREATE DATABASE shop");
    let replica = replica_of(&primary);
    let mut rig = Rig::between(primary, Server::of(kind, &["--server-id=2"]));
    let url = format!("mysql://reader@127.0.0.1:{},127.0.0.1:{}/shop", rig.source.port, replica.port);
    let target = rig.target.url("writer");
    rig.write_config(&url, &target);
    (streaming(rig), replica)
}

fn stop_replicating(replica: &Server) {
    replica.sql(if replica.kind == Kind::Mariadb { "STOP SLAVE" } else { "STOP REPLICA" });
}

fn promote(replica: &Server) {
    stop_replicating(replica);
    replica.sql(match replica.kind {
        Kind::Mariadb => "RESET SLAVE ALL; SET GLOBAL read_only = 0",
        _ => "RESET REPLICA ALL; SET GLOBAL read_only = 0",
    });
}

#[test]
fn a_job_goes_on_at_a_replica_that_takes_over() {
    for kind in [Kind::Mariadb, Kind::Mysql] {
        goes_on_at_a_replica(kind);
    }
}

fn goes_on_at_a_replica(kind: Kind) {
    let (mut rig, replica) = over_both(kind);
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
    for kind in [Kind::Mariadb, Kind::Mysql] {
        is_found_out(kind);
    }
}

fn is_found_out(kind: Kind) {
    let (mut rig, replica) = over_both(kind);
    caught_up(&rig.source, &replica);
    stop_replicating(&replica);
    rig.source.sql("INSERT INTO t VALUES (4, 4); INSERT INTO t VALUES (5, 5)");
    rig.settle();
    rig.source.kill();
    promote(&replica);
    // As many of its own (in MariaDB under the numbers that the first one gave), and more.
    for id in 20..30 {
        replica.sql(&format!("INSERT INTO t VALUES ({id}, 0)"));
    }
    rig.source = replica;
    rig.is(ObservedState::Lost);
    let complaint = rig.complaint().expect("it says why");
    assert!(complaint.contains("existing: replace"), "{complaint}");
    assert_eq!(rig.target.sql("SELECT COUNT(*) FROM t WHERE id >= 20"), "0\n", "nothing of the other history came");
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
    for (kind, flags) in [(Kind::Mariadb, &[][..]), (Kind::Mysql, &[]), (Kind::Mysql, FILES)] {
        another_is_found_out(kind, flags);
    }
}

fn another_is_found_out(kind: Kind, flags: &[&str]) {
    let mut rig = streaming(Rig::new((kind, flags), (kind, &[])));
    let other = Server::of(kind, flags);
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
