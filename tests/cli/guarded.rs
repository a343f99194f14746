//! The command line through TLS, a certificate of its own and tokens: by flags, by variables, and what it may not do.

use super::scene::ends;
use crate::{
    security::{
        authority::GOOD,
        guarded::{ADMIN, Guarded, OPERATOR, READER},
    },
    support::daemon::whimbrel,
};
use std::process::Output;

#[test]
fn with_tls_a_certificate_and_a_token() {
    let guarded = Guarded::new().with_tls().with_client_ca().with_tokens();
    let daemon = guarded.home.serve();
    let path = |path: std::path::PathBuf| path.to_str().expect("UTF-8").to_owned();
    let pair = guarded.authority.issue("somebody", GOOD);
    let ca = path(guarded.file("ca.crt", &guarded.authority.pem()));
    let (cert, key) = (path(guarded.file("me.crt", &pair.certificate)), path(guarded.file("me.key", &pair.key)));
    let (reader, admin) = (path(guarded.file("reader", READER)), path(guarded.file("admin", ADMIN)));
    let job = path(guarded.file("people.yaml", "name: people\nsource: {store: a}\ntargets: [{store: b}]\n"));
    let server = daemon.address.replace("127.0.0.1", "localhost");
    let run = |arguments: &[&str]| -> Output {
        let mut command = whimbrel();
        command.args(arguments).args(["--server", &server]).output().expect("it runs")
    };
    let tls = ["--ca-file", &ca, "--cert-file", &cert, "--key-file", &key];
    let with = |arguments: &[&str], token: &str| run(&[arguments, &tls, &["--token-file", token]].concat());
    ends(&with(&["apply", "-f", &job], &admin), 0, &["created"]);
    ends(&with(&["job", "list"], &reader), 0, &["people"]);
    let operator = path(guarded.file("operator", OPERATOR));
    ends(&with(&["job", "set-limits", "people", "--rows-per-s", "500"], &operator), 0, &["at most 500 rows"]);
    let bytes = ["job", "set-limits", "people", "--bytes-per-s", "1000000"];
    ends(&with(&bytes, &operator), 0, &["at most 500 rows a second, at most 1000000 bytes"]);
    ends(&with(&["job", "history", "people"], &reader), 0, &["set-limits", "token hand"]);
    ends(&with(&["job", "pause", "people"], &reader), 3, &["needs the role", "hint:"]);
    ends(&run(&[&["job", "list"][..], &tls].concat()), 3, &["needs a token", "--token-file"]);
    ends(&run(&["job", "list", "--ca-file", &ca, "--token-file", &reader]), 3, &["client certificate", "--cert-file"]);
    ends(&run(&["job", "list"]), 3, &["speaks TLS", "hint:", "--ca-file"]);
    let mut by_environment = whimbrel();
    by_environment.args(["job", "list"]).env("WHIMBREL_SERVER", &server).env("WHIMBREL_TOKEN_FILE", &reader);
    by_environment.env("WHIMBREL_CA_FILE", &ca).env("WHIMBREL_CERT_FILE", &cert).env("WHIMBREL_KEY_FILE", &key);
    ends(&by_environment.output().expect("it runs"), 0, &["people"]);
}
