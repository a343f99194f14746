//! The kinds of store. A new one is a folder and two lines here; no other file knows which there are.

pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;

use crate::{
    error::{Error, Result},
    source::Source,
    target::Target,
};
use secrecy::SecretString;
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
    /// Names of the secrets that it takes; others are refused.
    pub secrets: &'static [&'static str],
    /// Reads the settings (unknown ones are refused) and connects to nothing.
    pub open: fn(&StoreSettings) -> Result<Arc<dyn Store>>,
}

/// A store as the config names it.
#[derive(Clone, Debug, Default)]
pub struct StoreSettings {
    pub name: String,
    pub url: String,
    pub options: BTreeMap<String, String>,
    /// By name. Apart from the options, so that whoever shows those shows none of these.
    pub secrets: BTreeMap<String, SecretString>,
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
    if let Some(name) = settings.secrets.keys().find(|name| !connector.secrets.contains(&name.as_str())) {
        let known = match connector.secrets {
            [] => "it takes none: remove it".to_owned(),
            known => format!("it takes: {}", known.join(", ")),
        };
        return Err(
            Error::config(format!("store `{}`: `secrets.{name}` is unknown to `{scheme}`", settings.name)).hint(known)
        );
    }
    (connector.open)(settings).map_err(|error| error.at(format!("store `{}`", settings.name)))
}
