//! A source on a test's server, and what its reads give, as owned values.

use crate::support::mysql::{PASSWORD, Server};
use secrecy::SecretString;
use std::{sync::Arc, time::Duration};
use whimbrel::{
    connectors::{self, StoreSettings},
    error::Result,
    model::{Batch, Checkpoint, Key, KeyRange, Table, Value},
    source::{Columns, Feed, Next, Source, Wanted},
};

pub fn settings(server: &Server, user: &str) -> StoreSettings {
    let secrets = [("password".to_owned(), SecretString::from(PASSWORD))].into();
    StoreSettings { name: "db".into(), url: server.url(user), secrets, ..StoreSettings::default() }
}

pub fn source(server: &Server) -> Arc<dyn Source> {
    connectors::open(&settings(server, "reader")).expect("good settings").source().expect("a source")
}

pub async fn table(source: &dyn Source, name: &str) -> Arc<Table> {
    let (tables, findings) = source.tables().await.expect("readable");
    let found = tables.into_iter().find(|table| table.name.name == name);
    found.unwrap_or_else(|| panic!("{name} is not among the tables: {findings:?}"))
}

/// All batches that are left of a feed.
pub async fn drain(feed: &mut dyn Feed) -> Result<Vec<Batch>> {
    let mut batches = Vec::new();
    loop {
        match feed.next(Duration::from_secs(10)).await? {
            Next::Batch(batch) => batches.push(batch),
            Next::Idle(_) => {}
            Next::End => return Ok(batches),
        }
    }
}

pub fn rows(batches: &[Batch]) -> Vec<Vec<Value>> {
    let row = |batch: &Batch, place| {
        let values = batch.rows().row(place).to_values();
        values.into_iter().map(|value| value.expect("set")).collect::<Vec<_>>()
    };
    batches
        .iter()
        .flat_map(|batch| batch.rows().mutations.iter().map(|mutation| row(batch, mutation.row)).collect::<Vec<_>>())
        .collect()
}

/// The rows of a range.
pub async fn copied(source: &dyn Source, table: &Arc<Table>, range: &KeyRange) -> Vec<Vec<Value>> {
    let feed = source.copy(table, range, Columns::All, &Checkpoint::default()).await;
    rows(&drain(&mut *feed.expect("opens")).await.expect("readable"))
}

/// The rows that have these keys.
pub async fn fetched(source: &dyn Source, table: &Arc<Table>, keys: Vec<Key>) -> Vec<Option<Vec<Value>>> {
    let wanted = Wanted { table: Arc::clone(table), keys };
    let answer = source.fetch(&[wanted], &Checkpoint::default(), usize::MAX).await.expect("readable").remove(0);
    let row =
        |index| answer.row(index).map(|row| row.to_values().into_iter().map(|value| value.expect("set")).collect());
    (0..answer.rows.len()).map(row).collect()
}
