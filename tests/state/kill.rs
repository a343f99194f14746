//! A process killed while many tasks write: what was acknowledged is there, and no save is torn.

use super::sample::{JOB, progress, record};
use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::Arc,
};
use whimbrel::{
    model::Progress,
    state::{SledState, State},
};

const FOLDER: &str = "WHIMBREL_TEST_STATE_FOLDER";
const WRITERS: u64 = 8;

/// The child's part. Without the variable there is nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_until_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let state = Arc::new(SledState::open(folder.as_ref()).expect("the parent waits for the lock"));
    state.save_job(&record(JOB, "orders")).await.expect("saved");
    let writers = (0..WRITERS).map(|writer| {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let target = format!("t{writer}");
            let start = state.progress(JOB, &target).await.expect("readable").map_or(0, |progress| progress.epoch);
            for turn in start + 1.. {
                state.save_progress(JOB, &target, &progress(turn)).await.expect("saved");
                // One write each, so that lines of two writers do not mix.
                let line = format!("\nacknowledged {writer} {turn}\n");
                std::io::stdout().write_all(line.as_bytes()).expect("the parent reads");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("no panic");
    }
}

/// Lets a child write until it is killed, and returns what it acknowledged per writer.
fn run_child(folder: &std::path::Path, point: Option<String>, lines: usize) -> Vec<u64> {
    let mut command = Command::new(std::env::current_exe().expect("running"));
    command.args(["--exact", "state::kill::writes_until_killed", "--nocapture", "--test-threads=1"]);
    command.env(FOLDER, folder).stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some(point) = &point {
        command.env("WHIMBREL_KILL", point);
    }
    let mut child = command.spawn().expect("this binary runs");
    let mut acknowledged = vec![0; WRITERS as usize];
    let mut left = lines;
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    // A last line cut by the kill was not read as acknowledged; that only asks for less.
    while {
        line.clear();
        output.read_line(&mut line).is_ok_and(|read| read > 0)
    } {
        let Some(rest) = line.strip_suffix('\n').and_then(|line| line.strip_prefix("acknowledged ")) else { continue };
        let (writer, turn) = rest.split_once(' ').expect("as written");
        acknowledged[writer.parse::<usize>().expect("as written")] = turn.parse().expect("as written");
        left = left.saturating_sub(1);
        assert!(left > 0 || point.is_none(), "{point:?} was never reached");
        if left == 0 {
            child.kill().expect("still ours");
        }
    }
    let status = child.wait().expect("ours");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGKILL), "{point:?}");
    acknowledged
}

fn survives(points: impl Iterator<Item = (Option<String>, usize)>) {
    let folder = tempfile::tempdir().expect("a temp folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for (point, lines) in points {
        let acknowledged = run_child(folder.path(), point.clone(), lines);
        let state = SledState::open(folder.path()).expect("opens after the kill");
        for (writer, &turn) in acknowledged.iter().enumerate() {
            let found = runtime.block_on(state.progress(JOB, &format!("t{writer}"))).expect("readable");
            let found: Progress = found.unwrap_or_default();
            assert!(found.epoch >= turn, "{point:?}: writer {writer} was told {turn}, found {}", found.epoch);
            assert!(found == Progress::default() || found == progress(found.epoch), "{point:?}: a torn save");
        }
    }
}

#[cfg(feature = "faults")]
#[test]
fn nothing_acknowledged_is_lost_at_placed_kills() {
    let points = ["state/before-flush", "state/after-flush", "state/after-sync"];
    survives(points.iter().flat_map(|point| [1, 2, 40].map(|visit| (Some(format!("{point}:{visit}")), 10_000))));
}

#[test]
fn nothing_acknowledged_is_lost_at_random_kills() {
    // Not random, but nothing aligns with rounds of the committer.
    survives([1, 7, 63, 200, 501, 1003].into_iter().map(|lines| (None, lines)));
}
