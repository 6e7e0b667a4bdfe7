//! Streams. The first byte of the first frame says what a stream is for.
//!
//! One for a request carries that and its response, and is closed: a connection per request costs a round trip, and
//! buys that nothing is kept: no pool, no half-open peer, no order between requests. They are rare (joins, repairs,
//! large records). One for blobs stays open for as long as there is something to fetch: it is handed on, and does not
//! count as one of those. And probes only connect.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::counters::{Counters, Dropped};
use super::envelope::{FrameError, read_frame, write_frame};
use super::frames::{Frames, Opened};
use super::udp::reason;
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
}

/// Splits what a stream is for from what follows. None: it is for something that this node does not know.
fn purpose(frame: &Bytes) -> Option<(Purpose, Bytes)> {
    let purpose = match frame.first() {
        Some(0) => Purpose::Request,
        Some(1) => Purpose::Blobs,
        Some(_) | None => return None,
    };
    Some((purpose, frame.slice(1..)))
}

/// A request that came in over a stream.
#[derive(Debug)]
pub struct Inbound {
    /// Who sent it, as the socket saw it.
    pub from: SocketAddr,
    /// The request.
    pub request: Bytes,
    /// Where the response goes. Dropped: the stream is closed without one.
    pub reply: oneshot::Sender<Bytes>,
}

/// How many streams of whom are being served.
#[derive(Debug, Default)]
struct Load(Mutex<BTreeMap<IpAddr, usize>>);

/// One served stream. Dropping it frees its place.
struct Place {
    load: Arc<Load>,
    peer: IpAddr,
}

impl Load {
    fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = streams.values().sum();
        let own = streams.get(&peer).copied().unwrap_or_default();
        if total >= STREAMS_MAX || own >= STREAMS_PER_PEER_MAX {
            return None;
        }
        streams.insert(peer, own + 1);
        Some(Place { load: Arc::clone(self), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut streams = self.load.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = streams.get_mut(&self.peer) {
            *own -= 1;
            if *own == 0 {
                streams.remove(&self.peer);
            }
        }
    }
}

/// Where inbound streams go.
#[derive(Debug, Clone)]
pub struct Receivers {
    /// Those of one request.
    pub requests: mpsc::Sender<Inbound>,
    /// Those for blobs.
    pub blobs: mpsc::Sender<Opened>,
}

/// Serves inbound streams until nobody receives requests any more.
pub async fn accept(listener: TcpListener, receivers: Receivers, counters: Arc<Counters>) {
    let load = Arc::new(Load::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = receivers.requests.closed() => return,
        };
        let Ok((stream, from)) = accepted else {
            sleep(ACCEPT_RETRY).await;
            continue;
        };
        // Over the limit, the connection is closed at once: the peer sees an end, and asks another.
        let Some(place) = load.take(from.ip()) else {
            counters.dropped(Dropped::Busy);
            continue;
        };
        let (receivers, counters) = (receivers.clone(), Arc::clone(&counters));
        tokio::spawn(async move {
            match timeout(STREAM_DEADLINE, serve(stream, from, &receivers, &counters)).await {
                Ok(Ok(())) => {}
                Ok(Err(FrameError::Envelope(error))) => counters.dropped(reason(error)),
                Ok(Err(FrameError::Io(_))) | Err(_) => counters.dropped(Dropped::Malformed),
            }
            drop(place);
        });
    }
}

async fn serve(
    mut stream: TcpStream,
    from: SocketAddr,
    receivers: &Receivers,
    counters: &Arc<Counters>,
) -> Result<(), FrameError> {
    let Some(frame) = read_frame(&mut stream).await? else { return Ok(()) };
    counters.stream_in();
    let Some((purpose, request)) = purpose(&frame) else {
        counters.dropped(Dropped::Malformed);
        return Ok(());
    };
    match purpose {
        Purpose::Request => answer(stream, from, request, receivers, counters).await,
        Purpose::Blobs => {
            let opened = Opened::new(stream, from, Arc::clone(counters))?;
            if receivers.blobs.try_send(opened).is_err() {
                counters.dropped(Dropped::Busy);
            }
            Ok(())
        }
    }
}

async fn answer(
    mut stream: TcpStream,
    from: SocketAddr,
    request: Bytes,
    receivers: &Receivers,
    counters: &Counters,
) -> Result<(), FrameError> {
    let (reply, answer) = oneshot::channel();
    let received = request.len();
    if receivers.requests.send(Inbound { from, request, reply }).await.is_err() {
        return Ok(());
    }
    // No response: the request was nonsense to the node, which has nothing to say to it.
    let Ok(response) = answer.await else { return Ok(()) };
    counters.stream_bytes(received, response.len());
    write_frame(&mut stream, &[], &response).await
}

/// Opens connections to other nodes.
#[derive(Debug, Clone)]
pub struct Dialer {
    /// The own address, if it is a specific one: several nodes of one machine are told apart by it.
    source: Option<IpAddr>,
    counters: Arc<Counters>,
}

impl Dialer {
    /// Connects from this address of the machine, or from any.
    #[must_use]
    pub const fn new(source: Option<IpAddr>, counters: Arc<Counters>) -> Self {
        Self { source, counters }
    }

    /// Sends a request and waits for its response, at most [`STREAM_DEADLINE`].
    ///
    /// # Errors
    /// There is none. Whether the other side has seen the request is not known, but for [`StreamError::Refused`].
    pub async fn request(&self, to: SocketAddr, request: &[u8]) -> Result<Bytes, StreamError> {
        self.counters.stream_out();
        match timeout(STREAM_DEADLINE, self.exchange(to, request)).await {
            Ok(result) => result,
            Err(_) => Err(StreamError::Timeout),
        }
    }

    async fn exchange(&self, to: SocketAddr, request: &[u8]) -> Result<Bytes, StreamError> {
        let mut stream = self.connect(to).await.map_err(|error| stream_error(&error))?;
        let failed = |error: FrameError| match error {
            FrameError::Io(error) => stream_error(&error),
            FrameError::Envelope(error) => {
                self.counters.dropped(reason(error));
                StreamError::Other
            }
        };
        write_frame(&mut stream, &[Purpose::Request as u8], request).await.map_err(failed)?;
        let response = read_frame(&mut stream).await.map_err(failed)?.ok_or(StreamError::Other)?;
        self.counters.stream_bytes(response.len(), request.len());
        Ok(response)
    }

    /// Opens a stream for blobs, at most within [`STREAM_DEADLINE`].
    ///
    /// # Errors
    /// The peer cannot be reached.
    pub async fn open_blobs(&self, to: SocketAddr) -> Result<Frames, StreamError> {
        self.counters.stream_out();
        let open = async {
            let mut stream = self.connect(to).await.map_err(|error| stream_error(&error))?;
            let purpose = [Purpose::Blobs as u8];
            write_frame(&mut stream, &purpose, &[]).await.map_err(|_| StreamError::Other)?;
            Ok(Frames::new(stream, to, Arc::clone(&self.counters)))
        };
        timeout(STREAM_DEADLINE, open).await.unwrap_or(Err(StreamError::Timeout))
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
}

fn stream_error(error: &io::Error) -> StreamError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => StreamError::Refused,
        io::ErrorKind::TimedOut => StreamError::Timeout,
        _ => StreamError::Other,
    }
}
