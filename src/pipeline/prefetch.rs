//! Reads a feed in a task of its own, so that reading and writing overlap.

use super::budget::{Budget, Share};
use crate::{
    error::{Error, Result},
    model::{Checkpoint, Mark},
    source::{Feed, Next},
    telemetry::turns,
};
use async_trait::async_trait;
use std::time::Duration;
use tokio::{sync::mpsc, task::JoinHandle};
use tracing::Instrument;

/// A copy feed, read ahead. (The tail is read ahead by `tee`, which also follows marks and acknowledgements.)
pub struct Prefetch {
    batches: mpsc::Receiver<(Result<Next>, Option<Share>)>,
    /// Of the batch that was returned last.
    held: Option<Share>,
    reading: JoinHandle<()>,
    stands_at: Option<Checkpoint>,
    ended: bool,
}

/// One being written, one waiting, one being read.
const AHEAD: usize = 1;

impl Prefetch {
    pub fn new(mut feed: Box<dyn Feed>, budget: Budget) -> Self {
        let (send, batches) = mpsc::channel(AHEAD); // Invariant 6.
        let stands_at = feed.stands_at();
        let reading = async move {
            loop {
                let next = feed.next(Duration::from_secs(1)).await;
                let last = !matches!(next, Ok(Next::Batch(_) | Next::Idle(_)));
                if matches!(next, Ok(Next::Idle(_))) {
                    continue;
                }
                let share = match &next {
                    Ok(Next::Batch(batch)) => budget.take(batch.bytes()).await,
                    _ => None,
                };
                if send.send((next, share)).await.is_err() || last {
                    return;
                }
            }
        };
        let reading = tokio::spawn(turns::inherit("the read of a range", reading).in_current_span());
        Prefetch { batches, held: None, reading, stands_at, ended: false }
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

#[async_trait]
impl Feed for Prefetch {
    async fn next(&mut self, patience: Duration) -> Result<Next> {
        if self.ended {
            return Ok(Next::End);
        }
        self.held = None;
        match tokio::time::timeout(patience, self.batches.recv()).await {
            Err(_) => Ok(Next::Idle(Checkpoint::default())),
            Ok(Some((next, share))) => {
                self.held = share;
                self.ended = matches!(next, Ok(Next::End));
                next
            }
            Ok(None) => Err(Error::transient("the task that read ahead is gone")),
        }
    }

    async fn acknowledge(&mut self, _: &Checkpoint) -> Result<()> {
        Ok(())
    }

    fn passed(&mut self, _: &Mark) -> bool {
        false
    }

    fn stands_at(&self) -> Option<Checkpoint> {
        self.stands_at.clone()
    }
}
