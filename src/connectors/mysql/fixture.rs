//! Scratch databases on a server, made, written and read by plain SQL as an application would.

use super::{
    config::Config,
    connect::Session,
    failure,
    spelling::{self, quoted},
    text::quote,
};
use crate::{
    connectors::{self, Store, StoreSettings},
    error::{Error, Result},
    fixture::{Fixture, Scratch, Trait, Write},
    model::{Column, Table, TableName, Value},
    source::Source,
    target::Target,
};
use async_trait::async_trait;
use mysql_async::prelude::Queryable;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::Mutex;
use uuid::Uuid;

/// Where scratch databases are made.
pub struct Databases {
    pub name: String,
    /// As in the config; only its database is not touched.
    pub store: StoreSettings,
    /// A server of its own, whose log has nothing to do with the first one's.
    pub another: Option<StoreSettings>,
    pub lacks: Vec<Trait>,
}

impl Databases {
    /// Beside the store's own database, on the same server.
    pub(super) fn of(settings: &StoreSettings) -> Result<Box<dyn Fixture>> {
        Config::read(settings)?;
        // A source leaves nothing in a server; one is not put back to a backup for a test; and this one is alone.
        let lacks = vec![Trait::Leftovers, Trait::Backups, Trait::Another];
        let name = "scratch databases beside the store".to_owned();
        Ok(Box::new(Databases { name, store: settings.clone(), another: None, lacks }))
    }
}

#[async_trait]
impl Fixture for Databases {
    fn name(&self) -> String {
        format!("MySQL, {}", self.name)
    }

    fn lacks(&self) -> &[Trait] {
        &self.lacks
    }

    async fn scratch(&self) -> Result<Box<dyn Scratch>> {
        Ok(Box::new(Database::new(&self.store, self.another.clone()).await?))
    }
}

struct Database {
    name: String,
    config: Config,
    store: Arc<dyn Store>,
    another: Option<StoreSettings>,
    application: Mutex<Application>,
    /// Columns by table, as far as they were looked up.
    columns: parking_lot::Mutex<HashMap<String, Columns>>,
}

/// The application's connection; `None` once the database is dropped.
struct Application(Option<Session>);

impl Application {
    async fn open(config: &Config, set_up: &[String]) -> Result<Session> {
        let mut session = Session::open(config).await?;
        let mode = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES', foreign_key_checks = 1".to_owned();
        for statement in std::iter::once(&mode).chain(set_up) {
            session.run(statement).await.map_err(|failure| {
                failure::error(failure, "making a scratch database")
                    .hint("let the account make databases of that name: GRANT ALL ON `certify\\_%`.* TO it")
            })?;
        }
        Ok(session)
    }

    /// A new one where its server was restarted.
    async fn session(&mut self, database: &Database) -> Result<&mut Session> {
        let alive = match &mut self.0 {
            Some(session) => session.conn.ping().await.is_ok(),
            None => false,
        };
        if !alive {
            self.0 = Some(Application::open(&database.config, &[format!("USE {}", quote(&database.name))]).await?);
        }
        Ok(self.0.as_mut().expect("just opened"))
    }
}

/// Names and declared types, and the names of the key's.
#[derive(Clone)]
struct Columns {
    all: Vec<(String, String)>,
    key: Vec<String>,
}

impl Database {
    async fn new(settings: &StoreSettings, another: Option<StoreSettings>) -> Result<Database> {
        let name = format!("certify_{}", &Uuid::new_v4().simple().to_string()[..12]);
        let config = Config::read(settings)?;
        let create = format!("CREATE DATABASE {} CHARACTER SET utf8mb4", quote(&name));
        let application = Application::open(&config, &[create, format!("USE {}", quote(&name))]).await?;
        let (authority, _) = settings.url.split_once("://").map_or(("", ""), |(scheme, rest)| (scheme, rest));
        let rest = &settings.url[authority.len() + 3..];
        let hosts = rest.split('/').next().unwrap_or_default();
        let settings = StoreSettings { url: format!("{authority}://{hosts}/{name}"), ..settings.clone() };
        let store = connectors::open(&settings)?;
        let application = Mutex::new(Application(Some(application)));
        Ok(Database { name, config, store, another, application, columns: parking_lot::Mutex::default() })
    }

    async fn run(&self, statements: &[String]) -> Result<()> {
        let mut application = self.application.lock().await;
        let session = application.session(self).await?;
        for statement in statements {
            if let Err(failure) = session.run(statement).await {
                // What is open is undone; the first failure is the one to tell.
                let _ = session.run("ROLLBACK").await;
                return Err(failure::error(failure, &format!("the application's statement {statement:.200}")));
            }
        }
        Ok(())
    }

    async fn ask(&self, sql: String) -> Result<Vec<Vec<Option<String>>>> {
        let mut application = self.application.lock().await;
        let rows = application.session(self).await?.rows(sql).await;
        rows.map_err(|failure| failure::error(failure, "the application's query"))
    }

    async fn columns(&self, table: &str) -> Result<Columns> {
        if let Some(known) = self.columns.lock().get(table) {
            return Ok(known.clone());
        }
        let shown = self.ask(format!("SHOW COLUMNS FROM {}", quote(table))).await?;
        let text = |row: &[Option<String>], at: usize| row[at].clone().unwrap_or_default();
        let all = shown.iter().map(|row| (text(row, 0), text(row, 1))).collect();
        let shown = self.ask(format!("SHOW INDEX FROM {} WHERE Key_name = 'PRIMARY'", quote(table))).await?;
        let columns = Columns { all, key: shown.iter().map(|row| text(row, 4)).collect() };
        self.columns.lock().insert(table.to_owned(), columns.clone());
        Ok(columns)
    }

    async fn statement(&self, write: &Write) -> Result<String> {
        let (Write::Insert { table, .. }
        | Write::Update { table, .. }
        | Write::Delete { table, .. }
        | Write::DeleteOne { table, .. }
        | Write::Truncate { table }
        | Write::Replace { table, .. }
        | Write::AddColumn { table, .. }) = write;
        let columns = self.columns(&table.name).await?;
        let name = quote(&table.name);
        let by_key = |key: &[Value]| {
            let parts = columns.key.iter().zip(key);
            parts.map(|(name, value)| format!("{} = {}", quote(name), quoted(value))).collect::<Vec<_>>().join(" AND ")
        };
        let list = |row: &[Value]| row.iter().map(quoted).collect::<Vec<_>>().join(", ");
        Ok(match write {
            Write::Insert { row, .. } => format!("INSERT INTO {name} VALUES ({})", list(row)),
            Write::Replace { row, .. } => format!("REPLACE INTO {name} VALUES ({})", list(row)),
            Write::Update { key, set, .. } => {
                let assign =
                    set.iter().map(|(at, value)| format!("{} = {}", quote(&columns.all[*at].0), quoted(value)));
                format!("UPDATE {name} SET {} WHERE {}", assign.collect::<Vec<_>>().join(", "), by_key(key))
            }
            Write::Delete { key, .. } => format!("DELETE FROM {name} WHERE {}", by_key(key)),
            Write::DeleteOne { row, .. } => {
                let equal = columns.all.iter().zip(row);
                let equal = equal.map(|((name, _), value)| format!("{} <=> {}", quote(name), quoted(value)));
                format!("DELETE FROM {name} WHERE {} LIMIT 1", equal.collect::<Vec<_>>().join(" AND "))
            }
            Write::Truncate { .. } => format!("TRUNCATE TABLE {name}"),
            Write::AddColumn { column, .. } => {
                self.columns.lock().remove(&table.name);
                format!(
                    "ALTER TABLE {name} ADD COLUMN {} {} NULL",
                    quote(&column.name),
                    spelling::declared(column, false)
                )
            }
        })
    }
}

#[async_trait]
impl Scratch for Database {
    fn source(&self) -> Result<Arc<dyn Source>> {
        self.store.source()
    }

    fn target(&self) -> Result<Arc<dyn Target>> {
        self.store.target()
    }

    fn schema(&self) -> String {
        self.name.clone()
    }

    async fn create(&self, table: &Table) -> Result<()> {
        let server = Arc::clone(&self.application.lock().await.session(self).await?.server);
        self.run(&[spelling::definition(table, &server)]).await
    }

    async fn write(&self, transaction: &[Write]) -> Result<()> {
        let mut statements = vec!["START TRANSACTION".to_owned()];
        for write in transaction {
            statements.push(self.statement(write).await?);
        }
        statements.push("COMMIT".to_owned());
        self.run(&statements).await
    }

    async fn rows(&self, table: &TableName) -> Result<Option<Vec<Vec<Value>>>> {
        let there = format!("SHOW TABLES WHERE `Tables_in_{}` = {}", self.name, super::text::literal(&table.name));
        if self.ask(there).await?.is_empty() {
            return Ok(None);
        }
        // The connector may have altered it.
        self.columns.lock().remove(&table.name);
        let columns = self.columns(&table.name).await?.all;
        let list: Vec<String> =
            columns.iter().map(|(name, declared)| spelling::asked(&quote(name), declared)).collect();
        let shown = self.ask(format!("SELECT {} FROM {}", list.join(", "), quote(&table.name))).await?;
        let value = |((_, declared), text): (&(String, String), Option<String>)| match text {
            None => Ok(Value::Null),
            Some(text) => spelling::read(declared, &text)
                .ok_or_else(|| Error::config(format!("`{declared}` was shown as `{text:.100}`"))),
        };
        let row = |row: Vec<Option<String>>| columns.iter().zip(row).map(value).collect::<Result<Vec<Value>>>();
        shown.into_iter().map(row).collect::<Result<_>>().map(Some)
    }

    fn kinds(&self) -> Vec<(Column, Vec<Value>)> {
        spelling::kinds()
    }

    async fn leftovers(&self) -> Result<Vec<String>> {
        let tables = self.ask("SHOW TABLES LIKE 'whimbrel%'".to_owned()).await?;
        let triggers = self.ask("SHOW TRIGGERS".to_owned()).await?;
        Ok(tables.into_iter().chain(triggers).filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    async fn another(&self) -> Result<Box<dyn Scratch>> {
        match &self.another {
            Some(another) => Ok(Box::new(Database::new(another, None).await?)),
            None => Err(Error::config("there is no second server")),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = self.name.clone();
        if let Some(mut session) = self.application.get_mut().0.take() {
            // Whoever ends the process at once leaves it behind; its name says what it is.
            tokio::spawn(async move { session.run(format!("DROP DATABASE {}", quote(&name))).await });
        }
    }
}
