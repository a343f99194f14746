//! Who may reach the control API: the files of certificates and tokens, and what must be there to listen off loopback.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

/// An empty path: none. Without a certificate the control API speaks plain text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Clients must show a certificate that one of these signed.
    pub client_ca: PathBuf,
}

/// Whoever sends a token of the file may make the calls of the role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    pub role: Role,
    /// One token a line. Never in the config itself.
    pub file: PathBuf,
}

/// Each may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks.
    Read,
    /// Starts and pauses what is there.
    Operate,
    /// Creates and deletes.
    Admin,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Operate => "operate",
            Role::Admin => "admin",
        }
    }
}

/// Each is compared with what a call sends.
const TOKENS: usize = 64;

const TLS_LINES: &str = "\n[tls]\ncertificate = \"/etc/whimbrel/tls.crt\"\nkey = \"/etc/whimbrel/tls.key\"";
const TOKEN_LINES: &str = "\n[tokens.ops]\nrole = \"admin\"\nfile = \"/etc/whimbrel/ops.token\"";

pub(super) fn check(listen: SocketAddr, tls: &TlsConfig, tokens: &BTreeMap<String, TokenConfig>) -> Result<()> {
    let is_given = |path: &PathBuf| !path.as_os_str().is_empty();
    let (certificate, key) = (is_given(&tls.certificate), is_given(&tls.key));
    if certificate != key {
        let missing = if certificate { "tls.key" } else { "tls.certificate" };
        return Err(Error::config(format!("`{missing}` is missing"))
            .hint(format!("a certificate goes with its key: set `{missing}` to the path of a PEM file")));
    }
    if is_given(&tls.client_ca) && !certificate {
        return Err(Error::config("`tls.client_ca` needs a certificate of the daemon's own")
            .hint("set `tls.certificate` and `tls.key` to the paths of PEM files"));
    }
    for name in tokens.keys() {
        super::plain_name(name).map_err(|error| error.at("`tokens`"))?;
    }
    if tokens.len() > TOKENS {
        return Err(Error::config(format!("`tokens`: {} are more than {TOKENS}", tokens.len()))
            .hint("a file may hold several tokens, one a line, for those who share a role and a name"));
    }
    if listen.ip().is_loopback() || certificate && !tokens.is_empty() {
        return Ok(());
    }
    let (missing, lines) = match (certificate, tokens.is_empty()) {
        (false, true) => ("neither TLS nor tokens", format!("{TLS_LINES}{TOKEN_LINES}")),
        (false, false) => ("no TLS", TLS_LINES.to_owned()),
        _ => ("no tokens", TOKEN_LINES.to_owned()),
    };
    let make_token = match tokens.is_empty() {
        true => "\n(umask 077; openssl rand -hex 32 > /etc/whimbrel/ops.token makes the token)",
        false => "",
    };
    Err(Error::config(format!(
        "`listen`: {listen} is not a loopback address and the control API has {missing}: whoever reaches it could \
         start and delete jobs"
    ))
    .hint(format!(
        "add to the config{lines}{make_token}\nor listen on 127.0.0.1:7411 and reach it with \
         `ssh -L 7411:127.0.0.1:7411 HOST`"
    )))
}
