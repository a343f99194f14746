//! Pauses that end by themselves, and deletions that leave the source alone.

use crate::support::{
    house::{House, observed, spec},
    wait::eventually,
};
use std::time::Duration;
use whimbrel::{
    client::Code,
    control::v1::{DesiredState, ObservedState},
};

const LONG: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn a_pause_ends_by_itself() {
    let house = House::new().await;
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b"]), "").await.expect("created");
    client.start_job("people").await.expect("started");
    house.job_is("people", ObservedState::Streaming).await;
    let job = client.pause_job("people").max_pause(Duration::from_millis(300)).await.expect("paused");
    assert!(job.resume_time.is_some());
    house.add_people(100..110);
    house.has_people("b", 110).await;
    let job = client.job("people").await.expect("there");
    assert_eq!((job.desired_state(), job.resume_time), (DesiredState::Run, None));
    let history = client.history(Some("people"), 10).await.expect("readable");
    assert!(history.iter().any(|entry| entry.what == "resume" && entry.who == "daemon"), "{history:?}");
}

#[tokio::test]
async fn the_end_of_a_pause_survives_a_restart_and_a_newer_word_counts() {
    let house = House::new().await;
    let mut client = house.client.clone();
    for (name, target) in [("soon", "b"), ("never", "c")] {
        client.create_job(&spec(name, &[target]), "").await.expect("created");
        client.start_job(name).await.expect("started");
        house.job_is(name, ObservedState::Streaming).await;
        client.pause_job(name).max_pause(LONG).await.expect("paused");
        house.job_is(name, ObservedState::Paused).await;
    }
    let newer = client.pause_job("never").await.expect("for good");
    assert_eq!(newer.resume_time, None);
    client.pause_job("soon").max_pause(Duration::from_millis(1)).await.expect("almost over");
    let house = house.reopen().await;
    house.job_is("soon", ObservedState::Streaming).await;
    let never = house.job_is("never", ObservedState::Paused).await;
    assert_eq!(never.desired_state(), DesiredState::Pause);
}

#[tokio::test]
async fn a_pause_of_no_length_is_refused_and_a_job_that_never_ran_has_none() {
    let house = House::new().await;
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b"]), "").await.expect("created");
    for bad in [Duration::ZERO, Duration::from_secs(400 * 86_400)] {
        let failure = client.pause_job("people").max_pause(bad).await.expect_err("no pause");
        assert_eq!(failure.code, Code::InvalidArgument);
        assert!(failure.text.contains("max_pause"), "{failure:?}");
    }
    let job = client.pause_job("people").max_pause(LONG).await.expect("nothing to stop");
    assert_eq!((job.desired_state(), job.resume_time), (DesiredState::Created, None));
}

#[tokio::test]
async fn a_paused_job_says_what_it_holds_of_the_log_after_a_restart_too() {
    let house = House::new().await;
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b"]), "").await.expect("created");
    client.start_job("people").await.expect("started");
    house.job_is("people", ObservedState::Streaming).await;
    client.pause_job("people").await.expect("paused");
    house.job_is("people", ObservedState::Paused).await;
    house.add_people(100..130);
    let house = house.reopen().await;
    eventually("what it holds is known", async || {
        let job = house.client.clone().job("people").await.expect("there");
        job.status.and_then(|status| status.held).and_then(|held| held.changes).filter(|&changes| changes > 0)
    })
    .await;
}

#[tokio::test]
async fn a_source_that_is_gone_for_good_does_not_hold_a_deletion() {
    let house = House::new().await;
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b"]), "").await.expect("created");
    client.start_job("people").await.expect("started");
    house.has_people("b", 100).await;
    let id = house.state.jobs().await.expect("readable")[0].id;
    house.world("a").go_down(LONG);
    client.delete_job("people").await.expect("deleting");
    let job = eventually("it says what it waits for", async || {
        let job = client.clone().job("people").await.expect("not gone");
        job.status.clone().and_then(|status| status.error).map(|_| job)
    })
    .await;
    assert_eq!(observed(&job), ObservedState::Deleting);
    client.delete_job("people").keep_source_objects().await.expect("leaves the source alone");
    client.wait_deleted("people", crate::support::wait::DEADLINE).await.expect("gone");
    assert_eq!(house.world("b").ledger().marks_of(id).count(), 0, "the target has forgotten it");

    house.world("a").go_down(Duration::ZERO);
    let left = client.leftovers("a").await.expect("it answers again");
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!((left[0].object.as_str(), left[0].job_uid.clone()), ("reservation of the log", id.to_string()));
    assert!(client.leftovers("b").await.expect("it answers").is_empty());
}

#[tokio::test]
async fn a_target_that_is_gone_for_good_holds_neither_a_deletion_nor_the_other_stores() {
    let house = House::new().await;
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b", "c"]), "").await.expect("created");
    client.start_job("people").await.expect("started");
    house.has_people("b", 100).await;
    house.has_people("c", 100).await;
    let id = house.state.jobs().await.expect("readable")[0].id;
    house.world("b").go_down(LONG);
    client.delete_job("people").await.expect("deleting");
    eventually("the others have forgotten it", async || {
        let left = house.world("c").ledger().marks_of(id).count();
        (left == 0 && client.clone().leftovers("a").await.expect("it answers").is_empty()).then_some(())
    })
    .await;
    let job = eventually("it says what it waits for", async || {
        let job = client.clone().job("people").await.expect("not gone");
        job.status.clone().and_then(|status| status.error).map(|_| job)
    })
    .await;
    let hint = job.status.as_ref().and_then(|status| status.error.as_ref()).map_or("", |error| &error.hint);
    assert!(hint.contains("whimbrel job delete people --yes --keep-target-objects"), "{hint}");
    client.delete_job("people").keep_target_objects().await.expect("leaves the targets alone");
    client.wait_deleted("people", crate::support::wait::DEADLINE).await.expect("gone");
}

#[tokio::test]
async fn a_job_that_never_reached_its_target_is_deleted_without_it() {
    let house = House::new().await;
    let mut client = house.client.clone();
    house.world("b").go_down(LONG);
    client.create_job(&spec("people", &["b"]), "").await.expect("created");
    client.start_job("people").await.expect("started");
    eventually("it says that the target is away", async || {
        client.clone().job("people").await.expect("there").status.and_then(|status| status.error)
    })
    .await;
    client.delete_job("people").await.expect("deleting");
    client.wait_deleted("people", crate::support::wait::DEADLINE).await.expect("gone");
}
