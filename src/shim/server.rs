//! The shim's socket: connections that come and go, without ever blocking the loop.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::poll::PollFlags;
use nix::sys::stat::{Mode, umask};

use super::address::Address;
use super::protocol::{FRAME_BYTES, Frame, LENGTH_BYTES, Request, Response, encode, first_frame};

/// Most connections at a time. A supervisor needs two. One more ends the oldest: a client that forgot its connections
/// must not lock out a new supervisor.
pub const CONNECTIONS_MAX: usize = 16;
/// Most bytes of answers that wait for a client to read them.
const OUTBOX_BYTES: usize = 64 * 1024;

/// The listening socket and its connections.
pub struct Server {
    listener: UnixListener,
    connections: Vec<Connection>,
}

struct Connection {
    stream: UnixStream,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    audience: Audience,
    fate: Fate,
}

/// Whether a connection is told of the exit.
#[derive(PartialEq, Eq)]
enum Audience {
    Asking,
    Subscribed,
}

/// Whether a connection goes on.
#[derive(PartialEq, Eq)]
enum Fate {
    Open,
    Closed,
}

impl Server {
    /// Listens at `socket`. A socket that an earlier shim left there is replaced: the caller holds the lock that says
    /// that nobody listens on it.
    pub fn bind(socket: &Path) -> io::Result<Self> {
        let address = Address::of(socket)?;
        match std::fs::remove_file(address.path()) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        // Mode 0600 from the first instant on.
        let before = umask(Mode::from_bits_truncate(0o177));
        let listener = UnixListener::bind(address.path());
        umask(before);
        let listener = listener?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, connections: Vec::new() })
    }

    /// The files to wait for and what for: the listener, then the connections in order.
    pub fn interests(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let listener = std::iter::once((self.listener.as_fd(), PollFlags::POLLIN));
        listener.chain(self.connections.iter().map(|connection| {
            let mut flags = PollFlags::POLLIN;
            if !connection.outbox.is_empty() {
                flags |= PollFlags::POLLOUT;
            }
            (connection.stream.as_fd(), flags)
        }))
    }

    /// Takes new connections and reads requests, answering each by `answer`. Whoever asks to subscribe is answered and
    /// then, if the exit is known, told.
    pub fn serve(&mut self, mut answer: impl FnMut(&Request) -> Vec<Response>) {
        // Only until none is waiting, or the loop would do nothing else while somebody keeps connecting.
        for _ in 0..CONNECTIONS_MAX {
            let Ok((stream, _)) = self.listener.accept() else { break };
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            if self.connections.len() >= CONNECTIONS_MAX {
                self.connections.remove(0);
            }
            self.connections.push(Connection::new(stream));
        }
        for connection in &mut self.connections {
            connection.read(&mut answer);
            connection.flush();
        }
        self.sweep();
    }

    /// Tells all who subscribed.
    pub fn publish(&mut self, news: &Response) {
        for connection in &mut self.connections {
            if connection.audience == Audience::Subscribed {
                connection.say(news);
                connection.flush();
            }
        }
        self.sweep();
    }

    fn sweep(&mut self) {
        self.connections.retain(|connection| connection.fate == Fate::Open);
    }
}

impl Connection {
    fn new(stream: UnixStream) -> Self {
        Self { stream, inbox: Vec::new(), outbox: Vec::new(), audience: Audience::Asking, fate: Fate::Open }
    }

    fn read(&mut self, answer: &mut impl FnMut(&Request) -> Vec<Response>) {
        let mut chunk = [0; 4096];
        // At most one frame's worth each time: the others have their turn.
        while self.inbox.len() < LENGTH_BYTES + FRAME_BYTES {
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    self.fate = Fate::Closed;
                    break;
                }
                Ok(read) => self.inbox.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.fate = Fate::Closed;
                    break;
                }
            }
        }
        loop {
            let (request, taken) = match first_frame(&self.inbox) {
                Frame::Whole { body, taken } => (serde_json::from_slice::<Request>(body), taken),
                Frame::Partial => return,
                Frame::TooLong => {
                    self.fate = Fate::Closed;
                    return;
                }
            };
            match request {
                Ok(request) => {
                    if request == Request::Subscribe {
                        self.audience = Audience::Subscribed;
                    }
                    for response in answer(&request) {
                        self.say(&response);
                    }
                }
                // JSON, but of another version: it must be able to go on without what this shim cannot do.
                Err(error) if error.is_data() => {
                    self.say(&Response::Refused(format!("this shim does not know how to do that: {error}")));
                }
                Err(_) => {
                    self.fate = Fate::Closed;
                    return;
                }
            }
            self.inbox.drain(..taken);
        }
    }

    fn say(&mut self, response: &Response) {
        match encode(response) {
            Some(frame) if self.outbox.len() + frame.len() <= OUTBOX_BYTES => self.outbox.extend_from_slice(&frame),
            // It asks and asks and does not read.
            Some(_) | None => self.fate = Fate::Closed,
        }
    }

    fn flush(&mut self) {
        while !self.outbox.is_empty() {
            match self.stream.write(&self.outbox) {
                Ok(written) => {
                    self.outbox.drain(..written);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.fate = Fate::Closed;
                    return;
                }
            }
        }
    }
}
