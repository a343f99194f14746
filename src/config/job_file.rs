//! Reads a job file (YAML, TOML or JSON) into the spec that the control API takes.

use super::{keys, place, read, text_of};
use crate::{
    error::Result,
    model::{ApplySettings, CopySettings, Existing, JobSpec, Keyless, SourceSpec, TargetSpec},
};
use config::{File, FileFormat, FileSourceString};
use std::path::Path;

pub fn job_from_file(path: &Path) -> Result<JobSpec> {
    job(read(path)?).map_err(|error| place(Some(path), error))
}

pub fn job_from_text(text: &str, format: FileFormat) -> Result<JobSpec> {
    job(File::from_str(text, format))
}

/// All jobs of a file: YAML may hold several documents, between lines of `---`.
pub fn jobs_from_file(path: &Path) -> Result<Vec<JobSpec>> {
    let (text, format) = text_of(path)?;
    jobs_from_text(&text, format).map_err(|error| place(Some(path), error))
}

pub fn jobs_from_text(text: &str, format: FileFormat) -> Result<Vec<JobSpec>> {
    if format != FileFormat::Yaml {
        return Ok(vec![job_from_text(text, format)?]);
    }
    documents(text).iter().map(|document| job_from_text(document, FileFormat::Yaml)).collect()
}

/// Each with as many empty lines before it as it had lines, so that errors name the file's lines. Those that hold
/// nothing but comments are none.
fn documents(text: &str) -> Vec<String> {
    let is_border = |line: &str| line == "---" || line == "..." || line.starts_with("--- ");
    let is_content = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let (mut documents, mut document, mut lines) = (Vec::new(), String::new(), 0);
    for line in text.lines() {
        lines += 1;
        if is_border(line.trim_end()) {
            documents.push(std::mem::replace(&mut document, "\n".repeat(lines)));
        } else {
            document += &format!("{line}\n");
        }
    }
    documents.push(document);
    let all = documents.len();
    documents.retain(|document| document.lines().any(is_content));
    if documents.is_empty() && all > 0 {
        // What is missing in it is said by whoever reads it.
        documents.push(String::new());
    }
    documents
}

fn job(source: File<FileSourceString, FileFormat>) -> Result<JobSpec> {
    let given = config::Config::builder().add_source(source).build().map_err(keys::explain)?;
    keys::check(&given, &known_keys(), "config/jobs/every-key.yaml lists all keys")?;
    given.try_deserialize().map_err(keys::explain)
}

/// A job with something in every place; `*` stands for any name.
fn known_keys() -> serde_json::Value {
    let any_name = || [("*".to_owned(), String::new())].into();
    let job = JobSpec {
        name: String::new(),
        labels: any_name(),
        source: SourceSpec {
            store: String::new(),
            tables: vec![String::new()],
            rename: any_name(),
            columns: [("*".to_owned(), vec![String::new()])].into(),
            rest: "rest of it".into(),
            keyless: Keyless::default(),
        },
        targets: vec![TargetSpec { store: String::new(), existing: Existing::default() }],
        copy: CopySettings::default(),
        apply: ApplySettings::default(),
    };
    serde_json::to_value(job).expect("plain data with text keys")
}
