//! What one target takes of the job's log: a feed whose other end is in the tee.

use super::{budget::Share, slice, tee::Join};
use crate::{
    error::{Error, Result},
    model::{Checkpoint, Mark},
    source::{Feed, Next},
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::timeout};

/// One target's view of the job's log: a feed.
pub struct Tap {
    name: String,
    items: mpsc::Receiver<Item>,
    join: Join,
    marks: Marks,
    seen: u64,
    /// What the batch just returned answers, if it is a held range.
    pub slice: Option<slice::Slice>,
    /// Whether the last answer came from the log: patience that ran out is no evidence.
    pub heard: bool,
    budget: Option<Share>,
}

impl Tap {
    pub fn new(name: &str, items: mpsc::Receiver<Item>, join: Join) -> Tap {
        let marks = Marks::default();
        Tap { name: name.to_owned(), items, join, marks, seen: 0, slice: None, heard: false, budget: None }
    }

    /// Those it waits for: the tee notes when they are passed.
    pub fn marks(&self) -> Marks {
        Arc::clone(&self.marks)
    }

    /// Asks for the next slice of a held range; it comes as a batch among the others. One at a time.
    pub async fn ask(&self, ask: slice::Ask) -> Result<()> {
        self.join.ask(&self.name, ask).await
    }
}

#[async_trait]
impl Feed for Tap {
    async fn next(&mut self, patience: Duration) -> Result<Next> {
        self.slice = None;
        self.budget = None;
        self.heard = false;
        match timeout(patience, self.items.recv()).await {
            Err(_) => Ok(Next::Idle(Checkpoint::default())),
            Ok(None) => Err(Error::transient("left behind: this target took nothing for a minute")),
            Ok(Some(item)) => {
                self.seen += 1;
                self.slice = item.slice;
                self.budget = item.budget;
                self.heard = true;
                item.next
            }
        }
    }

    async fn acknowledge(&mut self, _: &Checkpoint) -> Result<()> {
        Ok(())
    }

    fn passed(&mut self, mark: &Mark) -> bool {
        let mut marks = self.marks.lock();
        match marks.iter().position(|(known, _)| known == mark) {
            None => {
                marks.push((mark.clone(), None));
                false
            }
            Some(index) => marks[index].1.is_some_and(|sent| sent <= self.seen),
        }
    }
}

/// What the tee hands out.
pub struct Item {
    pub next: Result<Next>,
    pub slice: Option<slice::Slice>,
    pub budget: Option<Share>,
}

/// Marks a tap waits for, and after how many of its items each was passed.
pub type Marks = Arc<Mutex<Vec<(Mark, Option<u64>)>>>;
