//! The source as one target's pipeline asks it: silence and errors are shown as the source's, not the target's.

use super::{
    board::Board,
    waits::{Waiting, What},
};
use crate::{
    error::Result,
    model::{Batch, Checkpoint, Finding, JobId, KeyRange, Mark, Position, Table, TableName},
    source::{Backlog, Columns, Feed, Fetched, Next, Source, Survey, Wanted},
};
use async_trait::async_trait;
use std::{cmp::Ordering, sync::Arc, time::Duration};

pub struct Asked {
    pub source: Arc<dyn Source>,
    pub board: Arc<Board>,
    /// Whose pipeline asks.
    pub target: String,
    /// The source's store.
    pub store: String,
}

impl Asked {
    async fn ask<T>(&self, answer: impl Future<Output = Result<T>>) -> Result<T> {
        let _waits = self.board.waits(&self.target, What::Source);
        let answer = answer.await.map_err(|error| error.of_source(&self.store))?;
        self.board.told(&self.target);
        Ok(answer)
    }

    fn feed(&self, feed: Box<dyn Feed>) -> Box<dyn Feed> {
        let (board, target, store) = (Arc::clone(&self.board), self.target.clone(), self.store.clone());
        Box::new(AskedFeed { feed, board, target, store, waits: None })
    }
}

#[async_trait]
impl Source for Asked {
    async fn check(&self, job: JobId, tables: &[Arc<Table>]) -> Result<Vec<Finding>> {
        self.ask(self.source.check(job, tables)).await
    }

    async fn tables(&self) -> Result<(Vec<Arc<Table>>, Vec<Finding>)> {
        self.ask(self.source.tables()).await
    }

    async fn begin(&self, job: JobId, tables: &[Arc<Table>]) -> Result<Checkpoint> {
        self.ask(self.source.begin(job, tables)).await
    }

    async fn release(&self, job: JobId) -> Result<()> {
        self.ask(self.source.release(job)).await
    }

    async fn mark(&self) -> Result<Mark> {
        self.ask(self.source.mark()).await
    }

    async fn split(&self, table: &Arc<Table>, range: &KeyRange, pieces: usize) -> Result<Vec<KeyRange>> {
        self.ask(self.source.split(table, range, pieces)).await
    }

    async fn copy(
        &self,
        table: &Arc<Table>,
        range: &KeyRange,
        columns: Columns,
        after: &Checkpoint,
    ) -> Result<Box<dyn Feed>> {
        self.ask(self.source.copy(table, range, columns, after)).await.map(|feed| self.feed(feed))
    }

    async fn fetch(&self, wanted: &[Wanted], after: &Checkpoint, max_bytes: usize) -> Result<Vec<Fetched>> {
        self.ask(self.source.fetch(wanted, after, max_bytes)).await
    }

    async fn tail(
        &self,
        job: JobId,
        from: &Checkpoint,
        edges: &[Checkpoint],
        tables: &[TableName],
    ) -> Result<Box<dyn Feed>> {
        self.ask(self.source.tail(job, from, edges, tables)).await.map(|feed| self.feed(feed))
    }

    fn cut(&self, batch: &Batch, taken: usize) -> Position {
        self.source.cut(batch, taken)
    }

    fn order(&self, a: &Position, b: &Position) -> Result<Ordering> {
        self.source.order(a, b)
    }

    fn seen(&self) -> Checkpoint {
        self.source.seen()
    }

    async fn backlog(&self, job: JobId, from: &Checkpoint) -> Result<Backlog> {
        self.ask(self.source.backlog(job, from)).await
    }

    async fn survey(&self, tables: &[Arc<Table>], within: Duration) -> Result<Survey> {
        self.ask(self.source.survey(tables, within)).await
    }

    fn place(&self) -> Option<String> {
        self.source.place()
    }

    fn is_key_only(&self) -> bool {
        self.source.is_key_only()
    }
}

struct AskedFeed {
    feed: Box<dyn Feed>,
    board: Arc<Board>,
    target: String,
    store: String,
    /// Since the last answer, over several askings.
    waits: Option<Waiting>,
}

#[async_trait]
impl Feed for AskedFeed {
    async fn next(&mut self, patience: Duration) -> Result<Next> {
        self.waits.get_or_insert_with(|| self.board.waits(&self.target, What::Source));
        let next = self.feed.next(patience).await.map_err(|error| error.of_source(&self.store));
        // Patience that ran out is no answer.
        if !matches!(&next, Ok(Next::Idle(upto)) if upto.is_empty()) {
            self.waits = None;
        }
        let next = next?;
        if self.waits.is_none() {
            self.board.told(&self.target);
        }
        Ok(next)
    }

    async fn acknowledge(&mut self, upto: &Checkpoint) -> Result<()> {
        self.feed.acknowledge(upto).await.map_err(|error| error.of_source(&self.store))
    }

    fn passed(&mut self, mark: &Mark) -> bool {
        self.feed.passed(mark)
    }

    fn stands_at(&self) -> Option<Checkpoint> {
        self.feed.stands_at()
    }
}
