//! The real binary: `whimbrel serve` as a process of its own, on a free port, in a folder of its own.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread::JoinHandle,
};
use tempfile::TempDir;

/// Killed, and waited for, when dropped.
pub struct Daemon {
    child: Child,
    pub address: String,
    /// Of metrics, health and the status page.
    pub http: String,
    log: Option<JoinHandle<String>>,
}

/// Settings, state and stores of one test.
pub struct Home {
    pub folder: TempDir,
    pub config: PathBuf,
}

/// The binary of this build. Never finds a daemon or a config of the user by accident.
pub fn whimbrel() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whimbrel"));
    for name in ["CONFIG", "SERVER", "TOKEN_FILE", "CA_FILE", "CERT_FILE", "KEY_FILE"] {
        command.env_remove(format!("WHIMBREL_{name}"));
    }
    command
}

impl Home {
    /// `stores`: name and URL.
    pub fn new(stores: &[(&str, &str)]) -> Home {
        Home::in_folder(stores, tempfile::tempdir().expect("a temp folder"))
    }

    /// In a folder that holds the stores too.
    pub fn in_folder(stores: &[(&str, &str)], folder: TempDir) -> Home {
        let config = folder.path().join("whimbrel.toml");
        let state = folder.path().join("state");
        let mut text = format!(
            "listen = \"127.0.0.1:0\"\n[http]\nlisten = \"127.0.0.1:0\"\n[state]\ndir = {state:?}\n[log]\nformat = \"json\"\n"
        );
        for (name, url) in stores {
            text += &format!("[stores.{name}]\nurl = {url:?}\n");
        }
        fs::write(&config, text).expect("ours");
        Home { folder, config }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs until it listens.
    ///
    /// # Panics
    /// With its log if it ends before.
    pub fn serve(&self) -> Daemon {
        self.serve_with(&[])
    }

    /// As `serve`, with variables of the environment.
    pub fn serve_with(&self, environment: &[(&str, &str)]) -> Daemon {
        let mut command = whimbrel();
        command.arg("serve").arg("--config").arg(&self.config).envs(environment.iter().copied());
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the binary runs");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let (mut seen, mut http) = (String::new(), String::new());
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            seen += &format!("{line}\n");
            let line: serde_json::Value = serde_json::from_str(&line).ok()?;
            line["http"].as_str().inspect(|address| http = (*address).to_owned());
            (line["message"] == "listening").then(|| line["address"].as_str().expect("logged").to_owned())
        });
        let Some(address) = address else { panic!("the daemon ended: {}\n{seen}", child.wait().expect("ours")) };
        // Read on, so that a full pipe never stops it.
        let log = std::thread::spawn(move || seen + &lines.map_while(Result::ok).collect::<Vec<_>>().join("\n"));
        Daemon { child, address, http, log: Some(log) }
    }

    /// Runs a command that does not stay.
    pub fn run(&self, arguments: &[&str]) -> Output {
        whimbrel().args(arguments).output().expect("the binary runs")
    }
}

impl Daemon {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and returns how it did, with its log.
    pub fn terminate(mut self, signal: i32) -> (ExitStatus, String) {
        // SAFETY: a signal to a child that we have not waited for.
        unsafe { libc::kill(i32::try_from(self.child.id()).expect("a process id"), signal) };
        let status = self.child.wait().expect("ours");
        (status, self.log.take().expect("read once").join().expect("no panic"))
    }

    /// Runs a subcommand against it.
    pub fn ask(&self, arguments: &[&str]) -> Output {
        whimbrel().args(arguments).args(["--server", &self.address]).output().expect("the binary runs")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ended already where `terminate` was called.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
