//! The tail as the engine sees it: reads the stream when asked, as much as there is, and no more than a batch.

use super::{
    batches::PARTITION,
    position::Point,
    tail::Tail,
    wire::{Logged, Wire},
};
use crate::{
    error::{Error, Result},
    faults,
    model::{Checkpoint, Mark, Position, TableName},
    source::{Feed, Next},
};
use async_trait::async_trait;
use futures_util::FutureExt;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

pub(super) struct TailFeed {
    wire: Wire,
    tail: Tail,
    /// The stream's first event, which was waited for when it was opened.
    first: Option<Logged>,
    /// The end of what `next` has returned.
    returned: Point,
    shown: Option<Position>,
    /// What `ahead` has met.
    failed: Option<Error>,
}

impl TailFeed {
    pub fn new(wire: Wire, tail: Tail, first: Logged) -> TailFeed {
        TailFeed { wire, returned: tail.point.clone(), tail, first: Some(first), shown: None, failed: None }
    }

    fn batch(&mut self, all: bool) -> Result<Option<Next>> {
        let Some(batch) = self.tail.batches.next(all) else { return Ok(None) };
        self.stand_at(&batch.to)?;
        Ok(Some(Next::Batch(batch)))
    }

    fn idle(&mut self) -> Result<Next> {
        let position = self.tail.batches.idle();
        self.stand_at(&position)?;
        Ok(Next::Idle(Checkpoint::only(position)))
    }

    fn stand_at(&mut self, position: &Position) -> Result<()> {
        if self.shown.as_ref() != Some(position) {
            self.returned = Point::read(position)?;
            self.shown = Some(position.clone());
        }
        Ok(())
    }

    /// Takes the next event. Dropping the future loses nothing.
    async fn event(&mut self) -> Result<()> {
        let event = self.wire.next().await?;
        faults::point("mysql/tail-event");
        self.tail.take(&event)?;
        Ok(())
    }

    /// News of an idle log are not kept back.
    fn has_moved(&mut self) -> bool {
        self.tail.is_between() && self.shown.as_ref() != Some(&self.tail.batches.idle())
    }
}

#[async_trait]
impl Feed for TailFeed {
    async fn next(&mut self, patience: Duration) -> Result<Next> {
        let until = Instant::now() + patience;
        loop {
            // A look that was dropped halfway is taken up again.
            self.tail.look().await?;
            if let Some(batch) = self.batch(false)? {
                return Ok(batch);
            }
            if let Some(failed) = self.failed.take() {
                return Err(failed);
            }
            if let Some(first) = self.first.take() {
                self.tail.take(&first)?;
                continue;
            }
            let ready = self.event().now_or_never();
            match ready {
                Some(taken) => taken?,
                None => {
                    if let Some(batch) = self.batch(true)? {
                        return Ok(batch);
                    }
                    if self.has_moved() {
                        return self.idle();
                    }
                    match timeout_at(until, self.event()).await {
                        Ok(taken) => taken?,
                        Err(_) => return self.idle(),
                    }
                }
            }
        }
    }

    async fn ahead(&mut self) {
        while self.failed.is_none() && self.first.is_none() && !self.tail.must_wait() {
            if let Err(failed) = self.event().await {
                self.failed = Some(failed);
            }
        }
        std::future::pending().await
    }

    /// The server keeps its log as it is set up to; nothing is told it.
    async fn acknowledge(&mut self, _upto: &Checkpoint) -> Result<()> {
        Ok(())
    }

    fn passed(&mut self, mark: &Mark) -> bool {
        self.returned.at.has_passed(mark)
    }

    fn gone(&self) -> Vec<TableName> {
        self.tail.history.gone()
    }

    fn made(&self) -> Vec<(TableName, bool)> {
        self.tail.made.iter().map(|(name, is_there)| (name.clone(), *is_there)).collect()
    }
}

/// The only partition's position.
pub(super) fn only(checkpoint: &Checkpoint) -> Option<&Position> {
    checkpoint.get(&PARTITION)
}
