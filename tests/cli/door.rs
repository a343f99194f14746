//! Who is not let in is told why, and what to type: TLS of every wrong kind, the wrong port, a token file that is none.

use super::scene::ends;
use crate::{
    security::{
        authority::{Authority, EXPIRED, GOOD},
        guarded::Guarded,
    },
    support::daemon::{Home, whimbrel},
};
use std::{
    io::{Read, Write},
    net::TcpListener,
    path::PathBuf,
    process::Output,
};
use whimbrel::client::{Client, Code};

fn list(server: &str, arguments: &[&str]) -> Output {
    whimbrel().args(["job", "list", "--server", server]).args(arguments).output().expect("it runs")
}

fn path(path: PathBuf) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_of_the_wrong_kind_is_named() {
    let guarded = Guarded::new().with_tls();
    let daemon = guarded.home.serve();
    let ca = path(guarded.file("ca.crt", &guarded.authority.pem()));
    ends(&list(&daemon.address, &["--ca-file", &ca]), 0, &[]);
    ends(&list(&daemon.address, &[]), 3, &["speaks TLS", "plain text", "--ca-file FILE", "--cert-file"]);
    // A wait would try for an hour.
    let wait = ["wait", "people", "--for", "streaming", "--server", &daemon.address];
    ends(&whimbrel().args(wait).output().expect("it runs"), 3, &["speaks TLS", "--ca-file FILE"]);
    let other = path(guarded.file("other.crt", &Authority::new("another authority").pem()));
    let doubting = list(&daemon.address, &["--ca-file", &other]);
    ends(&doubting, 3, &["signed by none of the authorities in", "other.crt", "--ca-file FILE"]);
    let text = path(guarded.file("text.crt", "hello"));
    ends(&list(&daemon.address, &["--ca-file", &text]), 3, &["text.crt holds no certificate", "BEGIN CERTIFICATE"]);
    let keyless = ["--ca-file", &ca, "--cert-file", &ca, "--key-file", &ca];
    ends(&list(&daemon.address, &keyless), 3, &["ca.crt holds no private key", "BEGIN PRIVATE KEY"]);
    let elsewhere = Client::builder(&daemon.address).ca_certificate(&ca).server_name("elsewhere").connect().await;
    let failure = elsewhere.err().expect("another name");
    assert_eq!((failure.code, failure.is_unreachable()), (Code::InvalidArgument, false), "{failure:?}");
    assert!(failure.text.contains("is not for `elsewhere`") && failure.text.contains("localhost"), "{failure:?}");
    guarded.certify(&guarded.authority.issue("the daemon", EXPIRED));
    let old = guarded.home.serve_with(&[("WHIMBREL_STATE__DIR", &path(guarded.home.path().join("more")))]);
    ends(&list(&old.address, &["--ca-file", &ca]), 3, &["certificate has expired", "SIGHUP"]);
}

#[test]
fn a_missing_or_foreign_certificate_is_named() {
    let guarded = Guarded::new().with_tls().with_client_ca();
    let daemon = guarded.home.serve();
    let ca = path(guarded.file("ca.crt", &guarded.authority.pem()));
    let none = list(&daemon.address, &["--ca-file", &ca]);
    ends(&none, 3, &["asks for a client certificate", "--cert-file FILE --key-file FILE", "tls.client_ca"]);
    let shown = |name: &str, authority: &Authority, until: i32| {
        let pair = authority.issue("laptop", until);
        let file = |ending: &str, text: &str| path(guarded.file(&format!("{name}.{ending}"), text));
        let (certificate, key) = (file("crt", &pair.certificate), file("key", &pair.key));
        list(&daemon.address, &["--ca-file", &ca, "--cert-file", &certificate, "--key-file", &key])
    };
    ends(&shown("good", &guarded.authority, GOOD), 0, &[]);
    ends(&shown("old", &guarded.authority, EXPIRED), 3, &["refuses your certificate", "expired", "--cert-file"]);
    let foreign = Authority::new("another authority");
    ends(&shown("foreign", &foreign, GOOD), 3, &["refuses your certificate", "tls.client_ca"]);
}

#[test]
fn the_wrong_port_and_tls_where_there_is_none() {
    let home = Home::new(&[("a", "memory:a")]);
    let daemon = home.serve();
    let api = format!("--server {}", daemon.address);
    let http = ["answers HTTP/1.1", "metrics and the status page", &api];
    ends(&list(&daemon.http, &[]), 3, &http);
    let ca = home.path().join("ca.crt");
    std::fs::write(&ca, Authority::new("an authority").pem()).expect("ours");
    let ca = path(ca);
    ends(&list(&daemon.http, &["--ca-file", &ca]), 3, &http);
    ends(&list(&daemon.address, &["--ca-file", &ca]), 3, &["speaks no TLS", "leave out --ca-file"]);
}

#[test]
fn another_program_s_port() {
    let web = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = web.local_addr().expect("bound").to_string();
    // Ends with the test.
    std::thread::spawn(move || {
        for mut stream in web.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
        }
    });
    ends(&list(&address, &[]), 3, &["answers HTTP/1.1, and no gRPC", "`listen`", "127.0.0.1:7411"]);
}

#[test]
fn a_door_that_is_closed_at_once_is_no_daemon_that_is_not_there() {
    let full = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = full.local_addr().expect("bound").to_string();
    // Ends with the test.
    std::thread::spawn(move || full.incoming().for_each(drop));
    let parts = ["closed the connection at once", "turned away", "--server HOST:PORT"];
    ends(&list(&address, &[]), 4, &parts);
    let folder = tempfile::tempdir().expect("a temp folder");
    let ca = folder.path().join("ca.crt");
    std::fs::write(&ca, Authority::new("an authority").pem()).expect("ours");
    ends(&list(&address, &["--ca-file", &path(ca)]), 4, &parts);
}

#[test]
fn a_file_that_holds_no_one_token() {
    let guarded = Guarded::new().with_tokens();
    let daemon = guarded.home.serve();
    let with = |text: &str| {
        let file = path(guarded.file("mine", text));
        list(&daemon.address, &["--token-file", &file])
    };
    let token = crate::security::guarded::READER;
    ends(&with(&format!("# mine\n{token}\n")), 0, &[]);
    ends(&with(&format!("{token}\nanother-0123456789abcdef\n")), 3, &["mine", "more than one line", "hint:"]);
    ends(&with("\n"), 3, &["mine", "holds no token", "one line"]);
    ends(&list(&daemon.address, &["--token-file", "/nowhere/token"]), 3, &["/nowhere/token cannot be read", "hint:"]);
    ends(&list(&daemon.address, &["--token-file", "/tmp"]), 3, &["/tmp cannot be read", "hint:"]);
}
