//! A running service: one task per service, and the pure state machine that decides what the task does.
//!
//! | file | noun |
//! | --- | --- |
//! | `standing` | what a member has accepted to be, on the disk |
//! | `spec` | what was asked for: the file that says which service runs here, and how |
//! | `paths` | where a service lives in the data directory |
//! | `machine` | the states of a service and what leads from one to another; pure, tested without processes |
//! | `render` | from a view of the ring to files on the disk, and what their change asks for |
//! | `files` | uploaded files on the disk |
//! | `hook` | one run of a hook: its group, its output, its time limit |
//! | `health` | one run of a health check |
//! | `watch` | changes of `user.toml` |
//! | `task` | the driver: performs what the machine decides, and feeds it what happened |
//! | `status` | what the ring and the API are told |
//!
//! In come the views of the service's own group and of the groups that it binds to, the lease of the leader's seat,
//! and commands. Out goes a [`ServiceStatus`], on every change. The process itself belongs to its [`crate::shim`]:
//! when this task or the whole supervisor ends, the process runs on, and is adopted by the next task.
//!
//! What this does not do: it does not elect, does not publish, does not write specs, and knows no other service.

mod config;
mod files;
mod ground;
mod handle;
mod health;
mod hook;
mod lease;
mod load;
mod log;
pub mod machine;
mod output;
mod process;
mod render;
mod spec;
mod standing;
mod status;
mod task;
mod view;
mod watch;

pub use ground::hook_logs;
pub use handle::{
    Clock, Command, Deps, Fetching, Handle, HeldLease, LeaseState, Releases, RingState, ServiceGone, Subscribe, spawn,
};
pub use render::{Effect, Trial};
pub use spec::{Bind, BindError, BindingMode, LoadSpecError, SaveSpecError, ServiceSpec};
pub use status::{HookReport, ServiceStatus};
