//! Many rows at once: by the bulk protocol, in one packet or several, and deletes by lists of keys.

use super::{
    reading::{source, table},
    types::MARIADB,
    written::{Written, moved, shapes, upsert},
};
use crate::support::mysql::Server;
use std::sync::Arc;
use whimbrel::{
    error::ErrorKind,
    model::{Change, Rows, Table, Value},
    target::Applied,
};

/// How often statements of this kind were run, by all.
fn count(server: &Server, status: &str) -> u64 {
    let line = server.sql(&format!("SHOW GLOBAL STATUS LIKE '{status}'"));
    line.trim().rsplit('\t').next().and_then(|count| count.parse().ok()).expect("a count")
}

#[tokio::test]
async fn every_type_goes_in_bulk_as_it_does_one_by_one() {
    let server = Server::mariadb(&["--sql-mode=", "--default-time-zone=-05:00"]);
    let mut sql = String::from("SET time_zone = '+00:00';\n");
    for (number, (declared, _, values)) in MARIADB.iter().enumerate() {
        sql += &format!("CREATE TABLE k{number} (id INT PRIMARY KEY, v {declared} DEFAULT NULL);\n");
        for (id, value) in values.iter().chain(&["NULL"]).enumerate() {
            sql += &format!("INSERT INTO k{number} VALUES ({id}, {value});\n");
        }
        sql += &format!("INSERT INTO k{number} SELECT id + 100 * seq, v FROM k{number}, seq_1_to_32;\n");
    }
    server.sql(&sql);
    let source = source(&server);
    let mut of = Vec::new();
    for number in 0..MARIADB.len() {
        of.push(table(&*source, &format!("k{number}")).await);
    }
    let copies: Vec<Arc<Table>> = of.iter().map(|shape| moved(shape)).collect();
    let mut written = Written::open(&server, &copies).await;
    let before = count(&server, "Com_stmt_prepare");
    for (number, (declared, ask, _)) in MARIADB.iter().enumerate() {
        written.copy(&*source, &of[number], &copies[number]).await;
        let query = format!("SELECT id, COALESCE({ask}, 'NULL') FROM k{number} ORDER BY id");
        let [there, here] = written.both(&query);
        assert_eq!(there, here, "{declared}");
        let [there, here] = written.both(&format!("CHECKSUM TABLE k{number}"));
        assert_eq!(there.split('\t').nth(1), here.split('\t').nth(1), "{declared}");
    }
    let prepared = count(&server, "Com_stmt_prepare") - before;
    // Nearly all kinds go so; each of the reads of the source prepares one, too.
    assert!(prepared > 3 * MARIADB.len() as u64 / 2, "{prepared} of {}", MARIADB.len());
}

#[tokio::test]
async fn a_column_may_be_null_in_the_first_thousands_of_rows_and_rows_may_need_many_packets() {
    let server = Server::mariadb(&["--max-allowed-packet=1M"]);
    server.sql("CREATE TABLE t (id INT PRIMARY KEY, n BIGINT, v TEXT, d DATETIME(6))");
    let shapes = shapes(&server, &["t"]).await;
    let mut written = Written::open(&server, &shapes).await;
    let long = "x".repeat(2_000);
    // Of a thousand rows the first packet has no number.
    let number = |id: i64| if id % 1_000 < 900 { Value::Null } else { Value::Int(-id) };
    let row = |id: i64| match id {
        0..2500 => vec![Value::Int(id), Value::Null, Value::Null, Value::Null],
        _ => vec![Value::Int(id), number(id), Value::Text(format!("{id} {long}")), Value::Null],
    };
    let rows: Vec<Vec<Value>> = (0..5000).map(row).collect();
    // As new rows, and over those that are there.
    for _ in 0..2 {
        written.apply(upsert(&shapes[0], &rows.iter().map(Vec::as_slice).collect::<Vec<_>>())).await;
        let told = server.sql(
            "SELECT COUNT(*), COUNT(n), SUM(n = -id), SUM(v = CONCAT(id, ' ', REPEAT('x', 2000))), COUNT(d) FROM copy.t",
        );
        assert_eq!(told, "5000\t300\t300\t2500\t0\n");
    }
}

#[tokio::test]
async fn a_row_among_many_that_wants_the_value_of_another_overwrites_nothing() {
    let server = Server::mariadb(&[]);
    server.sql("CREATE TABLE t (id INT PRIMARY KEY, u INT UNIQUE)");
    let shapes = shapes(&server, &["t"]).await;
    let mut written = Written::open(&server, &shapes).await;
    let rows = |range: std::ops::Range<i64>, shift: i64| -> Vec<Vec<Value>> {
        range.map(|id| vec![Value::Int(id), Value::Int(id + shift)]).collect()
    };
    let apply = |rows: &[Vec<Value>]| upsert(&shapes[0], &rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
    written.apply(apply(&rows(0..100, 0))).await;
    written.finish(&shapes[0]).await;
    // Row 1000 wants what row 50 has; the server would make row 50 of it.
    let mut many = rows(100..200, 0);
    many.push(vec![Value::Int(1000), Value::Int(50)]);
    let applied = written.try_apply(apply(&many)).await.expect("an answer");
    assert!(
        matches!(&applied, Applied::Taken(clashes) if clashes.len() == 1 && clashes[0].mutation == 100),
        "{applied:?}"
    );
    assert_eq!(server.sql("SELECT COUNT(*), SUM(id = u) FROM copy.t"), "100\t100\n");
}

#[tokio::test]
async fn what_a_column_would_bend_is_refused_among_many_as_it_is_alone() {
    let server = Server::mariadb(&[]);
    server.sql("CREATE TABLE t (id INT PRIMARY KEY, c CHAR(5), b BINARY(4))");
    let shapes = shapes(&server, &["t"]).await;
    let mut written = Written::open(&server, &shapes).await;
    let row = |id: i64, text: &str, bytes: &[u8]| {
        vec![Value::Int(id), Value::Text(text.into()), Value::Bytes(bytes.to_vec())]
    };
    let rows = || -> Vec<Vec<Value>> { (0..100).map(|id| row(id, "a", b"1234")).collect() };
    let upsert = |rows: &[Vec<Value>]| upsert(&shapes[0], &rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
    // A space at the end is dropped, bytes are filled up: both without a word of the server's.
    for bent in [row(50, "a ", b"1234"), row(50, "a", b"123")] {
        let mut rows = rows();
        rows[50] = bent;
        let error = written.try_apply(upsert(&rows)).await.expect_err("refused");
        assert!(error.kind() == ErrorKind::Refused && error.to_string().contains("key (50)"), "{error:?}");
    }
    assert_eq!(server.sql("SELECT COUNT(*) FROM copy.t"), "0\n");
    written.apply(upsert(&rows())).await;
    assert_eq!(server.sql("SELECT COUNT(*) FROM copy.t WHERE c = 'a' AND b = '1234'"), "100\n");
}

/// Keys of a table of each kind, each with neighbours that stay.
const KEYS: &[(&str, &str)] = &[
    ("k INT", "seq"),
    ("k BIGINT UNSIGNED", "10000000000 + seq"),
    ("k DECIMAL(20,5)", "seq / 8"),
    ("k DATETIME(3)", "'2026-01-01' + INTERVAL seq * 125000 MICROSECOND"),
    ("k TIMESTAMP", "'2026-01-01' + INTERVAL seq SECOND"),
    ("k TIME(6)", "SEC_TO_TIME(CAST(seq AS SIGNED) - 500)"),
    ("k VARCHAR(20) CHARACTER SET latin1", "CONCAT('k\\'', seq)"),
    ("k VARCHAR(20) COLLATE utf8mb4_nopad_bin", "CONCAT('é', seq)"),
    ("k VARBINARY(20)", "UNHEX(CONCAT('00ff27', LPAD(HEX(seq), 6, '0')))"),
    ("k UUID", "CONCAT('00000000-0000-4000-8000-', LPAD(seq, 12, '0'))"),
    ("k FLOAT", "seq / 10"),
    ("k YEAR", "1901 + seq MOD 250"),
];

#[tokio::test]
async fn keys_of_every_kind_are_deleted_by_lists() {
    let server = Server::mariadb(&["--default-time-zone=+00:00"]);
    let several = "a INT, b VARCHAR(9), PRIMARY KEY (a, b)";
    let mut sql = format!("CREATE TABLE k99 ({several}); INSERT INTO k99 SELECT seq DIV 10, seq FROM seq_1_to_1000;\n");
    for (number, (key, value)) in KEYS.iter().enumerate() {
        sql += &format!(
            "CREATE TABLE k{number} ({key} PRIMARY KEY); INSERT IGNORE INTO k{number} SELECT {value} FROM seq_1_to_1000;\n"
        );
    }
    server.sql(&sql);
    let source = source(&server);
    let names: Vec<String> = (0..KEYS.len()).chain([99]).map(|number| format!("k{number}")).collect();
    let mut of = Vec::new();
    for name in &names {
        of.push(table(&*source, name).await);
    }
    let copies: Vec<Arc<Table>> = of.iter().map(|shape| moved(shape)).collect();
    let mut written = Written::open(&server, &copies).await;
    for ((name, from), to) in names.iter().zip(&of).zip(&copies) {
        let rows = Written::read(&*source, from, to).await;
        // Every third row.
        let third = |change: Option<Change>| {
            let mut some = Rows::clone(&rows);
            let mut place = 0;
            some.mutations.retain_mut(|one| {
                place += 1;
                one.change = change.unwrap_or(one.change);
                (place % 3 == 0) == change.is_some()
            });
            some
        };
        let (gone, kept) = (third(Some(Change::Delete)), third(None));
        let rest = kept.mutations.len();
        assert!(rest > 160, "{rest} rows of {name}");
        written.apply(rows.clone()).await;
        let before = count(&server, "Com_delete");
        written.apply(gone).await;
        let statements = count(&server, "Com_delete") - before;
        // Times are one group to the hash that tells keys apart, and numbers with a fraction are not listed.
        let one_by_one = ["float", "date", "time"].iter().any(|kind| from.columns[0].declared.starts_with(kind));
        assert!(statements <= 8 || one_by_one, "{statements} statements for {name}");
        let left = || server.sql(&format!("SELECT COUNT(*) FROM copy.{name}"));
        assert_eq!(left(), format!("{rest}\n"), "{name}");
        // What is left is what should be: written again, it adds nothing.
        written.apply(kept).await;
        assert_eq!(left(), format!("{rest}\n"), "{name}");
    }
}
