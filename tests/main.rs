//! The only test binary: one module per part.

// Bytes on users' disks.
mod golden;
// The SQLite connector on real files, judged by the `sqlite3` shell.
mod sqlite;
// Floors, names, sizes, leftovers.
mod tidy;
