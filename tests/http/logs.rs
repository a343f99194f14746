//! What a person reads: each line of a job says whose it is, and one thing is said once.

use super::Watched;
use serde_json::Value;
use std::fs;

#[test]
fn every_line_of_a_job_says_whose_it_is() {
    let watched = Watched::serve(crate::support::daemon::Home::serve);
    let uid = watched.shows("people")["uid"].as_str().expect("one").to_owned();
    // A job that cannot work, beside it.
    let file = watched.home.path().join("broken.yaml");
    fs::write(&file, "name: broken\nsource: {store: a, tables: [\"main.nothing\"]}\ntargets: [{store: b}]\n")
        .expect("ours");
    assert!(!watched.daemon.ask(&["apply", "-f", file.to_str().expect("UTF-8"), "--start"]).status.success());
    crate::support::wait::until("it failed", || (watched.shows("broken")["observed"] == "failed").then_some(()));
    assert!(watched.daemon.ask(&["job", "delete", "people", "--yes"]).status.success());
    crate::support::wait::until("it is gone", || watched.shows("people").get("name").is_none().then_some(()));
    let Watched { daemon, home: _home } = watched;
    let (_, log) = daemon.terminate(libc::SIGTERM);
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    let said = |job: &str, message: &str| -> Vec<&Value> {
        lines.iter().filter(|line| line["job"] == job && line["message"] == message).collect()
    };
    for line in &lines {
        for key in ["timestamp", "level", "module", "message"] {
            assert!(line[key].is_string(), "{key} is missing in {line}");
        }
        let is_of_a_job = ["table", "target"].iter().any(|key| line.get(key).is_some());
        assert!(!is_of_a_job || (line["job"].is_string() && line["uid"].is_string()), "whose is {line}?");
        assert!(line["job"] != "people" || line["uid"] == uid.as_str(), "{line}");
    }
    let consistent = said("people", "table is consistent");
    assert_eq!(consistent.len(), 3, "{log}");
    assert!(consistent.iter().all(|line| line["target"] == "b" && line["table"].is_string()));
    for verb in ["create", "start", "delete"] {
        let asked = said("people", &format!("asked to {verb}"));
        assert_eq!(asked.len(), 1, "{verb}: {log}");
        assert!(asked[0]["who"].is_string());
    }
    assert_eq!(said("people", "the job begins").len(), 1, "{log}");
    assert_eq!(said("people", "the job stopped, with all that is applied saved").len(), 1, "{log}");
    assert_eq!(said("people", "job deleted").len(), 1);
    let stopped = said("broken", "the job stopped");
    assert_eq!(stopped.len(), 1, "{log}");
    assert!(
        stopped[0]["hint"].is_string() && stopped[0]["error"].as_str().is_some_and(|text| text.contains("no table"))
    );
}
