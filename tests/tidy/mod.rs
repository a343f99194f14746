//! Reads every source file and holds the house to its rules: floors, words, sizes, leftovers.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn files(folder: &str, endings: &[&str]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::from(ROOT).join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if endings.iter().any(|ending| path.extension().is_some_and(|found| found == *ending)) {
                let name = path.strip_prefix(ROOT).expect("below the root").display().to_string();
                found.insert(name, fs::read_to_string(&path).expect("a text file"));
            }
        }
    }
    found
}

fn source() -> BTreeMap<String, String> {
    files("src", &["rs"])
}

/// Lines of code, not of comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn complain(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// The floor a file stands on; imports go down only.
fn floor(name: &str) -> u8 {
    let path = name.trim_start_matches("src/");
    let top = path.split(['/', '.']).next().unwrap_or_default();
    match top {
        "main" | "cli" | "demo" => 60,
        "control" | "client" | "http" => 50,
        "supervisor" => 40,
        "certify" | "plan" => 30,
        "pipeline" | "connectors" => 20,
        "state" if path != "state/mod.rs" => 20,
        "source" | "target" | "state" | "fixture" => 10,
        _ => 0,
    }
}

#[test]
fn imports_go_down_only() {
    let mut problems = Vec::new();
    let modules = [
        ("cli", 60),
        ("control", 50),
        ("client", 50),
        ("http", 50),
        ("supervisor", 40),
        ("certify", 30),
        ("pipeline", 20),
        ("connectors", 20),
        ("source", 10),
        ("target", 10),
        ("state", 10),
    ];
    for (name, text) in source() {
        if name == "src/lib.rs" {
            continue;
        }
        for (line, words) in code(&text) {
            for (module, height) in modules {
                let named = words.contains(&format!("crate::{module}::"))
                    || words.trim_start().starts_with(&format!("{module}::"));
                let below = floor(&name) >= height;
                if named && !below && words.contains("crate::") {
                    problems.push(format!("{name}:{line}: imports `{module}` from a floor above"));
                }
            }
        }
    }
    complain(&problems);
}

#[test]
fn neighbours_do_not_import_each_other() {
    let mut problems = Vec::new();
    for (name, text) in source() {
        let Some(rest) = name.strip_prefix("src/connectors/") else { continue };
        let own = rest.split('/').next().unwrap_or_default();
        for (line, words) in code(&text) {
            if words.contains("crate::pipeline") && !name.ends_with("tests.rs") {
                problems.push(format!("{name}:{line}: a connector imports the pipeline"));
            }
            let other = words.split("crate::connectors::").nth(1).and_then(|rest| rest.split([':', ';']).next());
            if other.is_some_and(|other| other != own && other.chars().all(char::is_lowercase)) {
                problems.push(format!("{name}:{line}: a connector imports another"));
            }
        }
    }
    complain(&problems);
}

#[test]
fn foreign_crates_stay_in_their_rooms() {
    let rooms: &[(&str, &[&str])] = &[
        ("rustls", &["src/control/access/", "src/client/door.rs"]),
        ("aws_lc_rs", &["src/control/access/", "src/connectors/tablestore/sign.rs"]),
        ("rusqlite", &["src/connectors/sqlite/", "src/demo/"]),
        ("sled", &["src/state/sled"]),
        ("tonic", &["src/control/", "src/client.rs", "src/client/"]),
        ("prost", &["src/control/", "src/client.rs", "src/client/", "src/connectors/tablestore/"]),
        ("reqwest", &["src/connectors/tablestore/"]),
        ("clap", &["src/cli/", "src/main.rs"]),
        ("axum", &["src/http/"]),
        ("prometheus_client", &["src/http/metrics.rs"]),
        ("sd_notify", &["src/service.rs"]),
    ];
    let mut problems = Vec::new();
    for (name, text) in source() {
        for (line, words) in code(&text) {
            for &(foreign, allowed) in rooms {
                let used = words.contains(&format!("{foreign}::")) || words.contains(&format!("use {foreign}"));
                let own = words.contains(&format!("{foreign}::Sled"))
                    || words.contains(&format!("self::{foreign}"))
                    || words.contains(&format!("mod {foreign}"));
                if used && !own && !allowed.iter().any(|room| name.starts_with(room)) {
                    problems.push(format!("{name}:{line}: `{foreign}` outside {allowed:?}"));
                }
            }
        }
    }
    complain(&problems);
}

#[test]
fn only_the_pump_moves_a_position_and_only_retry_waits() {
    let mut problems = Vec::new();
    for (name, text) in source() {
        if !name.starts_with("src/pipeline/") {
            continue;
        }
        for (line, words) in code(&text) {
            let moves = words.contains("progress.checkpoint =") || words.contains("progress.checkpoint.set");
            let start = ["line.rs", "standing.rs"].iter().any(|file| name.ends_with(file));
            if moves && !name.ends_with("pump.rs") && !start {
                problems.push(format!("{name}:{line}: moves a position (invariant 2)"));
            }
            if words.contains("time::sleep")
                && !["retry.rs", "limit.rs", "mod.rs"].iter().any(|file| name.ends_with(file))
            {
                problems.push(format!("{name}:{line}: waits outside retry.rs"));
            }
        }
    }
    complain(&problems);
}

#[test]
fn one_word_for_one_thing() {
    let banned = [
        ("sink", "target"),
        ("destination", "target"),
        ("offset", "position"),
        ("cursor", "position"),
        ("manager", "the noun it is"),
        ("handler", "the verb it does"),
        ("util", "a noun"),
        ("helper", "a noun"),
    ];
    let mut problems = Vec::new();
    for (name, text) in source() {
        for (line, words) in code(&text) {
            for (word, instead) in banned {
                let words = words.replace("futures_util", "").replace("tokio_util", "");
                let found = words.split(|c: char| !c.is_alphanumeric()).any(|found| found.eq_ignore_ascii_case(word));
                // SQL's own word, in SQL text.
                let in_text = words.contains('"') && word == "offset";
                if found && !in_text {
                    problems.push(format!("{name}:{line}: `{word}`, say {instead}"));
                }
            }
        }
    }
    complain(&problems);
}

#[test]
fn files_are_small_and_say_what_they_are() {
    const LONGEST: usize = 450;
    let mut problems = Vec::new();
    let mut lengths = Vec::new();
    for (name, text) in source() {
        lengths.push(text.lines().count());
        if text.lines().count() > LONGEST {
            problems.push(format!("{name}: {} lines; a file that hurts hides a noun", text.lines().count()));
        }
        if !text.starts_with("//! ") {
            problems.push(format!("{name}: does not start with its sentence"));
        }
        for (number, line) in text.lines().enumerate() {
            if line.chars().count() > 124 {
                problems.push(format!("{name}:{}: longer than 124", number + 1));
            }
        }
    }
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    println!("{} files, median {median} lines", lengths.len());
    if median > 160 {
        problems.push(format!("the median file has {median} lines"));
    }
    complain(&problems);
}

#[test]
fn every_file_is_part_of_the_house() {
    let all = source();
    let mut problems = Vec::new();
    for name in all.keys() {
        let path = Path::new(name);
        let stem = path.file_stem().expect("a file").to_str().expect("ascii");
        if matches!(name.as_str(), "src/main.rs" | "src/lib.rs") {
            continue;
        }
        let (module, folder) = match stem {
            "mod" => {
                let folder = path.parent().expect("below src");
                (folder.file_name().expect("named").to_str().expect("ascii"), folder.parent().expect("below src"))
            }
            stem => (stem, path.parent().expect("below src")),
        };
        let parents = ["mod.rs", "lib.rs", "main.rs"].map(|file| folder.join(file).display().to_string());
        let beside = format!("{}.rs", folder.display());
        let declared = parents
            .iter()
            .chain([&beside])
            .filter_map(|parent| all.get(parent))
            .any(|text| text.lines().any(|line| line.trim_end().ends_with(&format!("mod {module};"))));
        if !declared {
            problems.push(format!("{name}: no `mod {module};` above it"));
        }
    }
    complain(&problems);
}

#[test]
fn nothing_is_left_over() {
    let words = [
        "TO".to_owned() + "DO",
        "FIX".to_owned() + "ME",
        "todo!".to_owned() + "(",
        "unimplemented!".to_owned() + "(",
        "dbg!".to_owned() + "(",
    ];
    let mut problems = Vec::new();
    for folder in ["src", "tests", "proto", "config", "deploy"] {
        for (name, text) in files(folder, &["rs", "proto", "toml", "yaml", "sh", "md"]) {
            for (number, line) in text.lines().enumerate() {
                for word in &words {
                    if line.contains(word.as_str()) {
                        problems.push(format!("{name}:{}: `{word}`", number + 1));
                    }
                }
                if line.trim_start().starts_with("#[ignore") {
                    problems.push(format!("{name}:{}: a test that does not run", number + 1));
                }
                let sleeps = ["thread::sleep", "time::sleep"].iter().any(|word| line.contains(&format!("{word}(")));
                if folder == "tests" && sleeps && name != "tests/support/wait.rs" {
                    problems.push(format!("{name}:{}: a test sleeps; wait for a condition", number + 1));
                }
            }
        }
    }
    complain(&problems);
}

#[test]
fn every_invariant_is_cited_where_it_is_kept() {
    let all: String = source().into_iter().filter(|(name, _)| name != "src/lib.rs").map(|(_, text)| text).collect();
    let mut problems = Vec::new();
    for number in 1..=9 {
        let lower = all.to_lowercase();
        if !lower.contains(&format!("invariant {number}")) {
            problems.push(format!("invariant {number} is cited nowhere"));
        }
    }
    for rule in ["R1", "R2"] {
        if !all.contains(rule) {
            problems.push(format!("{rule} is cited nowhere"));
        }
    }
    complain(&problems);
}

/// POSIX: whoever closes a file drops all locks of the process on it, SQLite's too, and others delete its log then.
#[test]
fn nobody_but_sqlite_opens_a_database_file() {
    let mut problems = Vec::new();
    for (name, text) in source() {
        if !name.starts_with("src/connectors/sqlite/") {
            continue;
        }
        for (line, words) in code(&text) {
            if ["File::open(", "fs::read(", "fs::read_to_string("].iter().any(|open| words.contains(open)) {
                problems.push(format!("{name}:{line}: opens a file"));
            }
        }
    }
    complain(&problems);
}
