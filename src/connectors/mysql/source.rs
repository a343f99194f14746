//! MySQL and MariaDB as a source: what the engine may ask, handed to who knows.

use super::{
    backlog::{self, Ages},
    batches, begin, check, commits,
    config::Config,
    connect::{Connections, Session},
    copy::{CopyFeed, Reads},
    failure, fetch, follow,
    history::World,
    position::{self, Point},
    proof, schema, split, survey,
};
use crate::{
    error::Result,
    model::{Batch, Checkpoint, Finding, JobId, KeyRange, Mark, Position, Table, TableName},
    source::{Backlog, Columns, Feed, Fetched, Source, Survey, Wanted},
};
use async_trait::async_trait;
use std::{cmp::Ordering, sync::Arc, time::Duration};

pub(super) struct MysqlSource {
    reads: Reads,
    ages: Ages,
}

impl MysqlSource {
    pub fn new(config: Arc<Config>) -> MysqlSource {
        let connections = Arc::new(Connections::new(config));
        let reads = Reads { connections, shapes: Arc::default(), sight: Arc::default() };
        MysqlSource { reads, ages: Ages::default() }
    }

    async fn lease(&self) -> Result<Session> {
        self.reads.connections.lease().await
    }

    fn give_back(&self, session: Session) {
        self.reads.connections.give_back(session);
    }

    fn world(&self) -> World {
        let connections = Arc::clone(&self.reads.connections);
        World { config: Arc::clone(&connections.config), connections, shapes: Arc::clone(&self.reads.shapes) }
    }
}

#[async_trait]
impl Source for MysqlSource {
    async fn check(&self, job: JobId, tables: &[Arc<Table>]) -> Result<Vec<Finding>> {
        let mut session = self.lease().await?;
        let findings = check::check(&mut session, &self.reads.connections.config, job, tables).await?;
        self.give_back(session);
        Ok(findings)
    }

    async fn tables(&self) -> Result<(Vec<Arc<Table>>, Vec<Finding>)> {
        let mut session = self.lease().await?;
        let database = self.reads.connections.config.database.as_deref();
        let listed = schema::list(&mut session, database).await;
        let (shapes, findings) = listed.map_err(|failure| failure::error(failure, "reading the catalogue"))?;
        self.give_back(session);
        Ok((shapes.into_iter().map(|shape| Arc::clone(&self.reads.shapes.note(shape).table)).collect(), findings))
    }

    async fn begin(&self, _: JobId, tables: &[Arc<Table>]) -> Result<Checkpoint> {
        let mut session = self.lease().await?;
        let point = begin::begin(&self.reads.connections, &mut session).await?;
        let folds_names = session.server.folds_names;
        self.give_back(session);
        let point = begin::with_shapes(self.world(), point, tables, folds_names).await;
        Ok(Checkpoint::only(point.position(0)))
    }

    async fn release(&self, _: JobId) -> Result<()> {
        Ok(()) // The server keeps its log for as long as it is told to; nothing in it is ours.
    }

    async fn mark(&self) -> Result<Mark> {
        let mut session = self.lease().await?;
        let counted = commits::counted(&mut session).await?;
        self.give_back(session);
        Ok(counted.mark())
    }

    async fn split(&self, table: &Arc<Table>, range: &KeyRange, pieces: usize) -> Result<Vec<KeyRange>> {
        let mut session = self.lease().await?;
        let ranges = match self.reads.shapes.get(&mut session, &table.name).await? {
            Some(shape) => {
                split::split(&mut session, &shape, range, pieces).await.map_err(|error| error.at(&table.name))?
            }
            None => vec![range.clone()],
        };
        self.give_back(session);
        Ok(ranges)
    }

    async fn copy(
        &self,
        table: &Arc<Table>,
        range: &KeyRange,
        columns: Columns,
        after: &Checkpoint,
    ) -> Result<Box<dyn Feed>> {
        Ok(Box::new(CopyFeed::open(&self.reads, &table.name, range, columns, after).await?))
    }

    async fn fetch(&self, wanted: &[Wanted], after: &Checkpoint, max_bytes: usize) -> Result<Vec<Fetched>> {
        fetch::fetch(&self.reads, wanted, after, max_bytes).await
    }

    async fn tail(
        &self,
        _: JobId,
        from: &Checkpoint,
        edges: &[Checkpoint],
        tables: &[TableName],
    ) -> Result<Box<dyn Feed>> {
        Ok(Box::new(follow::open(self.world(), from, edges, tables).await?))
    }

    fn cut(&self, batch: &Batch, taken: usize) -> Position {
        proof::vouch(&batches::cut(batch, taken), self.reads.sight.shown().as_ref())
    }

    fn order(&self, a: &Position, b: &Position) -> Result<Ordering> {
        position::order(a, b)
    }

    fn seen(&self) -> Checkpoint {
        let shown = self.reads.sight.shown();
        shown.map(|reach| Checkpoint::only(Point::plain(reach).position(0))).unwrap_or_default()
    }

    async fn backlog(&self, _: JobId, from: &Checkpoint) -> Result<Backlog> {
        backlog::backlog(&self.reads.connections, &self.ages, from).await
    }

    async fn survey(&self, tables: &[Arc<Table>], within: Duration) -> Result<Survey> {
        let mut session = self.lease().await?;
        let survey = survey::survey(&mut session, tables, within).await?;
        self.give_back(session);
        Ok(survey)
    }

    fn place(&self) -> Option<String> {
        self.reads.connections.place()
    }
}
