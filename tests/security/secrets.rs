//! Passwords planted wherever people put them, then every output of a real daemon searched for them.

use super::guarded::{ADMIN, Guarded, READER};
use crate::support::{daemon::whimbrel, tools::tool, wait::until};
use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Stdio},
};

/// Each in a place of its own; all begin alike.
const MARK: &str = "planted";
const IN_FILE: &str = "planted-in-a-file";
const IN_ENVIRONMENT: &str = "planted-in-the-environment";
const IN_TOKEN: &str = "planted-in-a-token-file";
const WRONG_TOKEN: &str = "planted-as-a-wrong-token";
const IN_JOB: &str = "mysql://me:planted-in-a-job@db/shop";

/// Killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All bytes below a folder.
fn bytes_below(folder: &Path, all: &mut Vec<u8>) {
    for entry in fs::read_dir(folder).expect("there") {
        let path = entry.expect("readable").path();
        match path.is_dir() {
            true => bytes_below(&path, all),
            false => all.extend(fs::read(path).expect("readable")),
        }
    }
}

#[track_caller]
fn hides(what: &str, bytes: &[u8], secrets: &[&str]) {
    let found = secrets.iter().find(|secret| bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    assert_eq!(found, None, "in {what}: {}", String::from_utf8_lossy(bytes));
}

/// Through good and bad paths, with the loudest log there is.
#[test]
fn no_planted_password_comes_out() {
    let guarded = Guarded::new().with_tokens();
    let home = &guarded.home;
    let [password, ops] = [("password", IN_FILE), ("ops.token", IN_TOKEN)].map(|(name, text)| guarded.file(name, text));
    guarded.add_to_config(&format!(
        "[tokens.ops]\nrole = \"admin\"\nfile = {ops:?}\n\
         [stores.from-file]\nurl = \"memory:from-file\"\nsecrets = {{password = \"file:{}\"}}\n\
         [stores.from-environment]\nurl = \"memory:from-environment\"\nsecrets = {{password = \"env:PLANTED\"}}\n\
         [stores.gone]\nurl = \"memory:gone\"\nsecrets = {{password = \"file:/nowhere/password\"}}\n",
        password.display()
    ));
    let text = fs::read_to_string(&home.config).expect("ours");
    fs::write(&home.config, text.replace("[log]\n", "[log]\nfilter = \"trace\"\n")).expect("ours");
    let [out, log] = ["stdout", "stderr"].map(|name| home.path().join(name));
    let mut command = whimbrel();
    command.env("PLANTED", IN_ENVIRONMENT).arg("serve").arg("--config").arg(&home.config);
    let [to_out, to_log] = [&out, &log].map(|file| Stdio::from(File::create(file).expect("ours")));
    let mut daemon = Process(command.stdout(to_out).stderr(to_log).spawn().expect("it runs"));
    let read = |file: &Path| fs::read(file).expect("ours");
    let logged = |part: &str| String::from_utf8_lossy(&read(&log)).contains(part).then_some(());
    let address = until("it listens", || {
        let log = String::from_utf8(read(&log)).ok()?;
        let line = log.lines().find(|line| line.contains("\"listening\""))?;
        Some(serde_json::from_str::<serde_json::Value>(line).ok()?["address"].as_str()?.to_owned())
    });

    let mut answers = Vec::new();
    let mut ask = |token: &str, request: &str, call: &str| {
        let mut grpcurl = tool("grpcurl");
        grpcurl.args(["-plaintext", "-v", "-d", request, "-H", &format!("authorization: Bearer {token}")]);
        let output = grpcurl.arg(&address).arg(format!("whimbrel.v1.{call}")).output().expect("it runs");
        // It repeats what it sends.
        let sent = format!("Bearer {token}");
        for part in [output.stdout, output.stderr] {
            answers.extend(String::from_utf8(part).expect("UTF-8").replace(&sent, "").into_bytes());
        }
    };
    let job = |name: &str, from: &str, to: &str| {
        format!(r#"{{"spec":{{"name":"{name}","source":{{"store":"{from}"}},"targets":[{{"store":"{to}"}}]}}}}"#)
    };
    ask(IN_TOKEN, "{}", "StoreService/ListStores");
    for store in ["from-file", "from-environment", "gone", "nowhere", IN_JOB] {
        let name = format!(r#"{{"name":"{store}"}}"#);
        ask(IN_TOKEN, &name, "StoreService/CheckStore");
        ask(IN_TOKEN, &name, "StoreService/ListTables");
    }
    for (name, from, to) in
        [("one", "from-file", "from-environment"), ("two", "gone", "b"), ("three", IN_JOB, "b"), ("four", "a", IN_JOB)]
    {
        ask(IN_TOKEN, &job(name, from, to), "JobService/CreateJob");
        ask(IN_TOKEN, &format!(r#"{{"name":"{name}"}}"#), "JobService/StartJob");
    }
    until("a job with good secrets ran", || logged("selects no table"));
    ask(READER, &job("five", "from-file", "b"), "JobService/CreateJob");
    ask(WRONG_TOKEN, "{}", "JobService/ListJobs");
    guarded.file("ops.token", "planted\n");
    // SAFETY: a signal to a child that we have not waited for.
    let signal = |signal| unsafe { libc::kill(i32::try_from(daemon.0.id()).expect("a process id"), signal) };
    signal(libc::SIGHUP);
    until("it is refused", || logged("not all was reloaded"));
    ask(IN_TOKEN, "{}", "JobService/ListJobs");
    let shown = String::from_utf8(answers.clone()).expect("UTF-8");
    for part in
        ["from-environment", "not one of this daemon's", "ROLE_TOO_SMALL", "/nowhere/password", "never by its URL"]
    {
        assert!(shown.contains(part), "`{part}` is missing in {shown}");
    }
    let arguments = fs::read(format!("/proc/{}/cmdline", daemon.0.id())).expect("it runs");
    signal(libc::SIGTERM);
    assert!(daemon.0.wait().expect("ours").success());

    let export = home.path().join("state.json");
    let (export, config) = (export.to_str().expect("UTF-8"), home.config.to_str().expect("UTF-8"));
    let exported = home.run(&["state", "export", export, "--config", config]);
    // The broken file of tokens is no matter of the state's.
    assert!(exported.status.success(), "{exported:?}");
    let mut state = Vec::new();
    bytes_below(&home.path().join("state"), &mut state);
    let secrets = [MARK, READER, ADMIN];
    // A name, not a secret: what the config calls the variable.
    hides("the log", &read(&log), &secrets);
    hides("standard output", &read(&out), &secrets);
    hides("the answers", &answers, &secrets);
    hides("the arguments", &arguments, &secrets);
    hides("the state folder", &state, &secrets);
    hides("the exported state", &fs::read(export).expect("written"), &secrets);
    assert!(!state.is_empty() && !read(&log).is_empty(), "something was looked at");
}

#[test]
fn configs_that_are_refused_do_not_repeat_passwords() {
    for text in [
        "[stores.c]\nurl = \"mysql://me:planted@db/shop\"\n",
        "[stores.c]\nurl = \"mysql://db/shop?password=planted\"\n",
        "[stores.c]\nurl = \"memory:c\"\nsecrets = {password = \"planted\"}\n",
        "[stores.c]\nurl = \"memory:c\"\nsecrets = {password = \"planted}\n",
        "[stores.c]\nurl = \"memory:c\"\noptions = {password = \"planted\"}\n",
        "[stores.c]\nurl = \"sqlite:/c\"\nsecrets = {password = \"env:PLANTED\"}\n",
        "[stores.c]\nurl = \"memory:c\"\nsecrets = {pin = \"env:PLANTED\"}\n",
        "[tokens]\nops = \"planted\"\n",
    ] {
        let guarded = Guarded::new();
        guarded.add_to_config(text);
        let mut command = whimbrel();
        command.env("PLANTED", "planted").arg("serve").arg("--config").arg(&guarded.home.config);
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(3), "{text}: {output:?}");
        hides(text, &[output.stdout, output.stderr].concat(), &[MARK]);
    }
}

#[test]
fn files_and_folders_that_are_open_to_others_are_named_or_mended() {
    let guarded = Guarded::new().with_tokens();
    let home = &guarded.home;
    let state = home.path().join("state");
    let daemon = home.serve();
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700, "made so");
    let log = super::guarded::log_of(daemon);
    assert!(!log.contains("open to others"), "{log}");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o755)).expect("ours");
    fs::set_permissions(home.path().join("eye.token"), fs::Permissions::from_mode(0o644)).expect("ours");
    let daemon = home.serve();
    let log = super::guarded::log_of(daemon);
    assert_eq!(mode(&state), 0o700, "mended");
    assert!(log.contains("the state folder was open to others") && log.contains("755"), "{log}");
    assert!(log.contains("chmod 600"), "{log}");
    let lines = log.lines().filter(|line| line.contains("open to others") && line.contains("eye.token")).count();
    assert_eq!(lines, 1, "said once, not at each look: {log}");
}
