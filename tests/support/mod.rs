//! What several tests need: waiting, real tools, daemons in this process and as processes of their own.

pub mod daemon;
#[cfg(feature = "faults")]
pub mod faulty;
pub mod house;
pub mod http;
#[cfg(feature = "mysql")]
pub mod mysql;
pub mod python;
pub mod tools;
pub mod wait;
#[cfg(feature = "faults")]
pub mod workload;
