//! Makes unique indexes and foreign keys at the consistent point, and mends rows that they find doubled.

use super::{line::Line, resolve::replace, waits::What};
use crate::{
    error::{Error, Result},
    model::{Change, Checkpoint, Existing, Mutation, NO_ROW, Rows, Table, TableName, TableState},
    source::Wanted,
    target::Finished,
};
use std::sync::Arc;

/// Whether every parent of the table's foreign keys is consistent or about to be.
pub fn parents_stand(line: &Line, name: &TableName, ready: &[TableName]) -> bool {
    let Some(table) = line.table(name) else { return true };
    let stands = |parent: &TableName| {
        line.table(parent).is_none()
            || ready.contains(parent)
            || line.ledger.read(|progress| {
                progress.tables.get(parent).is_some_and(|table| matches!(table.state, TableState::Streaming { .. }))
            })
    };
    table.foreign_keys.iter().all(|key| stands(&key.parent))
}

/// `None`: the table stands. Else rows that hold doubled unique values, as the source has them now, to be written in one
/// batch before it is tried again.
pub async fn finish(line: &Line, table: &Arc<Table>, at: &Checkpoint) -> Result<Option<Rows>> {
    let target = line.route.target_table(table);
    let waits = line.board.waits(&line.name, What::TargetBuilds);
    let finished = line.target.finish(&target).await?;
    drop(waits);
    let keys = match finished {
        Finished::Done => return Ok(None),
        Finished::Taken(keys) => keys,
    };
    let wanted = Wanted { table: Arc::clone(table), keys };
    let answers = line.source.fetch(std::slice::from_ref(&wanted), at, usize::MAX).await?;
    let answer = &answers[0];
    let mut rows = Rows::default();
    let shape = answer.table.as_ref().map_or_else(|| Arc::clone(&target), |table| line.route.target_table(table));
    let shape = rows.shape(&shape);
    let mut upserts = Vec::new();
    for (index, key) in wanted.keys.iter().enumerate() {
        if answer.rows[index].is_none() && line.existing == Existing::Merge {
            let values: Vec<_> = key.values().collect();
            return Err(Error::refused(format!(
                "{}: a row that the source does not have doubles a unique value, key {values:?}",
                target.name
            ))
            .hint("under `existing: merge` rows of others are not deleted: remove or change that row in the target"));
        }
        let place = key.write_row(&rows.shapes[usize::from(shape)].clone(), &mut rows.slab);
        rows.push(shape, Change::Delete, place, NO_ROW);
        let before = rows.mutations.len();
        replace(&mut rows, shape, key, answer, index, 0);
        upserts.extend(rows.mutations.drain(before..).filter(|one: &Mutation| one.change == Change::Upsert));
    }
    rows.mutations.extend(upserts);
    Ok(Some(rows))
}
