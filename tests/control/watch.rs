//! Watching: the whole job first, then what changed, never silence, and an end that says why.

use crate::support::house::{House, observed, spec};
use std::time::Duration;
use tokio::time::Instant;
use whimbrel::{
    client::Code,
    control::v1::{
        DesiredState, ObservedState, WatchJobRequest, WatchJobResponse, job_service_client::JobServiceClient,
    },
};

/// The messages as they travel: the SDK puts them together.
async fn raw_watch(house: &House) -> tonic::Streaming<WatchJobResponse> {
    let mut raw = JobServiceClient::connect(format!("http://{}", house.address)).await.expect("it listens");
    raw.watch_job(WatchJobRequest { name: "people".into() }).await.expect("watched").into_inner()
}

#[tokio::test]
async fn the_whole_job_then_its_changes_until_it_is_gone() {
    let house = House::new().await;
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b"]), "").await.expect("created");
    let mut watch = raw_watch(&house).await;
    let first = watch.message().await.expect("answered").expect("a message");
    assert!(first.whole);
    assert_eq!(observed(first.job.as_ref().expect("there")), ObservedState::Created);

    client.start_job("people").await.expect("started");
    let mut seen = Vec::new();
    loop {
        let WatchJobResponse { job, whole } = watch.message().await.expect("answered").expect("a message");
        let job = job.expect("there");
        assert!(!whole);
        seen.extend(job.status.as_ref().expect("there").targets.iter().flat_map(|target| target.tables.clone()));
        if observed(&job) == ObservedState::Streaming {
            break;
        }
    }
    assert!(seen.iter().any(|table| table.name == "main.people"), "the table's news came by: {seen:?}");

    client.delete_job("people").await.expect("deleting");
    let mut last = None;
    while let Some(message) = watch.message().await.expect("it ends well") {
        last = message.job;
    }
    assert_eq!(last.expect("at least one more").desired_state(), DesiredState::Delete);
}

#[tokio::test]
async fn a_stopping_daemon_says_so() {
    let house = House::new().await;
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b"]), "").await.expect("created");
    let mut watch = raw_watch(&house).await;
    watch.message().await.expect("answered");
    house.close().await;
    let end = loop {
        match watch.message().await {
            Ok(message) => assert!(message.is_some(), "an end without a word"),
            Err(end) => break end,
        }
    };
    assert_eq!(end.code(), Code::Unavailable, "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn silence_never_lasts() {
    let stores = whimbrel::supervisor::Stores::new(
        ["a", "b"]
            .map(|name| {
                let url = format!("memory:silence-{name}");
                (name.to_owned(), whimbrel::config::StoreConfig { url, ..Default::default() })
            })
            .into(),
    );
    let state = std::sync::Arc::new(whimbrel::state::MemoryState::default());
    let open = whimbrel::supervisor::Supervisor::open(state, stores.expect("good"), Duration::ZERO, Default::default());
    let supervisor = open.await.expect("empty");
    supervisor.create(spec("idle", &["b"]), "", false, "test").await.expect("created");
    let mut watch = supervisor.watch("idle").expect("there");
    watch.next().await.expect("at once");
    let mut before = Instant::now();
    for _ in 0..5 {
        watch.next().await.expect("nothing ends it");
        // The clock is simulated: this is the promise itself, not a measurement.
        assert!(before.elapsed() <= Duration::from_secs(10));
        before = Instant::now();
    }
}
