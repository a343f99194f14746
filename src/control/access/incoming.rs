//! Connections to the control API: plain or TLS, by what holds when they come; half-open ones are bounded.

use super::{Access, Peer, certificates::subject, seldom::Seldom};
use rustls::ServerConfig;
use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::{AbortHandle, JoinSet},
    time::{Sleep, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

/// All clients together; a connection carries many calls. More than this are turned away: of the 1024 files that a
/// process may usually open, the stores need some.
const CONNECTIONS: usize = 512;
/// A round trip or two around the world, on a bad day.
const SPEAKS_WITHIN: Duration = Duration::from_secs(10);
/// For a client to read why it was refused.
const HEARS_WITHIN: Duration = Duration::from_secs(1);
/// In the TLS handshake at once. One more, and the oldest has to go: whoever means it is done in milliseconds.
const HANDSHAKES: usize = 64;
/// What a client of HTTP/2 says first: the preface and the head of its settings.
const FIRST_WORDS: usize = 24 + 9;
/// Out of file descriptors, most likely: some will be free soon.
const AFTER_A_FAILURE: Duration = Duration::from_millis(100);

/// Ends with `stop`, and closes the port then.
pub fn incoming(
    listener: TcpListener,
    access: Arc<Access>,
    stop: CancellationToken,
) -> ReceiverStream<io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(1);
    let door = Door { access, slots: Arc::new(Semaphore::new(CONNECTIONS)), log: Arc::default() };
    tokio::spawn(async move {
        tokio::select! {
            () = door.open(&listener, sender) => {}
            () = stop.cancelled() => {}
        }
    });
    ReceiverStream::new(receiver)
}

struct Door {
    access: Arc<Access>,
    slots: Arc<Semaphore>,
    log: Arc<Seldom>,
}

impl Door {
    async fn open(&self, listener: &TcpListener, ready: mpsc::Sender<io::Result<Connection>>) {
        // Dropped with this: what is half-open then is closed.
        let (mut shaking, mut oldest) = (JoinSet::new(), VecDeque::<AbortHandle>::new());
        loop {
            let connection = tokio::select! {
                Some(shaken) = shaking.join_next(), if !shaking.is_empty() => shaken.ok().flatten(),
                accepted = listener.accept() => match self.accepted(accepted).await {
                    Some((stream, address, slot)) => match self.access.tls() {
                        None => Some(Connection::plain(stream, address, slot)),
                        Some(config) => {
                            oldest.retain(|handshake| !handshake.is_finished());
                            if oldest.len() >= HANDSHAKES {
                                oldest.pop_front().expect("not empty").abort();
                            }
                            let log = Arc::clone(&self.log);
                            oldest.push_back(shaking.spawn(shake(config, stream, address, slot, log)));
                            None
                        }
                    },
                    None => None,
                },
            };
            if let Some(connection) = connection
                && ready.send(Ok(connection)).await.is_err()
            {
                return;
            }
        }
    }

    async fn accepted(
        &self,
        accepted: io::Result<(TcpStream, SocketAddr)>,
    ) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        match accepted {
            Ok((stream, address)) => {
                let slot = Arc::clone(&self.slots).try_acquire_owned();
                if slot.is_err()
                    && let Some(more) = self.log.now()
                {
                    tracing::warn!(peer = %address, more, "a connection was turned away: there are {CONNECTIONS}");
                }
                // Small messages, both ways; a connection that cannot be set is broken, and says so when it is read.
                let _ = stream.set_nodelay(true);
                slot.ok().map(|slot| (stream, address, slot))
            }
            Err(error) => {
                if let Some(more) = self.log.now() {
                    tracing::warn!(more, "a connection could not be accepted: {error}");
                }
                sleep(AFTER_A_FAILURE).await;
                None
            }
        }
    }
}

async fn shake(
    config: Arc<ServerConfig>,
    stream: TcpStream,
    address: SocketAddr,
    slot: OwnedSemaphorePermit,
    log: Arc<Seldom>,
) -> Option<Connection> {
    let accepted = TlsAcceptor::from(config).accept(stream).into_fallible();
    let (failed, rest) = match timeout(SPEAKS_WITHIN, accepted).await {
        Ok(Ok(stream)) => {
            let certificates = stream.get_ref().1.peer_certificates();
            let certificate = certificates.and_then(<[_]>::first).map(|shown| subject(shown).into());
            let peer = Peer { address: Some(address), certificate };
            return Some(Connection::new(Box::new(stream), peer, slot));
        }
        Ok(Err((error, rest))) if spoke_plain_text(&error) => {
            ("it spoke plain text, and this port speaks TLS".to_owned(), Some(rest))
        }
        Ok(Err((error, rest))) => (error.to_string(), Some(rest)),
        Err(_) => (format!("it said nothing for {} s", SPEAKS_WITHIN.as_secs()), None),
    };
    if let Some(more) = log.now() {
        tracing::warn!(peer = %address, more, "a client could not connect: {failed}");
    }
    if let Some(rest) = rest {
        // Too late or not: there is nobody left to tell.
        let _ = timeout(HEARS_WITHIN, hear_out(rest)).await;
    }
    None
}

/// Closed with its words unread, a connection is reset, and the client never reads why (an expired certificate).
async fn hear_out(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut words = [0; 4096];
    while stream.read(&mut words).await? > 0 {}
    Ok(())
}

fn spoke_plain_text(error: &io::Error) -> bool {
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(tls, Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)))
}

trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// A client's connection, ready for HTTP/2.
pub struct Connection {
    bytes: Box<dyn Bytes>,
    peer: Peer,
    /// Until it has spoken: how much it still has to say, and until when.
    silent: Option<(usize, Pin<Box<Sleep>>)>,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    fn plain(stream: TcpStream, address: SocketAddr, slot: OwnedSemaphorePermit) -> Connection {
        Connection::new(Box::new(stream), Peer { address: Some(address), certificate: None }, slot)
    }

    fn new(bytes: Box<dyn Bytes>, peer: Peer, slot: OwnedSemaphorePermit) -> Connection {
        Connection { bytes, peer, silent: Some((FIRST_WORDS, Box::pin(sleep(SPEAKS_WITHIN)))), _slot: slot }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.bytes).poll_read(context, buffer);
        let said = buffer.filled().len() - before;
        let Some((left, mut until)) = self.silent.take().filter(|(left, _)| said < *left) else { return read };
        // Polled also when something was said: it wakes us when its time is over.
        let is_over = until.as_mut().poll(context).is_ready();
        self.silent = Some((left - said, until));
        if is_over && read.is_pending() { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { read }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.bytes).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.bytes).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.bytes.is_write_vectored()
    }
}
