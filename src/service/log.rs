//! The log of a service's hooks: lines are taken at once and written on another thread.

use std::path::PathBuf;

use tokio::sync::mpsc;

use super::handle::Clock;
use crate::plan::HookName;
use crate::shim::LogSpec;
use crate::shim::log::{Stream, Writer};

/// Lines that wait to be written. A hook that floods fills it while the disk is slow; what does not fit is left out
/// here, and is in the hook's report still.
const PENDING_LINES: usize = 1024;
const LOG_BYTES: u64 = 1024 * 1024;
const LOG_FILES: u32 = 3;

/// Takes lines for the log.
#[derive(Debug, Clone)]
pub(super) struct HookLog {
    lines: mpsc::Sender<String>,
}

impl HookLog {
    /// A log in `dir`, and what writes it until the last [`HookLog`] is gone.
    pub(super) fn new(dir: PathBuf, clock: Clock) -> (Self, impl Future<Output = ()> + Send) {
        let (lines, pending) = mpsc::channel(PENDING_LINES);
        (Self { lines }, write(dir, clock, pending))
    }

    /// Logs a line of a hook; never waits.
    pub(super) fn line(&self, hook: HookName, text: &str) {
        // Full: the disk is slower than the hook. Closed: the service's task is ending. Neither may stop a hook.
        self.lines.try_send(format!("{hook}: {text}")).ok();
    }
}

async fn write(dir: PathBuf, clock: Clock, mut pending: mpsc::Receiver<String>) {
    let mut writer = Writer::new(LogSpec { dir, max_bytes: LOG_BYTES, keep: LOG_FILES });
    let mut lines = Vec::new();
    while pending.recv_many(&mut lines, PENDING_LINES).await > 0 {
        let batch = std::mem::take(&mut lines);
        let written = tokio::task::spawn_blocking(move || {
            for line in batch {
                writer.feed(clock().wall, Stream::Out, line.as_bytes());
                writer.feed(clock().wall, Stream::Out, b"\n");
            }
            writer.commit(clock().wall);
            writer
        });
        match written.await {
            Ok(back) => writer = back,
            // The runtime is shutting down.
            Err(_) => return,
        }
    }
}
