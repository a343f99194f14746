//! Completes a copied table: unique indexes, other indexes, a look at its foreign keys.

use super::{
    definition,
    failure::Answer,
    file::Database,
    schema::{self, Shape},
    statement::Row,
    text::{quote, quoted},
    watermark,
};
use crate::{
    error::{Error, Result},
    model::{Key, Table, Unique, ValueRef},
    target::Finished,
};

/// Groups of doubled values that one answer names; `finish` is called again afterwards.
const GROUPS: usize = 1_000;

/// Violated foreign keys that are told one by one.
const TOLD: usize = 5;

/// Completes the table and notes it as finished, inside a write transaction. `Taken`: nothing must be committed.
pub(super) fn finish(db: &mut Database, job: &str, table: &Table) -> Result<Finished> {
    if let Finished::Taken(keys) = complete(db, job, table)? {
        return Ok(Finished::Taken(keys));
    }
    let mut owned = watermark::owned(db, job)?;
    let noted = owned.prepared.entry(table.name.clone()).or_default();
    (noted.finished, noted.stood) = (true, true);
    watermark::note(db, job, &owned)?;
    Ok(Finished::Done)
}

/// Makes the indexes that are missing.
pub(super) fn complete(db: &mut Database, job: &str, table: &Table) -> Result<Finished> {
    let mut owned = watermark::owned(db, job)?;
    let missing = || Error::config(format!("the target has no table `{}` any more", table.name));
    let there = schema::read(db, &table.name.name)?.ok_or_else(missing)?;
    let noted = owned.prepared.entry(table.name.clone()).or_default();
    let mut taken: Vec<Key> = Vec::new();
    for (name, sql) in indexes(table)? {
        if has_same(&there, &sql) {
            continue;
        }
        let here = free_name(db, &name)?;
        let create = definition::index(&sql, &here, there.name()).unwrap_or(sql);
        match db.run(&create) {
            Ok(()) => drop(noted.indexes.insert(name, here)),
            Err(failure) if failure.is_taken() => taken.extend(doubled(db, table, &there, &create)?),
            Err(failure) => return Err(Error::from(failure).at(format!("{}: {create}", table.name))),
        }
    }
    watermark::note(db, job, &owned)?;
    taken.sort_unstable();
    taken.dedup();
    Ok(if taken.is_empty() { Finished::Done } else { Finished::Taken(taken) })
}

/// Name and statement of every index that the source's table has beside its key.
pub(super) fn indexes(table: &Table) -> Result<Vec<(String, String)>> {
    let uniques = table.uniques.iter().map(|unique| Ok((unique.name.clone(), unique_sql(table, unique)?)));
    let all = definition::statements(table.definition.as_deref().unwrap_or_default());
    let plain = all.into_iter().skip(1).filter(|_| table.family == "sqlite");
    let plain = plain.filter_map(|sql| Some(Ok((definition::index_name(sql)?.to_owned(), sql.to_owned()))));
    uniques.chain(plain).collect()
}

/// Whether two statements make the same index, whatever the names.
pub(super) fn is_same(a: &str, b: &str) -> bool {
    match (definition::index(a, "i", "t"), definition::index(b, "i", "t")) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

fn unique_sql(table: &Table, unique: &Unique) -> Result<String> {
    match (&unique.definition, table.family == "sqlite", unique.columns.is_empty()) {
        (Some(sql), true, _) => Ok(sql.clone()),
        (_, _, false) => {
            let columns = quoted(unique.columns.iter().map(|&column| table.columns[column].name.as_str()));
            Ok(format!("CREATE UNIQUE INDEX {} ON {} ({columns})", quote(&unique.name), quote(&table.name.name)))
        }
        _ => {
            tracing::warn!(
                table = %table.name, index = %unique.name,
                "a unique index over expressions of another kind of store is not made"
            );
            Err(Error::config(format!("{}: the unique index `{}` cannot be made here", table.name, unique.name))
                .hint("drop it at the source, or leave the table out"))
        }
    }
}

/// Whether an index over the same terms is there, whatever its name.
fn has_same(there: &Shape, sql: &str) -> bool {
    let plain = there.table.definition.as_deref().map(definition::statements).unwrap_or_default();
    there.uniques.iter().any(|unique| is_same(&unique.definition, sql))
        || plain.into_iter().skip(1).any(|other| is_same(other, sql))
}

/// Names of tables and indexes are one space.
fn free_name(db: &Database, wanted: &str) -> Answer<String> {
    let taken = db.rows("SELECT lower(name) FROM main.sqlite_schema", [], |row| schema::text(row.get(0)))?;
    let names = std::iter::once(wanted.to_owned()).chain((2..).map(|at| format!("{wanted}_{at}")));
    let mut free = names.skip_while(|name| taken.contains(&name.to_lowercase()));
    Ok(free.next().expect("there is always a next number"))
}

/// Keys of all rows whose unique values are there more than once.
fn doubled(db: &Database, table: &Table, there: &Shape, create: &str) -> Result<Vec<Key>> {
    let unreadable = || Error::config(format!("{}: this index cannot be read: {create}", table.name));
    let terms = definition::index_terms(create).ok_or_else(unreadable)?;
    let collated = collated_terms(create).ok_or_else(unreadable)?;
    let condition = terms.condition.as_ref().map_or_else(|| "1".to_owned(), |condition| format!("({condition})"));
    let some = terms.terms.iter().map(|term| format!("({term}) IS NOT NULL")).collect::<Vec<_>>().join(" AND ");
    let name = quote(there.name());
    let keys = table.key.iter().map(|&column| table.columns[column].name.as_str());
    let (keys, count) = (quoted(keys), table.key.len());
    if count == 0 {
        return Err(Error::refused(format!("{}: rows without key have doubled unique values", table.name))
            .hint(format!("drop the unique index at the source, or the doubled rows: {create}")));
    }
    let list = collated.join(", ");
    let sql = format!(
        "SELECT {keys} FROM {name} WHERE {condition} AND ({list}) IN (SELECT {list} FROM {name} \
         WHERE {condition} AND {some} GROUP BY {list} HAVING count(*) > 1 LIMIT {GROUPS})"
    );
    Ok(db.rows(&sql, [], |row: Row<'_>| Key::from_values((0..count).map(|part| row.get(part))))?)
}

/// The terms of an index with their collations: so that grouping compares as the index does.
fn collated_terms(create: &str) -> Option<Vec<String>> {
    let plain = definition::index_terms(create)?.terms;
    Some(
        plain
            .into_iter()
            .zip(definition::index_collations(create)?)
            .map(|(term, collation)| match collation {
                Some(collation) => format!("({term}) COLLATE {}", quote(&collation)),
                None => term,
            })
            .collect(),
    )
}

/// SQLite does not hold anybody to foreign keys unless asked, so the source itself may violate them: told, not refused.
pub(super) fn examine_foreign_keys(db: &Database, table: &Table) -> Result<()> {
    if table.foreign_keys.is_empty() {
        return Ok(());
    }
    let sql = "SELECT rowid, parent, fkid FROM pragma_foreign_key_check(?1, 'main')";
    let read = |row: Row<'_>| (row.int(0), schema::text(row.get(1)));
    match db.rows(sql, [ValueRef::Text(&table.name.name)], read) {
        Ok(violations) => {
            for (rowid, parent) in violations.iter().take(TOLD) {
                tracing::warn!(
                    table = %table.name, rowid, parent,
                    "a row points to a parent that is not there: at the source too, or the parent's table is not carried"
                );
            }
            if violations.len() > TOLD {
                tracing::warn!(table = %table.name, rows = violations.len(), "violated foreign keys in all");
            }
        }
        Err(failure) => {
            tracing::warn!(
                table = %table.name, %failure,
                "the foreign keys cannot be examined: is the parent's table carried?"
            );
        }
    }
    Ok(())
}
