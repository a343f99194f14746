//! A table's shape: columns, key, unique indexes, foreign keys. It travels with the rows, in an `Arc`, versioned.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Schema and table as the store spells them. SQLite's schema is always `main`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TableName {
    pub schema: String,
    pub name: String,
}

impl TableName {
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        TableName { schema: schema.into(), name: name.into() }
    }
}

/// `schema.name`; a dot or backslash inside a part is escaped by a backslash, so that the text can be read back.
impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (part, end) in [(&self.schema, "."), (&self.name, "")] {
            for c in part.chars() {
                if matches!(c, '.' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
            f.write_str(end)?;
        }
        Ok(())
    }
}

impl FromStr for TableName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = vec![String::new()];
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => parts.last_mut().expect("never empty").push(chars.next().ok_or("ends in a backslash")?),
                '.' => parts.push(String::new()),
                c => parts.last_mut().expect("never empty").push(c),
            }
        }
        match <[String; 2]>::try_from(parts) {
            Ok([schema, name]) => Ok(TableName { schema, name }),
            Err(_) => Err(format!("`{text}` is not schema.table")),
        }
    }
}

impl From<TableName> for String {
    fn from(name: TableName) -> String {
        name.to_string()
    }
}

impl TryFrom<String> for TableName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// What a column holds, in the words of the model; the source's own type is `Column::declared`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// Any kind in any row (SQLite, schema-free stores).
    Any,
    Bool,
    Int,
    Unsigned,
    Float32,
    Float64,
    Decimal,
    Text,
    Bytes,
    Date,
    Time,
    DateTime,
    Instant,
    Interval,
    Uuid,
    Json,
    List,
    Map,
    Native,
}

/// When a store takes two values of a column for the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Equality {
    /// Equal bytes. (Numbers still compare as numbers.)
    Exact,
    /// Something coarser than bytes: case, accents, padding. Lanes and folding treat such keys with care.
    Coarse,
    /// Coarse, and also plain letters are taken for others ('i' for 'y'): no two keys are known to differ.
    Tailored,
}

impl Equality {
    pub fn is_coarse(self) -> bool {
        self != Equality::Exact
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub kind: Type,
    /// The type in the source's own words.
    pub declared: String,
    pub nullable: bool,
    /// Computed by the store: carried and compared, never written.
    pub generated: bool,
    pub equality: Equality,
}

impl Column {
    pub fn new(name: impl Into<String>, kind: Type) -> Self {
        Column {
            name: name.into(),
            kind,
            declared: String::new(),
            nullable: true,
            generated: false,
            equality: Equality::Exact,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unique {
    pub name: String,
    /// Indexes into `Table::columns`. Empty where the index is over expressions or part of the rows.
    pub columns: Vec<usize>,
    /// The statement that makes it, in the words of `Table::family`; for indexes that columns alone do not tell.
    pub definition: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    None,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    pub columns: Vec<usize>,
    pub parent: TableName,
    /// Names, since the parent may not be carried. Empty: the parent's key.
    pub parent_columns: Vec<String>,
    pub on_delete: Action,
    pub on_update: Action,
}

/// One version of one table's shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    pub name: TableName,
    /// Grows with each change of the shape, per source; rows of different versions are told apart by it.
    pub version: u64,
    pub columns: Vec<Column>,
    /// Indexes of the key columns, in key order. Empty: the table has no key.
    pub key: Vec<usize>,
    pub uniques: Vec<Unique>,
    pub foreign_keys: Vec<ForeignKey>,
    /// Kind of store that `definition` and `declared` are written for: `sqlite`, `mysql`, …
    pub family: String,
    /// The source's own statement that makes the table; used between equal kinds of store.
    pub definition: Option<String>,
    /// Of a schema-free table: rows have named fields besides the columns, and these are known beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond: Option<Vec<Column>>,
}

impl Table {
    /// A plain table: tests and trials.
    pub fn new(name: TableName, columns: Vec<Column>, key: Vec<usize>) -> Self {
        Table {
            name,
            version: 1,
            columns,
            key,
            uniques: Vec::new(),
            foreign_keys: Vec::new(),
            family: String::new(),
            definition: None,
            beyond: None,
        }
    }

    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    pub fn is_keyless(&self) -> bool {
        self.key.is_empty()
    }

    /// Whether two keys with other bytes may be one row to the store.
    pub fn has_coarse_key(&self) -> bool {
        self.key.iter().any(|&column| self.columns[column].equality.is_coarse())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_their_text() {
        for (schema, name) in [("main", "orders"), ("a.b", "c\\d"), ("", "x.y.z")] {
            let name = TableName::new(schema, name);
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        assert!("a.b.c".parse::<TableName>().is_err());
    }
}
