//! Tablestore as a source: what the engine may ask, handed to who knows.

use super::{
    begin,
    catalog::{At, Catalog},
    client::Client,
    clock,
    config::Config,
    copy::CopyFeed,
    fetch,
    position::Point,
    row, shard, survey,
    tail::TailFeed,
};
use crate::{
    error::Result,
    model::{Batch, Checkpoint, Finding, JobId, Key, KeyRange, Mark, Position, Severity, Table, TableName},
    source::{Backlog, Columns, Feed, Fetched, Source, Survey, Wanted},
};
use async_trait::async_trait;
use std::{cmp::Ordering, sync::Arc, time::Duration};

pub(super) struct TablestoreSource {
    config: Arc<Config>,
    catalog: Arc<Catalog>,
}

impl TablestoreSource {
    pub fn new(config: Arc<Config>) -> Result<TablestoreSource> {
        let catalog = Arc::new(Catalog::new(Client::new(&config)?));
        Ok(TablestoreSource { config, catalog })
    }
}

#[async_trait]
impl Source for TablestoreSource {
    async fn check(&self, _: JobId, tables: &[Arc<Table>]) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for table in tables {
            let shape = self.catalog.known(&table.name).await?;
            let name = table.name.to_string();
            if shape.stream_id().is_none() {
                findings.push(match self.config.stream_hours {
                    Some(hours) => {
                        Finding::new(Severity::Info, name, format!("its stream is switched on, for {hours} hours"))
                    }
                    None => Finding::new(Severity::Blocking, name, "its stream is off").mend(begin::OFF),
                });
            }
            findings.extend(survey::unlogged(&shape));
        }
        findings.extend(survey::skew(&self.catalog.client));
        Ok(findings)
    }

    async fn tables(&self) -> Result<(Vec<Arc<Table>>, Vec<Finding>)> {
        let (shapes, findings) = self.catalog.all().await?;
        Ok((shapes.into_iter().map(|shape| Arc::clone(&shape.table)).collect(), findings))
    }

    async fn begin(&self, _: JobId, tables: &[Arc<Table>]) -> Result<Checkpoint> {
        begin::begin(&self.catalog, &self.config, tables).await
    }

    async fn release(&self, _: JobId) -> Result<()> {
        Ok(()) // A stream is kept for the time that is set, whoever reads it; nothing in it is ours.
    }

    async fn mark(&self) -> Result<Mark> {
        // An answer tells the service's time.
        self.catalog.client.list_streams(None).await.at("asking for the service's time")?;
        Ok(clock::mark(&self.catalog.client))
    }

    async fn split(&self, table: &Arc<Table>, range: &KeyRange, pieces: usize) -> Result<Vec<KeyRange>> {
        let points = self.catalog.client.split_points(&table.name.name, 1).await;
        let points = points.at(&format!("asking where {} may be split", table.name))?;
        let mut edges: Vec<Key> = Vec::new();
        for point in points.iter().skip(1) {
            let wire = super::plainbuffer::Rows::one(&point.start).map_err(|problem| row::corrupt(&problem))?;
            edges.extend(row::model_key(&wire.key)?);
        }
        let inside = |edge: &Key| -> Result<bool> {
            let cells = row::wire_key(&table.columns, edge)?;
            let order = |bound: &Option<Key>| -> Result<Option<Ordering>> {
                let bound = bound.as_ref().map(|bound| row::wire_key(&table.columns, bound)).transpose()?;
                Ok(bound.map(|bound| row::compare(&cells, &bound)))
            };
            Ok(order(&range.after)?.is_none_or(Ordering::is_gt) && order(&range.upto)?.is_none_or(Ordering::is_lt))
        };
        let mut within = Vec::new();
        for edge in edges {
            if inside(&edge)? {
                within.push(edge);
            }
        }
        let step = (within.len() + 1).div_ceil(pieces.max(1));
        let cuts: Vec<Key> = within.into_iter().skip(step - 1).step_by(step).collect();
        let starts = [range.after.clone()].into_iter().chain(cuts.iter().cloned().map(Some));
        let ends = cuts.iter().cloned().map(Some).chain([range.upto.clone()]);
        Ok(starts.zip(ends).map(|(after, upto)| KeyRange { after, upto }).collect())
    }

    async fn copy(
        &self,
        table: &Arc<Table>,
        range: &KeyRange,
        columns: Columns,
        _after: &Checkpoint,
    ) -> Result<Box<dyn Feed>> {
        // R2: what is acknowledged is read by everybody from then on.
        let shape = self.catalog.known(&table.name).await?;
        Ok(Box::new(CopyFeed::open(&self.catalog, shape, range, columns)?))
    }

    async fn fetch(&self, wanted: &[Wanted], _after: &Checkpoint, max_bytes: usize) -> Result<Vec<Fetched>> {
        fetch::fetch(&self.catalog, wanted, max_bytes).await
    }

    async fn tail(
        &self,
        _: JobId,
        from: &Checkpoint,
        edges: &[Checkpoint],
        tables: &[TableName],
    ) -> Result<Box<dyn Feed>> {
        Ok(Box::new(TailFeed::open(&self.catalog, from, edges, tables).await?))
    }

    fn cut(&self, batch: &Batch, taken: usize) -> Position {
        shard::cut(batch, taken)
    }

    fn order(&self, a: &Position, b: &Position) -> Result<Ordering> {
        Point::read(a)?.compare(&Point::read(b)?)
    }

    fn seen(&self) -> Checkpoint {
        // Nothing that a read shows tells where its stream is.
        Checkpoint::default()
    }

    async fn backlog(&self, _: JobId, from: &Checkpoint) -> Result<Backlog> {
        survey::backlog(&self.catalog, from).await
    }

    async fn survey(&self, tables: &[Arc<Table>], within: Duration) -> Result<Survey> {
        survey::survey(&self.catalog, tables, within).await
    }

    fn is_schema_free(&self) -> bool {
        true
    }

    fn place(&self) -> Option<String> {
        Some(format!("tablestore {}@{}", self.config.instance, self.config.endpoint))
    }
}
