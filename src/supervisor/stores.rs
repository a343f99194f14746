//! The stores of the config, opened by name.

use super::denied::{Answer, Reason, of_store};
use crate::{
    config::{Secret, StoreConfig},
    connectors::{self, Store, StoreSettings},
    error::{Error, Result},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// A store that hangs must not hold a call or a deletion for ever.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

const NO_NAME: &str = "a store is named as in the config, never by its URL";

pub struct Stores {
    configs: BTreeMap<String, StoreConfig>,
}

impl Stores {
    /// Refuses what no connector understands. A secret that cannot be read now concerns only the jobs that need it.
    pub fn new(configs: BTreeMap<String, StoreConfig>) -> Result<Stores> {
        let stores = Stores { configs };
        for (name, config) in &stores.configs {
            config.secrets.values().for_each(Secret::warn_if_open);
            match settings(name, config) {
                Ok(settings) => drop(connectors::open(&settings)?),
                Err(error) => tracing::error!(store = name, hint = error.hint_text(), "{error}"),
            }
        }
        Ok(stores)
    }

    /// Name and config of each, in order of their names.
    pub fn list(&self) -> impl Iterator<Item = (&str, &StoreConfig)> {
        self.configs.iter().map(|(name, config)| (name.as_str(), config))
    }

    pub fn config(&self, name: &str) -> Answer<&StoreConfig> {
        self.configs.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.configs.keys().map(String::as_str).collect();
            let hint = match known.is_empty() {
                true => "add it as [stores.NAME] to the daemon's config and restart it".to_owned(),
                false => format!("name one of: {}; or add it to the daemon's config and restart it", known.join(", ")),
            };
            // What is no name may be a URL with a password in it: not shown.
            let is_name = name.len() <= 63 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            let what = if is_name { format!("no store `{name}` in the config") } else { NO_NAME.to_owned() };
            Reason::StoreNotFound.because()(Error::config(what).hint(hint))
        })
    }

    /// Connects to nothing.
    pub fn open(&self, name: &str) -> Answer<Arc<dyn Store>> {
        let settings = settings(name, self.config(name)?).map_err(of_store)?;
        connectors::open(&settings).map_err(of_store)
    }
}

/// Waits for what a store was asked, not for ever, and says which store it was.
pub async fn answered<T>(store: &str, asked: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(ANSWERS_WITHIN, asked).await {
        Ok(answer) => answer.map_err(|error| error.at(format!("store `{store}`"))),
        Err(_) => Err(Error::transient(format!("store `{store}` did not answer in {} s", ANSWERS_WITHIN.as_secs()))
            .hint("see what it waits for: a lock, a full disk, a network")),
    }
}

fn settings(name: &str, config: &StoreConfig) -> Result<StoreSettings> {
    let read = |(key, secret): (&String, &Secret)| Ok((key.clone(), secret.read()?));
    let secrets: Result<_> = config.secrets.iter().map(read).collect();
    let secrets = secrets.map_err(|error| error.at(format!("store `{name}`")))?;
    Ok(StoreSettings { name: name.to_owned(), url: config.url.clone(), options: config.options.clone(), secrets })
}
