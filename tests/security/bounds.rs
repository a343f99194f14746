//! Sizes of what a client may send, and what the build may hold.

use super::guarded::{Guarded, Kit};
use crate::support::house::spec;
use tonic::{Code, Request};
use whimbrel::{
    client::Failure,
    control::{
        convert,
        v1::{CreateJobRequest, GetJobRequest},
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn large_names_are_refused_with_small_answers() {
    let guarded = Guarded::new();
    let daemon = guarded.home.serve();
    let mut client = Kit::default().client(&daemon.address).await.expect("reached");
    let name = "x".repeat(900_000);
    let failure = Failure::from(client.get_job(GetJobRequest { name: name.clone() }).await.expect_err("none"));
    assert_eq!((failure.code, failure.reason.as_str()), (Code::NotFound, "JOB_NOT_FOUND"), "{}", failure.text.len());
    assert!(failure.text.len() < 2048 && failure.hint.is_some());
    let mut bad = [0; 4].map(|_| spec("people", &["b"]));
    bad[0].name.clone_from(&name);
    bad[1].source.tables = vec![format!("main.{name}")];
    bad[2].source.rename.insert("main.a".into(), format!("main.{name}"));
    bad[3].labels.insert(name.clone(), name[..1000].to_owned());
    for spec in &bad {
        let request = Request::new(CreateJobRequest { spec: Some(convert::spec(spec)), ..Default::default() });
        let failure = Failure::from(client.create_job(request).await.expect_err("too large"));
        assert_eq!((failure.code, failure.reason.as_str()), (Code::InvalidArgument, "INVALID_ARGUMENT"));
        assert!(failure.text.len() < 2048 && failure.hint.is_some(), "{failure:?}");
    }
    let request_id = "x".repeat(65);
    let long =
        CreateJobRequest { spec: Some(convert::spec(&spec("people", &["b"]))), request_id, ..Default::default() };
    assert_eq!(client.create_job(long).await.expect_err("a long id").code(), Code::InvalidArgument);
    let beyond = GetJobRequest { name: "x".repeat(2 << 20) };
    assert_eq!(client.get_job(beyond).await.expect_err("2 MiB").code(), Code::ResourceExhausted);
}

/// Whoever comes may ask for health, and is not listened to for long.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_without_a_token_is_short() {
    let guarded = Guarded::new().with_tokens();
    let daemon = guarded.home.serve();
    let channel = Kit::default().channel(&daemon.address).await.expect("reached");
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    let ask = |service: String| tonic_health::pb::HealthCheckRequest { service };
    health.check(ask(String::new())).await.expect("open to all");
    let refused = health.check(ask("x".repeat(8 << 10))).await.expect_err("8 KiB");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
}

/// One library for TLS; its rival comes in by a careless feature of any crate.
#[test]
fn the_tree_holds_one_kind_of_cryptography() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut tree = std::process::Command::new(cargo);
    tree.args(["tree", "--locked", "--offline", "--prefix", "none", "--format", "{p}"]);
    let output = tree.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(output.status.success(), "{output:?}");
    let crates = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(crates.lines().any(|name| name.starts_with("aws-lc-rs ")));
    for rival in ["ring ", "openssl ", "native-tls "] {
        assert!(!crates.lines().any(|name| name.starts_with(rival)), "{rival}is in the tree: cargo tree -i {rival}");
    }
}
