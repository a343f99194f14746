//! Filters and conditions: a message whose bytes hold the message of its kind.

use bytes::Bytes;

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum FilterType {
    SingleColumnValue = 1,
    CompositeColumnValue = 2,
    ColumnPagination = 3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Comparator {
    Equal = 1,
    NotEqual = 2,
    GreaterThan = 3,
    GreaterEqual = 4,
    LessThan = 5,
    LessEqual = 6,
    Exist = 7,
    NotExist = 8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Combinator {
    Not = 1,
    And = 2,
    Or = 3,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Filter {
    #[prost(enumeration = "FilterType", required, tag = "1")]
    pub r#type: i32,
    #[prost(bytes = "bytes", required, tag = "2")]
    pub filter: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct SingleColumnValue {
    #[prost(enumeration = "Comparator", required, tag = "1")]
    pub comparator: i32,
    #[prost(string, required, tag = "2")]
    pub column_name: String,
    /// A variant.
    #[prost(bytes = "bytes", required, tag = "3")]
    pub column_value: Bytes,
    /// A row without the column does not pass.
    #[prost(bool, required, tag = "4")]
    pub filter_if_missing: bool,
    #[prost(bool, required, tag = "5")]
    pub latest_version_only: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct CompositeColumnValue {
    #[prost(enumeration = "Combinator", required, tag = "1")]
    pub combinator: i32,
    #[prost(message, repeated, tag = "2")]
    pub sub_filters: Vec<Filter>,
}
