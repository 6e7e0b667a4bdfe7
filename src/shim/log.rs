//! The log files of a service.
//!
//! A shim writes the output of its process to `current.log`, in lines of the form
//!
//! ```text
//! 2026-11-21T07:26:30.123Z out Ready to accept connections
//! 2026-11-21T07:26:31.002Z err WARNING: overcommit_memory is set to 0
//! 2026-11-21T07:26:31.002Z sup 12 lines were lost: No space left on device (os error 28)
//! ```
//!
//! the time of day in UTC, the stream (`sup`: a note of the shim), and the text. Before the file grows beyond its
//! limit it becomes `current.log.1`, and that `current.log.2`, up to as many as are kept. Text that is not UTF-8 is
//! written as it is. Lines that are longer than [`LINE_BYTES`] are split.
//!
//! A disk that is full never stops a process: lines are dropped and counted instead.

mod follow;
mod line;
mod read;
mod write;

pub use follow::Follow;
pub use line::{LINE_BYTES, Line, Stream};
pub use read::{LogError, Query, TAIL_LINES_MAX, tail};
pub(crate) use write::Writer;

/// The file that is being written.
pub const CURRENT: &str = "current.log";

/// The path of the `n`th rotated file of a log directory; 0 is the current one.
fn path(dir: &std::path::Path, n: u32) -> std::path::PathBuf {
    if n == 0 { dir.join(CURRENT) } else { dir.join(format!("{CURRENT}.{n}")) }
}
