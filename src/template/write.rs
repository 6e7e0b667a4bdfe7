//! Files in memory become files on disk.

use std::io;
use std::path::{Path, PathBuf};

use super::render::RenderedFile;

/// Who owns the files that are written. Nothing is changed about what is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Owner {
    /// The user's id.
    pub uid: Option<u32>,
    /// The group's id.
    pub gid: Option<u32>,
}

/// A file could not be written. Those before it were; each is either old or new, never a part.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk or a permission is in the way.
    #[error("cannot write {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is a symbolic link where a file or directory should be.
    #[error("{} is a symbolic link; rendered files are not written through links: remove it", .0.display())]
    Link(PathBuf),
}

/// Writes `files` below `dir` (the service's directory), each atomically and only if its bytes or mode differ, and
/// removes what is in `dir/config` and `dir/hooks` and was not rendered. Says which paths, below `dir`, changed.
///
/// # Errors
/// When a file cannot be written or removed.
pub fn write(files: &[RenderedFile], dir: &Path, owner: Owner) -> Result<Vec<PathBuf>, WriteError> {
    todo!("{files:?} {dir:?} {owner:?}")
}
