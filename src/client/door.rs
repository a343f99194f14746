//! Says why nobody came in: what is spoken at an address, and what its TLS asks for. Asked only after a failure.

use super::{
    Answer, Failure,
    connect::{Builder, read, wrong},
};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, Error, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use std::{io, path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// A round trip or two around the world.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Something that all of them answer, each in its own way; a daemon's port for those who look on tells where its API is.
const QUESTION: &[u8] = b"GET /status.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
/// Of the answer; what is wanted of it stands at its beginning.
const READ: u64 = 4096;

enum Spoken {
    Tls,
    /// No gRPC, which is HTTP/2; and where the daemon's API is, if it told.
    Http1(Option<String>),
    /// Closed without a word.
    Closed,
    Unknown,
}

/// `None`: the door is open, or nobody is behind it; then it is not TLS.
pub(super) async fn why(builder: &Builder, address: &str) -> Option<Failure> {
    let looked = async {
        match builder.files() {
            Ok(Some(files)) => match Box::pin(shake(builder, files, address)).await {
                Err(error) => match speaks_no_tls(&error) {
                    true => {
                        let spoken = timeout(ANSWERS_WITHIN / 2, spoken(address)).await.ok().and_then(Result::ok);
                        Some(no_tls(address, &spoken.unwrap_or(Spoken::Unknown)))
                    }
                    false => Some(refused(builder, address, &error)),
                },
                Ok(Shaken::Closed) => Some(closed(address)),
                Ok(Shaken::Otherwise) => None,
            },
            _ => match spoken(address).await.ok()? {
                Spoken::Tls => Some(wrong(
                    &format!("{address} speaks TLS, and was spoken to in plain text"),
                    "give the CA that signed the daemon's certificate: --ca-file FILE; where it asks for a \
                     certificate of yours, --cert-file FILE --key-file FILE too",
                )),
                Spoken::Http1(api) => Some(http(address, api.as_deref())),
                Spoken::Closed => Some(closed(address)),
                Spoken::Unknown => None,
            },
        }
    };
    timeout(ANSWERS_WITHIN, looked).await.unwrap_or_default()
}

async fn spoken(address: &str) -> io::Result<Spoken> {
    let mut stream = TcpStream::connect(address).await?;
    // One that is closed already fails here or below.
    let asked = stream.write_all(QUESTION).await;
    let mut answer = Vec::new();
    let read = stream.take(READ).read_to_end(&mut answer).await;
    Ok(match answer.as_slice() {
        // Each of the daemon's own words comes before it looks at ours.
        [] if asked.is_err_and(|error| is_cut(&error)) || read.as_ref().map_or_else(is_cut, |_| true) => Spoken::Closed,
        // An alert of TLS, of any version.
        [0x15, 3, ..] => Spoken::Tls,
        answer if answer.starts_with(b"HTTP/") => {
            let text = String::from_utf8_lossy(answer);
            let api = text.split_once("\"api\":\"").and_then(|(_, rest)| rest.split('"').next());
            Spoken::Http1(api.map(str::to_owned))
        }
        _ => read.map(|_| Spoken::Unknown)?,
    })
}

fn is_cut(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// The PEM files of a client that speaks TLS.
pub(super) struct Files {
    pub ca: Vec<u8>,
    pub own: Option<(Vec<u8>, Vec<u8>)>,
}

/// TLS came about, or nobody was there.
enum Shaken {
    /// Somebody was, and closed without a word.
    Closed,
    Otherwise,
}

/// Says hello, and waits for the first word: before it a daemon has not yet looked at our certificate.
async fn shake(builder: &Builder, files: Files, address: &str) -> Result<Shaken, Error> {
    let other = |error: &dyn std::fmt::Display| Error::General(error.to_string());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&files.ca) {
        roots.add(certificate.map_err(|error| other(&error))?)?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots);
    let mut config = match &files.own {
        Some((certificates, key)) => {
            let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| other(&error))?;
            config.with_client_auth_cert(certificates.map_err(|error| other(&error))?, key)?
        }
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from(builder.name(address)).map_err(|error| other(&error))?;
    // Nobody there: that is no matter of TLS.
    let Ok(stream) = TcpStream::connect(address).await else { return Ok(Shaken::Otherwise) };
    let of_tls = |error: &io::Error| error.get_ref().and_then(|error| error.downcast_ref::<Error>()).cloned();
    let mut stream = match TlsConnector::from(Arc::new(config)).connect(name, stream).await {
        Ok(stream) => stream,
        Err(error) => {
            return of_tls(&error).map_or(Ok(if is_cut(&error) { Shaken::Closed } else { Shaken::Otherwise }), Err);
        }
    };
    match stream.read(&mut [0]).await {
        Err(error) => of_tls(&error).map_or(Ok(Shaken::Otherwise), Err),
        Ok(_) => Ok(Shaken::Otherwise),
    }
}

/// As a daemon does that has all the connections it takes; one more may be taken a moment later.
fn closed(address: &str) -> Failure {
    let hint = "it may have as many connections as it takes (its log says \"turned away\"): end some, such as watches that \
                nobody looks at, then again; or something else listens there: is it the right --server HOST:PORT?";
    let text = format!("{address} closed the connection at once");
    Failure { text, hint: Some(hint.into()), ..Failure::unreachable() }
}

fn speaks_no_tls(error: &Error) -> bool {
    matches!(error, Error::InvalidMessage(_))
}

fn http(address: &str, api: Option<&str>) -> Failure {
    match api {
        Some(api) => wrong(
            &format!("{address} answers HTTP/1.1: it is the daemon's port for metrics and the status page"),
            &format!("its API, which is gRPC, is at {api}: --server {api}"),
        ),
        None => wrong(
            &format!("{address} answers HTTP/1.1, and no gRPC"),
            "--server wants the address that the daemon's config has as `listen`: 127.0.0.1:7411 unless it says otherwise",
        ),
    }
}

fn no_tls(address: &str, spoken: &Spoken) -> Failure {
    match spoken {
        Spoken::Http1(api) => http(address, api.as_deref()),
        Spoken::Tls | Spoken::Closed | Spoken::Unknown => wrong(
            &format!("{address} speaks no TLS"),
            "leave out --ca-file (and WHIMBREL_CA_FILE), --cert-file and --key-file; is it the right address?",
        ),
    }
}

fn refused(builder: &Builder, address: &str, error: &Error) -> Failure {
    let ca = builder.ca.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
    let name = builder.name(address);
    let has_own = builder.own.is_some();
    let (text, hint) = match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => (
            format!("the daemon's certificate was signed by none of the authorities in {ca}"),
            "give the CA that signed the daemon's certificate: --ca-file FILE".to_owned(),
        ),
        Error::InvalidCertificate(CertificateError::NotValidForName) => (
            format!("the daemon's certificate is not for `{name}`"),
            "ask for one of the names in it: --server NAME:PORT (openssl x509 -noout -ext subjectAltName -in FILE \
             lists those of `tls.certificate`)"
                .to_owned(),
        ),
        Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }) => (
            format!("the daemon's certificate is not for `{name}`: it is for {}", presented.join(", ")),
            "ask for one of the names in it: --server NAME:PORT".to_owned(),
        ),
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => (
            "the daemon's certificate has expired".to_owned(),
            "put a new one where the daemon's `tls.certificate` points, and send it SIGHUP".to_owned(),
        ),
        Error::InvalidCertificate(_) => (
            format!("the daemon's certificate is no good: {error}"),
            "mend `tls.certificate` in the daemon's config: one for its name, signed by the CA in --ca-file".to_owned(),
        ),
        Error::AlertReceived(AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure)
            if !has_own =>
        {
            (
                "the daemon asks for a client certificate, and none was shown".to_owned(),
                "give yours: --cert-file FILE --key-file FILE, signed by an authority in the daemon's `tls.client_ca`"
                    .to_owned(),
            )
        }
        Error::AlertReceived(AlertDescription::CertificateExpired) => (
            "the daemon refuses your certificate: it has expired".to_owned(),
            "give a new one: --cert-file FILE --key-file FILE".to_owned(),
        ),
        Error::AlertReceived(alert) if has_own => (
            format!("the daemon refuses your certificate ({alert:?})"),
            "give one that an authority in the daemon's `tls.client_ca` has signed: --cert-file FILE --key-file FILE"
                .to_owned(),
        ),
        other => (
            format!("TLS with the daemon did not come about: {other}"),
            "see the daemon's log, and the files of --ca-file, --cert-file and --key-file".to_owned(),
        ),
    };
    wrong(&format!("{address}: {text}"), &hint)
}

impl Builder {
    /// The name that the daemon's certificate must bear.
    fn name(&self, address: &str) -> String {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        self.server_name.clone().unwrap_or_else(|| host.to_owned())
    }

    /// `None`: it speaks plain text.
    pub(super) fn files(&self) -> Answer<Option<Files>> {
        let Some(ca) = &self.ca else { return Ok(None) };
        let own = match &self.own {
            Some((certificate, key)) => Some((certificates(certificate)?, private_key(key)?)),
            None => None,
        };
        Ok(Some(Files { ca: certificates(ca)?, own }))
    }
}

/// A file with at least one: of none nobody would say more than that the daemon is a stranger.
fn certificates(file: &Path) -> Answer<Vec<u8>> {
    let bytes = read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(bytes),
        _ => Err(wrong(
            &format!("{} holds no certificate", file.display()),
            "give a PEM file, with -----BEGIN CERTIFICATE-----",
        )),
    }
}

fn private_key(file: &Path) -> Answer<Vec<u8>> {
    let bytes = read(file)?;
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(_) => Ok(bytes),
        Err(_) => Err(wrong(
            &format!("{} holds no private key", file.display()),
            "give a PEM file with -----BEGIN PRIVATE KEY-----, not encrypted",
        )),
    }
}
