//! Output of services and hooks.

use serde::{Deserialize, Serialize};

use super::time::Time;

/// `GET /v1/services/SVC/logs?lines=100&since_ms=300000&follow=true`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogsRequest {
    /// How many lines of the past; none for all that is kept.
    pub lines: Option<usize>,
    /// Only lines that are not older than this.
    pub since_ms: Option<u64>,
    /// Whether to go on with the lines to come.
    pub follow: bool,
}

/// One line, streamed as one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written.
    pub at: Time,
    /// Who wrote it: `run`, or the hook's name.
    pub source: String,
    /// To which of the two.
    pub stream: LogStream,
    /// The text, without the line's end.
    pub text: String,
}

/// Where a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogStream {
    /// Standard error.
    Stderr,
    /// Standard output.
    #[serde(other)]
    Stdout,
}
