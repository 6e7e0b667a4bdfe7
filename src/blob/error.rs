//! What can go wrong with blobs on the disk.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::Hash;

/// A blob cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// It is over the limit of its kind. Nothing was stored, and a retry does not help.
    #[error("it is larger than {limit} bytes, the limit")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// There are as many blobs as there may be. Nothing was stored; a retry helps once some are gone.
    #[error(
        "there are {limit} blobs on this node, as many as there may be: let go of releases or files that nobody needs"
    )]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The disk is full. What was written of it is kept if the rest can be fetched later; a retry helps once there is
    /// room.
    #[error("there is no room for {bytes} bytes in {}: make room on that disk", dir.display())]
    NoRoom {
        /// Where the room is missing.
        dir: PathBuf,
        /// How large it is.
        bytes: u64,
    },
    /// It is not on this node, or not all of it.
    #[error("blob {} is not on this node", id.short())]
    Missing {
        /// Which.
        id: Hash,
    },
    /// The content could not be read where it was to come from. Nothing was stored.
    #[error("the content cannot be read to its end")]
    Content(#[source] io::Error),
    /// The work on it was cut off: the supervisor is ending.
    #[error("the work on it was cut off")]
    CutOff,
    /// The store's directory or a file in it cannot be made, read or written.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl BlobError {
    /// What an attempt on a file of the store ended in. `bytes` is how much was to be written, if anything was.
    pub(super) fn io(what: &'static str, path: &Path, bytes: u64) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NoRoom { dir: path.parent().unwrap_or(path).to_owned(), bytes }
            }
            _ => Self::Io { what, path: path.to_owned(), source },
        }
    }
}
