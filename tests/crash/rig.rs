//! A shop, its writer, a real daemon with two targets, and everything that may happen to them.

use crate::support::wait::until;
use std::{
    fs,
    net::TcpListener,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};
use whimbrel::{
    client::Client,
    control::v1::{Job, ObservedState},
};

const BINARY: &str = env!("CARGO_BIN_EXE_whimbrel");
pub const JOB: &str = "crash";

pub struct Rig {
    folder: tempfile::TempDir,
    address: String,
    state: String,
    pub daemon: Option<Child>,
    seed: u64,
    runtime: tokio::runtime::Runtime,
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.folder.disable_cleanup(true);
            let log = fs::read_to_string(self.path("daemon.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- the daemon's last lines\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

impl Rig {
    /// A shop that was written to before, a config, and no daemon yet.
    pub fn new() -> Rig {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut rig = Rig { folder, address: String::new(), state: "state".into(), daemon: None, seed: 0, runtime };
        rig.burst(1, 3000).finish();
        rig.use_state("state");
        rig
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Which state folder the next daemon has; each has a config and a port of its own.
    pub fn use_state(&mut self, state: &str) {
        self.state = state.to_owned();
        self.address = free_address();
        let store =
            |name: &str| format!("[stores.{name}]\nurl = \"sqlite:{}\"\n", self.path(&format!("{name}.db")).display());
        let text = format!(
            "listen = {:?}\n[http]\nlisten = \"off\"\n[state]\ndir = {:?}\n[source]\nretain_after_apply_s = 1\n{}{}{}",
            self.address,
            self.path(state).display().to_string(),
            store("shop"),
            store("copy-a"),
            store("copy-b"),
        );
        fs::write(self.config(), text).expect("our own folder");
    }

    fn config(&self) -> PathBuf {
        self.path(&format!("{}.toml", self.state))
    }

    /// Starts the daemon; it dies by SIGKILL at the given visit of a point, if one is given.
    pub fn start(&mut self, kill: Option<(&str, u64)>) {
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.path("daemon.log")).expect("our own folder");
        let mut command = Command::new(BINARY);
        command.arg("serve").arg("--config").arg(self.config());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        if let Some((point, visit)) = kill {
            command.env("WHIMBREL_KILL", format!("{point}:{visit}"));
        }
        self.daemon = Some(command.spawn().expect("our own binary"));
    }

    /// Creates the job, not started. Lanes: several, so that batches can tear.
    pub fn create(&mut self, lanes: u16) {
        let file = self.path("job.yaml");
        let text = format!(
            "name: {JOB}\nsource:\n  store: shop\ntargets:\n  - store: copy-a\n  - store: copy-b\n\
             apply:\n  lanes: {lanes}\ncopy:\n  parallelism: 2\n"
        );
        fs::write(&file, text).expect("our own folder");
        let address = self.address.clone();
        until("the daemon takes the job", || {
            let done = self.run(&["apply", "-f", &file.display().to_string(), "--server", &address]);
            done.status.success().then_some(())
        });
    }

    /// Asks for the job to run; false where the daemon died of it.
    pub fn start_job(&self) -> bool {
        self.run(&["job", "start", JOB, "--server", &self.address]).status.success()
    }

    /// Another process of ours, to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        Command::new(BINARY).args(arguments).stdin(Stdio::null()).output().expect("our own binary")
    }

    pub fn state_command(&self, verb: &str, file: &Path) -> Output {
        let (file, config) = (file.display().to_string(), self.config().display().to_string());
        self.run(&["state", verb, &file, "--config", &config])
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
        let status = until(&format!("the daemon comes to {point}"), || daemon.try_wait().expect("our own child"));
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

    /// The application changes the shop for a while, in a process of its own.
    pub fn burst(&mut self, seconds: u64, rate: u32) -> Burst {
        self.seed += 1;
        let (shop, seed) = (self.path("shop.db"), self.seed.to_string());
        let mut command = Command::new(BINARY);
        command.arg("demo-writer").arg(shop);
        command.args(["--seconds", &seconds.to_string(), "--rate", &rate.to_string(), "--seed", &seed]);
        Burst(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("our own binary"))
    }

    pub fn job(&self) -> Option<Job> {
        self.runtime.block_on(async { Client::connect(&self.address).await.ok()?.job(JOB).await.ok() })
    }

    /// Every target is Streaming and lacks nothing of what was committed before this call.
    pub fn settle(&self) {
        let since = whimbrel::pipeline::now_ms();
        until("the targets have everything", || {
            let status = self.job()?.status?;
            let through = status.targets.iter().all(|target| {
                let answered = target.last_answer_time.as_ref().map_or(0, |time| {
                    u64::try_from(time.seconds).unwrap_or(0) * 1000 + u64::try_from(time.nanos / 1_000_000).unwrap_or(0)
                });
                target.observed_state == i32::from(ObservedState::Streaming)
                    && target.behind_changes == Some(0)
                    && answered > since
            });
            (through && status.targets.len() == 2).then_some(())
        });
    }

    /// The sqlite3 shell reads both files, and every value with its storage class must be the same.
    pub fn assert_equal(&self, what: &str) {
        let source = dump(&self.path("shop.db"));
        assert!(source.lines().count() > 1000, "{what}: the shop is empty");
        for target in ["copy-a.db", "copy-b.db"] {
            let target = self.path(target);
            let copy = dump(&target);
            if copy != source {
                let differs = source.lines().zip(copy.lines()).find(|(here, there)| here != there);
                panic!("{what}: {} differs: {differs:?}", target.display());
            }
        }
    }
}

/// The sqlite3 shell in a transaction that locks others out.
pub struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Rig {
    pub fn hold_lock(&self, file: &str) -> Holder {
        use std::io::{BufRead, Write};
        let mut shell = Command::new("sqlite3");
        shell.arg(self.path(file)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().expect("the sqlite3 shell; tests/run installs it");
        let input = shell.stdin.as_mut().expect("piped");
        input.write_all(b".timeout 30000\nBEGIN IMMEDIATE;\nSELECT 'held';\n").expect("it listens");
        let mut line = String::new();
        let output = shell.stdout.as_mut().expect("piped");
        std::io::BufReader::new(output).read_line(&mut line).expect("it answers");
        assert_eq!(line.trim(), "held");
        Holder(shell)
    }
}

/// One run of the writer.
pub struct Burst(Child);

impl Burst {
    pub fn finish(mut self) {
        let status = self.0.wait().expect("our own child");
        assert!(status.success(), "the application's writes must never fail because of us: {status}");
    }
}

impl Drop for Burst {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> String {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("bound").to_string()
}

/// Every row of the shop as SQL literals, by the sqlite3 shell.
fn dump(file: &Path) -> String {
    let value = |column: &str| format!("typeof({column})||' '||quote({column})");
    let table = |name: &str, columns: &[&str], order: &str| {
        let values: Vec<String> = columns.iter().map(|column| value(column)).collect();
        format!("SELECT '{name} '||{} FROM {name} ORDER BY {order};", values.join("||', '||"))
    };
    let sql = [
        table("customers", &["id", "email", "name", "balance"], "id"),
        table("orders", &["id", "customer_id", "status", "note"], "id"),
        table("order_lines", &["order_id", "line", "sku", "amount", "price", "total"], "order_id, line"),
        table("stock", &["sku", "shelf", "pieces"], "sku"),
        table("visits", &["rowid", "at", "page", "agent"], "rowid"),
    ]
    .concat();
    let output = Command::new("sqlite3").arg("-cmd").arg(".timeout 30000").arg(file).arg(sql).output();
    let output = output.expect("the sqlite3 shell; tests/run installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("SQL literals")
}
