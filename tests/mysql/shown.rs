//! What `whimbrel status` says of tables that go, come back, or are copied again while their job runs.

use super::faults::rig::{JOB, Rig};
use crate::support::{mysql::Kind, wait::until};

/// State and copied rows of a table, as a person reads them.
fn row(rig: &Rig, table: &str) -> Option<(String, String)> {
    let text = String::from_utf8(rig.ask(&["status", JOB]).stdout).expect("text");
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(table))?.to_owned();
    let mut words = line.split_whitespace().skip(1).map(str::to_owned);
    Some((words.next()?, words.next()?))
}

fn shows(rig: &Rig, table: &str, state: &str, copied: &str) {
    let mut last = None;
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until(&format!("{table} is shown as {state} with {copied}"), || {
            last = row(rig, table);
            (last.as_ref()? == &(state.to_owned(), copied.to_owned())).then_some(())
        });
    }));
    assert!(found.is_ok(), "{table} is {last:?}, not {state} with {copied} rows");
}

#[test]
fn a_table_that_is_gone_is_shown_so_until_it_is_back_and_its_rows_are_counted_again() {
    for kind in [Kind::Mariadb, Kind::Mysql] {
        is_shown_so(kind);
    }
}

fn is_shown_so(kind: Kind) {
    let mut rig = Rig::new((kind, &[]), (Kind::Mariadb, &[]));
    rig.source.sql(
        "CREATE TABLE kept (id INT PRIMARY KEY); CREATE TABLE moved (id INT PRIMARY KEY); \
         CREATE TABLE dropped (id INT PRIMARY KEY); INSERT INTO kept VALUES (1); INSERT INTO moved VALUES (1), (2); \
         INSERT INTO dropped VALUES (1), (2), (3), (4)",
    );
    rig.start(None);
    rig.create("");
    rig.run_job();
    rig.settle();
    rig.source.sql("DROP TABLE dropped; RENAME TABLE moved TO elsewhere");
    for restarts in [false, true] {
        if restarts {
            rig.stop();
            rig.start(None);
        }
        shows(&rig, "shop.dropped", "gone", "4");
        shows(&rig, "shop.moved", "gone", "2");
        shows(&rig, "shop.kept", "streaming", "1");
    }
    // By another name it is one that came later.
    let status = String::from_utf8(rig.ask(&["status", JOB]).stdout).expect("text");
    assert!(status.contains("not copied: shop.elsewhere, made after"), "{status}");
    rig.source.sql(
        "RENAME TABLE elsewhere TO moved; CREATE TABLE dropped (id INT PRIMARY KEY); \
         INSERT INTO dropped VALUES (7), (8), (9)",
    );
    shows(&rig, "shop.dropped", "streaming", "3");
    shows(&rig, "shop.moved", "streaming", "2");
    rig.settle();
    rig.assert_equal(&["kept", "moved", "dropped"], "back again");
    until("nothing is late any more", || {
        let status = String::from_utf8(rig.ask(&["status", JOB]).stdout).expect("text");
        (!status.contains("not copied")).then_some(())
    });
    rig.stop();
}

/// Nobody would miss it: the globs select it, and the log of the daemon is not what people read.
#[test]
fn a_table_that_came_late_is_shown_as_not_copied() {
    for kind in [Kind::Mariadb, Kind::Mysql, Kind::Mysql56] {
        let mut rig = Rig::new((kind, &[]), (Kind::Mariadb, &[]));
        rig.start(None);
        rig.create("");
        rig.run_job();
        rig.settle();
        rig.source.sql("CREATE TABLE late (id INT PRIMARY KEY); CREATE DATABASE other; CREATE TABLE other.t (id INT)");
        for restarts in [false, true] {
            if restarts {
                rig.stop();
                rig.start(None);
            }
            until("it is told", || {
                let status = String::from_utf8(rig.ask(&["status", JOB]).stdout).expect("text");
                let hint = "`tables: [\"shop.late\"]`, and type `whimbrel apply -f FILE`";
                (status.contains("not copied: shop.late, made after") && status.contains(hint)).then_some(())
            });
        }
        rig.source.sql("DROP TABLE late");
        until("it is gone", || {
            (!String::from_utf8_lossy(&rig.ask(&["status", JOB]).stdout).contains("not copied")).then_some(())
        });
        rig.stop();
    }
}

/// What a person reads who wonders why rows are copied that were there.
#[test]
fn why_a_table_is_copied_again_is_shown_while_it_is() {
    let mut rig = Rig::new((Kind::Mariadb, &[]), (Kind::Mariadb, &[]));
    rig.source.sql("CREATE TABLE big (id INT PRIMARY KEY); INSERT INTO big SELECT seq FROM seq_1_to_20000");
    rig.start(None);
    rig.create("");
    rig.run_job();
    rig.settle();
    assert!(rig.ask(&["job", "set-limits", JOB, "--rows-per-s", "1000"]).status.success());
    rig.source.sql("CREATE OR REPLACE TABLE big (id INT PRIMARY KEY); INSERT INTO big SELECT seq FROM seq_1_to_20000");
    for restarts in [false, true] {
        if restarts {
            rig.stop();
            rig.start(None);
        }
        until("the reason is told", || {
            let status = String::from_utf8(rig.ask(&["status", JOB]).stdout).expect("text");
            status.contains("copied again: shop.big, because it was made anew or altered").then_some(())
        });
    }
    assert!(rig.ask(&["job", "set-limits", JOB, "--rows-per-s", "0"]).status.success());
    rig.settle();
    until("it is through", || {
        (!String::from_utf8_lossy(&rig.ask(&["status", JOB]).stdout).contains("copied again")).then_some(())
    });
    rig.assert_equal(&["big"], "copied again");
    rig.stop();
}

/// The target has no part in it.
#[test]
fn an_error_of_the_source_names_the_source() {
    let mut rig = Rig::new((Kind::Mariadb, &[]), (Kind::Mariadb, &[]));
    rig.start(None);
    rig.create("");
    rig.run_job();
    rig.settle();
    rig.source.sql("SET binlog_format = 'STATEMENT'; INSERT INTO sentinel VALUES (1000)");
    let complaint = rig.complains("instead of the rows");
    assert!(complaint.starts_with("source `shop`: ") && !complaint.contains("into target"), "{complaint}");
    rig.stop();
}

/// No key, no ranges: the pipeline begins anew for it, which is no failure of anybody.
#[test]
fn a_table_without_a_key_that_is_copied_again_is_no_error() {
    let mut rig = Rig::new((Kind::Mariadb, &[]), (Kind::Mysql, &[]));
    rig.source.sql("CREATE TABLE loose (v INT); INSERT INTO loose VALUES (1), (1), (2)");
    rig.start(None);
    rig.create("");
    rig.run_job();
    rig.settle();
    rig.source.sql(
        "DROP TABLE loose; CREATE TABLE loose (v INT, w INT); INSERT INTO loose VALUES (5, 1), (5, 1), (6, 1), (7, 1)",
    );
    shows(&rig, "shop.loose", "streaming", "4");
    rig.settle();
    rig.assert_equal(&["loose"], "copied again");
    assert_eq!(rig.complaint(), None);
    rig.stop();
}

/// What a target had is over; the source is what fails now.
#[test]
fn an_error_that_has_passed_is_not_shown_as_what_is_the_case() {
    let mut rig = Rig::new((Kind::Mariadb, &[]), (Kind::Mariadb, &[]));
    rig.start(None);
    rig.create("");
    rig.run_job();
    rig.settle();
    rig.target.kill();
    rig.source.sql("INSERT INTO sentinel VALUES (1000)");
    let status = |rig: &Rig| String::from_utf8(rig.ask(&["status", JOB]).stdout).expect("text");
    until("the target is what fails", || {
        let text = status(&rig);
        text.split_once("target copy")?.1.contains("\n  error: ").then_some(())
    });
    rig.target.start();
    rig.settle();
    until("it is over", || status(&rig).contains("which has passed: ").then_some(()));
    rig.source.kill();
    let text = until("the source is what fails", || {
        let text = status(&rig);
        text.split_once("target copy").filter(|(before, _)| before.contains("error: "))?;
        text.contains("target copy  stalled").then_some(text)
    });
    let (_, of_target) = text.split_once("target copy").expect("there is one");
    assert!(of_target.contains("which has passed: ") && !of_target.contains("\n  error: "), "{text}");
    rig.source.start();
    rig.settle();
    rig.stop();
}
