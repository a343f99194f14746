//! The control API: verbs and errors through the generated client, everything again through the real grpcurl and from
//! Python, the real binary's signals, and the numbers that clients rely on.

mod errors;
mod grpcurl;
mod jobs;
mod lists;
mod numbers;
mod pauses;
mod python;
mod rebuild;
mod restart;
mod sdk;
mod stores;
mod update;
mod watch;
