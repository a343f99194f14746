//! What a changed shape asks of a target before the rows that have it.

use super::line::Line;
use crate::{
    error::Result,
    model::{Batch, Change, Existing, TableName},
};
use std::sync::Arc;

/// Shapes that the target has not seen are prepared before their first row.
pub async fn new_shapes(line: &Line, batch: &Batch) -> Result<()> {
    for shape in &batch.rows().shapes {
        let source = line.route.source_table(shape);
        let versions = line.ledger.read(|progress| {
            let table = progress.tables.get(&source.name)?;
            Some((table.version, table.is_streaming()))
        });
        // A11: below the consistent point a target never alters; columns it lacks are left out, the log brings them.
        if let Some((version, true)) = versions
            && version < shape.version
        {
            line.prepare(&source).await?;
            line.target.finish(&line.route.target_table(&source)).await?;
            prepared(line, &source.name, shape.version);
        }
    }
    Ok(())
}

fn prepared(line: &Line, name: &TableName, version: u64) {
    line.ledger.change(|progress| {
        if let Some(table) = progress.tables.get_mut(name) {
            table.version = table.version.max(version);
        }
    });
}

/// What a change of a whole table asks for before its batch moves the watermark: it is repeated if that is lost.
pub async fn before_alone(line: &Line, batch: &Batch, change: Change) -> Result<()> {
    if !matches!(change, Change::Reshape | Change::Recopy) {
        return Ok(());
    }
    let table = Arc::clone(batch.rows().table(batch.alone().expect("the caller saw it")));
    let source = line.route.source_table(&table);
    let stands =
        line.ledger.read(|progress| progress.tables.get(&source.name).is_some_and(|table| table.is_streaming()));
    line.prepare(&source).await?;
    if change == Change::Reshape && stands {
        // `prepare` noted it as unfinished; its rows are whole.
        line.target.finish(&line.route.target_table(&source)).await?;
    }
    prepared(line, &source.name, table.version);
    line.tables.lock().insert(source.name.clone(), Arc::clone(&source));
    line.ledger.change(|progress| {
        let epoch = progress.epoch;
        let Some(known) = progress.tables.get_mut(&source.name) else { return };
        // A11: a shape that changes inside the window of a copy leaves rows of both shapes behind.
        if change == Change::Recopy || !known.is_streaming() {
            known.recopy(epoch, source.is_keyless(), line.existing != Existing::Merge);
        }
    });
    line.ledger.save().await
}
