//! A Tablestore store's settings: instance, endpoint, account, signature, limits.

use super::sign::{Credentials, Scheme};
use crate::{
    connectors::StoreSettings,
    error::{Error, Result},
};
use std::{path::PathBuf, time::Duration};

const CONNECT_MS: u64 = 10_000;

/// A page of 4 MB over a slow link takes half of it.
const ANSWER_MS: u64 = 60_000;

/// A request of a daemon that died is over by then: the service answers a write in milliseconds, or says that it is busy.
const TAKEOVER_MS: u64 = 5_000;

/// The service keeps no stream longer than a week.
const STREAM_HOURS: u64 = 168;

/// The largest row that is read; the same as a job's own default.
const MAX_ROW_BYTES: u64 = 64 << 20;

/// Below, not even a page of ordinary rows could be read.
const SMALLEST_ROW_BYTES: u64 = 1 << 20;

/// An answer is held in memory whole.
const LARGEST_ROW_BYTES: u64 = 1 << 30;

/// Names of the secrets that it takes. An id is none, but is often kept with them.
pub(super) const SECRETS: &[&str] = &["access_key_id", "access_key_secret", "sts_token"];

#[derive(Clone, Debug)]
pub(super) struct Config {
    pub instance: String,
    /// `http://host:port` or `https://host`, without a slash at the end.
    pub endpoint: String,
    pub credentials: Credentials,
    /// Option `signature`, with `region`.
    pub scheme: Scheme,
    /// Option `http`: nothing is encrypted, which is for tests.
    pub http: bool,
    /// A file of certificates to trust instead of the public ones.
    pub ca: Option<PathBuf>,
    /// Option `compression`: bodies go as zlib, both ways.
    pub compresses: bool,
    /// Option `verify`: an answer must prove that it is whole and the service's.
    pub verifies: bool,
    pub connect_timeout: Duration,
    /// Of a whole request.
    pub answer_timeout: Duration,
    /// Option `max_row_bytes`.
    pub max_row_bytes: usize,
    /// Option `stream_hours`: a job switches the stream of its source tables on, for so long.
    pub stream_hours: Option<i32>,
    /// Option `timestamps`: cells keep the source's times in every table, not only where there are versions or expiry.
    pub keeps_times: bool,
    /// Option `takeover_wait_ms`: so long after another daemon was told to stop, nothing of it is under way any more.
    pub zombie_wait: Duration,
}

impl Config {
    pub fn read(settings: &StoreSettings) -> Result<Config> {
        let (instance, host) = address(&settings.url)?;
        let (mut id, mut signature, mut region) = (None, None, None);
        let mut config = Config {
            instance: instance.to_owned(),
            endpoint: String::new(),
            credentials: Credentials {
                id: String::new(),
                secret: secret(settings, "access_key_secret")?,
                sts_token: settings.secrets.get("sts_token").cloned(),
            },
            scheme: Scheme::V2,
            http: false,
            ca: None,
            compresses: false,
            verifies: true,
            connect_timeout: Duration::from_millis(CONNECT_MS),
            answer_timeout: Duration::from_millis(ANSWER_MS),
            max_row_bytes: MAX_ROW_BYTES as usize,
            stream_hours: None,
            keeps_times: false,
            zombie_wait: Duration::from_millis(TAKEOVER_MS),
        };
        for (name, value) in &settings.options {
            let number = || {
                value.parse::<u64>().map_err(|_| {
                    Error::config(format!("option `{name}`: `{value}` is not a whole number"))
                        .hint(format!("write a number, such as `{name} = \"{CONNECT_MS}\"`"))
                })
            };
            let one_of = |on: &str, off: &str| match value.as_str() {
                value if value == on => Ok(true),
                value if value == off => Ok(false),
                _ => Err(Error::config(format!("option `{name}`: `{value}` is unknown"))
                    .hint(format!("write `{on}` or `{off}`"))),
            };
            match name.as_str() {
                "access_key_id" => id = Some(value.clone()),
                "http" => config.http = one_of("on", "off")?,
                "ca" => config.ca = Some(value.into()),
                "signature" => signature = Some(one_of("v4", "v2")?),
                "region" => region = Some(value.clone()),
                "compression" => config.compresses = one_of("zlib", "off")?,
                "verify" => config.verifies = one_of("on", "off")?,
                "connect_timeout_ms" => config.connect_timeout = Duration::from_millis(number()?.max(1)),
                "answer_timeout_ms" => config.answer_timeout = Duration::from_millis(number()?.max(1)),
                "max_row_bytes" => {
                    config.max_row_bytes = number()?.clamp(SMALLEST_ROW_BYTES, LARGEST_ROW_BYTES) as usize;
                }
                "stream_hours" => config.stream_hours = Some(number()?.clamp(1, STREAM_HOURS) as i32),
                "timestamps" => config.keeps_times = one_of("keep", "auto")?,
                "takeover_wait_ms" => config.zombie_wait = Duration::from_millis(number()?),
                _ => {
                    return Err(Error::config(format!("unknown option `{name}`")).hint(
                        "this store knows `access_key_id`, `signature`, `region`, `ca`, `http`, `compression`, \
                         `verify`, `connect_timeout_ms`, `answer_timeout_ms`, `max_row_bytes`, `stream_hours`, \
                         `timestamps` and `takeover_wait_ms`; remove the others",
                    ));
                }
            }
        }
        if config.http && config.ca.is_some() {
            return Err(Error::config("`ca` is of no use with `http = \"on\"`").hint("remove one of the two"));
        }
        config.endpoint = format!("{}://{host}", if config.http { "http" } else { "https" });
        config.scheme = scheme(signature.unwrap_or(false), region, host)?;
        config.credentials.id = match id {
            Some(id) => id,
            None => access_key_id(settings)?,
        };
        config.headers_are_plain()?;
        Ok(config)
    }

    /// What goes into headers must be able to.
    fn headers_are_plain(&self) -> Result<()> {
        use secrecy::ExposeSecret;
        let region = match &self.scheme {
            Scheme::V4 { region } => region.as_str(),
            Scheme::V2 => "",
        };
        let token = self.credentials.sts_token.as_ref().map_or("", |token| token.expose_secret());
        for (what, text) in [("access_key_id", self.credentials.id.as_str()), ("region", region), ("sts_token", token)]
        {
            if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(Error::config(format!("`{what}` holds a character that cannot be in a header"))
                    .hint("write it without spaces, line ends and letters that are not ASCII"));
            }
        }
        Ok(())
    }
}

fn secret(settings: &StoreSettings, name: &str) -> Result<secrecy::SecretString> {
    settings.secrets.get(name).cloned().ok_or_else(|| {
        Error::config(format!("`secrets.{name}` is missing"))
            .hint(format!("name where it is kept: secrets.{name} = \"env:NAME\" or \"file:PATH\""))
    })
}

fn access_key_id(settings: &StoreSettings) -> Result<String> {
    use secrecy::ExposeSecret;
    match settings.secrets.get("access_key_id") {
        Some(id) => Ok(id.expose_secret().to_owned()),
        None => Err(Error::config("`access_key_id` is missing")
            .hint("write options.access_key_id = \"…\", or secrets.access_key_id = \"env:NAME\" or \"file:PATH\"")),
    }
}

/// The parts of `tablestore://instance@host:port/`.
fn address(url: &str) -> Result<(&str, &str)> {
    let wrong = |what: &str| {
        Error::config(format!("the URL of the store {what}"))
            .hint("write `tablestore://instance@instance.region.ots.aliyuncs.com/`, or `instance@host:port`")
    };
    let rest = url.split_once("://").ok_or_else(|| wrong("has no `://`"))?.1;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (instance, host) = authority.rsplit_once('@').ok_or_else(|| wrong("names no instance"))?;
    if !path.is_empty() || authority.contains(['?', '#']) {
        return Err(wrong("goes on behind the endpoint; settings are options of the store"));
    }
    if instance.is_empty() || !instance.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(wrong("has an instance whose name is none: letters, digits and `-`"));
    }
    match is_host(host) {
        true => Ok((instance, host)),
        false => Err(wrong("has a host that cannot be read")),
    }
}

fn is_host(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, rest)) if name.parse::<std::net::Ipv6Addr>().is_ok() => (name, rest.strip_prefix(':')),
            _ => return false,
        },
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':');
    let ends = text.starts_with('[') && !text.ends_with(']') && port.is_none();
    !name.is_empty()
        && name.bytes().all(plain)
        && !ends
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Public endpoints tell their region: `instance.cn-hangzhou.ots.aliyuncs.com`.
fn scheme(is_v4: bool, region: Option<String>, host: &str) -> Result<Scheme> {
    let told = || host.ends_with(".aliyuncs.com").then(|| host.split('.').nth(1).map(str::to_owned)).flatten();
    match (is_v4, region) {
        (false, None) => Ok(Scheme::V2),
        (false, Some(_)) => Err(Error::config("`region` is of no use with `signature = \"v2\"`")
            .hint("set `signature = \"v4\"`, or remove `region`")),
        (true, region) => {
            let region = region.or_else(told).filter(|region| !region.is_empty()).ok_or_else(|| {
                Error::config("`signature = \"v4\"` needs a region, and the endpoint's name does not tell it")
                    .hint("write `region = \"cn-hangzhou\"`, or whichever it is")
            })?;
            Ok(Scheme::V4 { region })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, options: &[(&str, &str)]) -> Result<Config> {
        let options = [("access_key_id", "ak")].iter().chain(options);
        Config::read(&StoreSettings {
            name: "a".into(),
            url: url.into(),
            options: options.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            secrets: [("access_key_secret".to_owned(), "geheim".into())].into(),
        })
    }

    const URL: &str = "tablestore://shop@shop.cn-hangzhou.ots.aliyuncs.com";

    #[test]
    fn instance_endpoint_and_signature() {
        let config = read(URL, &[]).unwrap();
        assert_eq!((config.instance.as_str(), config.scheme), ("shop", Scheme::V2));
        assert_eq!(config.endpoint, "https://shop.cn-hangzhou.ots.aliyuncs.com");
        let config = read("tablestore://inst@[::1]:18100/", &[("http", "on")]).unwrap();
        assert_eq!(config.endpoint, "http://[::1]:18100");
        let region = |region: &str| Scheme::V4 { region: region.to_owned() };
        assert_eq!(read(URL, &[("signature", "v4")]).unwrap().scheme, region("cn-hangzhou"));
        assert_eq!(read(URL, &[("signature", "v4"), ("region", "x")]).unwrap().scheme, region("x"));
        assert!(read("tablestore://a@b", &[("signature", "v4")]).is_err());
    }

    #[test]
    fn refuses_with_a_hint() {
        for url in [
            "tablestore:",
            "tablestore://host",
            "tablestore://@host",
            "tablestore://a b@host",
            "tablestore://a@",
            "tablestore://a@host:x",
            "tablestore://a@[::1]x",
            "tablestore://a@host/table",
            "tablestore://a@host?b=c",
        ] {
            assert!(read(url, &[]).unwrap_err().hint_text().is_some(), "{url}");
        }
        for option in [
            ("http", "yes"),
            ("signature", "v3"),
            ("region", "cn-hangzhou"),
            ("compression", "gzip"),
            ("answer_timeout_ms", "soon"),
            ("colour", "red"),
            ("access_key_id", "a b"),
        ] {
            assert!(read(URL, &[option]).unwrap_err().hint_text().is_some(), "{option:?}");
        }
        assert!(read(URL, &[("http", "on"), ("ca", "x.pem")]).is_err());
        assert!(!format!("{:?}", read(URL, &[]).unwrap()).contains("geheim"));
    }

    #[test]
    fn an_account_must_be_named() {
        let mut settings = StoreSettings { url: URL.into(), ..StoreSettings::default() };
        assert!(Config::read(&settings).unwrap_err().to_string().contains("access_key_secret"));
        settings.secrets.insert("access_key_secret".into(), "geheim".into());
        assert!(Config::read(&settings).unwrap_err().to_string().contains("access_key_id"));
        settings.secrets.insert("access_key_id".into(), "ak".into());
        assert_eq!(Config::read(&settings).unwrap().credentials.id, "ak");
    }
}
