//! Notices what became of the followed tables, and writes it into the log itself.
//!
//! An entry of kind `reshape` or `recopy` stays in the log until it is acknowledged, so a restart emits it again. The
//! tail emits it as soon as it sees it, before the keys that are still to come: every row written under the new shape is
//! noted after the last snapshot that was proven to be of the old one, and so is fetched again in the new shape.

use super::{
    definition,
    file::Database,
    log::{self, Followed},
    schema::{self, Shape},
    triggers,
};
use crate::{
    error::Result,
    model::{Change, Table, ValueRef},
};
use std::sync::Arc;

/// What became of one table.
#[derive(Debug)]
struct Seen {
    followed: Followed,
    what: What,
}

#[derive(Debug)]
enum What {
    /// Our triggers are not as they should be, the table is.
    Rehang(Shape),
    /// Columns came (with a constant for old rows) or went.
    Reshape(Shape),
    /// The old rows' values or numbers do not follow from the change. The table may be another one altogether.
    Recopy {
        shape: Shape,
        anew: bool,
    },
    Gone,
}

/// An entry of the log that tells of a table.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub seq: u64,
    pub table: Arc<Table>,
    /// `Reshape` or `Recopy`; `None`: the table is gone, nothing is emitted.
    pub change: Option<Change>,
}

/// Whether `settle` has something to do; asked inside a read snapshot.
pub(super) fn is_unsettled(db: &mut Database) -> Result<bool> {
    Ok(!look(db)?.is_empty())
}

/// Brings triggers, remembered shapes and log up to date, inside a write transaction.
pub(super) fn settle(db: &mut Database) -> Result<()> {
    let seen = look(db)?;
    if !log::stands_high(db)? {
        log::stand_up_high(db)?;
    }
    for Seen { followed, what } in seen {
        let name = followed.name.clone();
        let (kind, table) = match what {
            What::Rehang(shape) => {
                log::hang(db, followed.number, &shape)?;
                continue;
            }
            What::Gone => {
                log::unhang(db, followed.number)?;
                db.statement("UPDATE whimbrel_table SET gone = 1 WHERE name = ?1")?.run([ValueRef::Text(&name)])?;
                ("gone", followed.shape)
            }
            What::Reshape(shape) => {
                log::hang(db, followed.number, &shape)?;
                ("reshape", log::remember(db, followed.number, &shape, followed.shape.version)?)
            }
            What::Recopy { shape, anew } => {
                log::unhang(db, followed.number)?;
                // Entries of the table that was there before must not be taken for keys of this one.
                let number = if anew { log::next_number(db)? } else { followed.number };
                log::hang(db, number, &shape)?;
                ("recopy", log::remember(db, number, &shape, followed.shape.version)?)
            }
        };
        let seq = log::add_entry(db)?;
        let json = serde_json::to_string(&table).expect("a shape is JSON");
        db.statement("INSERT INTO whimbrel_change(seq, name, kind, shape) VALUES (?1, ?2, ?3, ?4)")?.run([
            ValueRef::Int(seq),
            ValueRef::Text(&name),
            ValueRef::Text(kind),
            ValueRef::Text(&json),
        ])?;
        tracing::info!(table = %table.name, kind, seq, path = %db.path.display(), "the source's schema changed");
    }
    Ok(())
}

/// What the log tells of tables after `seq`, in order.
pub(super) fn told_after(db: &mut Database, seq: u64) -> Result<Vec<Told>> {
    let after = i64::try_from(seq).unwrap_or(i64::MAX);
    let newest = db.number("SELECT max(seq) FROM whimbrel_change")?;
    if newest.is_none_or(|newest| newest <= after) {
        return Ok(Vec::new());
    }
    let rows = db.rows(
        "SELECT seq, kind, shape FROM whimbrel_change WHERE seq > ?1 ORDER BY seq",
        [ValueRef::Int(after)],
        |row| (row.int(0).unsigned_abs(), schema::text(row.get(1)), schema::text(row.get(2))),
    )?;
    let read = |(seq, kind, shape): (u64, String, String)| {
        let table = serde_json::from_str(&shape).map_err(|error| {
            crate::error::Error::lost(format!("{}: `whimbrel_change` was changed by somebody", db.path.display()))
                .because(error)
                .hint("delete the job and create it again with `existing: replace`")
        })?;
        let change = match kind.as_str() {
            "reshape" => Some(Change::Reshape),
            "recopy" => Some(Change::Recopy),
            _ => None,
        };
        Ok(Told { seq, table: Arc::new(table), change })
    };
    rows.into_iter().map(read).collect()
}

fn look(db: &mut Database) -> Result<Vec<Seen>> {
    let hanging = log::hanging(db)?;
    let renumbered = !log::stands_high(db)?;
    let mut seen = Vec::new();
    for followed in log::followed(db)?.into_values() {
        let shape = schema::read(db, &followed.name)?.map(|mut shape| {
            // A table renamed to the same name in other letters is the same table, under the name the job knows.
            let mut table = Table::clone(&shape.table);
            table.name.name.clone_from(&followed.name);
            shape.table = Arc::new(table);
            shape
        });
        let Some(shape) = shape else {
            if !followed.gone {
                seen.push(Seen { followed, what: What::Gone });
            }
            continue;
        };
        let ours = |what: &str| {
            let name = format!("{}{}_{what}", triggers::PREFIX, followed.number);
            hanging.iter().any(|(trigger, table, _)| *trigger == name && table.eq_ignore_ascii_case(&followed.name))
        };
        let what = if followed.gone || !["insert", "update", "delete"].into_iter().all(ours) {
            Some(What::Recopy { shape, anew: true })
        } else if renumbered && shape.is_by_hidden_number() {
            Some(What::Recopy { shape, anew: false })
        } else if !is_same(&followed.shape, &shape.table) {
            Some(match follows_from_alter(&followed.shape, &shape.table) {
                true => What::Reshape(shape),
                false => What::Recopy { shape, anew: false },
            })
        } else {
            let wanted = triggers::of(&shape, followed.number);
            let prefix = format!("{}{}_", triggers::PREFIX, followed.number);
            let have = hanging.iter().filter(|(name, ..)| name.starts_with(&prefix)).count();
            let as_wanted = |(name, sql): &(String, String)| {
                hanging.iter().any(|(trigger, _, text)| trigger == name && text == sql)
            };
            (have != wanted.len() || !wanted.iter().all(as_wanted)).then_some(What::Rehang(shape))
        };
        seen.extend(what.map(|what| Seen { followed, what }));
    }
    Ok(seen)
}

fn is_same(old: &Table, new: &Table) -> bool {
    old.name == new.name
        && old.columns == new.columns
        && old.key == new.key
        && old.uniques == new.uniques
        && old.foreign_keys == new.foreign_keys
        && old.definition == new.definition
}

/// Whether what all old rows hold now is known without reading them: columns were only dropped, or only added at the end
/// with a constant; all others are declared by the very same words. A rename looks like a drop and an addition: copied.
///
/// A column that is dropped and added again by the very same words between two looks cannot be told from one that was
/// left alone; that takes two `ALTER`s within the interval in which the file is looked at, or while no daemon runs.
fn follows_from_alter(old: &Table, new: &Table) -> bool {
    let (Some(old_sql), Some(new_sql)) = (&old.definition, &new.definition) else { return false };
    let key = |table: &Table| table.key.iter().map(|&column| table.columns[column].clone()).collect::<Vec<_>>();
    let kept: Vec<_> = old.columns.iter().filter(|column| new.column(&column.name).is_some()).collect();
    let added = &new.columns[kept.len().min(new.columns.len())..];
    let dropped = kept.len() < old.columns.len();
    let same_words = |name: &str| definition::column(old_sql, name) == definition::column(new_sql, name);
    key(old) == key(new)
        && (!dropped || added.is_empty())
        && kept.iter().zip(&new.columns).all(|(old, new)| **old == *new && same_words(&new.name))
        && added.iter().all(|column| definition::column(new_sql, &column.name).is_some_and(|sql| has_constant(&sql)))
        && unkeyed(old_sql) == unkeyed(new_sql)
}

/// SQLite lets a default be computed only while the table has no rows; ours may still have some.
fn has_constant(column: &str) -> bool {
    let names = definition::names(column);
    let Some(default) = names.iter().position(|name| name == "default") else { return true };
    let computed =
        column.to_ascii_lowercase().split("default").nth(1).is_some_and(|rest| rest.trim_start().starts_with('('));
    !computed && !names.get(default + 1).is_some_and(|name| name.starts_with("current_"))
}

/// What stands behind the columns (WITHOUT ROWID, STRICT).
fn unkeyed(sql: &str) -> Vec<String> {
    let create = definition::statements(sql).first().copied().unwrap_or_default().to_owned();
    let tail = create.rfind(')').map_or("", |at| &create[at + 1..]);
    definition::names(tail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Column, TableName, Type};

    fn table(sql: &str, columns: &[&str]) -> Table {
        let columns = columns.iter().map(|name| Column::new(*name, Type::Any)).collect();
        Table { definition: Some(sql.to_owned()), ..Table::new(TableName::new("main", "t"), columns, vec![0]) }
    }

    #[test]
    fn only_what_alter_explains_is_not_copied_again() {
        let old = table("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)", &["id", "a", "b"]);
        let cases = [
            ("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c INT DEFAULT 5)", &["id", "a", "b", "c"][..], true),
            ("CREATE TABLE t(id INTEGER PRIMARY KEY, b)", &["id", "b"], true),
            ("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b2)", &["id", "a", "b2"], false),
            ("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b)", &["id", "a", "b"], false),
            ("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c DEFAULT (random()))", &["id", "a", "b", "c"], false),
            (
                "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c DEFAULT CURRENT_TIMESTAMP)",
                &["id", "a", "b", "c"],
                false,
            ),
        ];
        for (sql, columns, expected) in cases {
            assert_eq!(follows_from_alter(&old, &table(sql, columns)), expected, "{sql}");
        }
    }
}
