//! What one transaction is to carry, while it is being found out.

use super::fold::{fold, may_repeat};
use crate::{
    model::{Batch, Mutation, Rows},
    target::Part,
};
use std::sync::Arc;

/// The mutations to apply, over the batch's rows or, once something was fetched, over rows of their own.
pub struct Work<'b> {
    pub batch: &'b Batch,
    pub own: Option<Arc<Rows>>,
    pub list: Vec<Mutation>,
}

/// The same with rows that may grow.
pub struct Owned<'b> {
    pub batch: &'b Batch,
    pub rows: Rows,
    pub list: Vec<Mutation>,
}

impl<'b> Work<'b> {
    pub fn new(batch: &'b Batch, list: Vec<Mutation>) -> Self {
        Work { batch, own: None, list }
    }

    pub fn rows(&self) -> &Arc<Rows> {
        self.own.as_ref().unwrap_or(self.batch.rows())
    }

    /// A copy of the rows that may grow. Rare: most batches fit as they are.
    pub fn owned(&self) -> Owned<'b> {
        Owned { batch: self.batch, rows: Rows::clone(self.rows()), list: self.list.clone() }
    }

    pub fn fold(&mut self) {
        if may_repeat(self.batch.rows(), &self.list) {
            let mut rows = Rows::clone(self.batch.rows());
            self.list = fold(&mut rows, &self.list);
            self.own = Some(Arc::new(rows));
        }
    }

    pub fn part<'p>(&'p self, number: u64, of: u16, lanes: &'p [u16]) -> Part<'p> {
        let Batch { partition, from, to, complete, kind, .. } = self.batch;
        let (rows, mutations) = (self.rows(), &self.list[..]);
        Part { feed: partition, number, lanes, of, from, to, complete: *complete, kind: *kind, rows, mutations }
    }
}

impl<'b> Owned<'b> {
    pub fn into_work(self) -> Work<'b> {
        Work { batch: self.batch, own: Some(Arc::new(self.rows)), list: self.list }
    }
}
