//! What several tests need: waiting, real tools, real daemons.

#[cfg(feature = "faults")]
pub mod faulty;
pub mod wait;
#[cfg(feature = "faults")]
pub mod workload;
