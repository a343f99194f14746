//! Tablestore, Alibaba Cloud's wide-column store: the client half, which speaks its protocol.
//!
//! ```text
//! client → patience → transport → request (pack, sign) → HTTP
//!        ← messages, plainbuffer, matrix ← answer (unpack, prove) ←
//! ```

mod answer;
mod change;
mod client;
mod config;
mod crc;
mod failure;
mod limit;
mod matrix;
mod messages;
mod operation;
mod pack;
mod patience;
mod plainbuffer;
mod request;
mod sign;
mod skew;
mod split;
mod transport;

#[cfg(test)]
mod captured;
#[cfg(test)]
mod spoiled;
