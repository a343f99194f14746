//! The only test binary: one module per part.

/// The battery over every connector and keeper of state.
mod certify;
/// The command line: config files good and bad, exit codes, state documents.
mod cli;
/// The control API: verbs, errors, watching, grpcurl, numbers.
mod control;
/// The real binary, killed at placed moments and at random.
mod crash;
/// Service, alerts, dashboard, images and manifests, held against the binary.
mod deploy;
/// Bytes on users' disks: rows, keys, positions.
mod golden;
/// Metrics, health and the status page of a real daemon.
mod http;
/// MySQL and MariaDB servers as sources and targets, judged by their own clients.
#[cfg(feature = "mysql")]
mod mysql;
/// Plans: findings, sizes, predictions, and that they write nothing.
mod plan;
/// Each defence taken away must turn a seed red.
#[cfg(feature = "faults")]
mod saboteurs;
/// Who may reach the control API, and that no secret is shown.
mod security;
/// Seeds of a world in which everything goes wrong, and named stories.
#[cfg(feature = "faults")]
mod simulation;
/// The SQLite connector on real files, judged by the `sqlite3` shell.
mod sqlite;
/// State: the battery for every keeper, golden folders, refusals, kills.
mod state;
/// What several tests need.
mod support;
/// Floors, names, sizes, leftovers.
mod tidy;
