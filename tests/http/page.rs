//! The page and the health of the daemon: what is answered, with which headers, and to whom.

use super::Watched;
use crate::support::{
    daemon::Home,
    http::{ask, get},
    wait::{DEADLINE, until},
};
use std::{
    io::{Read, Write},
    net::TcpStream,
};

#[test]
fn the_page_is_whole_in_itself_and_says_so() {
    let home = Home::new(&[]);
    let daemon = home.serve();
    for (path, kind) in [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")] {
        let answer = get(&daemon.http, path);
        assert_eq!(answer.code, 200, "{path}");
        assert!(answer.head.contains(&format!("content-type: {kind}; charset=utf-8")), "{}", answer.head);
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; ",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "x-frame-options: deny",
            "cache-control: no-store",
        ] {
            assert!(answer.head.contains(header), "{path}: {header} is missing in {}", answer.head);
        }
        // The name of SVG's name space is no reference.
        let body = answer.body.replace("http://www.w3.org/2000/svg", "");
        assert!(!body.contains("://") && !body.contains("//cdn"), "{path} refers to the outside");
        for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=", "onclick"] {
            assert!(!body.contains(markup), "{path}: {markup}");
        }
    }
    assert_eq!(get(&daemon.http, "/nowhere").code, 404);
    assert_eq!(get(&daemon.http, "/status.json?job=nobody").code, 404);
    let post = format!("POST /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", daemon.http);
    assert_eq!(ask(&daemon.http, &post).code, 405);
}

#[test]
fn a_stranger_s_name_for_loopback_is_not_answered() {
    let home = Home::new(&[]);
    let daemon = home.serve();
    let request = "GET /status.json HTTP/1.1\r\nHost: evil.example:7412\r\nConnection: close\r\n\r\n";
    let answer = ask(&daemon.http, request);
    assert_eq!((answer.code, answer.body.as_str()), (421, "ask for localhost or 127.0.0.1\n"));
}

#[test]
fn health_tells_a_daemon_that_lives_from_one_that_is_ready() {
    let home = Home::new(&[]);
    let daemon = home.serve();
    let alive = get(&daemon.http, "/healthz");
    assert_eq!((alive.code, alive.body.as_str()), (200, "ok\n"));
    until("ready", || (get(&daemon.http, "/readyz").code == 200).then_some(()));
    // Half a request holds nobody up.
    let mut half = TcpStream::connect(&daemon.http).expect("it listens");
    half.write_all(b"GET /he").expect("it reads");
    assert_eq!(get(&daemon.http, "/healthz").code, 200);
    let (status, log) = daemon.terminate(libc::SIGTERM);
    assert!(status.success(), "{log}");
}

/// As browsers and scrapers leave them; a probe that had to wait for one of them would have the daemon killed.
#[test]
fn those_that_only_hold_a_connection_open_make_room_for_a_probe() {
    let home = Home::new(&[]);
    let daemon = home.serve();
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", daemon.http);
    let held: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(&daemon.http).expect("it listens");
            stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
            stream.write_all(request.as_bytes()).expect("it reads");
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).expect("it answers, though others say nothing");
            assert_eq!(&answer, b"HTTP/1.1 200");
            stream
        })
        .collect();
    assert_eq!(get(&daemon.http, "/healthz").code, 200);
    let mut last = held.last().expect("some");
    last.write_all(request.as_bytes()).expect("it reads");
    let mut rest = Vec::new();
    until("the last one is still answered", || {
        let mut bytes = [0; 1024];
        let length = last.read(&mut bytes).expect("open");
        assert!(length > 0, "closed");
        rest.extend_from_slice(&bytes[..length]);
        String::from_utf8_lossy(&rest).contains("HTTP/1.1 200").then_some(())
    });
}

#[test]
fn the_page_is_told_of_jobs_targets_tables_and_what_to_do() {
    let watched = Watched::new();
    let job = watched.shows("people");
    let target = &job["targets"][0];
    assert_eq!(
        (&job["source"], &target["store"], &target["observed"]),
        (&"a".into(), &"b".into(), &"streaming".into())
    );
    assert_eq!(target["tables"].as_array().map(Vec::len), Some(3));
    assert_eq!(target["tables"][0]["name"], "main.<script>alert(1)</script>");
    until("samples for the graphs", || {
        let samples = watched.shows("people")["targets"][0]["samples"].as_array().map_or(0, Vec::len);
        (samples >= 2).then_some(())
    });
    let overview: serde_json::Value =
        serde_json::from_str(&get(&watched.daemon.http, "/status.json").body).expect("JSON");
    assert_eq!(overview["jobs"][0]["name"], "people");
    assert_eq!(overview["jobs"][0]["targets"][0]["tables_in"]["streaming"], 3);
    assert_eq!(overview["daemon"]["not_ready"], serde_json::Value::Null);
}
