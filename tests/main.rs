//! The only test binary.

/// The command line: config files good and bad, exit codes, state documents.
mod cli;
/// State: the battery for every keeper, golden folders, refusals, kills.
mod state;
/// What several tests need.
mod support;
