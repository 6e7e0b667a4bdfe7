//! A stream that stays open: frames both ways, until one side closes it. For what takes many requests of one peer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;

use super::counters::Counters;
use super::frame::{Codec, FrameError, Heard};

/// What is read ahead. Small: a frame that is larger goes past it.
const READ_AHEAD_BYTES: usize = 4096;

/// Such a stream.
#[derive(Debug)]
pub struct Frames {
    stream: BufReader<TcpStream>,
    codec: Codec,
    peer: SocketAddr,
    counters: Arc<Counters>,
}

/// Such a stream that a peer opened, on its way to the runtime that is to serve it.
#[derive(Debug)]
pub struct Opened {
    stream: std::net::TcpStream,
    codec: Codec,
    peer: SocketAddr,
    counters: Arc<Counters>,
}

impl Opened {
    pub(super) fn new(stream: TcpStream, codec: Codec, peer: SocketAddr, counters: Arc<Counters>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream: stream.into_std()?, codec, peer, counters })
    }

    /// Who opened it, as the socket saw it.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Takes it up in the runtime of the caller.
    ///
    /// # Errors
    /// The runtime does not take it.
    pub fn take_up(self) -> io::Result<Frames> {
        Ok(Frames::new(TcpStream::from_std(self.stream)?, self.codec, self.peer, self.counters))
    }
}

impl Frames {
    pub(super) fn new(stream: TcpStream, codec: Codec, peer: SocketAddr, counters: Arc<Counters>) -> Self {
        Self { stream: BufReader::with_capacity(READ_AHEAD_BYTES, stream), codec, peer, counters }
    }

    /// The other side.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Sends a frame, which is made of `head` and `body`.
    ///
    /// # Errors
    /// It is over the limit, or the stream broke off.
    pub async fn send(&mut self, head: &[u8], body: &[u8]) -> Result<(), FrameError> {
        self.counters.stream_bytes(0, head.len() + body.len());
        self.codec.write(&mut self.stream, head, body).await
    }

    /// Receives a frame into `into`, whose room is used again.
    ///
    /// # Errors
    /// The frame is not acceptable, or the stream broke off.
    pub async fn receive(&mut self, into: &mut Vec<u8>) -> Result<Heard, FrameError> {
        let heard = self.codec.read_into(&mut self.stream, into).await?;
        self.counters.stream_bytes(into.len(), 0);
        Ok(heard)
    }

    /// Waits until there is something to receive: a frame, or the end. Cancel safe.
    ///
    /// # Errors
    /// The stream broke off.
    pub async fn incoming(&mut self) -> io::Result<()> {
        self.stream.fill_buf().await.map(drop)
    }
}
