//! The stores of the config, opened by name.

use super::denied::{Answer, Reason, of_store};
use crate::{
    config::{Secret, StoreConfig},
    connectors::{self, Store, StoreSettings},
    error::{Error, Result},
    fixture::Fixture,
};
use parking_lot::{Mutex, RwLock};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// A store that hangs must not hold a call or a deletion for ever; the catalogue of thousands of tables takes its time.
const ANSWERS_WITHIN: Duration = Duration::from_secs(50);

const NO_NAME: &str = "a store is named as in the config, never by its URL";

pub struct Stores {
    configs: RwLock<Configs>,
    /// One after the other: what was read first must not be put in place last.
    reloading: Mutex<()>,
    /// Reads them again. `None`: they come from no file.
    read: Option<Read>,
}

type Configs = BTreeMap<String, Arc<StoreConfig>>;
type Read = Box<dyn Fn() -> Result<BTreeMap<String, StoreConfig>> + Send + Sync>;

/// What a reload did, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    pub added: Vec<String>,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
    pub unchanged: Vec<String>,
}

impl Stores {
    /// Refuses what no connector understands. A secret that cannot be read now concerns only the jobs that need it.
    pub fn new(configs: BTreeMap<String, StoreConfig>) -> Result<Stores> {
        check(&configs)?;
        Ok(Stores { configs: RwLock::new(shared(configs)), reloading: Mutex::default(), read: None })
    }

    /// Where `reload` finds them.
    #[must_use]
    pub fn read_by(
        mut self,
        read: impl Fn() -> Result<BTreeMap<String, StoreConfig>> + Send + Sync + 'static,
    ) -> Stores {
        self.read = Some(Box::new(read));
        self
    }

    /// Reads the config's stores again: all are taken, or nothing changes. What was opened before stays as it is. `user`: a
    /// job that needs the store of a name; that one cannot go.
    pub fn reload(&self, user: impl Fn(&str) -> Option<String>) -> Answer<Reloaded> {
        let Some(read) = &self.read else {
            return Reason::ConfigUnusable.deny(
                Error::config("this daemon has no config file").hint("start it with `whimbrel serve --config FILE`"),
            );
        };
        let _one = self.reloading.lock();
        let unusable = |error: Error| Reason::ConfigUnusable.because()(error);
        let configs = read().map_err(unusable)?;
        check(&configs).map_err(unusable)?;
        let new = shared(configs);
        let gone = self.list().into_iter().map(|(name, _)| name).filter(|name| !new.contains_key(name));
        if let Some((store, job)) = gone.filter_map(|name| Some((name.clone(), user(&name)?))).next() {
            let error =
                Error::config(format!("store `{store}` is not in the config any more, and job `{job}` needs it"));
            return Reason::ConfigUnusable
                .deny(error.hint(format!("put [stores.{store}] back, or `whimbrel job delete {job}` first")));
        }
        let old = std::mem::replace(&mut *self.configs.write(), new.clone());
        let mut reloaded = Reloaded::default();
        for (name, config) in &new {
            match old.get(name) {
                None => reloaded.added.push(name.clone()),
                Some(before) if before == config => reloaded.unchanged.push(name.clone()),
                Some(_) => reloaded.changed.push(name.clone()),
            }
        }
        reloaded.removed.extend(old.into_keys().filter(|name| !new.contains_key(name)));
        Ok(reloaded)
    }

    /// Name and config of each, in order of their names.
    pub fn list(&self) -> Vec<(String, Arc<StoreConfig>)> {
        self.configs.read().iter().map(|(name, config)| (name.clone(), Arc::clone(config))).collect()
    }

    pub fn config(&self, name: &str) -> Answer<Arc<StoreConfig>> {
        let configs = self.configs.read();
        configs.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = configs.keys().map(String::as_str).collect();
            let add = "add it as [stores.NAME] to the daemon's config and type `whimbrel store reload`";
            let hint = match known.is_empty() {
                true => add.to_owned(),
                false => format!("name one of: {}; or {add}", known.join(", ")),
            };
            // What is no name may be a URL with a password in it: not shown.
            let is_name = name.len() <= 63 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            let what = if is_name { format!("no store `{name}` in the config") } else { NO_NAME.to_owned() };
            Reason::StoreNotFound.because()(Error::config(what).hint(hint))
        })
    }

    /// Connects to nothing.
    pub fn open(&self, name: &str) -> Answer<Arc<dyn Store>> {
        let settings = settings(name, &*self.config(name)?).map_err(of_store)?;
        connectors::open(&settings).map_err(of_store)
    }

    /// Scratch stores of the same kind and setting. `None`: its connector brings none.
    pub fn fixture(&self, name: &str) -> Answer<Option<Box<dyn Fixture>>> {
        let settings = settings(name, &*self.config(name)?).map_err(of_store)?;
        connectors::fixture(&settings).map_err(of_store)
    }
}

fn check(configs: &BTreeMap<String, StoreConfig>) -> Result<()> {
    for (name, config) in configs {
        config.secrets.values().for_each(Secret::warn_if_open);
        match settings(name, config) {
            Ok(settings) => drop(connectors::open(&settings)?),
            Err(error) => tracing::error!(store = name, hint = error.hint_text(), "{error}"),
        }
    }
    Ok(())
}

fn shared(configs: BTreeMap<String, StoreConfig>) -> Configs {
    configs.into_iter().map(|(name, config)| (name, Arc::new(config))).collect()
}

/// Waits for what a store was asked, not for ever, and says which store it was.
pub async fn answered<T>(store: &str, asked: impl Future<Output = Result<T>>) -> Result<T> {
    let named = async { asked.await.map_err(|error| error.at(format!("store `{store}`"))) };
    timely(&format!("store `{store}`"), named).await
}

/// Waits, not for ever, for `whom` (in the error).
pub async fn timely<T>(whom: &str, asked: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(ANSWERS_WITHIN, asked).await.unwrap_or_else(|_| {
        Err(Error::transient(format!("{whom} did not answer in {} s", ANSWERS_WITHIN.as_secs()))
            .hint("see what it waits for: a lock, a full disk, a network"))
    })
}

fn settings(name: &str, config: &StoreConfig) -> Result<StoreSettings> {
    let read = |(key, secret): (&String, &Secret)| Ok((key.clone(), secret.read()?));
    let secrets: Result<_> = config.secrets.iter().map(read).collect();
    let secrets = secrets.map_err(|error| error.at(format!("store `{name}`")))?;
    Ok(StoreSettings { name: name.to_owned(), url: config.url.clone(), options: config.options.clone(), secrets })
}
