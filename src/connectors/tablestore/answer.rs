//! What came back over HTTP, and whether it is whole and the service's. Pure.

use super::{
    failure::{Answer, Cause, Failure},
    messages::error::{Error, TunnelError},
    operation::Operation,
    pack,
    sign::Key,
};
use bytes::Bytes;
use prost::Message;

/// All of it, names in lower case.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// What an answer is held against.
pub(super) struct Checks<'a> {
    pub operation: Operation,
    /// Of the request; `None`: nothing is proven.
    pub key: Option<&'a Key>,
    pub access_key_id: &'a str,
    pub limit: usize,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The message, or what is wrong.
    pub fn read(mut self, checks: &Checks<'_>) -> Answer<Bytes> {
        let request_id = self.header("x-ots-requestid").map(Box::from);
        let fails = |cause| Failure { operation: checks.operation, cause, request_id: request_id.clone() };
        if let Some(to) = self.header("location").filter(|_| (300..400).contains(&self.status)) {
            return Err(fails(Cause::Moved(to.to_owned())));
        }
        self.unpack(checks.limit).map_err(fails)?;
        if !(200..300).contains(&self.status) {
            let mut failure = self.complaint(checks.operation);
            failure.request_id = request_id;
            return Err(failure);
        }
        if let Some(key) = checks.key {
            self.prove(checks, key).map_err(|what| fails(Cause::Spoiled(what)))?;
        }
        Ok(self.body)
    }

    fn unpack(&mut self, limit: usize) -> Result<(), Cause> {
        match self.header("x-ots-response-compress-type") {
            None => return Ok(()),
            Some("deflate") => {}
            Some(other) => return Err(Cause::Spoiled(format!("it is packed as `{other}`"))),
        }
        let length = self.header("x-ots-response-compress-size").and_then(|length| length.parse().ok());
        let length: usize = length.ok_or_else(|| Cause::Spoiled("its length is not told".to_owned()))?;
        if length > limit {
            return Err(Cause::TooLarge { limit });
        }
        self.body = pack::inflate(&self.body, length).map_err(|corrupt| Cause::Spoiled(corrupt.0))?.into();
        Ok(())
    }

    /// The service signs its answers, so one without is not the service's: an empty one would be read as an empty page.
    fn prove(&self, checks: &Checks<'_>, key: &Key) -> Result<(), String> {
        let told = self.header("x-ots-contentmd5").ok_or("it has no sum")?;
        if told != pack::md5(&self.body) {
            return Err("its sum does not fit".to_owned());
        }
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let signed = self.header("authorization").ok_or("it is not signed")?;
        let (id, signature) = signed
            .strip_prefix("OTS ")
            .and_then(|signed| signed.rsplit_once(':'))
            .ok_or("its signature cannot be read")?;
        match id == checks.access_key_id && key.proves(checks.operation.path, &headers, signature) {
            true => Ok(()),
            false => Err("its signature does not fit".to_owned()),
        }
    }

    fn complaint(&self, operation: Operation) -> Failure {
        let error = match operation.is_tunnel() {
            true => TunnelError::decode(self.body.clone()).map(|error| Error {
                code: error.code,
                message: error.message,
                access_denied: None,
            }),
            false => Error::decode(self.body.clone()),
        };
        let is_code = |code: &String| !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match error {
            Ok(error) if error.code.as_ref().is_some_and(is_code) => Failure::told(operation, error),
            _ => Failure::new(operation, Cause::Silent { status: self.status }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            failure::Fate,
            operation::{LIST_TABLE, LIST_TUNNEL},
            sign::{Credentials, Scheme},
        },
        *,
    };

    const DATE: (&str, &str) = ("x-ots-date", "2026-01-02T03:04:06.000000Z");

    fn key() -> Key {
        let credentials = Credentials { id: "ak".into(), secret: "sk".into(), sts_token: None };
        Key::new(&credentials, &Scheme::V2, "20260102")
    }

    fn reply(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Reply { status, headers, body: Bytes::copy_from_slice(body) }
    }

    fn signed(headers: &[(&str, &str)], raw: &[u8], sent: &[u8]) -> Reply {
        let md5 = pack::md5(raw);
        let mut headers = headers.to_vec();
        headers.extend([("x-ots-contentmd5", md5.as_str()), ("x-ots-requestid", "r-1"), DATE]);
        let authorization = format!("OTS ak:{}", key().answer("ListTable", &headers));
        headers.push(("authorization", &authorization));
        reply(200, &headers, sent)
    }

    fn read(reply: Reply) -> Answer<Bytes> {
        let key = key();
        reply.read(&Checks { operation: LIST_TABLE, key: Some(&key), access_key_id: "ak", limit: 1000 })
    }

    #[test]
    fn an_answer_must_prove_itself() {
        assert_eq!(read(signed(&[], b"body", b"body")).unwrap(), &b"body"[..]);
        assert!(read(signed(&[], b"body", b"bodi")).unwrap_err().to_string().contains("sum does not fit"));
        assert!(read(reply(200, &[], b"")).unwrap_err().to_string().contains("no sum"));
        let mut forged = signed(&[], b"body", b"body");
        forged.headers[1].1 = "r-2".into();
        assert!(read(forged).unwrap_err().to_string().contains("signature does not fit"));
        let trusting = Checks { operation: LIST_TABLE, key: None, access_key_id: "ak", limit: 1000 };
        assert!(reply(200, &[], b"").read(&trusting).is_ok());
    }

    #[test]
    fn the_sum_of_a_packed_answer_is_of_what_it_says() {
        let raw = [7; 900];
        let packed = pack::deflate(&raw);
        let head = [("x-ots-response-compress-type", "deflate"), ("x-ots-response-compress-size", "900")];
        assert_eq!(read(signed(&head, &raw, &packed)).unwrap(), &raw[..]);
        assert!(read(signed(&head, &packed, &packed)).is_err());
        let large = [("x-ots-response-compress-type", "deflate"), ("x-ots-response-compress-size", "1001")];
        let failure = read(signed(&large, &raw, &packed)).unwrap_err();
        assert!(matches!(failure.cause, Cause::TooLarge { limit: 1000 }));
        assert!(read(signed(&head[..1], &raw, &packed)).is_err());
    }

    #[test]
    fn complaints_are_read_with_or_without_words() {
        let error = Error { code: Some("OTSServerBusy".into()), message: Some("busy".into()), access_denied: None };
        let failure = read(reply(503, &[("x-ots-requestid", "r-1")], &error.encode_to_vec())).unwrap_err();
        assert_eq!((failure.code(), failure.request_id.as_deref()), (Some("OTSServerBusy"), Some("r-1")));
        for (status, body, fate) in
            [(503, &b""[..], Fate::Unknown), (502, b"<html>", Fate::Unknown), (404, b"<html>", Fate::Refused)]
        {
            let failure = read(reply(status, &[], body)).unwrap_err();
            assert_eq!((failure.code(), failure.fate()), (None, fate));
        }
        let moved = read(reply(301, &[("location", "https://b")], b"")).unwrap_err();
        assert!(moved.at("x").hint_text().is_some_and(|hint| hint.contains("https://b")));
    }

    #[test]
    fn a_tunnels_complaint_may_name_the_tunnel() {
        let error =
            TunnelError { code: Some("OTSParameterInvalid".into()), message: None, tunnel_id: Some("t-1".into()) };
        let checks = Checks { operation: LIST_TUNNEL, key: None, access_key_id: "ak", limit: 1000 };
        let failure = reply(400, &[], &error.encode_to_vec()).read(&checks).unwrap_err();
        assert_eq!(failure.code(), Some("OTSParameterInvalid"));
    }
}
