//! Every refusal: the right code, a reason for programs, a hint for people.

use crate::support::house::{House, spec};
use whimbrel::{
    client::{Code, Failure},
    control::v1::{
        CreateJobRequest, JobSpec, ListJobsRequest, ListJobsResponse, PauseJobRequest, SourceSpec, StartJobRequest,
        TargetSpec, job_service_client::JobServiceClient,
    },
};

#[track_caller]
fn is(failure: &Failure, code: Code, reason: &str, hint: &str) {
    assert_eq!((failure.code, failure.reason.as_str()), (code, reason), "{failure:?}");
    assert!(failure.hint.as_ref().is_some_and(|given| given.contains(hint)), "no `{hint}` in {failure:?}");
}

#[tokio::test]
async fn names_that_are_not_there() {
    let house = House::new().await;
    let mut client = house.client.clone();
    for failure in [
        client.job("x").await.expect_err("none"),
        client.start_job("x").await.expect_err("none"),
        client.pause_job("x").await.expect_err("none"),
        client.delete_job("x").await.expect_err("none"),
        client.watch_job("x").await.expect_err("none"),
    ] {
        is(&failure, Code::NotFound, "JOB_NOT_FOUND", "whimbrel status");
    }
    let failure = client.all_tables("x").await.expect_err("none");
    is(&failure, Code::NotFound, "STORE_NOT_FOUND", "a, b, c");
    let failure = client.create_job(&spec("people", &["x"]), "").await.expect_err("no such store");
    is(&failure, Code::NotFound, "STORE_NOT_FOUND", "a, b, c");
}

#[tokio::test]
async fn specs_that_cannot_work() {
    let house = House::new().await;
    let mut client = house.client.clone();
    let bad_names = ["", "Orders", "9lives", "a b", "über", "a-", &"x".repeat(64)];
    for name in bad_names {
        let failure = client.create_job(&spec(name, &["b"]), "").await.expect_err("a bad name");
        is(&failure, Code::InvalidArgument, "INVALID_ARGUMENT", "lower-case letters");
    }
    for (targets, text) in [(&["a"] as &[&str], "the source as well"), (&["b", "b"], "twice"), (&[], "at least one")] {
        let failure = client.create_job(&spec("people", targets), "").await.expect_err("bad targets");
        is(&failure, Code::InvalidArgument, "INVALID_ARGUMENT", "");
        assert!(failure.text.contains(text), "{failure:?}");
    }
    let mut bad = spec("people", &["b"]);
    bad.source.tables = vec!["people".into()];
    is(&client.create_job(&bad, "").await.expect_err("a glob"), Code::InvalidArgument, "INVALID_ARGUMENT", "*.people");
    let mut bad = spec("people", &["b"]);
    (bad.apply.transactional, bad.apply.lanes) = (true, 4);
    is(&client.create_job(&bad, "").await.expect_err("lanes"), Code::InvalidArgument, "INVALID_ARGUMENT", "lanes");
    assert!(client.all_jobs().await.expect("listed").is_empty());
}

#[tokio::test]
async fn messages_that_no_client_of_ours_sends() {
    let house = House::new().await;
    let address = format!("http://{}", house.address);
    let mut raw = JobServiceClient::connect(address).await.expect("it listens");
    let refused = raw.create_job(CreateJobRequest::default()).await.expect_err("no spec");
    is(&refused.into(), Code::InvalidArgument, "INVALID_ARGUMENT", "spec");
    let target = TargetSpec { store: "b".into(), existing: 77 };
    let source = Some(SourceSpec { store: "a".into(), ..SourceSpec::default() });
    let newer = JobSpec { name: "people".into(), source, targets: vec![target], ..JobSpec::default() };
    let newer = CreateJobRequest { spec: Some(newer), ..CreateJobRequest::default() };
    let refused = raw.create_job(newer).await.expect_err("a newer client");
    is(&refused.into(), Code::InvalidArgument, "INVALID_ARGUMENT", "as new as the client");
    let refused = raw.list_jobs(ListJobsRequest { page_size: -1, ..Default::default() }).await.expect_err("negative");
    is(&refused.into(), Code::InvalidArgument, "INVALID_ARGUMENT", "leave it out");
    let large = JobSpec { name: "x".repeat(2 << 20), ..JobSpec::default() };
    let large = CreateJobRequest { spec: Some(large), ..CreateJobRequest::default() };
    let refused = raw.create_job(large).await.expect_err("2 MiB");
    is(&refused.into(), Code::ResourceExhausted, "REQUEST_TOO_LARGE", "send less");
}

#[tokio::test]
async fn an_old_etag_is_refused_and_only_validating_saves_nothing() {
    let house = House::new().await;
    let mut raw = JobServiceClient::connect(format!("http://{}", house.address)).await.expect("it listens");
    let spec = Some(whimbrel::control::convert::spec(&spec("people", &["b"])));
    let validate = CreateJobRequest { spec: spec.clone(), validate_only: true, ..Default::default() };
    raw.create_job(validate).await.expect("valid");
    assert!(house.client.clone().all_jobs().await.expect("listed").is_empty());
    let create = CreateJobRequest { spec, ..Default::default() };
    let etag = raw.create_job(create).await.expect("created").into_inner().etag;
    let pause = |etag: &str| PauseJobRequest { name: "people".into(), etag: etag.into(), max_pause: None };
    let newer = raw.pause_job(pause(&etag)).await.expect("the current one").into_inner().etag;
    assert_ne!(etag, newer);
    let start = StartJobRequest { name: "people".into(), etag };
    let refused = raw.start_job(start).await.expect_err("an old one");
    is(&refused.into(), Code::Aborted, "ETAG_MISMATCH", "read the job again");
}

#[tokio::test]
async fn a_job_being_deleted_takes_no_other_verb() {
    let house = House::new().await;
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b"]), "").await.expect("created");
    client.start_job("people").await.expect("started");
    house.has_people("b", 100).await;
    // The target does not answer: it cannot forget the job yet.
    house.world("b").go_down(std::time::Duration::from_secs(86_400));
    client.delete_job("people").await.expect("deleting");
    is(&client.start_job("people").await.expect_err("deleting"), Code::FailedPrecondition, "JOB_DELETING", "status");
    client.delete_job("people").await.expect("repeatable");
    let failure = client.create_job(&spec("people", &["c"]), "").await.expect_err("the name is taken until it is gone");
    is(&failure, Code::AlreadyExists, "JOB_EXISTS", "job delete");
}

#[tokio::test]
async fn nobody_listens() {
    let failure = whimbrel::client::Client::connect("127.0.0.1:1").await.err().expect("nobody");
    is(&failure, Code::Unavailable, "DAEMON_UNREACHABLE", "whimbrel serve");
}

#[tokio::test]
async fn bytes_that_are_no_request_and_calls_that_are_not_there() {
    let house = House::new().await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", house.address)).expect("an address");
    let mut raw = tonic::client::Grpc::new(channel.connect().await.expect("it listens"));
    let mut call = async |path: &'static str, page_size: i32| {
        // In the place of a name: a number.
        let request = tonic::Request::new(ListJobsRequest { page_size, ..ListJobsRequest::default() });
        let codec = tonic_prost::ProstCodec::<ListJobsRequest, ListJobsResponse>::default();
        raw.ready().await.expect("connected");
        let path = tonic::codegen::http::uri::PathAndQuery::from_static(path);
        Failure::from(raw.unary(request, path, codec).await.expect_err("refused"))
    };
    let failure = call("/whimbrel.v1.JobService/GetJob", 7).await;
    is(&failure, Code::InvalidArgument, "MALFORMED_REQUEST", "proto");
    let failure = call("/whimbrel.v1.JobService/FlyJob", 0).await;
    is(&failure, Code::Unimplemented, "CALL_UNKNOWN", "list");
    let failure = call("/whimbrel.v2.JobService/GetJob", 0).await;
    is(&failure, Code::Unimplemented, "CALL_UNKNOWN", "list");
}

#[tokio::test]
async fn a_half_open_connection_hinders_nobody() {
    use tokio::io::AsyncWriteExt;
    let house = House::new().await;
    let mut silent = Vec::new();
    // Nothing; half of HTTP/2's first words; all of them and then nothing.
    for said in ["", "PRI * HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"] {
        let mut stream = tokio::net::TcpStream::connect(house.address).await.expect("it listens");
        stream.write_all(said.as_bytes()).await.expect("written");
        silent.push(stream);
    }
    let mut client = house.client.clone();
    client.create_job(&spec("people", &["b"]), "").await.expect("others are served");
    let closed = tokio::time::timeout(crate::support::wait::DEADLINE, house.close()).await;
    assert!(closed.is_ok(), "the daemon waits for somebody who says nothing");
}
