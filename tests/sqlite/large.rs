//! Rows with large values: read as they are, and without a copy of them inside SQLite.

use super::{pairs::Job, support::*};
use rusqlite::ffi;
use std::{path::Path, sync::Arc};
use whimbrel::{
    error::ErrorKind,
    model::{Checkpoint, Key, KeyRange, Table, Value, ValueRef},
    source::{Columns, Source, Wanted},
};

/// Values that are text, bytes, neither one nor the other; in tables of every kind.
const TABLES: &str = "
    CREATE TABLE plain(id INTEGER PRIMARY KEY, a, b TEXT, n DEFAULT 0, c BLOB);
    INSERT INTO plain(id, a, b, c) VALUES (1, 'small', 'x', x'00'),
        (2, zeroblob(1500000), CAST(randomblob(10) AS TEXT), randomblob(1100000)),
        (3, CAST(x'ff' || zeroblob(1200000) AS TEXT), 'é', NULL), (4, 7, printf('%.*c', 1300000, 'é'), 8),
        (5, printf('%.*c', 1048576, 'x'), NULL, printf('%.*c', 1048577, 'y')), (6, 1.5, NULL, x'');
    CREATE TABLE named(k TEXT PRIMARY KEY NOT NULL, v, n DEFAULT 0) ; INSERT INTO named(k, v) VALUES ('a', randomblob(2000000)), ('b', 'z');
    CREATE TABLE hidden(v, n DEFAULT 0); INSERT INTO hidden(v) VALUES (randomblob(2000000)), ('z');
    CREATE TABLE computed(id INTEGER PRIMARY KEY, v, n DEFAULT 0, g AS (v || '!')); INSERT INTO computed(id, v) VALUES (1, printf('%.*c', 1100000, 'q'));
    CREATE TABLE without(id INT PRIMARY KEY, v, n DEFAULT 0) WITHOUT ROWID; INSERT INTO without(id, v) VALUES (1, randomblob(2000000)), (2, 'z');
    CREATE TABLE keys(k PRIMARY KEY NOT NULL, n DEFAULT 0); INSERT INTO keys(k) VALUES (printf('%.*c', 1200000, 'k')), (zeroblob(1200000)), (1), ('z');";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_values_arrive_as_they_are() {
    let world = World::new();
    let (a, b) = (world.database("a.db", TABLES), world.path("b.db"));
    let job = Job::new(1, &a, &[&b]);
    let mut running = job.start().await;
    running.until_same(&a, &b).await;
    for table in tables(&a) {
        shell(&a, &format!("UPDATE {table} SET n = n + 1;"));
    }
    shell(&a, "UPDATE plain SET a = randomblob(1400000) WHERE id < 3; DELETE FROM named WHERE k = 'a';");
    running.until_same(&a, &b).await;
    running.stop().await;
}

#[tokio::test]
async fn large_keys_are_walked_along() {
    let world = World::new();
    let source = source(&world.database("a.db", TABLES));
    let table = table(&source, "keys").await;
    for columns in [Columns::All, Columns::Key] {
        let batches = copy(&source, &table, &KeyRange::all(), columns).await.expect("copied");
        let lengths: Vec<usize> = keys(&batches).iter().map(|key| key.bytes().len()).collect();
        assert_eq!(lengths.len(), 4, "{columns:?}");
        assert!(lengths[1] > 1_200_000 && lengths[3] > 1_200_000 && lengths[0].max(lengths[2]) < 100, "{lengths:?}");
    }
}

#[tokio::test]
async fn large_texts_of_a_file_in_utf_16_are_texts() {
    let world = World::new();
    let path = world.database(
        "a.db",
        "PRAGMA encoding = 'UTF-16le'; CREATE TABLE big(id INTEGER PRIMARY KEY, v);
         INSERT INTO big VALUES (1, printf('%.*c', 1300000, 'é'));",
    );
    let (source, big) = limited(&path, 64 << 20).await;
    let expected = [Some(Value::Int(1)), Some(Value::Text("é".repeat(1_300_000)))];
    let batches = copy(&source, &big, &KeyRange::all(), Columns::All).await.expect("copied");
    let rows = batches[0].rows();
    assert!(rows.row(rows.mutations[0].row).to_values() == expected);
    let wanted = [Wanted { table: big.clone(), keys: vec![Key::from_values([ValueRef::Int(1)])] }];
    let fetched = source.fetch(&wanted, &Checkpoint::default(), usize::MAX).await.expect("fetched");
    assert!(fetched[0].row(0).expect("there").to_values() == expected);
}

async fn limited(path: &Path, bytes: u64) -> (Arc<dyn Source>, Arc<Table>) {
    let store = open(path, [("max_row_bytes".to_owned(), bytes.to_string())].into()).expect("good settings");
    let source = store.source().expect("a source");
    let big = table(&source, "big").await;
    (source, big)
}

#[tokio::test]
async fn a_row_of_several_large_values_counts_as_a_whole() {
    let world = World::new();
    let sql = "CREATE TABLE big(id INTEGER PRIMARY KEY, v, w);
        INSERT INTO big VALUES (1, zeroblob(1500000), 'x'), (2, zeroblob(1500000), zeroblob(1600000)), (3, zeroblob(9000000), NULL);";
    let path = world.database("a.db", sql);
    let (source, big) = limited(&path, 3_000_000).await;
    let mut feed = source.copy(&big, &KeyRange::all(), Columns::All, &Checkpoint::default()).await.expect("a feed");
    let key = |id| Key::from_values([ValueRef::Int(id)]);
    assert_eq!(keys(&[next_batch(&mut feed).await.expect("the row before")]), [key(1)]);
    let error = feed.next(DEADLINE).await.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("key (2)") && error.hint_text().is_some(), "{error:?}");
    for id in [2, 3] {
        let wanted = [Wanted { table: big.clone(), keys: vec![key(1), key(id)] }];
        let error = source.fetch(&wanted, &Checkpoint::default(), usize::MAX).await.expect_err("too large");
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains(&format!("key ({id})")) && error.hint_text().is_some(), "{error:?}");
    }
    let wanted = [Wanted { table: big.clone(), keys: vec![key(7), key(1)] }];
    let fetched = source.fetch(&wanted, &Checkpoint::default(), usize::MAX).await.expect("fetched");
    assert!(fetched[0].row(0).is_none());
    let row = fetched[0].row(1).expect("there").to_values();
    assert_eq!(row, [Some(Value::Int(1)), Some(Value::Bytes(vec![0; 1_500_000])), Some(Value::Text("x".into()))]);
}

#[tokio::test]
async fn a_large_row_is_read_without_a_copy_inside_sqlite() {
    const ROW: i64 = 60 << 20;
    let world = World::new();
    let path = world.database(
        "a.db",
        &format!("CREATE TABLE big(id INTEGER PRIMARY KEY, v); INSERT INTO big VALUES (1, zeroblob({ROW}));"),
    );
    let source = source(&path);
    let big = table(&source, "big").await;
    // SAFETY: asks for a counter.
    let peak = || unsafe { ffi::sqlite3_memory_highwater(1) };
    peak();
    let batches = copy(&source, &big, &KeyRange::all(), Columns::All).await.expect("copied");
    assert!(batches[0].bytes() as i64 > ROW);
    drop(batches);
    let wanted = [Wanted { table: big.clone(), keys: vec![Key::from_values([ValueRef::Int(1)])] }];
    let fetched = source.fetch(&wanted, &Checkpoint::default(), usize::MAX).await.expect("fetched");
    assert!(fetched[0].row(0).is_some());
    let peak = peak();
    // Others in this process have their caches beside it.
    assert!((1..ROW).contains(&peak), "SQLite held {peak} bytes");
}
