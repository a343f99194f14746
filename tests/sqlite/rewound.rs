//! A target that is restored from a backup in place, under a daemon that holds it open.

use super::{pairs::Job, support::*};
use std::{path::Path, sync::Arc, time::Duration};
use whimbrel::{
    error::ErrorKind,
    model::{Change, NO_ROW, Partition, Position, Rows, Table, Value},
    target::{Applied, Part, Target},
};

const TABLE: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, v);";

/// One transaction each, so that no row comes again by chance with a later one.
fn write(path: &Path, from: i64, upto: i64) {
    let rows: String = (from..=upto).map(|id| format!("INSERT INTO t VALUES ({id}, 'v{id}');")).collect();
    shell(path, &rows);
}

/// The same file, other content.
fn backup(path: &Path, to: &Path) {
    shell(path, &format!(".backup '{}'", to.display()));
}

fn restore(path: &Path, from: &Path) {
    shell(path, &format!(".restore '{}'", from.display()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_restored_in_place_gets_again_what_it_lost() {
    let world = World::new();
    let (a, b) = (world.database("a.db", TABLE), world.path("b.db"));
    let (of_this_start, of_an_earlier, of_before) =
        (world.path("this.db"), world.path("earlier.db"), world.database("before.db", "PRAGMA user_version = 1;"));
    write(&a, 1, 20);
    let mut job = Job::new(1, &a, &[&b]);
    job.retain = Duration::from_secs(3600);
    let mut running = job.start().await;
    running.until_same(&a, &b).await;
    write(&a, 101, 110);
    running.until_same(&a, &b).await;
    backup(&b, &of_an_earlier);
    running.stop().await;
    running = job.start().await;
    write(&a, 201, 210);
    running.until_same(&a, &b).await;
    backup(&b, &of_this_start);
    // The same start of the job, an earlier one, and a file from before the job began.
    for (at, backup) in [of_this_start, of_an_earlier, of_before].iter().enumerate() {
        let first = 1000 * (i64::try_from(at).expect("few") + 1);
        for id in first..first + 5 {
            write(&a, id, id);
            running.until_same(&a, &b).await;
        }
        restore(&b, backup);
        write(&a, first + 100, first + 100);
        running.until_same(&a, &b).await;
    }
    running.stop().await;
}

fn changes(table: &Arc<Table>, id: i64) -> whimbrel::model::Batch {
    let mut rows = Rows::default();
    let shape = rows.shape(table);
    let row = rows.add_row(&[Some(Value::Int(id)), Some(Value::Text("v".into()))]);
    rows.push(shape, Change::Upsert, row, NO_ROW);
    batch(rows)
}

#[tokio::test]
async fn what_is_behind_us_is_a_backup_and_what_is_before_us_another_daemon() {
    let world = World::new();
    let source = source(&world.database("a.db", TABLE));
    let tables = all_tables(&source).await;
    let path = world.path("b.db");
    let mut applier = Applier::open(target(&path), &claim(job(1), 1, &tables), &tables).await;
    let saved = world.path("saved.db");
    for id in 1..=5 {
        assert_eq!(applier.apply(&changes(&tables[0], id)).await.expect("applied"), Applied::Done);
        if id == 2 {
            backup(&path, &saved);
        }
    }
    let why = async |applier: &mut Applier, what: &str| {
        let error = applier.apply(&changes(&tables[0], 6)).await.expect_err(what);
        (error.kind(), error.to_string())
    };
    restore(&path, &saved);
    let (kind, text) = why(&mut applier, "on a gap").await;
    assert_eq!(kind, ErrorKind::Transient, "{text}");
    assert!(text.contains("stands at batch 2") && text.contains("not at 5"), "{text}");
    assert_eq!(shell(&path, "SELECT count(*) FROM t;").trim(), "2");
    // The next start of the same job, and the backup of the one before.
    let opened = applier.target.open(&claim(job(1), 2, &tables)).await.expect("opened");
    assert_eq!(newest(&opened), 2);
    applier.number = 2;
    assert_eq!(applier.apply(&changes(&tables[0], 3)).await.expect("applied"), Applied::Done);
    restore(&path, &saved);
    let (kind, text) = why(&mut applier, "a lower epoch").await;
    assert_eq!(kind, ErrorKind::Transient, "{text}");
    assert!(text.contains("went back to epoch 1"), "{text}");
    // A daemon with cloned state.
    applier.target.open(&claim(job(1), 3, &tables)).await.expect("opened");
    shell(&path, "UPDATE whimbrel_job SET token = '00000000-0000-0000-0000-000000000008';");
    let (kind, text) = why(&mut applier, "another token").await;
    assert_eq!(kind, ErrorKind::Config, "{text}");
    // Nothing of ours is there.
    let empty = world.database("empty.db", "PRAGMA user_version = 1;");
    restore(&path, &empty);
    let (kind, text) = why(&mut applier, "a file from before the job").await;
    assert_eq!(kind, ErrorKind::Transient, "{text}");
    let error = applier.target.prepare(&tables[0], 1).await.expect_err("not without opening");
    assert_eq!(error.kind(), ErrorKind::Transient, "{error:?}");
    let error = applier.target.finish(&tables[0]).await.expect_err("not without opening");
    assert_eq!(error.kind(), ErrorKind::Transient, "{error:?}");
}

#[tokio::test]
async fn a_copy_goes_on_where_its_own_lane_stands() {
    let world = World::new();
    let source = source(&world.database("a.db", TABLE));
    let tables = all_tables(&source).await;
    let path = world.path("b.db");
    let applier = Applier::open(target(&path), &claim(job(1), 1, &tables), &tables).await;
    let copied = |number: u64, id: i64| {
        let mut batch = changes(&tables[0], id);
        batch.partition = Partition::new(Partition::COPY);
        batch.from = Position::new(b"", 0);
        let target: Arc<dyn Target> = Arc::clone(&applier.target);
        async move { target.apply(Part::whole(&batch, number)).await }
    };
    assert_eq!(copied(1, 1).await.expect("applied"), Applied::Done);
    let error = copied(3, 3).await.expect_err("on a gap");
    assert_eq!(error.kind(), ErrorKind::Transient, "{error:?}");
    assert_eq!(copied(2, 2).await.expect("applied"), Applied::Done);
    let error = copied(2, 9).await.expect_err("applied before");
    assert_eq!(error.kind(), ErrorKind::Transient, "{error:?}");
    assert_eq!(shell(&path, "SELECT group_concat(id) FROM t;").trim(), "1,2");
}
