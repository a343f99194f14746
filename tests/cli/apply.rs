//! `apply`: idempotent, shows a difference before it does it, and what it refuses.

use super::scene::{JOB, Shop, ends, json, stdout};
use crate::support::daemon::whimbrel;
use std::{
    io::Write,
    process::{Output, Stdio},
};

fn with_input(address: &str, arguments: &[&str], input: &str) -> Output {
    let mut command = whimbrel();
    command.args(arguments).args(["--server", address]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

#[test]
fn what_is_applied_twice_changes_nothing_the_second_time() {
    let shop = Shop::new(3);
    let daemon = shop.home.serve();
    let file = shop.write("job.yaml", JOB);
    ends(&daemon.ask(&["apply", "-f", &file]), 0, &["+name: shop", "created", "next: "]);
    let etag = || json(&daemon.ask(&["status", "shop", "-o", "json"]))["etag"].clone();
    let before = etag();
    let again = daemon.ask(&["apply", "-f", &file]);
    ends(&again, 0, &["unchanged"]);
    assert!(!stdout(&again).contains("+++"), "no difference: {}", stdout(&again));
    assert_eq!(etag(), before);
    assert_eq!(stdout(&daemon.ask(&["apply", "-f", &file, "--quiet"])), "");
}

#[test]
fn a_difference_is_shown_and_a_dry_run_only_shows_it() {
    let shop = Shop::new(3);
    let daemon = shop.home.serve();
    let file = shop.write("job.yaml", JOB);
    ends(&daemon.ask(&["apply", "-f", &file, "--dry-run"]), 0, &["+name: shop", "dry run", "nothing is saved"]);
    ends(&daemon.ask(&["status", "shop"]), 3, &["no job `shop`"]);
    ends(&daemon.ask(&["apply", "-f", &file]), 0, &["created"]);
    let changed = shop.write("job.yaml", &format!("{JOB}copy: {{limits: {{rows_per_s: 7}}}}\n"));
    let difference = &["--- in the daemon", "-    rows_per_s: 0", "+    rows_per_s: 7", "updated"];
    ends(&daemon.ask(&["apply", "-f", &changed, "--dry-run"]), 0, difference);
    let rows =
        || json(&daemon.ask(&["job", "show", "shop", "-o", "json"]))["spec"]["copy"]["limits"]["rows_per_s"].clone();
    assert_eq!(rows(), 0);
    ends(&daemon.ask(&["apply", "-f", &changed]), 0, difference);
    assert_eq!(rows(), 7);
}

#[test]
fn the_job_file_that_is_shown_is_the_one_that_was_applied() {
    let shop = Shop::new(3);
    let daemon = shop.home.serve();
    let text = "name: shop\nlabels: {team: 'yes', \"a b\": '0x1f: #'}\nsource:\n  store: shop\n  tables: ['main.*', '!main.x?']\n  \
                rename: {main.people: main.customers}\n  keyless: exact\ntargets: [{store: copy, existing: merge}]\n\
                copy: {parallelism: 3, limits: {bytes_per_s: 1000000}}\napply: {lanes: 2}\n";
    ends(&daemon.ask(&["apply", "-f", &shop.write("job.yaml", text)]), 0, &["created"]);
    let shown = stdout(&daemon.ask(&["job", "show", "shop", "-o", "yaml"]));
    ends(&with_input(&daemon.address, &["apply", "-f", "-"], &shown), 0, &["unchanged"]);
    // For eyes too: what is said beside it is a comment.
    let for_eyes = stdout(&daemon.ask(&["job", "show", "shop"]));
    assert!(for_eyes.starts_with("# uid "), "{for_eyes}");
    ends(&with_input(&daemon.address, &["apply", "-f", "-"], &for_eyes), 0, &["unchanged"]);
    // As data it is the whole job.
    let whole = json(&daemon.ask(&["job", "show", "shop", "-o", "json"]));
    assert_eq!(whole, json(&daemon.ask(&["status", "shop", "-o", "json"])));
    for part in ["name", "uid", "etag", "spec", "status"] {
        assert!(whole.get(part).is_some(), "{part}: {whole}");
    }
    ends(&daemon.ask(&["job", "show", "--help"]), 0, &["`-o yaml` is that file", "`-o yaml`", "uid, etag"]);
}

#[test]
fn several_documents_files_and_folders_are_one_apply() {
    let shop = Shop::new(3);
    let daemon = shop.home.serve();
    let named = |name: &str| JOB.replace("name: shop", &format!("name: {name}"));
    let two = format!("# jobs of the shop\n---\n{}---\n{}", named("one"), named("two"));
    let folder = shop.file("jobs");
    std::fs::create_dir(&folder).expect("our own folder");
    std::fs::write(folder.join("three.yml"), named("three")).expect("ours");
    std::fs::write(folder.join("notes.txt"), "not a job").expect("ours");
    let folder = folder.to_str().expect("UTF-8");
    let applied = daemon.ask(&["apply", "-f", &shop.write("two.yaml", &two), "-f", folder, "-o", "json"]);
    let did = |value: &serde_json::Value| (value["did"].as_str().map(str::to_owned), value["job"]["name"].clone());
    let applied: Vec<_> = json(&applied).as_array().expect("a list").iter().map(did).collect();
    let created = |name: &str| (Some("created".to_owned()), serde_json::Value::from(name));
    assert_eq!(applied, [created("one"), created("two"), created("three")]);
    let twice = shop.write("twice.yaml", &format!("{}---\n{}", named("four"), named("four")));
    ends(&daemon.ask(&["apply", "-f", &twice]), 3, &["`four`", "twice.yaml", "hint:"]);
    let bad = shop.write("bad.yaml", &format!("{}---\nname: five\nsorce: {{}}\n", named("five")));
    ends(&daemon.ask(&["apply", "-f", &bad]), 3, &["bad.yaml:8: ", "`sorce`", "did you mean `source`"]);
    ends(&daemon.ask(&["apply", "-f", "/nowhere.yaml"]), 3, &["/nowhere.yaml", "hint:"]);
    ends(&daemon.ask(&["apply", "-f", shop.home.path().to_str().expect("UTF-8")]), 3, &["whimbrel.toml"]);
    ends(&with_input(&daemon.address, &["apply", "-f", "-"], ""), 3, &["standard input", "hint:"]);
    ends(&daemon.ask(&["apply"]), 2, &["--file"]);
    let stores = shop.write("stores.yaml", &named("six").replace("store: copy", "store: cpoy"));
    ends(&daemon.ask(&["apply", "-f", &stores]), 3, &["stores.yaml: ", "cpoy", "hint:"]);
    ends(&daemon.ask(&["plan", "-f", &stores]), 3, &["stores.yaml: ", "cpoy", "hint:"]);
    // Of a folder the first is good, the second is not: neither is saved.
    let half = shop.file("half");
    std::fs::create_dir(&half).expect("ours");
    std::fs::write(half.join("a.yaml"), named("seven")).expect("ours");
    std::fs::write(half.join("b.yaml"), named("eight").replace("store: copy", "store: cpoy")).expect("ours");
    let half = half.to_str().expect("UTF-8");
    ends(&daemon.ask(&["apply", "-f", half]), 3, &["half/b.yaml: ", "cpoy", "hint:"]);
    let missing = shop.write("missing.yaml", &named("nine").replace("  - store: copy", "  - existing: merge"));
    ends(&daemon.ask(&["apply", "-f", &missing]), 3, &["missing.yaml: `targets[0].store` is missing", "hint:"]);
    assert_eq!(json(&daemon.ask(&["job", "list", "-o", "json"])).as_array().map(Vec::len), Some(3), "all or nothing");
    std::fs::write(shop.file("half/b.yaml"), named("one")).expect("ours");
    ends(&daemon.ask(&["apply", "-f", half]), 0, &["2 jobs: 1 created, 1 unchanged"]);
}

#[test]
fn a_running_job_keeps_what_cannot_change() {
    let shop = Shop::new(3);
    let daemon = shop.streaming();
    let other = JOB.replace("store: shop\n", "store: shop\n  tables: [\"main.people\"]\n");
    let refused = daemon.ask(&["apply", "-f", &shop.write("job.yaml", &other)]);
    ends(&refused, 3, &["+    - \"main.people\"".replace('"', "").as_str(), "source.tables", "hint:"]);
    let lanes = shop.write("job.yaml", &format!("{JOB}labels: {{env: prod}}\n"));
    ends(
        &daemon.ask(&["apply", "-f", &lanes, "--start"]),
        0,
        &["+  env: prod", "updated", "is started; it is streaming"],
    );
}
