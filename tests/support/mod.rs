//! What several tests need: waiting, real tools, real daemons.

pub mod wait;
