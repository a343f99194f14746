//! Rows that vanish without a trigger, and the application's own changes of its tables (hazards A9, E12, E14).

use super::support::*;
use std::path::Path;
use whimbrel::{
    model::{Checkpoint, ValueRef},
    source::Source,
};

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

/// Keys noted for what `sql` does, as text.
async fn told(path: &Path, sql: &str) -> Vec<String> {
    let (source, begun) = begin(path).await;
    let before = rows(path, "t");
    shell(path, sql);
    assert_ne!(before, rows(path, "t"), "{sql}");
    let mut feed = tail(&source, job(1), &begun).await.expect("a tail");
    let (batches, _) = drain(&mut feed).await.expect("read");
    let text = |key: &whimbrel::model::Key| key.values().map(|value| format!("{value:?}")).collect::<String>();
    let mut found: Vec<String> = keys(&batches).iter().map(text).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[tokio::test]
async fn rows_evicted_by_their_hidden_number_are_noted() {
    let table = "CREATE TABLE t(k TEXT PRIMARY KEY, v); INSERT INTO t(rowid, k, v) VALUES (1, 'a', 1), (2, 'b', 2);";
    let cases = [
        ("INSERT OR REPLACE INTO t(rowid, k) VALUES (2, 'new');", vec!["b", "new"]),
        ("INSERT OR REPLACE INTO t(oid, k) VALUES (2, 'a');", vec!["a", "b"]),
        ("UPDATE OR REPLACE t SET rowid = 2 WHERE k = 'a';", vec!["a", "b"]),
        ("UPDATE OR REPLACE t SET _rowid_ = 2, v = 7 WHERE k = 'a';", vec!["a", "b"]),
        ("UPDATE OR REPLACE t SET oid = oid + 1 WHERE k = 'a';", vec!["a", "b"]),
        ("INSERT INTO t(k) VALUES ('c');", vec!["c"]),
        ("UPDATE t SET v = 3 WHERE k = 'a';", vec!["a"]),
    ];
    for (sql, expected) in cases {
        let world = World::new();
        let expected: Vec<String> = expected.iter().map(|key| format!("{:?}", ValueRef::Text(key))).collect();
        assert_eq!(told(&world.database("a.db", table), sql).await, expected, "{sql}");
    }
    // A column takes the first name of the number.
    let world = World::new();
    let path = world.database("b.db", &table.replace("v);", "v, rowid);").replace("t(rowid", "t(oid"));
    let expected: Vec<String> = ["b", "new"].iter().map(|key| format!("{:?}", ValueRef::Text(key))).collect();
    assert_eq!(told(&path, "INSERT OR REPLACE INTO t(oid, k) VALUES (2, 'new');").await, expected);
}

#[tokio::test]
async fn rows_evicted_by_a_default_are_noted() {
    let declared = [
        ("TEXT NOT NULL DEFAULT 'x'", "'x'"),
        ("TEXT NOT NULL DEFAULT 5", "'5'"),
        ("INT NOT NULL DEFAULT '-5'", "-5"),
        ("NOT NULL DEFAULT \"it's\"", "'it''s'"),
        ("NOT NULL DEFAULT bare", "'bare'"),
        ("BLOB NOT NULL DEFAULT x'00ff'", "x'00ff'"),
        ("REAL NOT NULL DEFAULT (-1.5e3)", "-1500"),
    ];
    for (column, value) in declared {
        for (unique, index) in [
            (" UNIQUE", ""),
            ("", "CREATE UNIQUE INDEX te ON t(v, e);"),
            ("", "CREATE UNIQUE INDEX te ON t(coalesce(e, 0));"),
        ] {
            for write in
                ["INSERT OR REPLACE INTO t(id, e) VALUES (9, NULL);", "UPDATE OR REPLACE t SET e = NULL WHERE id = 2;"]
            {
                let world = World::new();
                let sql = format!(
                    "CREATE TABLE t(id INTEGER PRIMARY KEY, e {column}{unique}, v DEFAULT 1); {index}
                     INSERT INTO t(id, e) VALUES (1, {value}), (2, 'other');"
                );
                let sql = sql.replace(
                    "'other'",
                    if column.starts_with("INT") || column.starts_with("REAL") { "7" } else { "'other'" },
                );
                let expected = if write.starts_with("INSERT") { vec![1, 9] } else { vec![1, 2] };
                let path = world.database("a.db", &sql);
                assert_eq!(noted(&path, write).await, expected, "{column} {unique} {index} {write}");
                assert_eq!(
                    shell(&path, "SELECT count(*) FROM t WHERE id = 1;").trim(),
                    "0",
                    "{column}: nothing was evicted"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_default_that_cannot_be_foretold_is_told() {
    let world = World::new();
    let path = world.database(
        "a.db",
        "CREATE TABLE t(id INTEGER PRIMARY KEY, e NOT NULL DEFAULT (lower('X')) UNIQUE, f NOT NULL DEFAULT (random()));
         CREATE TABLE g(id INTEGER PRIMARY KEY, e NOT NULL DEFAULT 'x', g AS (e || '!'));
         CREATE UNIQUE INDEX gg ON g(g);",
    );
    let source = source(&path);
    let findings = source.check(job(1), &all_tables(&source).await).await.expect("checked");
    let mut told: Vec<String> = findings
        .iter()
        .filter(|finding| finding.text.contains("REPLACE"))
        .map(|finding| format!("{} {}", finding.subject, finding.text))
        .collect();
    told.sort_unstable();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("main.g") && told[0].contains("`g`"), "{told:?}");
    assert!(told[1].contains("main.t") && told[1].contains("`e`"), "{told:?}");
    // None of it may make a write of the application fail.
    begin(&path).await;
    let (_, complaint) = try_shell(
        &path,
        "INSERT OR REPLACE INTO t(id, e) VALUES (1, NULL); INSERT OR REPLACE INTO t(id, e) VALUES (2, NULL);
         INSERT OR REPLACE INTO g(id, e) VALUES (1, NULL); INSERT OR REPLACE INTO g(id, e) VALUES (2, NULL);",
    );
    assert_eq!(complaint, "");
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
    // A key of its own, and defaults.
    let path = world.database(
        "c.db",
        "CREATE TABLE t(k TEXT PRIMARY KEY NOT NULL DEFAULT 'none', e NOT NULL DEFAULT 'x', f NOT NULL DEFAULT bare);
         CREATE UNIQUE INDEX te ON t(e); CREATE UNIQUE INDEX tf ON t(lower(f));",
    );
    begin(&path).await;
    for sql in [
        "ALTER TABLE t ADD COLUMN y NOT NULL DEFAULT 7;",
        "ALTER TABLE t RENAME COLUMN e TO mail;",
        "ALTER TABLE t RENAME COLUMN mail TO e;",
        "BEGIN; DROP INDEX te; ALTER TABLE t DROP COLUMN e; COMMIT;",
        "BEGIN; DROP INDEX tf; ALTER TABLE t DROP COLUMN f; COMMIT;",
        "ALTER TABLE t RENAME COLUMN k TO key;",
        "ALTER TABLE t RENAME TO t_two;",
        "ALTER TABLE t_two ADD COLUMN rowid;",
    ] {
        let (_, complaint) = try_shell(&path, sql);
        assert_eq!(complaint, "", "{sql}");
        let table = tables(&path).remove(0);
        let write =
            format!("INSERT OR REPLACE INTO {table} DEFAULT VALUES; UPDATE OR REPLACE {table} SET oid = 5, y = NULL;");
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
