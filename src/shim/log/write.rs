//! The writing side of a log: rotation, and what happens when the disk is full.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::line::{LINE_BYTES, Line, Stream};
use super::path;
use crate::base::Wall;
use crate::shim::spec::LogSpec;

/// Lines are gathered up to this size, in bytes, before they are written: a flood of empty lines is mostly timestamps,
/// and must not make the shim grow.
const BATCH_BYTES: usize = 64 * 1024;

/// Writes the log of one process. It never fails: what cannot be written is dropped and counted.
pub struct Writer {
    spec: LogSpec,
    file: Option<File>,
    /// How long the file is.
    size: u64,
    /// Whole lines that are not written yet.
    batch: Vec<u8>,
    /// The beginnings of lines whose end was not read yet, of the output and the errors.
    begun: [Vec<u8>; 2],
    /// Whether the last write ended inside a line.
    torn: bool,
    /// Lines lost since the last note about it, and why.
    unreported: Option<(u64, String)>,
    lost: u64,
}

impl Writer {
    /// For the log of `spec`. Files are opened when there is something to write.
    pub fn new(spec: LogSpec) -> Self {
        Self {
            spec,
            file: None,
            size: 0,
            batch: Vec::new(),
            begun: [Vec::new(), Vec::new()],
            torn: false,
            unreported: None,
            lost: 0,
        }
    }

    /// Lines lost in all.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Takes what was read of a stream. Written when [`Self::commit`] is called, at the latest.
    pub fn feed(&mut self, at: Wall, stream: Stream, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let begun = &mut self.begun[slot(stream)];
            let room = LINE_BYTES - begun.len();
            let window = &bytes[..bytes.len().min(room + 1)];
            match window.iter().position(|b| *b == b'\n') {
                Some(end) => {
                    begun.extend_from_slice(&bytes[..end]);
                    bytes = &bytes[end + 1..];
                }
                None if bytes.len() > room => {
                    begun.extend_from_slice(&bytes[..room]);
                    bytes = &bytes[room..];
                }
                None => {
                    begun.extend_from_slice(bytes);
                    return;
                }
            }
            Line::write(at, stream, begun, &mut self.batch);
            begun.clear();
            if self.batch.len() >= BATCH_BYTES {
                self.commit(at);
            }
        }
    }

    /// The stream has ended: what was begun is a line as well.
    pub fn end(&mut self, at: Wall, stream: Stream) {
        let begun = std::mem::take(&mut self.begun[slot(stream)]);
        if !begun.is_empty() {
            Line::write(at, stream, &begun, &mut self.batch);
        }
    }

    /// Adds a line of the shim's own.
    pub fn note(&mut self, at: Wall, text: &str) {
        Line::write(at, Stream::Sup, text.as_bytes(), &mut self.batch);
    }

    /// Writes what was taken.
    pub fn commit(&mut self, at: Wall) {
        let mut batch = std::mem::take(&mut self.batch);
        if !batch.is_empty() {
            self.report_losses(at);
            self.write_lines(&batch);
        }
        batch.clear();
        self.batch = batch;
    }

    /// Says in the log that lines are missing, if that can be written now.
    fn report_losses(&mut self, at: Wall) {
        let Some((count, why)) = self.unreported.take() else { return };
        let mut note = Vec::new();
        Line::write(at, Stream::Sup, format!("{count} lines were lost: {why}").as_bytes(), &mut note);
        if self.write_chunk(&note).is_err() {
            self.unreported = Some((count, why));
        }
    }

    /// Writes whole lines, in as few chunks as the size limit of a file allows.
    fn write_lines(&mut self, lines: &[u8]) {
        let mut rest = lines;
        while !rest.is_empty() {
            // Before the size is asked for: the file may be there already, from an earlier shim.
            if let Err(source) = self.open() {
                self.lose(rest, &source);
                return;
            }
            let room = self.spec.max_bytes.saturating_sub(self.size);
            let fitting = fitting(rest, usize::try_from(room).unwrap_or(usize::MAX));
            // An empty file takes any line: the limit is far above a line's length.
            let length = if fitting == 0 && self.size == 0 { first_line(rest) } else { fitting };
            let result = if length == 0 { self.rotate() } else { self.write_chunk(&rest[..length]) };
            match result {
                Ok(()) => rest = &rest[length..],
                Err(Loss { written, source }) => {
                    self.lose(&rest[written..], &source);
                    return;
                }
            }
        }
    }

    fn lose(&mut self, lines: &[u8], source: &io::Error) {
        let count = lines.iter().filter(|b| **b == b'\n').count() as u64;
        self.lost += count;
        let before = self.unreported.take().map_or(0, |(count, _)| count);
        self.unreported = Some((before + count, source.to_string()));
    }

    fn write_chunk(&mut self, chunk: &[u8]) -> Result<(), Loss> {
        self.open().map_err(Loss::of_all)?;
        // Kept after a failure, too: a disk that is full has room again some time.
        let Some(mut file) = self.file.take() else { return Ok(()) };
        let result = self.write_to(&mut file, chunk);
        self.file = Some(file);
        result
    }

    fn write_to(&mut self, file: &mut File, chunk: &[u8]) -> Result<(), Loss> {
        if self.torn {
            file.write_all(b"\n").map_err(Loss::of_all)?;
            self.torn = false;
            self.size += 1;
        }
        let mut written = 0;
        while written < chunk.len() {
            match file.write(&chunk[written..]) {
                Ok(0) => return Err(Loss { written, source: ErrorKind::WriteZero.into() }),
                Ok(count) => {
                    written += count;
                    self.size += count as u64;
                    self.torn = chunk[written - 1] != b'\n';
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(Loss { written, source }),
            }
        }
        Ok(())
    }

    /// Opens the file unless it is open.
    fn open(&mut self) -> io::Result<()> {
        if self.file.is_some() {
            return Ok(());
        }
        fs::DirBuilder::new().recursive(true).mode(0o750).create(&self.spec.dir)?;
        let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path(&self.spec.dir, 0))?;
        self.size = file.metadata()?.len();
        // A power failure may have torn the last line; the next begins on its own then.
        self.torn = self.size > 0 && last_byte(&self.spec.dir, self.size) != Some(b'\n');
        self.file = Some(file);
        Ok(())
    }

    /// Makes room: every file moves on by one, the last is dropped.
    fn rotate(&mut self) -> Result<(), Loss> {
        self.file = None;
        let dir = &self.spec.dir;
        if self.spec.keep == 0 {
            remove(path(dir, 0)).map_err(Loss::of_all)?;
        }
        for n in (0..self.spec.keep).rev() {
            match fs::rename(path(dir, n), path(dir, n + 1)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(Loss::of_all(error)),
                Ok(()) | Err(_) => {}
            }
        }
        self.size = 0;
        self.torn = false;
        Ok(())
    }
}

/// A write failed after this many bytes.
struct Loss {
    written: usize,
    source: io::Error,
}

impl Loss {
    fn of_all(source: io::Error) -> Self {
        Self { written: 0, source }
    }
}

/// Where the beginning of a line of this stream is kept. Notes are whole lines.
fn slot(stream: Stream) -> usize {
    match stream {
        Stream::Out | Stream::Sup => 0,
        Stream::Err => 1,
    }
}

/// How many bytes of whole lines fit.
fn fitting(lines: &[u8], room: usize) -> usize {
    let window = &lines[..lines.len().min(room)];
    window.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1)
}

fn first_line(lines: &[u8]) -> usize {
    lines.iter().position(|b| *b == b'\n').map_or(lines.len(), |end| end + 1)
}

/// The last byte of the current file, of which `size` is known. `None`: it cannot be read.
fn last_byte(dir: &Path, size: u64) -> Option<u8> {
    let mut byte = [0];
    let file = File::open(path(dir, 0)).ok()?;
    file.read_exact_at(&mut byte, size - 1).ok()?;
    Some(byte[0])
}

fn remove(file: PathBuf) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::shim::log::{Query, tail};

    fn writer(dir: &Path, max_bytes: u64, keep: u32) -> Writer {
        Writer::new(LogSpec { dir: dir.to_owned(), max_bytes, keep })
    }

    fn texts(dir: &Path) -> Vec<String> {
        let lines = tail(dir, Query { lines: 10_000, since: None }).unwrap();
        lines.into_iter().map(|line| format!("{} {}", line.stream, line.text)).collect()
    }

    #[test]
    fn streams_are_joined_line_by_line_however_they_are_cut() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(dir.path(), 1 << 20, 1);
        log.feed(Wall(1), Stream::Out, b"one\ntw");
        log.feed(Wall(2), Stream::Err, b"oops\n");
        log.feed(Wall(3), Stream::Out, b"o\n\nno end");
        log.end(Wall(4), Stream::Out);
        log.end(Wall(4), Stream::Err);
        log.commit(Wall(4));
        assert_eq!(texts(dir.path()), ["out one", "err oops", "out two", "out ", "out no end"]);
    }

    #[test]
    fn a_line_is_whole_at_the_limit_and_split_one_beyond() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(dir.path(), 1 << 20, 1);
        let line = "x".repeat(LINE_BYTES);
        log.feed(Wall(1), Stream::Out, format!("{line}\n{line}y\n").as_bytes());
        log.commit(Wall(1));
        assert_eq!(texts(dir.path()), [format!("out {line}"), format!("out {line}"), "out y".to_owned()]);
    }

    #[test]
    fn files_rotate_before_they_exceed_the_limit_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(dir.path(), 100, 2);
        for n in 0..20 {
            log.feed(Wall(1), Stream::Out, format!("line {n:02}\n").as_bytes());
            log.commit(Wall(1));
        }
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["current.log", "current.log.1", "current.log.2"]);
        for name in names {
            assert!(fs::metadata(dir.path().join(name)).unwrap().len() <= 100);
        }
        // 36 bytes each: two lines a file.
        assert_eq!(texts(dir.path()), (14..20).map(|n| format!("out line {n}")).collect::<Vec<_>>());
    }

    #[test]
    fn without_kept_files_there_is_only_the_current_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(dir.path(), 100, 0);
        log.feed(Wall(1), Stream::Out, b"one line\ntwo line\nthe line\n");
        log.commit(Wall(1));
        assert_eq!(texts(dir.path()), ["out the line"]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_full_disk_loses_lines_and_the_log_says_so_when_there_is_room_again() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/dev/full", dir.path().join("current.log")).unwrap();
        let mut log = writer(dir.path(), 1 << 20, 1);
        log.feed(Wall(1), Stream::Out, b"one\ntwo\n");
        log.commit(Wall(1));
        log.feed(Wall(1), Stream::Out, b"three\n");
        log.commit(Wall(1));
        assert_eq!(log.lost(), 3);
        fs::remove_file(dir.path().join("current.log")).unwrap();
        log.file = None;
        log.feed(Wall(1), Stream::Out, b"four\n");
        log.commit(Wall(1));
        assert_eq!(texts(dir.path()), ["sup 3 lines were lost: No space left on device (os error 28)", "out four"]);
    }

    #[test]
    fn a_log_goes_on_where_an_earlier_shim_ended() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..3 {
            let mut log = writer(dir.path(), 100, 5);
            log.feed(Wall(1), Stream::Out, format!("start {n}\n").as_bytes());
            log.commit(Wall(1));
        }
        assert_eq!(texts(dir.path()), ["out start 0", "out start 1", "out start 2"]);
        fs::write(dir.path().join("current.log"), "torn").unwrap();
        let mut log = writer(dir.path(), 100, 5);
        log.feed(Wall(1), Stream::Out, b"more\n");
        log.commit(Wall(1));
        assert_eq!(texts(dir.path())[2..], ["sup torn", "out more"]);
        assert!(dir.path().join("current.log.1").exists(), "the size of the file found there was not counted");
    }
}
