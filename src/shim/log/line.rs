//! One line of a log.

use std::fmt;

use crate::base::Wall;
use crate::rfc3339;

/// Longest text of a line, in bytes. What is longer becomes several lines.
pub const LINE_BYTES: usize = 16 * 1024;

/// Where a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// The process's standard output.
    Out,
    /// Its standard error.
    Err,
    /// The shim: a note about the log or the process.
    Sup,
}

impl Stream {
    /// As it is written in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Err => "err",
            Self::Sup => "sup",
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When the shim read it.
    pub at: Wall,
    /// Where it comes from.
    pub stream: Stream,
    /// What it says, without the end of line. Bytes that are not UTF-8 are replaced.
    pub text: String,
}

impl Line {
    /// Reads a line of a log file, without its end. A line that does not begin as all do (somebody edited the file, or
    /// a power failure tore it) is nobody's: the epoch's, said by the shim.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let torn = || Self { at: Wall(0), stream: Stream::Sup, text: String::from_utf8_lossy(bytes).into_owned() };
        let mut parts = bytes.splitn(3, |b| *b == b' ');
        let (Some(at), Some(stream), Some(text)) = (parts.next(), parts.next(), parts.next()) else { return torn() };
        let Some(at) = std::str::from_utf8(at).ok().and_then(rfc3339::parse) else { return torn() };
        let stream = match stream {
            b"out" => Stream::Out,
            b"err" => Stream::Err,
            b"sup" => Stream::Sup,
            _ => return torn(),
        };
        Self { at, stream, text: String::from_utf8_lossy(text).into_owned() }
    }

    /// Appends the line as it stands in a log file, with its end.
    pub(super) fn write(at: Wall, stream: Stream, text: &[u8], into: &mut Vec<u8>) {
        into.extend_from_slice(rfc3339::format(at).as_bytes());
        into.push(b' ');
        into.extend_from_slice(stream.as_str().as_bytes());
        into.push(b' ');
        into.extend_from_slice(text);
        into.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_as_it_was_written() {
        let mut file = Vec::new();
        Line::write(Wall(1_795_245_990_123), Stream::Err, "a  b ü".as_bytes(), &mut file);
        assert_eq!(file, "2026-11-21T07:26:30.123Z err a  b ü\n".as_bytes());
        let line = Line::parse(&file[..file.len() - 1]);
        assert_eq!(line, Line { at: Wall(1_795_245_990_123), stream: Stream::Err, text: "a  b ü".into() });
    }

    #[test]
    fn an_empty_line_is_a_line() {
        let mut file = Vec::new();
        Line::write(Wall(0), Stream::Out, b"", &mut file);
        assert_eq!(Line::parse(&file[..file.len() - 1]), Line { at: Wall(0), stream: Stream::Out, text: "".into() });
    }

    #[test]
    fn a_torn_line_is_shown_as_it_is() {
        for text in ["", "hello", "2026-11-21T07:26:30.123Z", "2026-11-21T07:26:30.123Z what x", "x out y"] {
            assert_eq!(Line::parse(text.as_bytes()).text, text);
        }
    }
}
