//! A plan without anything that blocks is one of a job that starts, and only such a plan.

use super::desk::{Desk, infos, of};
use crate::{sqlite::support::shell, support::wait::eventually};
use whimbrel::{
    model::{Existing, JobSpec, Severity},
    pipeline::status::Observed,
    supervisor::Update,
};

const TABLE: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'x');";

struct Case {
    about: &'static str,
    shop: &'static str,
    copy: &'static str,
    change: fn(&mut JobSpec),
    /// Part of what blocks; empty: nothing does.
    blocks: &'static str,
}

impl Default for Case {
    fn default() -> Self {
        Case { about: "plain", shop: TABLE, copy: "", change: |_| (), blocks: "" }
    }
}

fn cases() -> Vec<Case> {
    vec![
        Case::default(),
        Case { about: "rows of others", copy: TABLE, blocks: "rows already", ..Case::default() },
        Case {
            about: "rows of others, merged",
            copy: TABLE,
            change: |spec| spec.targets[0].existing = Existing::Merge,
            ..Case::default()
        },
        Case {
            about: "rows of others, replaced",
            copy: TABLE,
            change: |spec| spec.targets[0].existing = Existing::Replace,
            ..Case::default()
        },
        Case {
            about: "another key",
            copy: "CREATE TABLE t(id INT, v TEXT PRIMARY KEY);",
            blocks: "key",
            ..Case::default()
        },
        Case {
            about: "another type",
            copy: "CREATE TABLE t(id INTEGER PRIMARY KEY, v INTEGER);",
            blocks: "SQLite would change values",
            ..Case::default()
        },
        Case { about: "a column less", copy: "CREATE TABLE t(id INTEGER PRIMARY KEY);", ..Case::default() },
        Case {
            about: "a column more",
            copy: "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, more NOT NULL);",
            blocks: "must not be NULL",
            ..Case::default()
        },
        Case {
            about: "a view in the way",
            copy: "CREATE TABLE u(id); CREATE VIEW t AS SELECT id FROM u;",
            blocks: "a view of this name is in the way",
            ..Case::default()
        },
        Case {
            about: "an index in the way",
            copy: "CREATE TABLE u(id); CREATE INDEX t ON u(id);",
            blocks: "an index of this name is in the way",
            ..Case::default()
        },
        Case {
            about: "NULL in a key",
            shop: "CREATE TABLE t(a TEXT PRIMARY KEY, v); INSERT INTO t VALUES (NULL, 1);",
            blocks: "NULL in its key",
            ..Case::default()
        },
        Case {
            about: "nothing selected",
            change: |spec| spec.source.tables = vec!["main.none".into()],
            blocks: "selects no table",
            ..Case::default()
        },
        Case {
            about: "a name that finds nothing",
            change: |spec| spec.source.tables = vec!["main.t".into(), "main.tt".into()],
            blocks: "the source has no such table",
            ..Case::default()
        },
        Case {
            about: "a view by its name",
            shop: "CREATE TABLE t(id INTEGER PRIMARY KEY); CREATE VIEW v AS SELECT id FROM t;",
            change: |spec| spec.source.tables = vec!["main.t".into(), "main.v".into()],
            blocks: "it is not carried",
            ..Case::default()
        },
        Case {
            about: "globs that find nothing",
            change: |spec| spec.source.tables = vec!["main.t*".into(), "main.u*".into(), "!main.tt".into()],
            ..Case::default()
        },
        Case {
            about: "whole transactions of a log of keys",
            change: |spec| spec.apply.transactional = true,
            blocks: "its transactions are not known",
            ..Case::default()
        },
        Case {
            about: "two tables into one",
            shop: "CREATE TABLE t(id INTEGER PRIMARY KEY); CREATE TABLE u(id INTEGER PRIMARY KEY);",
            change: |spec| spec.source.rename = [("main.u".to_owned(), "main.t".to_owned())].into(),
            blocks: "would all be written into it",
            ..Case::default()
        },
        Case {
            about: "two tables into names that differ by case",
            shop: "CREATE TABLE t(id INTEGER PRIMARY KEY); CREATE TABLE u(id INTEGER PRIMARY KEY);",
            change: |spec| spec.source.rename = [("main.u".to_owned(), "main.T".to_owned())].into(),
            blocks: "case does not count",
            ..Case::default()
        },
        Case {
            about: "a schema that SQLite does not have",
            change: |spec| spec.source.rename = [("main.*".to_owned(), "shop.*".to_owned())].into(),
            blocks: "one schema",
            ..Case::default()
        },
        Case {
            about: "the source under another name",
            change: |spec| {
                spec.targets[0].store = "again".into();
                spec.targets[0].existing = Existing::Merge;
            },
            blocks: "the same store as `shop`",
            ..Case::default()
        },
        Case {
            about: "no directory",
            change: |spec| spec.targets[0].store = "lost".into(),
            blocks: "is not there",
            ..Case::default()
        },
    ]
}

/// Starts it, and says whether it streams.
pub async fn starts(desk: &Desk, spec: &JobSpec) -> Result<(), String> {
    desk.supervisor.create(spec.clone(), "", false, "test").await.expect("created");
    desk.supervisor.start(&spec.name, "", "test").await.expect("asked for");
    eventually(&format!("job {} streams or has failed", spec.name), async || {
        let view = desk.supervisor.get(&spec.name).expect("there");
        let status = &view.status;
        match status.observed {
            // What is saved is sure: the status may still be that of the start.
            _ if view.record.stopped.is_some() => Some(Err(format!("{:?}", view.record.stopped))),
            Observed::Streaming => Some(Ok(())),
            Observed::Failed | Observed::Lost => Some(Err(format!("{:?}", status.error))),
            _ => None,
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_and_a_start_are_of_one_mind() {
    for case in cases() {
        println!("{}", case.about); // Seen where a start does not end.
        let desk = Desk::new(case.shop, case.copy).await;
        let mut spec = desk.spec();
        (case.change)(&mut spec);
        let plan = desk.plan(&spec).await;
        let blocking = of(&plan, Severity::Blocking);
        assert_eq!(plan.is_ok(), case.blocks.is_empty(), "{}: {blocking:?}", case.about);
        assert!(plan.is_ok() || blocking.iter().any(|text| text.contains(case.blocks)), "{}: {blocking:?}", case.about);
        let mended = plan.findings.iter().filter(|found| found.finding.severity == Severity::Blocking);
        assert!(mended.into_iter().all(|found| found.finding.mend.is_some()), "{}: {:?}", case.about, plan.findings);
        let started = starts(&desk, &spec).await;
        assert_eq!(started.is_ok(), plan.is_ok(), "{}: {started:?} but {blocking:?}", case.about);
        desk.supervisor.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_has_one_writer() {
    let desk = Desk::new(TABLE, "").await;
    starts(&desk, &desk.spec()).await.expect("nothing is in the way");
    // Its own tables and rows are in nobody's way, under its own name.
    let plan = desk.plan(&desk.spec()).await;
    assert!(plan.is_ok(), "{:?}", plan.findings);
    assert!(infos(&plan).iter().any(|text| text.contains("the job has begun already")), "{:?}", plan.findings);
    assert!(plan.findings.is_sorted_by_key(|found| std::cmp::Reverse(found.finding.severity)));
    let mut second = JobSpec::new("second", "shop", &["copy"]);
    second.targets[0].existing = Existing::Merge;
    let plan = desk.plan(&second).await;
    let blocking = of(&plan, Severity::Blocking);
    assert!(blocking.len() == 1 && blocking[0].contains("job `orders`"), "{blocking:?}");
    assert!(starts(&desk, &second).await.is_err());
    // Mended as the plan says.
    second.name = "third".into();
    second.source.tables = vec!["!main.t".into(), "main.u".into()];
    shell(&desk.path("shop.db"), "CREATE TABLE u(id INTEGER PRIMARY KEY);");
    assert!(desk.plan(&second).await.is_ok());
    starts(&desk, &second).await.expect("its tables are its own");
    desk.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_that_was_taken_away_by_hand_is_missed_by_both() {
    let desk = Desk::new(TABLE, "").await;
    starts(&desk, &desk.spec()).await.expect("nothing is in the way");
    desk.supervisor.pause("orders", None, "", "test").await.expect("paused");
    eventually("it is paused", async || {
        (desk.supervisor.get("orders").expect("there").status.observed == Observed::Paused).then_some(())
    })
    .await;
    shell(&desk.path("copy.db"), "ALTER TABLE t DROP COLUMN v");
    let plan = desk.plan(&desk.spec()).await;
    let blocking = of(&plan, Severity::Blocking);
    assert!(blocking.len() == 1 && blocking[0].contains("lacks its column `v`"), "{blocking:?}");
    assert!(!infos(&plan).iter().any(|text| text.contains("will be added")), "{:?}", plan.findings);
    shell(&desk.path("shop.db"), "INSERT INTO t VALUES (2, 'y')");
    desk.supervisor.start("orders", "", "test").await.expect("asked for");
    let stopped = eventually("it stops", async || {
        let view = desk.supervisor.get("orders").expect("there");
        view.record.stopped.clone().map(|stopped| stopped.text)
    })
    .await;
    assert!(stopped.contains("lacks its column `v`"), "{stopped}");
    desk.supervisor.stop().await;
}

/// What the plan says is typed in the job's file, and the job that was refused starts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_was_refused_takes_the_mend() {
    let desk = Desk::new(TABLE, TABLE).await;
    let mut spec = desk.spec();
    assert!(starts(&desk, &spec).await.expect_err("rows of others").contains("rows already"));
    spec.targets[0].existing = Existing::Merge;
    let update = |spec: &JobSpec| Update::new(spec.clone(), &["spec.targets".to_owned()]).expect("a field of a job");
    desk.supervisor.update("orders", update(&spec), "", false, "test").await.expect("nothing has begun");
    desk.supervisor.start("orders", "", "test").await.expect("asked for");
    eventually("it streams", async || {
        let view = desk.supervisor.get("orders").expect("there");
        (view.status.observed == Observed::Streaming).then_some(())
    })
    .await;
    spec.targets[0].existing = Existing::Replace;
    desk.supervisor.update("orders", update(&spec), "", false, "test").await.expect_err("now it is settled");
    desk.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ring_is_not_closed() {
    let desk = Desk::new(TABLE, "").await;
    starts(&desk, &desk.spec()).await.expect("nothing is in the way");
    // Under another name of the store that the first job reads.
    let mut back = JobSpec::new("back", "copy", &["again"]);
    back.targets[0].existing = Existing::Merge;
    let plan = desk.plan(&back).await;
    let blocking = of(&plan, Severity::Blocking);
    assert!(blocking.len() == 1 && blocking[0].contains("a ring") && blocking[0].contains("`orders`"), "{blocking:?}");
    let error = starts(&desk, &back).await.expect_err("each change would come back");
    assert!(error.contains("a ring"), "{error}");
    // Nothing was made in either store for it.
    let log = "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'";
    assert_eq!(shell(&desk.path("copy.db"), log).trim(), "0", "no log in what would be its source");
    assert_eq!(
        shell(&desk.path("shop.db"), "SELECT count(*) FROM sqlite_schema WHERE name = 'whimbrel_job'").trim(),
        "0"
    );
    // Paused it comes back by itself: still in the way.
    desk.supervisor.pause("orders", None, "", "test").await.expect("paused");
    assert!(!desk.plan(&back).await.is_ok());
    desk.supervisor.delete("orders", Default::default(), "", "test").await.expect("asked for");
    eventually("the job is gone", async || desk.supervisor.get("orders").is_err().then_some(())).await;
    desk.supervisor.start("back", "", "test").await.expect("asked for");
    eventually("the other way streams", async || {
        let view = desk.supervisor.get("back").expect("there");
        (view.status.observed == Observed::Streaming).then_some(())
    })
    .await;
    desk.supervisor.stop().await;
}
