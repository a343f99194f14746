//! Tables: what they are, what is asked of them, where they are split.

use super::error::{CapacityUnit, ConsumedCapacity};
use bytes::Bytes;

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum KeyType {
    Integer = 1,
    String = 2,
    Binary = 3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum KeyOption {
    AutoIncrement = 1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum ColumnType {
    Integer = 1,
    Double = 2,
    Boolean = 3,
    String = 4,
    Blob = 7,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum TableStatus {
    Active = 1,
    Inactive = 2,
    Loading = 3,
    Unloading = 4,
    Updating = 5,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct PrimaryKeySchema {
    #[prost(string, required, tag = "1")]
    pub name: String,
    #[prost(enumeration = "KeyType", required, tag = "2")]
    pub r#type: i32,
    #[prost(enumeration = "KeyOption", optional, tag = "3")]
    pub option: Option<i32>,
}

/// Bounds are variants of the key's first column.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PartitionRange {
    #[prost(bytes = "bytes", required, tag = "1")]
    pub begin: Bytes,
    #[prost(bytes = "bytes", required, tag = "2")]
    pub end: Bytes,
}

/// Defined columns are there for indexes; rows may have others.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DefinedColumnSchema {
    #[prost(string, required, tag = "1")]
    pub name: String,
    #[prost(enumeration = "ColumnType", required, tag = "2")]
    pub r#type: i32,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct TableOptions {
    /// Seconds; -1: for ever.
    #[prost(int32, optional, tag = "1")]
    pub time_to_live_s: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    pub max_versions: Option<i32>,
    #[prost(int32, optional, tag = "3")]
    pub bloom_filter_type: Option<i32>,
    #[prost(int32, optional, tag = "4")]
    pub block_size: Option<i32>,
    /// How far from the service's clock a cell's time may be.
    #[prost(int64, optional, tag = "5")]
    pub deviation_cell_version_s: Option<i64>,
    #[prost(bool, optional, tag = "6")]
    pub allow_update: Option<bool>,
    #[prost(bool, optional, tag = "7")]
    pub update_full_row: Option<bool>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct IndexMeta {
    #[prost(string, required, tag = "1")]
    pub name: String,
    #[prost(string, repeated, tag = "2")]
    pub primary_key: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub defined_column: Vec<String>,
    #[prost(int32, required, tag = "4")]
    pub update_mode: i32,
    #[prost(int32, required, tag = "5")]
    pub r#type: i32,
    #[prost(int32, optional, tag = "6")]
    pub sync_phase: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TableMeta {
    #[prost(string, required, tag = "1")]
    pub table_name: String,
    #[prost(message, repeated, tag = "2")]
    pub primary_key: Vec<PrimaryKeySchema>,
    #[prost(message, repeated, tag = "3")]
    pub defined_column: Vec<DefinedColumnSchema>,
    #[prost(message, repeated, tag = "4")]
    pub index_meta: Vec<IndexMeta>,
    #[prost(string, optional, tag = "5")]
    pub table_id: Option<String>,
    #[prost(string, optional, tag = "6")]
    pub global_table_id: Option<String>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct ReservedThroughput {
    #[prost(message, required, tag = "1")]
    pub unit: CapacityUnit,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct ReservedThroughputDetails {
    #[prost(message, required, tag = "1")]
    pub unit: CapacityUnit,
    #[prost(int64, required, tag = "2")]
    pub last_increase_time: i64,
    #[prost(int64, optional, tag = "3")]
    pub last_decrease_time: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct StreamSpecification {
    #[prost(bool, required, tag = "1")]
    pub enable_stream: bool,
    #[prost(int32, optional, tag = "2")]
    pub expiration_h: Option<i32>,
    /// Of the row before a change.
    #[prost(string, repeated, tag = "3")]
    pub columns_to_get: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct StreamDetails {
    #[prost(bool, required, tag = "1")]
    pub enable_stream: bool,
    #[prost(string, optional, tag = "2")]
    pub stream_id: Option<String>,
    #[prost(int32, optional, tag = "3")]
    pub expiration_h: Option<i32>,
    /// Probably microseconds.
    #[prost(int64, optional, tag = "4")]
    pub last_enable_time: Option<i64>,
    #[prost(string, repeated, tag = "5")]
    pub columns_to_get: Vec<String>,
}

/// `SSESpecification`, and `SSEDetails`, which is the same.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Encryption {
    #[prost(bool, required, tag = "1")]
    pub enable: bool,
    #[prost(int32, optional, tag = "2")]
    pub key_type: Option<i32>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub key_id: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub role_arn: Option<Bytes>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct ListTableRequest {}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ListTableResponse {
    #[prost(string, repeated, tag = "1")]
    pub table_names: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct CreateTableRequest {
    #[prost(message, required, tag = "1")]
    pub table_meta: TableMeta,
    /// Zeros where use is paid for, and where an instance takes nothing else.
    #[prost(message, required, tag = "2")]
    pub reserved_throughput: ReservedThroughput,
    #[prost(message, optional, tag = "3")]
    pub table_options: Option<TableOptions>,
    #[prost(message, repeated, tag = "4")]
    pub partitions: Vec<PartitionRange>,
    #[prost(message, optional, tag = "5")]
    pub stream_spec: Option<StreamSpecification>,
    #[prost(message, optional, tag = "6")]
    pub encryption: Option<Encryption>,
    #[prost(message, repeated, tag = "7")]
    pub index_metas: Vec<IndexMeta>,
    #[prost(bool, optional, tag = "8")]
    pub enable_local_txn: Option<bool>,
}

/// The answers to what makes, drops and ends: that it was done is all they say.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Done {}

/// `DescribeTableRequest`, and `DeleteTableRequest`, which is the same.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TableName {
    #[prost(string, required, tag = "1")]
    pub table_name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct DescribeTableResponse {
    #[prost(message, optional, tag = "1")]
    pub table_meta: Option<TableMeta>,
    #[prost(message, optional, tag = "2")]
    pub reserved_throughput: Option<ReservedThroughputDetails>,
    #[prost(message, optional, tag = "3")]
    pub table_options: Option<TableOptions>,
    #[prost(enumeration = "TableStatus", optional, tag = "4")]
    pub table_status: Option<i32>,
    #[prost(message, optional, tag = "5")]
    pub stream_details: Option<StreamDetails>,
    #[prost(bytes = "bytes", repeated, tag = "6")]
    pub shard_splits: Vec<Bytes>,
    #[prost(message, optional, tag = "7")]
    pub encryption: Option<Encryption>,
    #[prost(message, repeated, tag = "8")]
    pub index_metas: Vec<IndexMeta>,
    #[prost(int64, optional, tag = "9")]
    pub creation_time: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct UpdateTableRequest {
    #[prost(string, required, tag = "1")]
    pub table_name: String,
    #[prost(message, optional, tag = "2")]
    pub reserved_throughput: Option<ReservedThroughput>,
    #[prost(message, optional, tag = "3")]
    pub table_options: Option<TableOptions>,
    #[prost(message, optional, tag = "4")]
    pub stream_spec: Option<StreamSpecification>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct UpdateTableResponse {
    #[prost(message, optional, tag = "1")]
    pub reserved_throughput: Option<ReservedThroughputDetails>,
    #[prost(message, optional, tag = "2")]
    pub table_options: Option<TableOptions>,
    #[prost(message, optional, tag = "3")]
    pub stream_details: Option<StreamDetails>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct SplitPointsRequest {
    #[prost(string, required, tag = "1")]
    pub table_name: String,
    /// In units of 100 MB, or of the next field.
    #[prost(int64, required, tag = "2")]
    pub split_size: i64,
    #[prost(int64, optional, tag = "3")]
    pub split_size_unit_bytes: Option<i64>,
    #[prost(int32, optional, tag = "4")]
    pub split_point_limit: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct SplitPointsResponse {
    #[prost(message, optional, tag = "1")]
    pub consumed: Option<ConsumedCapacity>,
    #[prost(message, repeated, tag = "2")]
    pub schema: Vec<PrimaryKeySchema>,
    /// Keys, which may lack columns at the end.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub split_points: Vec<Bytes>,
    #[prost(message, repeated, tag = "4")]
    pub locations: Vec<SplitLocation>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct SplitLocation {
    #[prost(string, required, tag = "1")]
    pub location: String,
    /// So many ranges in a row are there.
    #[prost(sint64, required, tag = "2")]
    pub repeat: i64,
}
