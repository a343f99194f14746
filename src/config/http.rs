//! The HTTP port for metrics, health and the status page: where it listens, if at all.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, str::FromStr};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    pub listen: HttpListen,
    /// Whoever reaches the port may look: needed to listen off loopback.
    pub open: bool,
}

/// An address, or nowhere: `off`, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct HttpListen(pub Option<SocketAddr>);

impl Default for HttpConfig {
    fn default() -> Self {
        HttpConfig { listen: HttpListen(Some(SocketAddr::from(([127, 0, 0, 1], 7412)))), open: false }
    }
}

impl HttpConfig {
    pub(super) fn check(&self) -> Result<()> {
        match self.listen.0 {
            Some(address) if !address.ip().is_loopback() && !self.open => Err(Error::config(format!(
                "`http.listen`: {address} is not a loopback address; the port asks nobody who they are, and shows names \
                 of stores and tables, and errors"
            ))
            .hint("listen on 127.0.0.1:7412; or add `open = true` under [http] where a firewall guards the port")),
            _ => Ok(()),
        }
    }
}

impl From<HttpListen> for String {
    fn from(listen: HttpListen) -> String {
        listen.0.map_or_else(|| "off".to_owned(), |address| address.to_string())
    }
}

impl TryFrom<String> for HttpListen {
    type Error = String;

    fn try_from(text: String) -> Result<HttpListen, String> {
        if text.is_empty() || text == "off" {
            return Ok(HttpListen(None));
        }
        let wrong = |_| format!("`{text}` is no socket address such as 127.0.0.1:7412, nor \"off\"");
        SocketAddr::from_str(&text).map(|address| HttpListen(Some(address))).map_err(wrong)
    }
}
