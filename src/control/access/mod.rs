//! Who may call: certificates, tokens and roles, exchanged while the daemon runs.

mod certificates;
mod cut;
mod guard;
mod incoming;
mod roles;
mod seldom;
mod tokens;

pub use self::{guard::Guard, incoming::incoming};

use self::{
    certificates::Certificates,
    roles::Need,
    tokens::{LONGEST, Tokens},
};
use crate::{
    config::{Role, TlsConfig, TokenConfig, private_file},
    error::{Error, Result},
};
use parking_lot::RwLock;
use rustls::ServerConfig;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};
use tokio::sync::watch;

/// What holds now. Connections and calls look at it each time.
pub struct Access {
    rules: RwLock<Arc<Rules>>,
    /// Counts the exchanges, for calls that stay open.
    exchanged: watch::Sender<u64>,
}

#[derive(Default)]
struct Rules {
    certificates: Option<Arc<Certificates>>,
    tokens: Tokens,
}

/// The other end of a connection.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    pub address: Option<SocketAddr>,
    /// The subject of the certificate it showed, signed by an authority of `tls.client_ca`.
    pub certificate: Option<Arc<str>>,
}

/// Whoever made a call, as proven; nothing in it is what the caller says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// For the audit trail: `token ops, certificate "CN=laptop", 10.0.0.7:50312`.
    pub who: Arc<str>,
}

/// Why a call was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    TokenMissing,
    TokenUnknown,
    RoleTooSmall { name: String, has: Role, needs: Role },
}

impl Access {
    /// Everybody who connects may do everything: for a loopback address of one's own.
    pub fn open() -> Arc<Access> {
        Arc::new(Access::from(Rules::default()))
    }

    pub fn new(tls: &TlsConfig, tokens: &BTreeMap<String, TokenConfig>) -> Result<Access> {
        let (tokens, wrong) = Tokens::read(tokens);
        let certificates = Certificates::read(tls)?.map(Arc::new);
        wrong.map_or(Ok(Access::from(Rules { certificates, tokens })), Err)
    }

    fn from(rules: Rules) -> Access {
        Access { rules: RwLock::new(Arc::new(rules)), exchanged: watch::Sender::new(0) }
    }

    /// Reads the files again; says what changed, and what is wrong with them. Certificates that are no good take the place
    /// of none; a token that is in no file any more ends, whatever else is wrong. Connections stay; calls are judged by
    /// the new tokens, and open ones whose token is gone end.
    pub fn reload(&self, tls: &TlsConfig, tokens: &BTreeMap<String, TokenConfig>) -> (Vec<String>, Option<Error>) {
        let old = self.rules();
        let (tokens, wrong) = Tokens::read(tokens);
        let mut news = tokens.news(&old.tokens);
        let (certificates, wrong) = match renewed(old.certificates.as_deref(), tls) {
            Ok((certificates, changed)) => {
                news.extend(changed);
                (certificates.map(Arc::new), wrong)
            }
            Err(error) => (old.certificates.clone(), wrong.or(Some(error))),
        };
        if !news.is_empty() || tokens.are_asked_for() != old.tokens.are_asked_for() {
            *self.rules.write() = Arc::new(Rules { certificates, tokens });
            self.exchanged.send_modify(|count| *count += 1);
        }
        (news, wrong)
    }

    /// Says in the log what is no error and should be looked after: rights of files, a certificate that ends.
    pub fn warn(&self, tls: &TlsConfig, tokens: &BTreeMap<String, TokenConfig>) {
        if let Some(certificates) = &self.rules().certificates {
            private_file::warn_if_open(&tls.key);
            certificates.warn();
        }
        tokens.values().for_each(|token| private_file::warn_if_open(&token.file));
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read())
    }

    /// For the next connection; `None`: plain text.
    fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.rules().certificates.as_ref().map(|certificates| Arc::clone(&certificates.config))
    }

    /// `authorization`: the header's values. No call: the router says so, to those who may look.
    fn judge(&self, path: &str, authorization: &[&[u8]], peer: &Peer) -> Result<Caller, Refusal> {
        let rules = self.rules();
        let needs = match roles::need(path) {
            Some(Need::Open) => None,
            Some(Need::Role(role)) => Some(role),
            None => Some(Role::Read),
        };
        let (false, Some(needs)) = (!rules.tokens.are_asked_for(), needs) else { return Ok(caller(None, peer)) };
        let token = match authorization {
            [] => return Err(Refusal::TokenMissing),
            [one] => bearer(one).ok_or(Refusal::TokenMissing)?,
            // Which of them counts would be a guess.
            _ => return Err(Refusal::TokenUnknown),
        };
        let known = (token.len() <= LONGEST).then(|| rules.tokens.holder(token)).flatten();
        let holder = known.ok_or(Refusal::TokenUnknown)?;
        if holder.role < needs {
            return Err(Refusal::RoleTooSmall { name: holder.name.clone(), has: holder.role, needs });
        }
        Ok(caller(Some(&holder.name), peer))
    }
}

/// What the files hold now, and what is to be said of it.
fn renewed(old: Option<&Certificates>, tls: &TlsConfig) -> Result<(Option<Certificates>, Option<String>)> {
    let new = Certificates::read(tls)?;
    let changed = match (old, &new) {
        (Some(old), Some(new)) if old.is_same(new) => None,
        // The one that runs serves on; an older file was put back by mistake.
        (Some(old), Some(new)) if new.left_s() < 0 && old.left_s() >= 0 => {
            return Err(Error::config(format!("`tls.certificate`: the new one expired at {}", new.until()))
                .hint("put a certificate there that is valid; until then the one before is used"));
        }
        (_, Some(new)) => Some(format!("certificates changed, valid until {}", new.until())),
        (Some(_), None) => Some("TLS is off".to_owned()),
        (None, None) => None,
    };
    Ok((new, changed))
}

fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

fn caller(token: Option<&str>, peer: &Peer) -> Caller {
    let token = token.map(|name| format!("token {name}"));
    // Quoted: a subject with commas in it reads like nothing else.
    let certificate = peer.certificate.as_ref().map(|subject| format!("certificate {subject:?}"));
    let address = peer.address.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
    let who: Vec<String> = token.into_iter().chain(certificate).chain([address]).collect();
    Caller { who: who.join(", ").into() }
}
