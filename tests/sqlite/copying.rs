//! Ranges, pages and fetched rows.

use super::support::*;
use whimbrel::{
    error::ErrorKind,
    model::{Checkpoint, Key, KeyRange, Value, ValueRef},
    source::{Columns, Wanted},
};

/// Every kind of key, with values of every storage class.
const KEYS: &str = "
    CREATE TABLE ints(id INTEGER PRIMARY KEY, v);
    CREATE TABLE texts(k TEXT PRIMARY KEY, v) WITHOUT ROWID;
    CREATE TABLE cased(k TEXT PRIMARY KEY COLLATE NOCASE, v);
    CREATE TABLE padded(k TEXT PRIMARY KEY COLLATE RTRIM, v);
    CREATE TABLE pairs(a TEXT, b INTEGER, v, PRIMARY KEY (a, b));
    CREATE TABLE mixed(a TEXT, b INTEGER, v, PRIMARY KEY (a DESC, b));
    CREATE TABLE down(a INTEGER, b INTEGER, v, PRIMARY KEY (a DESC, b DESC)) WITHOUT ROWID;
    CREATE TABLE blobs(k BLOB PRIMARY KEY, v);
    CREATE TABLE anything(k PRIMARY KEY, v);
    CREATE TABLE nokey(a, b);
    CREATE TABLE numbered(rowid TEXT, b);
    CREATE TABLE strictly(k INT PRIMARY KEY, t TEXT, r REAL, b BLOB, a ANY) STRICT;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
    INSERT INTO ints SELECT i * 7 - 1000, i FROM n;
    INSERT INTO ints VALUES (9223372036854775807, 'max'), (-9223372036854775808, 'min');
    INSERT INTO texts SELECT 'k' || v, v FROM ints;
    INSERT INTO cased SELECT CASE WHEN v % 2 THEN 'K' ELSE 'k' END || v, v FROM ints;
    INSERT INTO padded SELECT 'k' || v || substr('    ', 1, v % 4), v FROM ints;
    INSERT INTO pairs SELECT 'a' || (v % 7), v, v FROM ints;
    INSERT INTO mixed SELECT 'a' || (v % 7), v, v FROM ints;
    INSERT INTO down SELECT v % 7, v, v FROM ints WHERE typeof(v) = 'integer';
    INSERT INTO blobs SELECT randomblob(8), v FROM ints;
    INSERT INTO anything SELECT CASE v % 4 WHEN 0 THEN v WHEN 1 THEN v + 0.5 WHEN 2 THEN 't' || v ELSE CAST('b' || v AS BLOB) END, v FROM ints;
    INSERT INTO nokey SELECT v, NULL FROM ints; DELETE FROM nokey WHERE a % 3 = 0;
    INSERT INTO numbered SELECT v, v FROM ints;
    INSERT INTO strictly SELECT v, 't', v, x'00ff', v FROM ints WHERE typeof(v) = 'integer';
";

#[tokio::test]
async fn ranges_cover_every_kind_of_key_exactly_once() {
    let world = World::new();
    let path = world.database("a.db", KEYS);
    let source = source(&path);
    for table in all_tables(&source).await {
        let whole = keys(&copy(&source, &table, &KeyRange::all(), Columns::Key).await.expect("copied"));
        let count = shell(&path, &format!("SELECT count(*) FROM {};", table.name.name));
        assert_eq!(whole.len().to_string(), count.trim(), "{}", table.name);
        for pieces in [1, 2, 7, 1000] {
            let ranges = source.split(&table, &KeyRange::all(), pieces).await.expect("split");
            assert!(ranges.len() <= pieces && (pieces < 2 || ranges.len() > 1), "{}: {}", table.name, ranges.len());
            assert_eq!((&ranges[0].after, &ranges[ranges.len() - 1].upto), (&None, &None));
            let mut together = Vec::new();
            for range in &ranges {
                together.extend(keys(&copy(&source, &table, range, Columns::Key).await.expect("copied")));
            }
            assert_eq!(together, whole, "{} in {pieces}", table.name);
        }
        // A range of a range, and from any key on.
        let middle = KeyRange { after: Some(whole[100].clone()), upto: Some(whole[300].clone()) };
        let mut together = Vec::new();
        for range in source.split(&table, &middle, 3).await.expect("split") {
            together.extend(keys(&copy(&source, &table, &range, Columns::Key).await.expect("copied")));
        }
        assert_eq!(together, whole[101..=300], "{}", table.name);
    }
}

#[tokio::test]
async fn a_copy_is_equal_value_by_value() {
    let world = World::new();
    let path = world.database("a.db", KEYS);
    shell(
        &path,
        "CREATE TABLE odd(id INTEGER PRIMARY KEY, v, i INTEGER, r REAL, t TEXT, n NUMERIC, g AS (i * 2), s TEXT AS (upper(t)) STORED);
         INSERT INTO odd(v, i, r, t, n) VALUES
         (NULL, 1, 1, 1, '1.0'), (1e308, '12', 5, 'x', 'y'), (-0.0, 'abc', 0.1, x'ff41', 1e20), (9e999, x'', -9e999, '', 3.0),
         (CAST(x'ff41' AS TEXT), 9223372036854775807, 3, CAST(x'ff' AS TEXT), '0x10'), (zeroblob(3000000), 0, 0, 'é' || char(0) || 'ü', 0);",
    );
    let (there, source) = (world.path("b.db"), source(&path));
    let tables = all_tables(&source).await;
    let mut applier = Applier::open(target(&there), &claim(job(1), 1, &tables), &tables).await;
    for table in &tables {
        applier.copy(&source, table).await;
    }
    applier.finish(&tables).await;
    assert_same(&path, &there);
    // Rows without a key keep their hidden numbers too.
    let numbers =
        |path| shell(path, "SELECT rowid, a FROM nokey ORDER BY 1; SELECT _rowid_, b FROM numbered ORDER BY 1;");
    assert_eq!(numbers(&path), numbers(&there));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&there).expect("made").permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(shell(&there, "PRAGMA journal_mode;").trim(), "wal");
}

#[tokio::test]
async fn fetch_answers_key_by_key_and_stops_at_its_limit() {
    let world = World::new();
    let path = world.database("a.db", KEYS);
    let source = source(&path);
    let ints = table(&source, "ints").await;
    let cased = table(&source, "cased").await;
    let int = |number| Key::from_values([ValueRef::Int(number)]);
    let text = |text| Key::from_values([ValueRef::Text(text)]);
    let wanted = [
        Wanted { table: ints.clone(), keys: vec![int(-993), int(-992), int(-986)] },
        // What the store takes for the same key is found.
        Wanted { table: cased.clone(), keys: vec![text("K1"), text("k1"), text("k2")] },
    ];
    let answers = source.fetch(&wanted, &Checkpoint::default(), usize::MAX).await.expect("fetched");
    assert_eq!(answers[0].rows.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(answers[0].row(2).expect("there").to_values(), [Some(Value::Int(-986)), Some(Value::Int(2))]);
    assert_eq!(answers[1].rows.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, true]);
    let answers = source.fetch(&wanted, &Checkpoint::default(), 1).await.expect("fetched");
    assert_eq!((answers[0].rows.len(), answers[1].rows.len()), (1, 0));
    shell(&path, "DROP TABLE ints;");
    let answers = source.fetch(&wanted, &Checkpoint::default(), usize::MAX).await.expect("fetched");
    assert!(answers[0].table.is_none() && answers[0].rows == [None, None, None]);
}

#[tokio::test]
async fn a_row_that_cannot_be_carried_is_named() {
    let world = World::new();
    let sql =
        "CREATE TABLE big(id INTEGER PRIMARY KEY, v); INSERT INTO big VALUES (1, 'x'), (2, zeroblob(300000)), (3, 'y');
               CREATE TABLE nulls(a TEXT, b TEXT, PRIMARY KEY (a, b)); INSERT INTO nulls VALUES ('x', NULL);";
    let path = world.database("a.db", sql);
    let limited = open(&path, [("max_row_bytes".to_owned(), "200000".to_owned())].into()).expect("good settings");
    let limited = limited.source().expect("a source");
    let big = table(&limited, "big").await;
    let mut feed = limited.copy(&big, &KeyRange::all(), Columns::All, &Checkpoint::default()).await.expect("a feed");
    assert_eq!(keys(&[next_batch(&mut feed).await.expect("the row before")]), [Key::from_values([ValueRef::Int(1)])]);
    let error = feed.next(DEADLINE).await.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("key (2)") && error.hint_text().is_some(), "{error:?}");
    let nulls = table(&limited, "nulls").await;
    let error = copy(&limited, &nulls, &KeyRange::all(), Columns::All).await.expect_err("no address");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("('x', NULL)") && error.hint_text().is_some(), "{error:?}");
}
