//! The control API: verbs and errors through the generated client, everything again through the real grpcurl, the
//! real binary's signals, and the numbers that clients rely on.

mod errors;
mod grpcurl;
mod jobs;
mod numbers;
mod rebuild;
mod restart;
mod watch;
