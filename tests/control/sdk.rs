//! The Rust SDK against a daemon: watch, wait, and what it says when it cannot.

use crate::support::{
    house::{House, observed, people, spec, table},
    wait::DEADLINE,
};
use futures_util::StreamExt;
use std::{fs, time::Duration};
use whimbrel::{
    client::{Client, Code, Goal, ObservedState},
    model::Value,
};

#[tokio::test]
async fn a_job_from_its_creation_to_its_end() {
    let house = House::new().await;
    let mut client = Client::builder(&house.address.to_string()).connect().await.expect("it listens");
    client.validate_job(&spec("people", &["b"])).await.expect("valid");
    assert!(client.plan_job(&spec("people", &["b"])).await.expect("planned").ok);
    client.create_job(&spec("people", &["b"]), "").await.expect("created");
    let mut watch = client.watch_job("people").await.expect("watched");
    client.start_job("people").await.expect("started");
    let job = client.wait_job("people", Goal::Lag(Duration::from_secs(60)), DEADLINE).await.expect("streams");
    assert_eq!(observed(&job), ObservedState::Streaming);
    client.wait_job("people", Goal::State(ObservedState::Copying), DEADLINE).await.expect("it is past that");
    let mut whole = false;
    while let Some(job) = watch.next().await {
        let job = job.expect("watched");
        // Whatever changes: every item is the whole job.
        let tables: Vec<usize> = job.status.iter().flat_map(|status| &status.targets).map(|t| t.tables.len()).collect();
        whole |= tables == [1];
        assert!(!whole || tables == [1], "{job:?}");
        if observed(&job) == ObservedState::Streaming {
            client.pause_job("people").await.expect("paused");
        }
        if observed(&job) == ObservedState::Paused {
            client.delete_job("people").await.expect("deleting");
        }
    }
    assert!(whole, "its table came by");
    client.wait_deleted("people", DEADLINE).await.expect("gone");
    let done: Vec<String> =
        client.history(Some("people"), 100).await.expect("kept").into_iter().map(|entry| entry.what).collect();
    assert!(done.contains(&"pause".to_owned()) && done.contains(&"delete".to_owned()), "{done:?}");
}

#[tokio::test]
async fn a_wait_ends_early_where_it_would_be_in_vain() {
    let house = House::new().await;
    let mut client = house.client.clone();
    house.world("b").create(people());
    house.world("b").transact(|t| t.insert(&table(), vec![Value::Int(7), Value::Null])).expect("new");
    client.create_job(&spec("people", &["b"]), "").await.expect("created");
    client.start_job("people").await.expect("started");
    let streaming = Goal::State(ObservedState::Streaming);
    let failure = client.wait_job("people", streaming, DEADLINE).await.expect_err("rows are in the way");
    assert_eq!((failure.code, failure.reason.as_str()), (Code::FailedPrecondition, "JOB_FAILED"));
    assert!(failure.text.contains("rows already") && failure.hint.is_some(), "{failure:?}");
    client.wait_job("people", Goal::State(ObservedState::Failed), DEADLINE).await.expect("it has failed");
    // A start is believed: the former failure is not taken for a new one.
    house.world("b").transact(|t| t.delete(&table(), &[Value::Int(7)]).map(drop)).expect("there");
    client.start_job("people").await.expect("again");
    client.wait_job("people", streaming, DEADLINE).await.expect("streams");
    let failure = client.wait_job("nobody", streaming, DEADLINE).await.expect_err("no such job");
    assert_eq!(failure.code, Code::NotFound);
}

#[tokio::test]
async fn a_wait_has_a_deadline_and_outlives_a_restart() {
    let house = House::new().await;
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b"]), "").await.expect("created");
    let streaming = Goal::State(ObservedState::Streaming);
    let failure = client.wait_job("people", streaming, Duration::from_millis(50)).await.expect_err("not started");
    assert_eq!((failure.code, failure.reason.as_str()), (Code::DeadlineExceeded, "WAIT_TIMED_OUT"));
    assert!(failure.text.contains("it is created"), "{failure:?}");
    client.delete_job("people").await.expect("deleting");
    house.close().await;
    let failure = client.wait_deleted("people", Duration::from_millis(50)).await.expect_err("nobody answers");
    assert_eq!(failure.code, Code::DeadlineExceeded);
    let failure = client.job("people").await.expect_err("nobody answers");
    assert!(failure.is_unreachable() && failure.hint.is_some(), "{failure:?}");
}

#[tokio::test]
async fn a_client_that_is_set_up_wrongly_says_how_to_mend_it() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let token = folder.path().join("token");
    fs::write(&token, "hunter2\n").expect("ours");
    let garbage = folder.path().join("ca.pem");
    fs::write(&garbage, "no certificate").expect("ours");
    for (builder, text) in [
        (Client::builder("192.0.2.1:7411").token_file(&token), "plain text"),
        (Client::builder("127.0.0.1:1").token_file(folder.path().join("none")), "cannot be read"),
        (Client::builder("127.0.0.1:1").token("two\nlines"), "characters"),
        (Client::builder("https://127.0.0.1:1"), "CA"),
        (Client::builder("127.0.0.1:1").client_certificate(&garbage, &garbage), "CA"),
        (Client::builder("no address"), "no address"),
    ] {
        let failure = builder.connect().await.err().expect("set up wrongly");
        assert_eq!((failure.code, failure.reason.as_str()), (Code::InvalidArgument, "CLIENT_MISCONFIGURED"));
        assert!(failure.text.contains(text) && failure.hint.is_some(), "{failure:?}");
        assert!(!format!("{failure:?}").contains("hunter2"), "a token is never shown");
    }
    let failure = Client::builder("127.0.0.1:1").ca_certificate(&garbage).connect().await.err().expect("no PEM");
    assert!(failure.hint.is_some(), "{failure:?}");
}
