//! What can go wrong with a store.

use std::path::PathBuf;

/// The store could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another supervisor runs on this directory. Nothing was changed; stop that one, or use another directory.
    #[error("the data directory {} is in use by {}: stop that supervisor, or give this one its own --data-dir", dir.display(), holder(*pid))]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// The process that holds it, if it could be read.
        pid: Option<u32>,
    },
    /// A file or directory could not be made, read or written. Nothing was changed; retry once the cause is gone.
    #[error("cannot {what} {}: check that this user may write there, and that the disk has room", path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The system has no randomness to give.
    #[error("cannot draw a node id: the system gives no random bytes")]
    Draw(#[source] std::io::Error),
    /// The state could not be read or written, for a reason that is not damage (a full disk, mostly). What was
    /// acknowledged before is kept; of the batch all may be stored, or nothing. A retry helps once the cause is gone.
    #[error("cannot {what} the state in {}: check that the disk has room and is not failing", path.display())]
    State {
        /// What was attempted.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<redb::Error>,
    },
    /// A newer version wrote it. Nothing was changed.
    #[error("{} was written by a newer version of sup (format {found}, this one knows {known}): run that version", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format that is known here.
        known: u64,
    },
}

fn holder(pid: Option<u32>) -> String {
    match pid {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}
