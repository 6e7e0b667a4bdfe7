//! The last lines of a log.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::line::Line;
use super::path;
use crate::base::Wall;
use crate::shim::spec::LOG_KEEP_MAX;

/// Most lines that are returned at once.
pub const TAIL_LINES_MAX: usize = 10_000;
/// Most text that is returned at once, in bytes; long lines reach it before their number does.
pub const TAIL_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How much is read of a file at a time, in bytes.
const BLOCK_BYTES: u64 = 64 * 1024;

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

/// A place in a log: a file, and how far it was read.
pub(super) struct Position {
    pub file: File,
    pub inode: u64,
    pub offset: u64,
}

/// The last lines of the log in `dir`, oldest first, rotated files included. No directory: no lines. This reads files
/// and so blocks: not for the thread of a network loop.
///
/// # Errors
/// A file is there and cannot be read.
pub fn tail(dir: &Path, query: Query) -> Result<Vec<Line>, LogError> {
    tail_to(dir, query).map(|(lines, _)| lines)
}

/// As [`tail`], and where the last line ends. A line that has no end yet is not returned.
pub(super) fn tail_to(dir: &Path, query: Query) -> Result<(Vec<Line>, Option<Position>), LogError> {
    let mut wanted = Wanted { lines: query.lines.min(TAIL_LINES_MAX), bytes: TAIL_BYTES_MAX, since: query.since };
    let mut lines = Vec::new();
    let mut end = None;
    let mut seen = BTreeSet::new();
    for n in 0..=LOG_KEEP_MAX {
        let path = path(dir, n);
        let error = |source| LogError { path: path.clone(), source };
        let Some((file, inode)) = open(&path).map_err(error)? else { break };
        // The log was rotated while this went backwards, and the file moved one on.
        if !seen.insert(inode) {
            continue;
        }
        let complete = read_backwards(&file, &mut wanted, &mut lines).map_err(error)?;
        end.get_or_insert(Position { file, inode, offset: complete });
        if wanted.lines == 0 {
            break;
        }
    }
    lines.reverse();
    Ok((lines, end))
}

/// Opens a file of a log, if it is there.
pub(super) fn open(path: &Path) -> io::Result<Option<(File, u64)>> {
    match File::open(path) {
        Ok(file) => {
            let inode = file.metadata()?.ino();
            Ok(Some((file, inode)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is still to be found.
struct Wanted {
    lines: usize,
    bytes: usize,
    since: Option<Wall>,
}

impl Wanted {
    /// Whether the line, the last before those taken already, is wanted, too. If not, none before it is.
    fn take(&mut self, line: &Line) -> bool {
        // A torn line has no time of its own; it belongs to those around it.
        let is_recent = self.since.is_none_or(|since| line.at >= since || line.at == Wall(0));
        if self.lines == 0 || self.bytes < line.text.len() || !is_recent {
            self.lines = 0;
            return false;
        }
        self.lines -= 1;
        self.bytes -= line.text.len();
        true
    }
}

/// Pushes the wanted lines of a file, last first. Returns where its last whole line ends.
fn read_backwards(file: &File, wanted: &mut Wanted, lines: &mut Vec<Line>) -> io::Result<u64> {
    let mut start = file.metadata()?.len();
    // What was read from `start` on and is not a line yet.
    let mut held = Vec::new();
    // The end of the last whole line, as soon as it was seen.
    let mut complete = None;
    while start > 0 && (wanted.lines > 0 || complete.is_none()) {
        let block_start = start.saturating_sub(BLOCK_BYTES);
        let mut block = vec![0; usize::try_from(start - block_start).unwrap_or_default()];
        file.read_exact_at(&mut block, block_start)?;
        block.append(&mut held);
        start = block_start;
        held = block;
        if complete.is_none() {
            let Some(last) = held.iter().rposition(|b| *b == b'\n') else { continue };
            held.truncate(last);
            complete = Some(start + last as u64 + 1);
        }
        while let Some(end) = held.iter().rposition(|b| *b == b'\n') {
            let line = Line::parse(&held[end + 1..]);
            if !wanted.take(&line) {
                return Ok(complete.unwrap_or_default());
            }
            lines.push(line);
            held.truncate(end);
        }
    }
    if complete.is_some() && start == 0 {
        let line = Line::parse(&held);
        if wanted.take(&line) {
            lines.push(line);
        }
    }
    Ok(complete.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::shim::log::{CURRENT, Stream};

    fn log(dir: &Path, name: &str, range: std::ops::Range<u64>, padding: usize) {
        let mut bytes = Vec::new();
        for n in range {
            let text = format!("{n}{}", " ".repeat(padding));
            Line::write(Wall(n), Stream::Out, text.as_bytes(), &mut bytes);
        }
        fs::write(dir.join(name), bytes).unwrap();
    }

    fn numbers(lines: &[Line]) -> Vec<u64> {
        lines.iter().map(|line| line.text.trim().parse().unwrap()).collect()
    }

    #[test]
    fn the_last_lines_are_found_across_blocks_and_files() {
        for padding in [0, 9000] {
            let dir = tempfile::tempdir().unwrap();
            log(dir.path(), "current.log.2", 0..30, padding);
            log(dir.path(), "current.log.1", 30..60, padding);
            log(dir.path(), CURRENT, 60..70, padding);
            for count in [0, 1, 10, 11, 40, 69, 70, 71] {
                let lines = tail(dir.path(), Query { lines: count, since: None }).unwrap();
                assert_eq!(numbers(&lines), (70 - count.min(70) as u64..70).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn since_leaves_out_what_is_older() {
        let dir = tempfile::tempdir().unwrap();
        log(dir.path(), "current.log.1", 0..30, 0);
        log(dir.path(), CURRENT, 30..40, 0);
        let lines = tail(dir.path(), Query { lines: 1000, since: Some(Wall(28)) }).unwrap();
        assert_eq!(numbers(&lines), (28..40).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_without_an_end_is_left_for_later() {
        let dir = tempfile::tempdir().unwrap();
        log(dir.path(), CURRENT, 0..2, 0);
        let whole = fs::metadata(dir.path().join(CURRENT)).unwrap().len();
        let mut bytes = fs::read(dir.path().join(CURRENT)).unwrap();
        bytes.extend_from_slice(b"2026-11-21T07:26:3");
        fs::write(dir.path().join(CURRENT), bytes).unwrap();
        let (lines, end) = tail_to(dir.path(), Query { lines: 5, since: None }).unwrap();
        assert_eq!(numbers(&lines), [0, 1]);
        assert_eq!(end.unwrap().offset, whole);
    }

    #[test]
    fn no_log_has_no_lines() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(tail(&dir.path().join("none"), Query { lines: 5, since: None }).unwrap(), []);
        fs::write(dir.path().join(CURRENT), "").unwrap();
        assert_eq!(tail(dir.path(), Query { lines: 5, since: None }).unwrap(), []);
    }

    #[test]
    fn lines_and_bytes_of_one_answer_are_limited() {
        let dir = tempfile::tempdir().unwrap();
        log(dir.path(), CURRENT, 0..TAIL_LINES_MAX as u64 + 5, 0);
        assert_eq!(tail(dir.path(), Query { lines: usize::MAX, since: None }).unwrap().len(), TAIL_LINES_MAX);
        log(dir.path(), CURRENT, 0..1000, 16_000);
        let lines = tail(dir.path(), Query { lines: 1000, since: None }).unwrap();
        let bytes: usize = lines.iter().map(|line| line.text.len()).sum();
        assert!(bytes <= TAIL_BYTES_MAX && bytes + 17_000 > TAIL_BYTES_MAX);
    }
}
