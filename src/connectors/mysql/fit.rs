//! What stands in the way of writing tables into a server, and what they would change in it. Writes nothing.

use super::{
    collations,
    columns::map,
    compare::{compare, find, is_coarser},
    config::Config,
    connect::Session,
    constraints, create,
    failure::{self, Answer},
    finish, grants, known,
    narrow::{Narrow, narrower},
    noted::Noted,
    prepare,
    schema::{self, Shape, strings},
    text::{self, literal, quote},
    translation,
    watermark::{self, Home},
};
use crate::{
    error::{Error, Result},
    model::{Column, Equality, Existing, Finding, ForeignKey, Severity, Table, in_file, without},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub(super) async fn check(
    session: &mut Session,
    config: &Config,
    home: &Home,
    tables: &[Arc<Table>],
    existing: Existing,
) -> Result<Vec<Finding>> {
    let mut findings = Vec::from_iter(known::unwritten(&session.server).or_else(|| known::untried(&session.server)));
    settings(session, config, &mut findings).await.map_err(said)?;
    let schemas: BTreeSet<&str> = tables.iter().map(|table| table.name.schema.as_str()).collect();
    let own = config.database.as_deref();
    for schema in own.into_iter().chain(schemas.iter().copied().filter(|schema| Some(*schema) != own)) {
        findings.extend(of_schema(session, schema).await.map_err(said)?);
    }
    findings.extend(twins(session, tables));
    findings.extend(granted(session, config, tables).await.map_err(said)?);
    let (claimed, noted) = match home.is_there(session).await.map_err(said)? {
        true => (claimed(session, home, tables).await?, home.all_noted(session).await?),
        false => (Vec::new(), BTreeMap::new()),
    };
    let is_claimed = |table: &Table| claimed.iter().any(|finding| finding.subject == table.name.to_string());
    let there = schema::read_many(session, tables).await?;
    let to_make = tables.iter().map(|table| &**table).filter(|table| !there.contains_key(&table.name));
    let held = constraints::held(session, &constraints::schemas(to_make)).await.map_err(said)?;
    for table in tables {
        findings.extend(lossy(session, table));
        findings.extend(documents(session, table));
        match there.get(&table.name) {
            Some(there) => {
                into(session, table, there, noted.get(&table.name), existing, &mut findings).await?;
                // Its job is about to add them, or does not write it any more.
                if !is_claimed(table) {
                    findings.extend(unbound(table, there));
                }
            }
            None => {
                made(session, table, &mut findings).await?;
                findings.extend(constraints::taken(table, &held));
            }
        }
    }
    findings.extend(claimed);
    Ok(findings)
}

/// Of the whole server.
async fn settings(session: &mut Session, config: &Config, findings: &mut Vec<Finding>) -> Answer<()> {
    let on = |value: &str| matches!(value, "1" | "ON");
    for name in ["read_only", "super_read_only", "innodb_read_only"] {
        if session.setting(name).await?.is_some_and(|value| on(&value) || value.starts_with("NO_LOCK")) {
            let text = format!("the server takes no writes: {name} is on");
            let mend = format!("point the store at the primary, or SET GLOBAL {name} = OFF");
            findings.push(Finding::new(Severity::Blocking, name, text).mend(mend));
        }
    }
    let logs = session.setting("log_bin").await?.is_some_and(|value| on(&value));
    for (name, durable) in [("innodb_flush_log_at_trx_commit", "1"), ("sync_binlog", "1")] {
        let value = session.setting(name).await?.unwrap_or_else(|| durable.into());
        if value != durable && (logs || name != "sync_binlog") {
            let text = format!(
                "{name} is {value}: a crash of the server takes back what it has confirmed; what the source still has \
                 of it is then read again"
            );
            findings.push(Finding::new(Severity::Warning, name, text).mend(format!("SET GLOBAL {name} = {durable}")));
        }
    }
    let packet: usize = session.setting("max_allowed_packet").await?.and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
    if packet < config.max_row_bytes {
        let text = format!("a row of more than about {} MiB is refused: max_allowed_packet", packet >> 20);
        let mend = format!("SET GLOBAL max_allowed_packet = {}", config.max_row_bytes.next_power_of_two() * 2);
        findings.push(Finding::new(Severity::Info, "max_allowed_packet", text).mend(mend));
    }
    Ok(())
}

/// Where tables are, or will be made.
async fn of_schema(session: &mut Session, schema: &str) -> Answer<Vec<Finding>> {
    let mut findings = Vec::new();
    let sql = format!("SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {}", literal(schema));
    if session.value(sql).await?.is_none() {
        let text = "there is no such database, or the account may not see it";
        let mend = format!("CREATE DATABASE {}", quote(schema));
        findings.push(Finding::new(Severity::Blocking, schema, text).mend(mend));
    }
    let sql = format!(
        "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {} AND STATUS = 'ENABLED' \
         ORDER BY EVENT_NAME",
        literal(schema)
    );
    for row in session.rows(sql).await? {
        let [event] = strings(row);
        let text = format!("its event `{event}` may write here beside what is replicated");
        let mend = format!("ALTER EVENT {}.{} DISABLE", quote(schema), quote(&event));
        findings.push(Finding::new(Severity::Warning, schema, text).mend(mend));
    }
    Ok(findings)
}

/// What the account may not do, with the statement that grants it.
async fn granted(session: &mut Session, config: &Config, tables: &[Arc<Table>]) -> Answer<Vec<Finding>> {
    const ROWS: [&str; 6] = ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER"];
    let grants = grants::own(session).await?;
    let account = grants::account(session).await?;
    // By database, and whether the job cannot do without it.
    let mut lacks: BTreeMap<(&str, bool), BTreeSet<&str>> = BTreeMap::new();
    let own =
        config.database.as_deref().map(|schema| watermark::TABLES.map(|name| (schema, name))).into_iter().flatten();
    let carried = tables.iter().map(|table| (table.name.schema.as_str(), table.name.name.as_str()));
    for (schema, name) in own.chain(carried) {
        let missing = ROWS.into_iter().filter(|privilege| !grants.allow(privilege, schema, name));
        lacks.entry((schema, true)).or_default().extend(missing);
    }
    for table in tables {
        if !grants.allow("TRIGGER", &table.name.schema, &table.name.name) {
            lacks.entry((table.name.schema.as_str(), false)).or_default().insert("TRIGGER");
        }
        // MariaDB does not ask for it.
        for key in table.foreign_keys.iter().filter(|_| !session.server.is_mariadb()) {
            if !grants.allow("REFERENCES", &key.parent.schema, &key.parent.name) {
                lacks.entry((key.parent.schema.as_str(), true)).or_default().insert("REFERENCES");
            }
        }
    }
    if let Some(schema) = config.database.as_deref()
        && watermark::TABLES.iter().any(|name| !grants.allow("DROP", schema, name))
    {
        lacks.entry((schema, false)).or_default().insert("DROP");
    }
    let finding = |((schema, is_needed), privileges): ((&str, bool), BTreeSet<&str>)| {
        let list = privileges.into_iter().collect::<Vec<_>>().join(", ");
        let text = match is_needed {
            true => format!("the account {account} may not do what a job has to in `{schema}`: {list}"),
            false => format!(
                "the account {account} lacks {list} in `{schema}`: without TRIGGER it does not see triggers that would \
                 fire for what is replicated, without DROP it cannot remove our three tables after the last job"
            ),
        };
        let severity = if is_needed { Severity::Blocking } else { Severity::Warning };
        let mend = format!("GRANT {list} ON {} TO {account}", grants::database(schema));
        Finding::new(severity, config.user.clone(), text).mend(mend)
    };
    Ok(lacks.into_iter().filter(|(_, privileges)| !privileges.is_empty()).map(finding).collect())
}

/// Tables whose names differ by case only are one table on a server that does not look at it.
fn twins(session: &Session, tables: &[Arc<Table>]) -> Vec<Finding> {
    let folds = session.server.folds_names;
    let mut findings = Vec::new();
    for (at, table) in tables.iter().enumerate() {
        let twin = tables[..at].iter().find(|other| watermark::same(&other.name, &table.name, folds));
        if let Some(twin) = twin.filter(|twin| twin.name != table.name) {
            let text = format!("to this server it has the same name as {}: case does not count", twin.name);
            let mend = in_file(format!("rename one of them: `rename: {{\"{0}\": \"{0}_2\"}}`", table.name));
            findings.push(Finding::new(Severity::Blocking, table.name.to_string(), text).mend(mend));
        }
    }
    findings
}

/// Tables that another job writes.
async fn claimed(session: &mut Session, home: &Home, tables: &[Arc<Table>]) -> Result<Vec<Finding>> {
    let folds = session.server.folds_names;
    let mut findings = Vec::new();
    for (job, claimed) in home.claims(session).await? {
        let theirs = |table: &&Arc<Table>| claimed.iter().any(|name| watermark::same(name, &table.name, folds));
        for table in tables.iter().filter(theirs) {
            findings.push(Finding::claimed(table.name.to_string(), &job));
        }
    }
    Ok(findings)
}

/// A table that is there.
async fn into(
    session: &mut Session,
    table: &Table,
    there: &Shape,
    noted: Option<&Noted>,
    existing: Existing,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let subject = table.name.to_string();
    let lost = noted.and_then(|noted| noted.prove_columns(table, &there.table).err());
    if let Some(lost) = &lost {
        let finding = Finding::new(Severity::Blocking, &subject, lost.to_string());
        findings.push(finding.mend(lost.hint_text().unwrap_or_default()));
    }
    let mut objections = compare(table, there, &session.server);
    objections.extend(prepare::triggers(session, &table.name).await?);
    for (text, mend) in objections {
        findings.push(Finding::new(Severity::Blocking, &subject, text).mend(mend));
    }
    for Narrow { text, mend, .. } in narrower(table, there, &session.server) {
        findings.push(Finding::new(Severity::Warning, &subject, text).mend(mend));
    }
    for (index, column) in table.columns.iter().enumerate() {
        if find(&there.table, &column.name).is_none() && lost.is_none() {
            let text = format!("its column `{}` is not there yet and will be added", column.name);
            let mend = prepare::addition(table, index, session);
            findings.push(Finding::new(Severity::Info, &subject, text).mend(mend));
        }
    }
    for column in there.table.columns.iter().filter(|column| find(table, &column.name).is_none()) {
        let text =
            format!("its column `{}` is not at the source; it stays, and rows of ours leave it empty", column.name);
        findings.push(Finding::new(Severity::Info, &subject, text));
    }
    // One row is enough to know: a count would walk the whole table.
    if prepare::has_rows(session, &table.name).await? {
        findings.push(Finding::has_rows(&subject, table, existing));
    }
    Ok(())
}

/// Foreign keys that a table which is there lacks.
fn unbound(table: &Table, there: &Shape) -> Vec<Finding> {
    let one = |key: &ForeignKey| {
        let columns: Vec<String> = key.columns.iter().map(|&at| quote(&table.columns[at].name)).collect();
        let text = format!(
            "its foreign key ({}) to {} is not there, and a table that we did not make gets none: rows are the same \
             without it; add it once the job is streaming",
            columns.join(", "),
            key.parent
        );
        let mend = format!("ALTER TABLE {} ADD {}", text::table(&table.name), create::foreign_key(table, key));
        Finding::new(Severity::Warning, table.name.to_string(), text).mend(mend)
    };
    finish::missing_foreign_keys(table, there).into_iter().map(one).collect()
}

/// A table that is not there: something else of its name would be in the way.
async fn made(session: &mut Session, table: &Table, findings: &mut Vec<Finding>) -> Result<()> {
    let subject = table.name.to_string();
    let sql = format!(
        "SELECT TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {}",
        literal(&table.name.schema),
        literal(&table.name.name)
    );
    if let Some(kind) = session.value(sql).await.map_err(said)? {
        let text = format!("something of this name that rows cannot be written into is in the way: {kind}");
        let mend = match kind.as_str() {
            "VIEW" => format!("DROP VIEW {}", text::table(&table.name)),
            _ => in_file(format!("rename: {{\"{0}\": \"{0}_2\"}}   # in the job's source", table.name)),
        };
        findings.push(Finding::new(Severity::Blocking, &subject, text).mend(mend));
        return Ok(());
    }
    let made = [create::create(table, &session.server).err(), create::indexes(table, &session.server).err()];
    for error in made.into_iter().flatten() {
        let finding = Finding::new(Severity::Blocking, &subject, error.to_string());
        findings.push(finding.mend(error.hint_text().unwrap_or("leave the table out")));
    }
    for (severity, text) in translation::translate(table, &session.server).into_iter().flat_map(|made| made.told) {
        let finding = Finding::new(severity, &subject, text);
        findings.push(match severity {
            Severity::Info => finding,
            _ => finding.mend(without(&table.name)),
        });
    }
    findings.extend(coarser(session, table));
    if table.is_keyless()
        && let Some(setting) = required_key(session).await.map_err(said)?
    {
        let text = "it has no key, and the server makes no table without one";
        let finding = Finding::new(Severity::Blocking, &subject, text);
        findings.push(finding.mend(format!("SET GLOBAL {setting} = OFF")));
    }
    if table.name.name.chars().count() > 64 {
        let text = "its name has more than 64 characters, which the server does not take";
        let mend = format!("rename: {{\"{}\": \"{}.shorter\"}}   # in the job's source", table.name, table.name.schema);
        let mend = in_file(mend);
        findings.push(Finding::new(Severity::Blocking, &subject, text).mend(mend));
    }
    Ok(())
}

/// A key of texts that only older rules can compare: two rows could become one.
fn coarser(session: &Session, table: &Table) -> Vec<Finding> {
    if translation::is_verbatim(table, &session.server) {
        return Vec::new();
    }
    let coarser = |&&column: &&usize| {
        let at_source = &table.columns[column];
        let declared = map(table, column, &session.server).declared;
        let collation = declared.rsplit_once(" COLLATE ").map(|(_, name)| name.to_owned());
        let equality = collation.map_or(Equality::Exact, |name| schema::equality(&declared, &name));
        is_coarser(at_source, &Column { declared, equality, ..at_source.clone() })
    };
    let one = |&column: &usize| {
        let name = &table.columns[column].name;
        let text = format!(
            "its key column `{name}` would take texts for equal that the source tells apart, by spaces at their end: this \
             server has no other rules, and two rows could become one"
        );
        Finding::new(Severity::Blocking, table.name.to_string(), text).mend(without(&table.name))
    };
    table.key.iter().filter(coarser).map(one).collect()
}

/// The setting by which the server makes no table without a key.
async fn required_key(session: &mut Session) -> Answer<Option<&'static str>> {
    for name in ["sql_require_primary_key", "innodb_force_primary_key"] {
        if session.setting(name).await?.is_some_and(|value| matches!(value.as_str(), "1" | "ON")) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// MySQL reads a document's text anew: what was put in as a decimal, a date or bytes is a double or a text afterwards.
fn documents(session: &Session, table: &Table) -> Vec<Finding> {
    if session.server.is_mariadb() {
        return Vec::new();
    }
    let is_verbatim = translation::is_verbatim(table, &session.server);
    let declared = |index: usize| match is_verbatim {
        true => table.columns[index].declared.clone(),
        false => map(table, index, &session.server).declared,
    };
    let documents = (0..table.columns.len()).filter(|&index| declared(index).starts_with("json"));
    let finding = |index: usize| {
        let column = &table.columns[index].name;
        let text =
            format!("column `{column}` holds documents: decimals, dates and bytes in them become doubles and texts");
        let (severity, text) = match table.is_keyless() {
            // Such a row could not be found again by its values.
            true => (Severity::Blocking, format!("{text}, and no key names the row")),
            false => (Severity::Warning, text),
        };
        Finding::new(severity, table.name.to_string(), text).mend(without(&table.name))
    };
    documents.map(finding).collect()
}

/// What the server cannot hold as it is. Within its family nothing changes.
fn lossy(session: &Session, table: &Table) -> Vec<Finding> {
    if translation::is_verbatim(table, &session.server) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (index, column) in table.columns.iter().enumerate() {
        let mapped = map(table, index, &session.server);
        if let Some(loses) = mapped.loses {
            use crate::model::Type::{Any, List, Map, Native};
            let severity = match column.kind {
                Any | List | Map | Native => Severity::Warning,
                _ => Severity::Info,
            };
            let is_about_texts = [collations::BY_BYTES, collations::NEARLY].contains(&loses);
            let type_only = match is_about_texts {
                true => mapped.declared.clone(),
                false => mapped.declared.split(" CHARACTER SET").next().unwrap_or_default().to_owned(),
            };
            let text = format!("column `{}` becomes `{type_only}`: {loses}", column.name);
            let finding = Finding::new(severity, table.name.to_string(), text);
            findings.push(match severity {
                Severity::Warning => finding.mend(without(&table.name)),
                _ => finding,
            });
        }
    }
    findings
}

fn said(failure: mysql_async::Error) -> Error {
    failure::error(failure, "checking the target")
}
