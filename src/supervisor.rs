//! The supervisor: wires everything, and the only place that knows all of it.
//!
//! | file | subject |
//! | --- | --- |
//! | [`Settings`] | what it was told, and from where |
//! | `life` | start, run, end |
//! | `ringloop` | the thread that drives the node, and what it shows the others |
//! | `services` | the services of this node, and their minders |
//! | `releases` | the releases of this node, as its services need them |
//! | `backend` | what the API asks, answered |
//! | `keys` | the keys of the ring on this node |
//! | `ring_name` | which ring the data directory belongs to |
//! | `feed` | what happened, for the log and for people |
//! | `blobs` | lets go of blobs that nothing names any more |
//! | `advertise` | the address that others are told |
//! | `clock`, `logging`, `notify`, `init` | the system: clocks, the log, systemd, being process 1 |
//!
//! Two threads matter. The *ring* thread owns the node and its sockets, and waits for nothing else. The *main* thread
//! runs everything that may take its time: services, hooks, rendering, the API; what blocks goes to helper threads
//! that come and go. A third one writes the store. Between ring and main:
//!
//! ```text
//! ring -> main   the board: the latest view of each group, leases, readiness   (watch: never behind)
//! ring -> main   events, for people                                            (1024; more are counted as missed)
//! main -> ring   commands and looks at the node                                (64; senders wait)
//! ring -> store  writes                                                        (1024; more have failed)
//! ```

mod advertise;
mod backend;
mod blobs;
mod clock;
mod error;
mod feed;
mod init;
mod keys;
mod life;
mod logging;
mod notify;
mod releases;
mod ring_name;
mod ringloop;
mod services;
mod settings;

use std::process::ExitCode;
use std::time::Duration;

use crate::api::shape::StartRequest;

pub use error::RunError;
pub use init::{Role, take_role};
pub use keys::{KeyFileError, KeysError};
pub use ring_name::RingNameFileError;
pub use ringloop::RingStartError;
pub use settings::{
    Advertise, Arity, Encryption, Environment, GOSSIP_PORT, HTTP_PORT, Key, ListenHttp, LogFormat, Origin, Peer,
    PeerError, Settings, SettingsError, Sources,
};

/// Helper threads for what blocks: reading plans, saving specs. They go after a second without work.
const HELPERS: usize = 4;

/// Runs a supervisor in this process until it is told to end: by a signal, or through its API. `first` is a service to
/// load and start besides those that it has.
///
/// # Errors
/// It could not start: nothing of it is left running. Or it found that it must not go on.
pub fn run(settings: Settings, first: Option<StartRequest>) -> Result<ExitCode, RunError> {
    logging::start(&settings);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(HELPERS)
        .thread_keep_alive(Duration::from_secs(1))
        .build()
        .map_err(|source| RunError::System { what: "start the runtime", source })?;
    let outcome = runtime.block_on(life::run(settings, first));
    // A helper thread that hangs on a dead disk must not keep the process.
    runtime.shutdown_background();
    outcome
}
