//! Whole jobs: the real binary copies a server into a file and keeps it in step.

use crate::{
    cli::scene::{ends, job_file},
    support::{
        daemon::{Daemon, Home},
        mysql::{Kind, PASSWORD, Server},
        wait::until,
    },
};
use std::path::PathBuf;

/// A server, a daemon with a job from it into a file.
struct Pair {
    server: Server,
    home: Home,
}

const JOB: &str = "\
name: shop
source:
  store: shop
  tables: [\"shop.*\"]
  rename: {\"shop.*\": \"main.*\"}
targets:
  - store: copy
";

impl Pair {
    fn new(kind: Kind, sql: &str) -> Pair {
        let server = Server::of(kind, &[]);
        server.numbers(&[5_000, 3_000]);
        server.sql(sql);
        let folder = tempfile::tempdir().expect("a temp folder");
        let copy = format!("sqlite:{}", folder.path().join("copy.db").display());
        let home = Home::in_folder(&[("copy", &copy), ("shop", &server.url("reader"))], folder);
        let mut config = std::fs::read_to_string(&home.config).expect("ours");
        config += "[stores.shop.secrets]\npassword = \"env:SHOP_PASSWORD\"\n";
        std::fs::write(&home.config, config).expect("ours");
        Pair { server, home }
    }

    fn serve(&self) -> Daemon {
        self.home.serve_with(&[("SHOP_PASSWORD", PASSWORD)])
    }

    fn copy(&self) -> PathBuf {
        self.home.path().join("copy.db")
    }

    /// Both clients say the same rows, within the deadline.
    fn agrees(&self, select: &str) {
        let wanted = self.server.sql(select);
        let mut last = String::new();
        let same = || {
            let open = rusqlite::Connection::open_with_flags(self.copy(), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY);
            last = shown(&open.ok()?, select)?;
            (last == wanted).then_some(())
        };
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| until(select, same)));
        assert!(found.is_ok(), "the server says\n{wanted}\nthe copy\n{last}");
    }
}

/// As the server's client prints rows.
fn shown(copy: &rusqlite::Connection, select: &str) -> Option<String> {
    let mut statement = copy.prepare(select).ok()?;
    let columns = statement.column_count();
    let mut rows = statement.query([]).ok()?;
    let mut text = String::new();
    while let Some(row) = rows.next().ok()? {
        let value = |column| match row.get_ref(column).expect("a column") {
            rusqlite::types::ValueRef::Null => "NULL".to_owned(),
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            rusqlite::types::ValueRef::Real(number) => number.to_string(),
            rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => {
                String::from_utf8_lossy(bytes).into_owned()
            }
        };
        text += &(0..columns).map(value).collect::<Vec<_>>().join("\t");
        text += "\n";
    }
    Some(text)
}

#[test]
fn a_server_is_copied_into_a_file_and_followed_through_restarts_of_both() {
    for kind in [Kind::Mariadb, Kind::Mysql, Kind::Mysql56] {
        through_restarts(kind);
    }
}

fn through_restarts(kind: Kind) {
    let mut pair = Pair::new(
        kind,
        "CREATE TABLE people (id BIGINT UNSIGNED PRIMARY KEY, name VARCHAR(50), at DATETIME(3), UNIQUE (name)); \
         INSERT INTO people SELECT seq, CONCAT('person ', seq), NULL FROM numbers.seq_1_to_5000; \
         CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, person BIGINT UNSIGNED, total INT, \
           FOREIGN KEY (person) REFERENCES people (id) ON DELETE CASCADE); \
         INSERT INTO orders (person, total) SELECT 1 + seq MOD 4000, seq FROM numbers.seq_1_to_3000",
    );
    let people = "SELECT id, name FROM people ORDER BY id";
    let orders = "SELECT id, person, total FROM orders ORDER BY id";
    let daemon = pair.serve();
    ends(&daemon.ask(&["apply", "-f", &job_file(&pair.home, JOB), "--start"]), 0, &["created", "started"]);
    ends(&daemon.ask(&["wait", "shop", "--for", "streaming", "--timeout", "60s"]), 0, &["is streaming"]);
    pair.agrees(people);
    // Values that swap places, keys that move, parents that take their children along.
    pair.server.sql(
        "BEGIN; UPDATE people SET name = 'x' WHERE id = 1; UPDATE people SET name = 'person 1' WHERE id = 2; \
         UPDATE people SET name = 'person 2' WHERE id = 1; COMMIT; UPDATE people SET id = 9000 WHERE id = 5000; \
         DELETE FROM people WHERE id BETWEEN 10 AND 15; INSERT INTO orders (person, total) VALUES (1, -1), (9000, 2)",
    );
    pair.agrees(people);
    pair.agrees(orders);
    // Killed while the server goes on, and the server restarted while it runs again.
    daemon.terminate(libc::SIGKILL);
    pair.server.sql("DELETE FROM orders WHERE total > 2900; UPDATE people SET name = CONCAT(name, '!') WHERE id < 300");
    let daemon = pair.serve();
    pair.agrees(people);
    pair.server.restart();
    pair.server.sql("INSERT INTO people VALUES (18446744073709551, 'late', '2026-01-02 03:04:05.678')");
    pair.agrees(people);
    pair.agrees(orders);
    pair.server
        .sql("ALTER TABLE orders ADD COLUMN note TEXT; INSERT INTO orders (person, total, note) VALUES (1, 3, 'n')");
    pair.agrees("SELECT id, note FROM orders ORDER BY id");
    ends(&daemon.ask(&["wait", "shop", "--for", "streaming", "--timeout", "60s"]), 0, &["is streaming"]);
}
