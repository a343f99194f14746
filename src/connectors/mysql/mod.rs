//! MySQL and MariaDB as a source and a target: servers that are followed by their binary log.

mod binlog;
mod charset;
mod config;
mod connect;
mod decode;
mod failure;
mod gtid;
mod position;
mod server;
mod text;
mod types;
mod values;
