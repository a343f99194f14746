//! Rows that vanish without a trigger, and the application's own changes of its tables (hazards A9, E12, E14).

use super::support::*;
use std::path::Path;
use whimbrel::{model::Checkpoint, source::Source};

async fn begin(path: &Path) -> (std::sync::Arc<dyn Source>, Checkpoint) {
    let source = source(path);
    let tables = all_tables(&source).await;
    let begun = source.begin(job(1), &tables).await.expect("begun");
    (source, begun)
}

/// Keys noted for what `sql` does.
async fn noted(path: &Path, sql: &str) -> Vec<i64> {
    let (source, begun) = begin(path).await;
    shell(path, sql);
    let mut feed = tail(&source, job(1), &begun).await.expect("a tail");
    let (batches, _) = drain(&mut feed).await.expect("read");
    let mut found: Vec<i64> = keys(&batches).iter().map(int).collect();
    found.sort_unstable();
    found
}

const TABLE: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, e TEXT, f TEXT COLLATE NOCASE UNIQUE, x, g AS (x + 1));
    CREATE UNIQUE INDEX te ON t(e);
    INSERT INTO t(id, e, f, x) VALUES (1, 'a', 'u', 1), (2, 'b', 'v', 2), (3, 'c', 'w', 3);";

#[tokio::test]
async fn evicted_rows_are_noted() {
    let cases = [
        ("", "INSERT OR REPLACE INTO t(id, e, f) VALUES (9, 'b', 'z');", vec![2, 9]),
        ("", "INSERT OR REPLACE INTO t(id, e, f) VALUES (9, 'b', 'W');", vec![2, 3, 9]),
        ("", "UPDATE OR REPLACE t SET e = 'b' WHERE id = 1;", vec![1, 2]),
        ("", "UPDATE OR REPLACE t SET f = 'V' WHERE id = 1;", vec![1, 2]),
        ("", "UPDATE t SET x = 5 WHERE id = 1;", vec![1]),
        ("", "UPDATE OR REPLACE t SET id = 3 WHERE id = 1;", vec![1, 3]),
        ("", "UPDATE OR REPLACE t SET rowid = 3 WHERE id = 1;", vec![1, 3]),
        ("CREATE UNIQUE INDEX tg ON t(g);", "INSERT OR REPLACE INTO t(id, x) VALUES (9, 2);", vec![2, 9]),
        ("CREATE UNIQUE INDEX tg ON t(g);", "UPDATE OR REPLACE t SET x = 2 WHERE id = 1;", vec![1, 2]),
        (
            "CREATE UNIQUE INDEX tl ON t(lower(e) DESC, x);",
            "INSERT OR REPLACE INTO t(id, e, x) VALUES (9, 'B', 2);",
            vec![2, 9],
        ),
        ("CREATE UNIQUE INDEX tp ON t(x) WHERE x > 1;", "INSERT OR REPLACE INTO t(id, x) VALUES (9, 2);", vec![2, 9]),
        ("CREATE UNIQUE INDEX t2 ON t(x, f);", "INSERT OR REPLACE INTO t(id, x, f) VALUES (9, 2, 'V');", vec![2, 9]),
    ];
    for (index, sql, expected) in cases {
        let world = World::new();
        let path = world.database("a.db", &format!("{TABLE} {index}"));
        assert_eq!(noted(&path, sql).await, expected, "{index} {sql}");
    }
}

#[tokio::test]
async fn evicted_rows_of_other_keys_are_noted() {
    let world = World::new();
    let path = world.database(
        "a.db",
        "CREATE TABLE w(a TEXT, b INT, u UNIQUE, PRIMARY KEY (a, b)) WITHOUT ROWID; INSERT INTO w VALUES ('x', 1, 'p'), ('y', 2, 'q');
         CREATE TABLE h(u UNIQUE); INSERT INTO h VALUES ('p'), ('q');
         CREATE TABLE k(k TEXT PRIMARY KEY COLLATE NOCASE, v); INSERT INTO k VALUES ('a', 1);",
    );
    let (source, begun) = begin(&path).await;
    shell(
        &path,
        "INSERT OR REPLACE INTO w VALUES ('z', 3, 'q'); INSERT OR REPLACE INTO h VALUES ('p');
         INSERT OR REPLACE INTO k VALUES ('A', 2);",
    );
    let mut feed = tail(&source, job(1), &begun).await.expect("a tail");
    let (batches, _) = drain(&mut feed).await.expect("read");
    let found: Vec<String> = keys(&batches).iter().map(|key| format!("{:?}", values(key))).collect();
    for expected in
        ["[Text(\"y\"), Int(2)]", "[Text(\"z\"), Int(3)]", "[Int(1)]", "[Int(3)]", "[Text(\"a\")]", "[Text(\"A\")]"]
    {
        assert!(found.iter().any(|key| key == expected), "{expected} of {found:?}");
    }
}

#[tokio::test]
async fn the_applications_alter_table_never_fails_because_of_us() {
    let world = World::new();
    let statements = [
        "ALTER TABLE t ADD COLUMN y DEFAULT 7;",
        "ALTER TABLE t RENAME COLUMN e TO mail;",
        "ALTER TABLE t RENAME COLUMN mail TO e;",
        // In one transaction: nobody can look in between.
        "BEGIN; DROP INDEX te; ALTER TABLE t DROP COLUMN e; COMMIT;",
        "BEGIN; DROP INDEX tl; DROP INDEX tp; ALTER TABLE t DROP COLUMN y; ALTER TABLE t DROP COLUMN g; ALTER TABLE t DROP COLUMN x; COMMIT;",
        "ALTER TABLE t RENAME TO t_two;",
        "ALTER TABLE t_two RENAME COLUMN id TO number;",
        "ALTER TABLE t_two RENAME COLUMN f TO ff;",
        "CREATE TABLE other(a, b); ALTER TABLE other DROP COLUMN b; ALTER TABLE other RENAME TO others; DROP TABLE others;",
    ];
    let path = world.database("a.db", TABLE);
    shell(&path, "CREATE UNIQUE INDEX tl ON t(lower(x)); CREATE UNIQUE INDEX tp ON t(x) WHERE x > 1;");
    begin(&path).await;
    for sql in statements {
        let (_, complaint) = try_shell(&path, sql);
        assert_eq!(complaint, "", "{sql}");
        let table = tables(&path).remove(0);
        let write = format!(
            "INSERT OR REPLACE INTO {table} DEFAULT VALUES; UPDATE {table} SET rowid = rowid; DELETE FROM {table} WHERE rowid > 3;"
        );
        let (_, complaint) = try_shell(&path, &write);
        assert_eq!(complaint, "", "{write} after {sql}");
    }
    // The same by the SQLite that we bring.
    let path = world.database("b.db", TABLE);
    begin(&path).await;
    let own = rusqlite::Connection::open(&path).expect("opened");
    own.execute_batch(
        "BEGIN; DROP INDEX te; ALTER TABLE t DROP COLUMN e; INSERT INTO t(f) VALUES ('new'); COMMIT; DROP TABLE t;",
    )
    .expect("the application's own business");
}

#[tokio::test]
async fn cascades_and_the_applications_triggers_are_noted() {
    let sql = "CREATE TABLE t(id INTEGER PRIMARY KEY, parent REFERENCES t ON DELETE CASCADE, n DEFAULT 0);
         INSERT INTO t(id, parent) VALUES (1, NULL), (2, 1), (3, 2), (4, NULL);
         CREATE TRIGGER own AFTER UPDATE OF parent ON t BEGIN UPDATE t SET n = n + 1 WHERE id = 4; END;";
    let world = World::new();
    let path = world.database("a.db", sql);
    assert_eq!(noted(&path, "PRAGMA foreign_keys = ON; DELETE FROM t WHERE id = 1;").await, [1, 2, 3]);
    let path = world.database("b.db", sql);
    assert_eq!(noted(&path, "UPDATE t SET parent = 4 WHERE id = 1; DELETE FROM t WHERE id = 77;").await, [1, 4]);
}
