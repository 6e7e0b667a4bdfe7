//! The thread that writes the store, so that no disk is ever waited for on the network loop.

use std::thread::JoinHandle;

use tokio::sync::mpsc::Receiver;

use super::{Store, StoreError};
use crate::records::Write;

/// How many jobs may wait. The core asks for a few writes a second; a disk that is this far behind is stuck.
pub const QUEUE: usize = 1024;

/// Something to store.
#[derive(Debug)]
pub struct Job {
    /// Names the write in the report.
    pub write: u64,
    /// What to store.
    pub items: Vec<Write>,
}

/// What became of some jobs: all of them were stored, or none.
#[derive(Debug)]
#[must_use]
pub struct Report {
    /// Which, in the order in which they were asked for.
    pub writes: Vec<u64>,
    /// How it went.
    pub result: Result<(), StoreError>,
}

/// Starts the thread. It stores what waits in `jobs`, all of it in one transaction, reports, and starts over; it ends, and
/// gives the store back, once `jobs` is closed and empty.
///
/// # Errors
/// The thread could not be started.
pub fn spawn(
    _store: Store,
    _jobs: Receiver<Job>,
    _report: impl FnMut(Report) + Send + 'static,
) -> std::io::Result<JoinHandle<Store>> {
    todo!()
}
