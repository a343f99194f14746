//! The Rust SDK and the Python example drive a job through TLS, with a certificate and a token.

use super::{
    authority::{Authority, GOOD},
    guarded::{ADMIN, Guarded, OPERATOR, READER},
};
use crate::support::{
    daemon::{Daemon, Home},
    python::{make_stubs, python},
    wait::DEADLINE,
};
use std::{path::PathBuf, process::Command};
use tempfile::TempDir;
use whimbrel::client::{Builder, Client, Code, Goal, JobSpec, ObservedState};

/// A daemon with two SQLite files behind everything there is, and what a client needs to get in.
struct Shop {
    _files: TempDir,
    guarded: Guarded,
    daemon: Daemon,
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Shop {
    fn new() -> Shop {
        let folder = tempfile::tempdir().expect("a temp folder");
        let files = ["shop.db", "copy.db"].map(|name| folder.path().join(name));
        let mut shell = Command::new("sqlite3");
        shell.arg(&files[0]).arg("CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)");
        assert!(shell.status().expect("sqlite3 runs").success());
        let urls = files.map(|file| format!("sqlite:{}", file.display()));
        let home = Home::new(&[("shop", &urls[0]), ("copy", &urls[1])]);
        let guarded = Guarded { home, authority: Authority::new("an authority") };
        let guarded = guarded.with_tls().with_client_ca().with_tokens();
        let daemon = guarded.home.serve();
        let pair = guarded.authority.issue("laptop", GOOD);
        let ca = guarded.file("ca.pem", &guarded.authority.pem());
        let (certificate, key) = (guarded.file("me.pem", &pair.certificate), guarded.file("me.key", &pair.key));
        Shop { _files: folder, guarded, daemon, ca, certificate, key }
    }

    fn builder(&self) -> Builder {
        Client::builder(&self.daemon.address).ca_certificate(&self.ca).client_certificate(&self.certificate, &self.key)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_brings_certificate_and_token() {
    let shop = Shop::new();
    let token_file = shop.guarded.file("mine.token", &format!("{ADMIN}\n"));
    let mut client = shop.builder().token_file(token_file).connect().await.expect("all that is asked for");
    client.create_job(&JobSpec::new("orders", "shop", &["copy"]), "").await.expect("created");
    client.start_job("orders").await.expect("started");
    client.wait_job("orders", Goal::State(ObservedState::Streaming), DEADLINE).await.expect("streams");
    let trail = client.history(Some("orders"), 10).await.expect("readable");
    assert!(trail.iter().all(|entry| entry.who.contains("head")), "the token's name is in the trail: {trail:?}");

    // A role for each: what it may not do is said with what would help.
    let mut operator = shop.builder().token(OPERATOR).connect().await.expect("a token");
    operator.pause_job("orders").await.expect("an operator may");
    let failure = operator.delete_job("orders").await.expect_err("an operator may not");
    assert_eq!(failure.code, Code::PermissionDenied, "{failure:?}");
    assert!(failure.hint.is_some() && !failure.reason.is_empty(), "{failure:?}");
    let mut reader = shop.builder().token(READER).connect().await.expect("a token");
    assert_eq!(reader.all_jobs().await.expect("a reader may").len(), 1);
    assert_eq!(reader.start_job("orders").await.expect_err("a reader may not").code, Code::PermissionDenied);

    let mut nobody = shop.builder().connect().await.expect("a certificate is enough for the door");
    let failure = nobody.all_jobs().await.expect_err("no token");
    assert_eq!(failure.code, Code::Unauthenticated, "{failure:?}");
    assert!(failure.hint.is_some(), "{failure:?}");
    client.delete_job("orders").await.expect("the head may");
    client.wait_deleted("orders", DEADLINE).await.expect("gone");
}

#[test]
fn the_python_example_brings_certificate_and_token() {
    let shop = Shop::new();
    let token = shop.guarded.file("mine.token", &format!("{ADMIN}\n"));
    let folder = shop.guarded.home.path();
    make_stubs(folder);
    let path = |path: &PathBuf| path.to_str().expect("UTF-8").to_owned();
    let (ca, certificate, key, token) = (path(&shop.ca), path(&shop.certificate), path(&shop.key), path(&token));
    let door = ["--ca", &ca, "--certificate", &certificate, "--key", &key];
    let mut drive = vec!["drive.py", "--server", &shop.daemon.address];
    drive.extend(door);
    let refused = python(folder, &drive);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("UNAUTHENTICATED") && said.contains("hint:"), "{said}");
    drive.extend(["--token-file", &token]);
    let output = python(folder, &drive);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.lines().any(|line| line == "from-python: GONE"), "{said}");
}
