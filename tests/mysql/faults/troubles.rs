//! What goes wrong with the target's server: it stalls, forgets, is full, takes no writes, or nobody in.

use super::rig::Rig;
use crate::support::{
    mysql::{Kind, PASSWORD, Session},
    wait::until,
};
use std::time::{Duration, Instant};
use whimbrel::control::v1::ObservedState;

const TABLES: &[&str] = &["t", "sentinel"];

/// A job that streams a table of a few rows, by an account that may only what the README grants.
fn streaming(target_flags: &[&str]) -> Rig {
    let mut rig = Rig::new((Kind::Mariadb, &[]), (Kind::Mariadb, target_flags));
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
fn a_target_that_stalls_is_waited_for() {
    let mut rig = streaming(&[]);
    let process = i32::try_from(rig.target.id()).expect("a pid");
    // SAFETY: signals to our own child, which is not waited for yet.
    unsafe { libc::kill(process, libc::SIGSTOP) };
    write(&rig);
    stalls(&rig);
    unsafe { libc::kill(process, libc::SIGCONT) };
    comes_through(&mut rig, "a server that stood still");

    let mut holder = rig.target.session();
    holder.sql("FLUSH TABLES WITH READ LOCK");
    write(&rig);
    stalls(&rig);
    holder.sql("UNLOCK TABLES");
    comes_through(&mut rig, "a server that was locked");
    rig.stop();
}

#[test]
fn a_target_that_loses_its_last_commits_gets_them_again() {
    let mut rig = streaming(&[]);
    // While the daemon runs, and while it does not.
    rig.target.back_up();
    comes_through(&mut rig, "after the backup");
    write(&rig);
    rig.target.restore();
    comes_through(&mut rig, "restored under the daemon");
    rig.target.back_up();
    comes_through(&mut rig, "after another backup");
    rig.stop();
    rig.target.restore();
    write(&rig);
    rig.start(None);
    comes_through(&mut rig, "restored while no daemon ran");
    rig.stop();
}

#[test]
fn another_server_in_the_targets_place_gets_all_rows_or_none() {
    let mut rig = streaming(&[]);
    let empty = crate::support::mysql::Server::of(Kind::Mariadb, &["--server-id=2"]);
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

#[test]
fn a_target_that_becomes_read_only_is_named() {
    let mut rig = streaming(&[]);
    rig.target.sql("SET GLOBAL read_only = 1");
    write(&rig);
    let complaint = rig.complains("read");
    assert!(complaint.contains("SET GLOBAL read_only = 0"), "{complaint}");
    rig.target.sql("SET GLOBAL read_only = 0");
    rig.run_job();
    comes_through(&mut rig, "read-only for a while");
    rig.stop();
}

#[test]
fn a_target_without_room_is_waited_for() {
    // The system's tablespace is all there is, and does not grow.
    let small = ["--innodb-file-per-table=0", "--innodb-data-file-path=ibdata1:12M"];
    let mut rig = streaming(&small);
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

#[test]
fn accounts_that_may_not_are_told_what_they_lack() {
    let mut rig = streaming(&[]);
    // Withdrawn while it runs: the server looks again when somebody connects.
    rig.target.sql("REVOKE UPDATE ON shop.* FROM plain@'%'; KILL USER plain");
    write(&rig);
    let complaint = rig.complains("denied");
    rig.is(ObservedState::Failed);
    assert!(complaint.contains("grant"), "{complaint}");
    rig.target.sql("GRANT ALL ON shop.* TO plain@'%'");
    rig.run_job();
    comes_through(&mut rig, "a grant that was withdrawn");

    // Of the source.
    rig.source.sql("SET sql_log_bin = 0; REVOKE REPLICATION SLAVE ON *.* FROM reader@'%'; KILL USER reader");
    let complaint = rig.complains("REPLICATION SLAVE");
    rig.is(ObservedState::Failed);
    assert!(complaint.contains("grant"), "{complaint}");
    rig.source.sql("SET sql_log_bin = 0; GRANT REPLICATION SLAVE ON *.* TO reader@'%'");
    rig.run_job();
    comes_through(&mut rig, "a source's grant that was withdrawn");

    // A password that is another now.
    rig.target.sql("ALTER USER plain@'%' IDENTIFIED BY 'another'; KILL USER plain");
    write(&rig);
    let complaint = rig.complains("password");
    rig.is(ObservedState::Failed);
    assert!(complaint.contains("secrets.password"), "{complaint}");
    rig.target.sql(&format!("ALTER USER plain@'%' IDENTIFIED BY '{PASSWORD}'"));
    rig.run_job();
    comes_through(&mut rig, "a wrong password");
    rig.stop();
}

#[test]
fn a_server_that_lets_nobody_in_is_waited_for() {
    let mut rig = streaming(&["--max-connections=10"]);
    rig.target.sql("CREATE USER busy@'%' IDENTIFIED BY 'busy'");
    let mut others: Vec<Session> = Vec::new();
    rig.target.sql("KILL USER plain");
    // The last place is for those that may end others.
    until("all places are taken", || {
        rig.target.sql("KILL USER plain");
        if rig.target.sql("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'root'").trim() != "11" {
            others.push(rig.target.session());
            let last = others.last_mut().expect("just made");
            last.say("SELECT 1");
        }
        rig.complaint().filter(|text| text.contains("Too many connections")).map(drop)
    });
    write(&rig);
    rig.is(ObservedState::Stalled);
    others.clear();
    comes_through(&mut rig, "no connection left");
    rig.stop();
}
