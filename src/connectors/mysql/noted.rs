//! What a target remembers of a job's tables: each has a row of its own, so that many cost no more than a few.

use super::{
    compare::find,
    connect::Session,
    schema::strings,
    text::{hex, literal},
    watermark::{Home, TABLE, VERSION, said},
};
use crate::{
    error::{Error, Result},
    model::{JobId, Table, TableName},
    target,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `whimbrel_job.tables`, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Owned {
    /// What the job may write.
    pub claimed: Vec<TableName>,
    /// By the first version; since then each has a row of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prepared: BTreeMap<TableName, Noted>,
}

/// `whimbrel_table.noted`, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Noted {
    /// Nothing was prepared since it was finished.
    pub finished: bool,
    /// Which copy of the table it was prepared for.
    #[serde(default)]
    pub generation: u64,
    /// It was finished once: indexes that come later are made when they are told.
    #[serde(default)]
    pub stood: bool,
    /// We made it: its foreign keys are ours to add.
    #[serde(default)]
    pub made: bool,
    /// Foreign keys that need an index of their parent, which is made when the parent is finished.
    #[serde(default)]
    pub waiting: Vec<String>,
    /// Indexes that we made: their names at the source, and here.
    pub indexes: BTreeMap<String, String>,
    /// The source's columns, all of which are here since. Earlier builds did not note them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
}

impl Noted {
    /// Columns of the source's that come, and are here already: one that went and comes back, or one of others.
    pub fn returning<'t>(&self, table: &'t Table, there: &Table) -> Vec<&'t str> {
        let noted =
            |name: &str| self.columns.is_empty() || self.columns.iter().any(|own| own.eq_ignore_ascii_case(name));
        let names = table.columns.iter().map(|column| column.name.as_str());
        names.filter(|name| !noted(name) && find(there, name).is_some()).collect()
    }

    /// That a column which was prepared is gone: its values are lost here, and what comes for it would be, too.
    pub fn prove_columns(&self, table: &Table, there: &Table) -> Result<()> {
        // One that the source has no more may go here, too.
        let lost = self.columns.iter().find(|name| find(table, name).is_some() && find(there, name).is_none());
        lost.map_or(Ok(()), |lost| Err(target::lost_column(&there.name, lost)))
    }
}

impl Owned {
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("names and flags are JSON")
    }
}

impl Home {
    /// What is noted of one table.
    pub async fn noted(&self, session: &mut Session, job: JobId, name: &TableName) -> Result<Option<Noted>> {
        let of_name = format!("job = '{job}' AND name = x'{}'", hex(key(name).as_bytes()));
        Ok(self.prepared(session, &of_name).await?.remove(name))
    }

    /// Tables whose foreign keys wait for their parents.
    pub async fn waiting(&self, session: &mut Session, job: JobId) -> Result<BTreeMap<TableName, Noted>> {
        self.prepared(session, &format!("job = '{job}' AND waits = 1")).await
    }

    pub async fn note(&self, session: &mut Session, job: JobId, name: &TableName, noted: &Noted) -> Result<()> {
        let json = serde_json::to_string(noted).expect("names and flags are JSON");
        let sql = format!(
            "INSERT INTO {} (job, name, waits, noted, version) VALUES ('{job}', x'{}', {}, {}, {VERSION}) \
             ON DUPLICATE KEY UPDATE waits = VALUES(waits), noted = VALUES(noted), version = VALUES(version)",
            self.table,
            hex(key(name).as_bytes()),
            u8::from(!noted.waiting.is_empty()),
            literal(&json)
        );
        session.run(sql).await.map_err(said)
    }

    /// Of all jobs.
    pub async fn all_noted(&self, session: &mut Session) -> Result<BTreeMap<TableName, Noted>> {
        self.prepared(session, "TRUE").await
    }

    /// `of`: a condition.
    pub async fn prepared(&self, session: &mut Session, of: &str) -> Result<BTreeMap<TableName, Noted>> {
        let sql = format!("SELECT job, name, noted FROM {} WHERE {of}", self.table);
        let rows = session.rows(sql).await.map_err(said)?;
        let read = |row| {
            let [job, name, noted] = strings(row);
            let both = serde_json::from_str(&name).and_then(|name| Ok((name, serde_json::from_str(&noted)?)));
            both.map_err(|error| {
                Error::config(format!("the row of {name} in `{TABLE}` cannot be read")).because(error).hint(format!(
                    "restore it, or have the table copied again: DELETE FROM {} WHERE job = '{job}' AND name = '{name}'",
                    self.table
                ))
            })
        };
        rows.into_iter().map(read).collect()
    }
}

/// A table as `whimbrel_table` names it.
fn key(name: &TableName) -> String {
    serde_json::to_string(name).expect("a name is JSON")
}
