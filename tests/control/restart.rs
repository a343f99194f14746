//! What a restart of the daemon keeps: what ran runs again, and everything else stays as it was.

use crate::support::{
    house::{House, people, spec, table},
    wait::eventually,
};
use std::time::Duration;
use whimbrel::{
    control::v1::{DesiredState, ObservedState},
    model::Value,
    state::Desired,
};

#[tokio::test]
async fn what_ran_runs_again_and_what_was_paused_stays_paused() {
    let house = House::new().await;
    let mut client = house.client.clone();
    for (name, target) in [("runs", "b"), ("paused", "c")] {
        client.create_job(&spec(name, &[target]), "").await.expect("created");
        client.start_job(name).await.expect("started");
        house.job_is(name, ObservedState::Streaming).await;
    }
    client.create_job(&spec("idle", &["b"]), "").await.expect("created");
    client.pause_job("paused").await.expect("pausing");
    let house = house.reopen().await;
    house.add_people(100..120);
    house.has_people("b", 120).await;
    house.job_is("paused", ObservedState::Paused).await;
    house.job_is("idle", ObservedState::Created).await;
    assert_eq!(house.people_in("c"), 100);
    house.client.clone().start_job("paused").await.expect("started");
    house.has_people("c", 120).await;
    house.close().await;
}

#[tokio::test]
async fn a_failure_is_shown_after_a_restart_and_not_tried_behind_ones_back() {
    let house = House::new().await;
    house.world("b").create(people());
    house.world("b").transact(|t| t.insert(&table(), vec![Value::Int(7), Value::Null])).expect("new");
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b"]), "").await.expect("created");
    client.start_job("people").await.expect("started");
    let before = house.job_is("people", ObservedState::Failed).await.status.expect("there").error;
    let house = house.reopen().await;
    let after = house.job_is("people", ObservedState::Failed).await;
    assert_eq!(after.desired_state(), DesiredState::Run);
    assert_eq!(after.status.expect("there").error, before);
}

#[tokio::test]
async fn a_deletion_goes_on_after_a_restart() {
    let house = House::new().await;
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b"]), "").await.expect("created");
    client.start_job("people").await.expect("started");
    house.has_people("b", 100).await;
    house.world("b").go_down(Duration::from_secs(86_400));
    client.delete_job("people").await.expect("deleting");
    let waits = async || {
        let status = client.clone().job("people").await.expect("still there").status.expect("there");
        (status.observed_state() == ObservedState::Deleting).then_some(status.error?)
    };
    let error = eventually("it says what it waits for", waits).await;
    assert!(error.text.contains("store `b`"), "{error:?}");
    let house = house.reopen().await;
    house.job_is("people", ObservedState::Deleting).await;
    house.world("b").go_down(Duration::ZERO);
    eventually("the job is gone", async || house.client.clone().job("people").await.err()).await;
}

#[tokio::test]
async fn a_target_that_is_down_stalls_its_job_and_comes_back() {
    let house = House::new().await;
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b"]), "").await.expect("created");
    client.start_job("people").await.expect("started");
    house.job_is("people", ObservedState::Streaming).await;
    house.world("b").go_down(Duration::from_secs(86_400));
    house.add_people(100..110);
    let stalled = house.job_is("people", ObservedState::Stalled).await;
    assert!(stalled.status.expect("there").targets[0].error.is_some(), "with the cause");
    house.world("b").go_down(Duration::ZERO);
    house.has_people("b", 110).await;
    house.job_is("people", ObservedState::Streaming).await;
}

/// Virtual time: what is waited for are the supervisor's own bounds.
#[tokio::test(start_paused = true)]
async fn a_target_that_hangs_holds_neither_the_daemon_nor_other_jobs() {
    let house = House::new().await;
    for (name, target) in [("hangs", "b"), ("runs", "c")] {
        house.supervisor.create(spec(name, &[target]), "", false, "test").await.expect("created");
        house.supervisor.start(name, "", "test").await.expect("started");
        house.job_is(name, ObservedState::Streaming).await;
    }
    house.world("b").stall(Duration::from_secs(86_400));
    house.add_people(100..110);
    house.has_people("c", 110).await;
    house.supervisor.pause("hangs", None, "", "test").await.expect("asked");
    house.job_is("hangs", ObservedState::Paused).await;
    house.supervisor.start("hangs", "", "test").await.expect("started");
    let before = tokio::time::Instant::now();
    house.supervisor.stop().await;
    assert!(before.elapsed() <= Duration::from_secs(15));
    let jobs = house.state.jobs().await.expect("readable");
    assert!(jobs.iter().all(|job| job.desired == Desired::Run), "what runs is resumed after a restart");
}

/// The point panics on this thread, where all tasks of this test run.
#[cfg(feature = "faults")]
#[tokio::test]
async fn a_job_that_panics_is_shown_as_failed_and_others_run_on() {
    let house = House::new().await;
    let mut client = house.client.clone();
    client.create_job(&spec("runs", &["c"]), "").await.expect("created");
    client.start_job("runs").await.expect("started");
    house.job_is("runs", ObservedState::Streaming).await;
    whimbrel::faults::stop_at(Some(("before-begin", 1)));
    client.create_job(&spec("panics", &["b"]), "").await.expect("created");
    client.start_job("panics").await.expect("started");
    let job = house.job_is("panics", ObservedState::Failed).await;
    let error = job.status.expect("there").error.expect("says why");
    assert!(error.text.contains("panicked") && error.hint.contains("whimbrel job start panics"), "{error:?}");
    house.add_people(100..110);
    house.has_people("c", 110).await;
    client.start_job("panics").await.expect("started");
    house.has_people("b", 110).await;
}

#[tokio::test]
async fn a_source_that_is_away_at_the_start_is_shown_as_such() {
    let house = House::new().await;
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b"]), "").await.expect("created");
    client.start_job("people").await.expect("started");
    house.job_is("people", ObservedState::Streaming).await;
    house.world("a").go_down(Duration::from_secs(86_400));
    let nobody_knows = async |house: &House| {
        eventually("it is stalled, and nobody knows how far behind", async || {
            let status = house.client.clone().job("people").await.expect("there").status.expect("every job has one");
            let target = &status.targets[0];
            let is_stalled = status.observed_state() == ObservedState::Stalled && status.error.is_some();
            (is_stalled && target.lag.is_none() && target.behind_changes.is_none()).then_some(())
        })
        .await;
    };
    nobody_knows(&house).await;
    let house = house.reopen().await;
    nobody_knows(&house).await;
    house.world("a").go_down(Duration::ZERO);
    house.add_people(100..110);
    house.has_people("b", 110).await;
    house.job_is("people", ObservedState::Streaming).await;
}

/// Whoever looks for the cause must not be sent to the target.
#[tokio::test]
async fn a_copy_that_the_source_does_not_let_go_on_is_the_sources_matter() {
    let house = House::new().await;
    let mut client = house.client.clone();
    let mut spec = spec("people", &["b"]);
    spec.copy.limits.rows_per_s = 20;
    house.world("a").set_habits(|habits| habits.page_rows = 5);
    client.create_job(&spec, "").await.expect("created");
    client.start_job("people").await.expect("started");
    eventually("some are copied", async || (house.people_in("b") > 0).then_some(())).await;
    house.world("a").go_down(Duration::from_secs(86_400));
    let job = house.job_is("people", ObservedState::Stalled).await;
    let status = job.status.expect("every job has one");
    assert!(status.error.is_some() && status.targets[0].error.is_none(), "{status:?}");
    house.world("a").go_down(Duration::ZERO);
    house.supervisor.set_limits("people", Default::default(), "", "test").await.expect("no limit");
    house.has_people("b", 100).await;
    house.job_is("people", ObservedState::Streaming).await;
}
