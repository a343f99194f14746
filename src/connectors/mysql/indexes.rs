//! A table's indexes: which one is its key, which others are unique.

use super::{
    connect::Session,
    failure::Answer,
    schema::{Term, strings},
    text::{self, quote},
};
use crate::model::{Column, TableName, Unique};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Index {
    pub name: String,
    pub unique: bool,
    /// The optimizer is told not to use it, or it cannot be walked in order.
    unwalkable: bool,
    hashed: bool,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
struct Part {
    /// `None`: an expression.
    column: Option<String>,
    descending: bool,
    /// Only so many characters of it are in the index.
    is_prefix: bool,
}

pub(super) async fn read(session: &mut Session, filter: &str) -> Answer<BTreeMap<TableName, Vec<Index>>> {
    let ignored = match session.server.is_mariadb() {
        true if session.server.version >= (10, 6, 0) => "IGNORED",
        false if session.server.version >= (8, 0, 0) => "IF(IS_VISIBLE = 'YES', 'NO', 'YES')",
        _ => "'NO'",
    };
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, NON_UNIQUE, COLUMN_NAME, COLLATION, SUB_PART, INDEX_TYPE, \
         {ignored} FROM information_schema.STATISTICS WHERE {filter} \
         ORDER BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"
    );
    let mut indexes: BTreeMap<TableName, Vec<Index>> = BTreeMap::new();
    for row in session.rows(sql).await? {
        let [schema, table, name, non_unique, column, direction, prefix, kind, ignored] = strings(row);
        let of_table = indexes.entry(TableName::new(schema, table)).or_default();
        if of_table.last().is_none_or(|last| last.name != name) {
            let unwalkable = ignored == "YES" || kind != "BTREE";
            let (unique, hashed) = (non_unique == "0", kind == "HASH");
            of_table.push(Index { name, unique, unwalkable, hashed, parts: Vec::new() });
        }
        of_table.last_mut().expect("just pushed").parts.push(Part {
            column: Some(column).filter(|column| !column.is_empty()),
            descending: direction == "D",
            is_prefix: !prefix.is_empty(),
        });
    }
    Ok(indexes)
}

/// The primary key, or the first unique index over whole columns without NULL, as the statement lists them: the one whose
/// columns the log tells of each row, however little else.
pub(super) fn key<'i>(indexes: &'i [Index], columns: &[Column], definition: &str) -> Option<&'i Index> {
    let serves = |index: &&Index| {
        let whole = |part: &Part| {
            let column = part.column.as_ref().and_then(|name| find(columns, name));
            !part.is_prefix && column.is_some_and(|column| !columns[column].nullable)
        };
        index.unique && !index.unwalkable && index.parts.iter().all(whole)
    };
    let primary = indexes.iter().find(|index| index.name == "PRIMARY");
    let lines: Vec<&str> = definition.lines().collect();
    let place = |index: &&Index| {
        let start = unique_line(&index.name);
        lines.iter().position(|line| line.starts_with(&start)).unwrap_or(lines.len())
    };
    primary.or_else(|| indexes.iter().filter(serves).min_by_key(place))
}

impl Index {
    pub fn terms(&self, columns: &[Column]) -> Vec<Term> {
        let term = |part: &Part| {
            let column = part.column.as_ref().and_then(|name| find(columns, name))?;
            Some(Term { column, descending: part.descending })
        };
        self.parts.iter().filter_map(term).collect()
    }

    /// Whether MariaDB may keep a column of its own for it, behind all others: the hash of a text that is too long for an
    /// index.
    pub fn is_hashed(&self) -> bool {
        self.unique && self.hashed
    }

    /// Whether walking it gives the order of its columns' values.
    pub fn is_walkable(&self) -> bool {
        !self.unwalkable && self.parts.iter().all(|part| !part.is_prefix)
    }

    pub fn unique(&self, table: &TableName, columns: &[Column], definition: &str) -> Unique {
        let whole = |part: &Part| part.column.as_ref().filter(|_| !part.is_prefix).and_then(|name| find(columns, name));
        let columns: Option<Vec<usize>> = self.parts.iter().map(whole).collect();
        let made = parts_of(definition, &self.name)
            .map(|parts| format!("CREATE UNIQUE INDEX {} ON {} {parts}", quote(&self.name), text::table(table)));
        Unique { name: self.name.clone(), columns: columns.unwrap_or_default(), definition: made }
    }
}

fn find(columns: &[Column], name: &str) -> Option<usize> {
    columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
}

fn unique_line(name: &str) -> String {
    format!("  UNIQUE KEY {} ", quote(name))
}

/// `(`a`(10),`b` DESC) USING BTREE` of a unique index, as `SHOW CREATE TABLE` puts it.
fn parts_of<'s>(definition: &'s str, name: &str) -> Option<&'s str> {
    let start = unique_line(name);
    let line = definition.lines().find_map(|line| line.strip_prefix(&start))?;
    Some(line.strip_suffix(',').unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Type;

    fn index(name: &str, parts: &[&str]) -> Index {
        let part = |name: &&str| Part { column: Some((*name).to_owned()), descending: false, is_prefix: false };
        Index {
            name: name.into(),
            unique: true,
            unwalkable: false,
            hashed: false,
            parts: parts.iter().map(part).collect(),
        }
    }

    #[test]
    fn the_key_is_the_primary_one_or_what_can_stand_for_it() {
        let column = |name: &str, nullable| Column { nullable, ..Column::new(name, Type::Int) };
        let columns = [column("a", false), column("b", false), column("n", true)];
        let all = [index("ab", &["a", "b"]), index("n", &["n"]), index("z", &["b"]), index("y", &["a"])];
        let definition =
            "CREATE TABLE `t` (\n  UNIQUE KEY `z` (`b`),\n  UNIQUE KEY `ab` (`a`,`b`),\n  UNIQUE KEY `y` (`a`)\n)";
        assert_eq!(key(&all, &columns, definition).map(|index| index.name.as_str()), Some("z"));
        assert_eq!(key(&all[1..2], &columns, definition), None);
        let mut with = all.to_vec();
        with.push(index("PRIMARY", &["a", "b"]));
        assert_eq!(key(&with, &columns, definition).map(|index| index.name.as_str()), Some("PRIMARY"));
    }

    #[test]
    fn a_unique_index_travels_as_it_was_made() {
        let definition =
            "CREATE TABLE `t` (\n  `a` text,\n  UNIQUE KEY `u``x` (`a`(10)) USING BTREE,\n  KEY `k` (`a`)\n)";
        assert_eq!(parts_of(definition, "u`x"), Some("(`a`(10)) USING BTREE"));
        assert_eq!(parts_of(definition, "k"), None);
    }
}
