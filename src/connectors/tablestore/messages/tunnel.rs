//! Tunnels: the service shares a table's rows and changes out to channels, and keeps a checkpoint of each.

use super::stream::Record;
use bytes::Bytes;

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum TunnelType {
    BaseData = 1,
    Stream = 2,
    BaseAndStream = 3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum ChannelStatus {
    Open = 1,
    Closing = 2,
    Close = 3,
    Terminated = 4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum StartFlag {
    Latest = 0,
    Earliest = 1,
}

/// There is no tag 2.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Tunnel {
    #[prost(string, required, tag = "1")]
    pub table_name: String,
    #[prost(string, required, tag = "3")]
    pub tunnel_name: String,
    #[prost(enumeration = "TunnelType", required, tag = "4")]
    pub tunnel_type: i32,
    #[prost(message, optional, tag = "5")]
    pub stream_config: Option<StreamTunnelConfig>,
    #[prost(bool, optional, tag = "6")]
    pub need_all_time_series_columns: Option<bool>,
}

/// Where a stream tunnel starts and ends.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct StreamTunnelConfig {
    #[prost(enumeration = "StartFlag", optional, tag = "1")]
    pub flag: Option<i32>,
    #[prost(uint64, optional, tag = "2")]
    pub start_ns: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub end_ns: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct CreateTunnelRequest {
    #[prost(message, required, tag = "1")]
    pub tunnel: Tunnel,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct CreateTunnelResponse {
    #[prost(string, optional, tag = "1")]
    pub tunnel_id: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ListTunnelRequest {
    #[prost(string, optional, tag = "1")]
    pub table_name: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TunnelInfo {
    #[prost(string, required, tag = "1")]
    pub tunnel_id: String,
    /// `BaseData`, `Stream` or `BaseAndStream`.
    #[prost(string, required, tag = "2")]
    pub tunnel_type: String,
    #[prost(string, required, tag = "3")]
    pub table_name: String,
    #[prost(string, required, tag = "4")]
    pub instance_name: String,
    #[prost(string, required, tag = "5")]
    pub stream_id: String,
    /// `InitBaseDataAndStreamShard`, `ProcessBaseData` or `ProcessStream`.
    #[prost(string, required, tag = "6")]
    pub stage: String,
    #[prost(bool, optional, tag = "7")]
    pub expired: Option<bool>,
    #[prost(string, optional, tag = "8")]
    pub tunnel_name: Option<String>,
    #[prost(bool, optional, tag = "9")]
    pub public: Option<bool>,
    #[prost(message, optional, tag = "10")]
    pub stream_config: Option<StreamTunnelConfig>,
    #[prost(int64, optional, tag = "11")]
    pub create_ns: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ListTunnelResponse {
    #[prost(message, repeated, tag = "1")]
    pub tunnels: Vec<TunnelInfo>,
}

/// `DescribeTunnelRequest`, and `DeleteTunnelRequest`, which is the same.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TunnelName {
    #[prost(string, required, tag = "1")]
    pub table_name: String,
    #[prost(string, required, tag = "2")]
    pub tunnel_name: String,
    #[prost(string, optional, tag = "3")]
    pub tunnel_id: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ChannelInfo {
    #[prost(string, required, tag = "1")]
    pub channel_id: String,
    /// `BaseData` or `Stream`.
    #[prost(string, optional, tag = "2")]
    pub channel_type: Option<String>,
    /// Those of a heartbeat in capitals, and `WAIT`.
    #[prost(string, optional, tag = "3")]
    pub channel_status: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub client_id: Option<String>,
    /// The time up to which it was read.
    #[prost(int64, optional, tag = "5")]
    pub channel_rpo_ns: Option<i64>,
    #[prost(int64, optional, tag = "6")]
    pub channel_count: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct DescribeTunnelResponse {
    #[prost(message, optional, tag = "1")]
    pub tunnel: Option<TunnelInfo>,
    #[prost(message, repeated, tag = "2")]
    pub channels: Vec<ChannelInfo>,
    #[prost(int64, optional, tag = "3")]
    pub tunnel_rpo_ns: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ClientConfig {
    #[prost(int64, optional, tag = "1")]
    pub timeout_s: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub client_tag: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ConnectRequest {
    #[prost(string, required, tag = "1")]
    pub tunnel_id: String,
    #[prost(message, optional, tag = "2")]
    pub client_config: Option<ClientConfig>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ConnectResponse {
    #[prost(string, optional, tag = "1")]
    pub client_id: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Channel {
    #[prost(string, required, tag = "1")]
    pub channel_id: String,
    #[prost(int64, required, tag = "2")]
    pub version: i64,
    #[prost(enumeration = "ChannelStatus", required, tag = "3")]
    pub status: i32,
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub detail: Option<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct HeartbeatRequest {
    #[prost(string, required, tag = "1")]
    pub tunnel_id: String,
    #[prost(string, required, tag = "2")]
    pub client_id: String,
    #[prost(message, repeated, tag = "3")]
    pub channels: Vec<Channel>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct HeartbeatResponse {
    #[prost(message, repeated, tag = "1")]
    pub channels: Vec<Channel>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ShutdownRequest {
    #[prost(string, required, tag = "1")]
    pub tunnel_id: String,
    #[prost(string, required, tag = "2")]
    pub client_id: String,
}

/// Of one channel, which a client holds. `GetCheckpointRequest` is this much.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetCheckpointRequest {
    #[prost(string, required, tag = "1")]
    pub tunnel_id: String,
    #[prost(string, required, tag = "2")]
    pub client_id: String,
    #[prost(string, required, tag = "3")]
    pub channel_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct GetCheckpointResponse {
    /// A token, or `finished`.
    #[prost(string, optional, tag = "1")]
    pub checkpoint: Option<String>,
    #[prost(int64, optional, tag = "2")]
    pub sequence_number: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckpointRequest {
    #[prost(string, required, tag = "1")]
    pub tunnel_id: String,
    #[prost(string, required, tag = "2")]
    pub client_id: String,
    #[prost(string, required, tag = "3")]
    pub channel_id: String,
    #[prost(string, required, tag = "4")]
    pub checkpoint: String,
    /// The last accepted one, and one more.
    #[prost(int64, required, tag = "5")]
    pub sequence_number: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ReadRecordsRequest {
    #[prost(string, required, tag = "1")]
    pub tunnel_id: String,
    #[prost(string, required, tag = "2")]
    pub client_id: String,
    #[prost(string, required, tag = "3")]
    pub channel_id: String,
    #[prost(string, required, tag = "4")]
    pub token: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ReadRecordsResponse {
    #[prost(message, repeated, tag = "1")]
    pub records: Vec<Record>,
    /// `finished`: those were the last.
    #[prost(string, optional, tag = "2")]
    pub next_token: Option<String>,
    #[prost(bool, optional, tag = "3")]
    pub may_more_record: Option<bool>,
}
