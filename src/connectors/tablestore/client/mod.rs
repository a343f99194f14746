//! One call an operation: asks, and gives what the answer says, or [`Failure`].
//!
//! A call repeats what was surely not done, and reads, for a moment ([`super::patience`]). A write that may have been
//! done comes back as ambiguous; ours may all be sent again, and who wrote them decides.

pub mod row;
mod stream;
mod table;
pub mod tunnel;

#[cfg(test)]
mod responder;
#[cfg(test)]
mod tests;

use super::{
    config::Config,
    failure::{Answer, Failure},
    operation::Operation,
    patience::Patience,
    transport::Transport,
};
use crate::error::Result;
use bytes::Bytes;
use prost::Message;

/// For as many callers at once as there are; connections are shared.
pub(super) struct Client {
    transport: Transport,
}

impl Client {
    /// Connects to nothing yet.
    pub fn new(config: &Config) -> Result<Client> {
        Ok(Client { transport: Transport::new(config)? })
    }

    /// Seconds that this machine's clock is ahead of the service's; `None`: it has not answered yet.
    pub fn clock_ahead_s(&self) -> Option<i64> {
        self.transport.clock_ahead_s()
    }

    async fn ask<A: Message + Default>(&self, operation: Operation, request: &impl Message) -> Answer<A> {
        self.send(operation, request.encode_to_vec()).await
    }

    async fn send<A: Message + Default>(&self, operation: Operation, request: Vec<u8>) -> Answer<A> {
        let request = Bytes::from(request);
        let mut patience = Patience::default();
        loop {
            match self.once(operation, &request).await {
                Ok(answer) => return Ok(answer),
                Err(failure) if patience.again(&failure).await => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn once<A: Message + Default>(&self, operation: Operation, request: &Bytes) -> Answer<A> {
        let answer = self.transport.send(operation, request).await?;
        A::decode(answer).map_err(|error| Failure::spoiled(operation, error.to_string()))
    }
}

/// A part of an answer without which it means nothing.
fn given<T>(operation: Operation, part: Option<T>, name: &str) -> Answer<T> {
    part.ok_or_else(|| Failure::spoiled(operation, format!("`{name}` is missing")))
}
