//! Serves a [`Backend`](super::Backend) over HTTP/1.1, on a unix socket and on TCP.
//!
//! | file | subject |
//! | --- | --- |
//! | `listen` | sockets, the bound on connections, the end |
//! | `admission` | who asks, and whether that suffices |
//! | `refusals` | who was refused: counted, and told to the log |
//! | `guard` | what else each request must pass: a deadline, and no other site's page |
//! | `body` | requests' bodies within their limits, and bodies that are streams |
//! | `reply` | problems and JSON as responses |
//! | `routes` | the paths |
//!
//! A connection costs one task, a stream (events, logs) one more. Whatever goes wrong with a request is a
//! [`Problem`](super::Problem); whatever goes wrong with a connection ends that connection.

mod admission;
mod body;
mod guard;
mod listen;
mod refusals;
mod reply;
mod routes;
#[cfg(test)]
mod tests;
mod veil;

use std::time::Duration;

pub use admission::{Admission, Openness};
pub use body::{CONFIG_BODY_BYTES, JSON_BODY_BYTES, RELEASE_BODY_BYTES};
pub use listen::{BindError, SOCKET_PATH_BYTES, bind_unix, serve_tcp, serve_unix};

/// What a server allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once. One beyond is answered that the supervisor is busy, and closed.
    pub connections: usize,
    /// How many of them may come from one address of the network: nobody can shut the others out.
    pub connections_of_one: usize,
    /// From a request's head to its answer's head. A stream, once begun, has no end.
    pub request: Duration,
    /// The same for what hands over something large.
    pub upload: Duration,
    /// From the start of a connection, or the end of its last answer, to the end of the next request's head.
    pub head: Duration,
    /// How often a stream of events that has nothing to say says so: a reader that is gone is found out, and proxies
    /// keep the connection.
    pub keep_alive: Duration,
    /// How long open connections have to end once the server stops.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            // A proxy in front of many clients is one address.
            connections_of_one: 128,
            request: Duration::from_secs(30),
            // A gigabyte onto a slow disk.
            upload: Duration::from_secs(600),
            head: Duration::from_secs(20),
            keep_alive: Duration::from_secs(15),
            grace: Duration::from_millis(500),
        }
    }
}
