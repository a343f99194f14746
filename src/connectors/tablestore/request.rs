//! The headers of a request, signed. Pure: the clock is told.

use super::{
    pack,
    sign::{Credentials, Key, Scheme},
};
use bytes::Bytes;
use jiff::Timestamp;

const API_VERSION: &str = "2015-12-31";

/// Below, packing saves nothing.
const WORTH_PACKING: usize = 1 << 10;

/// Who asks, and how.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub instance: String,
    pub credentials: Credentials,
    pub scheme: Scheme,
    pub compresses: bool,
}

/// Ready to be sent, once: it holds the time.
pub(super) struct Request {
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
    /// Of its answer.
    pub key: Key,
}

impl Asker {
    pub fn request(&self, path: &str, raw: &Bytes, now: Timestamp) -> Request {
        let mut headers = vec![
            ("x-ots-apiversion", API_VERSION.to_owned()),
            ("x-ots-accesskeyid", self.credentials.id.clone()),
            ("x-ots-instancename", self.instance.clone()),
            ("x-ots-date", now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()),
        ];
        if let Some(token) = &self.credentials.sts_token {
            use secrecy::ExposeSecret;
            headers.push(("x-ots-ststoken", token.expose_secret().to_owned()));
        }
        let mut body = raw.clone();
        if self.compresses {
            headers.push(("x-ots-response-compress-type", "deflate".to_owned()));
            if raw.len() >= WORTH_PACKING {
                headers.push(("x-ots-request-compress-type", "deflate".to_owned()));
                headers.push(("x-ots-request-compress-size", raw.len().to_string()));
                body = pack::deflate(raw).into();
            }
        }
        // Of what is sent; an answer's sum is of what it says, packed or not.
        headers.push(("x-ots-contentmd5", pack::md5(&body)));
        let day = now.strftime("%Y%m%d").to_string();
        if let Scheme::V4 { region } = &self.scheme {
            headers.push(("x-ots-signdate", day.clone()));
            headers.push(("x-ots-signregion", region.clone()));
        }
        let key = Key::new(&self.credentials, &self.scheme, &day);
        let signed: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let signature = key.request(path, &signed);
        headers.push(signature);
        Request { headers, body, key }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(scheme: Scheme, compresses: bool) -> Asker {
        let credentials = Credentials { id: "testAk".into(), secret: "testSecret".into(), sts_token: None };
        Asker { instance: "inst".into(), credentials, scheme, compresses }
    }

    fn value<'r>(request: &'r Request, name: &str) -> Option<&'r str> {
        request.headers.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn a_request_is_the_official_signers() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let request = asker(Scheme::V2, false).request("ListTable", &Bytes::new(), now);
        assert_eq!(value(&request, "x-ots-date"), Some("2026-01-02T03:04:05.000Z"));
        assert_eq!(value(&request, "x-ots-signature"), Some("z+2+5A0ailVRflwAJSfJ5SrPE8I="));
        let v4 = Scheme::V4 { region: "cn-hangzhou".into() };
        let request = asker(v4, false).request("ListTable", &Bytes::new(), now);
        assert_eq!(value(&request, "x-ots-signaturev4"), Some("B2OHYsvPOerUKQbAcjy2spKgWXucnq505ii5DUgyvfg="));
    }

    #[test]
    fn a_packed_body_has_the_sum_of_what_is_sent() {
        let raw = Bytes::from(vec![7; 5000]);
        let request = asker(Scheme::V2, true).request("PutRow", &raw, Timestamp::UNIX_EPOCH);
        assert_eq!(value(&request, "x-ots-request-compress-size"), Some("5000"));
        assert_eq!(value(&request, "x-ots-contentmd5"), Some(pack::md5(&request.body).as_str()));
        assert_eq!(pack::inflate(&request.body, 5000).unwrap(), raw);
        let small = asker(Scheme::V2, true).request("PutRow", &Bytes::from_static(b"x"), Timestamp::UNIX_EPOCH);
        assert_eq!((value(&small, "x-ots-request-compress-type"), &small.body[..]), (None, &b"x"[..]));
    }
}
