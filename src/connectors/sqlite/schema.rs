//! Reads the shapes of a file's tables from its catalogue.

use super::{
    columns::{Affinity, affinity, equality, kind},
    definition,
    failure::Answer,
    file::Database,
    statement::RAW_TEXT,
    text::{quote, quoted},
};
use crate::model::{Action, Column, Equality, Finding, ForeignKey, Severity, Table, TableName, Unique, ValueRef};
use std::sync::Arc;

/// SQLite's name of the database that a file is.
pub(super) const SCHEMA: &str = "main";

/// The `declared` type of the key column that a table without a usable key gets: SQLite's hidden row number.
pub(super) const ROWID: &str = "ROWID";

/// Names under which SQLite gives a row's number, unless a column has that name.
pub(super) const ROWID_NAMES: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// A table's shape and how its rows are reached.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    pub table: Arc<Table>,
    pub access: Access,
    /// The key columns in key order, as the key's index compares them.
    pub terms: Vec<Term>,
    pub uniques: Vec<UniqueTerms>,
    pub defaults: Vec<Default>,
}

/// What SQLite puts into a `NOT NULL` column in place of a NULL, where a conflict is answered by REPLACE.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Default {
    pub column: String,
    /// As it may stand in a trigger; `None`: nobody can say it before it is done.
    pub constant: Option<String>,
}

/// One column of a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Term {
    /// Quoted.
    pub name: String,
    /// Empty for the row's number, which has none.
    pub collation: String,
    pub descending: bool,
}

/// What a key is kept in.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Access {
    /// By the row's number: the hidden one, or an `INTEGER PRIMARY KEY`. The name that gives it, quoted.
    Number(String),
    /// By an index of this name, quoted; and the name that gives the row's number.
    Index(String, String),
    /// The table is its own index (WITHOUT ROWID).
    Table,
}

/// A unique index as the trigger and the search for holders need it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct UniqueTerms {
    /// Columns in index order; `None`: an expression.
    pub columns: Vec<(Option<usize>, String)>,
    pub definition: String,
    pub partial: bool,
}

impl Shape {
    pub fn name(&self) -> &str {
        &self.table.name.name
    }

    /// The hidden row number is the key: `VACUUM` may give new ones.
    pub fn is_by_hidden_number(&self) -> bool {
        self.table.key.first().is_some_and(|&column| self.table.columns[column].declared == ROWID)
    }

    /// Whether rows may have NULL in their key, which SQLite allows and nobody can address.
    pub fn may_have_null_key(&self) -> bool {
        matches!(self.access, Access::Index(..))
            && self.table.key.iter().any(|&column| self.table.columns[column].nullable)
    }

    /// All columns, quoted, as they are selected.
    pub fn column_list(&self) -> String {
        quoted(self.table.columns.iter().map(|column| column.name.as_str()))
    }
}

/// The names of all tables that could be carried, and what is said about the others.
pub(super) fn names(db: &mut Database) -> Answer<(Vec<String>, Vec<Finding>)> {
    let listed = db.rows(
        "SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         AND name NOT LIKE 'whimbrel\\_%' ESCAPE '\\' ORDER BY name",
        [],
        |row| (text(row.get(0)), text(row.get(1))),
    )?;
    let (mut names, mut findings) = (Vec::new(), Vec::new());
    for (name, kind) in listed {
        let why = match kind.as_str() {
            "table" => {
                names.push(name);
                continue;
            }
            "view" => "a view is not carried: it has no rows of its own; create it at the target by hand",
            "virtual" => "a virtual table is not carried: its rows are where its module keeps them",
            _ => "a table inside a virtual table is not carried: the module that owns it rebuilds it",
        };
        findings.push(Finding::new(Severity::Info, TableName::new(SCHEMA, name).to_string(), why));
    }
    for (table, name) in users_triggers(db)? {
        let text = format!("its trigger `{name}` is not carried: what it writes is; create it at the target by hand");
        findings.push(Finding::new(Severity::Info, TableName::new(SCHEMA, table).to_string(), text));
    }
    Ok((names, findings))
}

/// Table and name of every trigger that is not ours.
pub(super) fn users_triggers(db: &mut Database) -> Answer<Vec<(String, String)>> {
    db.rows(
        "SELECT tbl_name, name FROM main.sqlite_schema WHERE type = 'trigger' \
         AND name NOT LIKE 'whimbrel\\_%' ESCAPE '\\' ORDER BY tbl_name, name",
        [],
        |row| (text(row.get(0)), text(row.get(1))),
    )
}

/// A table's shape with version 0; `None` if there is no such table, or none of its rows can be told apart.
pub(super) fn read(db: &mut Database, name: &str) -> Answer<Option<Shape>> {
    let found = db
        .statement(
            // Asked for one table, and in this order: where there are thousands, a list of all of them for each takes long.
            "SELECT l.name, l.wr, l.strict, s.sql FROM pragma_table_list(?1) l \
             CROSS JOIN main.sqlite_schema s ON s.type = 'table' AND s.name = l.name \
             WHERE l.schema = 'main' AND l.type = 'table' AND l.name = ?1 COLLATE NOCASE",
        )?
        .first([ValueRef::Text(name)], |row| (text(row.get(0)), row.int(1) != 0, row.int(2) != 0, text(row.get(3))))?;
    let Some((name, without_rowid, strict, definition)) = found else { return Ok(None) };

    let mut columns = Vec::new();
    let mut declared_key = Vec::new();
    let mut defaults = Vec::new();
    for (column, declared, not_null, key, hidden, default) in db.rows(
        "SELECT name, type, \"notnull\", pk, hidden, dflt_value FROM pragma_table_xinfo(?1, 'main') \
         WHERE hidden <> 1 ORDER BY cid",
        [ValueRef::Text(&name)],
        |row| (text(row.get(0)), text(row.get(1)), row.int(2) != 0, row.int(3), row.int(4), text(row.get(5))),
    )? {
        if (not_null || without_rowid && key > 0) && !default.is_empty() && !default.eq_ignore_ascii_case("null") {
            let constant = definition::constant(&default).map(|constant| stored(&constant, affinity(&declared)));
            defaults.push(Default { column: column.clone(), constant });
        }
        if key > 0 {
            declared_key.push((key, columns.len()));
        }
        columns.push(Column {
            equality: equality(&db.collation(&name, &column)?),
            kind: kind(&declared, strict),
            nullable: !(not_null || without_rowid && key > 0),
            generated: hidden != 0,
            name: column,
            declared,
        });
    }
    declared_key.sort_unstable();
    let hidden = ROWID_NAMES
        .iter()
        .find(|free| columns.iter().all(|column| !column.name.eq_ignore_ascii_case(free)))
        .map(|name| (*name).to_owned());

    let mut indexes = Indexes::read(db, &name, &columns)?;
    let mut key: Vec<usize> = declared_key.iter().map(|(_, column)| *column).collect();
    let (access, terms) = match (indexes.key.take(), &key[..], hidden) {
        (Some((_, terms)), ..) if without_rowid => (Access::Table, terms),
        (Some((index, terms)), _, Some(number)) => (Access::Index(quote(&index), quote(&number)), terms),
        (None, &[column], _) => {
            // An INTEGER PRIMARY KEY is the row's number itself.
            columns[column].nullable = false;
            let name = quote(&columns[column].name);
            (Access::Number(name.clone()), vec![Term::number(name)])
        }
        (None, _, Some(number)) => {
            columns.insert(
                0,
                Column {
                    name: number.clone(),
                    kind: crate::model::Type::Int,
                    declared: ROWID.to_owned(),
                    nullable: false,
                    generated: false,
                    equality: Equality::Exact,
                },
            );
            indexes.shift();
            key = vec![0];
            (Access::Number(quote(&number)), vec![Term::number(quote(&number))])
        }
        // All three names of the row's number are taken by columns.
        (_, _, None) => return Ok(None),
    };
    for (&column, term) in key.iter().zip(&terms) {
        columns[column].equality = if term.collation.is_empty() { Equality::Exact } else { equality(&term.collation) };
    }
    let foreign_keys = foreign_keys(db, &name, &columns)?;
    let definition = std::iter::once(definition).chain(indexes.plain).collect::<Vec<_>>().join(";\n");
    let table = Table {
        name: TableName::new(SCHEMA, name),
        version: 0,
        columns,
        key,
        uniques: indexes.unique,
        foreign_keys,
        family: "sqlite".to_owned(),
        definition: Some(definition),
        beyond: None,
    };
    Ok(Some(Shape { table: Arc::new(table), access, terms, uniques: indexes.terms, defaults }))
}

/// A constant as a column of this affinity keeps it.
fn stored(constant: &str, affinity: Affinity) -> String {
    let is_text = constant.starts_with('\'');
    let is_number = constant.starts_with(|first: char| "+-.(0123456789".contains(first));
    let reads_as_number = is_text && constant.trim_matches('\'').trim().parse::<f64>().is_ok_and(f64::is_finite);
    match affinity {
        Affinity::Text if is_number => format!("CAST({constant} AS TEXT)"),
        Affinity::Real if is_number || reads_as_number => format!("CAST({constant} AS REAL)"),
        Affinity::Integer | Affinity::Numeric if reads_as_number => format!("CAST({constant} AS NUMERIC)"),
        _ => constant.to_owned(),
    }
}

impl Term {
    fn number(name: String) -> Term {
        Term { name, collation: String::new(), descending: false }
    }
}

/// A table's indexes, sorted by what becomes of them.
#[derive(std::default::Default)]
struct Indexes {
    key: Option<(String, Vec<Term>)>,
    unique: Vec<Unique>,
    terms: Vec<UniqueTerms>,
    /// Statements that make the others.
    plain: Vec<String>,
}

impl Indexes {
    fn read(db: &mut Database, table: &str, columns: &[Column]) -> Answer<Indexes> {
        let mut indexes = Indexes::default();
        let listed = db.rows(
            "SELECT l.name, l.\"unique\", l.origin, l.partial, s.sql FROM pragma_index_list(?1, 'main') l \
             LEFT JOIN main.sqlite_schema s ON s.type = 'index' AND s.name = l.name ORDER BY l.seq DESC",
            [ValueRef::Text(table)],
            |row| (text(row.get(0)), row.int(1) != 0, text(row.get(2)), row.int(3) != 0, text(row.get(4))),
        )?;
        for (name, unique, origin, partial, sql) in listed {
            let parts = db.rows(
                "SELECT cid, \"desc\", coll FROM pragma_index_xinfo(?1, 'main') WHERE key = 1 ORDER BY seqno",
                [ValueRef::Text(&name)],
                |row| (usize::try_from(row.int(0)).ok(), row.int(1) != 0, text(row.get(2))),
            )?;
            match origin.as_str() {
                "pk" => {
                    let term = |(column, descending, collation): (Option<usize>, bool, String)| Term {
                        name: column.map(|column| quote(&columns[column].name)).unwrap_or_default(),
                        collation,
                        descending,
                    };
                    indexes.key = Some((name, parts.into_iter().map(term).collect()));
                }
                _ if unique => indexes.add_unique(table, columns, name, parts, sql, partial),
                _ => indexes.plain.push(sql),
            }
        }
        Ok(indexes)
    }

    fn add_unique(
        &mut self,
        table: &str,
        all: &[Column],
        name: String,
        parts: Vec<(Option<usize>, bool, String)>,
        sql: String,
        partial: bool,
    ) {
        let whole: Option<Vec<usize>> = parts.iter().map(|(column, ..)| *column).collect();
        let columns = whole.filter(|_| !partial).unwrap_or_default();
        // A constraint has no statement of its own; it travels as the index that it is.
        let (name, definition) = if sql.is_empty() {
            let names: Vec<&str> = columns.iter().map(|&column| all[column].name.as_str()).collect();
            let name = format!("{table}_{}_unique", names.join("_"));
            let terms = parts
                .iter()
                .zip(&names)
                .map(|((.., collation), column)| format!("{} COLLATE {}", quote(column), quote(collation)));
            let terms = terms.collect::<Vec<_>>().join(", ");
            let definition = format!("CREATE UNIQUE INDEX {} ON {} ({terms})", quote(&name), quote(table));
            (name, definition)
        } else {
            (name, sql)
        };
        let terms = parts.into_iter().map(|(column, _, collation)| (column, collation)).collect();
        self.terms.push(UniqueTerms { columns: terms, definition: definition.clone(), partial });
        self.unique.push(Unique { name, columns, definition: Some(definition) });
    }

    /// A key column was put in front of all others.
    fn shift(&mut self) {
        let columns = self.unique.iter_mut().flat_map(|unique| unique.columns.iter_mut());
        columns.for_each(|column| *column += 1);
        let columns = self.terms.iter_mut().flat_map(|unique| unique.columns.iter_mut());
        columns.filter_map(|(column, _)| column.as_mut()).for_each(|column| *column += 1);
    }
}

/// In the order of declaration: SQLite lists the last one first.
fn foreign_keys(db: &mut Database, table: &str, columns: &[Column]) -> Answer<Vec<ForeignKey>> {
    let listed = db.rows(
        "SELECT id, \"table\", \"from\", \"to\", on_update, on_delete FROM pragma_foreign_key_list(?1, 'main') \
         ORDER BY id DESC, seq",
        [ValueRef::Text(table)],
        |row| {
            (row.int(0), text(row.get(1)), text(row.get(2)), row.get(3).to_owned(), text(row.get(4)), text(row.get(5)))
        },
    )?;
    let mut keys: Vec<(i64, ForeignKey)> = Vec::new();
    for (id, parent, from, to, on_update, on_delete) in listed {
        if keys.last().is_none_or(|(last, _)| *last != id) {
            keys.push((
                id,
                ForeignKey {
                    columns: Vec::new(),
                    parent: TableName::new(SCHEMA, parent),
                    parent_columns: Vec::new(),
                    on_delete: action(&on_delete),
                    on_update: action(&on_update),
                },
            ));
        }
        let (_, key) = keys.last_mut().expect("just pushed");
        key.columns.extend(columns.iter().position(|column| column.name.eq_ignore_ascii_case(&from)));
        if let crate::model::Value::Text(to) = to {
            key.parent_columns.push(to);
        }
    }
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

fn action(name: &str) -> Action {
    match name {
        "CASCADE" => Action::Cascade,
        "SET NULL" => Action::SetNull,
        "SET DEFAULT" => Action::SetDefault,
        "RESTRICT" => Action::Restrict,
        _ => Action::None,
    }
}

/// The text of a catalogue's value; names that are not UTF-8 are read with replacement characters.
pub(super) fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Text(text) => text.to_owned(),
        ValueRef::Native(RAW_TEXT, bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}
