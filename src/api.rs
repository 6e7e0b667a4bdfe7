//! The supervisor's interface for programs: HTTP over a unix socket and over TCP.
//!
//! | file | subject |
//! | --- | --- |
//! | [`shape`] | the JSON that is spoken, both ways; fields may be added, never renamed within `/v1` |
//! | [`Problem`] | every way to fail, with its stable type, HTTP status and exit code |
//! | [`Backend`] | what the server needs of a supervisor |
//! | [`server`] | routes, limits and deadlines, over any [`Backend`] |
//! | [`access`] | who may ask for what |
//! | [`token`] | what programs and people beyond the local socket say who they are with |
//! | [`tls`] | certificates, of both sides |
//! | [`client`] | typed calls for the command line |
//!
//! It decides who may ask ([`access`]). What is possible is the backend's to say.

pub mod access;
mod backend;
pub mod client;
#[cfg(test)]
pub(crate) mod fake;
mod problem;
pub(crate) mod secret_file;
pub mod server;
pub mod shape;
pub mod tls;
pub mod token;

pub use backend::{Backend, Changes, Lines, Upload};
pub use problem::{ExitStatus, Place, Problem, ProblemKind};
pub use secret_file::SecretFileError;
