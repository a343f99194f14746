//! A file that is replaced underneath us.

use super::support::*;
use std::{fs, time::Instant};
use whimbrel::{error::ErrorKind, source::Next};

const TABLE: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, v);";

fn write(path: &std::path::Path, from: i64, upto: i64) {
    shell(
        path,
        &format!(
            "WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i < {upto}) INSERT INTO t SELECT i, i FROM n;"
        ),
    );
}

#[tokio::test]
async fn a_restored_backup_is_lost_whatever_was_written_since() {
    // (changes before the backup, changes after it, changes after the restore, written over the file or put in its place)
    let cases = [
        (5, 5, 0, false),
        (5, 5, 3, false),
        (5, 5, 5, false),
        (5, 5, 50, false),
        (0, 5, 50, false),
        (5, 5, 0, true),
        (5, 5, 5, true),
        (5, 5, 50, true),
    ];
    for (before, after, again, over) in cases {
        let world = World::new();
        let path = world.database("a.db", TABLE);
        let source = source(&path);
        let tables = all_tables(&source).await;
        let begun = source.begin(job(1), &tables).await.expect("begun");
        write(&path, 1, before.max(1));
        let backup = world.path("backup.db");
        fs::copy(&path, &backup).expect("a backup");
        let mut feed = tail(&source, job(1), &begun).await.expect("a tail");
        write(&path, 101, 100 + after);
        let (_, end) = drain(&mut feed).await.expect("read");
        // The tail is open while the file is replaced.
        if over {
            fs::copy(&backup, &path).expect("restored");
        } else {
            fs::rename(&backup, &path).expect("restored");
        }
        if again > 0 {
            write(&path, 1001, 1000 + again);
        }
        let start = Instant::now();
        let error = loop {
            match feed.next(PATIENCE).await {
                Ok(Next::Idle(_)) => {
                    assert!(start.elapsed() < DEADLINE, "{before} {after} {again} {over}: not noticed")
                }
                Ok(other) => panic!("{other:?}"),
                Err(error) => break error,
            }
        };
        // Another file is opened again, and then the same is said as of this one.
        assert_eq!(error.kind(), if over { ErrorKind::Lost } else { ErrorKind::Transient }, "{error:?}");
        let error = tail(&source, job(1), &at(&end)).await.err().expect("not the same history");
        assert_eq!(error.kind(), ErrorKind::Lost, "{before} {after} {again}");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("existing: replace")), "{error:?}");
    }
}

#[tokio::test]
async fn rows_that_were_fetched_ahead_count_as_seen() {
    let world = World::new();
    let path = world.database("a.db", TABLE);
    let source = source(&path);
    let tables = all_tables(&source).await;
    let begun = source.begin(job(1), &tables).await.expect("begun");
    write(&path, 1, 5);
    let mut feed = tail(&source, job(1), &begun).await.expect("a tail");
    drain(&mut feed).await.expect("read");
    let backup = world.path("backup.db");
    fs::copy(&path, &backup).expect("a backup");
    write(&path, 6, 9);
    // Some read of ours sees the newer rows; then one more change is handed out.
    source.fetch(&[], &begun, 1).await.expect("fetched");
    let batch = next_batch(&mut feed).await.expect("read");
    let early = source.cut(&batch, 1);
    fs::rename(&backup, &path).expect("restored");
    // The backup holds everything up to here, but a target may hold more.
    let error = tail(&source, job(1), &at(&early)).await.err().expect("not the same history");
    assert_eq!(error.kind(), ErrorKind::Lost);
}

/// Rows fetched for a batch after it was read: the backup holds all of the batch, and not what they show.
#[tokio::test]
async fn the_end_of_a_batch_vouches_for_the_rows_that_were_fetched_for_it() {
    let world = World::new();
    let path = world.database("a.db", TABLE);
    let source = source(&path);
    let tables = all_tables(&source).await;
    let begun = source.begin(job(1), &tables).await.expect("begun");
    write(&path, 1, 5);
    let mut feed = tail(&source, job(1), &begun).await.expect("a tail");
    let batch = next_batch(&mut feed).await.expect("read");
    let backup = world.path("backup.db");
    fs::copy(&path, &backup).expect("a backup");
    shell(&path, "UPDATE t SET v = 'later' WHERE id = 1;");
    let after = at(&batch.to);
    source.fetch(&[], &after, 1).await.expect("fetched");
    let (whole, seen) = (source.cut(&batch, batch.rows().mutations.len()), source.seen());
    assert_eq!(source.order(&whole, &batch.to).expect("one log"), std::cmp::Ordering::Equal);
    fs::rename(&backup, &path).expect("restored");
    // Another process: it has seen nothing itself.
    let source = super::support::source(&path);
    drop(tail(&source, job(1), &after).await.expect("all of the batch is in the backup"));
    for vouching in [at(&whole), seen] {
        let error = tail(&source, job(1), &vouching).await.err().expect("not the same history");
        assert_eq!(error.kind(), ErrorKind::Lost);
        let error = source.fetch(&[], &vouching, 0).await.expect_err("not the same history");
        assert_eq!(error.kind(), ErrorKind::Lost);
    }
}

#[tokio::test]
async fn moving_the_file_and_dying_twice_lose_nothing() {
    let world = World::new();
    let path = world.database("a.db", TABLE);
    let begun = {
        let source = source(&path);
        source.begin(job(1), &all_tables(&source).await).await.expect("begun")
    };
    write(&path, 1, 5);
    for _ in 0..3 {
        // Opened and gone before anybody saved a position.
        let source = source(&path);
        drop(tail(&source, job(1), &begun).await.expect("a tail"));
    }
    let elsewhere = world.path("moved.db");
    fs::rename(&path, &elsewhere).expect("moved");
    let source = source(&elsewhere);
    let mut feed = tail(&source, job(1), &begun).await.expect("the same log at another place");
    assert_eq!(keys(&drain(&mut feed).await.expect("read").0).len(), 5);
}

#[tokio::test]
async fn a_log_that_somebody_cut_is_lost() {
    for sql in [
        "DELETE FROM whimbrel_log;",
        "DELETE FROM whimbrel_log WHERE seq = 4;",
        "DELETE FROM whimbrel_log WHERE seq > 4;",
        "DELETE FROM whimbrel_log; INSERT INTO t SELECT id + 1000, v FROM t; INSERT INTO t SELECT id + 2000, v FROM t;",
        "UPDATE whimbrel_source SET token = randomblob(16);",
        "DROP TABLE whimbrel_source;",
    ] {
        let world = World::new();
        let path = world.database("a.db", TABLE);
        let source = source(&path);
        let begun = source.begin(job(1), &all_tables(&source).await).await.expect("begun");
        write(&path, 1, 9);
        let mut feed = tail(&source, job(1), &begun).await.expect("a tail");
        drain(&mut feed).await.expect("read");
        drop(feed);
        shell(&path, sql);
        let lost = match tail(&source, job(1), &begun).await {
            Err(error) => error,
            Ok(mut feed) => drain(&mut feed).await.expect_err(sql),
        };
        assert_eq!(lost.kind(), ErrorKind::Lost, "{sql}: {lost:?}");
        assert!(lost.hint_text().is_some());
    }
}
