//! Copies: every row once, however a table is keyed and cut, and whatever happens meanwhile.

use super::reading::{copied, drain, fetched, rows, source, table};
use crate::support::mysql::Server;
use whimbrel::{
    model::{Checkpoint, JobId, Key, KeyRange, Value, ValueRef},
    source::{Columns, Source},
};

/// Rows of every range of a split, in order.
async fn in_pieces(source: &dyn Source, name: &str, pieces: usize) -> Vec<Vec<Value>> {
    let table = table(source, name).await;
    let ranges = source.split(&table, &KeyRange::all(), pieces).await.expect("splits");
    assert!(ranges.len() <= pieces);
    let mut found = Vec::new();
    for range in ranges {
        found.extend(copied(source, &table, &range).await);
    }
    found
}

/// Keys of every kind, each a table whose order is its index's: (its type, the key, its value in row `seq`).
const KEYED: &[(&str, &str, &str)] = &[
    ("BIGINT", "PRIMARY KEY (k)", "CAST(seq AS SIGNED) * 7 - 20000"),
    ("BIGINT UNSIGNED", "PRIMARY KEY (k)", "18446744073709551615 - seq * 3"),
    ("INT", "PRIMARY KEY (k DESC)", "seq"),
    (
        "VARCHAR(40) COLLATE utf8mb4_general_ci",
        "PRIMARY KEY (k)",
        "CONCAT(ELT(seq MOD 4 + 1, 'a', 'É', 'z ', 'ß'), seq)",
    ),
    (
        "VARCHAR(40) CHARACTER SET latin1 COLLATE latin1_german2_ci",
        "PRIMARY KEY (k)",
        "CONCAT(ELT(seq MOD 3 + 1, 'ä', 'z', 'ß'), seq)",
    ),
    ("VARCHAR(40) CHARACTER SET gbk", "PRIMARY KEY (k)", "CONCAT(ELT(seq MOD 3 + 1, '中', 'z', '文'), seq)"),
    ("VARBINARY(40)", "PRIMARY KEY (k)", "CONCAT(CHAR(seq MOD 256 USING binary), seq)"),
    ("BINARY(4)", "PRIMARY KEY (k)", "UNHEX(LPAD(HEX(seq * 65536), 8, '0'))"),
    ("DECIMAL(40,20)", "PRIMARY KEY (k)", "CONCAT('1.', LPAD(seq, 20, '0'))"),
    ("FLOAT", "PRIMARY KEY (k)", "seq / 10"),
    ("DOUBLE", "PRIMARY KEY (k)", "seq / 7"),
    ("DATE", "PRIMARY KEY (k)", "DATE_ADD('1000-01-01', INTERVAL seq DAY)"),
    ("DATETIME(6)", "PRIMARY KEY (k)", "DATE_ADD('2020-01-01', INTERVAL seq MICROSECOND)"),
    ("TIMESTAMP(3)", "PRIMARY KEY (k)", "FROM_UNIXTIME(seq / 1000)"),
    ("TIME(6)", "PRIMARY KEY (k)", "SEC_TO_TIME(CAST(seq AS SIGNED) - 1500 + 0.000001)"),
    ("BIT(20)", "PRIMARY KEY (k)", "seq"),
    ("UUID", "PRIMARY KEY (k)", "INSERT('12345678-0000-11e0-8000-000000000000', 1, 8, LPAD(HEX(seq * 7919), 8, '0'))"),
    ("INET6", "PRIMARY KEY (k)", "CONCAT('2001:db8::', HEX(seq))"),
    ("INT", "UNIQUE (k, w)", "seq MOD 10"),
    ("ENUM('z','m','a')", "PRIMARY KEY (k, w)", "seq MOD 3 + 1"),
    ("SET('z','m','a')", "PRIMARY KEY (k, w)", "seq MOD 8"),
    ("VARCHAR(20)", "PRIMARY KEY (k(3), w)", "CONCAT('ab', seq MOD 100)"),
    ("YEAR", "PRIMARY KEY (k, w)", "1901 + seq MOD 200"),
    ("INT", "PRIMARY KEY (k DESC, w ASC)", "seq MOD 40"),
];

const ROWS: usize = 2_500;

#[tokio::test]
async fn every_kind_of_key_is_paged_and_cut_without_a_gap() {
    let server = Server::mariadb(&["--sql-mode="]);
    let source = source(&server);
    for (number, (kind, key, expression)) in KEYED.iter().enumerate() {
        server.sql(&format!(
            "CREATE TABLE t{number} (w INT NOT NULL, k {kind} NOT NULL, {key}); \
             INSERT INTO t{number} (w, k) SELECT seq, {expression} FROM seq_1_to_{ROWS}"
        ));
        for pieces in [1, 7, 64] {
            let found = in_pieces(&*source, &format!("t{number}"), pieces).await;
            let mut order: Vec<i64> = found
                .iter()
                .map(|row| match row[0] {
                    Value::Int(w) => w,
                    ref other => panic!("{other:?}"),
                })
                .collect();
            order.sort_unstable();
            assert_eq!(order.len(), ROWS, "{kind}, {key}, in {pieces}");
            order.dedup();
            assert_eq!(order.len(), ROWS, "{kind}, {key}, in {pieces}: a row came twice");
        }
    }
}

#[tokio::test]
async fn a_key_beyond_the_ends_is_in_the_first_or_the_last_range() {
    let server = Server::mariadb(&[]);
    let source = source(&server);
    server.sql("CREATE TABLE t (id BIGINT PRIMARY KEY); INSERT INTO t SELECT seq FROM seq_100_to_900");
    let table = table(&*source, "t").await;
    let ranges = source.split(&table, &KeyRange::all(), 5).await.unwrap();
    assert_eq!(ranges.len(), 5);
    server.sql("INSERT INTO t VALUES (-9223372036854775808), (9223372036854775807)");
    let mut found = Vec::new();
    for range in &ranges {
        found.extend(copied(&*source, &table, range).await);
    }
    assert_eq!(found.len(), 803);
    assert_eq!((&found[0][0], &found[802][0]), (&Value::Int(i64::MIN), &Value::Int(i64::MAX)));
}

/// Pages of the index are walked, never sorted: the server's own count of rows it looked at tells.
#[tokio::test]
async fn a_page_deep_in_a_composite_key_looks_at_its_own_rows_only() {
    let server = Server::mariadb(&[]);
    let source = source(&server);
    server.sql(
        "CREATE TABLE t (a INT, b VARCHAR(20) CHARACTER SET latin1, c INT, PRIMARY KEY (a, b, c)); \
         INSERT INTO t SELECT seq MOD 5, CONCAT('k', seq MOD 100), seq FROM seq_1_to_20000",
    );
    let table = table(&*source, "t").await;
    let after = Key::from_values([ValueRef::Int(3), ValueRef::Text("k48"), ValueRef::Int(0)]);
    let upto = Key::from_values([ValueRef::Int(3), ValueRef::Text("k53"), ValueRef::Int(0)]);
    // The first page prepares and reads the shape; what counts is the table's own.
    server.sql("SET GLOBAL userstat = 1; FLUSH TABLE_STATISTICS");
    let range = KeyRange { after: Some(after), upto: Some(upto) };
    assert_eq!(copied(&*source, &table, &range).await.len(), 200);
    let read = server.sql("SELECT ROWS_READ FROM information_schema.TABLE_STATISTICS WHERE TABLE_NAME = 't'");
    let read: u64 = read.trim().parse().expect("a number");
    assert!(read <= 300, "{read} rows were looked at for 200");
}

#[tokio::test]
async fn a_table_without_a_key_is_read_as_it_was_at_one_known_moment() {
    let server = Server::mariadb(&[]);
    let source = source(&server);
    server.sql("CREATE TABLE t (a INT, b TEXT); INSERT INTO t SELECT seq MOD 3, REPEAT('x', 500) FROM seq_1_to_30000");
    let table = table(&*source, "t").await;
    assert!(table.is_keyless());
    let before = server.sql("SELECT @@gtid_binlog_pos");
    let mut feed = source.copy(&table, &KeyRange::all(), Columns::All, &Checkpoint::default()).await.unwrap();
    let stands_at = feed.stands_at().expect("a keyless table's copy knows where it stands");
    server.sql("DELETE FROM t WHERE a = 1; INSERT INTO t VALUES (7, 'late')");
    let found = rows(&drain(&mut *feed).await.unwrap());
    assert_eq!(found.len(), 30_000);
    assert!(found.iter().all(|row| row[0] != Value::Int(7)));
    // A later read waits for nothing to see that point.
    let later = source.begin(JobId(uuid::Uuid::new_v4()), &[]).await.unwrap();
    let (_, now) = later.0.first_key_value().unwrap();
    let (_, then) = stands_at.0.first_key_value().unwrap();
    assert!(source.order(then, now).unwrap().is_lt(), "it stood at {then:?}, {before}");
}

#[tokio::test]
async fn rows_by_key_are_those_that_the_server_takes_for_it() {
    let server = Server::mariadb(&[]);
    let source = source(&server);
    server.sql(
        "CREATE TABLE t (k VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, n INT); \
         INSERT INTO t SELECT CONCAT('Key', seq), seq FROM seq_1_to_500",
    );
    let table = table(&*source, "t").await;
    let key = |text: &str| Key::from_values([ValueRef::Text(text)]);
    let mut keys: Vec<Key> = (1..=200).map(|n| key(&format!("Key{n}"))).collect();
    keys.extend([key("kéy7"), key("nobody"), key("KEY500 "), key("Key7")]);
    let found = fetched(&*source, &table, keys).await;
    let n = |row: &Option<Vec<Value>>| row.as_ref().map(|row| row[1].clone());
    assert!((0..200).all(|at| n(&found[at]) == Some(Value::Int(at as i64 + 1))));
    let rest: Vec<_> = found[200..].iter().map(n).collect();
    assert_eq!(rest, [Some(Value::Int(7)), None, Some(Value::Int(500)), Some(Value::Int(7))]);
}
