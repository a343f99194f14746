//! MySQL and MariaDB as a source and a target: servers that are followed by their binary log.

mod binding;
mod binlog;
mod charset;
mod config;
mod connect;
mod copy;
mod decode;
mod failure;
mod fetch;
mod gtid;
mod indexes;
mod paging;
mod position;
mod schema;
mod server;
mod shapes;
mod sight;
mod split;
mod text;
mod types;
mod values;
