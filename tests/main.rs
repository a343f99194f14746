//! The only test binary: one module per part.

/// The battery over every connector and keeper of state.
mod certify;
/// The command line: config files good and bad, exit codes, state documents.
mod cli;
/// Bytes on users' disks: rows, keys, positions.
mod golden;
/// State: the battery for every keeper, golden folders, refusals, kills.
mod state;
/// What several tests need.
mod support;
/// Floors, names, sizes, leftovers.
mod tidy;
