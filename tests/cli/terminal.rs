//! On a terminal: colours, a status that is drawn over itself, and a question before something is deleted.

use super::scene::{Shop, ends, stdout};
use crate::support::{
    daemon::{Daemon, whimbrel},
    wait::until,
};
use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{FromRawFd, OwnedFd},
    process::{Child, ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

/// A command with a terminal of its own.
struct Terminal {
    ours: File,
    child: Child,
    seen: Arc<Mutex<String>>,
}

impl Terminal {
    fn run(daemon: &Daemon, arguments: &[&str], environment: &[(&str, &str)]) -> Terminal {
        let (mut ours, mut theirs) = (0, 0);
        let size = libc::winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        let none = std::ptr::null_mut();
        // SAFETY: the documented call; both ends are owned from here on.
        let (ours, theirs) = unsafe {
            assert_eq!(libc::openpty(&mut ours, &mut theirs, none, std::ptr::null(), &size), 0);
            (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs))
        };
        let end = || Stdio::from(theirs.try_clone().expect("a descriptor"));
        let mut command = whimbrel();
        command.args(arguments).args(["--server", &daemon.address]).env_remove("NO_COLOR").env("TERM", "xterm");
        command.envs(environment.iter().copied());
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("the binary runs");
        let (ours, seen) = (File::from(ours), Arc::new(Mutex::new(String::new())));
        let (mut reader, shared) = (ours.try_clone().expect("a descriptor"), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // An error: the other end is closed.
            while let Ok(length @ 1..) = reader.read(&mut piece) {
                shared.lock().expect("no panic").push_str(&String::from_utf8_lossy(&piece[..length]));
            }
        });
        Terminal { ours, child, seen }
    }

    fn shows(&self, part: &str) {
        until(&format!("the terminal shows `{part}`"), || self.seen().contains(part).then_some(()));
    }

    fn seen(&self) -> String {
        self.seen.lock().expect("no panic").clone()
    }

    fn types(&mut self, text: &str) {
        self.ours.write_all(text.as_bytes()).expect("it is there");
    }

    fn ends(&mut self) -> ExitStatus {
        until("the command ends", || self.child.try_wait().expect("ours"))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Ended already where `ends` was called.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const GREEN: &str = "\x1b[32mstreaming\x1b[0m";

#[test]
fn colours_are_for_terminals_that_want_them() {
    let shop = Shop::new(3);
    let daemon = shop.streaming();
    let mut coloured = Terminal::run(&daemon, &["status"], &[]);
    coloured.shows(GREEN);
    assert!(coloured.ends().success());
    for environment in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let mut plain = Terminal::run(&daemon, &["status"], &[environment]);
        plain.shows("next: ");
        assert!(plain.ends().success() && !plain.seen().contains('\x1b'), "{environment:?}: {}", plain.seen());
    }
    assert!(!stdout(&daemon.ask(&["status"])).contains('\x1b'));
}

#[test]
fn a_watched_job_is_drawn_over_itself_until_ctrl_c() {
    let shop = Shop::new(3);
    let daemon = shop.streaming();
    let mut watch = Terminal::run(&daemon, &["status", "shop", "--watch"], &[]);
    watch.shows(GREEN);
    ends(&daemon.ask(&["job", "pause", "shop"]), 0, &[]);
    watch.shows("paused");
    assert!(watch.seen().contains("\x1b[2K"), "lines are drawn over");
    watch.shows("next: whimbrel job start shop");
    // SAFETY: a signal to a child that we have not waited for.
    unsafe { libc::kill(i32::try_from(watch.child.id()).expect("a process id"), libc::SIGINT) };
    assert!(watch.ends().success());
}

#[test]
fn a_copy_has_a_bar_with_rate_and_time_to_go() {
    let shop = Shop::new(200_000);
    let daemon = shop.home.serve();
    let slow = format!("{}copy: {{limits: {{rows_per_s: 2000}}}}\n", super::scene::JOB);
    ends(&daemon.ask(&["apply", "-f", &shop.write("job.yaml", &slow), "--start"]), 0, &["copying"]);
    let watch = Terminal::run(&daemon, &["status", "shop", "--watch"], &[]);
    watch.shows("main.people [");
    watch.shows("/s, ");
    watch.shows(" to go");
}

#[test]
fn deleting_asks_and_takes_no_for_an_answer() {
    let shop = Shop::new(3);
    let daemon = shop.streaming();
    let mut asked = Terminal::run(&daemon, &["job", "delete", "shop"], &[]);
    asked.shows("Delete job `shop`? [y/N]");
    asked.types("n\n");
    assert_eq!(asked.ends().code(), Some(3));
    asked.shows("nothing was deleted");
    ends(&daemon.ask(&["status", "shop"]), 0, &["streaming"]);
    let mut asked = Terminal::run(&daemon, &["job", "delete", "shop"], &[]);
    asked.shows("rows stay");
    asked.types("y\n");
    assert!(asked.ends().success());
    ends(&daemon.ask(&["wait", "shop", "--for", "deleted", "--timeout", "60s"]), 0, &["is deleted"]);
}

#[test]
fn elsewhere_a_watched_job_is_lines_or_documents_and_ends_with_it() {
    let shop = Shop::new(3);
    let daemon = shop.streaming();
    let spawn = |arguments: &[&str]| {
        let mut command = whimbrel();
        command.args(arguments).args(["--server", &daemon.address]).stdout(Stdio::piped());
        command.spawn().expect("the binary runs")
    };
    let lines = spawn(&["status", "shop", "--watch"]);
    let documents = spawn(&["status", "shop", "--watch", "-o", "json"]);
    ends(&daemon.ask(&["job", "pause", "shop"]), 0, &[]);
    ends(&daemon.ask(&["wait", "shop", "--for", "paused", "--timeout", "60s"]), 0, &[]);
    ends(&daemon.ask(&["job", "delete", "shop", "--yes"]), 0, &[]);
    let text = stdout(&lines.wait_with_output().expect("it ends"));
    assert!(text.ends_with("job `shop` is gone\n") && !text.contains('\x1b'), "{text}");
    let text = stdout(&documents.wait_with_output().expect("it ends"));
    let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("a document a line");
    assert!(text.lines().all(|line| read(line)["name"] == "shop"), "{text}");
}

#[test]
fn a_watch_outlives_a_daemon_that_goes_away() {
    let shop = Shop::new(3);
    let daemon = shop.streaming();
    let mut watch = Terminal::run(&daemon, &["status", "shop", "--watch"], &[]);
    watch.shows(GREEN);
    daemon.terminate(libc::SIGTERM);
    watch.shows("does not answer; trying again");
    // SAFETY: a signal to a child that we have not waited for.
    unsafe { libc::kill(i32::try_from(watch.child.id()).expect("a process id"), libc::SIGINT) };
    assert!(watch.ends().success());
}

#[test]
fn whoever_stops_reading_is_no_error() {
    let shop = Shop::new(3);
    let daemon = shop.streaming();
    let mut command = whimbrel();
    command.args(["status", "shop", "--server", &daemon.address]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
