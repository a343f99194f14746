//! Every command of the README, run as it stands there: on the files that it shows, in its order.

use crate::support::{
    daemon::{Daemon, Home, whimbrel},
    http,
    tools::tool,
};
use config::FileFormat;
use std::{
    collections::{BTreeSet, HashMap},
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use whimbrel::{
    client::{Client, Failure, Goal, JobSpec},
    config::{Config, job_from_text},
};

const README: &str = include_str!("../../README.md");

/// What this test does not run, and why it needs not.
const ELSEWHERE: &[(&str, &str)] = &[
    ("tests/run", "it runs this"),
    ("whimbrel serve --config whimbrel.toml", "it is running while all others are"),
    ("xdg-open http://127.0.0.1:7412/", "the page is opened in a browser by `http`"),
];

/// The fenced blocks of a language, without the indent of their list.
fn blocks(language: &str) -> Vec<String> {
    let (mut blocks, mut open) = (Vec::new(), None::<(usize, String)>);
    for line in README.lines() {
        let text = line.trim_start();
        match &mut open {
            None if text == format!("```{language}") => open = Some((line.len() - text.len(), String::new())),
            None => {}
            Some(_) if text == "```" => blocks.extend(open.take().map(|(_, block)| block)),
            Some((indent, block)) => *block += &format!("{}\n", line.get(*indent..).unwrap_or_default()),
        }
    }
    blocks
}

/// Each command once, without its comment.
fn commands() -> Vec<String> {
    let mut known = BTreeSet::new();
    let lines = blocks("sh").concat();
    let commands = lines.lines().map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned());
    commands.filter(|command| !command.is_empty() && known.insert(command.clone())).collect()
}

fn block(language: &str, first_line: &str) -> String {
    let mut found = blocks(language).into_iter().filter(|block| block.starts_with(first_line));
    found.next().unwrap_or_else(|| panic!("the README has no block that begins with `{first_line}`"))
}

/// Splits as a shell does with single quotes.
fn words(command: &str) -> Vec<String> {
    let parts = command.split('\'').enumerate();
    let words = parts.flat_map(|(at, part)| match at % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

#[test]
fn every_command_of_the_readme_does_what_it_says() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let shop = folder.path().join("shop.db");
    let sql = "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(1, 2);";
    assert!(Command::new("sqlite3").arg(&shop).arg(sql).status().expect("it runs").success());
    fs::write(folder.path().join("shop.yaml"), block("yaml", "# shop.yaml")).expect("ours");
    let home = Home::in_folder(&[], folder);
    // As the README has it, but for the places on this disk.
    let stores = block("toml", "# whimbrel.toml").replace("/var/lib/shop/shop.db", shop.to_str().expect("UTF-8"));
    let stores = stores.replace("/backup/shop.db", home.path().join("copy.db").to_str().expect("UTF-8"));
    let ours = fs::read_to_string(&home.config).expect("ours");
    fs::write(&home.config, ours + &stores).expect("ours");
    let daemon = home.serve();
    let all = commands();
    assert!(all.len() > 15, "{all:?}");
    for command in all.iter().filter(|command| ELSEWHERE.iter().all(|(known, _)| known != command)) {
        run(command, &daemon, home.path());
    }
    for (command, _) in ELSEWHERE {
        assert!(all.iter().any(|known| known == command), "`{command}` is not in the README any more");
    }
}

#[test]
fn every_file_of_the_readme_is_taken_as_it_stands() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let (configs, jobs) = (blocks("toml"), blocks("yaml"));
    assert!(configs.len() >= 2 && !jobs.is_empty(), "{configs:?} {jobs:?}");
    for (number, text) in configs.iter().enumerate() {
        let file = folder.path().join(format!("{number}.toml"));
        fs::write(&file, text).expect("ours");
        Config::from_parts(Some(&file), HashMap::new(), &[]).unwrap_or_else(|error| panic!("{error}: {text}"));
    }
    for text in &jobs {
        job_from_text(text, FileFormat::Yaml).unwrap_or_else(|error| panic!("{error}: {text}"));
    }
    let known = ["sh", "toml", "yaml", "rust"];
    let opened =
        README.lines().filter_map(|line| line.trim_start().strip_prefix("```")).filter(|kind| !kind.is_empty());
    let unknown: Vec<&str> = opened.filter(|kind| !known.contains(kind)).collect();
    assert!(unknown.is_empty(), "nobody tries blocks of {unknown:?}");
}

/// What the README has for Rust is the text of this, which the compiler has read.
#[allow(dead_code, reason = "it is run with other names in the client's own tests")]
async fn rust_of_the_readme() -> Result<(), Failure> {
    let mut client = Client::connect("127.0.0.1:7411").await?;
    client.create_job(&JobSpec::new("orders", "shop", &["copy"]), "").await?;
    client.start_job("orders").await?;
    client.wait_job("orders", Goal::Lag(Duration::from_secs(1)), Duration::from_secs(7200)).await?;
    Ok(())
}

#[test]
fn the_rust_of_the_readme_compiles() {
    let (_, read) = include_str!("readme.rs").split_once("async fn rust_of_the_readme").expect("above");
    let lines = blocks("rust").concat();
    assert!(lines.lines().count() > 3, "{lines}");
    for line in lines.lines() {
        assert!(read.contains(line), "the compiler has not read: {line}");
    }
}

fn run(command: &str, daemon: &Daemon, folder: &Path) {
    let command = command.replace("127.0.0.1:7411", &daemon.address).replace("127.0.0.1:7412", &daemon.http);
    let words = words(&command);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut program = match words[0] {
        "cargo" => {
            // The same program, built already, and for a shorter time.
            let demo = words.iter().position(|word| *word == "--").expect("arguments of the program");
            let mut program = whimbrel();
            program.args(words[demo + 1..].iter().map(|word| if *word == "30" { "3" } else { word }));
            program
        }
        "whimbrel" => {
            let mut program = whimbrel();
            program.args(&words[1..]);
            program
        }
        "grpcurl" => {
            let mut program = tool("grpcurl");
            program.args(&words[1..]);
            program
        }
        "curl" => {
            let path = words.last().and_then(|url| url.split_once(&daemon.http)).expect("of the daemon").1;
            assert_eq!(http::get(&daemon.http, path).code, 200, "{command}");
            return;
        }
        _ => panic!("nobody runs `{command}`: run it here, or say where it is run"),
    };
    program.current_dir(folder).env("WHIMBREL_SERVER", &daemon.address);
    match command.contains("--watch") || command.contains("WatchJob") {
        true => begins(&command, &mut program),
        false => {
            let output = program.output().expect("it runs");
            let said = [output.stdout, output.stderr].concat();
            assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&said));
        }
    }
}

/// It goes on until somebody ends it: it says something, and is ended.
fn begins(command: &str, program: &mut Command) {
    let mut child = program.stdout(Stdio::piped()).spawn().expect("it runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("text");
    assert!(!line.trim().is_empty(), "{command} says nothing");
    child.kill().expect("ours");
    child.wait().expect("ours");
}
