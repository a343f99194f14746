//! Certificates and tokens exchanged while the daemon runs and calls are open.

use super::{
    authority::{Authority, EXPIRED, GOOD},
    guarded::{ADMIN, Guarded, Kit, OPERATOR, READER, hangup, log_of},
};
use crate::support::{daemon::Daemon, house::spec, wait::eventually};
use std::fs;
use tonic::{
    Code, Streaming,
    transport::{Certificate, ClientTlsConfig},
};
use whimbrel::{
    client::Client,
    control::{
        convert,
        v1::{CreateJobRequest, WatchJobRequest, WatchJobResponse},
    },
};

const NEW: &str = "another-0123456789abcdef";

/// A watch of a new job, its first message read.
async fn watch(kit: &Kit, admin: &Kit, daemon: &Daemon) -> Streaming<WatchJobResponse> {
    let spec = Some(convert::spec(&spec("people", &["b"])));
    let create = admin.request(CreateJobRequest { spec, ..CreateJobRequest::default() });
    admin.client(&daemon.address).await.expect("reached").create_job(create).await.expect("created");
    let watch = kit.request(WatchJobRequest { name: "people".into() });
    let watch = kit.client(&daemon.address).await.expect("reached").watch_job(watch).await;
    let mut watch = watch.expect("there").into_inner();
    watch.message().await.expect("at once").expect("whole");
    watch
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_changed_in_its_file() {
    let guarded = Guarded::new().with_tokens();
    let daemon = guarded.home.serve();
    let kit = Kit::token(OPERATOR);
    // One connection over all of it: what counts is the call.
    let mut client = kit.client(&daemon.address).await.expect("reached");
    client.list_jobs(kit.request(Default::default())).await.expect("known");
    guarded.file("hand.token", &format!("{OPERATOR}\n{NEW}\n"));
    hangup(&daemon);
    eventually("both are known", async || Kit::token(NEW).listed(&daemon.address).await.ok()).await;
    client.list_jobs(kit.request(Default::default())).await.expect("still known");
    guarded.file("hand.token", &format!("{NEW}\n"));
    hangup(&daemon);
    let gone = eventually("the old one is gone", async || {
        client.clone().list_jobs(kit.request(Default::default())).await.err()
    });
    assert_eq!(gone.await.code(), Code::Unauthenticated);
    let log = log_of(daemon);
    assert!(log.contains("\"changed\":\"token hand changed\"") && !log.contains(NEW), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_noticed_without_a_signal() {
    let guarded = Guarded::new().with_tokens();
    let daemon = guarded.home.serve();
    guarded.file("hand.token", &format!("{NEW}\n"));
    eventually("the new one is known", async || Kit::token(NEW).listed(&daemon.address).await.ok()).await;
    Kit::token(OPERATOR).listed(&daemon.address).await.expect_err("the old one is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_when_its_token_is_taken_away_and_others_go_on() {
    let guarded = Guarded::new().with_tokens();
    let daemon = guarded.home.serve();
    let [reader, admin] = [READER, ADMIN].map(Kit::token);
    let mut watched = watch(&reader, &admin, &daemon).await;
    let again = admin.request(WatchJobRequest { name: "people".into() });
    let mut other = admin.client(&daemon.address).await.expect("reached").watch_job(again).await.expect("there");
    guarded.file("eye.token", &format!("{NEW}\n"));
    hangup(&daemon);
    let end = loop {
        match watched.message().await {
            Ok(message) => assert!(message.is_some(), "an end without a word"),
            Err(end) => break end,
        }
    };
    assert_eq!(end.code(), Code::Unauthenticated, "{end:?}");
    for _ in 0..2 {
        other.get_mut().message().await.expect("goes on").expect("a message");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_come_and_go_in_the_config() {
    let guarded = Guarded::new().with_tokens();
    let daemon = guarded.home.serve();
    let file = guarded.file("new.token", NEW);
    guarded
        .add_to_config(&format!("[tokens.new]\nrole = \"read\"\nfile = {file:?}\n[memory]\nrows_in_flight_mib = 32\n"));
    hangup(&daemon);
    eventually("it is known", async || Kit::token(NEW).listed(&daemon.address).await.ok()).await;
    let text = fs::read_to_string(&guarded.home.config).expect("ours");
    fs::write(&guarded.home.config, text.replace("[tokens.eye]\nrole = \"read\"", "[tokens.eye]\nrole = \"raed\""))
        .expect("ours");
    hangup(&daemon);
    fs::write(&guarded.home.config, text.replace("[tokens.new]", "[tokens.newer]")).expect("ours");
    hangup(&daemon);
    let log = log_of(daemon);
    assert!(log.contains("token new added") && log.contains("\"keys\":\"memory\""), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_come_with_the_signal() {
    let guarded = Guarded::new();
    let daemon = guarded.home.serve();
    let mut client = Client::connect(&daemon.address).await.expect("reached");
    assert_eq!(client.all_stores().await.expect("listed").len(), 2);
    guarded.add_to_config("[stores.late]\nurl = \"memory:late\"\n");
    hangup(&daemon);
    eventually("it is there", async || (client.clone().all_stores().await.ok()?.len() == 3).then_some(())).await;
    let history = client.history(None, 10).await.expect("listed");
    assert!(history.iter().any(|entry| entry.who == "SIGHUP" && entry.what == "reload-stores"), "{history:?}");
    guarded.add_to_config("[stores.bad]\nurl = \"nosuch:thing\"\n");
    hangup(&daemon);
    let log = log_of(daemon);
    assert!(!log.contains("restart"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_changed_while_a_watch_is_open() {
    let guarded = Guarded::new().with_tls();
    let daemon = guarded.home.serve();
    let kit = Kit::tls(guarded.trusting());
    let mut watched = watch(&kit, &kit, &daemon).await;
    let other = Authority::new("another authority");
    guarded.certify(&other.issue("the daemon", GOOD));
    hangup(&daemon);
    let trusts_other =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(other.pem())).domain_name("localhost");
    let trusts_other = Kit::tls(trusts_other);
    eventually("the new one is shown", async || trusts_other.list(&daemon.address).await.ok()).await;
    kit.list(&daemon.address).await.expect_err("the old one is shown no more");
    watched.message().await.expect("goes on").expect("a message");
    let log = log_of(daemon);
    assert!(log.contains("certificates changed, valid until Dec 31"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_key_keeps_the_certificate_and_no_token() {
    let guarded = Guarded::new().with_tls().with_tokens();
    let daemon = guarded.home.serve();
    let with = |token: &str| Kit { token: Some(token.into()), ..Kit::tls(guarded.trusting()) };
    guarded.file("tls.key", &guarded.authority.issue("another", GOOD).key);
    guarded.file("eye.token", &format!("{NEW}\n"));
    guarded.file("hand.token", "hunter2\n");
    hangup(&daemon);
    eventually("the new token is taken", async || with(NEW).list(&daemon.address).await.ok()).await;
    for taken_away in [READER, OPERATOR, "hunter2"] {
        assert!(with(taken_away).list(&daemon.address).await.is_err(), "it is in no file");
    }
    guarded.file("hand.token", &format!("no token\n{OPERATOR}-2\n"));
    hangup(&daemon);
    let hand = format!("{OPERATOR}-2");
    eventually("its good line is taken", async || with(&hand).list(&daemon.address).await.ok()).await;
    let log = log_of(daemon);
    assert!(log.contains("not all was reloaded") && !log.contains("hunter2"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_token_left_nobody_comes_in() {
    let guarded = Guarded::new().with_tokens();
    let daemon = guarded.home.serve();
    for name in ["eye.token", "hand.token", "head.token"] {
        let _ = fs::remove_file(guarded.home.path().join(name));
    }
    guarded.add_to_config("[stores.bad]\nurl = \"nosuch:thing\"\n");
    hangup(&daemon);
    for token in [READER, OPERATOR, ADMIN] {
        let refused = eventually("it is gone", async || Kit::token(token).listed(&daemon.address).await.err()).await;
        assert_eq!(refused.code(), Code::Unauthenticated);
    }
}

/// The new file is good by itself: on loopback, and guarded by nothing. The daemon goes on listening to the world.
#[tokio::test(flavor = "multi_thread")]
async fn a_port_of_the_world_stays_guarded_whatever_the_new_file_says() {
    let guarded = Guarded::new().with_tls().with_tokens();
    let text = fs::read_to_string(&guarded.home.config).expect("ours");
    fs::write(&guarded.home.config, text.replacen("127.0.0.1:0", "0.0.0.0:0", 1)).expect("ours");
    let daemon = guarded.home.serve();
    let address = daemon.address.replace("0.0.0.0", "127.0.0.1");
    let bare = text.split("[tls]").next().expect("what stands before");
    fs::write(&guarded.home.config, bare).expect("ours");
    let kit = Kit { token: Some(ADMIN.into()), ..Kit::tls(guarded.trusting()) };
    for _ in 0..20 {
        hangup(&daemon);
        assert_eq!(kit.list(&address).await, Ok(0), "with both it is as before");
        assert!(Kit::tls(guarded.trusting()).list(&address).await.is_err(), "nobody comes in without a token");
    }
    let log = log_of(daemon);
    assert!(log.contains("not reloaded") && log.contains("is not a loopback address"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_has_expired_takes_no_good_ones_place() {
    let guarded = Guarded::new().with_tls().with_tokens();
    let daemon = guarded.home.serve();
    guarded.certify(&guarded.authority.issue("the daemon", EXPIRED));
    let kit = Kit { token: Some(ADMIN.into()), ..Kit::tls(guarded.trusting()) };
    for _ in 0..20 {
        hangup(&daemon);
        assert_eq!(kit.list(&daemon.address).await, Ok(0));
    }
    let log = log_of(daemon);
    assert!(log.contains("not all was reloaded") && log.contains("expired at"), "{log}");
}
