//! What a user asks for: one source, its tables, one or more targets. The job file, one to one.

use super::Table;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};
use uuid::Uuid;

/// Names a job for ever; a new job of the same name has another id and inherits nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId(pub Uuid);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    pub name: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    pub source: SourceSpec,
    pub targets: Vec<TargetSpec>,
    #[serde(default)]
    pub copy: CopySettings,
    #[serde(default)]
    pub apply: ApplySettings,
}

impl JobSpec {
    /// Every table of one store into others, all else at its default.
    pub fn new(name: &str, source: &str, targets: &[&str]) -> JobSpec {
        let target = |store: &&str| TargetSpec { store: (*store).to_owned(), existing: Existing::default() };
        JobSpec {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            source: SourceSpec::new(source),
            targets: targets.iter().map(target).collect(),
            copy: CopySettings::default(),
            apply: ApplySettings::default(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSpec {
    /// Named in the config; never a password here.
    pub store: String,
    /// Globs of `schema.table`; `!` in front excludes. Empty: every table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// `schema.table` or `schema.*` at the source → the same form at the targets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rename: BTreeMap<String, String>,
    /// Of schema-free tables, for targets with columns: `schema.table` → `name type` of each. None: those that the table
    /// declares.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, Vec<String>>,
    /// The column that takes all other fields of such a row, as JSON. Empty: a row that has one is refused.
    #[serde(default = "default_rest", skip_serializing_if = "is_default_rest")]
    pub rest: String,
    #[serde(default)]
    pub keyless: Keyless,
}

pub fn default_rest() -> String {
    "rest".to_owned()
}

impl SourceSpec {
    /// Every table of the store, all else at its default.
    pub fn new(store: &str) -> SourceSpec {
        SourceSpec {
            store: store.to_owned(),
            tables: Vec::new(),
            rename: BTreeMap::new(),
            columns: BTreeMap::new(),
            rest: default_rest(),
            keyless: Keyless::default(),
        }
    }
}

fn is_default_rest(rest: &String) -> bool {
    *rest == default_rest()
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetSpec {
    pub store: String,
    #[serde(default)]
    pub existing: Existing,
}

/// What becomes of rows that are in a target table before the first copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    /// A table with rows stops the job before anything is written.
    #[default]
    Refuse,
    /// They stay; the source's rows are written over and beside them.
    Merge,
    /// After the copy, rows that the source lacks are swept.
    Replace,
}

impl Existing {
    /// Whether a table is taken with the rows of others that are in it. Rows without a key cannot be merged.
    pub fn admits(self, table: &Table) -> bool {
        match self {
            Existing::Refuse => false,
            Existing::Merge => !table.is_keyless(),
            Existing::Replace => true,
        }
    }
}

/// What becomes of tables without a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keyless {
    #[default]
    Refuse,
    /// One consistent read at a known position, then full-row identity with multiplicity, on lane 0.
    Exact,
    /// Rows are only ever added.
    Append,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CopySettings {
    /// Ranges copied side by side; 0 chooses.
    pub parallelism: u16,
    pub limits: Limits,
}

impl CopySettings {
    /// Ranges copied side by side into a target that is served best by so many lanes.
    pub fn side_by_side(&self, lanes: u16) -> u16 {
        if self.parallelism == 0 { lanes } else { self.parallelism }
    }
}

/// 0 is unlimited. Changeable while the job runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    pub rows_per_s: u64,
    pub bytes_per_s: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApplySettings {
    /// Connections that apply a batch side by side; 0 lets the target's connector choose.
    pub lanes: u16,
    /// Keep the source's transactions whole in the target (one lane).
    pub transactional: bool,
    /// A row above this is refused.
    pub max_row_bytes: u64,
    pub refused_row: Refusal,
}

impl Default for ApplySettings {
    fn default() -> Self {
        ApplySettings { lanes: 0, transactional: false, max_row_bytes: 64 << 20, refused_row: Refusal::Stop }
    }
}

/// What a row that the target will never take does to its job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    #[default]
    Stop,
}
