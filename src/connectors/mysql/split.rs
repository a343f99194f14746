//! Cuts a table into ranges of about equal size by a few looks at its key's index.

use super::{
    connect::Session,
    copy::positional,
    decode, failure, paging,
    paging::Select,
    schema::Shape,
    text::{self, quote},
    types::Native,
};
use crate::{
    error::Result,
    model::{Key, KeyRange, Value, ValueRef},
};
use mysql_async::{Row, prelude::Queryable};

/// At most `pieces` ranges that cover `range` exactly, in key order.
pub(super) async fn split(
    session: &mut Session,
    shape: &Shape,
    range: &KeyRange,
    pieces: usize,
) -> Result<Vec<KeyRange>> {
    if pieces < 2 || !paging::is_pageable(shape) {
        return Ok(vec![range.clone()]);
    }
    let keys = shape.key_list();
    let first = first_key(session, shape, range).await?;
    let last = key(session, shape, paging::last(shape, &keys, range)?).await?;
    let (Some(first), Some(last)) = (first, last) else { return Ok(vec![range.clone()]) };
    let (low, high) = (first.row().to_values(), last.row().to_values());
    let part = (0..shape.terms.len()).find(|&part| low[part] != high[part]);
    let ends = part.and_then(|part| Some((part, number(low[part].as_ref()?)?, number(high[part].as_ref()?)?)));
    let bounds = match ends {
        Some((part, low, high)) => by_number(session, shape, &first, part, (low, high), pieces).await?,
        None => by_walk(session, shape, range, pieces).await?,
    };
    let mut ranges = Vec::with_capacity(bounds.len() + 1);
    let mut after = range.after.clone();
    for bound in bounds {
        if bound != last && after.as_ref() != Some(&bound) {
            ranges.push(KeyRange { after: after.replace(bound.clone()), upto: Some(bound) });
        }
    }
    ranges.push(KeyRange { after, upto: range.upto.clone() });
    Ok(ranges)
}

fn number(value: &Value) -> Option<i128> {
    match value {
        Value::Int(number) => Some(i128::from(*number)),
        Value::Unsigned(number) => Some(i128::from(*number)),
        _ => None,
    }
}

/// Between two whole numbers by arithmetic, in the first part of the key in which first and last row differ; where other
/// parts follow, a bound is the key of the row that is next there.
async fn by_number(
    session: &mut Session,
    shape: &Shape,
    first: &Key,
    part: usize,
    (low, high): (i128, i128),
    pieces: usize,
) -> Result<Vec<Key>> {
    let mut bounds: Vec<Key> = Vec::new();
    for piece in 1..pieces {
        let at = low + (high - low) * piece as i128 / pieces as i128;
        let same: Vec<ValueRef<'_>> = first.values().take(part).collect();
        let value = match shape.natives[shape.terms[part].column] {
            Native::Unsigned(_) | Native::Bit(_) => ValueRef::Unsigned(u64::try_from(at).unwrap_or(u64::MAX)),
            _ => ValueRef::Int(i64::try_from(at).unwrap_or(i64::MAX)),
        };
        let bound = match part + 1 == shape.terms.len() {
            true => Some(Key::from_values(same.into_iter().chain([value]))),
            false => key(session, shape, beyond(shape, &same, part, value)?).await?,
        };
        // Numbers are fewer than pieces, or rows lie close together.
        if let Some(bound) = bound
            && (at != low || part + 1 < shape.terms.len())
            && at != high
            && bounds.last() != Some(&bound)
        {
            bounds.push(bound);
        }
    }
    Ok(bounds)
}

/// The first key whose parts before `part` are these, and whose `part` is at or beyond `value`.
fn beyond(shape: &Shape, same: &[ValueRef<'_>], part: usize, value: ValueRef<'_>) -> Result<Select> {
    let mut select = paging::select(shape, &shape.key_list(), &KeyRange::all(), None)?;
    let mut conditions = Vec::new();
    for (at, value) in same.iter().copied().chain([value]).enumerate() {
        let term = &shape.terms[at];
        let column = &shape.table.columns[term.column];
        let (expression, bound) = super::binding::bind(&shape.table, term.column, &shape.natives[term.column], value)?;
        let operator = match (at == part, term.descending) {
            (false, _) => "=",
            (true, false) => ">=",
            (true, true) => "<=",
        };
        conditions.push(format!("{} {operator} {expression}", quote(&column.name)));
        select.parameters.push(bound);
    }
    let order = select.sql.rfind(" ORDER BY ").unwrap_or(select.sql.len());
    select.sql.insert_str(order, &format!(" WHERE {}", conditions.join(" AND ")));
    select.sql += " LIMIT 1";
    Ok(select)
}

/// Other keys: every n-th key of the index, by the server's own guess of how many there are.
async fn by_walk(session: &mut Session, shape: &Shape, range: &KeyRange, pieces: usize) -> Result<Vec<Key>> {
    let name = &shape.table.name;
    let sql = format!(
        "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {}",
        text::literal(&name.schema),
        text::literal(&name.name)
    );
    let guess = session.value(sql).await.map_err(|failure| failure::error(failure, "asking for a table's size"))?;
    let rows: u64 = guess.and_then(|rows| rows.parse().ok()).unwrap_or(0);
    let step = (rows / pieces as u64).max(1);
    let mut bounds: Vec<Key> = Vec::new();
    while bounds.len() + 1 < pieces {
        let after = bounds.last().or(range.after.as_ref()).cloned();
        let rest = KeyRange { after, upto: range.upto.clone() };
        let mut select = paging::select(shape, &shape.key_list(), &rest, Some(1))?;
        select.sql += " OFFSET ?";
        select.parameters.push(mysql_async::Value::UInt(step - 1));
        match key(session, shape, select).await? {
            Some(key) => bounds.push(key),
            None => break,
        }
    }
    Ok(bounds)
}

/// The first key of a range.
pub(super) async fn first_key(session: &mut Session, shape: &Shape, range: &KeyRange) -> Result<Option<Key>> {
    if shape.table.is_keyless() {
        return Ok(None);
    }
    key(session, shape, paging::select(shape, &shape.key_list(), range, Some(1))?).await
}

/// The key in the first row of an answer.
async fn key(session: &mut Session, shape: &Shape, select: Select) -> Result<Option<Key>> {
    let found: Option<Row> = session
        .conn
        .exec_first(&select.sql, positional(select.parameters))
        .await
        .map_err(|failure| failure::error(failure, "looking at the key's index"))?;
    let Some(row) = found else { return Ok(None) };
    let mut slab = Vec::new();
    let place = decode::key_row(&row, &shape.table, &shape.natives, &mut slab)?;
    Ok(Key::of(&shape.table, crate::model::RowRef::new(&slab, place)))
}
