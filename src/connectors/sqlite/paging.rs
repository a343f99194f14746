//! Conditions that page through a table in the order of its key. Pure.
//!
//! The order of a range is the order of the key's own index, so that a page is a walk along it: collations and storage
//! classes compare as SQLite compares them there. Where the index mixes ascending and descending columns, so does the
//! order.

use super::schema::{Access, Shape, Term};

/// The rows of a range in key order. Parameters: the key after which it starts (if it has a start), then the key up to
/// which it goes (if it has an end).
pub(super) fn select(shape: &Shape, columns: &str, after: bool, upto: bool) -> String {
    let keys = shape.terms.len();
    let mut conditions = Vec::new();
    if after {
        conditions.push(beyond(&shape.terms, 1, false));
    }
    if upto {
        conditions.push(beyond(&shape.terms, if after { keys + 1 } else { 1 }, true));
    }
    let condition = match conditions.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", conditions.join(" AND ")),
    };
    format!("SELECT {columns} FROM {}{condition} ORDER BY {}", from(shape), order(&shape.terms))
}

/// The table, walked by its key: left alone, SQLite might sort all of it for each page.
pub(super) fn from(shape: &Shape) -> String {
    let table = super::text::quote(shape.name());
    match &shape.access {
        Access::Index(index, _) => format!("{table} INDEXED BY {index}"),
        Access::Number(_) | Access::Table => format!("{table} NOT INDEXED"),
    }
}

/// One row by its key; parameters are the key's values.
pub(super) fn by_key(terms: &[Term]) -> String {
    let parts = terms.iter().enumerate().map(|(at, term)| format!("{} = ?{}", collated(term), at + 1));
    parts.collect::<Vec<_>>().join(" AND ")
}

fn order(terms: &[Term]) -> String {
    let mixed = is_mixed(terms);
    let parts = terms.iter().map(|term| match mixed && term.descending {
        true => format!("{} DESC", collated(term)),
        false => collated(term),
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// Keys after the one in the parameters from `first`; with `negated`, keys up to and with it.
fn beyond(terms: &[Term], first: usize, negated: bool) -> String {
    if !is_mixed(terms) {
        let names = terms.iter().map(collated).collect::<Vec<_>>().join(", ");
        let values = (first..first + terms.len()).map(|at| format!("?{at}")).collect::<Vec<_>>().join(", ");
        let operator = if negated { "<=" } else { ">" };
        return format!("({names}) {operator} ({values})");
    }
    // a ≥ x AND (a > x OR (b ≥ y AND (b > y …))): the first part lets SQLite start its walk at the right place.
    let last = terms.len() - 1;
    let mut condition = String::new();
    for (at, term) in terms.iter().enumerate().rev() {
        let name = collated(term);
        let value = first + at;
        let strict = if term.descending == negated { ">" } else { "<" };
        condition = match (at == last, negated) {
            (true, true) => format!("{name} {strict}= ?{value}"),
            (true, false) => format!("{name} {strict} ?{value}"),
            (false, _) => format!("{name} {strict}= ?{value} AND ({name} {strict} ?{value} OR ({condition}))"),
        };
    }
    format!("({condition})")
}

fn is_mixed(terms: &[Term]) -> bool {
    terms.iter().any(|term| term.descending != terms[0].descending)
}

/// A key column as its index compares it.
pub(super) fn collated(term: &Term) -> String {
    match term.collation.is_empty() {
        true => term.name.clone(),
        false => format!("{} COLLATE {}", term.name, super::text::quote(&term.collation)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(name: &str, descending: bool) -> Term {
        Term { name: name.into(), collation: "NOCASE".into(), descending }
    }

    #[test]
    fn mixed_directions_are_spelt_out() {
        let plain = [term("a", true), term("b", true)];
        assert_eq!(beyond(&plain, 1, false), "(a COLLATE \"NOCASE\", b COLLATE \"NOCASE\") > (?1, ?2)");
        let mixed = [term("a", true), term("b", false)];
        let text = |negated| beyond(&mixed, 1, negated).replace(" COLLATE \"NOCASE\"", "");
        assert_eq!(text(false), "(a <= ?1 AND (a < ?1 OR (b > ?2)))");
        assert_eq!(text(true), "(a >= ?1 AND (a > ?1 OR (b <= ?2)))");
    }
}
