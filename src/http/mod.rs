//! The HTTP port for those who look on: metrics, health, a status page. It reads and never changes anything.

mod connections;
mod guard;
mod kept;
mod metrics;
mod samples;
mod status;

use self::{connections::Connections, kept::Kept, samples::Samples};
use crate::{
    error::{Error, Result},
    supervisor::Supervisor,
    telemetry::turns::Late,
};
use axum::{
    Router,
    extract::{Query, State},
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use parking_lot::Mutex;
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Answers under way may end; then they are cut off.
const STOPS_WITHIN: Duration = Duration::from_millis(500);

/// What the port shows. There from the first moment, so that a start that takes long can be watched as well.
#[derive(Clone)]
pub struct Window(Arc<Seen>);

struct Seen {
    supervisor: OnceLock<Arc<Supervisor>>,
    /// Where the control API listens.
    api: OnceLock<SocketAddr>,
    samples: Mutex<Samples>,
    overview: Kept,
    metrics: Kept,
    state_folder: PathBuf,
}

impl Window {
    pub fn new(state_folder: PathBuf) -> Window {
        let (samples, overview, metrics) = (Mutex::default(), Kept::default(), Kept::default());
        let (supervisor, api) = (OnceLock::new(), OnceLock::new());
        Window(Arc::new(Seen { supervisor, api, samples, overview, metrics, state_folder }))
    }

    /// From now on the daemon is ready: state is open, and the control API listens.
    pub fn open(&self, supervisor: Arc<Supervisor>, api: SocketAddr) {
        // A second one would change nothing of what is shown.
        let _ = (self.0.api.set(api), self.0.supervisor.set(supervisor));
    }

    fn supervisor(&self) -> Option<&Arc<Supervisor>> {
        self.0.supervisor.get()
    }

    /// `Err`: why not.
    fn ready(&self) -> Result<(), String> {
        let Some(supervisor) = self.supervisor() else {
            return Err("it is starting: the state is being opened".into());
        };
        supervisor.trouble().map_or(Ok(()), Err)
    }
}

/// The address it really listens on: port 0 takes a free one.
pub async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let fail = |error: std::io::Error| {
        Error::config(format!("no metrics and no status page: cannot listen on {address}"))
            .because(error)
            .hint("is another daemon running? set `http.listen` to a free port, or to \"off\"")
    };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let bound = listener.local_addr().map_err(fail)?;
    Ok((listener, bound))
}

/// Answers, and takes samples for the page's graphs, until `stop`.
pub async fn serve(listener: TcpListener, window: Window, stop: CancellationToken) {
    let is_local = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let served = axum::serve(Connections::new(listener), router(window.clone(), is_local))
        .with_graceful_shutdown(stop.clone().cancelled_owned());
    let cut_off = async {
        stop.cancelled().await;
        tokio::time::sleep(STOPS_WITHIN).await;
    };
    tokio::select! {
        // It only ends by `stop`: errors of `accept` are waited out.
        _ = served.into_future() => {}
        never = samples::take(&window) => match never {},
        () = cut_off => {}
    }
}

fn router(window: Window, is_local: bool) -> Router {
    let page = |kind: &'static str, text: &'static str| get(async move || ([(header::CONTENT_TYPE, kind)], text));
    Router::new()
        .route("/", page("text/html; charset=utf-8", include_str!("page/index.html")))
        .route("/page.css", page("text/css; charset=utf-8", include_str!("page/page.css")))
        .route("/page.js", page("text/javascript; charset=utf-8", include_str!("page/page.js")))
        .route("/status.json", get(show))
        .route("/metrics", get(scrape))
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .fallback(async || (StatusCode::NOT_FOUND, "there are /, /metrics, /healthz, /readyz and /status.json\n"))
        .with_state(window)
        .layer(middleware::from_fn(move |request, next| guard::guard(is_local, request, next)))
}

async fn show(State(window): State<Window>, Query(asked): Query<status::Asked>) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    let Some(name) = asked.job else {
        let all = window.clone();
        return (json, window.0.overview.get(move || status::overview(&all)).await).into_response();
    };
    match status::job(&window, &name) {
        Some(text) => (json, text).into_response(),
        None => (StatusCode::NOT_FOUND, json, "{\"error\":\"no such job\"}").into_response(),
    }
}

async fn scrape(State(window): State<Window>) -> Response {
    let all = window.clone();
    let text = window.0.metrics.get(move || metrics::text(&all)).await;
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

/// Whether a new process would help: a store that stalls is none of it.
async fn alive(State(window): State<Window>) -> Response {
    let Some(vitals) = window.supervisor().map(|supervisor| supervisor.vitals()) else {
        return health(None, &[]).into_response();
    };
    health(vitals.flushes.and_then(|flushes| flushes.failure()), &vitals.late).into_response()
}

/// `state`: why nothing can be saved any more.
fn health(state: Option<String>, late: &[Late]) -> (StatusCode, String) {
    let late = late.iter().map(|late| format!("{} has not turned for {} s\n", late.task, late.since.as_secs()));
    let lines: String = state.map(|why| format!("{why}\n")).into_iter().chain(late).collect();
    match lines.is_empty() {
        true => (StatusCode::OK, "ok\n".to_owned()),
        false => (StatusCode::SERVICE_UNAVAILABLE, lines),
    }
}

async fn ready(State(window): State<Window>) -> Response {
    match window.ready() {
        Ok(()) => "ready\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_does_not_turn_is_named() {
        assert_eq!(health(None, &[]), (StatusCode::OK, "ok\n".to_owned()));
        let late = Late { task: "job orders".to_owned(), since: Duration::from_secs(45) };
        let (code, text) = health(None, &[late]);
        assert_eq!((code, text.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "job orders has not turned for 45 s\n"));
    }
}
