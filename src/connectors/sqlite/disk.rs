//! What the file system says of a database file: which one it is, who may write beside it, how much room there is.

use super::{file::Database, schema};
use crate::source::Room;
use std::{
    ffi::CString,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

/// The same for every path to one file, there or not.
pub(super) fn place(path: &Path) -> Option<String> {
    if let Ok(file) = fs::metadata(path) {
        return Some(format!("sqlite:{}:{}", file.dev(), file.ino()));
    }
    let folder = fs::canonicalize(folder(path)).ok()?;
    Some(format!("sqlite:{}", folder.join(path.file_name()?).display()))
}

/// The directory that holds the file and its journal.
pub(super) fn folder(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}

/// Whether SQLite could make its journal there.
pub(super) fn may_write(folder: &Path) -> bool {
    let Ok(text) = CString::new(folder.as_os_str().as_bytes()) else { return false };
    // SAFETY: the text ends in a zero and lives through the call.
    unsafe { libc::access(text.as_ptr(), libc::W_OK | libc::X_OK) == 0 }
}

/// What an ordinary user may still write into the folder's volume. `None`: nobody can say.
pub(super) fn room(folder: &Path) -> Option<Room> {
    let text = CString::new(folder.as_os_str().as_bytes()).ok()?;
    // SAFETY: all zeroes is a value of this plain structure.
    let mut answer: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the text ends in a zero; both live through the call.
    if unsafe { libc::statvfs(text.as_ptr(), &mut answer) } != 0 {
        return None;
    }
    #[allow(clippy::useless_conversion, reason = "both are narrower on other systems")]
    let free = u64::from(answer.f_bavail).saturating_mul(u64::from(answer.f_frsize));
    let volume = fs::metadata(folder).ok()?.dev().to_string();
    Some(Room { place: folder.display().to_string(), volume, free })
}

/// Whether the file has a write-ahead log. Asked of SQLite and of nobody else: to open a database file and close it again
/// drops all locks that this process has on it (POSIX), and then others take it for unused and delete its log.
pub(super) fn has_wal(db: &Database) -> Option<bool> {
    let modes = db.rows("PRAGMA journal_mode", [], |row| schema::text(row.get(0))).ok()?;
    modes.first().map(|mode| mode == "wal")
}
