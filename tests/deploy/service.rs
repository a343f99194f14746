//! The daemon as a service of systemd: what it says on the socket, and what systemd makes of the unit file.

use super::read;
use crate::support::{
    daemon::{Daemon, Home, whimbrel},
    http::get,
    wait::{DEADLINE, until},
};
use std::{collections::BTreeSet, fs, os::unix::net::UnixDatagram, process::Command, time::Duration};
use tempfile::TempDir;

/// In systemd's place.
struct Listening {
    folder: TempDir,
    socket: UnixDatagram,
}

impl Listening {
    fn new() -> Listening {
        let folder = tempfile::tempdir().expect("a temp folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("ours");
        socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
        Listening { folder, socket }
    }

    fn serve(&self, home: &Home) -> Daemon {
        self.serve_with(home, &[])
    }

    fn serve_with(&self, home: &Home, more: &[(&str, &str)]) -> Daemon {
        let path = self.folder.path().join("notify").display().to_string();
        let ours = [("NOTIFY_SOCKET", path.as_str()), ("WATCHDOG_USEC", "300000")];
        home.serve_with(&[&ours, more].concat())
    }

    /// Whether nothing comes for as long as systemd would wait, several times.
    fn is_silent(&self) -> bool {
        self.socket.set_nonblocking(true).expect("a socket");
        while self.socket.recv(&mut [0; 4096]).is_ok() {}
        self.socket.set_nonblocking(false).expect("a socket");
        self.socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a socket");
        self.socket.recv(&mut [0; 4096]).is_err()
    }

    /// Reads until a message has this line.
    fn hears(&self, line: &str) -> String {
        let mut heard = BTreeSet::new();
        loop {
            let mut bytes = [0; 4096];
            let length = self.socket.recv(&mut bytes).unwrap_or_else(|error| panic!("{line}: {error}, only {heard:?}"));
            let message = String::from_utf8(bytes[..length].to_vec()).expect("UTF-8");
            if message.lines().any(|heard| heard == line) {
                return message;
            }
            heard.insert(message);
        }
    }
}

#[test]
fn it_says_when_it_is_ready_that_it_turns_and_that_it_stops() {
    let (listening, home) = (Listening::new(), Home::new(&[]));
    let daemon = listening.serve(&home);
    let ready = listening.hears("READY=1");
    assert!(ready.contains(&format!("STATUS=listening on {}", daemon.address)), "{ready}");
    assert_eq!(get(&daemon.http, "/readyz").code, 200, "ready is what it says");
    for _ in 0..3 {
        listening.hears("WATCHDOG=1");
    }
    let (status, log) = daemon.terminate(libc::SIGTERM);
    assert!(status.success(), "{log}");
    listening.hears("STOPPING=1");
}

#[test]
fn a_store_that_stalls_does_not_starve_the_watchdog() {
    let listening = Listening::new();
    let watched = crate::http::Watched::serve(|home| listening.serve(home));
    listening.hears("READY=1");
    let _locked = watched.lock("b.db");
    watched.change("INSERT INTO people VALUES (1000, 'waits')");
    until("the change waits", || watched.shows("people")["targets"][0]["behind"].as_u64().filter(|behind| *behind > 0));
    for _ in 0..5 {
        listening.hears("WATCHDOG=1");
    }
    assert_eq!(get(&watched.daemon.http, "/healthz").code, 200);
    assert_eq!(get(&watched.daemon.http, "/readyz").code, 200);
}

/// A defect of its own, and no store: what else runs on that thread stands still with it, so only a new process helps.
#[test]
fn a_task_that_holds_its_thread_starves_the_watchdog() {
    let listening = Listening::new();
    let watched =
        crate::http::Watched::serve(|home| listening.serve_with(home, &[("WHIMBREL_HANG", "before-apply:20")]));
    listening.hears("WATCHDOG=1");
    let mut changes = 0;
    until("nothing feeds it any more", || {
        changes += 1;
        watched.change(&format!("UPDATE people SET name = 'change {changes}' WHERE id = 1"));
        listening.is_silent().then_some(())
    });
    assert!(changes >= 20, "it was fed before");
}

/// After a failed write nobody knows what the file holds: only who reads it anew does.
#[test]
fn a_state_folder_that_failed_starves_the_watchdog() {
    let (listening, home) = (Listening::new(), Home::new(&[("a", "memory:a"), ("b", "memory:b")]));
    // As on Linux's full disks: an error, and not the signal that a quota of the process would send as well.
    // SAFETY: only how a signal is taken; the daemon inherits it.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let daemon = listening.serve(&home);
    listening.hears("READY=1");
    listening.hears("WATCHDOG=1");
    assert_eq!(get(&daemon.http, "/healthz").code, 200);
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a limit of a child that we have not waited for; nothing is read back.
    let limited = unsafe {
        let daemon = i32::try_from(daemon.id()).expect("a process id");
        libc::prlimit(daemon, libc::RLIMIT_FSIZE, &none, std::ptr::null_mut())
    };
    assert_eq!(limited, 0, "{}", std::io::Error::last_os_error());
    let file = home.path().join("job.yaml");
    fs::write(&file, "name: people\nsource: {store: a}\ntargets: [{store: b}]\n").expect("ours");
    let refused = daemon.ask(&["apply", "-f", file.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.matches("the state folder failed").count() == 1, "{said}");
    for path in ["/readyz", "/healthz"] {
        let answer = get(&daemon.http, path);
        assert_eq!(answer.code, 503, "{path}: {}", answer.body);
        assert!(answer.body.contains("the state folder failed: "), "{path}: {}", answer.body);
    }
    assert!(listening.is_silent(), "fed, though nothing can be saved");
    let (status, log) = daemon.terminate(libc::SIGTERM);
    assert!(status.success(), "{log}");
}

#[test]
fn a_daemon_that_is_refused_never_says_ready() {
    let (listening, home) = (Listening::new(), Home::new(&[("a", "nosuch:thing")]));
    let path = listening.folder.path().join("notify");
    let mut command = whimbrel();
    command.arg("serve").arg("--config").arg(&home.config).env("NOTIFY_SOCKET", path);
    let ended = command.output().expect("it runs");
    // The unit says that this code is no reason to try again.
    assert_eq!(ended.status.code(), Some(3));
    assert!(read("deploy/whimbrel.service").contains("\nRestartPreventExitStatus=2 3\n"));
    listening.socket.set_nonblocking(true).expect("a socket");
    assert!(listening.socket.recv(&mut [0; 100]).is_err(), "nothing was said");
}

#[test]
fn systemd_takes_the_unit_and_calls_it_closed() {
    let unit = read("deploy/whimbrel.service");
    let folder = tempfile::tempdir().expect("a temp folder");
    let file = folder.path().join("whimbrel.service");
    fs::write(&file, unit.replace("/usr/local/bin/whimbrel", env!("CARGO_BIN_EXE_whimbrel"))).expect("ours");
    let analyze = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze").args(arguments).arg(&file).output();
        let output = output.expect("systemd-analyze: bash tests/setup/systemd.sh");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    };
    let (good, text) = analyze(&["verify", "--man=no"]);
    assert!(good && text.is_empty(), "{text}");
    // In tenths: from 0 (closed) to 100 (wide open).
    let (good, text) = analyze(&["security", "--offline=yes", "--no-pager", "--threshold=15"]);
    assert!(good, "{text}");
}

#[test]
fn the_unit_s_command_is_one_that_the_binary_takes() {
    let unit = read("deploy/whimbrel.service");
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("there");
    let mut words = command.split(' ');
    assert_eq!(words.next(), Some("/usr/local/bin/whimbrel"));
    let help = whimbrel().args(["serve", "--help"]).output().expect("it runs").stdout;
    let help = String::from_utf8(help).expect("UTF-8");
    assert_eq!(words.next(), Some("serve"));
    for flag in words.filter(|word| word.starts_with("--")) {
        assert!(help.contains(flag), "{flag} is unknown to `serve`");
    }
    let reload = "ExecReload=/bin/kill -HUP $MAINPID";
    for line in ["Type=notify", "StateDirectory=whimbrel", "StateDirectoryMode=0700", "User=whimbrel", reload] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
    // What the README says of files with secrets is right for this user.
    assert!(read("README.md").contains("`chown root:whimbrel FILE && chmod 640 FILE`"));
    assert!(unit.lines().any(|line| line == "Group=whimbrel"));
    // Above the patience with a task, so that what is late is seen before the process is killed.
    let watchdog = unit.lines().find_map(|line| line.strip_prefix("WatchdogSec=")).expect("there");
    assert!(watchdog.parse::<u64>().expect("seconds") > whimbrel::telemetry::turns::PATIENCE.as_secs());
}
