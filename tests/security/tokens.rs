//! Tokens and roles: every refusal with its code, reason and hint; every deed with its doer.

use super::guarded::{ADMIN, Guarded, Kit, OPERATOR, READER, log_of};
use crate::support::{daemon::Daemon, house::spec};
use std::fs;
use tonic::{Code, Request, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};
use whimbrel::{
    client::Failure,
    control::{
        convert,
        v1::{CreateJobRequest, Job, PauseJobRequest, StartJobRequest},
    },
};

#[track_caller]
fn is<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, reason: &str, hint: &str) {
    let failure = Failure::from(result.expect_err("refused"));
    assert_eq!((failure.code, failure.reason.as_str()), (code, reason), "{failure:?}");
    assert!(failure.hint.as_ref().is_some_and(|given| given.contains(hint)), "no `{hint}` in {failure:?}");
}

async fn create(kit: &Kit, daemon: &Daemon) -> Result<Job, Status> {
    let spec = Some(convert::spec(&spec("people", &["b"])));
    let request = kit.request(CreateJobRequest { spec, ..CreateJobRequest::default() });
    kit.client(&daemon.address).await.expect("reached").create_job(request).await.map(tonic::Response::into_inner)
}

async fn start(kit: &Kit, daemon: &Daemon) -> Result<Job, Status> {
    let request = kit.request(StartJobRequest { name: "people".into(), etag: String::new() });
    kit.client(&daemon.address).await.expect("reached").start_job(request).await.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_none() {
    let guarded = Guarded::new().with_tokens();
    let daemon = guarded.home.serve();
    let list = async |kit: Kit| kit.listed(&daemon.address).await;
    is(list(Kit::default()).await, Code::Unauthenticated, "TOKEN_MISSING", "authorization: Bearer");
    let long = "x".repeat(4000);
    for wrong in ["", "wrong-0123456789abcdef", &READER[1..], &long] {
        is(list(Kit::token(wrong)).await, Code::Unauthenticated, "TOKEN_UNKNOWN", "[tokens]");
    }
    let list = async |values: &[&str]| {
        let mut request = Request::new(Default::default());
        for value in values {
            request.metadata_mut().append("authorization", value.parse().expect("ASCII"));
        }
        Kit::default().client(&daemon.address).await.expect("reached").list_jobs(request).await
    };
    let basic = format!("Basic {READER}");
    is(list(&[&basic]).await, Code::Unauthenticated, "TOKEN_MISSING", "Bearer");
    is(list(&[READER]).await, Code::Unauthenticated, "TOKEN_MISSING", "Bearer");
    let good = format!("bearer  {READER} ");
    list(&[&good]).await.expect("the scheme's case does not count");
    is(list(&[&good, &good]).await, Code::Unauthenticated, "TOKEN_UNKNOWN", "");
    let log = log_of(daemon);
    assert!(log.contains("a call was refused") && !log.contains("0123456789abcdef"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_beyond_the_bound_are_refused() {
    let guarded = Guarded::new().with_tokens();
    let daemon = guarded.home.serve();
    Kit::token(&"x".repeat(64 << 10)).listed(&daemon.address).await.expect_err("64 KiB");
    assert_eq!(Kit::token(READER).listed(&daemon.address).await.expect("others are served"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_bound_what_a_token_may_do() {
    let guarded = Guarded::new().with_tokens();
    let daemon = guarded.home.serve();
    let [reader, operator, admin] = [READER, OPERATOR, ADMIN].map(Kit::token);
    is(create(&reader, &daemon).await, Code::PermissionDenied, "ROLE_TOO_SMALL", "tokens.eye.role");
    is(create(&operator, &daemon).await, Code::PermissionDenied, "ROLE_TOO_SMALL", "tokens.hand.role");
    create(&admin, &daemon).await.expect("an admin creates");
    is(start(&reader, &daemon).await, Code::PermissionDenied, "ROLE_TOO_SMALL", "tokens.eye.role");
    start(&operator, &daemon).await.expect("an operator starts");
    for kit in [&reader, &operator, &admin] {
        assert_eq!(kit.listed(&daemon.address).await.expect("all look"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_open_and_reflection_is_not() {
    let guarded = Guarded::new().with_tokens();
    let daemon = guarded.home.serve();
    let channel = Kit::default().channel(&daemon.address).await.expect("reached");
    HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.expect("open");
    let ask = async |kit: &Kit| {
        let services = MessageRequest::ListServices(String::new());
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(services) };
        let asked = kit.request(tokio_stream::iter([request]));
        ServerReflectionClient::new(channel.clone()).server_reflection_info(asked).await
    };
    is(ask(&Kit::default()).await.map(drop), Code::Unauthenticated, "TOKEN_MISSING", "Bearer");
    let mut answers = ask(&Kit::token(READER)).await.expect("may look").into_inner();
    answers.message().await.expect("an answer").expect("one");
    let nowhere = async |kit: &Kit| {
        let mut grpc = tonic::client::Grpc::new(channel.clone());
        grpc.ready().await.expect("reached");
        let path = tonic::codegen::http::uri::PathAndQuery::from_static("/whimbrel.v1.JobService/Nothing");
        let codec = tonic_prost::ProstCodec::<PauseJobRequest, Job>::default();
        grpc.unary(kit.request(PauseJobRequest::default()), path, codec).await
    };
    is(nowhere(&Kit::default()).await, Code::Unauthenticated, "TOKEN_MISSING", "");
    assert_eq!(nowhere(&Kit::token(READER)).await.expect_err("no such call").code(), Code::Unimplemented);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_trail_names_who_was_proven_not_who_was_claimed() {
    let guarded = Guarded::new().with_tls().with_client_ca().with_tokens();
    let daemon = guarded.home.serve();
    let laptop = guarded.authority.issue("laptop, token head", super::authority::GOOD);
    let kit = Kit { token: Some(ADMIN.into()), ..Kit::tls(guarded.showing(&laptop)) };
    let spec = Some(convert::spec(&spec("people", &["b"])));
    let mut request = kit.request(CreateJobRequest { spec, ..CreateJobRequest::default() });
    for claim in ["who", "user", "x-forwarded-for", "x-user", "from"] {
        request.metadata_mut().insert(claim, "somebody-else".parse().expect("ASCII"));
    }
    kit.client(&daemon.address).await.expect("reached").create_job(request).await.expect("created");
    log_of(daemon);
    let file = guarded.home.path().join("state.json");
    let export = ["state", "export", file.to_str().expect("UTF-8"), "--config"];
    let exported = guarded.home.run(&[&export[..], &[guarded.home.config.to_str().expect("UTF-8")]].concat());
    assert!(exported.status.success(), "{exported:?}");
    let state: serde_json::Value = serde_json::from_slice(&fs::read(file).expect("written")).expect("JSON");
    let text = state.to_string();
    let who = state["history"][0]["who"].as_str().unwrap_or_else(|| panic!("no audit in {text}"));
    assert!(who.starts_with("token head, certificate \"CN=laptop, token head\", 127.0.0.1:"), "{who}");
    assert!(!text.contains("somebody-else"), "{text}");
}
