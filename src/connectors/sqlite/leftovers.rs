//! What of ours is in a file and belongs to no job that is known, with the SQL that removes it.

use super::{config::Config, file::Database, log, schema, text::quote, triggers, watermark};
use crate::{
    error::Result,
    model::{JobId, Leftover},
    state::remembered_name,
};
use std::collections::{BTreeMap, BTreeSet};

/// Looks only. A file that is not there holds nothing.
pub(super) fn look(config: &Config, known: &[JobId]) -> Result<Vec<Leftover>> {
    if !config.path.exists() {
        return Ok(Vec::new());
    }
    let known: BTreeSet<String> = known.iter().map(ToString::to_string).collect();
    let mut db = Database::open(&config.path, config.busy, config.max_row_bytes)?;
    db.snapshot(|db| {
        let mut left = in_source(db, &known)?;
        left.extend(in_target(db, &known)?);
        Ok(left)
    })
}

/// The change log, and who follows it.
fn in_source(db: &mut Database, known: &BTreeSet<String>) -> Result<Vec<Leftover>> {
    if !log::is_there(db)? {
        return Ok(Vec::new());
    }
    let follows = db.rows("SELECT job, name FROM whimbrel_follow ORDER BY job, name", [], |row| {
        (schema::text(row.get(0)), schema::text(row.get(1)))
    })?;
    let mut followers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (job, table) in &follows {
        followers.entry(job.clone()).or_default().push(table.clone());
    }
    let orphans: Vec<&String> = followers.keys().filter(|job| !known.contains(*job)).collect();
    if orphans.len() == followers.len() {
        // With the triggers first: without their table they would make every write of the applications fail.
        let names = db.rows(
            "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name GLOB 'whimbrel_[0-9]*' ORDER BY name",
            [],
            |row| schema::text(row.get(0)),
        )?;
        let drops = names.iter().map(|name| format!("DROP TRIGGER {};", quote(name)));
        let tables = log::TABLES.iter().map(|(name, _)| format!("DROP TABLE IF EXISTS {name};"));
        let text = match orphans.as_slice() {
            [] => "no job follows it".to_owned(),
            some => format!("followed by jobs that this daemon does not have: {}", list(some)),
        };
        return Ok(vec![Leftover {
            object: format!("change log: tables whimbrel_… and {} triggers", names.len()),
            job: (orphans.len() == 1).then(|| orphans[0].clone()),
            text,
            remove: at_once(drops.chain(tables)),
        }]);
    }
    let mut left: Vec<Leftover> = orphans
        .iter()
        .map(|job| Leftover {
            object: "reservation of the change log".into(),
            job: Some((*job).clone()),
            text: format!("this daemon does not have the job; it follows {} tables", followers[*job].len()),
            remove: at_once([format!("DELETE FROM whimbrel_follow WHERE job = '{}';", job.replace('\'', "''"))]),
        })
        .collect();
    let is_followed = |name: &str| follows.iter().any(|(_, followed)| followed.eq_ignore_ascii_case(name));
    for table in log::followed(db)?.into_values().filter(|table| !is_followed(&table.name)) {
        let drops = triggers::names(table.number).map(|name| format!("DROP TRIGGER IF EXISTS {};", quote(&name)));
        let note = format!("DELETE FROM whimbrel_table WHERE number = {};", table.number);
        left.push(Leftover {
            object: format!("triggers of table {}", table.name),
            job: None,
            text: "no job follows the table".into(),
            remove: at_once(drops.into_iter().chain([note])),
        });
    }
    Ok(left)
}

/// Job rows and watermarks.
fn in_target(db: &mut Database, known: &BTreeSet<String>) -> Result<Vec<Leftover>> {
    let jobs = watermark::all(db)?;
    let is_known = |job: &JobId| known.contains(&job.to_string());
    let is_last = !jobs.iter().any(|row| is_known(&row.job));
    let orphans: Vec<_> = jobs.iter().filter(|row| !is_known(&row.job)).collect();
    let mut left = Vec::new();
    for (index, row) in orphans.iter().enumerate() {
        let deletes = watermark::TABLES.iter().map(|(table, _)| {
            let column = if *table == "whimbrel_job" { "uuid" } else { "job" };
            format!("DELETE FROM {table} WHERE {column} = '{}';", row.job)
        });
        // The tables go with the last job's rows.
        let drops = watermark::TABLES.iter().map(|(name, _)| format!("DROP TABLE IF EXISTS {name};"));
        let goes = is_last && index + 1 == orphans.len();
        let remove = if goes && index == 0 { at_once(drops) } else { at_once(deletes) };
        left.push(Leftover {
            object: "rows of whimbrel_job and whimbrel_watermark".into(),
            job: Some(row.job.to_string()),
            text: match remembered_name(&row.spec) {
                Some(name) => format!("of job `{name}`, which this daemon does not have"),
                None => "of a job that this daemon does not have".into(),
            },
            remove,
        });
    }
    Ok(left)
}

fn list(jobs: &[&String]) -> String {
    jobs.iter().map(|job| job.as_str()).collect::<Vec<_>>().join(", ")
}

/// All of it or nothing, so that no trigger outlives its table.
fn at_once(statements: impl IntoIterator<Item = String>) -> String {
    let statements: Vec<String> = statements.into_iter().collect();
    format!("BEGIN IMMEDIATE; {} COMMIT;", statements.join(" "))
}
