//! Streams. Each begins with a greeting (see [`super::hello`]); the first byte of the first frame after that says what the
//! stream is for.
//!
//! One for a request carries that and its response, and is closed: a connection per request costs two round trips, and
//! buys that nothing is kept: no pool, no half-open peer, no order between requests. They are rare (joins, repairs,
//! large records). One for blobs stays open for as long as there is something to fetch: it is handed on, and does not
//! count as one of those. And probes only connect.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::counters::{Counters, Dropped};
use super::envelope::EnvelopeError;
use super::frame::{Codec, FrameError, StreamSeal};
use super::frames::{Frames, Opened};
use super::gate::Gate;
use super::hello::{With, greet, welcome};
use super::key::KeyId;
use super::stranger::Side;
use super::udp::reason;
use crate::places::Places;
use crate::ring::{ProbeOutcome, StreamError};

/// How long a stream may take, from connect to the last byte. A page of records takes milliseconds; a peer that needs
/// longer than this is stuck, and another one will do.
pub const STREAM_DEADLINE: Duration = Duration::from_secs(5);
/// How many inbound streams are served at once. Each may hold one frame.
pub const STREAMS_MAX: usize = 64;
/// How many of them may be of one peer: nobody can shut the others out.
pub const STREAMS_PER_PEER_MAX: usize = 8;
/// How long to wait before the next accept after one failed (too many open files, mostly).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What a stream is for: the first byte of its first frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Purpose {
    /// One request, which follows, and its response.
    Request = 0,
    /// Pieces of blobs, as the frames that follow ask for them.
    Blobs = 1,
    /// One request about the keys of the ring, and its response.
    Keys = 2,
}

/// Splits what a stream is for from what follows. None: it is for something that this node does not know.
fn purpose(frame: &Bytes) -> Option<(Purpose, Bytes)> {
    let purpose = match frame.first() {
        Some(0) => Purpose::Request,
        Some(1) => Purpose::Blobs,
        Some(2) => Purpose::Keys,
        Some(_) | None => return None,
    };
    Some((purpose, frame.slice(1..)))
}

/// A request that came in over a stream.
#[derive(Debug)]
pub struct Inbound {
    /// Who sent it, as the socket saw it.
    pub from: SocketAddr,
    /// How it was sealed.
    pub seal: StreamSeal,
    /// The request.
    pub request: Bytes,
    /// Where the response goes. Dropped: the stream is closed without one.
    pub reply: oneshot::Sender<Bytes>,
}

/// Where inbound streams go.
#[derive(Debug, Clone)]
pub struct Receivers {
    /// Those of one request.
    pub requests: mpsc::Sender<Inbound>,
    /// Those for blobs.
    pub blobs: mpsc::Sender<Opened>,
    /// Those about the keys of the ring.
    pub keys: mpsc::Sender<Inbound>,
}

/// What serving streams takes.
#[derive(Debug, Clone)]
struct Service {
    receivers: Receivers,
    gate: Arc<Gate>,
    counters: Arc<Counters>,
}

/// Serves inbound streams until nobody receives requests any more.
pub async fn accept(listener: TcpListener, receivers: Receivers, gate: Arc<Gate>, counters: Arc<Counters>) {
    let places = Places::new(STREAMS_MAX, STREAMS_PER_PEER_MAX);
    let service = Service { receivers, gate, counters };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = service.receivers.requests.closed() => return,
        };
        let Ok((stream, from)) = accepted else {
            sleep(ACCEPT_RETRY).await;
            continue;
        };
        // Over the limit, the connection is closed at once: the peer sees an end, and asks another.
        let Some(place) = places.take(from.ip()) else {
            service.counters.dropped(Dropped::Busy);
            continue;
        };
        let service = service.clone();
        tokio::spawn(async move {
            match timeout(STREAM_DEADLINE, service.serve(stream, from)).await {
                Ok(Ok(())) => {}
                Ok(Err(FrameError::Envelope(error))) => {
                    service.counters.dropped(reason(&error));
                    service.gate.meet(from, Side::Here, &error);
                }
                Ok(Err(FrameError::Io(_) | FrameError::Refused(_))) | Err(_) => {
                    service.counters.dropped(Dropped::Malformed);
                }
            }
            drop(place);
        });
    }
}

impl Service {
    async fn serve(&self, mut stream: TcpStream, from: SocketAddr) -> Result<(), FrameError> {
        let Some(mut codec) = welcome(&mut stream, &self.gate).await? else { return Ok(()) };
        let Some(frame) = codec.read(&mut stream).await? else { return Ok(()) };
        self.counters.stream_in();
        let Some((purpose, request)) = purpose(&frame) else {
            self.counters.dropped(Dropped::Unknown);
            return Ok(());
        };
        match purpose {
            Purpose::Request => self.answer(stream, codec, from, request, &self.receivers.requests).await,
            Purpose::Keys => self.answer(stream, codec, from, request, &self.receivers.keys).await,
            Purpose::Blobs => {
                let opened = Opened::new(stream, codec, from, Arc::clone(&self.counters))?;
                if self.receivers.blobs.try_send(opened).is_err() {
                    self.counters.dropped(Dropped::Busy);
                }
                Ok(())
            }
        }
    }

    async fn answer(
        &self,
        mut stream: TcpStream,
        mut codec: Codec,
        from: SocketAddr,
        request: Bytes,
        receiver: &mpsc::Sender<Inbound>,
    ) -> Result<(), FrameError> {
        let (reply, answer) = oneshot::channel();
        let received = request.len();
        let inbound = Inbound { from, seal: codec.seal(), request, reply };
        if receiver.send(inbound).await.is_err() {
            return Ok(());
        }
        // No response: the request was nonsense to the node, which has nothing to say to it.
        let Ok(response) = answer.await else { return Ok(()) };
        self.counters.stream_bytes(received, response.len());
        codec.write(&mut stream, &[], &response).await
    }
}

/// Opens connections to other nodes.
#[derive(Debug, Clone)]
pub struct Dialer {
    /// The own address, if it is a specific one: several nodes of one machine are told apart by it.
    source: Option<IpAddr>,
    gate: Arc<Gate>,
    counters: Arc<Counters>,
}

/// A request about the keys of the ring was not answered.
#[derive(Debug, thiserror::Error)]
pub enum KeyStreamError {
    /// The other side refuses the stream, or cannot be understood.
    #[error("{0}")]
    Refused(EnvelopeError),
    /// It cannot be reached.
    #[error("it does not answer")]
    Unreachable(#[source] Option<io::Error>),
}

impl Dialer {
    /// Connects from this address of the machine, or from any.
    #[must_use]
    pub const fn new(source: Option<IpAddr>, gate: Arc<Gate>, counters: Arc<Counters>) -> Self {
        Self { source, gate, counters }
    }

    /// Sends a request and waits for its response, at most [`STREAM_DEADLINE`].
    ///
    /// # Errors
    /// There is none. Whether the other side has seen the request is not known, but for [`StreamError::Refused`].
    pub async fn request(&self, to: SocketAddr, request: &[u8]) -> Result<Bytes, StreamError> {
        self.counters.stream_out();
        let exchange = self.exchange(to, With::KeyInUse, Purpose::Request, request);
        match timeout(STREAM_DEADLINE, exchange).await {
            Ok(result) => result.map_err(|error| self.failed(to, &error)),
            Err(_) => Err(StreamError::Timeout),
        }
    }

    /// Asks a node about its keys, over a stream that is sealed with `key`: who answers has that key.
    ///
    /// # Errors
    /// There is no answer; whether the request was seen is not known.
    pub async fn ask_keys(&self, to: SocketAddr, key: KeyId, request: &[u8]) -> Result<Bytes, KeyStreamError> {
        self.counters.stream_out();
        match timeout(STREAM_DEADLINE, self.exchange(to, With::Key(key), Purpose::Keys, request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(FrameError::Envelope(why) | FrameError::Refused(why))) => Err(KeyStreamError::Refused(why)),
            Ok(Err(FrameError::Io(error))) => Err(KeyStreamError::Unreachable(Some(error))),
            Err(_) => Err(KeyStreamError::Unreachable(None)),
        }
    }

    async fn exchange(
        &self,
        to: SocketAddr,
        with: With,
        purpose: Purpose,
        request: &[u8],
    ) -> Result<Bytes, FrameError> {
        let mut stream = self.connect(to).await?;
        let mut codec = greet(&mut stream, &self.gate, with).await?;
        codec.write(&mut stream, &[purpose as u8], request).await?;
        let response = codec.read(&mut stream).await?;
        let response = response.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        self.counters.stream_bytes(response.len(), request.len());
        Ok(response)
    }

    /// Opens a stream for blobs, at most within [`STREAM_DEADLINE`].
    ///
    /// # Errors
    /// The peer cannot be reached, or refuses.
    pub async fn open_blobs(&self, to: SocketAddr) -> Result<Frames, StreamError> {
        self.counters.stream_out();
        let open = async {
            let mut stream = self.connect(to).await?;
            let mut codec = greet(&mut stream, &self.gate, With::KeyInUse).await?;
            codec.write(&mut stream, &[Purpose::Blobs as u8], &[]).await?;
            Ok(Frames::new(stream, codec, to, Arc::clone(&self.counters)))
        };
        match timeout(STREAM_DEADLINE, open).await {
            Ok(result) => result.map_err(|error| self.failed(to, &error)),
            Err(_) => Err(StreamError::Timeout),
        }
    }

    /// Connects and closes at once: is anybody there?
    pub async fn probe(&self, to: SocketAddr, limit: Duration) -> ProbeOutcome {
        match timeout(limit, self.connect(to)).await {
            Ok(Ok(_stream)) => ProbeOutcome::Answered,
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => ProbeOutcome::Refused,
            Ok(Err(_)) | Err(_) => ProbeOutcome::NoAnswer,
        }
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = self.source.filter(|source| source.is_ipv4() == to.is_ipv4()) {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Counts and tells why a stream did not come about.
    fn failed(&self, to: SocketAddr, error: &FrameError) -> StreamError {
        match error {
            FrameError::Io(error) => stream_error(error),
            FrameError::Envelope(why) => {
                self.counters.dropped(reason(why));
                self.gate.meet(to, Side::Here, why);
                StreamError::Other
            }
            FrameError::Refused(why) => {
                self.gate.meet(to, Side::There, why);
                StreamError::Other
            }
        }
    }
}

fn stream_error(error: &io::Error) -> StreamError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => StreamError::Refused,
        io::ErrorKind::TimedOut => StreamError::Timeout,
        _ => StreamError::Other,
    }
}
