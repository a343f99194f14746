//! Completions and man pages are made from the commands: every command has its page.

use super::scene::{ends, stdout};
use crate::support::daemon::whimbrel;
use std::{collections::BTreeSet, process::Output};

fn run(arguments: &[&str]) -> Output {
    whimbrel().args(arguments).output().expect("it runs")
}

/// The commands that a help page lists.
fn commands(help: &str) -> Vec<String> {
    let (_, rest) = help.split_once("Commands:\n").unwrap_or_default();
    let lines = rest.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

fn walk(path: &[String], pages: &mut BTreeSet<String>) {
    pages.insert(format!("{}.1", [&["whimbrel".to_owned()], path].concat().join("-")));
    let arguments: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
    let help = run(&arguments);
    ends(&help, 0, &["Usage: whimbrel"]);
    for name in commands(&stdout(&help)) {
        walk(&[path, &[name]].concat(), pages);
    }
}

#[test]
fn every_command_has_a_man_page_and_no_page_is_without_its_command() {
    let folder = tempfile::tempdir().expect("a temp folder");
    ends(&run(&["man", folder.path().to_str().expect("UTF-8")]), 0, &["man pages are in"]);
    let names = std::fs::read_dir(folder.path()).expect("made").map(|entry| entry.expect("readable").file_name());
    let written: BTreeSet<String> = names.map(|name| name.into_string().expect("UTF-8")).collect();
    let mut wanted = BTreeSet::new();
    walk(&[], &mut wanted);
    assert!(wanted.contains("whimbrel-job-set-limits.1") && wanted.len() > 20, "{wanted:?}");
    let is_about_help = |name: &&String| name.contains("-help");
    assert_eq!(written.iter().filter(|name| !is_about_help(name)).cloned().collect::<BTreeSet<_>>(), wanted);
    let page = std::fs::read_to_string(folder.path().join("whimbrel-wait.1")).expect("written");
    assert!(page.contains("timeout") && page.contains(".TH"), "{page}");
    ends(&run(&["man", "/proc/nowhere"]), 3, &["cannot be written", "hint:"]);
}

#[test]
fn shells_learn_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        ends(&script, 0, &["set-limits", "leftovers", "max-pause"]);
    }
    ends(&run(&["completions", "cmd.com"]), 2, &["bash", "zsh", "fish"]);
    let mut bash = std::process::Command::new("bash");
    let check = bash.args(["-n", "/dev/stdin"]).stdin(std::process::Stdio::piped()).spawn();
    let mut check = check.expect("a shell");
    std::io::Write::write_all(&mut check.stdin.take().expect("piped"), &run(&["completions", "bash"]).stdout)
        .expect("read");
    assert!(check.wait().expect("it ends").success());
}

#[test]
fn nothing_has_two_names() {
    let (mut pages, mut words) = (BTreeSet::new(), Vec::new());
    walk(&[], &mut pages);
    words.extend(pages.iter().filter_map(|page| page.trim_end_matches(".1").rsplit('-').next().map(str::to_owned)));
    for verb in ["get", "ls", "rm", "remove", "stop", "resume", "describe", "create", "update", "watch"] {
        assert!(!words.iter().any(|word| word == verb), "`{verb}` is another name of something");
    }
    for page in &pages {
        let arguments: Vec<&str> = page.trim_end_matches(".1").split('-').skip(1).collect();
        let joined = arguments.join(" ").replace("set limits", "set-limits");
        let help = stdout(&run(&joined.split_whitespace().chain(["--help"]).collect::<Vec<_>>()));
        assert!(!help.contains("alias"), "{page}");
        for other in ["--address", "--format", "--json", "--force", "--token ", "--host"] {
            assert!(!help.contains(other), "{page}: {other}");
        }
    }
}
