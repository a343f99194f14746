//! Two servers, a daemon with a job from one into the other, and everything that may happen to the three.

use crate::support::{
    mysql::{Kind, PASSWORD, Server},
    wait::until,
};
use std::{
    fs,
    net::TcpListener,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};
use whimbrel::{
    client::Client,
    control::v1::{Job, ObservedState, TargetStatus},
};

const BINARY: &str = env!("CARGO_BIN_EXE_whimbrel");
pub const JOB: &str = "faulty";

pub struct Rig {
    pub source: Server,
    pub target: Server,
    folder: tempfile::TempDir,
    address: String,
    /// State folders so far: each has a config of its own.
    states: u32,
    pub daemon: Option<Child>,
    sentinels: u64,
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.path("daemon.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- the daemon's last lines\n{}", lines[lines.len().saturating_sub(60)..].join("\n"));
        }
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

impl Rig {
    /// Of these kinds, with flags besides; no daemon yet.
    pub fn new(source: (Kind, &[&str]), target: (Kind, &[&str])) -> Rig {
        Rig::between(Server::of(source.0, source.1), Server::of(target.0, &[&["--server-id=2"], target.1].concat()))
    }

    pub fn between(source: Server, target: Server) -> Rig {
        let folder = tempfile::tempdir().expect("a temporary folder");
        source.sql("CREATE TABLE IF NOT EXISTS sentinel (id INT PRIMARY KEY)");
        let mut rig = Rig { source, target, folder, address: String::new(), states: 0, daemon: None, sentinels: 0 };
        rig.use_new_state();
        rig
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An empty state folder, and a target without anything.
    pub fn start_over(&mut self) {
        self.target.sql("DROP DATABASE shop; CREATE DATABASE shop");
        self.use_new_state();
    }

    fn use_new_state(&mut self) {
        self.states += 1;
        let urls = (self.source.url("reader"), self.target.url("writer"));
        self.write_config(&urls.0, &urls.1);
    }

    /// The stores by these URLs, from the daemon's next start on.
    pub fn write_config(&mut self, source: &str, target: &str) {
        self.address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("free").to_string();
        let store = |name: &str, url: &str| {
            format!("[stores.{name}]\nurl = {url:?}\n[stores.{name}.secrets]\npassword = \"env:RIG_PASSWORD\"\n")
        };
        let text = format!(
            "listen = {:?}\n[http]\nlisten = \"off\"\n[state]\ndir = {:?}\n[source]\nretain_after_apply_s = 1\n{}{}",
            self.address,
            self.path(&format!("state-{}", self.states)).display().to_string(),
            store("shop", source),
            store("copy", target),
        );
        fs::write(self.path("whimbrel.toml"), text).expect("our own folder");
    }

    /// Starts the daemon; it dies by SIGKILL at the given visit of a point, if one is given.
    pub fn start(&mut self, kill: Option<(&str, u64)>) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("daemon.log")).expect("ours");
        let mut command = Command::new(BINARY);
        command.arg("serve").arg("--config").arg(self.path("whimbrel.toml")).env("RIG_PASSWORD", PASSWORD);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        if let Some((point, visit)) = kill {
            command.env("WHIMBREL_KILL", format!("{point}:{visit}"));
        }
        self.daemon = Some(command.spawn().expect("our own binary"));
    }

    /// Creates the job, not started. `more`: lines of the job's file.
    pub fn create(&self, more: &str) {
        let text = format!(
            "name: {JOB}\nsource:\n  store: shop\n  tables: [\"shop.*\"]\n  keyless: exact\ntargets:\n  - store: copy\n{more}"
        );
        fs::write(self.path("job.yaml"), text).expect("ours");
        let file = self.path("job.yaml").display().to_string();
        let mut said = String::new();
        let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until("the daemon takes the job", || {
                let output = self.ask(&["apply", "-f", &file]);
                said = String::from_utf8_lossy(&output.stderr).into_owned();
                output.status.success().then_some(())
            });
        }));
        assert!(made.is_ok(), "{said}");
    }

    pub fn ask(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        command.args(arguments).args(["--server", &self.address]).stdin(Stdio::null());
        command.output().expect("our own binary")
    }

    /// Asks for the job to run, until it is heard; not where the daemon dies of it.
    pub fn run_job(&mut self) {
        until("the daemon is asked to start the job", || {
            let started = self.ask(&["job", "start", JOB]).status.success();
            (started || self.has_died()).then_some(())
        });
    }

    pub fn has_died(&mut self) -> bool {
        self.daemon.as_mut().is_some_and(|daemon| daemon.try_wait().expect("our own child").is_some())
    }

    /// Kills the daemon now.
    pub fn kill(&mut self) {
        let mut daemon = self.daemon.take().expect("a daemon runs");
        daemon.kill().expect("our own child");
        daemon.wait().expect("our own child");
    }

    /// Waits until the daemon has died at its point.
    pub fn died(&mut self, point: &str) {
        let mut daemon = self.daemon.take().expect("a daemon runs");
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until(&format!("the daemon comes to {point}"), || daemon.try_wait().expect("our own child"))
        }));
        let status = ended.unwrap_or_else(|_| {
            let job = self.job();
            let _ = daemon.kill();
            let _ = daemon.wait();
            panic!("never came to {point}: {job:#?}");
        });
        assert_eq!(status.signal(), Some(libc::SIGKILL), "{point}: {status}");
    }

    /// Stops the daemon as a service manager would.
    pub fn stop(&mut self) {
        let mut daemon = self.daemon.take().expect("a daemon runs");
        // SAFETY: a signal to a child that was not waited for yet.
        unsafe { libc::kill(i32::try_from(daemon.id()).expect("a pid"), libc::SIGTERM) };
        let status = until("the daemon stops", || daemon.try_wait().expect("our own child"));
        assert!(status.success(), "{status}");
    }

    /// The most that the daemon has had in memory, in bytes.
    pub fn peak(&self) -> u64 {
        let daemon = self.daemon.as_ref().expect("a daemon runs");
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says so");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
    }

    pub fn job(&self) -> Option<Job> {
        // Ends with its connection: a daemon that stops waits for those that are open.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async { Client::connect(&self.address).await.ok()?.job(JOB).await.ok() })
    }

    /// The job's target, as the daemon sees it.
    pub fn seen(&self) -> Option<TargetStatus> {
        self.job()?.status?.targets.into_iter().next()
    }

    /// Waits until the job is in this state.
    pub fn is(&self, state: ObservedState) -> Job {
        let mut last = None;
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until(state.as_str_name(), || {
                last = self.job();
                let job = last.clone()?;
                (job.status.as_ref()?.observed_state == i32::from(state)).then_some(job)
            })
        }));
        found.unwrap_or_else(|_| panic!("never {}: {last:#?}", state.as_str_name()))
    }

    /// The error that the job or its target shows, with its hint.
    pub fn complaint(&self) -> Option<String> {
        let status = self.job()?.status?;
        let error = status.targets.into_iter().find_map(|target| target.error).or(status.error)?;
        Some(format!("{} | {}", error.text, error.hint))
    }

    /// Waits until the job or its target complains of this.
    pub fn complains(&self, of: &str) -> String {
        let mut last = None;
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until(of, || {
                last = self.complaint();
                last.clone().filter(|text| text.contains(of))
            })
        }));
        found.unwrap_or_else(|_| panic!("nobody complains of `{of}`, but {last:?}; {:#?}", self.job()))
    }

    /// Everything that was committed before this call is in the target, and the job says so.
    pub fn settle(&mut self) {
        self.sentinels += 1;
        let sentinel = self.sentinels;
        self.source.sql(&format!("INSERT INTO sentinel VALUES ({sentinel}) ON DUPLICATE KEY UPDATE id = id"));
        let since = whimbrel::pipeline::now_ms();
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let ask = format!("SELECT COUNT(*) FROM sentinel WHERE id = {sentinel}");
            let mut applied = Some(0);
            // Each change on the way to it has its own time.
            while let Some(before) = applied {
                applied = until("the last row is there", || match self.seen()?.changes {
                    now if now > before => Some(Some(now)),
                    _ => (self.target.try_sql(&ask)? == "1\n").then_some(None),
                });
            }
            until("the target has everything", || {
                let target = self.seen()?;
                let answered = target.last_answer_time.as_ref().map_or(0, |time| {
                    u64::try_from(time.seconds).unwrap_or(0) * 1000 + u64::try_from(time.nanos / 1_000_000).unwrap_or(0)
                });
                let streams = target.observed_state == i32::from(ObservedState::Streaming);
                (streams && target.behind_changes == Some(0) && answered > since).then_some(())
            });
        }));
        assert!(found.is_ok(), "not everything came: {:#?}", self.job());
    }

    /// The servers' own clients read both sides, and every row must be the same.
    pub fn assert_equal(&self, tables: &[&str], what: &str) {
        let (wanted, found) = (lines(&self.source.rows(tables)), lines(&self.target.rows(tables)));
        if wanted == found {
            return;
        }
        let lost: Vec<&String> = without(&wanted, &found).take(5).collect();
        let invented: Vec<&String> = without(&found, &wanted).take(5).collect();
        panic!(
            "{what}: {} rows, and {} in the target; lost {lost:#?}; invented {invented:#?}",
            wanted.len(),
            found.len()
        );
    }
}

/// In an order of their own: rows without a key have none.
fn lines(rows: &str) -> Vec<String> {
    let mut lines: Vec<String> = rows.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

/// Of sorted lines, those that the others have not, or not as often.
fn without<'l>(lines: &'l [String], others: &[String]) -> impl Iterator<Item = &'l String> {
    let times = |of: &[String], line: &String| {
        of.partition_point(|other| other <= line) - of.partition_point(|other| other < line)
    };
    lines.iter().filter(move |line| times(lines, line) > times(others, line))
}
