//! State: the battery for every keeper, golden folders, refusals, and a process killed while it writes.

mod battery;
mod folder;
mod golden;
mod kill;
mod sample;
