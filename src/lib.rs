//! Whimbrel keeps two databases in step without stopping either.

pub mod config;
pub mod error;
pub mod faults;
pub mod model;

pub mod source;
pub mod state;
pub mod target;

pub mod connectors;
pub mod pipeline;
