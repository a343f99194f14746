//! Cuts a table into ranges of about equal size by looking at its key alone.

use super::{
    failure::Answer,
    file::Database,
    paging,
    schema::{Access, Shape},
    statement::Row,
};
use crate::model::{Key, KeyRange, ValueRef};

/// At most `pieces` ranges that cover `range` exactly, in key order.
pub(super) fn split(db: &Database, shape: &Shape, range: &KeyRange, pieces: usize) -> Answer<Vec<KeyRange>> {
    if pieces < 2 {
        return Ok(vec![range.clone()]);
    }
    let bounds = match shape.access {
        Access::Number(_) => by_number(db, shape, range, pieces)?,
        Access::Index(..) | Access::Table => by_walk(db, shape, range, pieces)?,
    };
    let mut ranges = Vec::with_capacity(bounds.len() + 1);
    let mut after = range.after.clone();
    for bound in bounds {
        ranges.push(KeyRange { after: after.replace(bound.clone()), upto: Some(bound) });
    }
    ranges.push(KeyRange { after, upto: range.upto.clone() });
    Ok(ranges)
}

/// Row numbers: between the smallest and the largest by arithmetic.
fn by_number(db: &Database, shape: &Shape, range: &KeyRange, pieces: usize) -> Answer<Vec<Key>> {
    let number = &shape.terms[0].name;
    let end = |direction: &str| -> Answer<Option<i64>> {
        let sql = paging::select(shape, number, range.after.is_some(), range.upto.is_some());
        let bounds: Vec<ValueRef<'_>> = range.after.iter().chain(&range.upto).flat_map(Key::values).collect();
        Ok(db.rows(&format!("{sql} {direction} LIMIT 1"), bounds, |row| row.int(0))?.into_iter().next())
    };
    let (Some(first), Some(last)) = (end("ASC")?, end("DESC")?) else { return Ok(Vec::new()) };
    let (first, width) = (i128::from(first), i128::from(last) - i128::from(first));
    let mut bounds: Vec<Key> = Vec::new();
    for piece in 1..pieces {
        let at = first + width * piece as i128 / pieces as i128;
        let at = i64::try_from(at).expect("between two of its kind");
        let bound = Key::from_values([ValueRef::Int(at)]);
        if i128::from(at) < first + width && bounds.last() != Some(&bound) {
            bounds.push(bound);
        }
    }
    Ok(bounds)
}

/// Other keys: every n-th key of the index. Counts and walks the index, not the rows.
fn by_walk(db: &Database, shape: &Shape, range: &KeyRange, pieces: usize) -> Answer<Vec<Key>> {
    let keys = shape.terms.iter().map(|term| term.name.clone()).collect::<Vec<_>>().join(", ");
    let page = |after: bool, columns: &str| paging::select(shape, columns, after, range.upto.is_some());
    let bounds = range.after.iter().chain(&range.upto).flat_map(Key::values);
    let sql = page(range.after.is_some(), "1");
    let rows = db.rows(&format!("SELECT count(*) FROM ({sql})"), bounds, |row| row.int(0))?.first().copied();
    let step = rows.unwrap_or(0) / i64::try_from(pieces).unwrap_or(i64::MAX);
    let mut found: Vec<Key> = Vec::new();
    while step > 0 && found.len() + 1 < pieces {
        let after = found.last().or(range.after.as_ref());
        let sql = format!("{} LIMIT 1 OFFSET {}", page(after.is_some(), &keys), step - 1);
        let bounds: Vec<ValueRef<'_>> = after.into_iter().chain(&range.upto).flat_map(Key::values).collect();
        let read = |row: Row<'_>| Key::from_values((0..shape.terms.len()).map(|part| row.get(part)));
        match db.rows(&sql, bounds, read)?.into_iter().next() {
            Some(key) => found.push(key),
            None => break,
        }
    }
    Ok(found)
}
