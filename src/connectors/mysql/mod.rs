//! MySQL and MariaDB as a source and a target: servers that are followed by their binary log.
//!
//! A copy reads pages along a table's key, each in a short statement of its own (`copy`, `paging`); values come as the
//! bytes that the server keeps, and are read as those of the log are (`types`, `values`, `charset`). What a read has to
//! see of the log is proven before it, and what it may have shown is noted behind it (`sight`, `commits`). Which servers
//! are taken today is in `known`.
//!
//! A target makes tables in the server's own words (`translation`, `verbatim`, `columns`, `collations`), and writes them
//! in few statements a batch (`statement`, `apply`).

mod advance;
mod altering;
mod apply;
mod backlog;
mod batches;
mod begin;
mod binding;
mod binlog;
mod cascades;
mod changes;
mod charset;
mod charset_tables;
mod check;
mod clash;
mod collations;
mod columns;
mod commits;
mod compare;
mod config;
mod connect;
mod constraints;
mod copy;
mod create;
mod ddl;
mod decode;
mod definition;
mod encode;
mod expressions;
mod failure;
mod feed;
mod fetch;
mod finish;
mod fit;
mod fixture;
mod follow;
mod foreign;
mod grants;
mod gtid;
mod history;
mod image;
mod indexes;
mod known;
mod lane;
mod leftovers;
mod limit;
mod narrow;
mod noted;
mod paging;
mod plan;
mod position;
mod prepare;
mod prepared;
mod proof;
mod recent;
mod rows;
mod schema;
mod script;
mod server;
mod shapes;
mod sight;
mod source;
mod spelling;
mod split;
mod statement;
mod stream;
mod survey;
mod tail;
mod target;
mod text;
mod translation;
mod types;
mod unlogged;
mod values;
mod verbatim;
mod watermark;
mod wire;

pub use self::fixture::Databases;

use self::{config::Config, source::MysqlSource, target::MysqlTarget};
use super::{Connector, Store, StoreSettings};
use crate::{
    error::Result,
    model::{JobId, Leftover},
    source::Source,
    target::Target,
};
use async_trait::async_trait;
use std::sync::Arc;

pub static MYSQL: Connector = Connector {
    scheme: "mysql",
    about: "MySQL and MariaDB servers: `mysql://user@host:3306/database`",
    secrets: &["password"],
    open,
    fixture: Some(Databases::of),
};

pub static MARIADB: Connector = Connector {
    scheme: "mariadb",
    about: "MariaDB servers: `mariadb://user@host:3306/database`",
    secrets: &["password"],
    open,
    fixture: Some(Databases::of),
};

fn open(settings: &StoreSettings) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(MysqlStore { config: Arc::new(Config::read(settings)?) }))
}

struct MysqlStore {
    config: Arc<Config>,
}

#[async_trait]
impl Store for MysqlStore {
    fn source(&self) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(MysqlSource::new(Arc::clone(&self.config))))
    }

    fn target(&self) -> Result<Arc<dyn Target>> {
        Ok(Arc::new(MysqlTarget::new(Arc::clone(&self.config))))
    }

    async fn leftovers(&self, known: &[JobId]) -> Result<Vec<Leftover>> {
        leftovers::look(&self.config, known).await
    }
}
