//! The kinds of store. A new one is a folder and two lines here; no other file knows which there are.

pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;

use crate::{
    error::{Error, Result},
    source::Source,
    target::Target,
};
use std::{collections::BTreeMap, sync::Arc};

static CONNECTORS: &[&Connector] = &[
    &memory::CONNECTOR,
    #[cfg(feature = "sqlite")]
    &sqlite::CONNECTOR,
];

/// One kind of store.
pub struct Connector {
    /// The URL's scheme: `sqlite` in `sqlite:/var/lib/shop.db`.
    pub scheme: &'static str,
    /// One line for lists and errors.
    pub about: &'static str,
    /// Reads the settings (unknown ones are refused) and connects to nothing.
    pub open: fn(&StoreSettings) -> Result<Arc<dyn Store>>,
}

/// A store as the config names it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreSettings {
    pub name: String,
    pub url: String,
    pub options: BTreeMap<String, String>,
}

/// A store of some kind, opened by name.
pub trait Store: Send + Sync {
    /// For reading. The engine also reads targets through it (sweep, compare).
    fn source(&self) -> Result<Arc<dyn Source>>;

    /// For writing; each pipeline gets an instance of its own.
    fn target(&self) -> Result<Arc<dyn Target>>;
}

/// Opens a store by the scheme of its URL.
pub fn open(settings: &StoreSettings) -> Result<Arc<dyn Store>> {
    let scheme = settings.url.split(':').next().unwrap_or_default();
    let connector = CONNECTORS.iter().find(|connector| connector.scheme == scheme).ok_or_else(|| {
        let known: Vec<&str> = CONNECTORS.iter().map(|connector| connector.scheme).collect();
        Error::config(format!("store `{}`: no connector for the scheme `{scheme}`", settings.name))
            .hint(format!("start the URL with one of: {}", known.join(", ")))
    })?;
    (connector.open)(settings).map_err(|error| error.at(format!("store `{}`", settings.name)))
}
