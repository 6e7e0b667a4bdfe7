//! The last lines of a log.

use std::io;
use std::path::{Path, PathBuf};

use super::line::Line;
use crate::base::Wall;

/// Most lines that are returned at once.
pub const TAIL_LINES_MAX: usize = 10_000;

/// Which lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// At most this many, the last ones; [`TAIL_LINES_MAX`] if it is more.
    pub lines: usize,
    /// None that are older.
    pub since: Option<Wall>,
}

/// A log cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the log {}", .path.display())]
pub struct LogError {
    /// The file.
    pub path: PathBuf,
    /// What happened.
    #[source]
    pub source: io::Error,
}

/// The last lines of the log in `dir`, oldest first, rotated files included. No directory: no lines. This reads files
/// and so blocks: not for the thread of a network loop.
///
/// # Errors
/// A file is there and cannot be read.
pub fn tail(dir: &Path, query: Query) -> Result<Vec<Line>, LogError> {
    todo!()
}
