//! A store as the config names it, and that no secret is in plain sight there.

use super::Secret;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A database (or archive) that jobs name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    pub url: String,
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    #[serde(default)]
    pub secrets: BTreeMap<String, Secret>,
}

/// What the keys end in under which people write secrets, in URLs and options.
const SECRET_WORDS: &[&str] =
    &["password", "passwd", "passphrase", "pwd", "secret", "token", "credential", "access_key", "private_key"];

impl StoreConfig {
    /// No error here shows a value: it may be the secret that is in the wrong place.
    pub(super) fn check(&self, name: &str) -> Result<()> {
        super::plain_name(name)?;
        if !self.url.contains(':') {
            return Err(Error::config("`url` has no scheme").hint("for example url = \"sqlite:/var/lib/shop/shop.db\""));
        }
        if has_password(&self.url) {
            return Err(Error::config("`url` holds a password, which would be shown in lists and logs")
                .hint("leave it out, and set secrets.password = \"env:NAME\" or \"file:PATH\""));
        }
        if let Some(key) = self.options.keys().find(|key| is_secret_word(key)) {
            return Err(Error::config(format!("`options.{key}` looks like a secret, which would be shown in lists"))
                .hint(format!("remove it, and set secrets.{key} = \"env:NAME\" or \"file:PATH\"")));
        }
        match self.secrets.keys().find(|key| self.options.contains_key(*key)) {
            Some(key) => Err(Error::config(format!("`{key}` is set in `options` and in `secrets`"))
                .hint(format!("remove `options.{key}`"))),
            None => Ok(()),
        }
    }
}

fn is_secret_word(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    SECRET_WORDS.iter().any(|word| key.ends_with(word))
}

/// `scheme://user:password@host`, also with a `/`, `?`, `#` or `@` in the password, or `?password=…`.
fn has_password(url: &str) -> bool {
    let (_, rest) = url.split_once(':').unwrap_or_default();
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let head = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let in_user = match (head.rsplit_once('@'), head.split_once(':')) {
        (Some((user, _)), _) => user.contains(':'),
        // A password with a slash in it ends the head too early; a port does not look like one.
        (None, Some((_, after))) => {
            let is_port = !after.is_empty() && after.bytes().all(|byte| byte.is_ascii_digit());
            rest[head.len()..].contains('@') && !is_port
        }
        (None, None) => false,
    };
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let in_query = query
        .split(['&', ';'])
        .any(|pair| pair.split_once('=').is_some_and(|(key, value)| is_secret_word(key) && !value.is_empty()));
    in_user || in_query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_found() {
        for url in [
            "mysql://me:hunter2@db/shop",
            "mysql://me:hun@ter2@db:3306/shop",
            "mysql://me:hun/ter2@db:3306/shop",
            "mysql://me:hun?ter2@db:3306/shop",
            "mysql://me:hun#ter2@db:3306/shop",
            "mysql:me:hunter2@db/shop",
            "mongodb://:hunter2@db",
            "postgres://db/shop?user=me&password=hunter2",
            "postgres://db/shop?sslmode=require;sslPassword=hunter2",
            "s3://bucket/path?secret-access-key=hunter2",
        ] {
            assert!(has_password(url), "{url}");
        }
    }

    #[test]
    fn other_urls_are_left_alone() {
        for url in [
            "sqlite:/var/lib/shop@home.db",
            "sqlite:///var/a:b@c.db",
            "mysql://me@db:3306/shop",
            "mysql://db:3306/shop@home",
            "mysql://[::1]:3306/shop",
            "postgres://db/shop?sslmode=require&user=me",
            "s3://bucket/a:b@c",
            "memory:a",
        ] {
            assert!(!has_password(url), "{url}");
        }
    }
}
