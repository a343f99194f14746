//! Tunnels: their calls, not the loop that a reader runs.

use super::{Client, given};
use crate::connectors::tablestore::{
    failure::Answer,
    messages::{
        table::Done,
        tunnel::{
            Channel, CheckpointRequest, ConnectRequest, ConnectResponse, CreateTunnelRequest, CreateTunnelResponse,
            DescribeTunnelResponse, GetCheckpointRequest, GetCheckpointResponse, HeartbeatRequest, HeartbeatResponse,
            ListTunnelRequest, ListTunnelResponse, ReadRecordsRequest, ReadRecordsResponse, ShutdownRequest, Tunnel,
            TunnelInfo, TunnelName,
        },
    },
    operation::{
        CHECKPOINT, CONNECT, CREATE_TUNNEL, DELETE_TUNNEL, DESCRIBE_TUNNEL, GET_CHECKPOINT, HEARTBEAT, LIST_TUNNEL,
        READ_RECORDS, SHUTDOWN,
    },
};

/// The token behind a channel's last record.
pub const FINISHED: &str = "finished";

impl Client {
    /// Its id. Fails with [`code::TUNNEL_EXISTS`](super::super::failure::code::TUNNEL_EXISTS) where there is one.
    pub async fn create_tunnel(&self, tunnel: Tunnel) -> Answer<String> {
        let answer: CreateTunnelResponse = self.ask(CREATE_TUNNEL, &CreateTunnelRequest { tunnel }).await?;
        given(CREATE_TUNNEL, answer.tunnel_id, "tunnel_id")
    }

    pub async fn list_tunnels(&self, table: &str) -> Answer<Vec<TunnelInfo>> {
        let request = ListTunnelRequest { table_name: Some(table.to_owned()) };
        let answer: ListTunnelResponse = self.ask(LIST_TUNNEL, &request).await?;
        Ok(answer.tunnels)
    }

    pub async fn describe_tunnel(&self, name: &TunnelName) -> Answer<(TunnelInfo, DescribeTunnelResponse)> {
        let mut answer: DescribeTunnelResponse = self.ask(DESCRIBE_TUNNEL, name).await?;
        Ok((given(DESCRIBE_TUNNEL, answer.tunnel.take(), "tunnel")?, answer))
    }

    pub async fn delete_tunnel(&self, name: &TunnelName) -> Answer<()> {
        self.ask(DELETE_TUNNEL, name).await.map(|Done {}| ())
    }

    /// The id under which the service shares channels out to us.
    pub async fn connect_tunnel(&self, request: &ConnectRequest) -> Answer<String> {
        let answer: ConnectResponse = self.ask(CONNECT, request).await?;
        given(CONNECT, answer.client_id, "client_id")
    }

    /// Tells how our channels stand; gives all that are ours from now on.
    pub async fn heartbeat(&self, request: &HeartbeatRequest) -> Answer<Vec<Channel>> {
        let answer: HeartbeatResponse = self.ask(HEARTBEAT, request).await?;
        Ok(answer.channels)
    }

    pub async fn shutdown_tunnel(&self, request: &ShutdownRequest) -> Answer<()> {
        self.ask(SHUTDOWN, request).await.map(|Done {}| ())
    }

    /// A channel's token, which may be [`FINISHED`], and the number it was written under.
    pub async fn get_checkpoint(&self, request: &GetCheckpointRequest) -> Answer<(String, i64)> {
        let answer: GetCheckpointResponse = self.ask(GET_CHECKPOINT, request).await?;
        let token = given(GET_CHECKPOINT, answer.checkpoint, "checkpoint")?;
        Ok((token, given(GET_CHECKPOINT, answer.sequence_number, "sequence_number")?))
    }

    /// With the last accepted number and one more; fails with
    /// [`code::SEQUENCE`](super::super::failure::code::SEQUENCE) where somebody else wrote.
    pub async fn checkpoint(&self, request: &CheckpointRequest) -> Answer<()> {
        self.ask(CHECKPOINT, request).await.map(|Done {}| ())
    }

    /// The records, and the token to go on with, which may be [`FINISHED`].
    pub async fn read_records(&self, request: &ReadRecordsRequest) -> Answer<(String, ReadRecordsResponse)> {
        let mut answer: ReadRecordsResponse = self.ask(READ_RECORDS, request).await?;
        Ok((given(READ_RECORDS, answer.next_token.take(), "next_token")?, answer))
    }
}
