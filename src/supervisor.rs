//! The supervisor: wires everything, and the only place that knows all of it.

mod clock;
mod error;
mod feed;
mod init;
mod logging;
mod notify;
mod ringloop;
mod services;
mod settings;

use std::process::ExitCode;

use crate::api::shape::StartRequest;

pub use error::RunError;
pub use ringloop::RingStartError;
pub use settings::{
    Advertise, Arity, Environment, GOSSIP_PORT, HTTP_PORT, Key, ListenHttp, LogFormat, Origin, Peer,
    PeerError, Settings, SettingsError, Sources,
};

/// Runs a supervisor in this process until it is told to end: by a signal, or through its API. `first` is a service to
/// load and start besides those that it has.
///
/// # Errors
/// It could not start: nothing of it is left running. Or it found that it must not go on.
pub fn run(settings: Settings, first: Option<StartRequest>) -> Result<ExitCode, RunError> {
    todo!("{settings:?} {first:?}")
}
