//! The SQLite connector on real files, judged by the `sqlite3` shell.

mod chains;
mod copying;
mod dropped;
mod evictions;
mod jobs;
mod large;
mod pairs;
mod restored;
mod rewound;
mod schema_changes;
mod shapes;
pub mod support;
mod tailing;
mod writing;
