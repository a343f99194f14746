//! The state folder: made for its owner only, locked against a second daemon, cleared of what a killed one left torn.

use crate::error::{Error, Result};
use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

const LOCK: &str = "lock";
const RECORDS: &str = "sled";

/// Ours until it is dropped.
pub struct Folder {
    /// Where sled keeps its files.
    pub records: PathBuf,
    _lock: File,
}

impl Folder {
    pub fn open(path: &Path) -> Result<Folder> {
        let fail = |error: io::Error| {
            Error::config(format!("the state folder {} cannot be used", path.display()))
                .because(error)
                .hint("set `state.dir` to a folder that this user may write")
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fail)?;
        refuse_foreign(path, fail)?;
        // It tells table names and positions, and later holds parked rows: nobody else's business.
        let mode = fs::metadata(path).map_err(fail)?.permissions().mode() & 0o777;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(fail)?;
        if mode & 0o077 != 0 {
            tracing::warn!(folder = %path.display(), "the state folder was open to others ({mode:o}); now it is 700");
        }
        let lock = lock(path, fail)?;
        let records = path.join(RECORDS);
        DirBuilder::new().recursive(true).mode(0o700).create(&records).map_err(fail)?;
        remove_torn_snapshots(&records).map_err(fail)?;
        Ok(Folder { records, _lock: lock })
    }

    /// Keeps daemons out as long as it is held. Makes nothing: `None` where no daemon ever was.
    pub fn hold(path: &Path) -> Result<Option<File>> {
        let fail = |error: io::Error| {
            Error::config(format!("the state folder {} cannot be looked at", path.display()))
                .because(error)
                .hint("run it as the daemon's user, or as root")
        };
        match path.join(LOCK).try_exists().map_err(fail)? {
            true => lock(path, fail).map(Some),
            false => Ok(None),
        }
    }

    /// Makes the names of newly made files durable.
    pub fn sync(&self) -> io::Result<()> {
        File::open(&self.records)?.sync_all()?;
        let parent = self.records.parent().expect("made by joining");
        File::open(parent)?.sync_all()
    }
}

/// A folder with other files in it is somebody's home, not ours: its rights must not be changed.
fn refuse_foreign(path: &Path, fail: impl Fn(io::Error) -> Error) -> Result<()> {
    let names: Vec<_> = fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.file_name())).collect())
        .map_err(fail)?;
    if names.is_empty() || names.iter().any(|name| name == LOCK || name == RECORDS) {
        return Ok(());
    }
    Err(Error::config(format!("{} holds other files and is no state folder", path.display()))
        .hint("set `state.dir` to a new or empty folder"))
}

fn lock(path: &Path, fail: impl Fn(io::Error) -> Error) -> Result<File> {
    let path_of_lock = path.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path_of_lock)
        .map_err(&fail)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(fail)?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder); // only for the message
            Err(Error::config(format!("the state folder {} is in use by process {holder}", path.display()))
                .hint(format!("stop that daemon (kill {holder}), or give this one a `state.dir` of its own")))
        }
        Err(TryLockError::Error(error)) => Err(fail(error)),
    }
}

/// sled writes `snap.N.generating`, then renames it. A process killed in between leaves a torn file, which the next
/// open would take for the newest snapshot and report as corruption. Older snapshots are removed only after the
/// rename, so nothing is lost. Only under the lock: another daemon may be writing one.
fn remove_torn_snapshots(records: &Path) -> io::Result<()> {
    for entry in fs::read_dir(records)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
