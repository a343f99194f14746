//! The control API under load: `cargo bench --bench api [-- start|list|get|watch …]`. Prints figures, asserts nothing.
//!
//! Everything runs against the real binary in a process of its own, whose memory and processor time are read from
//! `/proc`. `cargo bench --profile dev …` measures the debug build.

use futures_util::{StreamExt, future::join_all};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::time::{MissedTickBehavior, interval};
use whimbrel::{
    client::{Client, Goal, JobSpec, ObservedState},
    control::v1::{GetJobRequest, ListJobsRequest, job_service_client::JobServiceClient},
};

const SECONDS: u64 = 60;
const CALLS_PER_S: u64 = 1000;
const WATCHERS: usize = 100;

#[tokio::main]
async fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    if is_wanted("start") {
        start().await;
    }
    if is_wanted("list") {
        list().await;
    }
    if is_wanted("get") {
        get().await;
    }
    if is_wanted("watch") {
        watch().await;
    }
}

/// From the process's start to the first answer, with a thousand jobs in the state folder.
async fn start() {
    let home = Home::new(&[("a", "memory:a".into()), ("b", "memory:b".into())]);
    let daemon = home.serve();
    fill(&daemon.address, 1000).await;
    daemon.stop();
    for _ in 0..3 {
        let began = Instant::now();
        let daemon = home.serve();
        let mut client = Client::connect(&daemon.address).await.expect("it listens");
        let jobs = client.all_jobs().await.expect("listed").len();
        println!("start: {jobs} defined jobs, first answer after {:?}", began.elapsed());
        println!("stop: {:?}", daemon.stop());
    }
}

/// Each page of a list of ten thousand jobs.
async fn list() {
    let home = Home::new(&[("a", "memory:a".into()), ("b", "memory:b".into())]);
    let daemon = home.serve();
    let began = Instant::now();
    fill(&daemon.address, 10_000).await;
    println!("list: 10000 jobs created in {:?}", began.elapsed());
    let mut raw = JobServiceClient::connect(format!("http://{}", daemon.address)).await.expect("it listens");
    raw = raw.max_decoding_message_size(64 << 20);
    for (page_size, filter) in [(100, ""), (1000, ""), (100, "state = CREATED AND name : \"*-*7\"")] {
        let (mut times, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListJobsRequest { page_size, page_token, filter: filter.into() };
            let began = Instant::now();
            let page = raw.list_jobs(request).await.expect("listed").into_inner();
            times.push(began.elapsed());
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        println!("list: pages of {page_size}, filter `{filter}`: {}", summary(&mut times));
    }
    println!("list: {}", daemon.memory());
}

/// A thousand calls a second for a minute: their times, and what the daemon's memory does.
async fn get() {
    let home = Home::new(&[("a", "memory:a".into()), ("b", "memory:b".into())]);
    let daemon = home.serve();
    fill(&daemon.address, 10).await;
    println!("get: before, {}", daemon.memory());
    let cpu = daemon.cpu();
    let began = Instant::now();
    let lines = (0..10_u64).map(async |line| {
        let mut raw = JobServiceClient::connect(format!("http://{}", daemon.address)).await.expect("it listens");
        let mut tick = interval(Duration::from_micros(10_000_000 / CALLS_PER_S));
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut times = Vec::new();
        for call in 0..SECONDS * CALLS_PER_S / 10 {
            tick.tick().await;
            if line == 0 && call == SECONDS * CALLS_PER_S / 20 {
                println!("get: halfway, {}", daemon.memory());
            }
            let began = Instant::now();
            raw.get_job(GetJobRequest { name: "job-0".into() }).await.expect("answered");
            times.push(began.elapsed());
        }
        times
    });
    let mut times: Vec<Duration> = join_all(lines).await.into_iter().flatten().collect();
    let took = began.elapsed();
    println!("get: {:.0} calls/s, {}", times.len() as f64 / took.as_secs_f64(), summary(&mut times));
    println!("get: after, {}; {:.0} % of a core", daemon.memory(), 100.0 * (daemon.cpu() - cpu) / took.as_secs_f64());
}

/// What a hundred watchers of a busy job cost.
async fn watch() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let (shop, copy) = (folder.path().join("shop.db"), folder.path().join("copy.db"));
    let writer = Command::new(env!("CARGO_BIN_EXE_whimbrel"))
        .args(["demo-writer", "--rate", "50", "--seconds", "120"])
        .arg(&shop)
        .stdout(Stdio::null())
        .spawn();
    let mut writer = Killed(writer.expect("the binary runs"));
    while !shop.exists() {
        tokio::task::yield_now().await;
    }
    let url = |file: &Path| format!("sqlite:{}", file.display());
    let home = Home::new(&[("shop", url(&shop)), ("copy", url(&copy))]);
    let daemon = home.serve();
    let mut client = Client::connect(&daemon.address).await.expect("it listens");
    client.create_job(&JobSpec::new("busy", "shop", &["copy"]), "").await.expect("created");
    client.start_job("busy").await.expect("started");
    let streaming = Goal::State(ObservedState::Streaming);
    client.wait_job("busy", streaming, Duration::from_secs(60)).await.expect("streams");
    let alone = daemon.share_of_a_core(Duration::from_secs(20)).await;
    let mut watching = Vec::new();
    for _ in 0..WATCHERS {
        // A connection each, as people have.
        let mut client = Client::connect(&daemon.address).await.expect("it listens");
        let mut watch = client.watch_job("busy").await.expect("watched");
        watching.push(tokio::spawn(async move {
            let mut messages = 0_usize;
            let until = Instant::now() + Duration::from_secs(25);
            while Instant::now() < until && watch.next().await.is_some() {
                messages += 1;
            }
            messages
        }));
    }
    let watched = daemon.share_of_a_core(Duration::from_secs(20)).await;
    let messages: usize = join_all(watching).await.into_iter().map(|one| one.expect("no panic")).sum();
    println!("watch: {alone:.1} % of a core alone, {watched:.1} % with {WATCHERS} watchers ({messages} messages)");
    let _ = writer.0.kill();
}

async fn fill(address: &str, jobs: usize) {
    let lines = (0..16).map(async |line| {
        let mut client = Client::connect(address).await.expect("it listens");
        for n in (line..jobs).step_by(16) {
            client.create_job(&JobSpec::new(&format!("job-{n}"), "a", &["b"]), "").await.expect("created");
        }
    });
    join_all(lines).await;
}

fn summary(times: &mut [Duration]) -> String {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    format!("median {:?}, 99 % {:?}, longest {:?} of {}", at(0.5), at(0.99), at(1.0), times.len())
}

struct Home(TempDir);

impl Home {
    fn new(stores: &[(&str, String)]) -> Home {
        let folder = tempfile::tempdir().expect("a temp folder");
        let state = folder.path().join("state");
        let mut text = format!("listen = \"127.0.0.1:0\"\n[state]\ndir = {state:?}\n[log]\nformat = \"json\"\n");
        stores.iter().for_each(|(name, url)| text += &format!("[stores.{name}]\nurl = {url:?}\n"));
        fs::write(folder.path().join("whimbrel.toml"), text).expect("ours");
        Home(folder)
    }

    fn serve(&self) -> Daemon {
        let mut command = Command::new(env!("CARGO_BIN_EXE_whimbrel"));
        command.arg("serve").arg("--config").arg(self.0.path().join("whimbrel.toml")).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let listening = lines.by_ref().find(|line| line.contains("\"listening\"")).expect("it listens");
        std::thread::spawn(move || lines.count());
        let listening: serde_json::Value = serde_json::from_str(&listening).expect("JSON");
        Daemon { child: Killed(child), address: listening["address"].as_str().expect("logged").to_owned() }
    }
}

/// Not left behind when something fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Ended already, most often.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Daemon {
    child: Killed,
    address: String,
}

impl Daemon {
    /// SIGTERM, until the process is gone.
    fn stop(mut self) -> Duration {
        let began = Instant::now();
        // SAFETY: a signal to a child that we have not waited for.
        unsafe { libc::kill(i32::try_from(self.child.0.id()).expect("a process id"), libc::SIGTERM) };
        self.child.0.wait().expect("ours");
        began.elapsed()
    }

    fn memory(&self) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.0.id())).expect("it runs");
        let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        format!("{} {}", line("VmRSS"), line("VmHWM")).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Seconds of processor time so far.
    fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.0.id())).expect("it runs");
        let after_name = stat.rsplit(')').next().expect("a name in parentheses");
        let ticks: f64 = after_name.split_whitespace().skip(11).take(2).map(|n| n.parse::<f64>().expect("ticks")).sum();
        // SAFETY: asks for a constant.
        ticks / unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64
    }

    async fn share_of_a_core(&self, time: Duration) -> f64 {
        let (cpu, began) = (self.cpu(), Instant::now());
        let mut tick = interval(time);
        tick.tick().await;
        tick.tick().await;
        100.0 * (self.cpu() - cpu) / began.elapsed().as_secs_f64()
    }
}
