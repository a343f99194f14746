//! What stands in the way of writing tables into a file, and what they would change in it. Makes nothing.

use super::{
    config::Config,
    disk,
    file::Database,
    noted, prepare, rights,
    schema::{self, ROWID, SCHEMA, Shape},
    text::{quote, quoted},
    watermark,
};
use crate::{
    error::Result,
    model::{Existing, Finding, Severity, Table, Type, ValueRef, in_file, without},
};
use std::{collections::HashMap, sync::Arc};

/// Looks at a target without making it.
pub(super) fn check(config: &Config, tables: &[Arc<Table>], existing: Existing) -> Result<Vec<Finding>> {
    let file = config.path.display().to_string();
    let mut findings = twins(tables);
    for table in tables {
        findings.extend(trial(table)?);
        findings.extend(lossy(table));
    }
    let folder = disk::folder(&config.path);
    if !folder.is_dir() {
        let text = format!("the directory {} is not there", folder.display());
        let mend = format!("mkdir -p '{}'", folder.display());
        findings.push(Finding::new(Severity::Blocking, file, text).mend(mend));
        return Ok(findings);
    }
    findings.extend(unwritable(&folder));
    if !config.path.exists() {
        findings.push(Finding::new(Severity::Info, file, "the file will be made"));
        return Ok(findings);
    }
    let mut db = Database::open(&config.path, config.busy, config.max_row_bytes)?;
    if db.is_read_only() {
        findings.push(rights::refused(&config.path, "the file can only be read"));
    } else {
        findings.extend(rights::ours_alone(&config.path));
    }
    db.snapshot(|db| {
        findings.extend(claimed(db, tables)?);
        let triggers = schema::users_triggers(db)?;
        for table in tables {
            match schema::read(db, &table.name.name)? {
                Some(there) => findings.extend(into(db, table, &there, existing, &triggers)?),
                None => findings.extend(made(db, table)?),
            }
        }
        Ok(())
    })?;
    Ok(findings)
}

/// SQLite keeps its journal beside the file.
pub(super) fn unwritable(folder: &std::path::Path) -> Option<Finding> {
    (!disk::may_write(folder)).then(|| {
        let text = "the daemon's user may not write the directory, and SQLite keeps its journal there";
        rights::refused(folder, text)
    })
}

/// Tables whose names differ by case only are one table here.
fn twins(tables: &[Arc<Table>]) -> Vec<Finding> {
    let mut seen: HashMap<String, &Table> = HashMap::new();
    let mut findings = Vec::new();
    for table in tables {
        match seen.insert(table.name.name.to_lowercase(), table) {
            Some(other) if other.name != table.name => {
                let text = format!("to SQLite it has the same name as {}: case does not count", other.name);
                let mend = in_file(format!("rename one of them: `source.rename: {{…: {}_2}}`", table.name));
                findings.push(Finding::new(Severity::Blocking, table.name.to_string(), text).mend(mend));
            }
            _ => {}
        }
    }
    findings
}

/// Tables that another job writes.
fn claimed(db: &mut Database, tables: &[Arc<Table>]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (job, claimed) in watermark::claims(db)? {
        for table in tables.iter().filter(|table| claimed.iter().any(|name| watermark::same(name, &table.name))) {
            findings.push(Finding::claimed(table.name.to_string(), &format!("job {job}")));
        }
    }
    Ok(findings)
}

/// A table that is there. `triggers`: the user's, of all tables.
fn into(
    db: &mut Database,
    table: &Table,
    there: &Shape,
    existing: Existing,
    triggers: &[(String, String)],
) -> Result<Vec<Finding>> {
    let subject = table.name.to_string();
    let mut findings = Vec::new();
    for (text, mend) in prepare::compare(table, there) {
        findings.push(Finding::new(Severity::Blocking, &subject, text).mend(mend));
    }
    let lost = noted::lost(db, table, &there.table)?;
    if let Some(lost) = &lost {
        let finding = Finding::new(Severity::Blocking, &subject, lost.to_string());
        findings.push(finding.mend(lost.hint_text().unwrap_or_default()));
    }
    let has = |columns: &[crate::model::Column], name: &str| {
        columns.iter().any(|column| column.name.eq_ignore_ascii_case(name))
    };
    for column in table.columns.iter().filter(|column| column.declared != ROWID) {
        if !has(&there.table.columns, &column.name) && lost.is_none() {
            let text = format!("its column `{}` is not there yet and will be added", column.name);
            findings.push(Finding::new(Severity::Info, &subject, text).mend(prepare::addition(table, column)));
        }
    }
    for column in there.table.columns.iter().filter(|column| column.declared != ROWID) {
        if !has(&table.columns, &column.name) {
            let text =
                format!("its column `{}` is not at the source; it stays, and rows of ours leave it empty", column.name);
            findings.push(Finding::new(Severity::Info, &subject, text));
        }
    }
    // One row is enough to know: a count would walk the whole table.
    if !db.rows(&format!("SELECT 1 FROM {} LIMIT 1", quote(there.name())), [], |_| ())?.is_empty() {
        findings.push(Finding::has_rows(&subject, table, existing));
    }
    let of_this = |(table, _): &&(String, String)| table.eq_ignore_ascii_case(there.name());
    let triggers: Vec<&str> = triggers.iter().filter(of_this).map(|(_, name)| name.as_str()).collect();
    if !triggers.is_empty() {
        let text = format!("its triggers ({}) do not fire for what is replicated into it", triggers.join(", "));
        findings.push(Finding::new(Severity::Info, &subject, text));
    }
    Ok(findings)
}

/// A table that is not there: something else of its name would be in the way.
fn made(db: &mut Database, table: &Table) -> Result<Option<Finding>> {
    let sql = "SELECT type, sql LIKE 'create virtual%' FROM main.sqlite_schema \
               WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view', 'index')";
    let found = db.rows(sql, [ValueRef::Text(&table.name.name)], |row| (schema::text(row.get(0)), row.int(1) != 0))?;
    Ok(found.into_iter().next().map(|(kind, is_virtual)| {
        let what = if is_virtual { "virtual table" } else { kind.as_str() };
        let article = if what == "index" { "an" } else { "a" };
        let text = format!("{article} {what} of this name is in the way");
        let mend = format!("DROP {} {}", kind.to_uppercase(), quote(&table.name.name));
        Finding::new(Severity::Blocking, table.name.to_string(), text).mend(mend)
    }))
}

/// What SQLite cannot hold as it is. Between SQLite files nothing changes.
fn lossy(table: &Table) -> Vec<Finding> {
    if table.family == "sqlite" {
        return Vec::new();
    }
    let of = |kinds: &[Type]| -> Vec<&str> {
        let columns = table.columns.iter().filter(|column| kinds.contains(&column.kind));
        columns.map(|column| column.name.as_str()).collect()
    };
    let mend = without(&table.name);
    let mut findings = Vec::new();
    let mut say = |severity, columns: Vec<&str>, text: &str| {
        if !columns.is_empty() {
            let text = format!("{}: {text}", quoted(columns.into_iter()));
            let finding = Finding::new(severity, table.name.to_string(), text);
            findings.push(if severity == Severity::Info { finding } else { finding.mend(&mend) });
        }
    };
    let text = "SQLite has no such type: a row with a value there stops the job";
    say(Severity::Warning, of(&[Type::Native]), text);
    let text = "SQLite's integers are signed: a row with more than 9223372036854775807 there stops the job";
    say(Severity::Warning, of(&[Type::Unsigned]), text);
    say(Severity::Warning, of(&[Type::List, Type::Map]), "become JSON text, in which bytes and dates lose their kind");
    let text = "may hold kinds that SQLite lacks: numbers, dates and lists of such kinds become text";
    say(Severity::Warning, of(&[Type::Any]), text);
    say(Severity::Info, of(&[Type::Float32, Type::Float64]), "a row with \"not a number\" there stops the job");
    let kinds = [Type::Decimal, Type::Date, Type::Time, Type::DateTime, Type::Instant, Type::Interval, Type::Uuid];
    say(Severity::Info, of(&kinds), "become text, exact to the last digit, but compared as text");
    say(Severity::Info, of(&[Type::Bool]), "become 0 and 1");
    findings
}

/// Makes the table in memory and compiles an insert: what needs the application's own functions or collations shows here.
fn trial(table: &Table) -> Result<Option<Finding>> {
    let sql = match prepare::create(table) {
        Ok(sql) => sql,
        Err(error) => {
            let finding = Finding::new(Severity::Blocking, table.name.to_string(), error.to_string());
            return Ok(Some(match error.hint_text() {
                Some(hint) => finding.mend(hint),
                None => finding,
            }));
        }
    };
    let memory = rusqlite::Connection::open_in_memory().map_err(super::failure::Failure::from)?;
    // The bundled library is built with foreign keys on; the parents are not in this memory.
    memory.execute_batch("PRAGMA foreign_keys = OFF").map_err(super::failure::Failure::from)?;
    let made = memory.execute_batch(&sql).and_then(|()| {
        let names = table.columns.iter().filter(|column| !column.generated).map(|column| column.name.as_str());
        let names: Vec<&str> = names.collect();
        let values = vec!["NULL"; names.len()].join(", ");
        let table = quote(&table.name.name);
        memory.prepare(&format!("INSERT INTO {table}({}) VALUES ({values})", quoted(names))).map(drop)
    });
    Ok(made.err().map(|error| {
        let text = format!("the table cannot be made here as it is declared at the source: {error}");
        let mend = without(format!("{SCHEMA}.{}", table.name.name));
        Finding::new(Severity::Blocking, table.name.to_string(), text).mend(mend)
    }))
}
