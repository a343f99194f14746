//! Conditions that page through a table in the order of its key's index. Pure.

use super::{
    binding,
    schema::{Shape, Term},
    text::{self, quote},
    types::Native,
};
use crate::{
    error::{Error, Result},
    model::{Key, KeyRange, ValueRef},
};
use mysql_async::Value;

/// A statement to prepare, and its parameters.
#[derive(Debug, PartialEq)]
pub(super) struct Select {
    pub sql: String,
    pub parameters: Vec<Value>,
}

/// The first `limit` rows of a range in key order; without a key, all.
pub(super) fn select(shape: &Shape, columns: &str, range: &KeyRange, limit: Option<u64>) -> Result<Select> {
    let mut select = from(shape, columns, range)?;
    select.sql += &order(shape, false);
    if let Some(limit) = limit {
        select.sql += " LIMIT ?";
        select.parameters.push(Value::UInt(limit));
    }
    Ok(select)
}

/// The last row of a range.
pub(super) fn last(shape: &Shape, columns: &str, range: &KeyRange) -> Result<Select> {
    let mut select = from(shape, columns, range)?;
    select.sql += &order(shape, true);
    select.sql += " LIMIT 1";
    Ok(select)
}

/// The rows of a range in no order.
pub(super) fn from(shape: &Shape, columns: &str, range: &KeyRange) -> Result<Select> {
    let mut select = Select { sql: format!("SELECT {columns} FROM {}", walked(shape)), parameters: Vec::new() };
    let ends = [(&range.after, false), (&range.upto, true)];
    let mut word = " WHERE ";
    for (key, is_upper) in ends {
        if let Some(key) = key {
            let condition = beyond(shape, key, is_upper, &mut select.parameters)?;
            select.sql += word;
            select.sql += &condition;
            word = " AND ";
        }
    }
    Ok(select)
}

/// One of several rows by their whole keys.
pub(super) fn by_keys<'k>(shape: &Shape, columns: &str, keys: impl IntoIterator<Item = &'k Key>) -> Result<Select> {
    let mut parameters = Vec::new();
    let mut conditions = Vec::new();
    for key in keys {
        let parts = parts(shape, key)?.into_iter().map(|part| {
            parameters.push(part.value);
            format!("{} = {}", part.name, part.expression)
        });
        conditions.push(format!("({})", parts.collect::<Vec<_>>().join(" AND ")));
    }
    let sql = format!("SELECT {columns} FROM {} WHERE {}", walked(shape), conditions.join(" OR "));
    Ok(Select { sql, parameters })
}

/// Whether pages can be found by the index. A label's number is compared, which its index is not searched by: such a key
/// is read in one walk.
pub(super) fn is_pageable(shape: &Shape) -> bool {
    let labelled = |term: &Term| matches!(shape.natives[term.column], Native::Enum(_) | Native::Set(_));
    shape.index.is_some() && !shape.terms.iter().any(labelled)
}

/// The table, walked by its key: left alone, the server might sort all of it for each page.
fn walked(shape: &Shape) -> String {
    let table = text::table(&shape.table.name);
    match &shape.index {
        Some(index) => format!("{table} FORCE INDEX ({})", quote(index)),
        None => table,
    }
}

fn order(shape: &Shape, backwards: bool) -> String {
    let term = |term: &Term| {
        let name = quote(&shape.table.columns[term.column].name);
        if term.descending == backwards { name } else { format!("{name} DESC") }
    };
    let terms: Vec<String> = shape.terms.iter().map(term).collect();
    if terms.is_empty() { String::new() } else { format!(" ORDER BY {}", terms.join(", ")) }
}

struct Part {
    name: String,
    descending: bool,
    expression: String,
    value: Value,
}

fn parts(shape: &Shape, key: &Key) -> Result<Vec<Part>> {
    let values: Vec<ValueRef<'_>> = key.values().collect();
    if values.len() != shape.terms.len() {
        return Err(Error::config(format!("{} has another key than before", shape.table.name))
            .hint("delete the job and create it again with `existing: replace`"));
    }
    let part = |(term, value): (&Term, ValueRef<'_>)| {
        let (expression, value) = binding::bind(&shape.table, term.column, &shape.natives[term.column], value)?;
        let name = quote(&shape.table.columns[term.column].name);
        Ok(Part { name, descending: term.descending, expression, value })
    };
    shape.terms.iter().zip(values).map(part).collect()
}

/// Keys after this one in the index's order; for an upper end, keys up to and with it. Rows in parentheses,
/// `(a, b) > (x, y)`, are not searched by an index; this is: `a > x OR (a = x AND b > y)`.
fn beyond(shape: &Shape, key: &Key, is_upper: bool, parameters: &mut Vec<Value>) -> Result<String> {
    let parts = parts(shape, key)?;
    let mut alternatives = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let mut conditions = Vec::new();
        for before in &parts[..at] {
            conditions.push(format!("{} = {}", before.name, before.expression));
            parameters.push(before.value.clone());
        }
        let or_equal = if is_upper && at + 1 == parts.len() { "=" } else { "" };
        let operator = if part.descending == is_upper { ">" } else { "<" };
        conditions.push(format!("{} {operator}{or_equal} {}", part.name, part.expression));
        parameters.push(part.value.clone());
        alternatives.push(match conditions.len() {
            1 => conditions.remove(0),
            _ => format!("({})", conditions.join(" AND ")),
        });
    }
    Ok(format!("({})", alternatives.join(" OR ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Column, Table, TableName, Type};
    use std::sync::Arc;

    fn shape(descending: [bool; 2]) -> Shape {
        let column = |name: &str| Column { declared: "int(11)".into(), ..Column::new(name, Type::Int) };
        let table = Table::new(TableName::new("d", "t"), vec![column("a"), column("b")], vec![0, 1]);
        let natives = vec![Native::Int(4), Native::Int(4)];
        let terms = vec![Term { column: 0, descending: descending[0] }, Term { column: 1, descending: descending[1] }];
        let index = Some("PRIMARY".to_owned());
        Shape { table: Arc::new(table), natives, terms, index, altered: 0, engine: "InnoDB".into(), hashes: 0 }
    }

    fn key(a: i64, b: i64) -> Option<Key> {
        Some(Key::from_values([ValueRef::Int(a), ValueRef::Int(b)]))
    }

    #[test]
    fn pages_are_walks_of_the_index() {
        let range = KeyRange { after: key(1, 2), upto: key(3, 4) };
        let page = select(&shape([false, false]), "*", &range, Some(9)).unwrap();
        assert_eq!(
            page.sql,
            "SELECT * FROM `d`.`t` FORCE INDEX (`PRIMARY`) WHERE (`a` > ? OR (`a` = ? AND `b` > ?)) \
             AND (`a` < ? OR (`a` = ? AND `b` <= ?)) ORDER BY `a`, `b` LIMIT ?"
        );
        assert_eq!(
            page.parameters,
            [1, 1, 2, 3, 3, 4].map(Value::Int).into_iter().chain([Value::UInt(9)]).collect::<Vec<_>>()
        );
        let mixed = select(&shape([true, false]), "*", &KeyRange { after: key(1, 2), upto: None }, None).unwrap();
        assert!(
            mixed.sql.ends_with("WHERE (`a` < ? OR (`a` = ? AND `b` > ?)) ORDER BY `a` DESC, `b`"),
            "{}",
            mixed.sql
        );
    }
}
