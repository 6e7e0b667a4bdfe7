//! The lock of a data directory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::error::StoreError;

/// The lock file's name.
const NAME: &str = "lock";

/// A held lock: freed when it is dropped, and by the kernel when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct DirLock {
    /// Held for the lock on it; the file is closed on exec, so that no child inherits it.
    _file: Flock<File>,
}

impl DirLock {
    /// Takes the lock of `dir`, and writes this process's id into it for those who come later.
    pub(super) fn take(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(NAME);
        let io_error = |source| StoreError::Io { what: "write the lock", path: path.clone(), source };
        let mut options = OpenOptions::new();
        // Not truncated before it is locked: the holder's id is in it.
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(io_error)?;
        let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((mut file, Errno::EWOULDBLOCK)) => {
                return Err(StoreError::Locked { dir: dir.to_owned(), pid: read_pid(&mut file) });
            }
            Err((_, error)) => return Err(io_error(error.into())),
        };
        file.set_len(0).map_err(io_error)?;
        file.rewind().map_err(io_error)?;
        writeln!(*file, "{}", std::process::id()).map_err(io_error)?;
        Ok(Self { _file: file })
    }
}

/// The holder's id; none in the moment in which it has the lock and has not written it yet.
fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
