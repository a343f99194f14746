//! Our tables in a target: who writes it, and what each lane has applied. Version 1.
//!
//! ```text
//! whimbrel_job        job STRING, epoch INTEGER     epoch 0: spec, claimed, current, token, version
//!                                                   others: token; made once, so that one daemon has each
//! whimbrel_watermark  job STRING, feed STRING, lane INTEGER     lanes, hash_version, epoch, batch, from_pos, to_pos
//! whimbrel_table      job STRING, name STRING       generation, finished
//! ```

use super::{
    catalog::At,
    change::Change,
    client::Client,
    failure::code,
    limit::READ_ROWS,
    messages::{
        error::CapacityUnit,
        row::{BatchGetRowRequest, Direction, Existence, GetRangeRequest, GetRowRequest, TableInBatchGet},
        table::{CreateTableRequest, KeyType, PrimaryKeySchema, ReservedThroughput, TableMeta, TableOptions},
    },
    plainbuffer::{Cell, Row, Rows as Wire, Value, encode},
    row::corrupt,
};
use crate::{
    error::{Error, Result},
    model::{JobId, LaneMark, Partition, Position, TableName},
    target::{JobRow, Noted, Opened},
};
use bytes::Bytes;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

pub(super) const JOBS: &str = "whimbrel_job";
pub(super) const MARKS: &str = "whimbrel_watermark";
pub(super) const NOTES: &str = "whimbrel_table";
pub(super) const TABLES: [&str; 3] = [JOBS, MARKS, NOTES];

const VERSION: i64 = 1;

/// A table that was made is there soon.
const READY_WITHIN: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(100);

/// What the row of epoch 0 tells.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Owner {
    pub job: JobId,
    pub spec: String,
    pub claimed: Vec<TableName>,
    pub epoch: u64,
    pub token: Uuid,
}

pub(super) fn text_key<'a>(parts: &[(&'a str, &'a str)]) -> Vec<Cell<'a>> {
    parts.iter().map(|(name, text)| Cell::put(name, Value::text(text))).collect()
}

/// Makes our tables where they are missing, and waits until they can be used.
pub(super) async fn make(client: &Client) -> Result<()> {
    let there = client.list_tables().await.at("listing the tables")?;
    let keys: [(&str, &[(&str, KeyType)]); 3] = [
        (JOBS, &[("job", KeyType::String), ("epoch", KeyType::Integer)]),
        (MARKS, &[("job", KeyType::String), ("feed", KeyType::String), ("lane", KeyType::Integer)]),
        (NOTES, &[("job", KeyType::String), ("name", KeyType::String)]),
    ];
    for (name, key) in keys.iter().filter(|(name, _)| !there.iter().any(|known| known == name)) {
        create(
            client,
            name,
            key,
            TableOptions { max_versions: Some(1), time_to_live_s: Some(-1), ..Default::default() },
        )
        .await?;
    }
    Ok(())
}

pub(super) async fn create(client: &Client, name: &str, key: &[(&str, KeyType)], options: TableOptions) -> Result<()> {
    let column = |(name, kind): &(&str, KeyType)| PrimaryKeySchema {
        name: (*name).to_owned(),
        r#type: *kind as i32,
        option: None,
    };
    let request = CreateTableRequest {
        table_meta: TableMeta {
            table_name: name.to_owned(),
            primary_key: key.iter().map(column).collect(),
            ..TableMeta::default()
        },
        reserved_throughput: ReservedThroughput { unit: CapacityUnit { read: Some(0), write: Some(0) } },
        table_options: Some(options),
        ..CreateTableRequest::default()
    };
    match client.create_table(&request).await {
        // Another has made it, or we have and were not told.
        Err(failure) if failure.code() == Some(code::EXISTS) => {}
        made => made.at(&format!("making the table {name}"))?,
    }
    let names: Vec<&str> = key.iter().map(|(name, _)| *name).collect();
    ready(client, name, &names).await
}

/// Waits until rows of the table can be read.
pub(super) async fn ready(client: &Client, name: &str, key: &[&str]) -> Result<()> {
    let until = Instant::now() + READY_WITHIN;
    loop {
        match client.get_range(&all(name, key, 1)).await {
            Ok(_) => return Ok(()),
            Err(failure) if failure.fate() == super::failure::Fate::NotDone && Instant::now() < until => {
                sleep(PAUSE).await;
            }
            Err(failure) => return Err(failure.at(format!("waiting for the table {name}"))),
        }
    }
}

/// The first rows of a table.
pub(super) fn all(name: &str, key: &[&str], limit: i32) -> GetRangeRequest {
    let edge = |value| encode::key(&key.iter().map(|name| Cell::put(name, value)).collect::<Vec<_>>()).into();
    GetRangeRequest {
        table_name: name.to_owned(),
        direction: Direction::Forward as i32,
        max_versions: Some(1),
        limit: Some(limit),
        start: edge(Value::InfMin),
        end: edge(Value::InfMax),
        ..GetRangeRequest::default()
    }
}

/// All rows of one of our tables, of one job or of all, to a reader.
async fn scan(
    client: &Client,
    name: &str,
    rest: &[&str],
    job: Option<&str>,
    mut each: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<()> {
    let edge = |job: Option<&str>, value| -> Bytes {
        let first = Cell::put("job", job.map_or(value, Value::text));
        let cells: Vec<Cell<'_>> = [first].into_iter().chain(rest.iter().map(|name| Cell::put(name, value))).collect();
        encode::key(&cells).into()
    };
    let mut start = Some(edge(job, Value::InfMin));
    while let Some(from) = start {
        let request = GetRangeRequest {
            table_name: name.to_owned(),
            direction: Direction::Forward as i32,
            max_versions: Some(1),
            start: from,
            end: edge(job, Value::InfMax),
            ..GetRangeRequest::default()
        };
        let page = match client.get_range(&request).await {
            // Nobody has written here yet.
            Err(failure) if failure.code() == Some(code::NO_SUCH) => return Ok(()),
            page => page.at(&format!("reading {name}"))?,
        };
        let mut rows = page.rows().map_err(|problem| corrupt(&problem))?;
        let mut row = Row::default();
        while rows.next_into(&mut row).map_err(|problem| corrupt(&problem))? {
            each(&row)?;
        }
        start = page.next_start;
    }
    Ok(())
}

fn text(value: Option<Value<'_>>) -> String {
    match value {
        Some(Value::String(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

fn number(value: Option<Value<'_>>) -> i64 {
    match value {
        Some(Value::Integer(number)) => number,
        _ => 0,
    }
}

fn cell<'a>(row: &Row<'a>, name: &str) -> Option<Value<'a>> {
    row.cells.iter().find(|cell| cell.name == name).and_then(|cell| cell.value)
}

fn unreadable(table: &str, what: &str) -> Error {
    Error::config(format!("a row of `{table}` cannot be read: {what}"))
        .hint("restore it, or drop the table if no job is wanted")
}

fn owner(row: &Row<'_>) -> Result<Owner> {
    let job = text(row.key[0].value);
    let version = number(cell(row, "version"));
    if version > VERSION {
        return Err(Error::config(format!("`{JOBS}` was written by a newer Whimbrel (version {version})"))
            .hint("upgrade this daemon"));
    }
    Ok(Owner {
        job: JobId(job.parse().map_err(|_| unreadable(JOBS, &job))?),
        spec: text(cell(row, "spec")),
        claimed: serde_json::from_str(&text(cell(row, "claimed"))).map_err(|_| unreadable(JOBS, &job))?,
        epoch: number(cell(row, "current")) as u64,
        token: text(cell(row, "token")).parse().map_err(|_| unreadable(JOBS, &job))?,
    })
}

pub(super) async fn owners(client: &Client) -> Result<Vec<Owner>> {
    let mut owners = Vec::new();
    let read = |row: &Row<'_>| {
        if number(row.key[1].value) == 0 {
            owners.push(owner(row)?);
        }
        Ok(())
    };
    scan(client, JOBS, &["epoch"], None, read).await?;
    Ok(owners)
}

/// The row of epoch 0, which each batch asks for.
pub(super) async fn current(client: &Client, job: JobId) -> Result<Option<Owner>> {
    let name = job.to_string();
    let key = [Cell::put("job", Value::text(&name)), Cell::put("epoch", Value::Integer(0))];
    let request = GetRowRequest {
        table_name: JOBS.to_owned(),
        primary_key: encode::key(&key).into(),
        max_versions: Some(1),
        ..GetRowRequest::default()
    };
    let found = match client.get_row(&request).await {
        Err(failure) if failure.code() == Some(code::NO_SUCH) => return Ok(None),
        found => found.at("asking who writes here")?,
    };
    if found.row.is_empty() {
        return Ok(None);
    }
    owner(&Wire::one(&found.row).map_err(|problem| corrupt(&problem))?).map(Some)
}

/// Takes the epoch, which only one can.
pub(super) async fn take(client: &Client, owner: &Owner) -> Result<bool> {
    let (job, token) = (owner.job.to_string(), owner.token.to_string());
    let key = vec![Cell::put("job", Value::text(&job)), Cell::put("epoch", Value::Integer(owner.epoch as i64))];
    let own = Change {
        existence: Existence::NotExpected,
        ..Change::put(key.clone(), vec![Cell::put("token", Value::text(&token))])
    };
    match client.put_row(JOBS, &own).await {
        Err(failure) if failure.code() == Some(code::CONDITION) => {
            let request = GetRowRequest {
                table_name: JOBS.to_owned(),
                primary_key: encode::key(&key).into(),
                max_versions: Some(1),
                ..GetRowRequest::default()
            };
            let found = client.get_row(&request).await.at("asking who has taken the job over")?;
            let row = Wire::one(&found.row).map_err(|problem| corrupt(&problem))?;
            if text(cell(&row, "token")) != token {
                return Ok(false);
            }
        }
        taken => taken.at("taking the job over")?,
    }
    Ok(true)
}

/// Says that the epoch is the newest.
pub(super) async fn hold(client: &Client, owner: &Owner) -> Result<()> {
    let (job, token) = (owner.job.to_string(), owner.token.to_string());
    let claimed = serde_json::to_string(&owner.claimed).expect("names are text");
    let cells = vec![
        Cell::put("spec", Value::text(&owner.spec)),
        Cell::put("claimed", Value::text(&claimed)),
        Cell::put("current", Value::Integer(owner.epoch as i64)),
        Cell::put("token", Value::text(&token)),
        Cell::put("version", Value::Integer(VERSION)),
    ];
    let key = vec![Cell::put("job", Value::text(&job)), Cell::put("epoch", Value::Integer(0))];
    client.put_row(JOBS, &Change::put(key, cells)).await.at("taking the job over")
}

/// Every lane's mark of a job.
pub(super) async fn marks(client: &Client, job: JobId) -> Result<Vec<LaneMark>> {
    let mut marks = Vec::new();
    let read = |row: &Row<'_>| {
        let position = |name: &str| match cell(row, name) {
            Some(Value::Blob(bytes)) => Position::from_bytes(bytes).ok_or_else(|| unreadable(MARKS, name)),
            _ => Err(unreadable(MARKS, name)),
        };
        marks.push(LaneMark {
            feed: Partition::new(&text(row.key[1].value)),
            lane: number(row.key[2].value) as u16,
            lanes: number(cell(row, "lanes")) as u16,
            hash_version: number(cell(row, "hash_version")) as u8,
            epoch: number(cell(row, "epoch")) as u64,
            batch: number(cell(row, "batch")) as u64,
            from: position("from_pos")?,
            to: position("to_pos")?,
        });
        Ok(())
    };
    scan(client, MARKS, &["feed", "lane"], Some(&job.to_string()), read).await?;
    Ok(marks)
}

/// Writes marks, those of a batch together.
pub(super) async fn move_to(client: &Client, job: JobId, marks: &[LaneMark], settles: Duration) -> Result<()> {
    let job = job.to_string();
    let change = |mark: &'_ LaneMark| -> Vec<(&'static str, i64)> {
        vec![
            ("lanes", i64::from(mark.lanes)),
            ("hash_version", i64::from(mark.hash_version)),
            ("epoch", mark.epoch as i64),
            ("batch", mark.batch as i64),
        ]
    };
    let changes: Vec<Change<'_>> = marks
        .iter()
        .map(|mark| {
            let mut cells: Vec<Cell<'_>> =
                change(mark).into_iter().map(|(name, number)| Cell::put(name, Value::Integer(number))).collect();
            cells.push(Cell::put("from_pos", Value::Blob(mark.from.bytes())));
            cells.push(Cell::put("to_pos", Value::Blob(mark.to.bytes())));
            let key = vec![
                Cell::put("job", Value::text(&job)),
                Cell::put("feed", Value::text(mark.feed.as_str())),
                Cell::put("lane", Value::Integer(i64::from(mark.lane))),
            ];
            Change::put(key, cells)
        })
        .collect();
    super::apply::write_all(client, MARKS, &changes, settles).await
}

pub(super) async fn notes(client: &Client, job: JobId) -> Result<BTreeMap<TableName, Noted>> {
    let mut notes = BTreeMap::new();
    let read = |row: &Row<'_>| {
        let name = text(row.key[1].value);
        let noted =
            Noted { generation: number(cell(row, "generation")) as u64, finished: number(cell(row, "finished")) == 1 };
        notes.insert(name.parse().map_err(|_| unreadable(NOTES, &name))?, noted);
        Ok(())
    };
    scan(client, NOTES, &["name"], Some(&job.to_string()), read).await?;
    Ok(notes)
}

pub(super) async fn note(client: &Client, job: JobId, table: &TableName, noted: Noted) -> Result<()> {
    let (job, name) = (job.to_string(), table.to_string());
    let cells = vec![
        Cell::put("generation", Value::Integer(noted.generation as i64)),
        Cell::put("finished", Value::Integer(i64::from(noted.finished))),
    ];
    let change = Change::put(text_key(&[("job", &job), ("name", &name)]), cells);
    client.put_row(NOTES, &change).await.at("noting a table")
}

pub(super) async fn opened(client: &Client, job: JobId) -> Result<Opened> {
    Ok(Opened { marks: marks(client, job).await?, tables: notes(client, job).await?.into_iter().collect() })
}

/// Every job that has rows here.
pub(super) async fn jobs(client: &Client) -> Result<Vec<JobRow>> {
    let mut jobs = Vec::new();
    for owner in owners(client).await? {
        let opened = opened(client, owner.job).await?;
        jobs.push(JobRow { job: owner.job, spec: owner.spec, epoch: owner.epoch, opened });
    }
    Ok(jobs)
}

/// Removes what the job has in our tables; its owner's row last, so that a half is found again.
pub(super) async fn forget(client: &Client, job: JobId) -> Result<()> {
    let name = job.to_string();
    for (table, rest) in [(MARKS, &["feed", "lane"][..]), (NOTES, &["name"]), (JOBS, &["epoch"])] {
        let mut keys: Vec<(Bytes, i64)> = Vec::new();
        let read = |row: &Row<'_>| {
            keys.push((encode::key(&row.key).into(), row.key.last().map_or(0, |last| number(last.value))));
            Ok(())
        };
        scan(client, table, rest, Some(&name), read).await?;
        keys.sort_by_key(|(_, last)| std::cmp::Reverse(*last));
        for (key, _) in keys {
            let row = Wire::one(&key).map_err(|problem| corrupt(&problem))?;
            client.delete_row(table, &Change::delete(row.key)).await.at("forgetting a job")?;
        }
    }
    Ok(())
}

/// Where lanes stand in the store: `None`, it knows nothing of one.
pub(super) async fn lanes(client: &Client, job: JobId, feed: &Partition, lanes: &[u16]) -> Result<Vec<Option<u64>>> {
    let job = job.to_string();
    let mut found = Vec::with_capacity(lanes.len());
    for lanes in lanes.chunks(READ_ROWS) {
        let key = |lane: &u16| -> Bytes {
            let mut key = text_key(&[("job", &job), ("feed", feed.as_str())]);
            key.push(Cell::put("lane", Value::Integer(i64::from(*lane))));
            encode::key(&key).into()
        };
        let request = BatchGetRowRequest {
            tables: vec![TableInBatchGet {
                table_name: MARKS.to_owned(),
                primary_key: lanes.iter().map(key).collect(),
                max_versions: Some(1),
                ..TableInBatchGet::default()
            }],
        };
        let what = "asking where the target stands";
        for row in client.batch_get_row(&request).await.at(what)?.pop().unwrap_or_default() {
            let row = row.at(what)?;
            found.push(match row.row.is_empty() {
                true => None,
                false => {
                    let row = Wire::one(&row.row).map_err(|problem| corrupt(&problem))?;
                    Some(number(cell(&row, "batch")) as u64)
                }
            });
        }
    }
    Ok(found)
}
