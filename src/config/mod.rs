//! What the daemon is told: a file, then the environment (`WHIMBREL_…`), then flags; the later wins.

mod access;
mod http;
mod job_file;
mod keys;
pub mod private_file;
mod secret;
mod store;

pub use self::{
    access::{Role, TlsConfig, TokenConfig},
    http::{HttpConfig, HttpListen},
    job_file::{job_from_file, job_from_text, jobs_from_file, jobs_from_text},
    keys::nearest_name,
    secret::Secret,
    store::StoreConfig,
};

use crate::error::{Error, Result};
use config::{ConfigError, File, FileFormat, FileSourceString, Map};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Every key; `config/whimbrel.toml` explains them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub listen: SocketAddr,
    pub tls: TlsConfig,
    pub tokens: BTreeMap<String, TokenConfig>,
    pub state: StateConfig,
    pub memory: MemoryConfig,
    pub source: SourceConfig,
    pub log: LogConfig,
    pub http: HttpConfig,
    pub stores: BTreeMap<String, StoreConfig>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StateConfig {
    pub dir: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryConfig {
    pub rows_in_flight_mib: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceConfig {
    pub retain_after_apply_s: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Pretty,
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 7411)),
            tls: TlsConfig::default(),
            tokens: BTreeMap::new(),
            state: StateConfig::default(),
            memory: MemoryConfig::default(),
            source: SourceConfig::default(),
            log: LogConfig::default(),
            http: HttpConfig::default(),
            stores: BTreeMap::new(),
        }
    }
}

impl Default for StateConfig {
    fn default() -> Self {
        // A place that a user without root may write.
        StateConfig { dir: "~/.local/state/whimbrel".into() }
    }
}

impl Default for MemoryConfig {
    fn default() -> Self {
        MemoryConfig { rows_in_flight_mib: 64 }
    }
}

impl Default for SourceConfig {
    fn default() -> Self {
        SourceConfig { retain_after_apply_s: 600 }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig { filter: "info".into(), format: LogFormat::Pretty }
    }
}

const PREFIX: &str = "WHIMBREL";
/// Variables with our prefix that are no settings of the daemon: the command line's own, and the tests'.
const NOT_SETTINGS: &[&str] = &[
    "CONFIG",
    "SERVER",
    "TOKEN_FILE",
    "CA_FILE",
    "CERT_FILE",
    "KEY_FILE",
    "KILL",
    "HANG",
    "LONG",
    "SEEDS",
    "SERVERS",
    "BIN",
];
const TESTS: &str = "TEST_";

/// Twice the budget and three large rows must fit into any machine that runs databases.
const MEMORY_MIB: std::ops::RangeInclusive<u32> = 1..=65_536;

impl Config {
    /// Whether a daemon that listens there may have these certificates and tokens.
    pub fn guards(&self, listen: SocketAddr) -> Result<()> {
        access::check(listen, &self.tls, &self.tokens)
    }

    /// Reads the file, then this process's environment, then `flags` (key and value).
    pub fn load(file: Option<&Path>, flags: &[(&str, String)]) -> Result<Config> {
        let mut settings = Map::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str() else { continue };
            let Some(key) = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('_')) else { continue };
            if NOT_SETTINGS.contains(&key) || key.starts_with(TESTS) {
                continue;
            }
            let not_text = |_| Error::config(format!("{name} is not UTF-8")).hint(format!("unset {name}, or mend it"));
            settings.insert(name.to_owned(), value.into_string().map_err(not_text)?);
        }
        Config::from_parts(file, settings, flags)
    }

    /// `load` with the given environment.
    pub fn from_parts(file: Option<&Path>, settings: Map<String, String>, flags: &[(&str, String)]) -> Result<Config> {
        let mut sources = config::Config::builder();
        if let Some(path) = file {
            sources = sources.add_source(read(path)?);
        }
        let environment = config::Environment::with_prefix(PREFIX).prefix_separator("_").separator("__");
        sources = sources.add_source(environment.source(Some(settings)));
        for (key, value) in flags {
            sources = sources.set_override(*key, value.as_str()).map_err(|error| not_taken(file, error))?;
        }
        let given = sources.build().map_err(|error| not_taken(file, error))?;
        keys::check(&given, &known_keys(), "config/whimbrel.toml lists all keys")
            .map_err(|error| place(file, error))?;
        let config: Config = given.try_deserialize().map_err(|error| not_taken(file, error))?;
        config.checked().map_err(|error| place(file, error))
    }

    fn checked(mut self) -> Result<Config> {
        access::check(self.listen, &self.tls, &self.tokens)?;
        if !MEMORY_MIB.contains(&self.memory.rows_in_flight_mib) {
            let (least, most) = MEMORY_MIB.into_inner();
            return Err(Error::config(format!(
                "`memory.rows_in_flight_mib`: {} is outside of {least} to {most}",
                self.memory.rows_in_flight_mib
            ))
            .hint("64 serves most; more helps only with rows of many megabytes"));
        }
        self.http.check()?;
        expand_home("state.dir", &mut self.state.dir)?;
        expand_home("tls.certificate", &mut self.tls.certificate)?;
        expand_home("tls.key", &mut self.tls.key)?;
        expand_home("tls.client_ca", &mut self.tls.client_ca)?;
        for (name, token) in &mut self.tokens {
            expand_home(&format!("tokens.{name}.file"), &mut token.file)?;
        }
        for (name, store) in &self.stores {
            store.check(name).map_err(|error| error.at(format!("`stores.{name}`")))?;
        }
        Ok(self)
    }
}

/// For stores and tokens.
fn plain_name(name: &str) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.is_empty() && name.len() <= 63 && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(Error::config("names are lower-case letters, digits and dashes, at most 63")
        .hint("rename it, for example to `prod-a`"))
}

fn read(path: &Path) -> Result<File<FileSourceString, FileFormat>> {
    let (text, format) = text_of(path)?;
    Ok(File::from_str(&text, format))
}

fn text_of(path: &Path) -> Result<(String, FileFormat)> {
    let format = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => FileFormat::Toml,
        Some("yaml" | "yml") => FileFormat::Yaml,
        Some("json") => FileFormat::Json,
        _ => {
            return Err(Error::config(format!("{}: of no known format", path.display()))
                .hint("name the file .toml, .yaml or .json"));
        }
    };
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::config(format!("{} cannot be read", path.display()))
            .because(error)
            .hint("give the path of a file that this user may read")
    })?;
    Ok((text, format))
}

fn place(file: Option<&Path>, error: Error) -> Error {
    match file {
        Some(file) => error.at(file.display()),
        None => error,
    }
}

fn not_taken(file: Option<&Path>, error: ConfigError) -> Error {
    place(file, keys::explain(error))
}

/// The tree of keys, as the defaults have it; `*` stands for any name.
fn known_keys() -> serde_json::Value {
    let mut known = serde_json::to_value(Config::default()).expect("plain data with text keys");
    let anything = serde_json::json!({"*": null});
    known["tokens"] = serde_json::json!({"*": {"role": null, "file": null}});
    known["stores"] = serde_json::json!({"*": {"url": null, "options": anything, "secrets": anything}});
    known
}

fn expand_home(key: &str, path: &mut PathBuf) -> Result<()> {
    let Ok(rest) = path.strip_prefix("~") else { return Ok(()) };
    match std::env::var_os("HOME").filter(|home| !home.is_empty()) {
        Some(home) => *path = Path::new(&home).join(rest),
        None => {
            return Err(Error::config(format!(
                "`{key}`: {} needs the variable HOME, which is not set",
                path.display()
            ))
            .hint(format!("set `{key}` to a full path, for example /var/lib/whimbrel")));
        }
    }
    Ok(())
}
