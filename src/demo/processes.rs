//! The demo's other processes: the daemon, the shop's writer, the comparison. They end with us.

use super::stores::{Named, Stores};
use crate::{
    client::Client,
    error::{Error, Result},
};
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const ANSWERS_WITHIN: Duration = Duration::from_secs(20);
const STOPS_WITHIN: Duration = Duration::from_secs(15);

/// Our own binary as another process, in a group of its own: Ctrl-C is for the demo alone.
fn ourselves(arguments: &[&std::ffi::OsStr]) -> Result<Command> {
    use std::os::unix::process::CommandExt;
    let binary = std::env::current_exe().map_err(|error| Error::config("our own program is gone").because(error))?;
    let mut command = Command::new(binary);
    command.args(arguments).stdin(Stdio::null()).process_group(0);
    Ok(command)
}

/// The application that keeps changing the shop.
pub struct Writer(Child);

impl Writer {
    pub fn start(shop: &Path, rate: u32) -> Result<Writer> {
        let rate = rate.to_string();
        let arguments = ["demo-writer".as_ref(), shop.as_os_str(), "--rate".as_ref(), rate.as_ref()];
        let child = ourselves(&arguments)?.spawn();
        child.map(Writer).map_err(|error| Error::config("the writer does not start").because(error))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // An application that dies in a transaction: SQLite rolls it back.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `whimbrel serve` with a config of its own.
pub struct Daemon {
    child: Child,
    config: PathBuf,
    log: PathBuf,
    address: String,
}

impl Daemon {
    pub async fn start(folder: &Path, stores: &Stores) -> Result<Daemon> {
        let io = |error: std::io::Error| Error::config("the demo's folder").because(error);
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).map_err(io)?;
        let address = free.to_string();
        let state = folder.join("state");
        let mut text = format!(
            "listen = {address:?}\n[http]\nlisten = \"off\"\n[state]\ndir = {:?}\n",
            state.display().to_string()
        );
        let absolute = |path: &Path| std::path::absolute(path).map_err(io);
        let mut store = |name: &str, path: &Path| -> Result<()> {
            let url = format!("sqlite:{}", absolute(path)?.display());
            text.push_str(&format!("[stores.{name}]\nurl = {url:?}\n"));
            Ok(())
        };
        for Named { name, path } in std::iter::once(&stores.source).chain(&stores.targets) {
            store(name, path)?;
        }
        let (config, log) = (folder.join("whimbrel.toml"), folder.join("daemon.log"));
        std::fs::write(&config, text).map_err(io)?;
        let child = Self::spawn(&config, &log)?;
        Ok(Daemon { child, config, log, address })
    }

    fn spawn(config: &Path, log: &Path) -> Result<Child> {
        let io = |error: std::io::Error| Error::config("the daemon does not start").because(error);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).map_err(io)?;
        let arguments = ["serve".as_ref(), "--config".as_ref(), config.as_os_str()];
        ourselves(&arguments)?.stdout(Stdio::null()).stderr(log).spawn().map_err(io)
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Connects once it answers.
    pub async fn client(&mut self) -> Result<Client> {
        let deadline = Instant::now() + ANSWERS_WITHIN;
        loop {
            let failure = match Client::connect(&self.address).await {
                Ok(client) => return Ok(client),
                Err(failure) => failure,
            };
            let died = self.child.try_wait().ok().flatten();
            if let Some(status) = died.filter(|_| true) {
                return Err(Error::config(format!("the daemon ended with {status}"))
                    .hint(format!("see {}", self.log.display())));
            }
            if Instant::now() > deadline {
                return Err(Error::transient(failure.text).hint(format!("see {}", self.log.display())));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn kill_and_restart(&mut self) -> Result<()> {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.child = Self::spawn(&self.config, &self.log)?;
        Ok(())
    }

    /// As a service manager would.
    pub async fn stop(mut self) {
        let Ok(id) = i32::try_from(self.child.id()) else { return };
        // SAFETY: a signal to a child that we have not waited for yet.
        unsafe { libc::kill(id, libc::SIGTERM) };
        let deadline = Instant::now() + STOPS_WITHIN;
        while self.child.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Rows compared, and what differs, from a process that reads both files for itself.
pub async fn compare(source: &Path, target: &Path, tables: &[String]) -> Result<(u64, Vec<String>)> {
    let mut command = ourselves(&["demo-compare".as_ref(), source.as_os_str(), target.as_os_str()])?;
    command.arg("--").args(tables);
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let failed = || Error::config("the comparison did not run");
    let output = output.map_err(|error| failed().because(error))?.map_err(|error| failed().because(error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let rows = lines.next().and_then(|line| line.split(' ').next()?.parse().ok());
    let rows = rows.ok_or_else(|| Error::config(String::from_utf8_lossy(&output.stderr).into_owned()))?;
    Ok((rows, lines.map(str::to_owned).collect()))
}
