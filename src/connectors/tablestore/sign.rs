//! Signatures of requests and answers, versions 2 and 4. Pure.
//!
//! Every header whose name starts with `x-ots-` is signed, so that nothing between the two can change one.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use secrecy::{ExposeSecret, SecretString};

const PREFIX: &str = "x-ots-";
pub(super) const V2: &str = "x-ots-signature";
pub(super) const V4: &str = "x-ots-signaturev4";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// HMAC-SHA1 with the secret itself.
    V2,
    /// HMAC-SHA256 with a key that is made from the secret for a day and a region.
    V4 { region: String },
}

/// Who we are to the service.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    pub id: String,
    pub secret: SecretString,
    /// Of credentials that end.
    pub sts_token: Option<SecretString>,
}

/// What signs a request, and proves its answer.
pub(super) struct Key {
    request: hmac::Key,
    answer: hmac::Key,
    is_v4: bool,
}

impl Key {
    /// `day` is the `YYYYMMDD` of header `x-ots-signdate`, in UTC.
    pub fn new(credentials: &Credentials, scheme: &Scheme, day: &str) -> Key {
        let secret = credentials.secret.expose_secret();
        match scheme {
            Scheme::V2 => {
                let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
                Key { request: key.clone(), answer: key, is_v4: false }
            }
            Scheme::V4 { region } => {
                let key = signing_key(secret, region, day);
                Key {
                    request: hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()),
                    answer: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes()),
                    is_v4: true,
                }
            }
        }
    }

    /// The header to add. `path` is `ListTable` or `tunnel/list`.
    pub fn request(&self, path: &str, headers: &[(&str, &str)]) -> (&'static str, String) {
        let mut text = format!("/{path}\nPOST\n\n{}", canonical(headers));
        if self.is_v4 {
            text.push_str("ots");
        }
        let signature = BASE64.encode(hmac::sign(&self.request, text.as_bytes()));
        (if self.is_v4 { V4 } else { V2 }, signature)
    }

    /// Whether the answer is the service's, who alone knows our secret besides us.
    pub fn proves(&self, path: &str, headers: &[(&str, &str)], signature: &str) -> bool {
        let text = format!("{}/{path}", canonical(headers));
        BASE64.decode(signature).is_ok_and(|signature| hmac::verify(&self.answer, text.as_bytes(), &signature).is_ok())
    }

    #[cfg(test)]
    pub fn answer(&self, path: &str, headers: &[(&str, &str)]) -> String {
        BASE64.encode(hmac::sign(&self.answer, format!("{}/{path}", canonical(headers)).as_bytes()))
    }
}

/// The text, not its bytes, is the key.
fn signing_key(secret: &str, region: &str, day: &str) -> String {
    let step = |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
    let key = step(format!("aliyun_v4{secret}").as_bytes(), day);
    let key = step(key.as_ref(), region);
    let key = step(key.as_ref(), "ots");
    BASE64.encode(step(key.as_ref(), "aliyun_v4_request"))
}

/// Names in lower case.
fn canonical(headers: &[(&str, &str)]) -> String {
    let mut signed: Vec<&(&str, &str)> =
        headers.iter().filter(|(name, _)| name.starts_with(PREFIX) && *name != V2 && *name != V4).collect();
    signed.sort_unstable();
    signed.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: [(&str, &str); 5] = [
        ("x-ots-instancename", "inst"),
        ("x-ots-accesskeyid", "testAk"),
        ("x-ots-apiversion", "2015-12-31"),
        ("x-ots-contentmd5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
        ("x-ots-date", "2026-01-02T03:04:05.000Z"),
    ];
    const ANSWER: [(&str, &str); 4] = [
        ("x-ots-contentmd5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
        ("x-ots-contenttype", "protocol buffer"),
        ("x-ots-date", "2026-01-02T03:04:06.000000Z"),
        ("x-ots-requestid", "0005a0b0-0000-0000-0000-000000000001"),
    ];

    fn credentials() -> Credentials {
        Credentials { id: "testAk".into(), secret: "testSecret".into(), sts_token: None }
    }

    #[test]
    fn version_2_signs_as_the_official_signer() {
        let key = Key::new(&credentials(), &Scheme::V2, "20260102");
        assert_eq!(key.request("ListTable", &REQUEST), (V2, "z+2+5A0ailVRflwAJSfJ5SrPE8I=".to_owned()));
        assert_eq!(key.answer("ListTable", &ANSWER), "hd2aJ3e1rPftpXN8uevfwpQuucI=");
        assert!(key.proves("ListTable", &ANSWER, "hd2aJ3e1rPftpXN8uevfwpQuucI="));
        assert!(!key.proves("ListTable", &ANSWER[1..], "hd2aJ3e1rPftpXN8uevfwpQuucI="));
        assert!(!key.proves("GetRow", &ANSWER, "hd2aJ3e1rPftpXN8uevfwpQuucI="));
        assert!(!key.proves("ListTable", &ANSWER, "no base64!"));
    }

    #[test]
    fn version_4_signs_as_the_official_signer() {
        let scheme = Scheme::V4 { region: "cn-hangzhou".into() };
        let key = Key::new(&credentials(), &scheme, "20260102");
        let mut headers = REQUEST.to_vec();
        headers.extend([("x-ots-signdate", "20260102"), ("x-ots-signregion", "cn-hangzhou")]);
        let made = signing_key("testSecret", "cn-hangzhou", "20260102");
        assert_eq!(made, "7wLOEPuesciGDGEbKGwck5TcO+aq2aro3brhsQUfz+o=");
        assert_eq!(key.request("ListTable", &headers).1, "B2OHYsvPOerUKQbAcjy2spKgWXucnq505ii5DUgyvfg=");
        assert_eq!(key.answer("ListTable", &ANSWER), "p9WE3h1d4u1guumohgpKcxCQFQY=");
    }
}
