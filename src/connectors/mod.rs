//! The kinds of store. A new one is a folder and two lines here; no other file knows which there are.

pub mod memory;
#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "tablestore")]
#[expect(dead_code, reason = "the list below has it once its pairs are proven")]
mod tablestore;

use crate::{
    error::{Error, Result},
    fixture::Fixture,
    model::{JobId, Leftover},
    source::Source,
    target::Target,
};
use async_trait::async_trait;
use secrecy::SecretString;
use std::{collections::BTreeMap, sync::Arc};

static CONNECTORS: &[&Connector] = &[
    &memory::CONNECTOR,
    #[cfg(feature = "mysql")]
    &mysql::MARIADB,
    #[cfg(feature = "mysql")]
    &mysql::MYSQL,
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
    /// Scratch stores of the same setting, for the battery: beside the store, never a part of it that is in use.
    pub fixture: Option<MakeFixture>,
}

pub type MakeFixture = fn(&StoreSettings) -> Result<Box<dyn Fixture>>;

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
#[async_trait]
pub trait Store: Send + Sync {
    /// For reading. The engine also reads targets through it (sweep, compare).
    fn source(&self) -> Result<Arc<dyn Source>>;

    /// For writing; each pipeline gets an instance of its own.
    fn target(&self) -> Result<Arc<dyn Target>>;

    /// What of ours is in it, as a source or a target, and belongs to none of the jobs in `known`. Removes nothing; a
    /// store that is not there yet holds nothing.
    async fn leftovers(&self, known: &[JobId]) -> Result<Vec<Leftover>>;
}

/// Opens a store by the scheme of its URL.
pub fn open(settings: &StoreSettings) -> Result<Arc<dyn Store>> {
    (connector(settings)?.open)(settings).map_err(|error| error.at(format!("store `{}`", settings.name)))
}

/// Scratch stores as this one is set up. `None`: its connector brings none.
pub fn fixture(settings: &StoreSettings) -> Result<Option<Box<dyn Fixture>>> {
    let Some(fixture) = connector(settings)?.fixture else { return Ok(None) };
    fixture(settings).map(Some).map_err(|error| error.at(format!("store `{}`", settings.name)))
}

fn connector(settings: &StoreSettings) -> Result<&'static Connector> {
    let scheme = settings.url.split(':').next().unwrap_or_default();
    let connector = CONNECTORS.iter().copied().find(|connector| connector.scheme == scheme).ok_or_else(|| {
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
    Ok(connector)
}
