//! Answers without an end, line by line.

use bytes::{Buf, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::Answer;
use crate::api::shape::{Event, LogLine};
use crate::api::{Problem, ProblemKind};

/// Longest line that is read, in bytes.
const LINE_BYTES: usize = 1024 * 1024;

/// Lines of a body.
#[derive(Debug)]
struct Lines {
    body: Incoming,
    buffer: BytesMut,
    /// How much of the buffer is known to have no line's end.
    seen: usize,
}

impl Lines {
    fn new(body: Incoming) -> Self {
        Self { body, buffer: BytesMut::new(), seen: 0 }
    }

    /// The next line without its end; none when there are no more. A last line without an end is none: the sender ends
    /// each one, so it is a torn one. Nothing is lost if the future is dropped.
    async fn next(&mut self) -> Answer<Option<BytesMut>> {
        loop {
            if let Some(end) = self.buffer[self.seen..].iter().position(|&byte| byte == b'\n') {
                let line = self.buffer.split_to(self.seen + end);
                self.buffer.advance(1);
                self.seen = 0;
                return Ok(Some(line));
            }
            self.seen = self.buffer.len();
            if self.seen > LINE_BYTES {
                return Err(Problem::new(ProblemKind::Internal, format!("a line is longer than {LINE_BYTES} bytes")));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => {
                    return Err(Problem::new(ProblemKind::Unreachable, format!("the supervisor broke off: {error}"))
                        .next("look whether it still runs: sup status"));
                }
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
            }
        }
    }
}

/// Notices of changes.
#[derive(Debug)]
pub struct Events(Lines);

impl Events {
    pub(super) fn new(body: Incoming) -> Self {
        Self(Lines::new(body))
    }

    /// The next notice; none once the supervisor ends.
    ///
    /// # Errors
    ///
    /// The connection broke, or what came is no notice.
    pub async fn next(&mut self) -> Answer<Option<Event>> {
        while let Some(line) = self.0.next().await? {
            // The kind is in the data, too; comments keep the connection.
            if let Some(data) = line.strip_prefix(b"data:") {
                return decode(data).map(Some);
            }
        }
        Ok(None)
    }
}

/// Lines of a log.
#[derive(Debug)]
pub struct LogLines(Lines);

impl LogLines {
    pub(super) fn new(body: Incoming) -> Self {
        Self(Lines::new(body))
    }

    /// The next line; none when there are no more.
    ///
    /// # Errors
    ///
    /// The connection broke, or what came is no line.
    pub async fn next(&mut self) -> Answer<Option<LogLine>> {
        match self.0.next().await? {
            Some(line) => decode(&line).map(Some),
            None => Ok(None),
        }
    }
}

fn decode<T: serde::de::DeserializeOwned>(line: &[u8]) -> Answer<T> {
    serde_json::from_slice(line).map_err(|error| {
        Problem::new(ProblemKind::Internal, format!("a line from the supervisor cannot be read: {error}"))
            .next("compare the versions: sup --version, and that of the supervisor")
    })
}
