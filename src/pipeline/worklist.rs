//! What the copiers of a target still have to do: tables to cut, ranges to copy.

use crate::model::{RangeProgress, Table};
use parking_lot::Mutex;
use std::{collections::VecDeque, pin::pin, sync::Arc};
use tokio::sync::Notify;

pub enum Work {
    Table(Arc<Table>),
    Range { table: Arc<Table>, range: RangeProgress, fresh: bool },
}

/// At most the tables of the job and the pieces of those that are cut already.
pub struct Worklist {
    open: Mutex<Open>,
    changed: Notify,
}

struct Open {
    works: VecDeque<Work>,
    /// Tables that somebody is cutting: more ranges are about to come.
    cutting: usize,
}

impl Worklist {
    pub fn new(tables: impl IntoIterator<Item = Arc<Table>>) -> Worklist {
        let works = tables.into_iter().map(Work::Table).collect();
        Worklist { open: Mutex::new(Open { works, cutting: 0 }), changed: Notify::new() }
    }

    /// The next piece; whoever is given a table gives `cut` its ranges. `None`: there is none and none will come.
    pub async fn next(&self) -> Option<Work> {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Before the look: what changes after it is not missed.
            changed.as_mut().enable();
            {
                let mut open = self.open.lock();
                match open.works.pop_front() {
                    Some(work) => {
                        open.cutting += usize::from(matches!(work, Work::Table(_)));
                        return Some(work);
                    }
                    None if open.cutting == 0 => return None,
                    None => {}
                }
            }
            changed.await;
        }
    }

    /// The ranges of a table, to be copied before another one is begun.
    pub fn cut(&self, table: &Arc<Table>, ranges: Vec<RangeProgress>, fresh: bool) {
        let mut open = self.open.lock();
        open.cutting -= 1;
        for range in ranges.into_iter().rev() {
            open.works.push_front(Work::Range { table: Arc::clone(table), range, fresh });
        }
        self.changed.notify_waiters();
    }
}
