//! What is said on a shim's socket: frames of JSON, each after its length in four bytes, most significant first.
//!
//! JSON, because the two sides may be of different versions of `sup`: a supervisor is upgraded while the shims of the
//! old version run on. A field that is not known is ignored; a request that is not known is refused, and the
//! connection goes on. What is no JSON, or longer than [`FRAME_BYTES`], ends the connection and nothing else.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::exit::Exit;
use super::signal::Signal;
use crate::base::{Mono, Wall};

/// Longest frame, in bytes without its length. All that is said is short.
pub const FRAME_BYTES: usize = 16 * 1024;
/// Bytes of a frame's length.
pub const LENGTH_BYTES: usize = 4;

/// What a supervisor asks of a shim. Each is answered by one [`Response`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// How is it going?
    Status,
    /// Send the process (not its group) a signal.
    Signal(Signal),
    /// Send the group a signal, and `SIGKILL` to what is left after a while. Answered at once.
    Stop {
        /// The signal.
        signal: Signal,
        /// How long the process is given, in milliseconds.
        timeout_ms: u64,
    },
    /// The lease now ends then; `None`: it never does.
    Lease {
        /// The instant.
        until: Option<Mono>,
    },
    /// Tell this connection of the exit as soon as it is there (or at once).
    Subscribe,
    /// The exit is known (or of no interest): the shim may leave once the process is gone.
    Forget,
}

/// What a shim says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// To [`Request::Status`].
    Status(Status),
    /// It is done.
    Done,
    /// It is not done, and this is why.
    Refused(String),
    /// Unasked, to those who subscribed: the process is gone.
    Exited(Exit),
}

/// A shim's account of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The process's id, and its group's. Of the past if it has exited.
    pub pid: u32,
    /// When the kernel started the process, in its clock ticks since boot: with `pid`, an id that is never used twice.
    pub birth: u64,
    /// The shim's own process id.
    pub shim_pid: u32,
    /// When the process was started.
    pub started_at: Wall,
    /// Whether it runs.
    pub state: State,
    /// Until when the lease runs.
    pub lease: Option<Mono>,
    /// Lines of output that were lost because they could not be written.
    pub lines_lost: u64,
}

/// Whether a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It runs.
    Running,
    /// It was asked to stop, and has not ended yet.
    Stopping,
    /// It is gone.
    Exited(Exit),
}

/// Why a shim did not start its process. Nothing is left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// No directory of `PATH` has the program.
    #[error("{program}: not found in PATH ({path})")]
    NotInPath {
        /// The program.
        program: String,
        /// The directories that were looked into.
        path: String,
    },
    /// The program is there and cannot be executed, or is not there though it was named with its directory.
    #[error("{program}: {why}")]
    NotExecutable {
        /// The program.
        program: String,
        /// What the system says.
        why: String,
    },
    /// One of the steps before the program starts failed.
    #[error("cannot {step}: {why}")]
    Step {
        /// The step, such as `change to directory /x`.
        step: String,
        /// What the system says.
        why: String,
    },
    /// The lease that the process was to run under is over.
    #[error("the lease ran out before the process was started")]
    LeaseOver,
    /// A shim is there already for this service.
    #[error("a process of this service is there already: its shim holds {}", .0.display())]
    Occupied(PathBuf),
    /// What the shim read is no launch spec: it is of another version.
    #[error("the shim does not understand its launch spec: {0}")]
    Spec(String),
}

impl Failure {
    /// A step that the system did not allow.
    pub(super) fn step(step: &str, source: &std::io::Error) -> Self {
        Self::Step { step: step.to_owned(), why: source.to_string() }
    }
}

/// What a shim writes to its standard output, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// The program runs.
    Launched(Status),
    /// It does not.
    Failed(Failure),
}

/// What the first bytes of a stream are.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Not a whole frame yet.
    Partial,
    /// A frame, and how many bytes it took with its length.
    Whole {
        /// The frame's content.
        body: &'a [u8],
        /// Bytes to skip to get to the next.
        taken: usize,
    },
    /// A frame that is longer than allowed.
    TooLong,
}

/// Looks for a frame at the start of `bytes`.
pub fn first_frame(bytes: &[u8]) -> Frame<'_> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else { return Frame::Partial };
    let length = u32::from_be_bytes(*length) as usize;
    if length > FRAME_BYTES {
        return Frame::TooLong;
    }
    match rest.get(..length) {
        Some(body) => Frame::Whole { body, taken: LENGTH_BYTES + length },
        None => Frame::Partial,
    }
}

/// The message as a frame. `None`: it is too long for one.
pub fn encode<T: Serialize>(message: &T) -> Option<Vec<u8>> {
    let mut frame = vec![0; LENGTH_BYTES];
    serde_json::to_writer(&mut frame, message).ok()?;
    let length = frame.len() - LENGTH_BYTES;
    if length > FRAME_BYTES {
        return None;
    }
    frame[..LENGTH_BYTES].copy_from_slice(&u32::try_from(length).ok()?.to_be_bytes());
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_at_the_limit_and_refused_one_beyond() {
        let text = |len: usize| "x".repeat(len - 2); // The two quotes of JSON.
        let frame = encode(&text(FRAME_BYTES)).unwrap();
        assert!(matches!(first_frame(&frame), Frame::Whole { taken, .. } if taken == frame.len()));
        assert_eq!(encode(&text(FRAME_BYTES + 1)), None);
        let beyond = u32::try_from(FRAME_BYTES + 1).unwrap().to_be_bytes();
        assert_eq!(first_frame(&beyond), Frame::TooLong);
    }

    #[test]
    fn a_frame_is_found_however_the_stream_is_cut() {
        let frame = encode(&Request::Stop { signal: Signal::TERM, timeout_ms: 8000 }).unwrap();
        for cut in 0..frame.len() {
            assert_eq!(first_frame(&frame[..cut]), Frame::Partial);
        }
        let mut two = frame.clone();
        two.extend_from_slice(&frame);
        let Frame::Whole { body, taken } = first_frame(&two) else { panic!("no frame") };
        assert_eq!(taken, frame.len());
        assert_eq!(
            serde_json::from_slice::<Request>(body).unwrap(),
            Request::Stop { signal: Signal::TERM, timeout_ms: 8000 }
        );
    }
}
