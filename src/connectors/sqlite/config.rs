//! A SQLite store's settings: the file, and two options.

use crate::{
    connectors::StoreSettings,
    error::{Error, Result},
};
use std::{path::PathBuf, time::Duration};

/// How long we wait for another process's lock before we say so. Longer than any sane transaction, shorter than the
/// patience of a person who watches a status.
const BUSY_MS: u64 = 3_000;

/// The largest row that is read; the same as a job's own default.
const MAX_ROW_BYTES: u64 = 64 << 20;

/// Our own tables hold shapes as text, under the same limit.
const SMALLEST_ROW_BYTES: u64 = 64 << 10;

/// SQLite's own limit of a string, blob or row.
const LARGEST_ROW_BYTES: u64 = 1_000_000_000;

#[derive(Debug, PartialEq)]
pub(super) struct Config {
    pub path: PathBuf,
    /// Option `busy_ms`.
    pub busy: Duration,
    /// Option `max_row_bytes`.
    pub max_row_bytes: u64,
}

impl Config {
    pub fn read(settings: &StoreSettings) -> Result<Config> {
        let path = settings.url.strip_prefix("sqlite:").unwrap_or_default();
        let wrong = match path {
            "" => Some("names no file"),
            ":memory:" => Some("must name a file: a database in memory is seen by one connection only"),
            _ if path.ends_with('/') => Some("names a directory, not a file"),
            _ if path.starts_with("//") && !path.starts_with("///") => Some("names a host, but SQLite has none"),
            _ => None,
        };
        if let Some(wrong) = wrong {
            return Err(Error::config(format!("the URL `{}` {wrong}", settings.url))
                .hint("write `sqlite:/path/to/file.db`, or relative to the daemon's directory, `sqlite:shop.db`"));
        }
        let mut config =
            Config { path: path.into(), busy: Duration::from_millis(BUSY_MS), max_row_bytes: MAX_ROW_BYTES };
        for (name, value) in &settings.options {
            let number = || {
                value.parse::<u64>().map_err(|_| {
                    Error::config(format!("option `{name}`: `{value}` is not a whole number"))
                        .hint(format!("write a number, such as `{name} = \"{MAX_ROW_BYTES}\"`"))
                })
            };
            match name.as_str() {
                "busy_ms" => config.busy = Duration::from_millis(number()?),
                "max_row_bytes" => config.max_row_bytes = number()?.clamp(SMALLEST_ROW_BYTES, LARGEST_ROW_BYTES),
                _ => {
                    return Err(Error::config(format!("unknown option `{name}`"))
                        .hint("a SQLite store knows `busy_ms` and `max_row_bytes`; remove the others"));
                }
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, options: &[(&str, &str)]) -> Result<Config> {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::read(&StoreSettings { name: "a".into(), url: url.into(), options, ..StoreSettings::default() })
    }

    #[test]
    fn names_a_file() {
        assert_eq!(read("sqlite:shop.db", &[]).unwrap().path, PathBuf::from("shop.db"));
        assert_eq!(read("sqlite:///var/shop.db", &[]).unwrap().path, PathBuf::from("/var/shop.db"));
        for url in ["sqlite:", "sqlite::memory:", "sqlite://host/shop.db", "sqlite:shop/"] {
            assert!(read(url, &[]).unwrap_err().hint_text().is_some(), "{url}");
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert_eq!(read("sqlite:a", &[("busy_ms", "7")]).unwrap().busy, Duration::from_millis(7));
        assert!(read("sqlite:a", &[("busy_ms", "soon")]).is_err());
        assert!(read("sqlite:a", &[("journal_mode", "wal")]).unwrap_err().to_string().contains("journal_mode"));
    }
}
