//! What several tests need: waiting, real tools, daemons in this process and as processes of their own.

pub mod daemon;
pub mod house;
pub mod tools;
pub mod wait;
