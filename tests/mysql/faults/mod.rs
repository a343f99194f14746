//! Everything goes wrong: the daemon and both servers are killed under an application that writes, and compared row by
//! row by the servers' own clients.

mod acts;
mod kills;
pub mod rig;
mod sources;
mod torn;
mod troubles;
mod volumes;
mod writer;
