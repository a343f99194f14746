//! The triggers that note the keys of changed rows. Pure.
//!
//! They name key columns only (a full row would make the application's own `ALTER TABLE … DROP COLUMN` fail, hazards
//! E14), write nothing but the log, whose columns accept everything, and so cannot fail while the application's
//! statement succeeds.
//!
//! **Evictions.** `INSERT OR REPLACE` and `UPDATE OR REPLACE` delete rows that hold a unique value without firing their
//! delete trigger (E12), so a trigger *before* the change notes the key of whoever holds the new row's unique values.
//! It must name the unique columns, and those can be dropped once their index is. Therefore a name is never
//! written as `new."email"` alone but as `(SELECT new."email")` inside a query that has a table named `new` with a NULL
//! in a column `email`: while the column exists, SQLite resolves the name to the trigger's row; once it is gone, to that
//! NULL, and the trigger finds no holder. `DROP INDEX` and `DROP COLUMN` in one transaction pass.
//!
//! A NULL for a `NOT NULL` column becomes the column's default under REPLACE, after that trigger: it looks for the default
//! as well, if that is a constant. In a table with a key of its own, the row's hidden number is one more unique value.
//!
//! What remains: a column that is renamed *and* dropped within the few milliseconds before we look again; and
//! `RENAME TABLE` under `PRAGMA legacy_alter_table = ON`, which does not rename inside triggers, for a table with a
//! second unique index: its writes fail until we have noticed. Writers that switch triggers off
//! (`SQLITE_DBCONFIG_ENABLE_TRIGGER`) are not seen at all.

use super::{
    definition,
    schema::{Access, Default, ROWID_NAMES, Shape, Term, UniqueTerms},
    text::{quote, quoted},
};

/// What the names of our triggers start with; the table's number follows.
pub(super) const PREFIX: &str = "whimbrel_";

/// The names that the triggers of a table may have.
pub(super) fn names(number: i64) -> [String; 5] {
    ["insert", "update", "delete", "evict_insert", "evict_update"].map(|what| format!("{PREFIX}{number}_{what}"))
}

/// Name and statement of each trigger of a followed table.
pub(super) fn of(shape: &Shape, number: i64) -> Vec<(String, String)> {
    all(shape, number, &Place::File)
}

/// The same as temporary triggers of one connection, whose log rows say who wrote them.
pub(super) fn temporary(shape: &Shape, number: i64, origin: &str) -> Vec<(String, String)> {
    all(shape, number, &Place::Connection { origin })
}

enum Place<'a> {
    File,
    Connection { origin: &'a str },
}

fn all(shape: &Shape, number: i64, place: &Place<'_>) -> Vec<(String, String)> {
    let log = |row: &str| {
        let values = shape.terms.iter().map(|term| format!("{row}.{}", term.name)).collect::<Vec<_>>().join(", ");
        format!("{} VALUES ({}, {values});", into(shape, place), constants(number, place))
    };
    let moved = shape.terms.iter().map(|term| moved(shape, term)).collect::<Vec<_>>().join(" OR ");
    let old = shape.terms.iter().map(|term| format!("old.{}", term.name)).collect::<Vec<_>>().join(", ");
    let left = format!("{} SELECT {}, {old} WHERE {moved};", into(shape, place), constants(number, place));
    let mut triggers = vec![
        trigger(shape, number, place, "insert", "AFTER INSERT", &log("new")),
        // The key it had first: where both are one key to the store, the one it has now is noted last.
        trigger(shape, number, place, "update", "AFTER UPDATE", &format!("{left} {}", log("new"))),
        trigger(shape, number, place, "delete", "AFTER DELETE", &log("old")),
    ];
    let holders: Vec<Holder<'_>> = match place {
        Place::File => holders(shape),
        // Our own connections never evict.
        Place::Connection { .. } => Vec::new(),
    };
    if !holders.is_empty() {
        let body = |update: bool| {
            let parts = holders.iter().map(|holder| holder.statement(shape, number, place, update));
            parts.collect::<Vec<_>>().join(" ")
        };
        triggers.push(trigger(shape, number, place, "evict_insert", "BEFORE INSERT", &body(false)));
        // Only updates of these columns can evict, if none of them is computed.
        let simple = holders.iter().all(|holder| holder.columns.is_some());
        let mut columns: Vec<&str> =
            holders.iter().filter_map(|holder| holder.columns.as_ref()).flatten().copied().collect();
        columns.sort_unstable();
        columns.dedup();
        let event = match simple {
            true => format!("BEFORE UPDATE OF {}", quoted(columns)),
            false => "BEFORE UPDATE".to_owned(),
        };
        triggers.push(trigger(shape, number, place, "evict_update", &event, &body(true)));
    }
    triggers
}

fn trigger(shape: &Shape, number: i64, place: &Place<'_>, what: &str, event: &str, body: &str) -> (String, String) {
    let name = format!("{PREFIX}{number}_{what}");
    let (temporary, schema) = match place {
        Place::File => ("", ""),
        Place::Connection { .. } => ("TEMP ", "main."),
    };
    let table = quote(shape.name());
    let sql = format!("CREATE {temporary}TRIGGER {} {event} ON {schema}{table} BEGIN {body} END", quote(&name));
    (name, sql)
}

fn into(shape: &Shape, place: &Place<'_>) -> String {
    let origin = match place {
        Place::File => "",
        Place::Connection { .. } => "origin, ",
    };
    let keys = (1..=shape.terms.len()).map(|at| format!("k{at}")).collect::<Vec<_>>().join(", ");
    format!("INSERT INTO whimbrel_log(tbl, {origin}{keys})")
}

fn constants(number: i64, place: &Place<'_>) -> String {
    match place {
        Place::File => number.to_string(),
        Place::Connection { origin } => format!("{number}, '{origin}'"),
    }
}

/// Whether an update gave the row another key, byte by byte: `'a'` and `'A'`, 1 and 1.0 are two keys to others.
fn moved(shape: &Shape, term: &Term) -> String {
    let name = &term.name;
    match shape.access {
        Access::Number(_) => format!("old.{name} <> new.{name}"),
        _ => format!("old.{name} IS NOT new.{name} COLLATE BINARY OR typeof(old.{name}) <> typeof(new.{name})"),
    }
}

/// Finds who holds the values that a new row wants in one unique index.
struct Holder<'a> {
    /// The columns it depends on, if they are plain; `None` if any is computed.
    columns: Option<Vec<&'a str>>,
    /// Every column that the condition names.
    named: Vec<&'a str>,
    condition: String,
}

fn holders(shape: &Shape) -> Vec<Holder<'_>> {
    let mut holders: Vec<Holder<'_>> = shape.uniques.iter().filter_map(|unique| of_index(shape, unique)).collect();
    if shape.table.has_coarse_key() {
        let columns: Vec<&str> =
            shape.table.key.iter().map(|&column| shape.table.columns[column].name.as_str()).collect();
        let parts = shape.terms.iter().zip(&columns).map(|(term, column)| equal(shape, column, &term.collation));
        let condition = parts.collect::<Vec<_>>().join(" AND ");
        holders.push(Holder { columns: Some(columns.clone()), named: columns, condition });
    }
    if let Access::Index(_, number) = &shape.access {
        // It cannot be dropped. Where the statement does not say it, it is -1 here: nobody, or a row noted for nothing.
        let condition = format!("{number} = new.{number}");
        holders.push(Holder { columns: Some(ROWID_NAMES.to_vec()), named: Vec::new(), condition });
    }
    holders
}

fn of_index<'a>(shape: &'a Shape, unique: &UniqueTerms) -> Option<Holder<'a>> {
    let all = &shape.table.columns;
    let text = definition::index_terms(&unique.definition)?;
    let used = definition::names(&unique.definition);
    let named: Vec<&str> =
        all.iter().map(|column| column.name.as_str()).filter(|name| used.contains(&name.to_lowercase())).collect();
    let mut parts = Vec::new();
    let mut plain = !unique.partial;
    for ((column, collation), term) in unique.columns.iter().zip(&text.terms) {
        if let Some(column) = column {
            plain &= !all[*column].generated;
            parts.push(equal(shape, &all[*column].name, collation));
        } else {
            plain = false;
            // The expression over the new row: as it is written, over a table whose columns are the new row's.
            let row =
                named.iter().map(|name| format!("{} AS {}", wanted(shape, name), quote(name))).collect::<Vec<_>>();
            let value = format!("(SELECT {term} FROM (SELECT {}))", row.join(", "));
            parts.push(format!("({term}) COLLATE {} = {value}", quote(collation)));
        }
    }
    // A new row outside of a partial index evicts nobody; noting its "holder" all the same does no harm.
    parts.extend(text.condition.map(|condition| format!("({condition})")));
    Some(Holder { columns: plain.then(|| named.clone()), named, condition: parts.join(" AND ") })
}

fn equal(shape: &Shape, column: &str, collation: &str) -> String {
    format!("{} COLLATE {} = {}", quote(column), quote(collation), wanted(shape, column))
}

/// What the new row will have in a column, at the latest once REPLACE has put in the default.
fn wanted(shape: &Shape, column: &str) -> String {
    let value = format!("(SELECT new.{})", quote(column));
    match shape.defaults.iter().find(|default| default.column == column) {
        Some(Default { constant: Some(constant), .. }) => format!("coalesce({value}, {constant})"),
        _ => value,
    }
}

/// Unique columns whose value a trigger cannot foretell where REPLACE puts in a default.
pub(super) fn unforeseen(shape: &Shape) -> Vec<&str> {
    let computed = |column: &str| shape.table.columns.iter().any(|one| one.name == column && one.generated);
    let default = |column: &str| shape.defaults.iter().find(|default| default.column == column);
    let mut columns: Vec<&str> = holders(shape).into_iter().flat_map(|holder| holder.named).collect();
    columns.retain(|column| match default(column) {
        Some(default) => default.constant.is_none(),
        None => computed(column) && !shape.defaults.is_empty(),
    });
    columns.sort_unstable();
    columns.dedup();
    columns
}

impl Holder<'_> {
    fn statement(&self, shape: &Shape, number: i64, place: &Place<'_>, update: bool) -> String {
        let list = |prefix: &str, names: &[&str]| {
            names.iter().map(|name| format!("{prefix}{name}")).collect::<Vec<_>>().join(", ")
        };
        let keys: Vec<&str> = shape.terms.iter().map(|term| term.name.as_str()).collect();
        let found: Vec<&str> = match &shape.access {
            Access::Number(number) | Access::Index(_, number) => vec![number.as_str()],
            Access::Table => keys.clone(),
        };
        let nulls = self.named.iter().map(|name| format!("NULL AS {}", quote(name))).collect::<Vec<_>>().join(", ");
        let shadow = if nulls.is_empty() { nulls } else { format!(", (SELECT {nulls}) AS new") };
        // An update that keeps its value holds it itself.
        let other = match update {
            true => {
                let same = found.iter().map(|name| format!("w.{name} IS old.{name}")).collect::<Vec<_>>();
                format!(" AND NOT ({})", same.join(" AND "))
            }
            false => String::new(),
        };
        let (table, plain) = (quote(shape.name()), list("", &found));
        let found = match &found[..] {
            [one] => format!("w.{one}"),
            several => format!("({})", list("w.", several)),
        };
        format!(
            "{} SELECT {}, {} FROM {table} AS w{shadow} \
             WHERE {found} = (SELECT {plain} FROM {table} WHERE {}){other};",
            into(shape, place),
            constants(number, place),
            list("w.", &keys),
            self.condition,
        )
    }
}
