//! What the service says instead of an answer, and what it says a request cost.

#[derive(Clone, PartialEq, prost::Message)]
pub struct Error {
    #[prost(string, optional, tag = "1")]
    pub code: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub message: Option<String>,
    #[prost(message, optional, tag = "3")]
    pub access_denied: Option<AccessDenied>,
}

/// Tunnels' own: tag 3 is a text there, which tells the tunnel.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TunnelError {
    #[prost(string, optional, tag = "1")]
    pub code: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub message: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub tunnel_id: Option<String>,
}

/// `AccessDeniedDetail`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AccessDenied {
    #[prost(string, required, tag = "1")]
    pub auth_action: String,
    #[prost(string, required, tag = "2")]
    pub principal_type: String,
    #[prost(string, required, tag = "3")]
    pub principal_owner_id: String,
    #[prost(string, required, tag = "4")]
    pub principal_display_name: String,
    #[prost(string, required, tag = "5")]
    pub policy_type: String,
    #[prost(string, required, tag = "6")]
    pub no_permission_type: String,
    #[prost(string, optional, tag = "7")]
    pub encoded_diagnostic_message: Option<String>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct ConsumedCapacity {
    #[prost(message, required, tag = "1")]
    pub unit: CapacityUnit,
    #[prost(message, optional, tag = "2")]
    pub size: Option<CapacityDataSize>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct CapacityUnit {
    #[prost(int32, optional, tag = "1")]
    pub read: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    pub write: Option<i32>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct CapacityDataSize {
    #[prost(int64, optional, tag = "1")]
    pub read_size: Option<i64>,
    #[prost(int64, optional, tag = "2")]
    pub write_size: Option<i64>,
}
