//! MySQL and MariaDB as a source and a target: servers that are followed by their binary log.

mod binlog;
mod charset;
mod config;
mod connect;
mod decode;
mod failure;
mod gtid;
mod indexes;
mod position;
mod schema;
mod server;
mod shapes;
mod text;
mod types;
mod values;
