//! The daemon's certificate, its key and the authorities of its clients: from PEM files to what TLS needs.

use crate::{
    config::{TlsConfig, private_file},
    error::{Error, Result},
};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use secrecy::zeroize::Zeroizing;
use std::{path::Path, sync::Arc, time::SystemTime};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

/// Soon enough that somebody has time to renew it.
const SOON_S: i64 = 14 * 86_400;
/// Of a subject in the audit trail.
const SUBJECT_CHARS: usize = 200;

/// What TLS needs, and the bytes it came from.
pub struct Certificates {
    pub config: Arc<ServerConfig>,
    /// The end of the certificate's time.
    until: ASN1Time,
    files: Vec<Zeroizing<Vec<u8>>>,
}

impl Certificates {
    /// `None`: plain text.
    pub fn read(tls: &TlsConfig) -> Result<Option<Certificates>> {
        if tls.certificate.as_os_str().is_empty() {
            return Ok(None);
        }
        let chain_bytes = file("tls.certificate", &tls.certificate)?;
        let key_bytes = file("tls.key", &tls.key)?;
        let chain = chain("tls.certificate", &tls.certificate, &chain_bytes)?;
        let key = PrivateKeyDer::from_pem_slice(&key_bytes).map_err(|error| {
            wrong("tls.key", &tls.key, "holds no private key").because(error).hint(
                "a PEM file with -----BEGIN PRIVATE KEY-----, not encrypted; the file's rights protect it: chmod 600",
            )
        })?;
        let (_, own) = X509Certificate::from_der(&chain[0]).map_err(|error| {
            wrong("tls.certificate", &tls.certificate, "holds a certificate that cannot be read")
                .because(error)
                .hint("the first certificate in it is the daemon's own")
        })?;
        let until = own.validity().not_after;
        let mut files = vec![chain_bytes, key_bytes];
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.2 and 1.3");
        let builder = if tls.client_ca.as_os_str().is_empty() {
            builder.with_no_client_auth()
        } else {
            let bytes = file("tls.client_ca", &tls.client_ca)?;
            let unusable = |error: rustls::Error| wrong("tls.client_ca", &tls.client_ca, "is unusable").because(error);
            let mut roots = RootCertStore::empty();
            for authority in self::chain("tls.client_ca", &tls.client_ca, &bytes)? {
                roots.add(authority).map_err(|error| unusable(error).hint("it holds the authorities' certificates"))?;
            }
            files.push(bytes);
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            let verifier = verifier.map_err(|error| {
                wrong("tls.client_ca", &tls.client_ca, "is unusable")
                    .because(error)
                    .hint("it holds one or more authorities")
            })?;
            builder.with_client_cert_verifier(verifier)
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            wrong("tls.key", &tls.key, "does not go with the certificate")
                .because(error)
                .hint(format!("take the key that {} was made with", tls.certificate.display()))
        })?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Some(Certificates { config: Arc::new(config), until, files }))
    }

    pub fn until(&self) -> String {
        self.until.to_string()
    }

    /// Below zero: it has expired.
    pub fn left_s(&self) -> i64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.until.timestamp().saturating_sub(i64::try_from(now).unwrap_or(i64::MAX))
    }

    /// Says in the log if that has passed, or is near. Not an error: replication goes on without its control API.
    pub fn warn(&self) {
        let left_s = self.left_s();
        if left_s < 0 {
            tracing::error!(
                until = self.until(),
                hint = RENEW,
                "the daemon's certificate has expired: clients refuse it"
            );
        } else if left_s < SOON_S {
            tracing::warn!(until = self.until(), hint = RENEW, "the daemon's certificate expires soon");
        }
    }

    pub fn is_same(&self, other: &Certificates) -> bool {
        self.files == other.files
    }
}

/// The subject of a client's certificate, for the audit trail.
pub fn subject(certificate: &CertificateDer<'_>) -> String {
    let subject = X509Certificate::from_der(certificate).map(|(_, certificate)| certificate.subject().to_string());
    let subject = subject.ok().filter(|subject| !subject.is_empty()).unwrap_or_else(|| "without a subject".into());
    subject.chars().take(SUBJECT_CHARS).collect()
}

fn file(key: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    private_file::read(path).map_err(|error| {
        wrong(key, path, "cannot be read").because(error).hint(format!("let the daemon's user read {}", path.display()))
    })
}

fn chain(key: &str, path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let hint = "a PEM file: -----BEGIN CERTIFICATE----- and so on";
    let chain = read.map_err(|error| wrong(key, path, "holds no certificate").because(error).hint(hint))?;
    if chain.is_empty() {
        return Err(wrong(key, path, "holds no certificate").hint(hint));
    }
    Ok(chain)
}

const RENEW: &str = "replace the files of `tls.certificate` and `tls.key`; no restart is needed";

fn wrong(key: &str, path: &Path, text: &str) -> Error {
    Error::config(format!("`{key}`: {} {text}", path.display()))
}
