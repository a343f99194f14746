//! The service's protobuf messages (proto2): names are ours, numbers are the wire's.
//!
//! Fields of answers without which the answer means nothing are optional here: `prost` would take their absence for an
//! empty value, and an empty page for the end of a table.

pub mod error;
pub mod filter;
pub mod row;
pub mod stream;
pub mod table;
pub mod tunnel;
