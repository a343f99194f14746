//! The status page in a real browser: what a person sees, and that nothing of a store becomes markup.

use super::Watched;
use crate::support::wait::until;
use serde_json::Value;
use std::{fs, path::PathBuf, process::Command};

struct Seen {
    /// The document after its script has run.
    dom: String,
    /// What the browser's console says: refused scripts and styles, and errors.
    console: Vec<String>,
}

fn look(url: &str, more: &[&str]) -> Seen {
    let profile = tempfile::tempdir().expect("a temp folder");
    let output = Command::new("chromium")
        // Its own sandbox does not start for root, and the page is ours.
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
        .args(["--enable-logging=stderr", "--v=0", "--virtual-time-budget=8000", "--window-size=1000,1100"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(more)
        .arg(url)
        .output()
        .expect("chromium: bash tests/setup/chromium.sh");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{log}");
    let console = log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    Seen { dom: String::from_utf8_lossy(&output.stdout).into_owned(), console }
}

#[test]
fn a_person_sees_jobs_tables_and_graphs_and_no_markup_of_strangers() {
    // What would be said if there were something to say.
    let control = look("data:text/html,<script>console.error('heard')</script>", &["--dump-dom"]);
    assert!(control.console.iter().any(|line| line.contains("heard")), "the console is not heard");
    let watched = Watched::serve(crate::support::daemon::Home::serve);
    let samples = || watched.shows("people")["targets"][0]["samples"].as_array().cloned().unwrap_or_default();
    until("a first sample", || (!samples().is_empty()).then_some(()));
    watched.change("INSERT INTO people SELECT value, 'more' FROM generate_series(1000, 1200)");
    let moves = |sample: &Value| sample["per_s"].as_f64() > Some(0.0);
    until("something to draw", || samples().iter().any(moves).then_some(()));
    let url = format!("http://{}/#people", watched.daemon.http);
    let seen = look(&url, &["--dump-dom"]);
    assert_eq!(seen.console, Vec::<String>::new());
    for part in [
        "<h2>people</h2>",
        "<span class=\"state streaming\">streaming</span>",
        "into b",
        "<td>main.people</td>",
        "<td>main.&lt;script&gt;alert(1)&lt;/script&gt;</td>",
        "<polyline",
        "up ",
    ] {
        assert!(seen.dom.contains(part), "`{part}` is missing in {}", seen.dom);
    }
    assert!(!seen.dom.contains("<script>alert"), "{}", seen.dom);
    // Kept, to be looked at.
    let picture = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("status-page.png");
    let seen = look(&url, &[&format!("--screenshot={}", picture.display())]);
    assert_eq!(seen.console, Vec::<String>::new());
    let bytes = fs::read(&picture).expect("drawn");
    assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 20_000, "an empty page: {} bytes", bytes.len());
}

#[test]
fn a_daemon_without_jobs_says_what_to_type() {
    let home = crate::support::daemon::Home::new(&[]);
    let daemon = home.serve();
    let seen = look(&format!("http://{}/", daemon.http), &["--dump-dom"]);
    assert!(seen.dom.contains("No jobs yet: whimbrel apply -f job.yaml --start"), "{}", seen.dom);
    assert_eq!(seen.console, Vec::<String>::new());
}
