//! The status page in a real browser: what a person sees, and that nothing of a store becomes markup.

use super::Watched;
use crate::support::{daemon::Home, http::get, wait::until};
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
    let watched = Watched::serve(Home::serve);
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

/// A thousand jobs with all their samples would be megabytes, every two seconds.
#[test]
fn of_many_targets_those_of_an_opened_job_have_graphs() {
    let names: Vec<String> = (0..7 * 16).map(|n| format!("t{n}")).collect();
    let urls: Vec<String> = names.iter().map(|name| format!("memory:{name}")).collect();
    let stores: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(urls.iter().map(String::as_str)).collect();
    let folder = tempfile::tempdir().expect("a temp folder");
    let file = folder.path().join("a.db");
    let made = Command::new("sqlite3").arg(&file).arg("CREATE TABLE people (id INTEGER PRIMARY KEY)").status();
    assert!(made.expect("the sqlite3 shell: bash tests/setup/sqlite3.sh").success());
    let home = Home::in_folder(&[&[("a", &*format!("sqlite:{}", file.display()))], &*stores].concat(), folder);
    let daemon = home.serve();
    for (number, names) in names.chunks(16).enumerate() {
        let targets: Vec<String> = names.iter().map(|name| format!("{{store: {name}}}")).collect();
        let file = home.path().join("job.yaml");
        let job = format!("name: job{number}\nsource: {{store: a}}\ntargets: [{}]\n", targets.join(", "));
        fs::write(&file, job).expect("ours");
        let applied = daemon.ask(&["apply", "-f", file.to_str().expect("UTF-8"), "--start"]);
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    }
    let asked = |path: &str| -> Value { serde_json::from_str(&get(&daemon.http, path).body).expect("JSON") };
    until("samples of the job", || {
        asked("/status.json?job=job6")["targets"][0]["samples"][0].is_object().then_some(())
    });
    let overview = until("all jobs in the overview", || {
        let jobs = asked("/status.json")["jobs"].clone();
        let targets = jobs.as_array()?.iter().filter_map(|job| job["targets"].as_array().map(Vec::len)).sum::<usize>();
        (targets == names.len()).then_some(jobs)
    });
    assert_eq!(overview[6]["targets"][0]["samples"], Value::Null);
    let shut = look(&format!("http://{}/", daemon.http), &["--dump-dom"]);
    assert!(shut.dom.contains("<h2>job6</h2>") && !shut.dom.contains("<polyline"), "{}", shut.dom);
    let open = look(&format!("http://{}/#job6", daemon.http), &["--dump-dom"]);
    assert!(open.dom.contains("<polyline"), "{}", open.dom);
    assert_eq!((shut.console, open.console), (vec![], vec![]));
}

#[test]
fn a_daemon_without_jobs_says_what_to_type() {
    let home = Home::new(&[]);
    let daemon = home.serve();
    let seen = look(&format!("http://{}/", daemon.http), &["--dump-dom"]);
    assert!(seen.dom.contains("No jobs yet: whimbrel apply -f job.yaml --start"), "{}", seen.dom);
    assert_eq!(seen.console, Vec::<String>::new());
}
