//! The only test binary.

/// State: the battery for every keeper, golden folders, refusals, kills.
mod state;
/// What several tests need.
mod support;
