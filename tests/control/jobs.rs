//! A job's life over gRPC, on real pipelines between memory stores.

use crate::support::{
    faulty::{Fault, Faults, Faulty, Gate},
    house::{House, observed, people, spec, table},
    wait::eventually,
};
use std::{sync::Arc, time::Duration};
use whimbrel::{
    client::{Code, Failure},
    control::v1::{DesiredState, Job, JobStatus, ObservedState, Role},
    model::{Limits, Value},
    state::{Desired, State},
};

#[tokio::test]
async fn created_started_paused_started_deleted() {
    let house = House::new().await;
    let mut client = house.client.clone();

    let before = ["a", "b"].map(|store| house.world(store).counts());
    let job = client.create_job(&spec("people", &["b", "c"]), "").await.expect("created");
    assert_eq!((job.desired_state(), observed(&job)), (DesiredState::Created, ObservedState::Created));
    assert_eq!(["a", "b"].map(|store| house.world(store).counts()), before, "creating a job touches nothing");

    client.start_job("people").await.expect("started");
    let job = house.job_is("people", ObservedState::Streaming).await;
    assert_eq!((house.people_in("b"), house.people_in("c")), (100, 100));
    let JobStatus { targets, .. } = job.status.expect("there");
    let tables: Vec<_> =
        targets.iter().flat_map(|target| &target.tables).map(|table| (table.name.as_str(), table.rows)).collect();
    assert_eq!(tables, [("main.people", 100), ("main.people", 100)]);
    house.add_people(100..150);
    house.has_people("b", 150).await;

    client.pause_job("people").await.expect("paused");
    house.job_is("people", ObservedState::Paused).await;
    house.add_people(150..200);
    client.pause_job("people").await.expect("repeatable");
    assert_eq!(house.people_in("b"), 150, "paused is paused");
    client.start_job("people").await.expect("started");
    house.has_people("b", 200).await;
    house.has_people("c", 200).await;

    let id = house.state.jobs().await.expect("readable")[0].id;
    assert!(house.world("a").reserved(id).is_some());
    let job = client.delete_job("people").await.expect("deleting");
    assert_eq!(job.desired_state(), DesiredState::Delete);
    eventually("the job is gone", async || client.clone().job("people").await.err()).await;
    assert!(house.world("a").reserved(id).is_none(), "the source is released");
    for target in ["b", "c"] {
        assert_eq!(house.world(target).ledger().marks_of(id).count(), 0, "{target} has forgotten the job");
        assert_eq!(house.people_in(target), 200, "rows stay");
    }
    assert!(house.state.jobs().await.expect("readable").is_empty());
    house.close().await;
}

#[tokio::test]
async fn what_was_done_is_in_the_audit_trail() {
    let house = House::new().await;
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b"]), "").await.expect("created");
    client.start_job("people").await.expect("started");
    client.set_limits("people", Limits { rows_per_s: 5, bytes_per_s: 0 }).await.expect("set");
    client.pause_job("people").await.expect("paused");
    client.delete_job("people").await.expect("deleting");
    eventually("the job is gone", async || client.clone().job("people").await.err()).await;
    let history = eventually("its end is written", async || {
        let history = house.state.history(None, 10).await.expect("readable");
        (history.len() == 6).then_some(history)
    })
    .await;
    let did: Vec<&str> = history.iter().rev().map(|entry| entry.what.as_str()).collect();
    assert_eq!(did, ["create", "start", "set-limits", "pause", "delete", "deleted"]);
    assert!(history.iter().skip(1).all(|entry| entry.who.starts_with("127.0.0.1:")), "{history:?}");
}

#[tokio::test]
async fn a_creation_may_be_repeated() {
    let house = House::new().await;
    let mut client = house.client.clone();
    let first = client.create_job(&spec("people", &["b"]), "r1").await.expect("created");
    let again = client.create_job(&spec("people", &["b"]), "r1").await.expect("the same request");
    assert_eq!((&first.uid, &first.etag), (&again.uid, &again.etag));
    for (request, spec) in
        [("r1", spec("people", &["c"])), ("r1", spec("others", &["b"])), ("", spec("people", &["b"]))]
    {
        let failure = client.create_job(&spec, request).await.expect_err("another job");
        assert_eq!((failure.code, failure.reason.as_str()), (Code::AlreadyExists, "JOB_EXISTS"));
    }
    assert_eq!(client.all_jobs().await.expect("listed").len(), 1);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let house = House::new().await;
    let mut client = house.client.clone();
    for n in 0..205 {
        client.create_job(&spec(&format!("job-{n:03}"), &["b"]), "").await.expect("created");
    }
    let names: Vec<String> = client.all_jobs().await.expect("listed").into_iter().map(|job| job.name).collect();
    assert_eq!(names, (0..205).map(|n| format!("job-{n:03}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn limits_change_while_a_job_runs_and_stay() {
    let house = House::new().await;
    house.add_people(100..5000);
    let mut client = house.client.clone();
    let mut slow = spec("people", &["b"]);
    slow.copy.limits.rows_per_s = 1;
    client.create_job(&slow, "").await.expect("created");
    client.start_job("people").await.expect("started");
    house.job_is("people", ObservedState::Copying).await;
    // At one row a second this would take an hour.
    let job = client.set_limits("people", Limits::default()).await.expect("set");
    assert_eq!(job.spec.expect("there").copy.expect("there").limits.expect("there").rows_per_s, 0);
    house.has_people("b", 5000).await;
    let house = house.reopen().await;
    let job = house.client.clone().job("people").await.expect("there");
    assert_eq!(job.spec.expect("there").copy.expect("there").limits.expect("there").rows_per_s, 0);
}

#[tokio::test]
async fn a_failed_job_says_why_and_is_tried_again() {
    let house = House::new().await;
    let mut client = house.client.clone();
    house.world("b").create(people());
    house.world("b").transact(|t| t.insert(&table(), vec![Value::Int(7), Value::Null])).expect("new");
    client.create_job(&spec("people", &["b"]), "").await.expect("created");
    client.create_job(&spec("others", &["c"]), "").await.expect("created");
    client.start_job("people").await.expect("accepted: the check is the job's own");
    client.start_job("others").await.expect("started");

    let job = house.job_is("people", ObservedState::Failed).await;
    let error = job.status.expect("there").error.expect("says why");
    assert!(error.text.contains("rows already"), "{error:?}");
    assert!(error.hint.contains("existing: replace"), "{error:?}");
    house.job_is("others", ObservedState::Streaming).await;
    house.add_people(100..110);
    house.has_people("c", 110).await;

    house.world("b").transact(|t| t.delete(&table(), &[Value::Int(7)]).map(drop)).expect("there");
    let job = client.start_job("people").await.expect("again");
    assert!(observed(&job) != ObservedState::Streaming);
    let job = house.job_is("people", ObservedState::Streaming).await;
    assert!(job.status.expect("there").error.is_none(), "a start clears it");
    house.has_people("b", 110).await;
}

#[tokio::test]
async fn verbs_in_quick_succession_undo_nothing_of_each_other() {
    let house = House::new().await;
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b"]), "").await.expect("created");
    let mut begun = None;
    for turn in 1..=30 {
        client.start_job("people").await.expect("started");
        // The run may just now be saving where it began.
        let limits = Limits { rows_per_s: 1_000_000 + turn, bytes_per_s: 0 };
        client.set_limits("people", limits).await.expect("set");
        client.pause_job("people").await.expect("paused");
        let record = house.state.jobs().await.expect("readable").remove(0);
        assert_eq!((record.desired, record.spec.copy.limits), (Desired::Pause, limits));
        assert!(begun.is_none() || record.begun == begun, "a reservation in use is never made anew");
        begun = record.begun;
    }
    client.start_job("people").await.expect("started");
    house.has_people("b", 100).await;
    house.job_is("people", ObservedState::Streaming).await;
    assert_eq!(house.state.jobs().await.expect("readable")[0].desired, Desired::Run);
}

#[tokio::test]
async fn a_job_that_never_ran_is_deleted_without_its_stores() {
    let house = House::new().await;
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b"]), "").await.expect("created");
    let paused = client.pause_job("people").await.expect("nothing to stop");
    assert_eq!(paused.desired_state(), DesiredState::Created);
    house.world("a").go_down(std::time::Duration::from_secs(86_400));
    client.delete_job("people").await.expect("deleting");
    eventually("the job is gone", async || client.clone().job("people").await.err()).await;
}

#[tokio::test]
async fn stores_are_listed_checked_and_looked_into() {
    let house = House::new().await;
    let mut client = house.client.clone();
    let stores = client.all_stores().await.expect("listed");
    assert_eq!(stores.iter().map(|store| store.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(stores.iter().all(|store| store.kind == "memory"));
    let tables = client.all_tables("a").await.expect("listed");
    assert_eq!((tables[0].name.as_str(), &tables[0].key), ("main.people", &vec!["id".to_owned()]));
    for role in [Role::Source, Role::Target] {
        let checked = client.check_store("a", role, &["main.*".into()]).await.expect("checked");
        assert!(checked.ok, "{checked:?}");
    }
}

/// Its time is over, or it was killed: what it asked for is in the state, so it must be in what runs.
#[tokio::test]
async fn who_does_not_wait_for_the_answer_has_asked_all_the_same() {
    let house = House::new().await;
    let faults = Arc::new(Faults::default());
    let state = Faulty::<dyn State>::new("state", &faults, Arc::clone(&house.state));
    let house = house.reopen_with(state).await;
    let slow = ["state.save_job", "state.change_job"];
    let hangs_up = async |asked: Pending| {
        slow.iter().for_each(|one| faults.slow(one, Duration::from_millis(300)));
        let before = slow.map(|one| faults.count(one));
        tokio::select! {
            answer = asked => panic!("answered already: {answer:?}"),
            () = eventually("it is asked for", async || (slow.map(|one| faults.count(one)) != before).then_some(())) => {}
        }
        slow.iter().for_each(|one| faults.slow(one, Duration::ZERO));
    };
    let mut client = house.client.clone();
    hangs_up(Box::pin(async move { client.create_job(&spec("people", &["b"]), "once").await })).await;
    eventually("it is there", async || house.client.clone().job("people").await.ok()).await;
    let mut client = house.client.clone();
    hangs_up(Box::pin(async move { client.start_job("people").await })).await;
    house.job_is("people", ObservedState::Streaming).await;
    let mut client = house.client.clone();
    hangs_up(Box::pin(async move { client.delete_job("people").await })).await;
    eventually("it is gone", async || house.client.clone().job("people").await.err()).await;
    let history = house.client.clone().history(None, 10).await.expect("listed");
    let done: Vec<&str> = history.iter().rev().map(|entry| entry.what.as_str()).collect();
    assert_eq!(done, ["create", "start", "delete", "deleted"]);
}

type Pending = std::pin::Pin<Box<dyn Future<Output = Result<Job, Failure>>>>;

/// What the run saves by itself is known to who asks: a ring, or the log that a paused job holds, is told by it.
#[tokio::test]
async fn a_pause_while_the_log_is_being_reserved_knows_that_it_is() {
    let house = House::new().await;
    let faults = Arc::new(Faults::default());
    let state = Faulty::<dyn State>::new("state", &faults, Arc::clone(&house.state));
    let house = house.reopen_with(state).await;
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b"]), "").await.expect("created");
    // The run's own save of where the log begins is on its way when the pause comes.
    let gate = Arc::new(Gate::default());
    faults.queue("state.change_job", [Fault::Pass, Fault::Hold(Arc::clone(&gate))]);
    client.start_job("people").await.expect("started");
    eventually("the beginning is being saved", async || (faults.count("state.change_job") == 2).then_some(())).await;
    client.pause_job("people").await.expect("paused");
    gate.open();
    house.job_is("people", ObservedState::Paused).await;
    let saved = house.state.jobs().await.expect("readable").remove(0);
    assert!(saved.begun.is_some());
    eventually("it is known", async || {
        house.supervisor.get("people").expect("there").record.begun.is_some().then_some(())
    })
    .await;
}
