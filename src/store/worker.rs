//! The thread that writes the store, so that no disk is ever waited for on the network loop.

use std::thread::{self, JoinHandle};

use tokio::sync::mpsc::Receiver;

use super::{Store, StoreError};
use crate::records::Write;

/// How many jobs may wait. The core asks for a few writes a second; a disk that is this far behind is stuck.
pub const QUEUE: usize = 1024;
/// Most jobs of one transaction: bounds how long the first of them waits for the others.
const GROUP: usize = 256;
/// The thread's stack; redb's trees are shallow.
const STACK_BYTES: usize = 512 * 1024;

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
    mut store: Store,
    mut jobs: Receiver<Job>,
    mut report: impl FnMut(Report) + Send + 'static,
) -> std::io::Result<JoinHandle<Store>> {
    thread::Builder::new().name("store".to_owned()).stack_size(STACK_BYTES).spawn(move || {
        let mut group = Vec::new();
        while jobs.blocking_recv_many(&mut group, GROUP) > 0 {
            let mut writes = Vec::with_capacity(group.len());
            let mut batch = Vec::new();
            for job in group.drain(..) {
                writes.push(job.write);
                batch.extend(job.items);
            }
            let result = store.write(&batch);
            report(Report { writes, result });
        }
        store
    })
}
