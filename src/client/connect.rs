//! How a daemon is reached: its address, TLS, a token.

use super::{
    Answer, Client, Code, Failure,
    door::{self, Files},
    failure::causes,
};
use crate::control::{
    ANSWER_BYTES,
    v1::{job_service_client::JobServiceClient, store_service_client::StoreServiceClient},
};
use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

const CONNECTS_WITHIN: Duration = Duration::from_secs(5);
/// The daemon gives a store less than half of that to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(110);
/// A daemon that vanished without a word is noticed after this and the wait for its answer, in a long watch too.
const ASKS_IF_ALIVE_AFTER: Duration = Duration::from_secs(20);
const ALIVE_WITHIN: Duration = Duration::from_secs(10);

/// A channel whose calls carry the token.
pub(super) type Line = InterceptedService<Channel, Bearer>;

/// Says who calls.
#[derive(Clone)]
pub(super) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// Everything there is to say about a connection; [`Client::builder`] makes it.
#[derive(Clone, Default)]
pub struct Builder {
    address: String,
    pub(super) ca: Option<PathBuf>,
    pub(super) own: Option<(PathBuf, PathBuf)>,
    pub(super) server_name: Option<String>,
    token: Option<Token>,
    answers_within: Option<Duration>,
}

#[derive(Clone)]
enum Token {
    Text(String),
    File(PathBuf),
}

impl Builder {
    pub(super) fn new(address: &str) -> Builder {
        Builder { address: address.to_owned(), ..Builder::default() }
    }

    /// Speaks TLS, with a daemon whose certificate was signed by one of these (a PEM file).
    #[must_use]
    pub fn ca_certificate(mut self, file: impl AsRef<Path>) -> Builder {
        self.ca = Some(file.as_ref().to_owned());
        self
    }

    /// The client's own certificate and key (PEM files), where the daemon asks for one.
    #[must_use]
    pub fn client_certificate(mut self, certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Builder {
        self.own = Some((certificate.as_ref().to_owned(), key.as_ref().to_owned()));
        self
    }

    /// The name that the daemon's certificate must bear, where it is not that of the address (a tunnel).
    #[must_use]
    pub fn server_name(mut self, name: &str) -> Builder {
        self.server_name = Some(name.to_owned());
        self
    }

    /// The token that says who calls. Better kept in a file: [`Builder::token_file`].
    #[must_use]
    pub fn token(mut self, token: &str) -> Builder {
        self.token = Some(Token::Text(token.to_owned()));
        self
    }

    /// The file that holds the token; read when the connection is made.
    #[must_use]
    pub fn token_file(mut self, file: impl AsRef<Path>) -> Builder {
        self.token = Some(Token::File(file.as_ref().to_owned()));
        self
    }

    /// How long a call may take before it fails as `DeadlineExceeded`; 60 s unless said. Watches go on beyond it.
    #[must_use]
    pub fn answers_within(mut self, time: Duration) -> Builder {
        self.answers_within = Some(time);
        self
    }

    /// Connects, and hears one answer. `Unavailable`: nobody listens there. `InvalidArgument`: somebody does, but not
    /// with this TLS, or it is no daemon.
    pub async fn connect(self) -> Answer<Client> {
        let address = self.address.trim_start_matches("http://").trim_start_matches("https://");
        if address.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
            return Err(wrong(&format!("`{address}` has no port"), "write host:port, as 127.0.0.1:7411"));
        }
        let bearer = Bearer(self.bearer(address)?);
        let tls = self.tls()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
            .map_err(|error| {
                wrong(&format!("`{address}` is no address: {error}"), "write host:port, as 127.0.0.1:7411")
            })?
            .connect_timeout(CONNECTS_WITHIN)
            .timeout(self.answers_within.unwrap_or(ANSWERS_WITHIN))
            .http2_keep_alive_interval(ASKS_IF_ALIVE_AFTER)
            .keep_alive_timeout(ALIVE_WITHIN);
        if let Some(tls) = tls {
            let hint = "give PEM files: the CA that signed the daemon's certificate, your certificate and its key";
            endpoint = endpoint.tls_config(tls).map_err(|error| wrong(&causes(&error), hint))?;
        }
        let channel = match endpoint.connect().await {
            Ok(channel) => channel,
            Err(error) => return Err(self.unreachable(address, causes(&error)).await),
        };
        let line = InterceptedService::new(channel, bearer);
        if let Some(why) = broken(line.clone()).await {
            return Err(self.unreachable(address, why).await);
        }
        Ok(Client {
            jobs: JobServiceClient::new(line.clone()).max_decoding_message_size(ANSWER_BYTES),
            stores: StoreServiceClient::new(line).max_decoding_message_size(ANSWER_BYTES),
        })
    }

    async fn unreachable(&self, address: &str, why: String) -> Failure {
        let text = format!("no daemon answers at {address}: {why}");
        door::why(self, address).await.unwrap_or(Failure { text, ..Failure::unreachable() })
    }

    fn bearer(&self, address: &str) -> Answer<Option<MetadataValue<Ascii>>> {
        let Some(token) = &self.token else { return Ok(None) };
        if self.ca.is_none() && !is_loopback(address) {
            return Err(wrong(
                &format!("the token would go to {address} in plain text"),
                "give the CA of the daemon's certificate as well (`--ca-file FILE`)",
            ));
        }
        let token = match token {
            Token::Text(token) => token.clone(),
            Token::File(file) => token_in(file)?,
        };
        // The token is never in an error.
        let bearer = format!("Bearer {}", token.trim()).parse::<MetadataValue<Ascii>>();
        let mut bearer = bearer.map_err(|_| wrong("the token has characters that no token has", "copy it again"))?;
        bearer.set_sensitive(true);
        Ok(Some(bearer))
    }

    fn tls(&self) -> Answer<Option<ClientTlsConfig>> {
        let Some(Files { ca, own }) = self.files()? else {
            return match self.own.is_some() || self.address.starts_with("https://") {
                true => {
                    Err(wrong("TLS needs the CA of the daemon's certificate", "give its PEM file (`--ca-file FILE`)"))
                }
                false => Ok(None),
            };
        };
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
        if let Some((certificate, key)) = own {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        if let Some(name) = &self.server_name {
            tls = tls.domain_name(name);
        }
        Ok(Some(tls))
    }
}

/// The only one: of two nobody can say which is meant.
fn token_in(file: &Path) -> Answer<String> {
    let (bytes, shown) = (read(file)?, file.display());
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let Some(token) = lines.next() else {
        let hint = "put the token into it, on one line: the daemon has it in the file that [tokens.NAME] names";
        return Err(wrong(&format!("{shown} holds no token"), hint));
    };
    if lines.next().is_some() {
        let hint = "leave the one that is yours; only the daemon's file may hold several, old and new";
        return Err(wrong(&format!("{shown} holds more than one line: which is the token?"), hint));
    }
    Ok(token.to_owned())
}

/// One small call: a connection alone proves nobody, where TLS or another protocol is spoken. Every answer will do, a
/// refusal too; one that is late shows in the calls that follow.
async fn broken(line: Line) -> Option<String> {
    let mut health = HealthClient::new(line);
    let asked = health.check(HealthCheckRequest::default());
    match tokio::time::timeout(CONNECTS_WITHIN, asked).await {
        Ok(Err(status)) => {
            let failure = Failure::from(status);
            (failure.reason == "DAEMON_UNREACHABLE").then_some(failure.text)
        }
        _ => None,
    }
}

fn is_loopback(address: &str) -> bool {
    let host = address.parse::<SocketAddr>().map(|address| address.ip()).ok();
    host.or_else(|| address.parse::<IpAddr>().ok()).is_some_and(|ip| ip.is_loopback())
        || address.split(':').next() == Some("localhost")
}

pub(super) fn read(file: &Path) -> Answer<Vec<u8>> {
    std::fs::read(file).map_err(|error| {
        wrong(&format!("{} cannot be read: {error}", file.display()), "give the path of a file that this user may read")
    })
}

pub(super) fn wrong(text: &str, hint: &str) -> Failure {
    Failure {
        code: Code::InvalidArgument,
        reason: "CLIENT_MISCONFIGURED".into(),
        text: text.to_owned(),
        hint: Some(hint.to_owned()),
        violations: Vec::new(),
    }
}
