//! Changes of one file, seen by watching its directory: editors replace files instead of writing to them.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches one file.
#[derive(Debug)]
pub(super) struct FileWatch {
    inotify: AsyncFd<Source>,
    name: OsString,
}

/// What tokio can wait for.
#[derive(Debug)]
struct Source(Inotify);

impl AsRawFd for Source {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl FileWatch {
    /// Watches `file`, which need not exist; its directory must.
    pub(super) fn new(file: &Path) -> io::Result<Self> {
        let (Some(dir), Some(name)) = (file.parent(), file.file_name()) else {
            return Err(io::Error::other("not a path of a file"));
        };
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let changes = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE;
        inotify.add_watch(dir, changes | AddWatchFlags::IN_ONLYDIR)?;
        #[expect(deprecated, reason = "its successor is unsafe, for descriptors that change; this one never does")]
        let inotify = AsyncFd::with_interest(Source(inotify), Interest::READABLE)?;
        Ok(Self { inotify, name: name.to_owned() })
    }

    /// Waits for a change. Nothing is lost when this is cancelled: a change that was read and not told is only ever
    /// one that the caller reads the file for anyway.
    pub(super) async fn changed(&self) -> io::Result<()> {
        loop {
            let mut ready = self.inotify.readable().await?;
            match ready.get_inner().0.read_events() {
                Ok(events) => {
                    // An overflow has no name, and may have been about the file.
                    let ours = |name: &Option<OsString>| name.as_ref().is_none_or(|name| *name == self.name);
                    if events.iter().any(|event| ours(&event.name)) {
                        return Ok(());
                    }
                }
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }

    #[cfg(test)]
    fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.inotify.get_ref().0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::FileWatch;

    async fn sees(watch: &FileWatch) {
        timeout(Duration::from_secs(10), watch.changed()).await.expect("the change was not seen").unwrap();
    }

    /// Whether something was seen that has not been told.
    fn is_pending(watch: &FileWatch) -> bool {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        poll(&mut [PollFd::new(watch.fd(), PollFlags::POLLIN)], PollTimeout::ZERO).unwrap() > 0
    }

    #[tokio::test]
    async fn writing_replacing_and_removing_a_file_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("user.toml");
        let watch = FileWatch::new(&file).unwrap();
        fs::write(&file, "a = 1").unwrap();
        sees(&watch).await;
        fs::write(dir.path().join("new"), "a = 2").unwrap();
        fs::rename(dir.path().join("new"), &file).unwrap();
        sees(&watch).await;
        fs::remove_file(&file).unwrap();
        sees(&watch).await;
        assert!(!is_pending(&watch));
    }

    #[tokio::test]
    async fn other_files_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let watch = FileWatch::new(&dir.path().join("user.toml")).unwrap();
        fs::write(dir.path().join("other"), "a = 1").unwrap();
        assert!(is_pending(&watch));
        fs::write(dir.path().join("user.toml"), "a = 1").unwrap();
        sees(&watch).await;
        assert!(!is_pending(&watch), "both were read together");
    }

    #[tokio::test]
    async fn a_directory_that_is_not_there_is_an_error() {
        assert!(FileWatch::new("/no/such/dir/user.toml".as_ref()).is_err());
    }
}
