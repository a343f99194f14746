//! Makes a target's tables, or compares those that are there.
//!
//! A change of a table commits by itself here. So each step proves the epoch first, may be repeated, and is noted last.

use super::{
    columns,
    compare::{compare, find},
    connect::Session,
    create, failure, finish,
    noted::Noted,
    schema::{self, Shape},
    text::{self, literal, quote},
    translation,
    watermark::Home,
};
use crate::{
    error::{Error, Result},
    faults,
    model::{Table, TableName},
    target::{Claim, Finished, Prepared},
};

/// Creates or completes the table.
pub(super) async fn prepare(
    session: &mut Session,
    home: &Home,
    claim: &Claim,
    table: &Table,
    generation: u64,
) -> Result<Prepared> {
    let known = prove(session, home, claim, table).await?;
    let there = read(session, &table.name).await?;
    if !claim.existing.admits(table) && there.is_some() && known.is_none() && has_rows(session, &table.name).await? {
        return Ok(Prepared { has_rows: true, stale: false });
    }
    if let Some(noted) = &known
        && is_stale(session, noted, table, there.as_ref(), generation).await?
    {
        return Ok(Prepared { has_rows: there.is_some(), stale: true });
    }
    let made = there.is_none();
    match there {
        None => make(session, table).await?,
        Some(there) => {
            let mut objections = compare(table, &there, &session.server);
            objections.extend(triggers(session, &table.name).await?);
            if let Some((text, mend)) = objections.into_iter().next() {
                return Err(Error::config(format!("{}: {text}", table.name)).hint(format!("run at the target: {mend}")));
            }
            // A copy of its own brings the values of a column that was lost.
            if let Some(noted) = known.as_ref().filter(|noted| noted.generation == generation) {
                noted.prove_columns(table, &there.table)?;
            }
            add_columns(session, table, &there).await?;
        }
    }
    faults::point("mysql/prepare");
    let noted = known.map(|noted| noted.indexes).unwrap_or_default();
    let kept = finish::drop_stale(session, table, noted).await?;
    let stood = note(session, home, claim, &table.name, |noted| {
        (noted.finished, noted.generation, noted.indexes) = (false, generation, kept);
        noted.columns = table.columns.iter().map(|column| column.name.clone()).collect();
        noted.made |= made;
        noted.stood
    })
    .await?;
    if stood && finish::complete(session, home, claim, table).await? != Finished::Done {
        tracing::warn!(table = %table.name, "a unique index of the source cannot be made yet: rows have equal values");
    }
    Ok(Prepared { has_rows: has_rows(session, &table.name).await?, stale: false })
}

/// Whether rows have values in a column that comes empty, or are gone with their table; or the table was prepared for a
/// copy of which the daemon that asks was not told in the end.
async fn is_stale(
    session: &mut Session,
    noted: &Noted,
    table: &Table,
    there: Option<&Shape>,
    generation: u64,
) -> Result<bool> {
    if noted.generation != generation {
        return Ok(noted.generation > generation);
    }
    let Some(there) = there else { return Ok(true) };
    for column in noted.returning(table, &there.table) {
        let (name, column) = (text::table(&table.name), quote(column));
        let one = session.value(format!("SELECT 1 FROM {name} WHERE {column} IS NOT NULL LIMIT 1")).await;
        if one.map_err(said)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether `prepare` for this copy, or `finish` (`None`), has nothing to change.
pub(super) async fn is_settled(
    session: &mut Session,
    home: &Home,
    claim: &Claim,
    table: &Table,
    generation: Option<u64>,
) -> Result<bool> {
    let finishing = generation.is_none();
    let known = prove(session, home, claim, table).await?;
    let there = read(session, &table.name).await?;
    if let (Some(noted), Some(generation)) = (&known, generation)
        && is_stale(session, noted, table, there.as_ref(), generation).await?
    {
        return Ok(true);
    }
    let (Some(there), Some(noted)) = (there, known) else {
        return Ok(false);
    };
    let has_columns = table.columns.iter().all(|column| find(&there.table, &column.name).is_some());
    let has_indexes = !(finishing || noted.stood) || finish::missing(table, &there, &session.server)?.is_empty();
    let nothing_stale = finish::stale(table, &there, &session.server, &noted.indexes)?.is_empty();
    let nothing_waits = !finishing || home.waiting(session, claim.job).await?.is_empty();
    Ok(has_columns && has_indexes && nothing_stale && nothing_waits)
}

/// What is noted of the table, if the job is still ours: before anything that commits by itself.
pub(super) async fn prove(session: &mut Session, home: &Home, claim: &Claim, table: &Table) -> Result<Option<Noted>> {
    session.run("START TRANSACTION").await.map_err(said)?;
    let noted = async {
        home.prove(session, claim).await?;
        home.noted(session, claim.job, &table.name).await
    };
    let noted = noted.await;
    session.run("ROLLBACK").await.map_err(said)?;
    noted
}

/// Changes what is noted of a table, in a transaction.
pub(super) async fn note<T>(
    session: &mut Session,
    home: &Home,
    claim: &Claim,
    name: &TableName,
    change: impl FnOnce(&mut Noted) -> T,
) -> Result<T> {
    session.run("START TRANSACTION").await.map_err(said)?;
    let changed = async {
        home.prove(session, claim).await?;
        let mut noted = home.noted(session, claim.job, name).await?.unwrap_or_default();
        let changed = change(&mut noted);
        home.note(session, claim.job, name, &noted).await?;
        Ok(changed)
    };
    let changed = changed.await;
    let end = if changed.is_ok() { "COMMIT" } else { "ROLLBACK" };
    session.run(end).await.map_err(said)?;
    changed
}

async fn make(session: &mut Session, table: &Table) -> Result<()> {
    let sql = create::create(table, &session.server)?;
    session.run(sql.clone()).await.map_err(|failure| {
        let mend = format!("make it by hand, in a form that the server takes: {sql}");
        failure::made(failure, &format!("{}: the table cannot be made", table.name), &mend)
    })
}

/// Adds what the source has and the target lacks.
async fn add_columns(session: &mut Session, table: &Table, there: &Shape) -> Result<()> {
    for (index, column) in table.columns.iter().enumerate() {
        if find(&there.table, &column.name).is_some() {
            continue;
        }
        let sql = addition(table, index, session);
        session.run(sql.clone()).await.map_err(|failure| {
            let what = format!("{}: the source's column `{}` cannot be added", table.name, column.name);
            failure::made(failure, &what, &format!("add it at the target by hand, in a form that it takes: {sql}"))
        })?;
    }
    Ok(())
}

/// The statement that adds a column as the source declares it. Of another kind of store: old rows have no value yet.
pub(super) fn addition(table: &Table, column: usize, session: &Session) -> String {
    let name = &table.columns[column].name;
    let own = || {
        let start = format!("{} ", quote(name));
        let lines = translation::translate(table, &session.server)?.lines;
        lines.into_iter().find(|line| line.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(&start)))
    };
    let declared = own()
        .unwrap_or_else(|| format!("{} {} NULL", quote(name), columns::map(table, column, &session.server).declared));
    format!("ALTER TABLE {} ADD COLUMN {declared}", text::table(&table.name))
}

/// They would fire for what is replicated, and cannot be kept from it.
pub(super) async fn triggers(session: &mut Session, table: &TableName) -> Result<Vec<(String, String)>> {
    let sql = format!(
        "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = {} \
         AND EVENT_OBJECT_TABLE = {} ORDER BY TRIGGER_NAME",
        literal(&table.schema),
        literal(&table.name)
    );
    let names = session.rows(sql).await.map_err(said)?.into_iter().filter_map(|row| row.into_iter().next().flatten());
    let objection = |name: String| {
        let text = format!("its trigger `{name}` would fire again for what the source's triggers did already");
        (text, format!("DROP TRIGGER {}.{}", quote(&table.schema), quote(&name)))
    };
    Ok(names.map(objection).collect())
}

pub(super) async fn read(session: &mut Session, name: &TableName) -> Result<Option<Shape>> {
    schema::read(session, name).await
}

pub(super) async fn has_rows(session: &mut Session, name: &TableName) -> Result<bool> {
    let some = session.value(format!("SELECT 1 FROM {} LIMIT 1", text::table(name))).await.map_err(said)?;
    Ok(some.is_some())
}

fn said(failure: mysql_async::Error) -> Error {
    failure::error(failure, "preparing a table")
}
