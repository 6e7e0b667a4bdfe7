//! The small process that holds a service's process.
//!
//! A supervisor does not start a service itself: it starts a **shim** (this binary again, as `sup shim`), and the shim
//! starts the service. The shim is the parent: it owns the process group, drains the output into rotated log files,
//! collects the exit status, and answers on a unix socket. So a supervisor may crash, be killed, or be replaced by a
//! newer one while its services run on; when it is back, it adopts the shims that it finds.
//!
//! A shim is also the **dead-man's switch** of a led service. It is told until when the lease runs, and at that instant
//! kills the service's whole process group unless a renewal has come before. The service dies with its shim, too.
//!
//! | file | what it is |
//! | --- | --- |
//! | [`spec`] | what to launch: everything that a shim has to know |
//! | [`signal`] | names of signals |
//! | [`exit`] | how a process ended, and who wanted that |
//! | [`client`] | the supervisor's side: launch, adopt, stop, wait (async) |
//! | `program` | the shim itself: a loop around `poll`, without tokio |
//! | `exec` | between fork and exec: the only unsafe code of the project |
//! | `guard` | the dead-man's switch |
//! | `descent` | all processes that descend from a shim, and how to be rid of them |
//! | `server`, [`protocol`] | the socket, and what is said on it |
//! | `address` | unix sockets at paths of any length |
//! | [`log`] | the log files: written by the shim, read by anybody |
//! | `clock` | CLOCK_BOOTTIME and the time of day |
//!
//! A shim takes no decisions: it never restarts anything. It stays until its exit status was collected
//! ([`Client::forget`]), for days if it must; it costs about two megabytes and no processor time.
//!
//! What a shim does not survive: `SIGKILL` to itself. The service dies with it then, by `PDEATHSIG`; processes that the
//! service had started are killed by the next supervisor that looks ([`Client::adopt`], [`Client::wait`]).

mod address;
pub mod client;
mod clock;
mod descent;
mod exec;
pub mod exit;
mod guard;
pub mod log;
mod program;
pub mod protocol;
mod server;
pub mod signal;
pub mod spec;

pub use client::{Client, ClientError, LaunchError};
pub use exit::{Exit, ExitHow, StoppedBy};
pub use program::main;
pub use protocol::{Failure, State, Status};
pub use signal::{Signal, SignalError};
pub use spec::{Credentials, LaunchSpec, Limit, LogSpec, Privileges, Resource, SpecError, StopSpec};
