//! Completes a copied table: unique indexes, other indexes, foreign keys.

use super::{
    clash,
    connect::Session,
    constraints,
    create::{self, Late},
    definition::{Definition, Line, kind, words},
    failure::{self, code, number},
    noted::Noted,
    plan::Plan,
    prepare,
    schema::Shape,
    server::Server,
    text::{self, quote},
    watermark::Home,
};
use crate::{
    error::{Error, Result},
    faults,
    model::{ForeignKey, Key, Table, TableName},
    target::{Claim, Finished},
};
use mysql_async::{Row, prelude::Queryable};
use std::{collections::BTreeMap, sync::Arc};

/// Groups of doubled values that one answer names; `finish` is called again afterwards.
const GROUPS: usize = 1_000;

/// Completes the table and notes it as finished.
pub(super) async fn finish(session: &mut Session, home: &Home, claim: &Claim, table: &Table) -> Result<Finished> {
    if let Finished::Taken(keys) = complete(session, home, claim, table).await? {
        return Ok(Finished::Taken(keys));
    }
    faults::point("mysql/finish");
    prepare::note(session, home, claim, &table.name, |noted| {
        (noted.finished, noted.stood) = (true, true);
    })
    .await?;
    add_foreign_keys(session, home, claim, table).await?;
    Ok(Finished::Done)
}

/// Makes the indexes that are missing, plain ones all at once.
pub(super) async fn complete(session: &mut Session, home: &Home, claim: &Claim, table: &Table) -> Result<Finished> {
    prepare::prove(session, home, claim, table).await?;
    let there = there(session, &table.name).await?;
    let name = text::table(&table.name);
    let missing = missing(table, &there, &session.server)?;
    let (unique, plain): (Vec<Late>, Vec<Late>) = missing.into_iter().partition(|late| late.unique);
    let (mut made, mut taken) = (BTreeMap::new(), Vec::new());
    let mut names = index_names(&there);
    let mut added = Vec::new();
    for late in plain {
        let here = free(&mut names, &late.name);
        added.push(format!("ADD {}", renamed(&late.addition, &here)));
        made.insert(late.name, here);
    }
    if !added.is_empty() {
        let sql = format!("ALTER TABLE {name} {}", added.join(", "));
        session.run(sql.clone()).await.map_err(|failure| refused(failure, table, &sql))?;
    }
    for late in unique {
        let here = free(&mut names, &late.name);
        let addition = renamed(&late.addition, &here);
        let sql = format!("ALTER TABLE {name} ADD {addition}");
        let added = session.run(sql.clone()).await;
        faults::point("mysql/finish-between");
        match added {
            Ok(()) => drop(made.insert(late.name, here)),
            Err(failure) if matches!(number(&failure), Some(code::DUPLICATE | code::DUPLICATE_NAMED)) => {
                taken.extend(doubled(session, table, &there, &addition).await?);
            }
            Err(failure) => return Err(refused(failure, table, &sql)),
        }
    }
    if !made.is_empty() {
        prepare::note(session, home, claim, &table.name, |noted| noted.indexes.extend(made)).await?;
    }
    taken.sort_unstable();
    taken.dedup();
    Ok(if taken.is_empty() { Finished::Done } else { Finished::Taken(taken) })
}

/// Indexes of the source that are not there.
pub(super) fn missing(table: &Table, there: &Shape, server: &Server) -> Result<Vec<Late>> {
    let wanted = create::indexes(table, server)?.into_iter();
    Ok(wanted.filter(|late| same(there, &late.addition).is_none()).collect())
}

/// Of those that we made, by their names at the source: those that it has no more, or others of that name. They would
/// refuse what the source allows.
pub(super) fn stale(
    table: &Table,
    there: &Shape,
    server: &Server,
    noted: &BTreeMap<String, String>,
) -> Result<Vec<String>> {
    let wanted = create::indexes(table, server)?;
    let stands = |name: &str, here: &str| {
        wanted.iter().any(|late| late.name == name && same(there, &late.addition).as_deref() == Some(here))
    };
    Ok(noted.iter().filter(|(name, here)| !stands(name, here)).map(|(name, _)| name.clone()).collect())
}

/// Drops them, and gives those that stay.
pub(super) async fn drop_stale(
    session: &mut Session,
    table: &Table,
    mut noted: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>> {
    if noted.is_empty() {
        return Ok(noted);
    }
    let there = there(session, &table.name).await?;
    for name in stale(table, &there, &session.server, &noted)? {
        let here = noted.remove(&name).unwrap_or_default();
        if index_names(&there).contains(&here.to_lowercase()) {
            let sql = format!("ALTER TABLE {} DROP INDEX {}", text::table(&table.name), quote(&here));
            session.run(sql.clone()).await.map_err(|failure| refused(failure, table, &sql))?;
        }
    }
    Ok(noted)
}

/// Of a table that we made, and those that waited for this one: a foreign key needs its parent's index.
async fn add_foreign_keys(session: &mut Session, home: &Home, claim: &Claim, table: &Table) -> Result<()> {
    let there = there(session, &table.name).await?;
    let wanted = missing_foreign_keys(table, &there);
    let wanted: Vec<String> = wanted.into_iter().map(|key| create::foreign_key(table, key)).collect();
    prepare::note(session, home, claim, &table.name, |noted| {
        if noted.made {
            noted.waiting = wanted;
        }
    })
    .await?;
    let waiting = home.waiting(session, claim.job).await?.into_iter().filter(|(_, noted)| noted.finished);
    for (name, Noted { waiting: keys, .. }) in waiting {
        let mut left = Vec::new();
        for key in &keys {
            let sql = format!("ALTER TABLE {} ADD {key}", text::table(&name));
            match session.run(sql).await {
                Ok(()) => {}
                Err(failure) if constraints::is_taken(&failure) => {
                    constraints::told(session, &name, key, failure).await?;
                }
                Err(failure) if number(&failure).is_some() && !failure::is_passing(&failure) => {
                    tracing::info!(table = %name, %failure, key, "a foreign key waits for its parent");
                    left.push(key.clone());
                }
                Err(failure) => return Err(failure::error(failure, "adding a foreign key").at(&name)),
            }
        }
        if left != keys {
            prepare::note(session, home, claim, &name, |noted| noted.waiting = left).await?;
        }
    }
    Ok(())
}

/// Foreign keys of the source that are not there.
pub(super) fn missing_foreign_keys<'t>(table: &'t Table, there: &Shape) -> Vec<&'t ForeignKey> {
    let has = |key: &&ForeignKey| {
        let names = |columns: &[usize], table: &Table| -> Vec<String> {
            columns.iter().map(|&column| table.columns[column].name.to_lowercase()).collect()
        };
        there.table.foreign_keys.iter().any(|other| {
            other.parent == key.parent && names(&other.columns, &there.table) == names(&key.columns, table)
        })
    };
    table.foreign_keys.iter().filter(|key| !has(key) && !key.parent_columns.is_empty()).collect()
}

async fn there(session: &mut Session, name: &TableName) -> Result<Shape> {
    prepare::read(session, name).await?.ok_or_else(|| {
        Error::config(format!("the target has no table `{name}` any more"))
            .hint("restore it, or delete the job and create it again with `existing: replace`")
    })
}

/// The name here of an index over the same terms.
fn same(there: &Shape, addition: &str) -> Option<String> {
    let definition = Definition::read(there.table.definition.as_deref()?)?;
    let lines = definition.lines.into_iter();
    let mut same = lines
        .filter(|line| matches!(kind(line), Line::Unique(_) | Line::Index(_)))
        .filter(|line| terms(line) == terms(addition));
    same.next().and_then(|line| match kind(line) {
        Line::Unique(name) | Line::Index(name) => Some(name.trim_matches('`').replace("``", "`")),
        _ => None,
    })
}

/// What an index is over, and whether it is unique: what a server says besides depends on the server.
fn terms(line: &str) -> (&str, Option<&str>) {
    let words = words(line);
    (words[0], words.into_iter().find(|word| word.starts_with('(')))
}

/// The same index by another name.
fn renamed(addition: &str, name: &str) -> String {
    match kind(addition) {
        Line::Unique(old) | Line::Index(old) => addition.replacen(old, &quote(name), 1),
        _ => addition.to_owned(),
    }
}

fn index_names(there: &Shape) -> Vec<String> {
    let definition = there.table.definition.as_deref().and_then(Definition::read);
    let lines = definition.map(|definition| definition.lines).unwrap_or_default();
    let names = lines.into_iter().filter_map(|line| match kind(line) {
        Line::Unique(name) | Line::Index(name) => Some(name.trim_matches('`').replace("``", "`").to_lowercase()),
        _ => None,
    });
    names.collect()
}

fn free(taken: &mut Vec<String>, wanted: &str) -> String {
    // A name here has at most 64 characters.
    let wanted: String = wanted.chars().take(60).collect();
    let names = std::iter::once(wanted.clone()).chain((2..).map(|at| format!("{wanted}_{at}")));
    let free = names.into_iter().find(|name| !taken.contains(&name.to_lowercase())).expect("there is a next number");
    taken.push(free.to_lowercase());
    free
}

/// Keys of all rows whose unique values are there more than once.
async fn doubled(session: &mut Session, table: &Table, there: &Shape, addition: &str) -> Result<Vec<Key>> {
    let terms = clash::line_terms(&there.table, addition).filter(|_| !table.is_keyless());
    let terms = terms.ok_or_else(|| {
        Error::refused(format!("{}: rows have doubled values in {addition}", table.name))
            .hint("drop the unique index at the source, or the doubled rows")
    })?;
    let plan = Plan::new(Arc::new(table.clone()), there.clone(), &session.server)?;
    let of =
        |alias: &str, term: &clash::Term| term.of(&format!("{alias}{}", quote(&there.table.columns[term.column].name)));
    let list = |alias: &str| terms.iter().map(|term| of(alias, term)).collect::<Vec<_>>();
    let named = list("").into_iter().enumerate().map(|(at, term)| format!("{term} AS c{at}")).collect::<Vec<_>>();
    let some = list("").into_iter().map(|term| format!("{term} IS NOT NULL")).collect::<Vec<_>>();
    let join = list("t.").into_iter().enumerate().map(|(at, term)| format!("{term}=d.c{at}")).collect::<Vec<_>>();
    let keys = there.key_list();
    let name = &plan.name;
    let sql = format!(
        "SELECT {keys} FROM (SELECT t.* FROM {name} AS t JOIN (SELECT {} FROM {name} WHERE {} GROUP BY {} \
         HAVING COUNT(*) > 1 LIMIT {GROUPS}) AS d ON {}) AS found",
        named.join(","),
        some.join(" AND "),
        list("").join(","),
        join.join(" AND ")
    );
    let rows: Vec<Row> =
        session.conn.exec(sql, ()).await.map_err(|failure| failure::error(failure, "looking for doubled values"))?;
    rows.iter().map(|row| clash::key(&plan, row)).collect()
}

fn refused(failure: mysql_async::Error, table: &Table, sql: &str) -> Error {
    let what = format!("{}: its indexes cannot be made", table.name);
    failure::made(failure, &what, &format!("make it at the target by hand, in a form that it takes: {sql}"))
}
