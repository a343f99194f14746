//! SQLite as a source and a target: a file that any other process may write while we follow it.
//!
//! As a source, triggers of ours note the *keys* of changed rows in `whimbrel_log` (`triggers`, `log`); the tail reads
//! it (`feed`), the rows themselves are fetched (`fetch`). As a target, one connection on a thread of its own applies
//! parts in transactions that move the watermark first (`target`, `apply`). A file may be both: what we write into a
//! followed file is noted there too, with our job as its origin (`relay`).

mod apply;
mod change;
mod clash;
mod columns;
mod config;
mod copy;
mod decode;
mod definition;
mod disk;
mod encode;
mod failure;
mod feed;
mod fetch;
mod file;
mod finish;
mod fit;
mod fixture;
mod large;
mod leftovers;
mod log;
mod noted;
mod paging;
mod plan;
mod position;
mod prepare;
mod relay;
mod rights;
mod schema;
mod seen;
mod shapes;
mod source;
mod split;
mod statement;
mod survey;
mod tail;
mod target;
mod text;
mod thread;
mod triggers;
mod watermark;

pub use self::fixture::Files;

use self::{config::Config, source::SqliteSource, target::SqliteTarget};
use super::{Connector, Store, StoreSettings};
use crate::{
    error::{Error, Result},
    model::{JobId, Leftover},
    source::Source,
    target::Target,
};
use async_trait::async_trait;
use std::sync::Arc;

pub static CONNECTOR: Connector = Connector {
    scheme: "sqlite",
    about: "SQLite database files: `sqlite:/path/to/file.db`, or relative, `sqlite:shop.db`",
    secrets: &[],
    open,
    fixture: Some(Files::of),
};

fn open(settings: &StoreSettings) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(SqliteStore { config: Arc::new(Config::read(settings)?) }))
}

struct SqliteStore {
    config: Arc<Config>,
}

#[async_trait]
impl Store for SqliteStore {
    fn source(&self) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(SqliteSource::new(Arc::clone(&self.config))))
    }

    fn target(&self) -> Result<Arc<dyn Target>> {
        Ok(Arc::new(SqliteTarget::new(Arc::clone(&self.config))))
    }

    async fn leftovers(&self, known: &[JobId]) -> Result<Vec<Leftover>> {
        let (config, known) = (Arc::clone(&self.config), known.to_vec());
        let looked = tokio::task::spawn_blocking(move || leftovers::look(&config, &known)).await;
        looked.map_err(|died| Error::transient("the look at the file ended early").because(died))?
    }
}
