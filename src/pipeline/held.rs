//! Copies tables again beside the tail: slices that the tee reads between two log batches.

use super::{
    line::Line,
    slice::{Ask, Slice},
    tap::Tap,
};
use crate::{
    error::Result,
    model::{KeyRange, Limits, TableName, TableProgress, TableState},
};
use std::sync::Arc;
use tokio::time::Instant;

/// The one slice that is asked for and not applied yet.
#[derive(Default)]
pub struct Held {
    asked: bool,
    /// Until when the last one is owed, and under which limits: the tail does not wait for that.
    owed: Option<(Instant, Limits)>,
}

impl Held {
    /// Asks for the next slice of the first table that has something to copy or to sweep.
    pub async fn ask(&mut self, line: &Line, tap: &Tap) -> Result<()> {
        if self.asked
            || self.owed.is_some_and(|(until, limits)| until > Instant::now() && limits == line.limit.limits())
        {
            return Ok(());
        }
        // The mark of a table may have failed after its last slice.
        let done = line.ledger.read(|progress| {
            let done = progress.tables.iter().filter(|(_, table)| {
                table.state == TableState::Recopying && table.todo.is_empty() && table.sweep.is_empty()
            });
            done.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        });
        for name in done {
            self.mark(line, &name).await?;
            line.ledger.save().await?;
        }
        let next = line.ledger.read(|progress| {
            let recopying = |state: &TableState| *state == TableState::Recopying;
            progress.tables.iter().filter(|(_, table)| recopying(&table.state)).find_map(|(name, table)| {
                let shape = line.table(name)?;
                let copy = table.todo.first().map(|todo| (todo.rest(), false));
                let slice = copy.or_else(|| table.sweep.first().map(|range| (range.clone(), true)));
                slice.map(|(range, sweep)| (shape, table.generation, range, sweep))
            })
        });
        let Some((table, generation, range, sweep)) = next else { return Ok(()) };
        let sweep = sweep.then(|| Arc::clone(&line.reader));
        tap.ask(Ask { table, generation, range, sweep, at_commit: line.apply.transactional }).await?;
        self.asked = true;
        Ok(())
    }

    /// The slice is in the target: progress moves over it. When nothing is left the tail has a mark to pass.
    pub async fn applied(&mut self, line: &Line, slice: Slice) -> Result<()> {
        self.asked = false;
        self.owed = line.limit.take(slice.rows, slice.bytes).map(|until| (until, line.limit.limits()));
        let name = &slice.ask.table.name;
        let left = line.ledger.change(|progress| {
            let Some(table) = progress.tables.get_mut(name).filter(|table| table.state == TableState::Recopying) else {
                return true;
            };
            match (slice.ask.sweep.is_some(), slice.ended) {
                // Asked before it was to be copied again: that covers what this one does.
                _ if table.generation != slice.ask.generation => {}
                _ if table.todo.first().map(|todo| todo.rest()) != Some(slice.ask.range.clone())
                    && table.sweep.first() != Some(&slice.ask.range) => {}
                (false, true) => {
                    counted(table, &slice);
                    table.todo.remove(0);
                }
                (false, false) => {
                    counted(table, &slice);
                    table.todo[0].done.clone_from(&slice.upto);
                }
                (true, true) => drop(table.sweep.remove(0)),
                (true, false) => {
                    table.sweep[0] = KeyRange { after: slice.upto.clone(), upto: slice.ask.range.upto.clone() }
                }
            }
            !table.todo.is_empty() || !table.sweep.is_empty()
        });
        if !left {
            self.mark(line, name).await?;
        }
        line.ledger.save().await
    }

    async fn mark(&self, line: &Line, name: &TableName) -> Result<()> {
        let mark = line.source.mark().await?;
        line.ledger.change(|progress| {
            if let Some(table) = progress.tables.get_mut(name) {
                table.state = TableState::CatchingUp(mark);
            }
        });
        Ok(())
    }
}

/// For people.
fn counted(table: &mut TableProgress, slice: &Slice) {
    table.rows += slice.rows;
    table.bytes += slice.bytes;
}
