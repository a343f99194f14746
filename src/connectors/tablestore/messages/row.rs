//! Reading and writing rows, which are PlainBuffers in the bytes.

use super::error::{ConsumedCapacity, Error};
use bytes::Bytes;

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Existence {
    Ignore = 0,
    Expected = 1,
    NotExpected = 2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum ReturnType {
    None = 0,
    PrimaryKey = 1,
    AfterModify = 2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum OperationType {
    Put = 1,
    Update = 2,
    Delete = 3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Direction {
    Forward = 0,
    Backward = 1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum BlockType {
    PlainBuffer = 0,
    SimpleRowMatrix = 1,
}

/// Either end, the end exclusive, or one version. Milliseconds.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct TimeRange {
    #[prost(int64, optional, tag = "1")]
    pub start_ms: Option<i64>,
    #[prost(int64, optional, tag = "2")]
    pub end_ms: Option<i64>,
    #[prost(int64, optional, tag = "3")]
    pub specific_ms: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Condition {
    #[prost(enumeration = "Existence", required, tag = "1")]
    pub row_existence: i32,
    /// A filter's message.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub column_condition: Option<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ReturnContent {
    #[prost(enumeration = "ReturnType", optional, tag = "1")]
    pub return_type: Option<i32>,
    #[prost(string, repeated, tag = "2")]
    pub return_column_names: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct GetRowRequest {
    #[prost(string, required, tag = "1")]
    pub table_name: String,
    #[prost(bytes = "bytes", required, tag = "2")]
    pub primary_key: Bytes,
    #[prost(string, repeated, tag = "3")]
    pub columns_to_get: Vec<String>,
    #[prost(message, optional, tag = "4")]
    pub time_range: Option<TimeRange>,
    #[prost(int32, optional, tag = "5")]
    pub max_versions: Option<i32>,
    #[prost(bool, optional, tag = "6")]
    pub cache_blocks: Option<bool>,
    #[prost(bytes = "bytes", optional, tag = "7")]
    pub filter: Option<Bytes>,
    #[prost(string, optional, tag = "8")]
    pub start_column: Option<String>,
    #[prost(string, optional, tag = "9")]
    pub end_column: Option<String>,
    #[prost(bytes = "bytes", optional, tag = "10")]
    pub token: Option<Bytes>,
    #[prost(string, optional, tag = "11")]
    pub transaction_id: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct GetRowResponse {
    #[prost(message, optional, tag = "1")]
    pub consumed: Option<ConsumedCapacity>,
    /// Empty: there is no such row.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub row: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub next_token: Option<Bytes>,
}

/// `PutRowRequest`, `UpdateRowRequest` (`row_change`) and `DeleteRowRequest` (`primary_key`).
#[derive(Clone, PartialEq, prost::Message)]
pub struct WriteRowRequest {
    #[prost(string, required, tag = "1")]
    pub table_name: String,
    #[prost(bytes = "bytes", required, tag = "2")]
    pub row: Bytes,
    #[prost(message, required, tag = "3")]
    pub condition: Condition,
    #[prost(message, optional, tag = "4")]
    pub return_content: Option<ReturnContent>,
    #[prost(string, optional, tag = "5")]
    pub transaction_id: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct WriteRowResponse {
    #[prost(message, optional, tag = "1")]
    pub consumed: Option<ConsumedCapacity>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub row: Option<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct BatchGetRowRequest {
    #[prost(message, repeated, tag = "1")]
    pub tables: Vec<TableInBatchGet>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TableInBatchGet {
    #[prost(string, required, tag = "1")]
    pub table_name: String,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub primary_key: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub token: Vec<Bytes>,
    #[prost(string, repeated, tag = "4")]
    pub columns_to_get: Vec<String>,
    #[prost(message, optional, tag = "5")]
    pub time_range: Option<TimeRange>,
    #[prost(int32, optional, tag = "6")]
    pub max_versions: Option<i32>,
    #[prost(bool, optional, tag = "7")]
    pub cache_blocks: Option<bool>,
    #[prost(bytes = "bytes", optional, tag = "8")]
    pub filter: Option<Bytes>,
    #[prost(string, optional, tag = "9")]
    pub start_column: Option<String>,
    #[prost(string, optional, tag = "10")]
    pub end_column: Option<String>,
}

/// `BatchGetRowResponse`, and `BatchWriteRowResponse`, whose rows have no token.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BatchResponse {
    #[prost(message, repeated, tag = "1")]
    pub tables: Vec<TableInBatchResponse>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TableInBatchResponse {
    #[prost(string, required, tag = "1")]
    pub table_name: String,
    #[prost(message, repeated, tag = "2")]
    pub rows: Vec<RowInBatchResponse>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct RowInBatchResponse {
    #[prost(bool, optional, tag = "1")]
    pub is_ok: Option<bool>,
    /// Apart: most rows have none, and it is large.
    #[prost(message, optional, boxed, tag = "2")]
    pub error: Option<Box<Error>>,
    #[prost(message, optional, tag = "3")]
    pub consumed: Option<ConsumedCapacity>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub row: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "5")]
    pub next_token: Option<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct BatchWriteRowRequest {
    #[prost(message, repeated, tag = "1")]
    pub tables: Vec<TableInBatchWrite>,
    #[prost(string, optional, tag = "2")]
    pub transaction_id: Option<String>,
    #[prost(bool, optional, tag = "3")]
    pub is_atomic: Option<bool>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TableInBatchWrite {
    #[prost(string, required, tag = "1")]
    pub table_name: String,
    #[prost(message, repeated, tag = "2")]
    pub rows: Vec<RowInBatchWrite>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct RowInBatchWrite {
    #[prost(enumeration = "OperationType", required, tag = "1")]
    pub r#type: i32,
    #[prost(bytes = "bytes", required, tag = "2")]
    pub row_change: Bytes,
    #[prost(message, required, tag = "3")]
    pub condition: Condition,
    #[prost(message, optional, tag = "4")]
    pub return_content: Option<ReturnContent>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct GetRangeRequest {
    #[prost(string, required, tag = "1")]
    pub table_name: String,
    #[prost(enumeration = "Direction", required, tag = "2")]
    pub direction: i32,
    #[prost(string, repeated, tag = "3")]
    pub columns_to_get: Vec<String>,
    #[prost(message, optional, tag = "4")]
    pub time_range: Option<TimeRange>,
    #[prost(int32, optional, tag = "5")]
    pub max_versions: Option<i32>,
    #[prost(int32, optional, tag = "6")]
    pub limit: Option<i32>,
    /// Inclusive, also backward.
    #[prost(bytes = "bytes", required, tag = "7")]
    pub start: Bytes,
    /// Exclusive.
    #[prost(bytes = "bytes", required, tag = "8")]
    pub end: Bytes,
    #[prost(bool, optional, tag = "9")]
    pub cache_blocks: Option<bool>,
    #[prost(bytes = "bytes", optional, tag = "10")]
    pub filter: Option<Bytes>,
    #[prost(string, optional, tag = "11")]
    pub start_column: Option<String>,
    #[prost(string, optional, tag = "12")]
    pub end_column: Option<String>,
    #[prost(bytes = "bytes", optional, tag = "13")]
    pub token: Option<Bytes>,
    #[prost(string, optional, tag = "14")]
    pub transaction_id: Option<String>,
    #[prost(enumeration = "BlockType", optional, tag = "15")]
    pub block_type_hint: Option<i32>,
    #[prost(bool, optional, tag = "16")]
    pub return_entire_primary_keys: Option<bool>,
    #[prost(int32, optional, tag = "17")]
    pub compress_type_hint: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct GetRangeResponse {
    #[prost(message, optional, tag = "1")]
    pub consumed: Option<ConsumedCapacity>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub rows: Option<Bytes>,
    /// Absent: the range was read to its end.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub next_start: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub next_token: Option<Bytes>,
    #[prost(enumeration = "BlockType", optional, tag = "5")]
    pub block_type: Option<i32>,
    #[prost(int32, optional, tag = "6")]
    pub compress_type: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct BulkImportRequest {
    #[prost(string, required, tag = "1")]
    pub table_name: String,
    #[prost(message, repeated, tag = "2")]
    pub rows: Vec<RowInBulkImport>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct RowInBulkImport {
    #[prost(enumeration = "OperationType", required, tag = "1")]
    pub r#type: i32,
    #[prost(bytes = "bytes", required, tag = "2")]
    pub row_change: Bytes,
}

/// Of one table: `BulkImportResponse`.
pub type BulkImportResponse = TableInBatchResponse;

#[derive(Clone, PartialEq, prost::Message)]
pub struct BulkExportRequest {
    #[prost(string, required, tag = "1")]
    pub table_name: String,
    #[prost(string, repeated, tag = "2")]
    pub columns_to_get: Vec<String>,
    #[prost(bytes = "bytes", required, tag = "3")]
    pub start: Bytes,
    #[prost(bytes = "bytes", required, tag = "4")]
    pub end: Bytes,
    #[prost(bytes = "bytes", optional, tag = "5")]
    pub filter: Option<Bytes>,
    /// The service's default is the matrix.
    #[prost(enumeration = "BlockType", optional, tag = "6")]
    pub block_type_hint: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct BulkExportResponse {
    #[prost(message, optional, tag = "1")]
    pub consumed: Option<ConsumedCapacity>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub rows: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub next_start: Option<Bytes>,
    #[prost(enumeration = "BlockType", optional, tag = "4")]
    pub block_type: Option<i32>,
}
