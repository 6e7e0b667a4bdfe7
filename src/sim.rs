//! A deterministic cluster of nodes on virtual time: the very [`crate::node::Node`]s that ship, with a simulated
//! network, disk, clocks and services, and faults drawn from a seed.
//!
//! One seed gives one run: the same seed twice gives the same [`Outcome::trace`]. Invariants are checked after every
//! event; a failure prints the seed, the last events, and a command that repeats it.
//!
//! | file | subject |
//! | --- | --- |
//! | `clock.rs` | each node's own clocks, which drift |
//! | `network.rs` | latency, loss, duplication, reordering, one-way cuts |
//! | `disk.rs` | what survives a crash, and what does not |
//! | `service.rs`, `make.rs` | a fake service whose start, health and exits are scripted, and the shell around it |
//! | `services.rs` | what happens to services, carried out |
//! | `host.rs` | one machine: clock, disk, service, and the node while it runs |
//! | `cluster.rs` | the event queue, and the outputs of nodes carried out |
//! | `faults.rs` | what goes wrong and when, drawn from a seed |
//! | `invariants.rs` | what must hold after every event |
//! | `rollouts.rs` | what must hold of rollouts after every event |
//! | `rolling.rs` | a whole run of rollouts |
//! | `plant.rs` | faults that are planted to see whether the invariants find them |
//! | `scenario.rs` | a whole run: start, faults, healing, judgement |

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod clock;
mod cluster;
mod disk;
mod faults;
mod host;
mod invariants;
mod make;
mod network;
mod plant;
mod rolling;
mod rollouts;
mod scenario;
mod service;
mod services;
mod trace;

pub use cluster::{Cluster, ClusterConfig};
pub use faults::Fault;
pub use invariants::Violation;
pub use make::{Fate, Make};
pub use network::Link;
pub use plant::{Plant, PlantError};
pub use rolling::{RolloutOutcome, RolloutScenario};
pub use rollouts::RolloutViolation;
pub use scenario::{Failure, Outcome, Scenario};
pub use service::Script;
