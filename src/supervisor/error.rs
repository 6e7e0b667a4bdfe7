//! Why a supervisor could not start, or could not go on.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::keys::KeysError;
use super::ring_name::RingNameFileError;
use super::ringloop::RingStartError;
use crate::api::server::BindError as SocketError;
use crate::api::tls::TlsError;
use crate::api::{Problem, ProblemKind};
use crate::blob::BlobError;
use crate::release;
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
    /// The directory of blobs cannot be opened.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// The releases of this node cannot be opened.
    #[error("cannot open the releases of this node")]
    Releases(#[from] release::StoreError),
    /// The data directory belongs to another ring.
    #[error(transparent)]
    RingName(#[from] RingNameFileError),
    /// The keys of the ring cannot be had.
    #[error("cannot tell the ring's keys")]
    Keys(#[from] KeysError),
    /// A file of trusted keys cannot be read.
    #[error("cannot tell whose releases to trust (trusted-keys)")]
    TrustedKeys(#[from] release::KeyError),
    /// The network loop cannot be started: mostly, its port is in use.
    #[error(transparent)]
    Ring(#[from] RingStartError),
    /// The local socket cannot be opened.
    #[error("cannot open the local socket")]
    Socket(#[from] SocketError),
    /// HTTP cannot be served by TLS.
    #[error("cannot serve HTTP by TLS (tls-cert, tls-key, tls-client-ca)")]
    Tls(#[from] TlsError),
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
    First(Problem),
}

impl From<RunError> for Problem {
    /// As the command line tells it: a service that could not be started tells what is wrong with it itself.
    fn from(error: RunError) -> Self {
        match error {
            RunError::First(problem) => problem,
            other => Self::new(ProblemKind::Internal, chain(&other)),
        }
    }
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::{RunError, chain};
    use crate::api::{Problem, ProblemKind};
    use crate::net::{BindError, Transport};
    use crate::supervisor::RingStartError;

    #[test]
    fn a_port_in_use_is_told_once_with_its_holder_and_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let holder = Some("redis-server (pid 12)".to_owned());
        let bind = BindError::InUse { address, transport: Transport::Tcp, holder };
        let problem = Problem::from(RunError::from(RingStartError::from(bind)));
        assert_eq!(
            problem.detail,
            format!(
                "cannot listen on {address} (TCP): the port is in use by redis-server (pid 12); stop that, or choose \
                 another address"
            )
        );
    }

    #[test]
    fn a_service_that_cannot_be_started_first_is_told_as_its_own_problem() {
        let problem = Problem::new(ProblemKind::UnknownPlan, "there is no plan").next("make one");
        assert_eq!(Problem::from(RunError::First(problem.clone())), problem);
    }

    #[test]
    fn causes_follow_their_effects() {
        let source = std::io::Error::other("no room");
        let error = RunError::DataDir { path: "/x".into(), source };
        assert_eq!(chain(&error), "cannot make the data directory /x; name another one by --data-dir: no room");
    }
}
