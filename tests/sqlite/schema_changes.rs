//! What the application does to its tables while they are followed (hazards A9, A11, E13).

use super::support::*;
use std::{path::Path, sync::Arc};
use whimbrel::{
    model::{Batch, Change, Position},
    source::{Feed, Source},
};

const TABLE: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); INSERT INTO t VALUES (1, 'x', 'y'), (2, 'x', 'y');";

async fn followed(path: &Path) -> (Arc<dyn Source>, Box<dyn Feed>) {
    let source = source(path);
    let tables = all_tables(&source).await;
    let begun = source.begin(job(1), &tables).await.expect("begun");
    let feed = tail(&source, job(1), &begun).await.expect("a tail");
    (source, feed)
}

/// The changes in order; of touched keys how many.
fn told(batches: &[Batch]) -> Vec<(Change, usize)> {
    let mut told: Vec<(Change, usize)> = Vec::new();
    for mutation in batches.iter().flat_map(|batch| &batch.rows().mutations) {
        match told.last_mut() {
            Some((Change::Touched, count)) if mutation.change == Change::Touched => *count += 1,
            _ => told.push((mutation.change, 1)),
        }
    }
    told
}

#[tokio::test]
async fn what_follows_from_the_statement_reshapes_and_all_else_is_copied_again() {
    use Change::{Recopy, Reshape, Touched};
    let cases = [
        ("ALTER TABLE t ADD COLUMN c DEFAULT 5; UPDATE t SET c = 6 WHERE id = 1;", vec![(Reshape, 1), (Touched, 1)]),
        ("ALTER TABLE t DROP COLUMN b;", vec![(Reshape, 1)]),
        ("ALTER TABLE t RENAME COLUMN b TO c;", vec![(Recopy, 1)]),
        ("CREATE UNIQUE INDEX tu ON t(id, a);", vec![(Reshape, 1)]),
        (
            "DROP TABLE t; CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); INSERT INTO t VALUES (9, 1, 1);",
            vec![(Recopy, 1)],
        ),
        (
            "CREATE TABLE n(id INTEGER PRIMARY KEY, a TEXT); INSERT INTO n SELECT id, a FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t; INSERT INTO t VALUES (3, 'z');",
            vec![(Recopy, 1)],
        ),
        ("ALTER TABLE t RENAME TO away; CREATE TABLE t(id INTEGER PRIMARY KEY, a, b);", vec![(Recopy, 1)]),
        ("DROP TRIGGER whimbrel_1_delete; DELETE FROM t WHERE id = 1;", vec![(Recopy, 1)]),
        ("VACUUM; CREATE TABLE scratch(a); DROP TABLE scratch; ANALYZE;", vec![]),
        ("DROP TABLE t;", vec![]),
        ("ALTER TABLE t RENAME TO away;", vec![]),
    ];
    for (sql, expected) in cases {
        for running in [true, false] {
            let world = World::new();
            let path = world.database("a.db", TABLE);
            let (source, mut feed) = followed(&path).await;
            let (_, start) = drain(&mut feed).await.expect("read");
            shell(&path, sql);
            if !running {
                feed = tail_of_t(&source, &start).await;
            }
            let (batches, end) = drain(&mut feed).await.expect("read");
            assert_eq!(told(&batches), expected, "{sql} running: {running}");
            assert!(batches.iter().all(|batch| batch.alone().is_none() || batch.rows().mutations.len() == 1));
            assert!(
                batches.windows(2).all(|two| source.order(&two[0].to, &two[1].to).expect("ordered").is_lt()),
                "{sql}"
            );
            // From then on everything is noted again, and nothing is told twice.
            if tables(&path).contains(&"t".to_owned()) {
                shell(&path, "INSERT INTO t(id) VALUES (77);");
                assert_eq!(told(&[next_batch(&mut feed).await.expect("read")]), [(Touched, 1)], "{sql}");
                let mut again = tail_of_t(&source, &end).await;
                assert_eq!(told(&drain(&mut again).await.expect("read").0), [(Touched, 1)], "{sql}");
            }
        }
    }
}

async fn tail_of_t(source: &Arc<dyn Source>, from: &Position) -> Box<dyn Feed> {
    source.tail(job(1), &at(from), &[], &[name("t")]).await.expect("a tail")
}

#[tokio::test]
async fn a_table_that_comes_back_is_followed_again() {
    let world = World::new();
    let path = world.database("a.db", TABLE);
    let (_, mut feed) = followed(&path).await;
    shell(&path, "INSERT INTO t(id) VALUES (3);");
    assert_eq!(told(&[next_batch(&mut feed).await.expect("read")]), [(Change::Touched, 1)]);
    shell(&path, "DROP TABLE t;");
    let (batches, _) = drain(&mut feed).await.expect("read");
    assert_eq!(told(&batches), []);
    shell(&path, "CREATE TABLE t(k TEXT PRIMARY KEY, z) WITHOUT ROWID; INSERT INTO t VALUES ('a', 1);");
    let again = next_batch(&mut feed).await.expect("read");
    let shape = again.rows().table(&again.rows().mutations[0]);
    assert_eq!(
        (again.rows().mutations[0].change, shape.columns.len(), shape.columns[0].name.as_str()),
        (Change::Recopy, 2, "k")
    );
    shell(&path, "UPDATE t SET z = 2;");
    assert_eq!(told(&drain(&mut feed).await.expect("read").0), [(Change::Touched, 1)]);
}

#[tokio::test]
async fn vacuum_renumbers_tables_without_key_and_is_noticed() {
    let world = World::new();
    let sql = "CREATE TABLE h(a); INSERT INTO h VALUES (1), (2), (3); DELETE FROM h WHERE a = 1; CREATE TABLE t(id INTEGER PRIMARY KEY);";
    let path = world.database("a.db", sql);
    let (source, mut feed) = followed(&path).await;
    let (_, start) = drain(&mut feed).await.expect("read");
    shell(&path, "VACUUM;");
    assert_eq!(shell(&path, "SELECT rowid FROM h;").trim().replace('\n', ","), "1,2", "hazard E13");
    let (batches, end) = drain(&mut feed).await.expect("read");
    assert_eq!(told(&batches), [(Change::Recopy, 1)]);
    assert_eq!(batches[0].rows().table(&batches[0].rows().mutations[0]).name, name("h"));
    // Not acknowledged yet: told again after a restart; and again by the next VACUUM.
    let mut again = tail(&source, job(1), &at(&start)).await.expect("a tail");
    assert_eq!(told(&drain(&mut again).await.expect("read").0), [(Change::Recopy, 1)]);
    shell(&path, "VACUUM; VACUUM;");
    let mut again = tail(&source, job(1), &at(&end)).await.expect("a tail");
    assert_eq!(told(&drain(&mut again).await.expect("read").0), [(Change::Recopy, 1)]);
}

#[tokio::test]
async fn shapes_have_growing_versions_over_restarts() {
    let world = World::new();
    let path = world.database("a.db", TABLE);
    let (_, mut feed) = followed(&path).await;
    let mut version = table(&source(&path), "t").await.version;
    for column in ["c", "d", "e"] {
        shell(&path, &format!("ALTER TABLE t ADD COLUMN {column};"));
        let unnoticed = table(&source(&path), "t").await.version;
        assert!(unnoticed > version, "a fetch sees the new shape before the tail does");
        let batch = next_batch(&mut feed).await.expect("read");
        let told = batch.rows().table(&batch.rows().mutations[0]).version;
        assert!(told >= unnoticed);
        version = table(&source(&path), "t").await.version;
        assert_eq!(version, told, "the same after it was noticed");
        shell(&path, "CREATE TABLE scratch(a); DROP TABLE scratch;");
        assert_eq!(table(&source(&path), "t").await.version, told, "other tables do not matter");
    }
}

#[tokio::test]
async fn every_job_and_every_target_is_told() {
    let world = World::new();
    let path = world.database("a.db", TABLE);
    let source = source(&path);
    let tables = all_tables(&source).await;
    let names = [name("t")];
    let first = source.begin(job(1), &tables).await.expect("begun");
    let second = source.begin(job(2), &tables).await.expect("begun");
    shell(&path, "INSERT INTO t(id) VALUES (3), (4), (5);");
    let mut feed = source.tail(job(1), &first, &[], &names).await.expect("a tail");
    let (batches, further) = drain(&mut feed).await.expect("read");
    assert_eq!(told(&batches), [(Change::Touched, 3)]);
    shell(&path, "ALTER TABLE t ADD COLUMN c DEFAULT 5; INSERT INTO t(id, c) VALUES (6, 1);");
    // One target stands at the start, one further on, neither was told; the log is read once for both.
    let edges = [first.clone(), at(&further)];
    let mut feed = source.tail(job(1), &first, &edges, &names).await.expect("a tail");
    let (batches, _) = drain(&mut feed).await.expect("read");
    let edge = batches.iter().position(|batch| batch.to == further).expect("the edge is kept");
    assert_eq!(told(&batches[..=edge]), [(Change::Reshape, 1), (Change::Touched, 3)]);
    assert_eq!(told(&batches[edge + 1..]), [(Change::Reshape, 1), (Change::Touched, 1)]);
    assert!(batches.windows(2).all(|two| two[0].to == two[1].from));
    let mut other = source.tail(job(2), &second, &[], &names).await.expect("a tail");
    assert_eq!(told(&drain(&mut other).await.expect("read").0), [(Change::Reshape, 1), (Change::Touched, 4)]);
}
