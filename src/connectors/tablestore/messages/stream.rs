//! Streams: a table's changes, by shards.

use super::error::ConsumedCapacity;
use bytes::Bytes;

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum StreamStatus {
    Enabling = 1,
    Active = 2,
}

/// Of a stream's or a tunnel's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum ActionType {
    /// The whole new row: nothing of the old one stays.
    Put = 1,
    /// The cells that it lists.
    Update = 2,
    /// A key alone.
    Delete = 3,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ListStreamRequest {
    #[prost(string, optional, tag = "1")]
    pub table_name: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Stream {
    #[prost(string, required, tag = "1")]
    pub stream_id: String,
    #[prost(string, required, tag = "2")]
    pub table_name: String,
    #[prost(int64, required, tag = "3")]
    pub creation_time: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ListStreamResponse {
    #[prost(message, repeated, tag = "1")]
    pub streams: Vec<Stream>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct DescribeStreamRequest {
    #[prost(string, required, tag = "1")]
    pub stream_id: String,
    #[prost(string, optional, tag = "2")]
    pub inclusive_start_shard_id: Option<String>,
    #[prost(int32, optional, tag = "3")]
    pub shard_limit: Option<i32>,
    #[prost(bool, optional, tag = "4")]
    pub support_timeseries_data_table: Option<bool>,
}

/// Not to be read before its parents were read to their ends.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StreamShard {
    #[prost(string, required, tag = "1")]
    pub shard_id: String,
    #[prost(string, optional, tag = "2")]
    pub parent_id: Option<String>,
    /// The second one, of a merge.
    #[prost(string, optional, tag = "3")]
    pub parent_sibling_id: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct DescribeStreamResponse {
    #[prost(string, required, tag = "1")]
    pub stream_id: String,
    #[prost(int32, required, tag = "2")]
    pub expiration_h: i32,
    #[prost(string, required, tag = "3")]
    pub table_name: String,
    #[prost(int64, required, tag = "4")]
    pub creation_time: i64,
    #[prost(enumeration = "StreamStatus", optional, tag = "5")]
    pub stream_status: Option<i32>,
    #[prost(message, repeated, tag = "6")]
    pub shards: Vec<StreamShard>,
    /// Absent: those were the last.
    #[prost(string, optional, tag = "7")]
    pub next_shard_id: Option<String>,
    #[prost(bool, optional, tag = "8")]
    pub is_timeseries_data_table: Option<bool>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ShardIteratorRequest {
    #[prost(string, required, tag = "1")]
    pub stream_id: String,
    #[prost(string, required, tag = "2")]
    pub shard_id: String,
    /// Absent: the oldest record that is kept.
    #[prost(int64, optional, tag = "3")]
    pub timestamp_us: Option<i64>,
    #[prost(string, optional, tag = "4")]
    pub token: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ShardIteratorResponse {
    #[prost(string, optional, tag = "1")]
    pub shard_iterator: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub next_token: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct StreamRecordRequest {
    #[prost(string, required, tag = "1")]
    pub shard_iterator: String,
    #[prost(int32, optional, tag = "2")]
    pub limit: Option<i32>,
    #[prost(string, optional, tag = "3")]
    pub table_name: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct StreamRecordResponse {
    #[prost(message, repeated, tag = "1")]
    pub records: Vec<Record>,
    /// Absent: the shard is closed, and these were its last records.
    #[prost(string, optional, tag = "2")]
    pub next_shard_iterator: Option<String>,
    #[prost(message, optional, tag = "3")]
    pub consumed: Option<ConsumedCapacity>,
    #[prost(bool, optional, tag = "4")]
    pub may_more_record: Option<bool>,
}

/// `StreamRecord`, and a tunnel's `Record`, which is the same.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Record {
    #[prost(enumeration = "ActionType", required, tag = "1")]
    pub action_type: i32,
    /// One row, with a sequence unless it is of a tunnel's base data.
    #[prost(bytes = "bytes", required, tag = "2")]
    pub record: Bytes,
    /// The columns that the stream keeps of the row before.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub origin_record: Option<Bytes>,
}
