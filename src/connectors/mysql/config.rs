//! A MySQL or MariaDB store's settings: hosts, account, encryption, limits.

use crate::{
    connectors::StoreSettings,
    error::{Error, Result},
};
use secrecy::SecretString;
use std::{fmt, path::PathBuf, time::Duration};

const PORT: u16 = 3306;

/// A host that does not answer by then is passed over for the next.
const CONNECT_MS: u64 = 10_000;

/// The largest row that is read; the same as a job's own default.
const MAX_ROW_BYTES: u64 = 64 << 20;

/// Below, not even our own tables could be read.
const SMALLEST_ROW_BYTES: u64 = 64 << 10;

/// The largest packet of the protocol.
const LARGEST_ROW_BYTES: u64 = 1 << 30;

#[derive(Clone, Debug)]
pub(super) struct Config {
    /// Tried in turn; all of them are the same data, one is written at a time.
    pub hosts: Vec<Host>,
    pub user: String,
    pub password: Option<SecretString>,
    /// The database that is followed or written; `None`: all but the server's own.
    pub database: Option<String>,
    pub tls: Tls,
    /// The name in the server's certificate, where it is not the host's.
    pub tls_name: Option<String>,
    /// A file of certificates to trust instead of the public ones.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    pub connect_timeout: Duration,
    /// Option `max_row_bytes`.
    pub max_row_bytes: usize,
    /// Option `compression`: what goes over the wire is packed, ours at the quickest.
    pub compresses: bool,
    /// Option `server_id`: what we call ourselves among the server's replicas; `None`: made from the job.
    pub server_id: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub name: String,
    pub port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.contains(':') {
            true => write!(f, "[{}]:{}", self.name, self.port),
            false => write!(f, "{}:{}", self.name, self.port),
        }
    }
}

/// How a connection is guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tls {
    Off,
    /// Nobody listens; whom we talk to is not proven.
    Encrypt,
    /// The certificate is signed by one we trust, and is the host's (or that of `tls_name`).
    Verify,
}

impl Config {
    pub fn read(settings: &StoreSettings) -> Result<Config> {
        let url = Url::read(&settings.url)?;
        let away = url.hosts.iter().any(|host| !is_loopback(&host.name));
        let mut config = Config {
            hosts: url.hosts,
            user: url.user,
            password: settings.secrets.get("password").cloned(),
            database: url.database,
            tls: if away { Tls::Verify } else { Tls::Off },
            tls_name: None,
            ca: None,
            identity: None,
            connect_timeout: Duration::from_millis(CONNECT_MS),
            max_row_bytes: MAX_ROW_BYTES as usize,
            compresses: false,
            server_id: None,
        };
        let (mut cert, mut key) = (None, None);
        for (name, value) in &settings.options {
            let number = || {
                value.parse::<u64>().map_err(|_| {
                    Error::config(format!("option `{name}`: `{value}` is not a whole number"))
                        .hint(format!("write a number, such as `{name} = \"{CONNECT_MS}\"`"))
                })
            };
            match name.as_str() {
                "tls" => config.tls = tls(value)?,
                "tls_name" => config.tls_name = Some(value.clone()),
                "ca" => config.ca = Some(value.into()),
                "cert" => cert = Some(PathBuf::from(value)),
                "key" => key = Some(PathBuf::from(value)),
                "connect_timeout_ms" => config.connect_timeout = Duration::from_millis(number()?.max(1)),
                "max_row_bytes" => {
                    config.max_row_bytes = number()?.clamp(SMALLEST_ROW_BYTES, LARGEST_ROW_BYTES) as usize;
                }
                "compression" => config.compresses = compression(value)?,
                "server_id" => config.server_id = Some(server_id(number()?)?),
                _ => {
                    return Err(Error::config(format!("unknown option `{name}`")).hint(
                        "this store knows `tls`, `tls_name`, `ca`, `cert`, `key`, `connect_timeout_ms`, \
                         `max_row_bytes`, `compression` and `server_id`; remove the others",
                    ));
                }
            }
        }
        config.identity = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => {
                return Err(Error::config("a certificate of ours needs both `cert` and `key`")
                    .hint("name the PEM files of both, or of neither"));
            }
        };
        if config.tls == Tls::Off && (config.ca.is_some() || config.identity.is_some()) {
            return Err(Error::config("`ca`, `cert` and `key` are of no use with `tls = \"off\"`")
                .hint("set `tls = \"verify\"`"));
        }
        Ok(config)
    }
}

fn tls(value: &str) -> Result<Tls> {
    Ok(match value {
        "off" => Tls::Off,
        "encrypt" => Tls::Encrypt,
        "verify" => Tls::Verify,
        _ => {
            return Err(Error::config(format!("option `tls`: `{value}` is unknown"))
                .hint("write `verify`, `encrypt` (nobody is checked) or `off`"));
        }
    })
}

fn compression(value: &str) -> Result<bool> {
    match value {
        "off" => Ok(false),
        "zlib" => Ok(true),
        _ => Err(Error::config(format!("option `compression`: `{value}` is unknown"))
            .hint("write `zlib`, which every server knows, or `off`")),
    }
}

fn server_id(number: u64) -> Result<u32> {
    u32::try_from(number).ok().filter(|id| *id > 0).ok_or_else(|| {
        Error::config(format!("option `server_id`: {number} is out of range"))
            .hint("write a number from 1 to 4294967295 that no other replica of the server has")
    })
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The parts of `mysql://user@host:port,host2/database`.
struct Url {
    user: String,
    hosts: Vec<Host>,
    database: Option<String>,
}

impl Url {
    fn read(url: &str) -> Result<Url> {
        let wrong = |what: &str| {
            Error::config(format!("the URL of the store {what}"))
                .hint("write `mysql://user@host:3306/database`, or `mariadb://…`; several hosts apart by commas")
        };
        let rest = url.split_once("://").ok_or_else(|| wrong("has no `://`"))?.1;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = authority.rsplit_once('@').ok_or_else(|| wrong("names no user"))?;
        if user.contains(':') {
            return Err(Error::config("the URL of the store holds a password").hint(
                "take it out, and name where it is kept: `secrets.password = { env = \"…\" }` or `{ file = \"…\" }`",
            ));
        }
        if path.contains(['/', '?', '#']) {
            return Err(wrong("goes on behind the database's name; settings are options of the store"));
        }
        let hosts =
            hosts.split(',').map(|host| Host::read(host).ok_or_else(|| wrong("has a host that cannot be read")));
        let decoded = |text: &str| decode(text).ok_or_else(|| wrong("has a bad `%` sequence"));
        let user = decoded(user)?;
        if user.is_empty() {
            return Err(wrong("names no user"));
        }
        Ok(Url {
            user,
            hosts: hosts.collect::<Result<_>>()?,
            database: Some(decoded(path)?).filter(|name| !name.is_empty()),
        })
    }
}

impl Host {
    fn read(text: &str) -> Option<Host> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (name, port) = rest.split_once(']')?;
                (name, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
            }
            None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
        };
        let port = port.map_or(Ok(PORT), str::parse).ok()?;
        (!name.is_empty()).then(|| Host { name: name.to_owned(), port })
    }
}

/// Undoes `%20` and the like.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, options: &[(&str, &str)]) -> Result<Config> {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::read(&StoreSettings { name: "a".into(), url: url.into(), options, ..StoreSettings::default() })
    }

    #[test]
    fn hosts_account_and_database() {
        let config = read("mysql://o%40b@db1,db2:3307,[::1]:3308/sh%2fop", &[]).unwrap();
        let hosts: Vec<String> = config.hosts.iter().map(Host::to_string).collect();
        assert_eq!(hosts, ["db1:3306", "db2:3307", "[::1]:3308"]);
        assert_eq!((config.user.as_str(), config.database.as_deref()), ("o@b", Some("sh/op")));
        assert_eq!(config.tls, Tls::Verify);
        assert_eq!(read("mariadb://root@127.0.0.1", &[]).unwrap().tls, Tls::Off);
        assert_eq!(read("mariadb://root@127.0.0.1/", &[]).unwrap().database, None);
    }

    #[test]
    fn refuses_with_a_hint() {
        for url in
            ["mysql:", "mysql://db1/shop", "mysql://@db1/shop", "mysql://a@/b", "mysql://a@b:x/c", "mysql://a@b/c?d=e"]
        {
            assert!(read(url, &[]).unwrap_err().hint_text().is_some(), "{url}");
        }
        let secret = read("mysql://a:geheim@b/c", &[]).unwrap_err();
        assert!(!format!("{secret:?}").contains("geheim"));
        for option in [
            ("tls", "yes"),
            ("server_id", "0"),
            ("max_row_bytes", "big"),
            ("colour", "red"),
            ("cert", "a.pem"),
            ("compression", "zstd"),
        ] {
            assert!(read("mysql://a@b/c", &[option]).unwrap_err().hint_text().is_some(), "{option:?}");
        }
        assert!(read("mysql://a@b/c", &[("tls", "off"), ("ca", "x.pem")]).is_err());
    }
}
