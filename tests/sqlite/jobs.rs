//! Several jobs on one source file.

use super::support::*;
use whimbrel::{error::ErrorKind, model::Change};

const TABLES: &str =
    "CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE TABLE w(a, b, c, PRIMARY KEY (a, b, c)) WITHOUT ROWID;";

#[tokio::test]
async fn jobs_share_one_log_and_see_their_own_tables() {
    let world = World::new();
    let path = world.database("a.db", TABLES);
    let source = source(&path);
    let tables = all_tables(&source).await;
    let one = source.begin(job(1), &tables[..1]).await.expect("begun");
    shell(&path, "INSERT INTO t VALUES (1, 1);");
    let two = source.begin(job(2), &tables).await.expect("begun");
    shell(&path, "INSERT INTO w VALUES (1, 'x', 2.5);");
    shell(&path, "INSERT INTO t VALUES (2, 1);");
    let mut first = source.tail(job(1), &one, &[], &[name("t")]).await.expect("a tail");
    let mut second = source.tail(job(2), &two, &[], &[name("t"), name("w")]).await.expect("a tail");
    assert_eq!(keys(&drain(&mut first).await.expect("read").0).iter().map(int).collect::<Vec<_>>(), [1, 2]);
    let (batches, _) = drain(&mut second).await.expect("read");
    assert_eq!(keys(&batches).len(), 2);
    assert_eq!(values(&keys(&batches)[0]).len(), 3, "the log has room for the longest key");
    // A table that the job does not follow is not silently empty.
    let error = source.tail(job(1), &one, &[], &[name("w")]).await.err().expect("never noted for it");
    assert_eq!(error.kind(), ErrorKind::Lost);
    assert!(error.hint_text().is_some());
    // Written by hand or by us: only what the log holds counts.
    assert!(batches.iter().flat_map(|batch| &batch.rows().mutations).all(|one| one.change == Change::Touched));
}

#[tokio::test]
async fn a_job_that_begins_late_tells_the_others_what_changed() {
    let world = World::new();
    let path = world.database("a.db", TABLES);
    let source = source(&path);
    let tables = all_tables(&source).await;
    let one = source.begin(job(1), &tables).await.expect("begun");
    shell(&path, "DROP TABLE t; CREATE TABLE t(id TEXT PRIMARY KEY);");
    let now = all_tables(&source).await;
    let two = source.begin(job(2), &now).await.expect("begun");
    let names = [name("t"), name("w")];
    let mut first = source.tail(job(1), &one, &[], &names).await.expect("a tail");
    let (batches, _) = drain(&mut first).await.expect("read");
    assert_eq!(batches[0].rows().mutations[0].change, Change::Recopy);
    let mut second = source.tail(job(2), &two, &[], &names).await.expect("a tail");
    assert!(drain(&mut second).await.expect("read").0.is_empty());
    shell(&path, "INSERT INTO t VALUES ('x');");
    for feed in [&mut first, &mut second] {
        assert_eq!(keys(&[next_batch(feed).await.expect("read")]).len(), 1);
    }
}
