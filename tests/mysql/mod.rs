//! The MySQL and MariaDB connector on real servers, judged by their own clients.

pub mod altering;
mod certified;
mod charsets;
mod checks;
pub mod commits;
pub mod copying;
mod crossing;
mod encrypted;
mod failover;
mod faults;
mod fitting;
mod following;
mod granting;
mod jobs;
mod many;
mod names;
pub mod positions;
mod reading;
mod reshaping;
mod shown;
pub mod tailing;
pub mod targets;
mod told;
pub mod types;
mod unlike;
mod verbatim;
pub mod writing;
mod written;

use crate::support::mysql::{Kind, Server};

#[test]
fn a_server_starts_ends_and_starts_again() {
    for kind in [Kind::Mariadb, Kind::Mysql, Kind::Mysql56] {
        starts_ends_and_starts_again(kind);
    }
}

fn starts_ends_and_starts_again(kind: Kind) {
    let mut server = Server::of(kind, &[]);
    assert_eq!(server.sql("SELECT 1"), "1\n");
    server.sql("CREATE TABLE t (id INT PRIMARY KEY, name TEXT); INSERT INTO t VALUES (2, 'b'), (1, 'é')");
    server.kill();
    server.start();
    assert_eq!(server.sql("SELECT name FROM t ORDER BY id"), "é\nb\n");
    let mut session = server.session();
    session.sql("BEGIN; INSERT INTO t VALUES (3, 'c')");
    assert_eq!(server.sql("SELECT count(*) FROM t"), "2\n");
    assert_eq!(session.sql("COMMIT; SELECT count(*) FROM t"), "3\n");
    server.restart();
    assert_eq!(server.rows(&["t"]), "t: id, name\nt\t'1'\t'é'\nt\t'2'\t'b'\nt\t'3'\t'c'\n");
}
