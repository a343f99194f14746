//! The command line: config files good and bad, exit codes, state documents.

mod config;
mod process;
