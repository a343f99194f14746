//! The answer of a call, ended early if its caller may not make it any more.

use super::{Access, guard::Asked};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::sync::watch;
use tonic::{Status, codegen::http::HeaderMap};

/// Whatever is ready is handed on; only an answer that waits (a watch) is looked at again.
pub struct Cut {
    answer: tonic::body::Body,
    forbidden: Pin<Box<dyn Future<Output = Status> + Send>>,
    ended: bool,
}

impl Cut {
    /// `exchanged`: from before the call was judged.
    pub fn new(
        answer: tonic::body::Body,
        mut exchanged: watch::Receiver<u64>,
        access: Arc<Access>,
        asked: Asked,
    ) -> Cut {
        let forbidden = Box::pin(async move {
            loop {
                if exchanged.changed().await.is_err() {
                    return std::future::pending().await; // The daemon ends.
                }
                if let Err(status) = asked.judge(&access) {
                    return status;
                }
            }
        });
        Cut { answer, forbidden, ended: false }
    }
}

impl Body for Cut {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.answer).poll_frame(context) {
            return Poll::Ready(frame);
        }
        let Poll::Ready(status) = self.forbidden.as_mut().poll(context) else { return Poll::Pending };
        self.ended = true;
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.answer.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.answer.size_hint()
    }
}
