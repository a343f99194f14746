//! The command line: config files good and bad, every verb, exit codes, outputs, terminals, state documents.

mod apply;
mod config;
mod demo;
mod door;
mod guarded;
mod outputs;
mod pages;
mod process;
mod readme;
pub mod scene;
mod terminal;
mod verbs;
