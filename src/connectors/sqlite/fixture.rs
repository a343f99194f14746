//! SQLite files as scratch stores, written and read by connections that know nothing of the connector.

use super::config::Config;
use crate::{
    connectors::{self, Store, StoreSettings},
    error::{Error, Result},
    fixture::{Fixture, Scratch, Trait, Write},
    model::{Action, Column, Equality, Table, TableName, Type, Value},
    source::Source,
    target::Target,
};
use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags, types};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

/// How the application has set its database up.
#[derive(Clone)]
pub struct Files {
    pub name: &'static str,
    pub lacks: &'static [Trait],
    pub wal: bool,
    pub without_rowid: bool,
    /// Where each scratch file gets a folder of its own. `None`: where the system keeps temporary files.
    pub beside: Option<PathBuf>,
}

impl Files {
    /// Scratch files next to the store's file, on the same disk and with the same journal. The file itself is only
    /// asked for its journal mode.
    pub(super) fn of(settings: &StoreSettings) -> Result<Box<dyn Fixture>> {
        let path = Config::read(settings)?.path;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !parent.is_dir() {
            return Err(Error::config(format!("the directory {} is not there", parent.display()))
                .hint(format!("mkdir -p '{}'", parent.display())));
        }
        let mode = || {
            let open = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            open.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0))
        };
        // A file that is not there yet is made with a write-ahead log.
        let wal = !path.exists() || mode().map_err(said)? == "wal";
        let name = if wal { "WAL, beside the store" } else { "rollback journal, beside the store" };
        // Hidden row numbers are the keys of tables that have none.
        let lacks = &[Trait::Keyless];
        Ok(Box::new(Files { name, lacks, wal, without_rowid: false, beside: Some(parent.to_owned()) }))
    }
}

#[async_trait]
impl Fixture for Files {
    fn name(&self) -> String {
        format!("SQLite, {}", self.name)
    }

    fn lacks(&self) -> &[Trait] {
        self.lacks
    }

    async fn scratch(&self) -> Result<Box<dyn Scratch>> {
        Ok(Box::new(File::new(self.clone())?))
    }
}

struct File {
    files: Files,
    folder: TempDir,
    store: Arc<dyn Store>,
}

impl File {
    fn new(files: Files) -> Result<File> {
        let named = |named: &mut tempfile::Builder<'_, '_>| match &files.beside {
            Some(folder) => named.tempdir_in(folder),
            None => named.tempdir(),
        };
        let folder = named(tempfile::Builder::new().prefix(".whimbrel-certify-")).map_err(|error| {
            let place = files.beside.as_deref().unwrap_or(Path::new("the folder for temporary files"));
            Error::config(format!("no scratch folder can be made in {}", place.display()))
                .because(error)
                .hint("let the daemon's user write there")
        })?;
        let path = folder.path().join("a b.db");
        let mode = if files.wal { "wal" } else { "delete" };
        connect(&path)?.pragma_update(None, "journal_mode", mode).map_err(said)?;
        let url = format!("sqlite:{}", path.display());
        let store = connectors::open(&StoreSettings { name: "scratch".into(), url, ..StoreSettings::default() })?;
        Ok(File { files, folder, store })
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("a b.db")
    }

    /// On a connection of its own, as another process would; away from the tasks that wait for it.
    async fn on<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let path = self.path();
        let done = spawn_blocking(move || work(&mut connect(&path)?).map_err(said));
        done.await.map_err(|error| Error::config("the application died").because(error))?
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path).map_err(said)?;
    connection.busy_timeout(Duration::from_secs(30)).map_err(said)?;
    connection.execute_batch("PRAGMA foreign_keys = ON; PRAGMA synchronous = OFF").map_err(said)?;
    Ok(connection)
}

fn said(error: rusqlite::Error) -> Error {
    Error::refused("the application's statement").because(error)
}

#[async_trait]
impl Scratch for File {
    fn source(&self) -> Result<Arc<dyn Source>> {
        self.store.source()
    }

    fn target(&self) -> Result<Arc<dyn Target>> {
        self.store.target()
    }

    fn schema(&self) -> String {
        "main".into()
    }

    async fn create(&self, table: &Table) -> Result<()> {
        let statements = definition(table, self.files.without_rowid);
        self.on(move |connection| connection.execute_batch(&statements)).await
    }

    async fn write(&self, transaction: &[Write]) -> Result<()> {
        let writes = transaction.to_vec();
        self.on(move |connection| {
            let open = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            writes.iter().try_for_each(|write| one(&open, write))?;
            open.commit()
        })
        .await
    }

    async fn rows(&self, table: &TableName) -> Result<Option<Vec<Vec<Value>>>> {
        let name = table.name.clone();
        self.on(move |connection| {
            if columns(connection, &name)?.is_empty() {
                return Ok(None);
            }
            let mut statement = connection.prepare(&format!("SELECT * FROM {}", quote(&name)))?;
            let width = statement.column_count();
            let rows = statement.query_map([], |row| (0..width).map(|at| Ok(value(row.get_ref(at)?))).collect())?;
            rows.collect::<rusqlite::Result<_>>().map(Some)
        })
        .await
    }

    fn kinds(&self) -> Vec<(Column, Vec<Value>)> {
        let text = |text: &str| Value::Text(text.to_owned());
        let ints = [i64::MIN, -1, 0, 1, i64::MAX].map(Value::Int);
        let reals = [0.1, 1.5e300, f64::INFINITY, f64::NEG_INFINITY, 5e-324, 9_007_199_254_740_993.0];
        let texts = [text(""), text("é\u{10ffff}"), text("with\0zero"), text(" 1 "), text(&"long".repeat(50_000))];
        let blobs = [Value::Bytes(Vec::new()), Value::Bytes((0..=255).collect()), Value::Bytes(vec![7; 2_000_000])];
        let raw = Value::Native("sqlite.text".into(), vec![0xff, 0x41]);
        let reals: Vec<Value> = reals.map(Value::Float64).into();
        // Any class in any column, and the class that a column's affinity leaves alone.
        let any =
            [ints.to_vec(), reals.clone(), texts.to_vec(), blobs.to_vec(), vec![raw.clone(), text("12")]].concat();
        let kind =
            |kind, declared: &str, values| (Column { declared: declared.into(), ..Column::new("v", kind) }, values);
        vec![
            kind(Type::Any, "", any),
            kind(Type::Any, "BLOB", [blobs.to_vec(), vec![Value::Int(1), text("1")]].concat()),
            kind(Type::Int, "INTEGER", [ints.to_vec(), vec![text("not a number")]].concat()),
            kind(Type::Text, "VARCHAR(10)", [texts.to_vec(), vec![raw]].concat()),
            kind(Type::Float64, "DOUBLE", reals),
            kind(Type::Any, "DECIMAL(10,2)", vec![Value::Int(3), Value::Float64(0.5), text("3.x")]),
        ]
    }

    async fn another(&self) -> Result<Box<dyn Scratch>> {
        Ok(Box::new(File::new(self.files.clone())?))
    }

    async fn leftovers(&self) -> Result<Vec<String>> {
        self.on(|connection| {
            let mut statement = connection.prepare(
                "SELECT type || ' ' || name FROM sqlite_schema WHERE type = 'trigger' OR tbl_name LIKE '%whimbrel%'",
            )?;
            let mut found: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            for pragma in ["journal_mode", "user_version", "application_id", "auto_vacuum"] {
                let setting: types::Value = connection.pragma_query_value(None, pragma, |row| row.get(0))?;
                found.push(format!("{pragma} is {setting:?}"));
            }
            Ok(found)
        })
        .await
    }

    async fn back_up(&self) -> Result<()> {
        let to = self.folder.path().join("backup");
        self.on(move |connection| {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            fs::copy(connection.path().expect("a file"), to).expect("a writable folder");
            Ok(())
        })
        .await
    }

    async fn restore(&self) -> Result<()> {
        let path = self.path();
        for tail in ["-wal", "-shm", "-journal"] {
            // What is not there need not go.
            let _ = fs::remove_file(format!("{}{tail}", path.display()));
        }
        let fresh = self.folder.path().join("fresh");
        fs::copy(self.folder.path().join("backup"), &fresh).expect("a backup was made");
        fs::rename(fresh, path).expect("a writable folder");
        Ok(())
    }
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn declared(column: &Column) -> &str {
    match column.kind {
        _ if !column.declared.is_empty() => &column.declared,
        Type::Int => "INTEGER",
        Type::Text => "TEXT",
        Type::Bytes => "BLOB",
        Type::Float64 => "REAL",
        _ => "",
    }
}

fn definition(table: &Table, without_rowid: bool) -> String {
    let list = |columns: &[usize]| {
        columns.iter().map(|&column| quote(&table.columns[column].name)).collect::<Vec<_>>().join(", ")
    };
    let not_null = |column: &Column| if column.nullable { "" } else { " NOT NULL" };
    let mut parts: Vec<String> = table
        .columns
        .iter()
        .map(|column| {
            let collate = if column.equality == Equality::Coarse { " COLLATE NOCASE" } else { "" };
            format!("{} {}{}{collate}", quote(&column.name), declared(column), not_null(column))
        })
        .collect();
    if !table.is_keyless() {
        parts.push(format!("PRIMARY KEY ({})", list(&table.key)));
    }
    for foreign in &table.foreign_keys {
        let cascade = if foreign.on_delete == Action::Cascade { "ON DELETE CASCADE ON UPDATE CASCADE" } else { "" };
        let parent = quote(&foreign.parent.name);
        parts.push(format!("FOREIGN KEY ({}) REFERENCES {parent} (\"id\") {cascade}", list(&foreign.columns)));
    }
    let without_rowid = if without_rowid && !table.is_keyless() { "WITHOUT ROWID" } else { "" };
    let mut statements = format!("CREATE TABLE {} ({}) {without_rowid};", quote(&table.name.name), parts.join(", "));
    for unique in &table.uniques {
        let on = quote(&table.name.name);
        statements += &format!("CREATE UNIQUE INDEX {} ON {on} ({});", quote(&unique.name), list(&unique.columns));
    }
    statements
}

/// The names of a table's columns, its key among them in key order.
fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<(String, i64)>> {
    let mut statement = connection.prepare("SELECT name, pk FROM pragma_table_info(?1) ORDER BY cid")?;
    statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn one(open: &Connection, write: &Write) -> rusqlite::Result<()> {
    let (Write::Insert { table, .. }
    | Write::Update { table, .. }
    | Write::Delete { table, .. }
    | Write::DeleteOne { table, .. }
    | Write::Truncate { table }
    | Write::Replace { table, .. }
    | Write::AddColumn { table, .. }) = write;
    let names = columns(open, &table.name)?;
    let name = quote(&table.name);
    let mut key: Vec<&(String, i64)> = names.iter().filter(|(_, place)| *place > 0).collect();
    key.sort_by_key(|(_, place)| *place);
    let by_key = key.iter().map(|(name, _)| format!("{} = ?", quote(name))).collect::<Vec<_>>().join(" AND ");
    match write {
        Write::Insert { row, .. } => insert(open, "INSERT", &name, row),
        Write::Replace { row, .. } => insert(open, "INSERT OR REPLACE", &name, row),
        Write::Update { key, set, .. } => {
            let assign: Vec<String> =
                set.iter().map(|(column, value)| format!("{} = {}", quote(&names[*column].0), mark(value))).collect();
            let values = set.iter().map(|(_, value)| value).chain(key);
            execute(open, &format!("UPDATE {name} SET {} WHERE {by_key}", assign.join(", ")), values)
        }
        Write::Delete { key, .. } => execute(open, &format!("DELETE FROM {name} WHERE {by_key}"), key),
        Write::DeleteOne { row, .. } => {
            let equal: Vec<String> = names.iter().map(|(name, _)| format!("{} IS ?", quote(name))).collect();
            let found = format!("SELECT rowid FROM {name} WHERE {} LIMIT 1", equal.join(" AND "));
            execute(open, &format!("DELETE FROM {name} WHERE rowid = ({found})"), row)
        }
        Write::Truncate { .. } => execute(open, &format!("DELETE FROM {name}"), []),
        Write::AddColumn { column, .. } => {
            execute(open, &format!("ALTER TABLE {name} ADD COLUMN {} {}", quote(&column.name), declared(column)), [])
        }
    }
}

fn insert(open: &Connection, verb: &str, table: &str, row: &[Value]) -> rusqlite::Result<()> {
    let marks: Vec<&str> = row.iter().map(mark).collect();
    execute(open, &format!("{verb} INTO {table} VALUES ({})", marks.join(", ")), row)
}

/// Text that is not UTF-8 can only be made by a cast.
fn mark(value: &Value) -> &'static str {
    match value {
        Value::Native(..) => "CAST(? AS TEXT)",
        _ => "?",
    }
}

fn execute<'v>(open: &Connection, sql: &str, values: impl IntoIterator<Item = &'v Value>) -> rusqlite::Result<()> {
    let values = values.into_iter().map(|value| match value {
        Value::Null => types::Value::Null,
        Value::Int(v) => types::Value::Integer(*v),
        Value::Float64(v) => types::Value::Real(*v),
        Value::Text(v) => types::Value::Text(v.clone()),
        Value::Bytes(v) | Value::Native(_, v) => types::Value::Blob(v.clone()),
        other => panic!("the fixture claims not to have {other:?}"),
    });
    open.prepare_cached(sql)?.execute(rusqlite::params_from_iter(values)).map(drop)
}

fn value(value: types::ValueRef<'_>) -> Value {
    match value {
        types::ValueRef::Null => Value::Null,
        types::ValueRef::Integer(v) => Value::Int(v),
        types::ValueRef::Real(v) => Value::Float64(v),
        types::ValueRef::Text(v) => match std::str::from_utf8(v) {
            Ok(text) => Value::Text(text.into()),
            Err(_) => Value::Native("sqlite.text".into(), v.into()),
        },
        types::ValueRef::Blob(v) => Value::Bytes(v.into()),
    }
}
