//! Whimbrel keeps two databases in step without stopping either.

pub mod config;
pub mod error;
pub mod faults;
pub mod model;
pub mod shutdown;
pub mod telemetry;

pub mod source;
pub mod state;
pub mod target;

pub mod connectors;
pub mod pipeline;

pub mod supervisor;

pub mod control;

pub mod cli;
pub mod client;
