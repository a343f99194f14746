//! Changes of a whole table, row by row: the service has none of its own.

use super::{
    apply::{Writer, write_all},
    catalog::At,
    change::Change,
    copy::CopyFeed,
    shape::Shape,
    values::Draft,
    watermark,
};
use crate::{
    error::Result,
    model::{self, Field, KeyRange, Mutation, Operator, Rows, ValueRef},
    source::{Columns, Feed, Next},
};
use std::{cmp::Ordering, sync::Arc, time::Duration};

const PATIENCE: Duration = Duration::from_secs(60);

/// Deletes all rows.
pub(super) async fn truncate(writer: &Writer<'_>, shape: &Shape) -> Result<()> {
    let client = &writer.catalog.client;
    let table = &shape.table;
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let mut request = watermark::all(&table.name.name, &names, 0);
    request.limit = None;
    loop {
        let page = client.get_range(&request).await.at(&format!("emptying {}", table.name))?;
        let rows: Vec<_> = page
            .rows()
            .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
            .map_err(|problem| super::row::corrupt(&problem))?;
        let mut changes: Vec<Change<'_>> = rows.into_iter().map(|row| Change::delete(row.key)).collect();
        // A row that is wider than a page comes again.
        changes.dedup_by(|a, b| a.key == b.key);
        write_all(client, &table.name.name, &changes, writer.settles).await?;
        match page.next_start {
            Some(next) => request.start = next,
            None => return Ok(()),
        }
    }
}

/// Deletes or patches each row that meets the criteria.
pub(super) async fn matching(writer: &Writer<'_>, shape: &Arc<Shape>, rows: &Rows, mutation: &Mutation) -> Result<()> {
    let given = rows.table(mutation);
    let criteria = rows.criteria(mutation.before);
    let catalog = Arc::clone(&writer.catalog);
    let mut feed = CopyFeed::open(&catalog, Arc::clone(shape), &KeyRange::all(), Columns::All)?;
    loop {
        let batch = match feed.next(PATIENCE).await? {
            Next::Batch(batch) => batch,
            Next::Idle(_) => continue,
            Next::End => return Ok(()),
        };
        let found = batch.rows();
        let mut hits = Rows::default();
        for one in &found.mutations {
            let row = found.row(one.row);
            let value = |name: &str| -> ValueRef<'_> {
                let in_key = shape.table.column(name).and_then(|column| row.get(column).value());
                let in_cell = || row.cells().find(|cell| cell.name == name).and_then(|cell| cell.field.value());
                in_key.or_else(in_cell).unwrap_or(ValueRef::Null)
            };
            let meets = |(column, operator, wanted): &(usize, Operator, ValueRef<'_>)| {
                order(value(&given.columns[*column].name), *wanted).is_some_and(|order| operator.accepts(order))
            };
            if !criteria.iter().all(meets) {
                continue;
            }
            let index = hits.shape(given);
            let mut builder = hits.build();
            for (column, described) in given.columns.iter().enumerate() {
                let new = (mutation.row != model::NO_ROW).then(|| rows.row(mutation.row).get(column));
                match new {
                    Some(field @ (Field::Value(_) | Field::Removed)) => builder.field(field),
                    _ if given.key.contains(&column) => builder.value(value(&described.name)),
                    _ => builder.unset(),
                };
            }
            let place = builder.finish();
            let change = if mutation.row == model::NO_ROW { model::Change::Delete } else { model::Change::Merge };
            hits.push(index, change, place, model::NO_ROW);
        }
        let drafts: Vec<Draft<'_>> =
            hits.mutations.iter().map(|one| Draft::of(given, &hits, one, false, false)).collect::<Result<_>>()?;
        let changes: Vec<Change<'_>> = drafts
            .iter()
            .zip(&hits.mutations)
            .map(|(draft, one)| match one.change {
                model::Change::Delete => draft.delete(),
                _ => draft.update(super::messages::row::Existence::Ignore),
            })
            .collect();
        write_all(&catalog.client, &shape.table.name.name, &changes, writer.settles).await?;
    }
}

/// As far as a cascade compares: NULL equals nothing, and values are of one kind.
fn order(a: ValueRef<'_>, b: ValueRef<'_>) -> Option<Ordering> {
    let text = |value: ValueRef<'_>| {
        let mut text = String::new();
        model::spell(value, &mut text);
        text
    };
    Some(match (a, b) {
        (ValueRef::Null, _) | (_, ValueRef::Null) => return None,
        (ValueRef::Int(a), ValueRef::Int(b)) => a.cmp(&b),
        (ValueRef::Int(a), ValueRef::Unsigned(b)) => i128::from(a).cmp(&i128::from(b)),
        (ValueRef::Float64(a), ValueRef::Float64(b)) => a.partial_cmp(&b)?,
        (ValueRef::Text(a), ValueRef::Text(b) | ValueRef::Json(b)) => a.cmp(b),
        (ValueRef::Bytes(a), ValueRef::Bytes(b)) => a.cmp(b),
        (ValueRef::Bool(a), ValueRef::Bool(b)) => a.cmp(&b),
        // A value that the service keeps as text.
        (ValueRef::Text(a), other) => a.cmp(text(other).as_str()),
        _ => return None,
    })
}
