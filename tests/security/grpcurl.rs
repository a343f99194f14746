//! The guarded API through the real grpcurl: what an operator types, and what they see.

use super::{
    authority::{EXPIRED, GOOD, Pair},
    guarded::{Guarded, OPERATOR, READER},
};
use crate::support::{daemon::Daemon, tools::tool};
use std::process::Output;

fn run(daemon: &Daemon, flags: &[&str], call: &[&str]) -> Output {
    tool("grpcurl").args(flags).arg(&daemon.address).args(call).output().expect("it runs")
}

#[track_caller]
fn says(output: &Output, well: bool, parts: &[&str]) {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.success(), well, "{text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
}

#[test]
fn certificate_and_token_open_the_door() {
    let guarded = Guarded::new().with_tls().with_client_ca().with_tokens();
    let daemon = guarded.home.serve();
    let path = |name: &str, text: &str| guarded.file(name, text).to_str().expect("UTF-8").to_owned();
    let shown = |name: &str, Pair { certificate, key }: Pair| {
        (path(&format!("{name}.crt"), &certificate), path(&format!("{name}.key"), &key))
    };
    let authority = path("authority.crt", &guarded.authority.pem());
    let (certificate, key) = shown("good", guarded.authority.issue("laptop", GOOD));
    let tls = ["-cacert", &authority, "-cert", &certificate, "-key", &key];
    let reader = format!("authorization: Bearer {READER}");
    let operator = format!("authorization: Bearer {OPERATOR}");
    let with = |token: &str| [&tls[..], &["-H", token]].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    let ask = |token: &str, call: &[&str]| {
        let flags = with(token);
        run(&daemon, &flags.iter().map(String::as_str).collect::<Vec<_>>(), call)
    };
    says(&ask(&reader, &["list"]), true, &["whimbrel.v1.JobService"]);
    says(&ask(&reader, &["describe", "whimbrel.v1.JobService"]), true, &["rpc CreateJob"]);
    says(&ask(&reader, &["whimbrel.v1.JobService/ListJobs"]), true, &["{"]);
    says(
        &ask(&reader, &["whimbrel.v1.JobService/StartJob"]),
        false,
        &["PermissionDenied", "StartJob needs the role `operate`", "ROLE_TOO_SMALL", "tokens.eye.role"],
    );
    says(&ask(&operator, &["whimbrel.v1.JobService/StartJob"]), false, &["NotFound"]);
    says(&run(&daemon, &tls, &["list"]), false, &["needs a token"]);
    says(&run(&daemon, &["-plaintext"], &["list"]), false, &[]);
    says(&run(&daemon, &["-cacert", &authority], &["list"]), false, &["certificate required"]);
    let (expired, key) = shown("expired", guarded.authority.issue("laptop", EXPIRED));
    let tls = ["-cacert", &authority, "-cert", &expired, "-key", &key];
    says(&run(&daemon, &tls, &["list"]), false, &["expired certificate"]);
}
