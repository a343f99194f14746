//! Bounds what strangers can hold: so many connections, none that stays silent, and always room for one more.

use axum::serve::Listener;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};

/// Browsers, a scraper or two, probes. One more, and the one that has been silent longest has to go: a probe that is not
/// answered would have the daemon killed.
const MOST: usize = 64;
/// Above the pause between two scrapes, and what a person may leave a request unfinished or an answer unread.
const SILENCE: Duration = Duration::from_secs(75);

pub struct Connections {
    listener: TcpListener,
    free: Arc<Semaphore>,
    open: Vec<Weak<Place>>,
}

impl Connections {
    pub fn new(listener: TcpListener) -> Connections {
        Connections { listener, free: Arc::new(Semaphore::new(MOST)), open: Vec::new() }
    }

    async fn slot(&mut self) -> OwnedSemaphorePermit {
        self.open.retain(|place| place.strong_count() > 0);
        if let Ok(slot) = Arc::clone(&self.free).try_acquire_owned() {
            return slot;
        }
        if let Some(place) = self.open.iter().filter_map(Weak::upgrade).min_by_key(|place| *place.moved.lock()) {
            place.gone.store(true, Ordering::Release);
            place.waker.wake();
        }
        // Its task ends when it is woken; or another one has ended by itself meanwhile.
        Arc::clone(&self.free).acquire_owned().await.expect("never closed")
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // axum's own `accept` waits where descriptors have run out.
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let slot = self.slot().await;
        let connection = Connection::new(stream, slot);
        self.open.push(Arc::downgrade(&connection.place));
        (connection, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// What the listener knows of a connection.
struct Place {
    /// When a byte last went through, in or out.
    moved: Mutex<Instant>,
    gone: AtomicBool,
    /// One task has both halves.
    waker: AtomicWaker,
}

pub struct Connection {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    place: Arc<Place>,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    fn new(stream: TcpStream, slot: OwnedSemaphorePermit) -> Connection {
        let place =
            Place { moved: Mutex::new(Instant::now()), gone: AtomicBool::new(false), waker: AtomicWaker::new() };
        Connection { stream, silence: Box::pin(tokio::time::sleep(SILENCE)), place: Arc::new(place), _slot: slot }
    }

    /// What came of reading or writing, unless it is over: whoever reads nothing of an answer is as silent as whoever says
    /// nothing.
    fn watched<T>(&mut self, cx: &mut Context<'_>, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            let now = Instant::now();
            *self.place.moved.lock() = now;
            self.silence.as_mut().reset(now + SILENCE);
            return moved;
        }
        self.place.waker.register(cx.waker());
        if self.place.gone.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        self.silence.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.watched(cx, read)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watched(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watched(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::timeout,
    };

    /// More than the buffers of the two sockets.
    static ANSWER: [u8; 64 << 20] = [0; 64 << 20];

    async fn pair() -> (Connections, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("it listens");
        (Connections::new(listener), client)
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_is_silent() {
        let (mut connections, _client) = pair().await;
        let (mut connection, _) = connections.accept().await;
        let written = timeout(SILENCE * 2, connection.write_all(&ANSWER)).await.expect("it ends by itself");
        assert_eq!(written.expect_err("nobody read").kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_has_been_silent_longest_makes_room() {
        let (mut connections, _client) = pair().await;
        let (mut kept, mut clients) = (Vec::new(), Vec::new());
        for _ in 0..MOST {
            kept.push(connections.accept().await.0);
            clients.push(TcpStream::connect(connections.local_addr().expect("bound")).await.expect("it listens"));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        // The first one has heard something since.
        kept[0].write_all(b"x").await.expect("it goes out");
        let mut second = kept.remove(1);
        let waits = tokio::spawn(async move { second.read_u8().await });
        timeout(SILENCE / 2, connections.accept()).await.expect("there is room");
        let ended = waits.await.expect("no panic").expect_err("nothing was said");
        assert_eq!(ended.kind(), io::ErrorKind::ConnectionAborted);
        assert!(kept.iter().all(|one| !one.place.gone.load(Ordering::Acquire)));
    }
}
