//! Rows that change while their table is copied.

use super::{green, order, person, quiet, text, with_source};
use crate::{
    simulation::{Outcome, plan::Plan, stage},
    support::{
        faulty::{Fault, Gate},
        workload::{audit, orders, people, tags},
    },
};
use std::{sync::Arc, time::Duration};
use whimbrel::{
    connectors::memory::{Images, Paging, Transaction},
    error::Result,
    model::{TableState, Value},
    pipeline::status::Observed,
    state::State,
};

/// E1: copied by place, a row that moves is met twice or never; what the log says of it is not all of it.
#[test]
fn rows_move_while_they_are_copied_by_place() {
    let mut plan = with_source(|habits| (habits.paging, habits.images) = (Paging::Place, Images::External));
    plan.tables = vec![orders(), people()];
    green(stage(plan, async |scene| {
        scene.transact(|t| (1..=40).try_for_each(|id| t.insert(&orders(), order(id, 1))));
        scene.transact(|t| (1..=40).try_for_each(|id| t.insert(&people(), person(id))));
        scene.start().await;
        let (copy, tail) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
        // The first range and its end, then nothing for a while.
        scene.faults().queue("copy.next", [Fault::Pass, Fault::Pass, Fault::Hold(Arc::clone(&copy))]);
        scene.faults().queue("tail.next", [Fault::Hold(Arc::clone(&tail))]);
        scene.until("a range is read", |scene| scene.faults().count("copy.next") > 2).await;
        for round in 2..5 {
            scene.transact(|t| {
                (1..=40).try_for_each(|id| t.update(&orders(), &[Value::Int(id)], &[(1, Value::Int(round))]).map(drop))
            });
            scene.transact(|t| (1..=40).step_by(2).try_for_each(|id| swap_mails(t, id)));
        }
        copy.open();
        scene.until("the log is asked for", |scene| scene.faults().count("tail.next") > 0).await;
        let progress = scene.state.progress(scene.plan.job(), "a").await.expect("memory").expect("it was copied");
        let (_, rows) = scene.targets[0].world.rows(&orders()).expect("it was copied");
        assert!(rows.len() < 40, "no row was missed: {}", rows.len());
        assert!(progress.tables[&orders()].rows > rows.len() as u64, "no row was met twice");
        tail.open();
        scene.settle().await
    }));
}

fn swap_mails(t: &mut Transaction<'_>, id: i64) -> Result<()> {
    let rows = t.rows(&people());
    let mail = |id: i64| rows.iter().find(|row| row[0] == Value::Int(id)).expect("nobody deletes")[1].clone();
    t.update(&people(), &[Value::Int(id)], &[(1, text("between"))])?;
    t.update(&people(), &[Value::Int(id + 1)], &[(1, mail(id))])?;
    t.update(&people(), &[Value::Int(id)], &[(1, mail(id + 1))]).map(drop)
}

#[test]
fn a_held_range_stands_beside_changes_of_its_rows() {
    let plan = with_source(|habits| habits.page_rows = 3);
    green(stage(plan, async |scene| {
        scene.transact(|t| (1..=60).try_for_each(|id| t.insert(&orders(), order(id, 1))));
        scene.start().await;
        scene.streaming().await;
        scene.transact(|t| t.refill(&orders(), |row| row[2] = text("refilled")));
        let mut beside = 0;
        for id in 1..=40 {
            scene.transact(|t| match id % 3 {
                0 => t.delete(&orders(), &[Value::Int(id)]).map(drop),
                1 => t.update(&orders(), &[Value::Int(id)], &[(1, Value::Int(2))]).map(drop),
                _ => t.insert(&orders(), order(id + 100, 1)),
            });
            scene.pass(Duration::from_millis(30)).await;
            beside += u32::from(scene.process().status().targets["a"].observed != Observed::Streaming);
        }
        assert!(beside > 10, "the ranges were over too soon: {beside}");
        scene.settle().await
    }));
}

#[test]
fn rows_without_a_key_are_kept_exactly() {
    let row = |at: i64| vec![Value::Int(at), text("in")];
    for killed in [1, 2, 3, 5, 8] {
        let mut plan = with_source(|habits| habits.page_rows = 4);
        plan.tables = vec![audit()];
        green(stage(plan, async |scene| {
            scene.transact(|t| (0..20).try_for_each(|at| t.insert(&audit(), row(at % 3))));
            scene.start().await;
            let faults = scene.faults();
            let passed = (1..killed).map(|_| Fault::Pass);
            faults.queue("a.apply", passed.chain([Fault::Die { done: killed % 2 == 0 }]));
            for at in 0..4 {
                scene.transact(|t| t.insert(&audit(), row(at)));
                scene.transact(|t| t.delete_one(&audit(), &row(0)).map(drop));
                scene.pass(Duration::from_millis(70)).await;
            }
            scene.until("the process died", |scene| scene.process.is_none()).await;
            scene.start().await;
            scene.transact(|t| (0..2).try_for_each(|_| t.insert(&audit(), row(7))));
            scene.settle().await
        }));
    }
}

/// The spelling of a key changes during the copy, another row takes the unique value and evicts it, it comes back; the
/// process dies at one of its saves.
fn respelled_and_evicted(images: Images, save: usize, done: bool) -> Outcome {
    let mut plan = Plan { tables: vec![tags()], ..quiet() };
    (plan.source.images, plan.source.page_rows) = (images, 5);
    plan.targets.push(plan.targets[0].clone());
    stage(plan, async |scene| {
        let tag = |tag: &str, code: i64| vec![text(tag), Value::Int(code), text(&format!("body of {tag} {code}"))];
        scene.transact(|t| (1..=40).try_for_each(|n| t.insert(&tags(), tag(&format!("SKU-{n}"), n))));
        scene.start().await;
        let passed = (1..save).map(|_| Fault::Pass);
        scene.faults().queue("state.save_progress", passed.chain([Fault::Die { done }]));
        for n in 1..=40 {
            let (upper, lower) = (format!("SKU-{n}"), format!("sku-{n}"));
            scene.transact(|t| t.update(&tags(), &[text(&upper)], &[(0, text(&lower))]).map(drop));
            // As INSERT OR REPLACE does, with the value of a unique index.
            scene.transact(|t| {
                t.delete(&tags(), &[text(&upper)])?;
                t.insert(&tags(), tag(&format!("other-{n}"), n))
            });
            match n % 3 {
                0 => scene.transact(|t| t.insert(&tags(), tag(&lower, 100 + n))),
                1 => scene.transact(|t| t.insert(&tags(), tag(&upper, 100 + n))),
                _ => {}
            }
            scene.pass(Duration::from_millis(20)).await;
        }
        if scene.process.is_none() {
            scene.start().await;
        }
        scene.settle().await
    })
}

#[test]
fn a_respelled_key_is_evicted_while_it_is_copied() {
    for images in [Images::Full, Images::Changed, Images::Keys] {
        for save in 1..=20 {
            green(respelled_and_evicted(images, save, save % 2 == 0));
        }
    }
}

/// A range that had begun goes on after its last page, and so do the rows that changed before it.
#[test]
fn a_copy_goes_on_where_it_was() {
    let plan = with_source(|habits| habits.page_rows = 5);
    green(stage(plan, async |scene| {
        scene.transact(|t| (1..=60).try_for_each(|id| t.insert(&orders(), order(id, 1))));
        scene.start().await;
        scene.faults().queue("a.apply", [Fault::Pass, Fault::Pass, Fault::Pass, Fault::Die { done: true }]);
        scene.until("the process died", |scene| scene.process.is_none()).await;
        scene.transact(|t| t.delete(&orders(), &[Value::Int(3)]).map(drop));
        let pages = scene.source.counts().pages;
        scene.start().await;
        scene.streaming().await;
        let progress = scene.state.progress(scene.plan.job(), "a").await.expect("memory").expect("it was copied");
        assert!(matches!(progress.tables[&orders()].state, TableState::Streaming { .. }));
        assert!(scene.source.counts().pages - pages < 12 + 4, "pages that were there already were read again");
        scene.settle().await
    }));
}

/// While one copier cuts the only table into ranges the others wait for them.
#[test]
fn one_table_is_copied_by_all_copiers() {
    let mut plan = with_source(|habits| (habits.page_rows, habits.latency) = (5, Duration::from_millis(20)));
    plan.parallelism = 4;
    green(stage(plan, async |scene| {
        scene.transact(|t| (1..=400).try_for_each(|id| t.insert(&orders(), order(id, 1))));
        scene.start().await;
        let copy = Arc::new(Gate::default());
        scene.faults().queue("copy.next", (0..4).map(|_| Fault::Hold(Arc::clone(&copy))));
        scene.until("four ranges are read at once", |scene| scene.faults().count("copy.next") == 4).await;
        copy.open();
        scene.settle().await
    }));
}

/// Rows are read after a change, and the source goes back behind that change while nobody looks.
pub fn forgotten_after_it_was_read() -> Outcome {
    let plan = with_source(|habits| habits.page_rows = 5);
    stage(plan, async |scene| {
        scene.transact(|t| (1..=60).try_for_each(|id| t.insert(&orders(), order(id, 1))));
        scene.start().await;
        let copy = Arc::new(Gate::default());
        scene.faults().queue("copy.next", (0..8).map(|_| Fault::Hold(Arc::clone(&copy))));
        scene.faults().queue("a.apply", [Fault::Pass, Fault::Pass, Fault::Die { done: true }]);
        scene.until("a range is asked for", |scene| scene.faults().count("copy.next") > 0).await;
        scene.source.make_durable();
        scene.transact(|t| {
            (1..=60).try_for_each(|id| t.update(&orders(), &[Value::Int(id)], &[(1, Value::Int(2))]).map(drop))
        });
        copy.open();
        scene.until("the process died", |scene| scene.process.is_none()).await;
        (scene.may_be_lost, scene.past_changed) = (true, true);
        scene.source.forget(1);
        scene.start().await;
        scene.settle().await
    })
}

#[test]
fn a_source_that_forgets_what_a_copy_has_read_is_lost() {
    let outcome = forgotten_after_it_was_read();
    assert_eq!(outcome.tally.get("ended in Lost"), 1, "{}", outcome.story.join("\n"));
    green(outcome);
}

/// What one copier is about to save is not saved yet, for the others neither.
#[test]
fn no_row_is_written_before_what_its_read_has_seen_is_durable() {
    let tables = vec![orders(), people()];
    let plan = Plan { parallelism: 2, tables, ..with_source(|habits| habits.page_rows = 5) };
    green(stage(plan, async |scene| {
        scene.transact(|t| (1..=60).try_for_each(|id| t.insert(&orders(), order(id, 1))));
        scene.transact(|t| (1..=60).try_for_each(|id| t.insert(&people(), person(id))));
        scene.start().await;
        let (copy, save) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
        scene.faults().queue("copy.next", (0..2).map(|_| Fault::Hold(Arc::clone(&copy))));
        scene.until("both copiers read", |scene| scene.faults().count("copy.next") > 1).await;
        scene.transact(|t| t.update(&orders(), &[Value::Int(1)], &[(1, Value::Int(2))]).map(drop));
        scene.faults().queue("state.save_progress", [Fault::Hold(Arc::clone(&save))]);
        copy.open();
        scene.pass(Duration::from_secs(2)).await;
        assert_eq!(scene.faults().count("a.apply"), 0, "written before it is known what it may hold");
        save.open();
        scene.settle().await
    }));
}
