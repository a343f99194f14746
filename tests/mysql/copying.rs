//! Copies: every row once, however a table is keyed and cut, and whatever happens meanwhile.

use super::reading::{copied, drain, fetched, rows, settings, source, table};
use crate::support::{
    mysql::{Kind, Server},
    wait::{eventually, until},
};
use std::{sync::Arc, time::Duration};
use whimbrel::{
    connectors,
    error::ErrorKind,
    model::{Checkpoint, JobId, Key, KeyRange, Value, ValueRef},
    source::{Columns, Next, Source, Wanted},
};

const PATIENCE: Duration = Duration::from_secs(10);

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
    ("TIMESTAMP(3)", "PRIMARY KEY (k)", "FROM_UNIXTIME(10 + seq / 1000)"),
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

/// Collations of MySQL 9 that MariaDB lacks; 'ß' is 'ss' there, and what ends in a space is another key.
const KEYED_MYSQL: &[(&str, &str, &str)] = &[
    (
        "VARCHAR(40) COLLATE utf8mb4_0900_ai_ci",
        "PRIMARY KEY (k, w)",
        "CONCAT(ELT(seq MOD 6 + 1, 'a', 'É', 'z ', 'ß', 'ss', 'z'), seq MOD 7, ELT(seq MOD 2 + 1, '', ' '))",
    ),
    (
        "VARCHAR(40) COLLATE utf8mb4_ja_0900_as_cs_ks",
        "PRIMARY KEY (k)",
        "CONCAT(ELT(seq MOD 4 + 1, 'か', 'が', 'カ', '日本'), seq)",
    ),
    ("VARCHAR(40) COLLATE utf8mb4_0900_bin", "PRIMARY KEY (k)", "CONCAT(seq, ELT(seq MOD 2 + 1, '', ' '))"),
];

const ROWS: usize = 2_500;

#[tokio::test]
async fn every_kind_of_key_is_paged_and_cut_without_a_gap() {
    let own = ["UUID", "INET6"];
    for kind in [Kind::Mariadb, Kind::Mysql, Kind::Mysql56] {
        let shared = KEYED.iter().filter(|(of, ..)| kind == Kind::Mariadb || !own.contains(of));
        let more = if kind == Kind::Mysql { KEYED_MYSQL } else { &[] };
        paged_and_cut(&Server::of(kind, &["--sql-mode="]), shared.chain(more).collect()).await;
    }
}

async fn paged_and_cut(server: &Server, keyed: Vec<&'static (&str, &str, &str)>) {
    let source = source(server);
    server.numbers(&[ROWS]);
    for (number, (kind, key, expression)) in keyed.iter().enumerate() {
        server.sql(&format!(
            "CREATE TABLE t{number} (w INT NOT NULL, k {kind} NOT NULL, {key}); \
             INSERT INTO t{number} (w, k) SELECT seq, {expression} FROM numbers.seq_1_to_{ROWS}"
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

/// Of each kind, in the order in which one server goes through them. Connections are ended while the client is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_comes_once_whatever_happens_meanwhile() {
    for kind in [Kind::Mariadb, Kind::Mysql] {
        let mut server = Server::of(kind, &["--max-allowed-packet=64M"]);
        server.numbers(&[801, 20_000, 30_000]);
        a_key_beyond_the_ends_is_in_the_first_or_the_last_range(&server).await;
        a_page_deep_in_a_composite_key_looks_at_its_own_rows_only(&server).await;
        a_table_without_a_key_is_read_as_it_was_at_one_known_moment(&server).await;
        rows_by_key_are_those_that_the_server_takes_for_it(&server).await;
        a_row_that_is_too_large_is_named_and_those_before_it_come(&server).await;
        a_feed_that_is_dropped_ends_its_query(&server).await;
        a_copy_goes_on_after_its_server_was_killed(&mut server).await;
    }
}

async fn a_key_beyond_the_ends_is_in_the_first_or_the_last_range(server: &Server) {
    let source = source(server);
    server.sql("DROP TABLE IF EXISTS t; CREATE TABLE t (id BIGINT PRIMARY KEY); INSERT INTO t SELECT seq + 99 FROM numbers.seq_1_to_801");
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
async fn a_page_deep_in_a_composite_key_looks_at_its_own_rows_only(server: &Server) {
    let source = source(server);
    server.sql(
        "DROP TABLE IF EXISTS t; CREATE TABLE t (a INT, b VARCHAR(20) CHARACTER SET latin1, c INT, PRIMARY KEY (a, b, c)); \
         INSERT INTO t SELECT seq MOD 5, CONCAT('k', seq MOD 100), seq FROM numbers.seq_1_to_20000",
    );
    let table = table(&*source, "t").await;
    let after = Key::from_values([ValueRef::Int(3), ValueRef::Text("k48"), ValueRef::Int(0)]);
    let upto = Key::from_values([ValueRef::Int(3), ValueRef::Text("k53"), ValueRef::Int(0)]);
    // The first page prepares and reads the shape; what counts is the table's own. MySQL counts those of its catalogue apart.
    let read = || -> u64 {
        let ask = match server.kind {
            Kind::Mariadb => {
                "SELECT COALESCE(SUM(ROWS_READ), 0) FROM information_schema.TABLE_STATISTICS WHERE TABLE_NAME = 't'"
            }
            _ => "SHOW GLOBAL STATUS LIKE 'Innodb_rows_read'",
        };
        server.sql(ask).trim().rsplit('\t').next().and_then(|read| read.parse().ok()).expect("a number")
    };
    if server.kind == Kind::Mariadb {
        server.sql("SET GLOBAL userstat = 1; FLUSH TABLE_STATISTICS");
    }
    let before = read();
    let range = KeyRange { after: Some(after), upto: Some(upto) };
    assert_eq!(copied(&*source, &table, &range).await.len(), 200);
    let read = read() - before;
    assert!(read <= 300, "{read} rows were looked at for 200");
}

async fn a_table_without_a_key_is_read_as_it_was_at_one_known_moment(server: &Server) {
    let source = source(server);
    server.sql("DROP TABLE IF EXISTS t; CREATE TABLE t (a INT, b TEXT); INSERT INTO t SELECT seq MOD 3, REPEAT('x', 500) FROM numbers.seq_1_to_30000");
    let table = table(&*source, "t").await;
    assert!(table.is_keyless());
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
    assert!(source.order(then, now).unwrap().is_lt(), "it stood at {then:?}");
}

async fn rows_by_key_are_those_that_the_server_takes_for_it(server: &Server) {
    let source = source(server);
    server.sql(
        "DROP TABLE IF EXISTS t; CREATE TABLE t (k VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, n INT); \
         INSERT INTO t SELECT CONCAT('Key', seq), seq FROM numbers.seq_1_to_801 WHERE seq <= 500",
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

/// E3: with a replica to wait for, a transaction is in the log before it is shown.
#[tokio::test]
pub async fn a_read_waits_for_what_is_logged_and_not_shown_yet() {
    let server = Server::mariadb(&[
        "--rpl-semi-sync-master-enabled=1",
        "--rpl-semi-sync-master-wait-point=AFTER_SYNC",
        "--rpl-semi-sync-master-timeout=600000",
        "--rpl-semi-sync-master-wait-no-slave=1",
    ]);
    server.sql("SET GLOBAL rpl_semi_sync_master_enabled = 0; CREATE TABLE t (id INT PRIMARY KEY)");
    let source = source(&server);
    let table = table(&*source, "t").await;
    server.sql("SET GLOBAL rpl_semi_sync_master_enabled = 1");
    let before = server.sql("SELECT @@GLOBAL.gtid_binlog_pos");
    let mut session = server.session();
    session.say("INSERT INTO t VALUES (7)");
    until("it is logged", || (server.sql("SELECT @@GLOBAL.gtid_binlog_pos") != before).then_some(()));
    assert_eq!(server.sql("SELECT count(*) FROM t"), "0\n", "and not shown");
    // A read that demands nothing shows nothing, and says how far it may have seen.
    let key = || vec![Key::from_values([ValueRef::Int(7)])];
    assert_eq!(fetched(&*source, &table, key()).await, [None]);
    let after = source.seen();
    let wanted = Wanted { table: Arc::clone(&table), keys: key() };
    let looks = "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'COM_BEGIN'";
    let looked = || server.sql(looks).trim().parse::<u64>().unwrap();
    let before = looked();
    let reading = {
        let source = Arc::clone(&source);
        tokio::spawn(async move { source.fetch(&[wanted], &after, usize::MAX).await })
    };
    eventually("it looks at what snapshots show, again and again", async || (looked() > before + 2).then_some(()))
        .await;
    server.sql("SET GLOBAL rpl_semi_sync_master_enabled = 0");
    session.answer();
    let answer = reading.await.unwrap().unwrap();
    assert!(answer[0].rows[0].is_some(), "it has waited for the row");
}

async fn a_copy_goes_on_after_its_server_was_killed(server: &mut Server) {
    server.sql(
        "DROP TABLE IF EXISTS t; CREATE TABLE t (id INT PRIMARY KEY, v TEXT); INSERT INTO t SELECT seq, REPEAT('v', 2000) FROM numbers.seq_1_to_20000",
    );
    let source = source(server);
    let table = table(&*source, "t").await;
    let mut feed = source.copy(&table, &KeyRange::all(), Columns::All, &Checkpoint::default()).await.unwrap();
    let mut seen = Vec::new();
    let mut done = None;
    let broke = loop {
        match feed.next(PATIENCE).await {
            Ok(Next::Batch(batch)) => {
                done = KeyRange::from_position(&batch.to).and_then(|(.., done)| done);
                seen.extend(rows(&[batch]));
                server.kill();
            }
            Ok(Next::Idle(_)) => {}
            Ok(Next::End) => panic!("it ended without its server"),
            Err(error) => break error,
        }
    };
    assert!(broke.is_transient(), "{broke:?}");
    server.start();
    seen.extend(copied(&*source, &table, &KeyRange { after: done, upto: None }).await);
    assert_eq!(seen.len(), 20_000);
}

async fn a_row_that_is_too_large_is_named_and_those_before_it_come(server: &Server) {
    server.sql(
        "DROP TABLE IF EXISTS t; CREATE TABLE t (id INT PRIMARY KEY, v LONGBLOB); \
         INSERT INTO t VALUES (1, REPEAT('v', 100)), (2, REPEAT('v', 3000000)), (3, REPEAT('v', 70000)), (4, '')",
    );
    let mut settings = settings(server, "reader");
    settings.options = [("max_row_bytes".to_owned(), "65536".to_owned())].into();
    let source = connectors::open(&settings).unwrap().source().unwrap();
    let table = table(&*source, "t").await;
    for (start, before, key) in [(0, 1, "(2)"), (2, 0, "(3)")] {
        let after = Some(Key::from_values([ValueRef::Int(start)]));
        let range = KeyRange { after, upto: None };
        let mut feed = source.copy(&table, &range, Columns::All, &Checkpoint::default()).await.unwrap();
        let mut seen = 0;
        let refused = loop {
            match feed.next(PATIENCE).await {
                Ok(Next::Batch(batch)) => seen += batch.changes(),
                Ok(Next::Idle(_)) => {}
                Ok(Next::End) => panic!("it ended"),
                Err(error) => break error,
            }
        };
        assert_eq!((refused.kind(), seen), (ErrorKind::Refused, before), "{refused:?}");
        assert!(refused.to_string().contains(key) && refused.hint_text().is_some(), "{refused:?}");
    }
    let wanted = Wanted { table, keys: vec![Key::from_values([ValueRef::Int(3)])] };
    let refused = source.fetch(&[wanted], &Checkpoint::default(), usize::MAX).await.unwrap_err();
    assert!(refused.to_string().contains("(3)"), "{refused:?}");
}

/// A held range takes one batch of a feed and drops it: the server must not go on sending.
async fn a_feed_that_is_dropped_ends_its_query(server: &Server) {
    server.sql("DROP TABLE IF EXISTS t; CREATE TABLE t (v TEXT); INSERT INTO t SELECT REPEAT('v', 4000) FROM numbers.seq_1_to_20000");
    let source = source(server);
    let table = table(&*source, "t").await;
    for _ in 0..20 {
        let mut feed = source.copy(&table, &KeyRange::all(), Columns::All, &Checkpoint::default()).await.unwrap();
        while !matches!(feed.next(PATIENCE).await.unwrap(), Next::Batch(_)) {}
    }
    let busy = "SELECT count(*) FROM information_schema.PROCESSLIST WHERE USER = 'reader' AND COMMAND <> 'Sleep'";
    eventually("no query runs", async || (server.sql(busy) == "0\n").then_some(())).await;
    let all = "SELECT count(*) FROM information_schema.PROCESSLIST WHERE USER = 'reader'";
    let left: usize = server.sql(all).trim().parse().unwrap();
    assert!(left <= 10, "{left} connections are left");
}

/// Two hosts, and the first one is left while a copy still reads there: its rows may be in no log that is followed.
#[tokio::test]
pub async fn a_copy_does_not_read_on_at_a_server_that_was_left() {
    for kind in [Kind::Mariadb, Kind::Mysql] {
        does_not_read_on(kind).await;
    }
}

async fn does_not_read_on(kind: Kind) {
    let (first, second) = (Server::of(kind, &[]), Server::of(kind, &["--server-id=2"]));
    first.numbers(&[30_000]);
    first.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, v TEXT); \
         INSERT INTO t SELECT seq, REPEAT('v', 1000) FROM numbers.seq_1_to_30000",
    );
    let mut settings = settings(&first, "reader");
    settings.url = format!("mysql://reader@127.0.0.1:{},127.0.0.1:{}/shop", first.port, second.port);
    let source = connectors::open(&settings).unwrap().source().unwrap();
    let table = table(&*source, "t").await;
    let mut feed = source.copy(&table, &KeyRange::all(), Columns::All, &Checkpoint::default()).await.unwrap();
    // The second one is the first of a page of several: nothing is asked beside that page any more.
    for _ in 0..2 {
        while !matches!(feed.next(PATIENCE).await.unwrap(), Next::Batch(_)) {}
    }
    // Only the connection that is reading stays: the first that was made.
    first.sql("ALTER USER reader@'%' ACCOUNT LOCK");
    let all = "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'reader' ORDER BY ID";
    for id in first.sql(all).lines().skip(1) {
        first.sql(&format!("KILL {id}"));
    }
    let left = source.mark().await.expect_err("another server answers");
    assert!(left.is_transient(), "{left:?}");
    source.mark().await.expect("that one is taken");
    let error = drain(&mut *feed).await.expect_err("what is read on is not what is followed");
    assert!(error.to_string().contains("another server"), "{error:?}");
}
