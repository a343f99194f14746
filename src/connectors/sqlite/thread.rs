//! A thread that owns a connection: SQLite's calls block, so they never run on tokio's own threads.

use crate::error::{Error, Result};
use tokio::sync::{mpsc, oneshot};

/// Requests that wait for the thread; a caller beyond that waits too.
const QUEUE: usize = 16;

type Request<T> = Box<dyn FnOnce(&mut T) + Send>;

/// A handle to the thread; it ends, and closes what it owns, when the handle is dropped.
pub(super) struct Thread<T> {
    requests: mpsc::Sender<Request<T>>,
}

impl<T: 'static> Thread<T> {
    /// Starts it. `make` runs on the thread, since connections do not move between threads.
    pub fn start(name: &str, make: impl FnOnce() -> T + Send + 'static) -> Thread<T> {
        let (requests, mut queue) = mpsc::channel::<Request<T>>(QUEUE);
        let run = move || {
            let mut owned = make();
            while let Some(request) = queue.blocking_recv() {
                request(&mut owned);
            }
        };
        let started = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        if let Err(error) = started {
            tracing::error!(%error, "cannot start a thread for SQLite");
        }
        Thread { requests }
    }

    /// Runs `request` on the thread after all that were asked before. If the future is dropped it still runs.
    pub async fn ask<R: Send + 'static>(
        &self,
        request: impl FnOnce(&mut T) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        self.begin(request).await?.await.map_err(|_| gone())?
    }

    /// As `ask`, but the answer is left in a receiver that may be kept.
    pub async fn begin<R: Send + 'static>(
        &self,
        request: impl FnOnce(&mut T) -> Result<R> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<R>>> {
        let (answer, receiver) = oneshot::channel();
        // What the thread logs belongs to whoever asked.
        let span = tracing::Span::current();
        let request: Request<T> = Box::new(move |owned| drop(answer.send(span.in_scope(|| request(owned)))));
        self.requests.send(request).await.map_err(|_| gone())?;
        Ok(receiver)
    }
}

/// The thread has ended by a panic, or never started.
pub(super) fn gone() -> Error {
    Error::transient("the connection's thread has ended").hint("see the daemon's log for its last words")
}
