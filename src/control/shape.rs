//! Gives the errors that the gRPC library makes by itself the shape that ours have.

use super::{REQUEST_BYTES, convert::explained};
use tonic::{Code, Status, body::Body, codegen::http};

/// Looks at the status of an answer that failed before any of our calls saw it; all others pass as they are.
pub fn uniform(response: http::Response<Body>) -> http::Response<Body> {
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok && status.details().is_empty() => reshaped(&status).into_http(),
        _ => response,
    }
}

fn reshaped(status: &Status) -> Status {
    let text = status.message();
    let (code, reason, text, hint) = match status.code() {
        // "Error, decoded message length too large: …"
        Code::OutOfRange if text.contains("message length too large") => {
            let text = format!("`request`: larger than {} KiB", REQUEST_BYTES >> 10);
            (Code::ResourceExhausted, "REQUEST_TOO_LARGE", text, "send less: fewer globs and labels, or several jobs")
        }
        // "failed to decode Protobuf message: …"
        Code::Internal if text.contains("decode") => {
            let text = format!("the request is no message of this call: {text}");
            (Code::InvalidArgument, "MALFORMED_REQUEST", text, "generate the client from the daemon's own proto")
        }
        Code::Unimplemented => {
            let text = match text {
                "" => "this daemon has no such call".to_owned(),
                text => text.to_owned(),
            };
            (
                Code::Unimplemented,
                "CALL_UNKNOWN",
                text,
                "`grpcurl … list` shows the calls; use a daemon as new as the client",
            )
        }
        code => (code, "REFUSED", text.to_owned(), "the daemon's log may say more"),
    };
    explained(code, reason, &text, hint, &[])
}
