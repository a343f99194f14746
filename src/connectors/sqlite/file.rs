//! One open connection to a file, and the proof that it is still the file that the path names.

use super::{
    failure::{Answer, Failure},
    statement::{Row, Statement},
};
use crate::{
    error::{Error, Result},
    model::ValueRef,
};
use rusqlite::{Connection, OpenFlags, config::DbConfig, limits::Limit};
use std::{
    cell::Cell,
    collections::HashMap,
    fs, io,
    ops::ControlFlow,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

/// SQLite's page cache of one connection, in KiB: enough for the upper pages of every index of a busy file.
const CACHE_KIB: u32 = 8 << 10;

pub(super) struct Database {
    pub conn: Rc<Connection>,
    pub path: PathBuf,
    identity: Identity,
    /// When the file was written last (seconds, nanoseconds) and its size, as seen by `prove_and_look`.
    written: (i64, i64, u64),
    /// When the transaction that is open was begun: its snapshot is not older.
    pub begun: Cell<Instant>,
    statements: HashMap<&'static str, Statement>,
}

/// Which file a path names; a restored copy is another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Database {
    /// Opens a file that must be there already. Foreign keys and triggers of the user are off in our connections: we
    /// write what the source's own have already caused.
    pub fn open(path: &Path, busy: Duration, max_row_bytes: u64) -> Result<Database> {
        let file = fs::metadata(path).map_err(|error| missing(path, &error))?;
        let identity = Identity::of(&file);
        let conn =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
                .map_err(|error| Error::from(Failure::from(error)).at(path.display()))?;
        let prepared = (|| -> Answer<()> {
            conn.busy_timeout(busy)?;
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)?;
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
            let limit = i32::try_from(max_row_bytes).unwrap_or(i32::MAX);
            conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, limit)?;
            conn.execute_batch(&format!("PRAGMA cache_size = -{CACHE_KIB}"))?;
            // The first statement that reads the file: says what is wrong with it.
            conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
            let wal = conn.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0))? == "wal";
            // What we write to a source may be lost with the application's last commits, never before them.
            conn.execute_batch(if wal { "PRAGMA synchronous = NORMAL" } else { "PRAGMA synchronous = FULL" })?;
            Ok(())
        })();
        prepared.map_err(|failure| Error::from(failure).at(path.display()))?;
        Ok(Database {
            conn: Rc::new(conn),
            path: path.to_owned(),
            identity,
            written: (0, 0, 0),
            begun: Cell::new(Instant::now()),
            statements: HashMap::new(),
        })
    }

    /// As `open`, for a target: a missing file is made (readable by its owner only, write-ahead log), and every commit
    /// is on disk before it is reported (hazards A14).
    pub fn open_or_create(path: &Path, busy: Duration, max_row_bytes: u64) -> Result<Database> {
        let fresh = match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => {
                return Err(Error::config(format!("cannot create {}", path.display()))
                    .because(error)
                    .hint("create the directory, and let the daemon's user write it"));
            }
        };
        let database = Database::open(path, busy, max_row_bytes)?;
        if fresh {
            database.pragma("PRAGMA journal_mode = WAL")?;
        }
        database.pragma("PRAGMA synchronous = FULL")?;
        Ok(database)
    }

    /// Refuses to go on with a file that the path no longer names.
    pub fn prove(&self) -> Result<()> {
        self.looked_up().map(drop)
    }

    /// As `prove`; also says whether the file was written since the last call, by SQLite or by anything else.
    pub fn prove_and_look(&mut self) -> Result<bool> {
        let file = self.looked_up()?;
        let written = (file.mtime(), file.mtime_nsec(), file.size());
        Ok(std::mem::replace(&mut self.written, written) != written)
    }

    fn looked_up(&self) -> Result<fs::Metadata> {
        match fs::metadata(&self.path) {
            Ok(file) if Identity::of(&file) == self.identity => Ok(file),
            Ok(_) => Err(Error::transient(format!("{} was replaced by another file", self.path.display()))
                .hint("it is opened again; if it is a backup, the job will say what is lost")),
            Err(error) => Err(missing(&self.path, &error)),
        }
    }

    /// Drops cached pages. A file that was overwritten in place may look unchanged to SQLite: its change counter may have
    /// come to the same number again.
    pub fn forget_pages(&self) -> Answer<()> {
        self.run("PRAGMA shrink_memory")
    }

    pub fn run(&self, sql: &str) -> Answer<()> {
        if sql.starts_with("BEGIN") {
            self.begun.set(Instant::now());
        }
        Ok(self.conn.execute_batch(sql)?)
    }

    fn pragma(&self, sql: &str) -> Answer<()> {
        Ok(self.conn.query_row(sql, [], |_| Ok(())).or_else(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => Ok(()),
            error => Err(error),
        })?)
    }

    /// The statement for this text, prepared once. For texts known at compile time: the cache has no other bound.
    pub fn statement(&mut self, sql: &'static str) -> Answer<&mut Statement> {
        if !self.statements.contains_key(sql) {
            self.statements.insert(sql, Statement::new(&self.conn, sql)?);
        }
        Ok(self.statements.get_mut(sql).expect("just inserted"))
    }

    /// The first row's first column as a number.
    pub fn number(&mut self, sql: &'static str) -> Answer<Option<i64>> {
        self.statement(sql)?
            .first([], |row| match row.get(0) {
                ValueRef::Int(value) => Some(value),
                _ => None,
            })
            .map(Option::flatten)
    }

    /// All rows of a query that is not worth keeping.
    pub fn rows<'a, T>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = ValueRef<'a>>,
        mut read: impl FnMut(Row<'_>) -> T,
    ) -> Answer<Vec<T>> {
        let mut all = Vec::new();
        Statement::new(&self.conn, sql)?.query(values, |row| {
            all.push(read(row));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(all)
    }

    /// Changes with every schema change, `VACUUM` included; consistent with the open transaction.
    pub fn schema_version(&mut self) -> Answer<i64> {
        Ok(self.number("PRAGMA main.schema_version")?.unwrap_or(0))
    }

    /// Changes when another connection has committed.
    pub fn data_version(&mut self) -> Answer<i64> {
        Ok(self.number("PRAGMA main.data_version")?.unwrap_or(0))
    }

    /// How long statements wait for a lock from now on.
    pub fn patience(&self, busy: Duration) -> Answer<()> {
        Ok(self.conn.busy_timeout(busy)?)
    }

    /// Runs `read` with values above `bytes` answered by "too big"; then those above `max` again.
    pub fn limited<T>(&mut self, bytes: u64, max: u64, read: impl FnOnce(&mut Database) -> T) -> T {
        // The limit is known and in range: it cannot fail.
        let limit = |db: &Database, bytes: u64| {
            drop(db.conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, i32::try_from(bytes.min(max)).unwrap_or(i32::MAX)));
        };
        limit(self, bytes);
        let answer = read(self);
        limit(self, max);
        answer
    }

    pub fn is_read_only(&self) -> bool {
        self.conn.is_readonly("main").unwrap_or(true)
    }

    /// One read snapshot around `read`. Kept short: in journal mode `delete` it holds up writers, in WAL checkpoints.
    pub fn snapshot<T>(&mut self, read: impl FnOnce(&mut Database) -> Result<T>) -> Result<T> {
        self.run("BEGIN")?;
        let answer = read(self);
        let ended = self.run("COMMIT");
        if ended.is_err() {
            self.rollback();
        }
        answer
    }

    /// One write transaction around `write`, rolled back on any error.
    pub fn write<T>(&mut self, write: impl FnOnce(&mut Database) -> Result<T>) -> Result<T> {
        self.write_if(write, |_| true)
    }

    /// The same, rolled back also where the answer is not one to `keep`. Inside a transaction that is open already it is
    /// a part of that, and undone alone.
    pub fn write_if<T>(
        &mut self,
        write: impl FnOnce(&mut Database) -> Result<T>,
        keep: impl FnOnce(&T) -> bool,
    ) -> Result<T> {
        let is_part = !self.conn.is_autocommit();
        self.run(if is_part { "SAVEPOINT written" } else { "BEGIN IMMEDIATE" })?;
        let answer = match write(self) {
            Ok(answer) if keep(&answer) => match self.run(if is_part { "RELEASE written" } else { "COMMIT" }) {
                Ok(()) => return Ok(answer),
                Err(failure) => Err(failure.into()),
            },
            answer => answer,
        };
        // Some errors undo the whole transaction.
        match is_part && !self.conn.is_autocommit() {
            true => self.run("ROLLBACK TO written; RELEASE written")?,
            false => self.rollback(),
        }
        answer
    }

    /// Ends the open transaction; what cannot be committed is rolled back.
    pub fn commit(&self) -> Answer<()> {
        self.run("COMMIT").inspect_err(|_| self.rollback())
    }

    /// Whatever is open is gone.
    pub fn rollback(&self) {
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::warn!(%error, path = %self.path.display(), "rollback failed");
        }
    }

    /// Whether a table of ours is there.
    pub fn has_table(&mut self, name: &str) -> Answer<bool> {
        let found = self
            .statement("SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ?1")?
            .first([ValueRef::Text(name)], |_| ())?;
        Ok(found.is_some())
    }

    /// The collation of a column as declared.
    pub fn collation(&self, table: &str, column: &str) -> Answer<String> {
        let metadata = self.conn.column_metadata(Some("main"), table, column)?;
        Ok(metadata.1.map_or_else(|| "BINARY".to_owned(), |name| name.to_string_lossy().into_owned()))
    }

    /// Whether our connections can compare by this collation; an application's own cannot be used here.
    pub fn knows_collation(&self, name: &str) -> bool {
        Statement::new(&self.conn, &format!("SELECT 'a' = 'b' COLLATE {}", super::text::quote(name))).is_ok()
    }
}

impl Identity {
    fn of(file: &fs::Metadata) -> Identity {
        Identity { device: file.dev(), inode: file.ino() }
    }
}

fn missing(path: &Path, error: &io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => {
            "name an existing file in the store's URL; relative paths start at the daemon's directory"
        }
        _ => "let the daemon's user reach the file",
    };
    Error::config(format!("no database at {}: {error}", path.display())).hint(hint)
}
