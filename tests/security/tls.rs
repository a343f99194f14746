//! TLS with and without client certificates: who gets in, and what the others are told.

use super::{
    authority::{Authority, EXPIRED, GOOD},
    guarded::{ADMIN, Guarded, Kit, log_of},
};
use crate::support::{daemon::whimbrel, wait::eventually};
use std::fs;
use tonic::transport::{Certificate, ClientTlsConfig};

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_trusts_the_authority_gets_in() {
    let guarded = Guarded::new().with_tls();
    let daemon = guarded.home.serve();
    assert_eq!(Kit::tls(guarded.trusting()).list(&daemon.address).await, Ok(0));
    let other = Certificate::from_pem(Authority::new("another authority").pem());
    let doubting = Kit::tls(ClientTlsConfig::new().ca_certificate(other).domain_name("localhost"));
    says(&doubting.list(&daemon.address).await.expect_err("an unknown authority"), &["UnknownIssuer"]);
    let elsewhere = Kit::tls(guarded.trusting().domain_name("elsewhere"));
    says(&elsewhere.list(&daemon.address).await.expect_err("another name"), &["not valid for name"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_speaks_plain_text_is_named_in_the_log() {
    let guarded = Guarded::new().with_tls();
    let daemon = guarded.home.serve();
    Kit::default().list(&daemon.address).await.expect_err("plain text");
    assert_eq!(Kit::tls(guarded.trusting()).list(&daemon.address).await, Ok(0), "others are served");
    says(&log_of(daemon), &["it spoke plain text, and this port speaks TLS"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_speaks_tls_to_plain_text_does_not_hang() {
    let guarded = Guarded::new();
    let daemon = guarded.home.serve();
    Kit::tls(guarded.trusting()).list(&daemon.address).await.expect_err("TLS");
    assert_eq!(Kit::default().list(&daemon.address).await, Ok(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_show_a_certificate_of_the_authority() {
    let guarded = Guarded::new().with_tls().with_client_ca();
    let daemon = guarded.home.serve();
    let list = async |tls| Kit::tls(tls).list(&daemon.address).await;
    let good = guarded.authority.issue("laptop", GOOD);
    assert_eq!(list(guarded.showing(&good)).await, Ok(0));
    // A client that hears of it before it asks says "connection closed" (hyper's words), so it is asked until it tells.
    let told = async |why: &str, tls: ClientTlsConfig, alerts: &[&str]| {
        eventually(why, async || {
            let told = list(tls.clone()).await.expect_err(why);
            alerts.iter().any(|alert| told.contains(alert)).then_some(())
        })
        .await;
    };
    told("none is shown", guarded.trusting(), &["CertificateRequired"]).await;
    let expired = guarded.authority.issue("laptop", EXPIRED);
    told("an expired one is shown", guarded.showing(&expired), &["CertificateExpired"]).await;
    let foreign = Authority::new("an authority").issue("laptop", GOOD);
    let alerts = ["DecryptError", "UnknownCA", "BadCertificate"];
    told("one of another authority with the same name", guarded.showing(&foreign), &alerts).await;
    says(&log_of(daemon), &["a client could not connect"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_of_the_daemon_is_said_and_stops_no_job() {
    let guarded = Guarded::new().with_tls();
    guarded.certify(&guarded.authority.issue("the daemon", EXPIRED));
    let daemon = guarded.home.serve();
    says(&Kit::tls(guarded.trusting()).list(&daemon.address).await.expect_err("expired"), &["certificate expired"]);
    says(&log_of(daemon), &["certificate has expired", "2001", "no restart is needed"]);
}

#[test]
fn files_that_are_no_good_are_refused_with_the_key_and_the_way_out() {
    let refusal = |guarded: &Guarded| {
        let output = whimbrel().arg("serve").arg("--config").arg(&guarded.home.config).output().expect("it runs");
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    let guarded = Guarded::new().with_tls();
    fs::remove_file(guarded.home.path().join("tls.crt")).expect("there");
    says(&refusal(&guarded), &["`tls.certificate`", "tls.crt cannot be read", "hint:"]);
    guarded.file("tls.crt", "hello");
    says(&refusal(&guarded), &["`tls.certificate`", "holds no certificate", "BEGIN CERTIFICATE"]);
    guarded.certify(&guarded.authority.issue("the daemon", GOOD));
    guarded.file("tls.key", "hello");
    says(&refusal(&guarded), &["`tls.key`", "holds no private key", "BEGIN PRIVATE KEY"]);
    guarded.file("tls.key", &guarded.authority.issue("another", GOOD).key);
    says(&refusal(&guarded), &["`tls.key`", "does not go with the certificate", "tls.crt"]);
    let guarded = Guarded::new().with_tls().with_client_ca();
    guarded.file("clients.crt", "");
    says(&refusal(&guarded), &["`tls.client_ca`", "holds no certificate"]);
    let guarded = Guarded::new().with_tokens();
    guarded.file("hand.token", "short\n");
    says(&refusal(&guarded), &["`tokens.hand.file`", "line 1 is no token", "openssl rand"]);
}

/// The lines that a refusal prints are enough, on an address of the world.
#[tokio::test(flavor = "multi_thread")]
async fn off_loopback_with_both_it_serves() {
    let guarded = Guarded::new().with_tls().with_tokens();
    let text = fs::read_to_string(&guarded.home.config).expect("ours");
    fs::write(&guarded.home.config, text.replacen("127.0.0.1:0", "0.0.0.0:0", 1)).expect("ours");
    let daemon = guarded.home.serve();
    let port = daemon.address.rsplit(':').next().expect("a port");
    let kit = Kit { token: Some(ADMIN.into()), ..Kit::tls(guarded.trusting()) };
    assert_eq!(kit.list(&format!("127.0.0.1:{port}")).await, Ok(0));
}
