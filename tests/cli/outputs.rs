//! `-o json` and `-o yaml` on everything that prints: one document, the same in both; nothing else beside it.

use super::scene::{JOB, Shop, ends, json, stdout};
use config::FileFormat;
use serde_json::Value;

fn yaml(text: &str) -> Value {
    // Its reader wants a table at the top.
    let indented: String = text.lines().map(|line| format!("  {line}\n")).collect();
    let source = config::File::from_str(&format!("top:\n{indented}"), FileFormat::Yaml);
    let read = config::Config::builder().add_source(source).build().unwrap_or_else(|error| panic!("{error}: {text}"));
    read.get::<Value>("top").unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn every_answer_is_data_too() {
    let shop = Shop::new(5);
    let daemon = shop.streaming();
    ends(&daemon.ask(&["job", "pause", "shop"]), 0, &[]);
    ends(&daemon.ask(&["wait", "shop", "--for", "paused"]), 0, &[]);
    let file = shop.write("job.yaml", JOB);
    let all: [&[&str]; 11] = [
        &["job", "list"],
        &["job", "history"],
        &["job", "pause", "shop"],
        &["job", "set-limits", "shop", "--rows-per-s", "0"],
        &["status"],
        &["wait", "shop", "--for", "paused"],
        &["apply", "-f", &file],
        &["store", "list"],
        &["store", "check", "shop"],
        &["store", "tables", "shop"],
        &["store", "leftovers", "shop"],
    ];
    for arguments in all {
        let as_json = json(&daemon.ask(&[arguments, &["-o", "json"]].concat()));
        assert!(as_json.is_object() || as_json.is_array(), "{arguments:?}");
        let as_yaml = daemon.ask(&[arguments, &["-o", "yaml"]].concat());
        ends(&as_yaml, 0, &[]);
        let as_yaml = stdout(&as_yaml);
        let same_shape = yaml(&as_yaml);
        assert_eq!(same_shape.is_array(), as_json.is_array(), "{arguments:?}: {as_yaml}");
        if let (Some(a), Some(b)) = (as_json.as_object(), same_shape.as_object()) {
            assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>(), "{arguments:?}");
        }
    }
}

#[test]
fn data_has_the_names_of_the_api() {
    let shop = Shop::new(5);
    let daemon = shop.streaming();
    let job = json(&daemon.ask(&["status", "shop", "-o", "json"]));
    assert_eq!(job["status"]["observed_state"], "OBSERVED_STATE_STREAMING");
    assert_eq!(job["status"]["targets"][0]["tables"][0]["rows"], 5);
    assert!(job["create_time"].as_str().is_some_and(|time| time.ends_with('Z')), "{job}");
    let listed = json(&daemon.ask(&["job", "list", "-o", "json"]));
    assert_eq!(listed[0]["uid"], job["uid"]);
    assert_eq!(json(&daemon.ask(&["job", "start", "shop", "-o", "json"]))["uid"], job["uid"]);
}

#[test]
fn nothing_but_what_was_asked_for_with_quiet() {
    let shop = Shop::new(5);
    let daemon = shop.streaming();
    assert_eq!(stdout(&daemon.ask(&["job", "start", "shop", "-q"])), "");
    let table = stdout(&daemon.ask(&["store", "list", "--quiet"]));
    assert!(table.starts_with("copy") && table.lines().count() == 2, "{table}");
    let wait = daemon.ask(&["wait", "shop", "--for", "streaming", "-q"]);
    assert!(wait.stdout.is_empty() && wait.stderr.is_empty(), "{wait:?}");
    ends(&daemon.ask(&["status", "-o", "xml"]), 2, &["json", "yaml", "wide"]);
}
