//! Certificates made for one test.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

/// Far enough away.
pub const GOOD: i32 = 2999;
/// Long over.
pub const EXPIRED: i32 = 2001;

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// As PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = params(name, GOOD);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("random");
        Authority { issuer: CertifiedIssuer::self_signed(params, key).expect("good parameters") }
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// For the daemon and for clients, until the end of a year.
    pub fn issue(&self, name: &str, until_year: i32) -> Pair {
        let key = KeyPair::generate().expect("random");
        let certificate = params(name, until_year).signed_by(&key, &self.issuer).expect("good parameters");
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

fn params(name: &str, until_year: i32) -> CertificateParams {
    let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("good names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(until_year, 12, 31);
    params
}
