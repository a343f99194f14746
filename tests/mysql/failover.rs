//! A replica in the place of its primary: the last transaction is known again by what replication keeps.

use super::following::{FILES, Follower};
use crate::support::{
    mysql::{Kind, PASSWORD, Server},
    wait::until,
};
use whimbrel::{error::ErrorKind, model::Change};

const TABLE: &str = "CREATE TABLE t (id INT PRIMARY KEY, v INT)";
const NOW: &str = "SELECT UNIX_TIMESTAMP()";

/// A server that follows another one and logs what it replicates.
fn replica_of(primary: &Server) -> Server {
    let updates: &[&str] = if primary.kind == Kind::Mysql56 { &[] } else { &["--log-slave-updates"] };
    let replica = Server::of(primary.kind, &[&["--server-id=3"], updates].concat());
    let account = format!(
        "_host = '127.0.0.1', {{}}_port = {}, {{}}_user = 'reader', {{}}_password = '{PASSWORD}', {{}}",
        primary.port
    );
    let of = |word: &str| format!("{word}{}", account.replace("{}", word));
    replica.sql(primary.kind.reset());
    replica.sql(&match primary.kind {
        Kind::Mariadb => {
            format!(
                "SET GLOBAL gtid_slave_pos = ''; CHANGE MASTER TO {}_use_gtid = slave_pos; START SLAVE",
                of("master")
            )
        }
        Kind::Mysql => format!(
            "CHANGE REPLICATION SOURCE TO {}_auto_position = 1, get_source_public_key = 1; START REPLICA",
            of("source")
        ),
        Kind::Mysql56 => format!("CHANGE MASTER TO {}_auto_position = 1; START SLAVE", of("master")),
    });
    replica
}

fn promote(replica: &Server) {
    replica.sql(match replica.kind {
        Kind::Mysql => "STOP REPLICA; RESET REPLICA ALL",
        _ => "STOP SLAVE; RESET SLAVE ALL",
    });
}

/// Until it is another second at the server.
fn next_second(server: &Server) {
    let second = server.sql(NOW);
    until("another second", || (server.sql(NOW) != second).then_some(()));
}

#[tokio::test]
async fn a_replica_goes_on_behind_the_last_transaction_of_its_primary() {
    for kind in [Kind::Mariadb, Kind::Mysql, Kind::Mysql56] {
        let primary = Server::of(kind, &[]);
        primary.sql(kind.reset());
        let replica = replica_of(&primary);
        primary.sql(TABLE);
        let mut follower = Follower::begin(&primary, &["t"]).await;
        // Its rows are of earlier seconds than its end: a replica has the last row's in the head.
        let mut session = primary.session();
        session.sql("BEGIN; INSERT INTO t VALUES (1, 1)");
        next_second(&primary);
        session.sql("INSERT INTO t VALUES (2, 2)");
        next_second(&primary);
        session.sql("COMMIT");
        follower.agrees().await;
        until("the replica has it", || (replica.try_sql("SELECT COUNT(*) FROM t")? == "2\n").then_some(()));
        drop(session);
        drop(primary);
        promote(&replica);
        replica.sql("INSERT INTO t VALUES (3, 3)");
        follower.restart_anew(&replica);
        follower.agrees().await;
        assert_eq!(follower.count(Change::Upsert, "t"), 3, "{kind:?}: each once");
        // And it goes on there.
        follower.restart();
        replica.sql("INSERT INTO t VALUES (4, 4)");
        follower.agrees().await;
    }
}

#[tokio::test]
async fn a_replica_goes_on_behind_a_begin_at_its_primary() {
    for kind in [Kind::Mariadb, Kind::Mysql, Kind::Mysql56] {
        let primary = Server::of(kind, &[]);
        primary.sql(kind.reset());
        let replica = replica_of(&primary);
        primary.sql(TABLE);
        until("the replica has the table", || replica.try_sql("SELECT COUNT(*) FROM t"));
        let (stop, start) = match kind {
            Kind::Mysql => ("STOP REPLICA", "START REPLICA"),
            _ => ("STOP SLAVE", "START SLAVE"),
        };
        // It writes them in later seconds.
        replica.sql(stop);
        primary.sql("ALTER TABLE t ADD c INT");
        let mut behind_a_statement = Follower::begin(&primary, &["t"]).await;
        primary.sql("INSERT INTO t VALUES (1, 1, 1)");
        let mut behind_a_row = Follower::begin(&primary, &["t"]).await;
        next_second(&primary);
        replica.sql(start);
        until("the replica has it", || (replica.try_sql("SELECT COUNT(*) FROM t")? == "1\n").then_some(()));
        drop(primary);
        promote(&replica);
        replica.sql("INSERT INTO t VALUES (2, 2, 2)");
        for (follower, rows) in [(&mut behind_a_statement, 2), (&mut behind_a_row, 1)] {
            follower.restart_anew(&replica);
            follower.agrees().await;
            assert_eq!(follower.count(Change::Upsert, "t"), rows, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_replica_that_wrote_another_transaction_under_the_number_is_found_out() {
    let primary = Server::mariadb(&[]);
    primary.sql(Kind::Mariadb.reset());
    let replica = replica_of(&primary);
    primary.sql(TABLE);
    let mut follower = Follower::begin(&primary, &["t"]).await;
    until("the replica has the table", || replica.try_sql("SELECT COUNT(*) FROM t"));
    promote(&replica);
    primary.sql("INSERT INTO t VALUES (1, 1)");
    follower.agrees().await;
    next_second(&primary);
    // As the primary would have: the number is the same to the last digit.
    replica.sql("SET SESSION server_id = 1; INSERT INTO t VALUES (2, 2); INSERT INTO t VALUES (3, 3)");
    assert!(replica.sql("SELECT @@gtid_binlog_pos").starts_with("0-1-"));
    follower.restart_anew(&replica);
    let error = follower.catch_up().await.expect_err("another history");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error:?}");
    assert!(error.to_string().contains("anew"), "{error}");
}

#[tokio::test]
async fn a_place_that_is_in_two_files_is_the_last_one_s() {
    // Where files are counted, the first transactions of two files begin at the same place.
    let server = Server::of(Kind::Mysql, FILES);
    server.sql(TABLE);
    server.sql("FLUSH BINARY LOGS");
    let mut follower = Follower::begin(&server, &["t"]).await;
    let mut session = server.session();
    session.sql("XA START 'x'; INSERT INTO t VALUES (1, 1); XA END 'x'; XA PREPARE 'x'");
    server.sql("FLUSH BINARY LOGS");
    next_second(&server);
    server.sql("INSERT INTO t VALUES (2, 2)");
    follower.agrees().await;
    // It is read again from before the branch, which waits.
    follower.restart();
    server.sql("INSERT INTO t VALUES (3, 3)");
    follower.agrees().await;
    server.sql("XA COMMIT 'x'");
    follower.agrees().await;
    assert_eq!(server.sql("SELECT COUNT(*) FROM t"), "3\n");
}
