//! Datagrams in and out.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::UdpSocket;

use super::counters::{Counters, Dropped};
use super::envelope::{Content, DATAGRAM_BYTES, EnvelopeError, open_datagram, seal_datagram};
use super::gate::Gate;
use super::recent::Recent;
use super::replay::Replay;
use super::stranger::Side;

/// Nodes whose highest version is remembered: more than a ring has.
const PEERS: usize = 8192;

/// The UDP socket.
#[derive(Debug)]
pub struct Datagrams {
    socket: UdpSocket,
    counters: Arc<Counters>,
    gate: Arc<Gate>,
    replay: Replay,
    /// The highest version that each of the others speaks.
    speak: Recent<SocketAddr, u8>,
    /// One byte more than the largest datagram: what fills it is over the limit.
    buffer: Box<[u8; DATAGRAM_BYTES + 1]>,
}

/// Whether more may be waiting.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Nothing was waiting any more.
    Empty,
    /// The limit of this turn was reached first.
    More,
}

impl Datagrams {
    pub(super) fn new(socket: UdpSocket, counters: Arc<Counters>, gate: Arc<Gate>) -> Self {
        let buffer = Box::new([0; DATAGRAM_BYTES + 1]);
        Self { socket, counters, gate, replay: Replay::new(), speak: Recent::new(PEERS), buffer }
    }

    /// Waits until something may be waiting. Cancel safe.
    ///
    /// # Errors
    /// The socket is unusable.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Takes in what is waiting, at most `limit` datagrams, and hands on their payloads. What cannot be read is counted
    /// and dropped; it counts towards the limit, so that a flood of garbage cannot hold the loop.
    pub fn drain(&mut self, limit: usize, mut each: impl FnMut(SocketAddr, Bytes)) -> Drained {
        for _ in 0..limit {
            let (length, from) = match self.socket.try_recv_from(&mut self.buffer[..]) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Drained::Empty,
                // An error that an earlier datagram left behind (its port is closed): said once, then cleared.
                Err(_) => continue,
            };
            self.counters.packet_in(length);
            match self.open(length, from) {
                Ok(payload) => each(from, payload),
                Err(error) => {
                    self.counters.dropped(reason(&error));
                    self.gate.meet(from, Side::Here, &error);
                }
            }
        }
        Drained::More
    }

    fn open(&mut self, length: usize, from: SocketAddr) -> Result<Bytes, EnvelopeError> {
        let Content { payload, speaks, nonce } = open_datagram(&self.gate, &mut self.buffer[..length])?;
        if nonce.is_some_and(|nonce| !self.replay.is_new(nonce)) {
            return Err(EnvelopeError::Replayed);
        }
        *self.speak.entry(from, || speaks) = speaks;
        Ok(Bytes::copy_from_slice(payload))
    }

    /// Sends a payload. It may be lost on the way, here already if the socket's buffer is full: the ring copes with
    /// loss, and must not wait.
    pub fn send(&self, to: SocketAddr, payload: &[u8]) {
        let version = self.gate.versions().with(self.speak.get(&to).copied());
        let Some(datagram) = seal_datagram(&self.gate, version, payload) else {
            self.counters.dropped(Dropped::TooLarge);
            return;
        };
        match self.socket.try_send_to(&datagram, to) {
            Ok(bytes) => self.counters.packet_out(bytes),
            Err(_) => self.counters.dropped(Dropped::Unsendable),
        }
    }
}

/// How an envelope that could not be opened is counted.
pub(super) const fn reason(error: &EnvelopeError) -> Dropped {
    match error {
        EnvelopeError::Malformed => Dropped::Malformed,
        EnvelopeError::Version(_) => Dropped::Version,
        EnvelopeError::Kind(_) => Dropped::Unknown,
        EnvelopeError::Ring(_) => Dropped::Ring,
        EnvelopeError::Clear => Dropped::Clear,
        EnvelopeError::Key(_) => Dropped::Key,
        EnvelopeError::Forged(_) => Dropped::Forged,
        EnvelopeError::Replayed => Dropped::Replayed,
        EnvelopeError::TooLarge { .. } => Dropped::TooLarge,
    }
}
