//! Plans of real files: what they find, what they leave alone, and that a start is of the same mind.

mod agree;
mod desk;
mod locks;

use desk::{Desk, infos, warnings};
use std::time::Duration;
use whimbrel::{
    model::{JobSpec, Severity},
    plan::{Limiting, Side},
    supervisor::Reason,
};

const SHOP: &str = "
    CREATE TABLE person(id INTEGER PRIMARY KEY, email TEXT UNIQUE, name TEXT NOT NULL);
    CREATE TABLE item(person INT REFERENCES person, code TEXT, price REAL, PRIMARY KEY (person, code)) WITHOUT ROWID;
    CREATE TABLE note(id INTEGER PRIMARY KEY, text);
    CREATE INDEX note_text ON note(text);
    CREATE VIEW names AS SELECT name FROM person;
    CREATE TRIGGER noted AFTER INSERT ON item BEGIN INSERT INTO note(text) VALUES (new.code); END;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
    INSERT INTO person SELECT i, 'e' || i, 'name ' || i FROM n;
    INSERT INTO item SELECT id, 'c' || (id % 5), id / 3.0 FROM person;
    INSERT INTO item VALUES (77777, 'orphan', 1);";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_tells_sizes_rates_and_what_is_not_carried() {
    let desk = Desk::new(SHOP, "").await;
    let plan = desk.plan(&desk.spec()).await;
    assert!(plan.is_ok(), "{:?}", plan.findings);
    let rows: Vec<(&str, Option<u64>)> =
        plan.tables.iter().map(|table| (table.shape.name.name.as_str(), table.rows)).collect();
    assert_eq!(rows, [("item", Some(3001)), ("note", Some(3001)), ("person", Some(3000))]);
    assert!(plan.tables.iter().all(|table| table.bytes.is_some_and(|bytes| bytes > 4096)));
    let target = &plan.targets[0];
    assert_eq!((target.parallelism, target.lanes), (1, 1));
    assert!(target.duration.is_some_and(|duration| duration > Duration::ZERO), "{target:?}");
    assert!(target.rows_per_s.is_some_and(|rate| rate > 0.0) && target.bytes_per_s.is_some(), "{target:?}");
    assert!(target.limiting.is_some_and(|side| side != Limiting::Limits), "{target:?}");
    assert!(target.basis.contains("of 3 of 3 tables") && target.basis.contains("waited"), "{}", target.basis);
    assert_eq!(plan.log.needed, target.duration.map(|duration| duration * 2));
    assert_eq!(plan.log.kept, None);
    assert!(plan.log.text.contains("whimbrel_log"));
    let said = infos(&plan);
    for text in ["a view is not carried", "its trigger `noted` is not carried", "a trigger of ours will be made"] {
        assert!(said.iter().any(|info| info.contains(text)), "{text}: {said:?}");
    }
    assert_eq!(said.iter().filter(|info| info.contains("noted")).count(), 1, "once: {said:?}");
    let at = |text: &str| said.iter().position(|info| info.contains(text)).expect("said");
    assert!(at("room for longer keys") < at("a trigger of ours"), "as they are to be typed: {said:?}");
    let orphans = plan.findings.iter().find(|found| found.finding.text.contains("parents")).expect("one orphan");
    assert_eq!((orphans.side, orphans.finding.severity), (Side::Source, Severity::Warning));
    let mend = orphans.finding.mend.as_deref().expect("a mend");
    assert!(mend.starts_with("PRAGMA foreign_key_check"), "a table without row numbers only shows them: {mend}");
    assert!(plan.findings.is_sorted_by_key(|found| std::cmp::Reverse(found.finding.severity)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_without_parents_are_shown_before_they_go() {
    let shop = "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p(id));
                PRAGMA foreign_keys = OFF; INSERT INTO c VALUES (1, 7), (2, NULL);";
    let desk = Desk::new(shop, "").await;
    let plan = desk.plan(&desk.spec()).await;
    let orphans = plan.findings.iter().find(|found| found.finding.text.contains("parents")).expect("one orphan");
    let mend = orphans.finding.mend.as_deref().expect("a mend");
    let statements: Vec<&str> = mend.lines().collect();
    assert!(statements[0].starts_with("SELECT * FROM") && statements[1].starts_with("DELETE FROM"), "{mend}");
    let db = rusqlite::Connection::open(desk.path("shop.db")).expect("there");
    assert_eq!(db.query_row(statements[0], [], |row| row.get::<_, i64>(0)).expect("one row"), 1);
    db.execute_batch(statements[1]).expect("it runs as it is printed");
    assert!(warnings(&desk.plan(&desk.spec()).await).iter().all(|text| !text.contains("parents")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_writes_nothing() {
    for mode in ["delete", "wal"] {
        let journal = format!("PRAGMA journal_mode = {mode};");
        let desk = Desk::new(&format!("{journal}{SHOP}"), &format!("{journal}CREATE TABLE other(id INTEGER);")).await;
        let before = desk.contents();
        desk.plan(&desk.spec()).await;
        // The connections are closed by threads of their own.
        crate::support::wait::eventually("the files are as they were", async || {
            (desk.contents() == before).then_some(())
        })
        .await;
        // A plan that nobody waits for any more.
        let spec = desk.spec();
        drop(tokio::time::timeout(Duration::from_millis(300), desk.supervisor.plan(&spec)).await);
        crate::support::wait::eventually("the files are as they were", async || {
            (desk.contents() == before).then_some(())
        })
        .await;
        assert!(desk.supervisor.get("orders").is_err(), "no job was made");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limits_of_a_job_are_part_of_its_plan() {
    let desk = Desk::new(SHOP, "").await;
    let mut spec = desk.spec();
    spec.copy.limits.rows_per_s = 100;
    let plan = desk.plan(&spec).await;
    let target = &plan.targets[0];
    assert_eq!(target.limiting, Some(Limiting::Limits));
    let seconds = target.duration.expect("known").as_secs_f64();
    assert!((90.0..120.0).contains(&seconds), "9002 rows at 100 a second, not {seconds} s");
    assert!(target.rows_per_s.is_some_and(|rate| (99.0..=100.1).contains(&rate)), "{target:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn globs_renames_and_rings_are_looked_at() {
    let desk = Desk::new(SHOP, "").await;
    let mut spec = desk.spec();
    spec.source.tables = vec!["main.person".into(), "main.persons*".into(), "!main.tmp_*".into()];
    spec.source.rename = [("main.item".to_owned(), "main.items".to_owned())].into();
    let plan = desk.plan(&spec).await;
    assert!(plan.is_ok());
    let said = warnings(&plan);
    for glob in ["main.persons*", "!main.tmp_*", "main.item"] {
        assert!(said.iter().any(|text| text.contains(&format!("`{glob}` concerns no table"))), "{glob}: {said:?}");
    }
    assert!(infos(&plan).iter().any(|text| text.contains("left out by the job's globs: `main.item`, `main.note`")));

    let back = JobSpec::new("back", "copy", &["shop"]);
    desk.supervisor.create(back, "", false, "test").await.expect("created");
    let plan = desk.plan(&desk.spec()).await;
    let ring = plan.findings.iter().find(|found| found.finding.text.starts_with("a ring")).expect("a ring");
    assert!(ring.finding.text.contains("`back`") && ring.finding.severity == Severity::Warning, "{ring:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_tables_make_a_plan_that_can_be_read() {
    let tables: String = (0..1_500).map(|n| format!("CREATE TABLE t{n}(id INTEGER PRIMARY KEY, v);")).collect();
    let desk = Desk::new(&format!("BEGIN;{tables}COMMIT;"), "").await;
    let plan = desk.plan(&desk.spec()).await;
    assert!(plan.is_ok());
    assert_eq!(plan.tables.len(), 1_500);
    assert!(plan.findings.len() < 600, "{}", plan.findings.len());
    assert!(infos(&plan).iter().any(|text| text.contains("more findings")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_reached_is_named() {
    let desk = Desk::new(SHOP, "").await;
    let mut spec = desk.spec();
    spec.targets[0].store = "memory".into();
    desk.memory().go_down(Duration::from_secs(86_400));
    let denied = desk.supervisor.plan(&spec).await.expect_err("it is down");
    assert_eq!(denied.reason, Reason::StoreUnavailable);
    assert!(denied.error.to_string().contains("store `memory`"), "{}", denied.error);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_sqlite_cannot_hold_is_said_of_other_kinds_of_store() {
    use whimbrel::model::{Column, Table, TableName, Type};
    let desk = Desk::new("CREATE TABLE t(id INTEGER PRIMARY KEY);", "").await;
    let columns = [("id", Type::Int), ("big", Type::Unsigned), ("day", Type::Date), ("shape", Type::Native)];
    let columns = columns.map(|(name, kind)| Column::new(name, kind)).into();
    desk.memory().create(std::sync::Arc::new(Table::new(TableName::new("main", "wide"), columns, vec![0])));
    let mut spec = desk.spec();
    spec.source.store = "memory".into();
    let plan = desk.plan(&spec).await;
    let said = warnings(&plan);
    assert!(said.iter().any(|text| text.starts_with("\"big\"")), "{said:?}");
    assert!(said.iter().any(|text| text.starts_with("\"shape\"")), "{said:?}");
    assert!(infos(&plan).iter().any(|text| text.starts_with("\"day\": become text")));
    // Between files nothing changes.
    assert!(warnings(&desk.plan(&desk.spec()).await).iter().all(|text| !text.contains("stops the job")));
}
