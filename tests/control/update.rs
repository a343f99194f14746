//! Changing a job: what the mask names, what a started job keeps, what somebody else changed meanwhile.

use crate::support::house::{House, observed, spec};
use whimbrel::{
    client::{Client, Code, Failure, JobSpec},
    control::v1::{Job, ObservedState, UpdateJobRequest, job_service_client::JobServiceClient},
    model::Limits,
};

fn given(job: &Job) -> JobSpec {
    whimbrel::control::convert::spec_from(job.spec.clone()).expect("as it was sent")
}

async fn started(house: &House) -> Client {
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b"]), "r1").await.expect("created");
    client.start_job("people").await.expect("started");
    house.job_is("people", ObservedState::Streaming).await;
    client
}

#[tokio::test]
async fn before_its_start_everything_but_the_name_may_change() {
    let house = House::new().await;
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b"]), "").await.expect("created");
    let mut other = spec("people", &["c"]);
    other.source.tables = vec!["main.p*".into()];
    other.labels = [("team".to_owned(), "shop".to_owned())].into();
    other.apply.max_row_bytes = 1 << 20;
    let job = client.update_job(&other, &[]).await.expect("not started yet");
    assert_eq!(given(&job), other);
    client.start_job("people").await.expect("started");
    house.has_people("c", 100).await;
    assert_eq!(house.people_in("b"), 0);
    // Nothing is left of a target that it does not have any more.
    let job = house.job_is("people", ObservedState::Streaming).await;
    let targets: Vec<_> = job.status.expect("there").targets.into_iter().map(|target| target.store).collect();
    assert_eq!(targets, ["c"]);
}

#[tokio::test]
async fn a_running_job_takes_what_is_safe_and_goes_on() {
    let house = House::new().await;
    let mut client = started(&house).await;
    let mut other = spec("people", &["b"]);
    other.labels = [("env".to_owned(), "prod".to_owned())].into();
    other.copy.limits = Limits { rows_per_s: 5000, bytes_per_s: 0 };
    (other.copy.parallelism, other.apply.lanes) = (3, 4);
    let fields = ["labels", "copy.limits.rows_per_s", "copy.parallelism", "apply.lanes"];
    let job = client.update_job(&other, &fields).await.expect("safe");
    assert_eq!(given(&job), other);
    // It runs again with four lanes, and loses and doubles nothing on the way.
    for round in 0_i64..5 {
        house.add_people(100 + round * 20..120 + round * 20);
        let lanes = 1 + round as u16;
        other.apply.lanes = lanes;
        client.update_job(&other, &["apply.lanes"]).await.expect("safe");
    }
    house.has_people("b", 200).await;
    house.job_is("people", ObservedState::Streaming).await;
    assert_eq!(house.world("b").breaches(), Vec::<String>::new());
    let saved = house.state.jobs().await.expect("readable").remove(0);
    assert_eq!(saved.spec, other);
    let again = client.create_job(&spec("people", &["b"]), "r1").await.expect("the same request as ever");
    assert_eq!(again.uid, job.uid);
}

#[tokio::test]
async fn a_started_job_keeps_its_pair_and_its_tables() {
    let house = House::new().await;
    let mut client = started(&house).await;
    let before = client.job("people").await.expect("there");
    let mut other = spec("people", &["c"]);
    other.source.tables = vec!["main.p*".into()];
    other.apply.transactional = true;
    let failure = client.update_job(&other, &[]).await.expect_err("settled");
    assert_eq!((failure.code, failure.reason.as_str()), (Code::FailedPrecondition, "JOB_STARTED"), "{failure:?}");
    let subjects: Vec<&str> = failure.violations.iter().map(|(subject, _)| subject.as_str()).collect();
    assert_eq!(subjects, ["spec.source.tables", "spec.targets", "spec.apply.transactional"]);
    assert!(failure.hint.is_some_and(|hint| hint.contains("job delete people")));
    let after = client.job("people").await.expect("there");
    assert_eq!((before.etag, before.spec), (after.etag, after.spec), "all or nothing");
}

#[tokio::test]
async fn only_asking_and_changing_nothing_leave_the_job_as_it_is() {
    let house = House::new().await;
    let mut client = started(&house).await;
    let before = client.job("people").await.expect("there");
    let same = client.update_job(&spec("people", &["b"]), &[]).await.expect("the same");
    assert_eq!(same.etag, before.etag, "an apply of the same file is no change");
    let mut other = spec("people", &["b"]);
    other.apply.lanes = 2;
    let would = client.update_job(&other, &["apply"]).validate_only().await.expect("possible");
    assert_eq!(given(&would).apply.lanes, 2);
    let after = client.job("people").await.expect("there");
    assert_eq!((&after.etag, given(&after).apply.lanes), (&before.etag, 0));
    other.apply.lanes = 65;
    let failure = client.update_job(&other, &["apply"]).validate_only().await.expect_err("too many");
    assert_eq!(failure.code, Code::InvalidArgument);
}

#[tokio::test]
async fn who_was_slower_is_told() {
    let house = House::new().await;
    let mut client = started(&house).await;
    let old = client.job("people").await.expect("there").etag;
    let mut other = spec("people", &["b"]);
    other.labels = [("by".to_owned(), "first".to_owned())].into();
    client.update_job(&other, &["labels.by"]).etag(&old).await.expect("the first");
    other.labels = [("by".to_owned(), "second".to_owned())].into();
    let failure = client.update_job(&other, &["labels.by"]).etag(&old).await.expect_err("too late");
    assert_eq!((failure.code, failure.reason.as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    let failure = client.pause_job("people").etag(&old).await.expect_err("too late");
    assert_eq!(failure.code, Code::Aborted);
    let failure = client.delete_job("people").etag(&old).await.expect_err("too late");
    assert_eq!(failure.code, Code::Aborted);
    assert_eq!(observed(&client.job("people").await.expect("there")), ObservedState::Streaming);
}

#[tokio::test]
async fn masks_and_jobs_that_make_no_sense() {
    let house = House::new().await;
    let mut client = started(&house).await;
    let failure = client.update_job(&spec("people", &["b"]), &["copy.speed"]).await.expect_err("no such field");
    assert_eq!(failure.code, Code::InvalidArgument);
    assert!(failure.hint.as_ref().is_some_and(|hint| hint.contains("spec.copy.parallelism")), "{failure:?}");
    let failure = client.update_job(&spec("nobody", &["b"]), &["labels"]).await.expect_err("no such job");
    assert_eq!((failure.code, failure.reason.as_str()), (Code::NotFound, "JOB_NOT_FOUND"));
    let mut raw = JobServiceClient::connect(format!("http://{}", house.address)).await.expect("it listens");
    let renamed = Some(whimbrel::control::convert::spec(&spec("others", &["b"])));
    let bad = [None, Some(Job { name: "people".into(), spec: renamed, ..Job::default() })];
    for job in bad {
        let request = UpdateJobRequest { job, ..UpdateJobRequest::default() };
        let failure = Failure::from(raw.update_job(request).await.expect_err("refused"));
        assert_eq!((failure.code, failure.hint.is_some()), (Code::InvalidArgument, true), "{failure:?}");
    }
    // Without a mask: what is not at its default, and nothing else.
    let mut wanted = whimbrel::control::v1::JobSpec::default();
    wanted.apply.get_or_insert_default().lanes = 3;
    let job = Some(Job { name: "people".into(), spec: Some(wanted), ..Job::default() });
    let job = raw.update_job(UpdateJobRequest { job, ..Default::default() }).await.expect("fine").into_inner();
    assert_eq!((given(&job).apply.lanes, given(&job).source.store.as_str()), (3, "a"));
}
