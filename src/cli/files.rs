//! `-f FILE`: one or more job files, folders of them, or standard input.

use super::ended::Ended;
use crate::{
    config::{jobs_from_file, jobs_from_text},
    error::Error,
    model::JobSpec,
};
use clap::Args;
use config::FileFormat;
use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
};

#[derive(Args)]
pub struct Files {
    /// A job file (YAML, TOML or JSON), a folder of them, or `-` for YAML from standard input.
    #[arg(short, long = "file", required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// One job, and the file that it is in.
pub struct Given {
    pub place: String,
    pub spec: JobSpec,
}

const ENDINGS: &[&str] = &["yaml", "yml", "toml", "json"];
/// Far beyond any number of job files; what never ends is refused.
const LONGEST_INPUT: u64 = 16 << 20;

impl Files {
    /// All jobs in their order, each name once.
    pub fn jobs(&self) -> Result<Vec<Given>, Ended> {
        let mut jobs = Vec::new();
        let mut places = BTreeMap::new();
        for file in &self.files {
            for (place, spec) in read(file)? {
                if let Some(first) = places.insert(spec.name.clone(), place.clone()) {
                    let text = format!("job `{}` is in {first} and in {place}", spec.name);
                    return Err(Ended::refused(text, "give one of the two another name, or leave it out"));
                }
                jobs.push(Given { place, spec });
            }
        }
        Ok(jobs)
    }

    /// As it was typed, to be typed again.
    pub fn typed(&self) -> String {
        let each = self.files.iter().map(|file| format!("-f {}", file.display()));
        each.collect::<Vec<_>>().join(" ")
    }
}

fn read(file: &Path) -> Result<Vec<(String, JobSpec)>, Ended> {
    if file == Path::new("-") {
        let specs = jobs_from_text(&standard_input()?, FileFormat::Yaml);
        let specs = specs.map_err(|error| error.at("standard input"))?;
        return Ok(specs.into_iter().map(|spec| ("standard input".to_owned(), spec)).collect());
    }
    let mut jobs = Vec::new();
    for path in if file.is_dir() { job_files(file)? } else { vec![file.to_owned()] } {
        let specs = jobs_from_file(&path).map_err(|error| with_line(&path, error.into()))?;
        jobs.extend(specs.into_iter().map(|spec| (path.display().to_string(), spec)));
    }
    Ok(jobs)
}

/// Errors name a key; where only one line of the file has it, that is the place.
fn with_line(path: &Path, ended: Ended) -> Ended {
    let name = path.display().to_string();
    let said = ended.text().strip_prefix(&format!("{name}: ")).map(str::to_owned);
    let line = said.as_ref().and_then(|said| line_of(&std::fs::read_to_string(path).ok()?, said));
    match (said, line) {
        (Some(said), Some(line)) => ended.saying(format!("{name}:{line}: {said}")),
        _ => ended,
    }
}

fn line_of(text: &str, said: &str) -> Option<usize> {
    // One of the same name may be elsewhere.
    if said.ends_with(" is missing") {
        return None;
    }
    let key = said.split('`').nth(1)?.rsplit('.').next()?;
    // A key stands before its colon (YAML, JSON) or equals sign (TOML), maybe quoted, maybe behind others on its line.
    let has_key = |line: &str| {
        line.match_indices(key).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let after = line[at + key.len()..].trim_start_matches(['"', '\'']).trim_start();
            before.is_none_or(|c| !c.is_alphanumeric() && !"_-.".contains(c)) && after.starts_with([':', '='])
        })
    };
    let mut found = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#') && has_key(line));
    let (at, _) = found.next().filter(|_| !key.is_empty())?;
    found.next().is_none().then_some(at + 1)
}

fn standard_input() -> Result<String, Error> {
    let refused = |why: &str| Error::config(format!("standard input: {why}")).hint("give YAML, for example a job file");
    let mut text = String::new();
    let read = std::io::stdin().lock().take(LONGEST_INPUT + 1).read_to_string(&mut text);
    read.map_err(|error| refused("cannot be read").because(error))?;
    if text.len() as u64 > LONGEST_INPUT {
        return Err(refused("longer than 16 MiB"));
    }
    Ok(text)
}

/// In order of their names; folders in it are not looked into.
fn job_files(folder: &Path) -> Result<Vec<PathBuf>, Ended> {
    let unreadable = |error| Error::config(format!("{} cannot be read", folder.display())).because(error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if path.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending)) {
            files.push(path);
        }
    }
    if files.is_empty() {
        let text = format!("no job file in {}", folder.display());
        return Err(Ended::refused(text, "job files end in .yaml, .yml, .toml or .json"));
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_there_once_has_a_line() {
        let text = "name: a\n# keyless: no\nsource: {store: x, keyless: foo}\ntargets:\n  - store: y\n";
        assert_eq!(line_of(text, "`source.keyless`: there is no `foo`"), Some(3));
        assert_eq!(line_of(text, "unknown key `targets`"), Some(4));
        assert_eq!(line_of(text, "`source.store`: not text"), None, "two lines have it");
        assert_eq!(line_of(text, "unknown key `me`"), None, "no key of its own");
        assert_eq!(line_of("[source]\nstore = 1\n", "`source.store`: not text"), Some(2));
        assert_eq!(line_of("{\n \"name\": 1}", "`name`: not text"), Some(2));
        assert_eq!(line_of(text, "`targets[0].keyless` is missing"), None, "what is there is another one");
        assert_eq!(line_of(text, "cannot be understood"), None);
    }
}
