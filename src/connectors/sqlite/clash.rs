//! Who holds the unique values that a row wants.

use super::{definition, file::Database, plan::Plan, schema::UniqueTerms, statement::Row, text::quote};
use crate::{
    error::Result,
    model::{Key, RowRef, ValueRef},
};

/// Keys of all rows, other than the one with the row's own key, that stand in its way.
pub(super) fn holders(db: &Database, plan: &Plan, row: RowRef<'_>) -> Result<Vec<Key>> {
    if plan.is_keyless() {
        return Ok(Vec::new());
    }
    let table = quote(plan.target.name());
    let keys: Vec<String> = plan
        .table
        .key
        .iter()
        .map(|&column| plan.name(column).map_or_else(|| quote(&plan.table.columns[column].name), str::to_owned))
        .collect();
    let (wanted, values) = wanted(plan, row);
    let mut holders = Vec::new();
    for unique in &plan.target.uniques {
        let Some(condition) = condition(plan, unique) else { continue };
        let sql = format!(
            "WITH given AS ({wanted}) SELECT {} FROM {table} WHERE {condition} AND NOT ({})",
            keys.join(", "),
            plan.by_key()
        );
        let read = |row: Row<'_>| Key::from_values((0..keys.len()).map(|part| row.get(part)));
        holders.extend(db.rows(&sql, values.iter().copied(), read)?);
    }
    holders.dedup();
    Ok(holders)
}

/// The row as it would be, as a query; its parameters begin with the key. Columns that the row does not give have what
/// the row with its key has now.
fn wanted<'a>(plan: &Plan, row: RowRef<'a>) -> (String, Vec<ValueRef<'a>>) {
    let field = |column: usize| row.get(column).value();
    let mut values: Vec<ValueRef<'a>> =
        plan.table.key.iter().map(|&column| field(column).unwrap_or(ValueRef::Null)).collect();
    let mut columns = Vec::new();
    for there in plan.target.table.columns.iter().filter(|there| !there.generated) {
        let name = quote(&there.name);
        let given = plan.table.columns.iter().position(|column| column.name.eq_ignore_ascii_case(&there.name));
        match given.and_then(field) {
            Some(value) => {
                values.push(value);
                columns.push(format!("?{} AS {name}", values.len()));
            }
            None => columns.push(format!(
                "(SELECT {name} FROM {} WHERE {}) AS {name}",
                quote(plan.target.name()),
                plan.by_key()
            )),
        }
    }
    (format!("SELECT {}", columns.join(", ")), values)
}

/// Rows with the same values in a unique index as `given`; NULL equals nothing, as in the index itself.
fn condition(plan: &Plan, unique: &UniqueTerms) -> Option<String> {
    let text = definition::index_terms(&unique.definition)?;
    let create = plan.target.table.definition.as_deref().unwrap_or_default();
    let mut parts = Vec::new();
    for ((column, collation), term) in unique.columns.iter().zip(&text.terms) {
        let (here, wanted) = match column.map(|column| &plan.target.table.columns[column]) {
            None => (format!("({term})"), term.clone()),
            Some(column) if column.generated => (quote(&column.name), definition::computed(create, &column.name)?),
            Some(column) => (quote(&column.name), quote(&column.name)),
        };
        parts.push(format!("{here} COLLATE {} = (SELECT {wanted} FROM given)", quote(collation)));
    }
    parts.extend(text.condition.map(|condition| format!("({condition})")));
    Some(parts.join(" AND "))
}
