//! What goes wrong with the target's server: it stalls, forgets, is full, takes no writes, or nobody in.

use super::rig::Rig;
use crate::support::{
    mysql::{Kind, PASSWORD, Server, Session},
    wait::until,
};
use std::time::{Duration, Instant};
use whimbrel::control::v1::ObservedState;

const TABLES: &[&str] = &["t", "sentinel"];

/// Both ends are of this kind: where they differ, a green run on one proves nothing of the other.
const KINDS: [Kind; 2] = [Kind::Mariadb, Kind::Mysql];

/// A job that streams a table of a few rows, by an account that may only what the README grants.
fn streaming(kind: Kind, target_flags: &[&str]) -> Rig {
    let mut rig = Rig::new((kind, &[]), (kind, target_flags));
    rig.target.sql(&format!("CREATE USER plain@'%' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON shop.* TO plain@'%'"));
    let urls = (rig.source.url("reader"), rig.target.url("plain"));
    rig.write_config(&urls.0, &urls.1);
    rig.source.sql("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v INT, pad VARCHAR(200))");
    rig.source.sql("INSERT INTO t (v, pad) VALUES (1, 'a'), (2, 'b'), (3, 'c')");
    rig.start(None);
    rig.create("apply:\n  lanes: 4\n");
    rig.run_job();
    rig.settle();
    rig
}

/// Rows at the source, whatever the target does.
fn write(rig: &Rig) {
    rig.source.sql("INSERT INTO t (v, pad) SELECT v + 1, 'new' FROM t LIMIT 50; UPDATE t SET v = v + 1; DELETE FROM t WHERE id % 7 = 3");
}

fn comes_through(rig: &mut Rig, what: &str) {
    write(rig);
    rig.settle();
    rig.assert_equal(TABLES, what);
}

/// Five minutes where there is time: as long as somebody looks for a cause.
fn stalls(rig: &Rig) {
    let wanted = Duration::from_secs(if std::env::var_os("WHIMBREL_LONG").is_some() { 300 } else { 1 });
    let started = Instant::now();
    loop {
        // Invariant 9: never "streaming" meanwhile, once the evidence is stale.
        rig.is(ObservedState::Stalled);
        if started.elapsed() >= wanted {
            return;
        }
    }
}

#[test]
fn a_target_that_stalls_or_forgets_or_takes_nothing_or_nobody_is_waited_for_or_named() {
    for kind in KINDS {
        let mut rig = streaming(kind, &["--max-connections=10"]);
        a_stall_is_waited_for(&mut rig);
        becoming_read_only_is_named(&mut rig);
        missing_grants_are_named(&mut rig);
        no_room_for_connections_is_waited_for(&mut rig);
        lost_commits_come_again(&mut rig);
    }
}

fn a_stall_is_waited_for(rig: &mut Rig) {
    let process = i32::try_from(rig.target.id()).expect("a pid");
    // SAFETY: signals to our own child, which is not waited for yet.
    unsafe { libc::kill(process, libc::SIGSTOP) };
    write(rig);
    stalls(rig);
    unsafe { libc::kill(process, libc::SIGCONT) };
    comes_through(rig, "a server that stood still");

    let mut holder = rig.target.session();
    holder.sql("FLUSH TABLES WITH READ LOCK");
    write(rig);
    stalls(rig);
    holder.sql("UNLOCK TABLES");
    comes_through(rig, "a server that was locked");
}

fn lost_commits_come_again(rig: &mut Rig) {
    // While the daemon runs, and while it does not.
    rig.target.back_up();
    comes_through(rig, "after the backup");
    write(rig);
    rig.target.restore();
    comes_through(rig, "restored under the daemon");
    rig.target.back_up();
    comes_through(rig, "after another backup");
    rig.stop();
    rig.target.restore();
    write(rig);
    rig.start(None);
    comes_through(rig, "restored while no daemon ran");
    rig.stop();
}

#[test]
fn another_server_in_the_targets_place_gets_all_rows_or_none() {
    for kind in KINDS {
        gets_all_rows_or_none(kind);
    }
}

fn gets_all_rows_or_none(kind: Kind) {
    let mut rig = streaming(kind, &[]);
    let empty = Server::of(kind, &["--server-id=2"]);
    rig.target.kill();
    rig.target.take_over(empty);
    rig.target.sql(&format!("CREATE USER plain@'%' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON shop.* TO plain@'%'"));
    write(&rig);
    until("the job is whole again, or says that it is not", || {
        let status = rig.job()?.status?;
        match ObservedState::try_from(status.observed_state).ok()? {
            ObservedState::Lost | ObservedState::Failed => {
                assert!(rig.complaint()?.len() > 40, "{:?}", rig.complaint());
                Some(())
            }
            ObservedState::Streaming => {
                let wanted = rig.source.sql("SELECT COUNT(*), SUM(v) FROM t");
                (rig.target.try_sql("SELECT COUNT(*), SUM(v) FROM t")? == wanted).then_some(())
            }
            _ => None,
        }
    });
    rig.stop();
}

fn becoming_read_only_is_named(rig: &mut Rig) {
    let setting = if rig.target.kind == Kind::Mysql { "super_read_only" } else { "read_only" };
    rig.target.sql(&format!("SET GLOBAL {setting} = 1"));
    write(rig);
    let complaint = rig.complains("SET GLOBAL read_only = 0");
    rig.is(ObservedState::Failed);
    assert!(complaint.contains("read-only option"), "{complaint}");
    rig.target.sql("SET GLOBAL read_only = 0");
    rig.run_job();
    comes_through(rig, "read-only for a while");
}

#[test]
fn a_target_without_room_is_waited_for() {
    for kind in KINDS {
        without_room_is_waited_for(kind);
    }
}

fn without_room_is_waited_for(kind: Kind) {
    // The system's tablespace is all there is, and does not grow.
    let small = ["--innodb-file-per-table=0", "--innodb-data-file-path=ibdata1:12M"];
    let mut rig = streaming(kind, &small);
    let large = "INSERT INTO t (v, pad) SELECT a.v, REPEAT('x', 200) FROM t a, t b, t c, t d, t e, t f, t g, t h, t i LIMIT 60000";
    rig.source.sql(large);
    let complaint = rig.complains("full");
    rig.is(ObservedState::Stalled);
    assert!(!complaint.is_empty());
    rig.target.set_flags(&[
        "--server-id=2",
        "--innodb-file-per-table=0",
        "--innodb-data-file-path=ibdata1:12M;ibdata2:64M:autoextend",
    ]);
    rig.target.restart();
    comes_through(&mut rig, "a full disk");
    rig.stop();
}

fn missing_grants_are_named(rig: &mut Rig) {
    // Withdrawn while it runs: the server looks again when somebody connects.
    rig.target.sql("REVOKE UPDATE ON shop.* FROM plain@'%'");
    rig.target.end_all_of("plain");
    write(rig);
    let complaint = rig.complains("denied");
    rig.is(ObservedState::Failed);
    assert!(complaint.contains("grant"), "{complaint}");
    rig.target.sql("GRANT ALL ON shop.* TO plain@'%'");
    rig.run_job();
    comes_through(rig, "a grant that was withdrawn");

    // Of the source.
    rig.source.sql("SET sql_log_bin = 0; REVOKE REPLICATION SLAVE ON *.* FROM reader@'%'");
    rig.source.end_all_of("reader");
    let complaint = rig.complains("REPLICATION SLAVE");
    rig.is(ObservedState::Failed);
    assert!(complaint.contains("grant"), "{complaint}");
    rig.source.sql("SET sql_log_bin = 0; GRANT REPLICATION SLAVE ON *.* TO reader@'%'");
    rig.run_job();
    comes_through(rig, "a source's grant that was withdrawn");

    // A password that is another now.
    rig.target.sql("ALTER USER plain@'%' IDENTIFIED BY 'another'");
    rig.target.end_all_of("plain");
    write(rig);
    let complaint = rig.complains("password");
    rig.is(ObservedState::Failed);
    assert!(complaint.contains("secrets.password"), "{complaint}");
    rig.target.sql(&format!("ALTER USER plain@'%' IDENTIFIED BY '{PASSWORD}'"));
    rig.run_job();
    comes_through(rig, "a wrong password");
}

fn no_room_for_connections_is_waited_for(rig: &mut Rig) {
    let mut others: Vec<Session> = Vec::new();
    // The last place is for those that may end others.
    until("all places are taken", || {
        rig.target.end_all_of("plain");
        let ours = rig.target.try_sql("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'root'");
        if ours.is_some_and(|count| count.trim() != "11") {
            others.push(rig.target.session());
            let last = others.last_mut().expect("just made");
            last.say("SELECT 1");
        }
        rig.complaint().filter(|text| text.contains("Too many connections")).map(drop)
    });
    write(rig);
    rig.is(ObservedState::Stalled);
    others.clear();
    comes_through(rig, "no connection left");
}
