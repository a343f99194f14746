//! MySQL and MariaDB as a source and a target: servers that are followed by their binary log.

mod binlog;
mod gtid;
mod position;
