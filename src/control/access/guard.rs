//! Stands before every call: judges it, names its caller, and ends it early if its token is taken away.

use super::{Access, Peer, cut::Cut, seldom::Seldom};
use crate::control::convert;
use futures_util::future::{Either, MapOk, Ready, TryFutureExt, ready};
use secrecy::zeroize::Zeroizing;
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tonic::{
    Status,
    body::Body,
    codegen::http::{Request, Response, header::AUTHORIZATION},
};
use tower::{Layer, Service};

/// One for all services, so that none can be forgotten.
#[derive(Clone)]
pub struct Guard {
    access: Arc<Access>,
    refused: Arc<Seldom>,
}

impl Guard {
    pub fn new(access: Arc<Access>) -> Guard {
        Guard { access, refused: Arc::default() }
    }
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { guard: self.clone(), inner }
    }
}

#[derive(Clone)]
pub struct Guarded<S> {
    guard: Guard,
    inner: S,
}

type Watched = Box<dyn FnOnce(Response<Body>) -> Response<Body> + Send>;

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Response<Body>, S::Error>>, MapOk<S::Future, Watched>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let asked = Asked::of(&request);
        let exchanged = self.guard.access.exchanged.subscribe();
        let caller = match asked.judge(&self.guard.access) {
            Ok(caller) => caller,
            Err(status) => {
                if let Some(more) = self.guard.refused.now() {
                    let (call, peer) = (&asked.path, asked.peer.address.map(tracing::field::display));
                    tracing::warn!(call, peer, more, "a call was refused: {}", status.message());
                }
                return Either::Left(ready(Ok(status.into_http())));
            }
        };
        // Nobody behind this line needs it, so nobody can show it.
        request.headers_mut().remove(AUTHORIZATION);
        request.extensions_mut().insert(caller);
        let access = Arc::clone(&self.guard.access);
        let watched: Watched =
            Box::new(move |response| response.map(|body| Body::new(Cut::new(body, exchanged, access, asked))));
        Either::Right(self.inner.call(request).map_ok(watched))
    }
}

/// What a call showed of itself: enough to judge it again.
pub struct Asked {
    path: String,
    authorization: Vec<Zeroizing<Vec<u8>>>,
    peer: Peer,
}

impl Asked {
    fn of(request: &Request<Body>) -> Asked {
        let headers = request.headers().get_all(AUTHORIZATION).into_iter();
        Asked {
            path: request.uri().path().to_owned(),
            authorization: headers.map(|value| Zeroizing::new(value.as_bytes().to_vec())).collect(),
            peer: request.extensions().get::<Peer>().cloned().unwrap_or_default(),
        }
    }

    pub fn judge(&self, access: &Access) -> Result<super::Caller, Status> {
        let authorization: Vec<&[u8]> = self.authorization.iter().map(|value| value.as_slice()).collect();
        access.judge(&self.path, &authorization, &self.peer).map_err(|refusal| convert::refused(&refusal, &self.path))
    }
}
