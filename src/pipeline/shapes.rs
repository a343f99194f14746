//! What a changed shape asks of a target before the rows that have it.

use super::{copy::admit, line::Line};
use crate::{
    error::Result,
    faults::{self, Saboteur},
    model::{Batch, Change, Existing, Mark, Table, TableName, TableState},
    target::Finished,
};
use std::sync::Arc;

/// Why a table is copied again.
const PARENT: &str = "a parent took the key of an earlier one";
const RESHAPED: &str = "its shape changed while it was being copied";
const STALE: &str = "the target has lost the table, or has values in a column that comes empty";
const UNTOLD: &str = "it was made anew or altered at the source, or its rows changed without a word in the log";

/// Shapes that the target has not seen are prepared before their first row. `open`: it holds a transaction open.
pub async fn new_shapes(line: &Line, batch: &Batch, open: bool) -> Result<()> {
    for shape in &batch.rows().shapes {
        let source = line.route.source_table(shape);
        let versions = line.ledger.read(|progress| {
            let table = progress.tables.get(&source.name)?;
            Some((table.version, table.state.clone()))
        });
        let Some((_, state)) = versions.filter(|(version, _)| *version < shape.version) else { continue };
        match state {
            // Rows that were fetched ahead of the log. A target may not be able to alter a table in the middle of a
            // transaction; columns it lacks are left out, the log brings them.
            TableState::Streaming { .. } if open => {}
            TableState::Streaming { .. } => {
                if line.prepare(&source).await?.stale {
                    continue; // The log tells of the column, and the table is copied again then.
                }
                finish(line, &source).await?;
                prepared(line, &source.name, shape.version);
            }
            // A11: below the consistent point a target never alters; columns it lacks are left out, the log brings them,
            // and the table is not consistent before that.
            TableState::CatchingUp(_) => catch_up(line, &source.name).await?,
            TableState::Copying | TableState::Recopying => {}
        }
    }
    Ok(())
}

/// Rows that clash in an index of the new shape are settled where tables become consistent.
async fn finish(line: &Line, source: &Arc<Table>) -> Result<()> {
    match line.target.finish(&line.route.target_table(source)).await? {
        Finished::Done => Ok(()),
        Finished::Taken(_) => catch_up(line, &source.name).await,
    }
}

/// The table is consistent once the log has passed what there is of it now.
async fn catch_up(line: &Line, name: &TableName) -> Result<()> {
    let mark = line.source.mark().await?;
    line.ledger.change(|progress| {
        if let Some(table) = progress.tables.get_mut(name) {
            table.state = TableState::CatchingUp(mark);
        }
    });
    show(line);
    Ok(())
}

/// Invariant 9: what is not consistent any more is not shown as such when the batch is applied.
fn show(line: &Line) {
    line.board.tables(&line.name, &line.ledger.read(Clone::clone));
}

fn prepared(line: &Line, name: &TableName, version: u64) {
    line.ledger.change(|progress| {
        if let Some(table) = progress.tables.get_mut(name) {
            table.version = table.version.max(version);
        }
    });
}

/// What an earlier process can have read is before it. Without an answer it stays unknown, which costs copies only.
pub async fn inherited(line: &Line) -> Option<Mark> {
    if !line.vanished.lock().inherits() {
        return None;
    }
    match line.source.mark().await {
        Ok(mark) => Some(mark),
        Err(error) => {
            tracing::info!(%error, "the source does not say where it stands: children of new keys are copied again");
            None
        }
    }
}

/// What a change of a whole table asks for before its batch moves the watermark: it is repeated if that is lost.
pub async fn before_alone(line: &Line, batch: &Batch, change: Change) -> Result<()> {
    if !matches!(change, Change::Reshape | Change::Recopy | Change::Matching) {
        return Ok(());
    }
    let table = Arc::clone(batch.rows().table(batch.alone().expect("the caller saw it")));
    let source = line.route.source_table(&table);
    if change == Change::Matching {
        let confuses = line.vanished.lock().confuses(&source.name, batch.rows());
        if faults::on(Saboteur::ParentsKeysConfused) || !confuses {
            return Ok(());
        }
        tracing::info!(table = %source.name, "copied again: {PARENT}");
    }
    if change == Change::Recopy && line.existing == Existing::Merge {
        tracing::warn!(
            table = %source.name,
            "copied again; under `existing: merge` rows that went without a word in the log stay in the target"
        );
    }
    let stands =
        line.ledger.read(|progress| progress.tables.get(&source.name).is_some_and(|table| table.is_streaming()));
    if line.ledger.read(|progress| !progress.tables.contains_key(&source.name)) {
        // It was not at the source when the job looked last.
        admit(line, &source).await?;
    }
    // A11: a shape that changes inside the window of a copy leaves rows of both shapes behind.
    let mut again = match change {
        Change::Matching => Some(PARENT),
        Change::Reshape if stands => None,
        Change::Reshape => Some(RESHAPED),
        _ => Some(UNTOLD),
    };
    let (known, next) = line.ledger.read(|progress| {
        let known = progress.tables.get(&source.name).map_or(0, |table| table.generation);
        (known, progress.epoch.max(known + 1))
    });
    if again.is_none() && line.prepare_for(&source, known).await?.stale {
        tracing::info!(table = %source.name, "copied again: {STALE}");
        again = Some(STALE);
    }
    match again.is_some() {
        true => line.prepare_for(&source, next).await.map(|_| ())?,
        // `prepare` noted it as unfinished; its rows are whole.
        false => finish(line, &source).await?,
    }
    prepared(line, &source.name, table.version);
    line.tables.lock().insert(source.name.clone(), Arc::clone(&source));
    line.ledger.change(|progress| {
        if let (Some(known), Some(why)) = (progress.tables.get_mut(&source.name), again) {
            known.recopy(next, source.is_keyless(), line.existing != Existing::Merge, why);
        }
    });
    if again.is_some() {
        line.vanished.lock().settled(&source.name);
    }
    show(line);
    line.ledger.save().await
}
