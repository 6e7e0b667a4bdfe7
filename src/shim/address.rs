//! Unix sockets at paths of any length.
//!
//! The kernel takes 107 bytes of path for a unix socket, and a data directory below somebody's home with a long service
//! name exceeds that. A longer path is reached through its opened directory: `/proc/self/fd/7/shim.sock`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc;

/// Longest path that the kernel takes for a unix socket (`sun_path`, less its ending zero), in bytes.
const PATH_BYTES: usize = 107;

/// A path that can be given to `bind` and `connect`, for as long as this lives.
pub struct Address {
    path: PathBuf,
    /// Open while the path that leads through it is in use.
    _dir: Option<File>,
}

impl Address {
    /// Of the socket at `socket`, which need not exist; its directory must if the path is long.
    pub fn of(socket: &Path) -> io::Result<Self> {
        if socket.as_os_str().as_bytes().len() <= PATH_BYTES {
            return Ok(Self { path: socket.to_owned(), _dir: None });
        }
        let (Some(parent), Some(name)) = (socket.parent(), socket.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a socket's path needs a file name"));
        };
        let dir = OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(parent)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name);
        Ok(Self { path, _dir: Some(dir) })
    }

    /// The path to give to the kernel.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn a_socket_works_at_paths_below_at_and_beyond_the_kernels_limit() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().as_os_str().as_bytes().len() + 1;
        for length in [60, PATH_BYTES, PATH_BYTES + 1, 200] {
            let deep = dir.path().join("d".repeat(length - base - "/s".len()));
            std::fs::create_dir(&deep).unwrap();
            let socket = deep.join("s");
            assert_eq!(socket.as_os_str().len(), length);
            let Ok(listener) = UnixListener::bind(Address::of(&socket).unwrap().path()) else {
                panic!("cannot bind a path of {length} bytes");
            };
            assert!(socket.exists());
            UnixStream::connect(Address::of(&socket).unwrap().path()).unwrap();
            drop(listener);
        }
    }
}
