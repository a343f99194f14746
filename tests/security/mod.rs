//! Who may reach the control API and what they may do there; and that no secret is ever shown.

pub mod authority;
mod bounds;
mod clients;
mod grpcurl;
pub mod guarded;
mod half_open;
mod reload;
mod secrets;
mod tls;
mod tokens;
