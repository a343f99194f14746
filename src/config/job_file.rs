//! Reads a job file (YAML, TOML or JSON) into the spec that the control API takes.

use super::{keys, place, read};
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
            keyless: Keyless::default(),
        },
        targets: vec![TargetSpec { store: String::new(), existing: Existing::default() }],
        copy: CopySettings::default(),
        apply: ApplySettings::default(),
    };
    serde_json::to_value(job).expect("plain data with text keys")
}
