//! The files of a demo and what its config calls them; looked at before anything is started.

use crate::error::{Error, Result};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// A file, and the store that it is.
pub struct Named {
    pub name: String,
    pub path: PathBuf,
}

pub struct Stores {
    pub source: Named,
    pub targets: Vec<Named>,
}

/// As `[stores.NAME]` takes it.
const LONGEST: usize = 50;

impl Stores {
    /// A shop, and two copies of it.
    pub fn of_shop(folder: &Path) -> Stores {
        let named = |name: &str| Named { name: name.into(), path: folder.join(format!("{name}.db")) };
        Stores { source: named("shop"), targets: vec![named("copy-a"), named("copy-b")] }
    }

    /// The user's own files, called by their names.
    pub fn of_files(source: &Path, target: &Path) -> Stores {
        let here = name_of(source).unwrap_or_else(|| "source".into());
        let there = name_of(target).unwrap_or_else(|| "target".into());
        let there = if there == here { format!("{there}-copy") } else { there };
        let named = |name: String, path: &Path| Named { name, path: path.to_owned() };
        Stores { source: named(here, source), targets: vec![named(there, target)] }
    }

    /// What could not work is refused here, with the option to be changed: nothing runs yet, and nothing was made.
    pub fn prove(&self) -> Result<()> {
        let source = &self.source.path;
        if !source.exists() {
            return Err(Error::config(format!("there is no file {}", source.display()))
                .hint("give the SQLite file that is to be copied: --source FILE"));
        }
        is_database(source, "--source")?;
        for Named { path: target, .. } in &self.targets {
            if !target.exists() {
                folder_is_there(target)?;
                continue;
            }
            if is_same(source, target) {
                let text = format!("{} and {} are one file", source.display(), target.display());
                return Err(
                    Error::config(text).hint("give another one to copy to: --target FILE; it is made if need be")
                );
            }
            is_database(target, "--target")?;
        }
        Ok(())
    }
}

/// Of the file without its ending: what no store may be called becomes a dash.
fn name_of(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_string_lossy().to_lowercase();
    let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let name: String = stem.chars().map(plain).take(LONGEST).collect();
    let name = name.trim_matches('-');
    (!name.is_empty()).then(|| name.to_owned())
}

/// By another name too.
fn is_same(one: &Path, other: &Path) -> bool {
    let of = |path: &Path| std::fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    of(one).is_some() && of(one) == of(other)
}

fn folder_is_there(target: &Path) -> Result<()> {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() {
        return Ok(());
    }
    let folder = folder.display();
    Err(Error::config(format!("{}: its folder is not there", target.display()))
        .hint(format!("`mkdir -p {folder}` makes it, or give another path: --target FILE")))
}

fn is_database(path: &Path, option: &str) -> Result<()> {
    let read = || {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        db.busy_timeout(super::BUSY)?;
        db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
    };
    let shown = path.display();
    read().map(drop).map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => Error::config(format!("{shown} is no SQLite database"))
            .hint(format!("give a file of SQLite: {option} FILE (`file {shown}` says what this one is)")),
        _ => Error::config(format!("{shown} cannot be read"))
            .because(error)
            .hint(format!("give an SQLite file that this user may read and write: {option} FILE")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_give_their_names_to_stores() {
        let called = |source: &str, target: &str| {
            let stores = Stores::of_files(Path::new(source), Path::new(target));
            (stores.source.name, stores.targets[0].name.clone())
        };
        assert_eq!(called("/a/My Shop.db", "b.sqlite3"), ("my-shop".into(), "b".into()));
        assert_eq!(called("a/x.db", "b/x.db"), ("x".into(), "x-copy".into()));
        assert_eq!(called("…", "_"), ("source".into(), "target".into()));
    }
}
