//! A log as it grows.

use std::path::Path;

use super::line::Line;
use super::read::{LogError, Query};

/// Follows a log over rotations, from its last lines on.
pub struct Follow {}

impl Follow {
    /// Begins with what [`super::tail`] would return. The directory need not exist yet.
    ///
    /// # Errors
    /// A file is there and cannot be read.
    pub fn new(dir: &Path, query: Query) -> Result<Self, LogError> {
        todo!()
    }

    /// The next line; waits for it. Nothing is lost when this is cancelled.
    ///
    /// # Errors
    /// The log cannot be read any more.
    pub async fn next(&mut self) -> Result<Line, LogError> {
        todo!()
    }
}
