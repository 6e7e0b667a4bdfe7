//! A log as it grows.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::net::unix::pipe::Receiver;

use super::line::{LINE_BYTES, Line};
use super::path;
use super::read::{LogError, Position, Query, open, tail_to};
use crate::shim::spec::LOG_KEEP_MAX;

/// How often the log is looked at even if the kernel tells of no change: its directory may not exist yet, or be on a
/// file system that tells nothing.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How much is read at a time, in bytes.
const BLOCK_BYTES: usize = 64 * 1024;

/// Follows a log over rotations, from its last lines on.
pub struct Follow {
    dir: PathBuf,
    /// Lines that were read and not yet returned.
    ready: VecDeque<Line>,
    /// The file that is being read. `None`: there is none yet.
    position: Option<Position>,
    /// The beginning of a line whose end was not read yet.
    begun: Vec<u8>,
    /// What the kernel tells of changes in the directory.
    watch: Option<Receiver>,
}

/// Whether a look at the log brought anything.
#[derive(PartialEq, Eq)]
enum Look {
    News,
    Nothing,
}

impl Follow {
    /// Begins with what [`super::tail`] would return. The directory need not exist yet. To be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// A file is there and cannot be read.
    pub fn new(dir: &Path, query: Query) -> Result<Self, LogError> {
        let watch = watch(dir);
        let (lines, position) = tail_to(dir, query)?;
        Ok(Self { dir: dir.to_owned(), ready: lines.into(), position, begun: Vec::new(), watch })
    }

    /// The next line; waits for it. Nothing is lost when this is cancelled.
    ///
    /// # Errors
    /// The log cannot be read any more.
    pub async fn next(&mut self) -> Result<Line, LogError> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Ok(line);
            }
            match self.look() {
                Ok(Look::News) => {}
                Ok(Look::Nothing) => self.wait().await,
                Err(source) => return Err(LogError { path: path(&self.dir, 0), source }),
            }
        }
    }

    /// Waits until the log may have grown.
    async fn wait(&mut self) {
        if self.watch.is_none() {
            self.watch = watch(&self.dir);
        }
        let Some(watch) = &self.watch else {
            tokio::time::sleep(LOOK_INTERVAL).await;
            return;
        };
        match tokio::time::timeout(LOOK_INTERVAL, watch.readable()).await {
            Ok(Ok(())) => {
                // What happened does not matter, only that something did.
                let mut events = [0; 4096];
                while watch.try_read(&mut events).is_ok_and(|read| read > 0) {}
            }
            Ok(Err(_)) => self.watch = None,
            Err(_elapsed) => {}
        }
    }

    /// Reads a block of the file, or goes on to the next file.
    fn look(&mut self) -> io::Result<Look> {
        let Some(position) = &mut self.position else {
            // There was none at the beginning: all that is there now is new.
            return self.go_to(self.oldest());
        };
        // Asked before reading: a file that was moved away is not written any more, so that what is read after is all.
        let moved_to = find(&self.dir, position.inode);
        let mut block = vec![0; BLOCK_BYTES];
        let read = position.file.read_at(&mut block, position.offset)?;
        if read > 0 {
            position.offset += read as u64;
            self.take(&block[..read]);
            return Ok(Look::News);
        }
        match moved_to {
            Some(0) => Ok(Look::Nothing),
            Some(n) => self.go_to(n - 1),
            // It was dropped while it was being read: what is left is the oldest that follows it.
            None => self.go_to(self.oldest()),
        }
    }

    fn take(&mut self, block: &[u8]) {
        self.begun.extend_from_slice(block);
        let mut start = 0;
        while let Some(length) = self.begun[start..].iter().position(|b| *b == b'\n') {
            self.ready.push_back(Line::parse(&self.begun[start..start + length]));
            start += length + 1;
        }
        self.begun.drain(..start);
        // No shim writes such lines. Somebody else does, and must not fill the memory.
        if self.begun.len() > 2 * LINE_BYTES {
            let begun = std::mem::take(&mut self.begun);
            self.ready.push_back(Line::parse(&begun));
        }
    }

    fn go_to(&mut self, n: u32) -> io::Result<Look> {
        let Some((file, inode)) = open(&path(&self.dir, n))? else { return Ok(Look::Nothing) };
        self.position = Some(Position { file, inode, offset: 0 });
        Ok(Look::News)
    }

    fn oldest(&self) -> u32 {
        (0..=LOG_KEEP_MAX).take_while(|n| path(&self.dir, *n).exists()).last().unwrap_or(0)
    }
}

/// Which file of the log has this inode now.
fn find(dir: &Path, inode: u64) -> Option<u32> {
    for n in 0..=LOG_KEEP_MAX {
        match std::fs::metadata(path(dir, n)) {
            Ok(meta) if meta.ino() == inode => return Some(n),
            Ok(_) => {}
            // The current file is missing for an instant when the log rotates.
            Err(_) if n == 0 => {}
            Err(_) => return None,
        }
    }
    None
}

/// Has the kernel tell of changes in `dir`. `None`: it cannot; then one has to look.
fn watch(dir: &Path) -> Option<Receiver> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok()?;
    let changes = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
    inotify.add_watch(dir, changes).ok()?;
    // Not a pipe, but read like one.
    Receiver::from_owned_fd_unchecked(inotify.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Wall;
    use crate::shim::log::{Stream, Writer};
    use crate::shim::spec::LogSpec;

    const WAIT: Duration = Duration::from_secs(20);

    fn say(log: &mut Writer, text: &str) {
        log.feed(Wall(1), Stream::Out, format!("{text}\n").as_bytes());
        log.commit(Wall(1));
    }

    async fn next(follow: &mut Follow) -> String {
        tokio::time::timeout(WAIT, follow.next()).await.expect("no line came").unwrap().text
    }

    #[tokio::test]
    async fn lines_come_as_they_are_written_after_the_last_ones() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Writer::new(LogSpec { dir: dir.path().join("log"), max_bytes: 1 << 20, keep: 2 });
        say(&mut log, "one");
        say(&mut log, "two");
        let mut follow = Follow::new(&dir.path().join("log"), Query { lines: 1, since: None }).unwrap();
        assert_eq!(next(&mut follow).await, "two");
        let waiting = tokio::spawn(async move { next(&mut follow).await });
        say(&mut log, "three");
        assert_eq!(waiting.await.unwrap(), "three");
    }

    #[tokio::test]
    async fn a_follower_that_is_behind_by_several_rotations_misses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Writer::new(LogSpec { dir: dir.path().to_owned(), max_bytes: 100, keep: 50 });
        let mut follow = Follow::new(dir.path(), Query { lines: 0, since: None }).unwrap();
        for round in 0..3 {
            for n in 0..25 {
                say(&mut log, &format!("{round} {n}"));
            }
            for n in 0..25 {
                assert_eq!(next(&mut follow).await, format!("{round} {n}"));
            }
        }
    }

    #[tokio::test]
    async fn a_log_that_does_not_exist_yet_can_be_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("later");
        let mut follow = Follow::new(&path, Query { lines: 10, since: None }).unwrap();
        let waiting = tokio::spawn(async move { next(&mut follow).await });
        let mut log = Writer::new(LogSpec { dir: path, max_bytes: 1 << 20, keep: 2 });
        say(&mut log, "at last");
        assert_eq!(waiting.await.unwrap(), "at last");
    }
}
