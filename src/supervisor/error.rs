//! Why a supervisor could not start, or could not go on.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::ringloop::RingStartError;
use crate::api::server::BindError as SocketError;
use crate::store::StoreError;

/// The supervisor could not start, or found that it must not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The data directory cannot be made.
    #[error("cannot make the data directory {}; name another one by --data-dir", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The store cannot be opened: another supervisor has it, or the disk does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network loop cannot be started: mostly, its port is in use.
    #[error(transparent)]
    Ring(#[from] RingStartError),
    /// The local socket cannot be opened.
    #[error("cannot open the local socket")]
    Socket(#[from] SocketError),
    /// The HTTP port cannot be taken.
    #[error(
        "cannot serve HTTP on {address}: the port is in use{}; stop that, or choose another address by --listen-http",
        holder.as_ref().map(|holder| format!(" by {holder}")).unwrap_or_default()
    )]
    HttpInUse {
        /// The address.
        address: SocketAddr,
        /// The process that has it, where that can be seen.
        holder: Option<String>,
    },
    /// The HTTP address cannot be listened on.
    #[error("cannot serve HTTP on {address}; choose another address by --listen-http")]
    Http {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The system refuses a thread, a signal handler or the like.
    #[error("cannot {what}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A newer process with this node's id runs elsewhere.
    #[error(
        "another supervisor runs with this node's id, and started later: the data directory {} was copied, or the \
         machine cloned; this one ends. Give one of them an empty data directory", path.display()
    )]
    Usurped {
        /// The data directory.
        path: PathBuf,
    },
    /// The service that was to be started first cannot be. Only where the supervisor was started for it.
    #[error("{}", .0.detail)]
    First(crate::api::Problem),
}

/// An error and everything that caused it, outermost first.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // A transparent error says what its cause says.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
