//! A target on a test's server, driven as a pipeline would, and rows to write.

use super::reading::{drain, settings, source, table};
use crate::support::mysql::Server;
use std::sync::Arc;
use uuid::Uuid;
use whimbrel::{
    connectors::{self, StoreSettings},
    error::Result,
    model::{
        Batch, Body, Change, Checkpoint, Existing, JobId, KeyRange, Kind, NO_ROW, Partition, Position, Rows, Table,
        Value,
    },
    source::{Columns, Source},
    target::{Applied, Claim, Finished, Part, Target},
};

pub fn claim(epoch: u64, tables: &[Arc<Table>]) -> Claim {
    Claim {
        job: JobId(Uuid::from_u128(1)),
        spec: "{}".into(),
        epoch,
        token: Uuid::from_u128(2),
        tables: tables.iter().map(|table| table.name.clone()).collect(),
        feeds: vec![(Partition::new(Partition::ONLY), 1, Position::new(b"0", 0))],
        existing: Existing::Refuse,
        transactional: false,
    }
}

/// A target in the database `copy` of a test's server, driven as a pipeline would.
pub struct Written<'s> {
    pub server: &'s Server,
    pub target: Arc<dyn Target>,
    number: u64,
}

impl<'s> Written<'s> {
    pub async fn open(server: &'s Server, tables: &[Arc<Table>]) -> Written<'s> {
        server.sql("CREATE DATABASE IF NOT EXISTS copy");
        let store = settings(server, "writer");
        let store = StoreSettings { url: store.url.replace("/shop", "/copy"), ..store };
        let target = connectors::open(&store).expect("good settings").target().expect("a target");
        target.open(&claim(1, tables)).await.expect("opens");
        for table in tables {
            target.prepare(table, 1).await.expect("prepared");
        }
        Written { server, target, number: 0 }
    }

    pub async fn try_apply(&mut self, rows: Rows) -> Result<Applied> {
        let batch = Batch {
            partition: Partition::new(Partition::ONLY),
            from: Position::new(b"0", 0),
            to: Position::new(b"1", 0),
            complete: true,
            kind: Kind::Log,
            body: Body::Rows(Arc::new(rows)),
            committed_ms: 0,
        };
        let applied = self.target.apply(Part::whole(&batch, self.number + 1)).await;
        self.number += u64::from(matches!(applied, Ok(Applied::Done)));
        applied
    }

    pub async fn apply(&mut self, rows: Rows) {
        assert_eq!(self.try_apply(rows).await.expect("applied"), Applied::Done);
    }

    /// Copies a table of `shop` as it is read, and finishes it.
    pub async fn copy(&mut self, source: &dyn Source, from: &Arc<Table>, to: &Arc<Table>) {
        let mut feed = source.copy(from, &KeyRange::all(), Columns::All, &Checkpoint::default()).await.expect("opens");
        for batch in drain(&mut *feed).await.expect("readable") {
            let mut rows = Rows::clone(batch.rows());
            rows.shapes.iter_mut().for_each(|shape| *shape = Arc::clone(to));
            self.apply(rows).await;
        }
        assert_eq!(self.target.finish(to).await.expect("finished"), Finished::Done, "{}", to.name);
    }

    /// What the server's client says of a query, in `shop` and in `copy`.
    pub fn both(&self, query: &str) -> [String; 2] {
        ["shop", "copy"].map(|database| self.server.sql(&format!("USE {database}; SET time_zone = '+00:00'; {query}")))
    }
}

/// The same table in the database `copy`; keys point there too.
pub fn moved(table: &Table) -> Arc<Table> {
    let mut table = table.clone();
    table.name.schema = "copy".into();
    table.foreign_keys.iter_mut().for_each(|key| key.parent.schema = "copy".into());
    Arc::new(table)
}

pub fn upsert(table: &Arc<Table>, rows: &[&[Value]]) -> Rows {
    let mut batch = Rows::default();
    let shape = batch.shape(table);
    for row in rows {
        let place = batch.add_row(&row.iter().cloned().map(Some).collect::<Vec<_>>());
        batch.push(shape, Change::Upsert, place, NO_ROW);
    }
    batch
}

pub fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// Tables of `shop` and what they become in `copy`.
pub async fn shapes(server: &Server, names: &[&str]) -> Vec<Arc<Table>> {
    let source = source(server);
    let mut shapes = Vec::new();
    for name in names {
        shapes.push(moved(&*table(&*source, name).await));
    }
    shapes
}
