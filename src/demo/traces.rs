//! Leaves the user's own files as the demo found them: what it made there goes, and nothing else.

use super::{BUSY, JOB, LEFT};
use crate::client::Client;
use rusqlite::{Connection, OpenFlags, Result};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

/// What a target held before.
pub struct Before {
    source: PathBuf,
    target: PathBuf,
    /// `None`: there was no file.
    tables: Option<BTreeSet<String>>,
}

/// Its log and triggers in the source go, and what it keeps in the target beside the rows.
const FORGETS_WITHIN: Duration = Duration::from_secs(60);

impl Before {
    pub fn look(source: &Path, target: &Path) -> Result<Before> {
        let tables = if target.exists() { Some(tables(&open(target)?)?) } else { None };
        Ok(Before { source: source.to_owned(), target: target.to_owned(), tables })
    }

    pub fn source(&self) -> &Path {
        &self.source
    }

    /// Whether the source holds anything of ours, of another job too. What cannot be read is taken for it.
    pub fn is_marked(&self) -> bool {
        open(&self.source).and_then(|db| named(&db, LEFT)).map_or(true, |ours| !ours.is_empty())
    }

    /// With nobody at work in the file any more: tables that were not there before go, and a file that was not there.
    pub fn restore(&self) -> Result<()> {
        let Before { target, tables: Some(before), .. } = self else {
            return self.remove();
        };
        // Nothing came of it: it must not be made now.
        if !target.exists() {
            return Ok(());
        }
        let db = open(target)?;
        let made = &tables(&db)? - before;
        let drop = made.iter().map(|name| format!("DROP TABLE \"{}\";", name.replace('"', "\"\"")));
        // One with rows that point to it may go first: all go.
        db.execute_batch(&format!("PRAGMA foreign_keys = OFF; BEGIN; {} COMMIT;", drop.collect::<String>()))
    }

    fn remove(&self) -> Result<()> {
        for ending in ["", "-wal", "-shm", "-journal"] {
            let mut name = self.target.clone().into_os_string();
            name.push(ending);
            // Most of them are not there.
            let _ = std::fs::remove_file(name);
        }
        Ok(())
    }
}

/// Takes the job, and all that it made, out of both files.
pub async fn release(client: &mut Client) -> std::result::Result<(), String> {
    client.delete_job(JOB).await.map_err(|failure| failure.text)?;
    client.wait_deleted(JOB, FORGETS_WITHIN).await.map_err(|failure| failure.text)
}

fn open(path: &Path) -> Result<Connection> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.busy_timeout(BUSY)?;
    Ok(db)
}

/// Without SQLite's own.
fn tables(db: &Connection) -> Result<BTreeSet<String>> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    named(db, sql)
}

fn named(db: &Connection, sql: &str) -> Result<BTreeSet<String>> {
    db.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}
