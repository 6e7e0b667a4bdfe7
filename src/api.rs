//! The supervisor's interface for programs: HTTP over a unix socket and over TCP.
//!
//! | file | subject |
//! | --- | --- |
//! | [`shape`] | the JSON that is spoken, both ways; fields may be added, never renamed within `/v1` |
//! | [`Problem`] | every way to fail, with its stable type, HTTP status and exit code |
//! | [`Backend`] | what the server needs of a supervisor |
//! | [`server`] | routes, limits and deadlines, over any [`Backend`] |
//! | [`client`] | typed calls for the command line |
//!
//! It takes no decisions: what is allowed is the backend's to say.

mod backend;
pub mod client;
#[cfg(test)]
pub(crate) mod fake;
mod problem;
pub mod server;
pub mod shape;

pub use backend::{Backend, Changes, Lines, Upload};
pub use problem::{ExitStatus, Place, Problem, ProblemKind};
