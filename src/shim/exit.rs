//! How a process ended, and who wanted that.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::signal::Signal;
use crate::base::Wall;

/// The end of a process. All that descended from it is gone, too, when this is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// How it ended.
    pub how: ExitHow,
    /// When it ended.
    pub at: Wall,
    /// Who wanted that.
    pub stopped_by: StoppedBy,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitHow {
    /// It exited with this status.
    Code(i32),
    /// A signal killed it.
    Signal(i32),
    /// Its shim was killed, and the process with it. How exactly nobody saw.
    Unseen,
}

/// Who wanted a process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoppedBy {
    /// Nobody: it ended of itself, or something that is not `sup` killed it.
    Itself,
    /// The supervisor asked for it.
    Asked,
    /// The lease ran out, and nobody had renewed it.
    Lease,
}

impl fmt::Display for ExitHow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(f, "exited with status {code}"),
            Self::Signal(number) => match Signal::from_number(number) {
                Some(signal) => write!(f, "killed by signal {signal}"),
                None => write!(f, "killed by signal {number}"),
            },
            Self::Unseen => f.write_str("killed together with its shim"),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stopped_by {
            StoppedBy::Itself => self.how.fmt(f),
            StoppedBy::Asked => write!(f, "stopped as asked ({})", self.how),
            StoppedBy::Lease => f.write_str("stopped by its shim: the lease ran out"),
        }
    }
}
