//! A replica in memory that applies what a tail gives, and is held against what a copy reads (which the server's own
//! client has judged).

use super::reading::{drain, source};
use crate::support::{
    mysql::{Kind, Server},
    wait::DEADLINE,
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use uuid::Uuid;
use whimbrel::{
    error::Result,
    model::{
        Batch, Change, Checkpoint, JobId, Key, KeyRange, Mutation, NO_ROW, Operator, Rows, Table, TableName, Value,
    },
    source::{Columns, Feed, Next, Source, Wanted},
};

/// GTIDs off: places in files are counted.
pub const FILES: &[&str] = &["--gtid-mode=OFF", "--enforce-gtid-consistency=0"];

/// Every server, by every kind of position that it has.
pub const SERVERS: &[(Kind, &[&str])] =
    &[(Kind::Mariadb, &[]), (Kind::Mysql, &[]), (Kind::Mysql, FILES), (Kind::Mysql56, &[]), (Kind::Mysql56, FILES)];

pub const JOB: JobId = JobId(Uuid::from_u128(5));

type Row = BTreeMap<String, Value>;

pub struct Follower {
    pub source: Arc<dyn Source>,
    names: Vec<TableName>,
    tables: BTreeMap<TableName, BTreeMap<Vec<u8>, Vec<Row>>>,
    pub at: Checkpoint,
    feed: Option<Box<dyn Feed>>,
    /// Every change that came, in order.
    pub seen: Vec<(Change, String)>,
    pub batches: Vec<Batch>,
}

pub fn name(table: &str) -> TableName {
    TableName::new("shop", table)
}

impl Follower {
    /// Begins, and copies what there is.
    pub async fn begin(server: &Server, tables: &[&str]) -> Follower {
        let source = source(server);
        let names: Vec<TableName> = tables.iter().map(|table| name(table)).collect();
        let (all, _) = source.tables().await.expect("readable");
        let shapes: Vec<Arc<Table>> = all.into_iter().filter(|table| names.contains(&table.name)).collect();
        let at = source.begin(JOB, &shapes).await.expect("begun");
        let mut follower =
            Follower { source, names, tables: BTreeMap::new(), at, feed: None, seen: Vec::new(), batches: Vec::new() };
        for shape in &shapes {
            follower.copy(shape).await;
        }
        follower
    }

    pub async fn copy(&mut self, shape: &Arc<Table>) {
        let feed = self.source.copy(shape, &KeyRange::all(), Columns::All, &self.at).await;
        let batches = drain(&mut *feed.expect("opens")).await.expect("readable");
        self.tables.insert(shape.name.clone(), BTreeMap::new());
        for batch in batches {
            let rows = batch.rows();
            rows.mutations.iter().for_each(|one| self.put(rows, one));
        }
    }

    /// Opens the log where it stands, if it is not open.
    pub async fn open(&mut self) -> Result<()> {
        if self.feed.is_none() {
            self.feed = Some(self.source.tail(JOB, &self.at, &[], &self.names).await?);
        }
        Ok(())
    }

    /// As a daemon that ends and starts again.
    pub fn restart(&mut self) {
        self.feed = None;
    }

    /// With another connection to whatever answers at the server's address now.
    pub fn restart_anew(&mut self, server: &Server) {
        self.restart();
        self.source = source(server);
    }

    /// Applies everything up to now.
    pub async fn catch_up(&mut self) -> Result<()> {
        self.open().await?;
        let mark = self.source.mark().await?;
        let start = Instant::now();
        while !self.feed.as_mut().expect("open").passed(&mark) {
            assert!(start.elapsed() < DEADLINE, "the mark is not passed; at {:?}", self.at);
            if let Err(error) = self.step().await {
                self.restart();
                return Err(error);
            }
        }
        Ok(())
    }

    /// One answer of the feed.
    pub async fn step(&mut self) -> Result<bool> {
        self.open().await?;
        match self.feed.as_mut().expect("open").next(Duration::from_millis(200)).await? {
            Next::Batch(batch) => {
                let expected = self.at.get(&batch.partition);
                assert_eq!(expected.map(|at| at.bytes()), Some(batch.from.bytes()), "batches follow each other");
                self.at = Checkpoint::only(batch.to.clone());
                self.apply(&batch).await;
                self.batches.push(batch);
                Ok(true)
            }
            Next::Idle(at) => {
                if !at.is_empty() {
                    self.at = at;
                }
                Ok(false)
            }
            Next::End => panic!("a tail does not end"),
        }
    }

    async fn apply(&mut self, batch: &Batch) {
        let rows = batch.rows();
        for one in &rows.mutations {
            let table = Arc::clone(rows.table(one));
            self.seen.push((one.change, table.name.name.clone()));
            assert!(!one.change.is_alone() || rows.mutations.len() == 1, "{:?} is alone", one.change);
            match one.change {
                // A patch of a row that is not there: the engine fetches it, too.
                Change::Patch if !self.has(rows, one) => self.fetch(&table, rows, one).await,
                Change::Upsert | Change::Patch => self.put(rows, one),
                Change::Delete => self.delete(rows, one),
                Change::Touched => self.fetch(&table, rows, one).await,
                Change::Truncate => self.tables.entry(table.name.clone()).or_default().clear(),
                Change::Recopy => {
                    let (all, _) = self.source.tables().await.expect("readable");
                    match all.into_iter().find(|now| now.name == table.name) {
                        Some(now) => self.copy(&now).await,
                        None => drop(self.tables.remove(&table.name)),
                    }
                }
                Change::Reshape => self.reshape(&table),
                Change::Matching => self.matching(rows, one),
                Change::Merge => panic!("a log of whole fields merges none"),
            }
        }
    }

    fn has(&self, rows: &Rows, one: &Mutation) -> bool {
        let table = rows.table(one);
        let key = Key::of(table, rows.row(one.row)).expect("its key");
        self.tables.get(&table.name).is_some_and(|held| held.contains_key(key.bytes()))
    }

    async fn fetch(&mut self, table: &Arc<Table>, rows: &Rows, one: &Mutation) {
        let key = Key::of(table, rows.row(one.row)).expect("its key");
        let wanted = Wanted { table: Arc::clone(table), keys: vec![key.clone()] };
        let found = self.source.fetch(&[wanted], &self.at, usize::MAX).await.expect("readable").remove(0);
        let Some(now) = &found.table else { return };
        let held = self.tables.entry(now.name.clone()).or_default();
        match found.row(0) {
            None => drop(held.remove(key.bytes())),
            Some(row) => drop(held.insert(key.bytes().to_vec(), vec![named(now, &row.to_values())])),
        }
    }

    fn put(&mut self, rows: &Rows, one: &Mutation) {
        let table = rows.table(one);
        let row = named(table, &rows.row(one.row).to_values());
        let held = self.tables.entry(table.name.clone()).or_default();
        match Key::of(table, rows.row(one.row)) {
            None => held.entry(Vec::new()).or_default().push(row),
            Some(key) => {
                let known = held.entry(key.bytes().to_vec()).or_default();
                match one.change {
                    Change::Patch => known[0].extend(row),
                    _ => *known = vec![row],
                }
            }
        }
    }

    fn delete(&mut self, rows: &Rows, one: &Mutation) {
        let table = rows.table(one);
        let held = self.tables.entry(table.name.clone()).or_default();
        match Key::of(table, rows.row(one.row)) {
            Some(key) => drop(held.remove(key.bytes())),
            None => {
                let row = named(table, &rows.row(one.row).to_values());
                let rows = held.entry(Vec::new()).or_default();
                let place = rows.iter().position(|other| *other == row).expect("a row that is gone was there");
                rows.remove(place);
            }
        }
    }

    fn reshape(&mut self, table: &Table) {
        for row in self.tables.entry(table.name.clone()).or_default().values_mut().flatten() {
            row.retain(|name, _| table.column(name).is_some());
            for column in &table.columns {
                row.entry(column.name.clone()).or_insert(Value::Null);
            }
        }
    }

    fn matching(&mut self, rows: &Rows, one: &Mutation) {
        let table = rows.table(one);
        let criteria: Vec<(String, Value)> = rows
            .criteria(one.before)
            .into_iter()
            .map(|(column, operator, value)| {
                assert_eq!(operator, Operator::Equal);
                (table.columns[column].name.clone(), value.to_owned())
            })
            .collect();
        let held = self.tables.entry(table.name.clone()).or_default();
        let meets = |row: &Row| criteria.iter().all(|(column, value)| row.get(column) == Some(value));
        match one.row {
            NO_ROW => held.retain(|_, rows| !meets(&rows[0])),
            place => {
                let patch = named(table, &rows.row(place).to_values());
                held.values_mut().flatten().filter(|row| meets(row)).for_each(|row| row.extend(patch.clone()));
            }
        }
    }

    /// Holds the same as the source does now.
    pub async fn compare(&self) {
        for name in &self.names {
            let (all, _) = self.source.tables().await.expect("readable");
            let Some(shape) = all.into_iter().find(|table| table.name == *name) else { continue };
            let feed = self.source.copy(&shape, &KeyRange::all(), Columns::All, &self.at).await;
            let batches = drain(&mut *feed.expect("opens")).await.expect("readable");
            let mut there: Vec<Row> = Vec::new();
            for batch in &batches {
                let rows = batch.rows();
                there.extend(rows.mutations.iter().map(|one| named(&shape, &rows.row(one.row).to_values())));
            }
            let mut here: Vec<Row> =
                self.tables.get(name).into_iter().flat_map(|held| held.values().flatten().cloned()).collect();
            let line = |row: &Row| format!("{row:?}");
            there.sort_by_key(line);
            here.sort_by_key(line);
            if there == here {
                continue;
            }
            let lost: Vec<&Row> = there.iter().filter(|row| !here.contains(row)).take(3).collect();
            let invented: Vec<&Row> = here.iter().filter(|row| !there.contains(row)).take(3).collect();
            panic!(
                "{name}: {} rows at the source, {} here; lost {lost:.600?}; invented {invented:.600?}",
                there.len(),
                here.len()
            );
        }
    }

    /// Catches up and compares.
    pub async fn agrees(&mut self) {
        self.catch_up().await.expect("followed");
        self.compare().await;
    }

    /// How often this kind of change came to the table.
    pub fn count(&self, change: Change, table: &str) -> usize {
        self.seen.iter().filter(|(of, name)| *of == change && name == table).count()
    }
}

fn named(table: &Table, values: &[Option<Value>]) -> Row {
    let columns = table.columns.iter().map(|column| column.name.clone());
    columns.zip(values).filter_map(|(name, value)| Some((name, value.clone()?))).collect()
}
