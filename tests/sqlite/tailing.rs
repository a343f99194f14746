//! The change log: begin, tail, edges, marks, pruning, locks.

use super::support::*;
use crate::support::wait::eventually;
use std::time::{Duration, Instant};
use whimbrel::{
    error::ErrorKind,
    faults::{self, Saboteur},
    model::{Change, Checkpoint, KeyRange},
    source::{Columns, Next},
};

const TABLES: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE TABLE k(k TEXT PRIMARY KEY, v) WITHOUT ROWID;";

#[tokio::test]
async fn changes_come_in_order_with_their_keys() {
    let world = World::new();
    let path = world.database("a.db", TABLES);
    let source = source(&path);
    let tables = all_tables(&source).await;
    shell(&path, "INSERT INTO t VALUES (1, 'before');");
    let begun = source.begin(job(1), &tables).await.expect("begun");
    let mut feed = tail(&source, job(1), &begun).await.expect("a tail");
    shell(
        &path,
        "INSERT INTO t VALUES (2, 'a'); INSERT INTO k VALUES ('x', 1); UPDATE t SET id = 7 WHERE id = 2; DELETE FROM t WHERE id = 1; UPDATE k SET v = 2;",
    );
    let (batches, end) = drain(&mut feed).await.expect("read");
    let found: Vec<String> = keys(&batches).iter().map(|key| format!("{:?}", values(key)[0])).collect();
    assert_eq!(found, ["Int(2)", "Int(7)", "Int(1)", "Text(\"x\")"], "each key where it was touched last");
    assert!(
        batches.iter().flat_map(|batch| &batch.rows().mutations).all(|mutation| mutation.change == Change::Touched)
    );
    assert!(batches[0].committed_ms > 1_700_000_000_000 && batches[batches.len() - 1].complete);
    assert_eq!(position(&begun), batches[0].from);
    assert!(source.order(&batches[0].to, &batches[0].from).expect("ordered").is_gt());
    // Nothing uncommitted is seen.
    let own = rusqlite::Connection::open(&path).expect("opened");
    own.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (50, 0);").expect("written");
    let (batches, still) = drain(&mut feed).await.expect("read");
    assert!(batches.is_empty() && still == end);
    own.execute_batch("ROLLBACK; INSERT INTO t VALUES (51, 0);").expect("written");
    assert_eq!(keys(&[next_batch(&mut feed).await.expect("read")]).iter().map(int).collect::<Vec<_>>(), [51]);
}

#[tokio::test]
async fn a_batch_may_be_cut_and_edges_are_kept() {
    let world = World::new();
    let path = world.database("a.db", TABLES);
    let source = source(&path);
    let tables = all_tables(&source).await;
    let names: Vec<_> = tables.iter().map(|table| table.name.clone()).collect();
    let begun = source.begin(job(1), &tables).await.expect("begun");
    shell(
        &path,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 7000) INSERT INTO t SELECT i, i FROM n;",
    );
    let mut feed = tail(&source, job(1), &begun).await.expect("a tail");
    let (batches, end) = drain(&mut feed).await.expect("read");
    assert!(batches.len() > 1, "a long transaction comes in pieces");
    assert!(batches.windows(2).all(|two| two[0].to == two[1].from));
    assert_eq!(keys(&batches).iter().map(int).collect::<Vec<_>>(), (1..=7000).collect::<Vec<_>>());
    assert_eq!(
        batches.iter().map(|batch| batch.complete).collect::<Vec<_>>().iter().filter(|complete| **complete).count(),
        1
    );
    // Cut after some of them, it goes on with the next key.
    let cut = source.cut(&batches[0], 700);
    let mut feed = source.tail(job(1), &at(&cut), &[], &names).await.expect("a tail");
    let first = next_batch(&mut feed).await.expect("read");
    assert_eq!((first.from.clone(), int(&keys(&[first])[0])), (cut.clone(), 701));
    assert_eq!(source.cut(&batches[0], 0), batches[0].from);
    assert_eq!(source.cut(&batches[0], batches[0].rows().mutations.len()), batches[0].to);
    // An edge is where a batch ends.
    let edges = [at(&cut), at(&batches[1].to)];
    let mut feed = source.tail(job(1), &begun, &edges, &names).await.expect("a tail");
    let (again, _) = drain(&mut feed).await.expect("read");
    let ends: Vec<_> = again.iter().map(|batch| batch.to.clone()).collect();
    assert!(ends.contains(&cut) && ends.contains(&batches[1].to) && ends.contains(&end), "{ends:?}");
    faults::sabotage(Some(Saboteur::EdgeCrossed));
    let mut feed = source.tail(job(1), &begun, &edges, &names).await.expect("a tail");
    faults::sabotage(None);
    let (again, _) = drain(&mut feed).await.expect("read");
    assert!(again.iter().all(|batch| batch.to != cut), "without the defence the edge is crossed");
}

#[tokio::test]
async fn begin_rounds_down_and_marks_round_up() {
    let world = World::new();
    let path = world.database("a.db", TABLES);
    let source = source(&path);
    let tables = all_tables(&source).await;
    for sabotaged in [false, true] {
        faults::sabotage(sabotaged.then_some(Saboteur::BeginRoundedUp));
        let begun = source.begin(job(1), &tables).await.expect("begun");
        faults::sabotage(None);
        shell(&path, "INSERT INTO t(v) VALUES ('first after');");
        let mark = source.mark().await.expect("a mark");
        shell(&path, "INSERT INTO t(v) VALUES ('after the mark');");
        let mut feed = tail(&source, job(1), &begun).await.expect("a tail");
        assert!(sabotaged || !feed.passed(&mark));
        let (batches, _) = drain(&mut feed).await.expect("read");
        assert_eq!(keys(&batches).len(), if sabotaged { 1 } else { 2 });
        assert!(feed.passed(&mark));
    }
}

#[tokio::test]
async fn acknowledged_changes_are_forgotten_and_no_others() {
    let world = World::new();
    let path = world.database("a.db", TABLES);
    let source = source(&path);
    let tables = all_tables(&source).await;
    let begun = source.begin(job(1), &tables).await.expect("begun");
    let other = source.begin(job(2), &tables[..1]).await.expect("begun");
    shell(
        &path,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000) INSERT INTO t SELECT i, i FROM n;",
    );
    let mut feed = tail(&source, job(1), &begun).await.expect("a tail");
    let (_, end) = drain(&mut feed).await.expect("read");
    feed.acknowledge(&at(&end)).await.expect("acknowledged");
    let left = || shell(&path, "SELECT count(*) FROM whimbrel_log;").trim().parse::<u64>().expect("a number");
    let noted = || {
        let sql = "SELECT max(acknowledged) FROM whimbrel_follow WHERE job LIKE '%1';";
        (shell(&path, sql).trim() == "12001").then_some(())
    };
    eventually("job 1 is noted", || async { noted() }).await;
    assert_eq!(left(), 12_001, "the other job needs them");
    let backlog = source.backlog(job(2), &other).await.expect("asked");
    assert_eq!(backlog.changes, Some(12_000));
    assert!(backlog.oldest_ms.is_some());
    source.release(job(2)).await.expect("released");
    feed.acknowledge(&at(&end)).await.expect("acknowledged");
    eventually("the log is pruned", || async { (left() == 1).then_some(()) }).await;
    let mut again = tail(&source, job(1), &at(&end)).await.expect("goes on from the last one");
    shell(&path, "INSERT INTO k VALUES ('x', 1);");
    assert_eq!(keys(&[next_batch(&mut again).await.expect("read")]).len(), 1);
    let error = tail(&source, job(1), &begun).await.err().expect("pruned beyond");
    assert_eq!(error.kind(), ErrorKind::Lost);
    assert!(error.hint_text().is_some());
}

#[tokio::test]
async fn release_removes_exactly_what_no_other_job_needs() {
    let world = World::new();
    let path = world.database("a.db", TABLES);
    let schema = || shell(&path, "SELECT type, name, sql FROM sqlite_schema ORDER BY name;");
    let untouched = schema();
    let source = source(&path);
    let tables = all_tables(&source).await;
    source.begin(job(1), &tables[..1]).await.expect("begun");
    let one = schema();
    source.begin(job(2), &tables).await.expect("begun");
    source.begin(job(2), &tables).await.expect("again: it was never used");
    source.release(job(2)).await.expect("released");
    assert_eq!(schema(), one);
    source.release(job(2)).await.expect("nothing is there");
    source.release(job(1)).await.expect("released");
    assert_eq!(schema(), untouched);
    std::fs::remove_file(&path).expect("removed");
    source.release(job(1)).await.expect("no file, nothing to release");
}

#[tokio::test]
async fn a_lock_of_seconds_is_waited_out() {
    let world = World::new();
    for mode in ["delete", "wal"] {
        let path = world.database(&format!("{mode}.db"), &format!("PRAGMA journal_mode = {mode}; {TABLES}"));
        let source = source(&path);
        let tables = all_tables(&source).await;
        let begun = source.begin(job(1), &tables).await.expect("begun");
        let mut feed = tail(&source, job(1), &begun).await.expect("a tail");
        let own = rusqlite::Connection::open(&path).expect("opened");
        own.execute_batch("BEGIN EXCLUSIVE; INSERT INTO t VALUES (1, 1);").expect("locked");
        let start = Instant::now();
        let error = loop {
            match feed.next(PATIENCE).await {
                Ok(Next::Idle(_)) if mode == "wal" && start.elapsed() > Duration::from_secs(1) => break None,
                Ok(Next::Idle(_)) => assert!(start.elapsed() < DEADLINE),
                Ok(other) => panic!("{other:?}"),
                Err(error) => break Some(error),
            }
        };
        if let Some(error) = error {
            assert_eq!((error.kind(), mode), (ErrorKind::Transient, "delete"));
            assert!(error.hint_text().is_some());
        }
        own.execute_batch("COMMIT;").expect("committed");
        drop(own);
        let mut feed = tail(&source, job(1), &begun).await.expect("a tail");
        assert_eq!(keys(&[next_batch(&mut feed).await.expect("nothing is lost")]).len(), 1);
        assert_eq!(shell(&path, "PRAGMA journal_mode;").trim(), mode, "the file's own journal mode stays");
    }
}

#[tokio::test]
async fn a_null_in_a_key_stops_behind_what_came_before() {
    let world = World::new();
    let path = world.database("a.db", "CREATE TABLE n(k TEXT PRIMARY KEY, v);");
    let source = source(&path);
    let tables = all_tables(&source).await;
    let begun = source.begin(job(1), &tables).await.expect("begun");
    shell(&path, "INSERT INTO n VALUES ('a', 1), (NULL, 2);");
    let mut feed = tail(&source, job(1), &begun).await.expect("a tail");
    assert_eq!(keys(&[next_batch(&mut feed).await.expect("the one before")]).len(), 1);
    let error = feed.next(DEADLINE).await.expect_err("no address");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.hint_text().is_some_and(|hint| hint.contains("SELECT rowid")), "{error:?}");
    // Mended as the hint says, the log goes on.
    shell(
        &path,
        "UPDATE n SET k = 'b' WHERE k IS NULL; INSERT INTO n VALUES (NULL, 3); DELETE FROM n WHERE k IS NULL;",
    );
    let mut feed = tail(&source, job(1), &begun).await.expect("a tail");
    let rows = keys(&[next_batch(&mut feed).await.expect("there is none any more")]);
    assert_eq!(rows.len(), 2, "{rows:?}");
}

#[tokio::test]
async fn reads_prove_that_they_see_the_log() {
    let world = World::new();
    let path = world.database("a.db", TABLES);
    let source = source(&path);
    let tables = all_tables(&source).await;
    let begun = source.begin(job(1), &tables).await.expect("begun");
    let before = world.path("before.db");
    std::fs::copy(&path, &before).expect("copied");
    shell(&path, "INSERT INTO t VALUES (1, 1);");
    let mut feed = tail(&source, job(1), &begun).await.expect("a tail");
    let (_, end) = drain(&mut feed).await.expect("read");
    let older = super::support::source(&before);
    let mut behind = older.copy(&tables[1], &KeyRange::all(), Columns::All, &at(&end)).await.expect("a feed");
    assert_eq!(behind.next(DEADLINE).await.expect_err("the file is older").kind(), ErrorKind::Lost);
    assert_eq!(older.fetch(&[], &at(&end), 1).await.expect_err("the file is older").kind(), ErrorKind::Lost);
    assert!(older.fetch(&[], &Checkpoint::default(), 1).await.is_ok());
}

#[tokio::test]
async fn a_dropped_next_loses_nothing() {
    let world = World::new();
    let path = world.database("a.db", TABLES);
    let source = source(&path);
    let tables = all_tables(&source).await;
    let begun = source.begin(job(1), &tables).await.expect("begun");
    shell(
        &path,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) INSERT INTO t SELECT i, i FROM n;",
    );
    let all: Vec<i64> = (1..=30_000).collect();
    let tail = tail(&source, job(1), &begun).await.expect("a tail");
    let copy = source.copy(&tables[1], &KeyRange::all(), Columns::All, &begun).await.expect("a copy");
    for mut feed in [tail, copy] {
        let (mut found, start) = (Vec::new(), Instant::now());
        while found.len() < all.len() {
            // Asked, and dropped before there is an answer, over and over.
            if let Ok(next) = tokio::time::timeout(Duration::from_micros(50), feed.next(PATIENCE)).await
                && let Next::Batch(batch) = next.expect("read")
            {
                found.extend(keys(&[batch]).iter().map(int));
            }
            assert!(start.elapsed() < DEADLINE);
        }
        assert_eq!(found, all);
    }
}
