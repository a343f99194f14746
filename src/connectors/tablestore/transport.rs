//! Sends one signed request over a connection that is kept, and reads one answer. Repeats nothing.

use super::{
    answer::{Checks, Reply},
    config::Config,
    failure::{Answer, Cause, Failure, code},
    operation::Operation,
    request::Asker,
    skew::Skew,
};
use crate::error::{Error, Result};
use bytes::Bytes;
use jiff::Timestamp;
use std::time::Duration;

/// Beside the row that may be as large as it may: the rest of a page, which the service ends at 4 MB.
const PAGE_BYTES: usize = 8 << 20;

/// Room that is taken on the word of a `Content-Length`.
const BELIEVED_BYTES: u64 = 8 << 20;

/// Shorter than what balancers keep an idle connection for; one that is closed as we write makes a write ambiguous.
const IDLE: Duration = Duration::from_secs(20);

pub(super) struct Transport {
    http: reqwest::Client,
    endpoint: String,
    asker: Asker,
    verifies: bool,
    limit: usize,
    skew: Skew,
}

impl Transport {
    /// Connects to nothing yet.
    pub fn new(config: &Config) -> Result<Transport> {
        let wrong = |error: reqwest::Error| {
            Error::config("the connections to Tablestore cannot be set up")
                .because(error)
                .hint("install the system's certificates (`ca-certificates`), or set the store's option `ca`")
        };
        Ok(Transport {
            http: http(config)?.build().map_err(wrong)?,
            endpoint: config.endpoint.clone(),
            asker: Asker {
                instance: config.instance.clone(),
                credentials: config.credentials.clone(),
                scheme: config.scheme.clone(),
                compresses: config.compresses,
            },
            verifies: config.verifies,
            limit: config.max_row_bytes + PAGE_BYTES,
            skew: Skew::default(),
        })
    }

    /// Seconds that our clock is ahead of the service's; `None`: it has not answered yet.
    pub fn clock_ahead_s(&self) -> Option<i64> {
        self.skew.ahead_s()
    }

    pub async fn send(&self, operation: Operation, raw: &Bytes) -> Answer<Bytes> {
        let request = self.asker.request(operation.path, raw, Timestamp::now());
        let mut post = self.http.post(format!("{}/{}", self.endpoint, operation.path));
        for (name, value) in &request.headers {
            post = post.header(*name, value);
        }
        let reply = self.reply(operation, post.body(request.body)).await?;
        if let Some(words) = reply.header("x-ots-date").and_then(|date| self.skew.note(date, Timestamp::now())) {
            tracing::warn!(
                hint = "set the clock, and have NTP keep it: from 15 min on the service refuses us",
                "{words}"
            );
        }
        reply
            .read(&Checks {
                operation,
                key: self.verifies.then_some(&request.key),
                access_key_id: &self.asker.credentials.id,
                limit: self.limit,
            })
            .map_err(|failure| self.with_clock(failure))
    }

    async fn reply(&self, operation: Operation, post: reqwest::RequestBuilder) -> Answer<Reply> {
        let broken = |error: reqwest::Error| Failure::new(operation, cause(error.without_url()));
        let mut response = post.send().await.map_err(broken)?;
        let length = response.content_length().unwrap_or_default();
        let headers = response.headers().iter();
        let text = |value: &reqwest::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = headers.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let mut body = Vec::with_capacity(length.min(BELIEVED_BYTES) as usize);
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > self.limit {
                return Err(Failure::new(operation, Cause::TooLarge { limit: self.limit }));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status: response.status().as_u16(), headers, body: body.into() })
    }

    fn with_clock(&self, mut failure: Failure) -> Failure {
        if let Cause::Told { code, message, .. } = &mut failure.cause
            && **code == *code::AUTH_FAILED
            && let Some(words) = self.skew.blame()
        {
            *message = format!("{message} ({words})").into();
        }
        failure
    }
}

fn http(config: &Config) -> Result<reqwest::ClientBuilder> {
    let http = reqwest::Client::builder()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        // What may be sent again is decided by who knows what it does.
        .retry(reqwest::retry::never())
        .connect_timeout(config.connect_timeout)
        .timeout(config.answer_timeout)
        .pool_idle_timeout(IDLE)
        .tcp_nodelay(true)
        .user_agent(concat!("whimbrel/", env!("CARGO_PKG_VERSION")));
    if config.http {
        return Ok(http.no_proxy().tls_certs_only([]));
    }
    let Some(ca) = &config.ca else { return Ok(http) };
    let wrong = || {
        Error::config(format!("the certificates in `{}` cannot be read", ca.display()))
            .hint("name a file of PEM certificates in the store's option `ca`")
    };
    let pem = std::fs::read(ca).map_err(|error| wrong().because(error))?;
    let trusted = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| wrong().because(error))?;
    match trusted.is_empty() {
        true => Err(wrong()),
        // Whoever names an authority means that one, not every public one besides.
        false => Ok(http.tls_certs_only(trusted)),
    }
}

fn cause(error: reqwest::Error) -> Cause {
    let mut cause = std::error::Error::source(&error);
    let mut is_tls = false;
    while let Some(under) = cause {
        let text = under.to_string();
        is_tls |= text.contains("certificate") || text.contains("received fatal alert");
        cause = under.source();
    }
    match (error.is_connect(), is_tls) {
        (true, true) => Cause::Unsafe(error),
        (true, false) => Cause::Unreached(error),
        (false, _) => Cause::Broken(error),
    }
}
