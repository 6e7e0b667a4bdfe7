//! `sup`, a masterless service supervisor.
//!
//! The library is in two halves. The *core* is pure: no I/O, no clock, no randomness of its own, no threads; every
//! module of it is a state machine that takes `now` and an input and returns outputs, so that [`sim`] runs thousands
//! of the very nodes that ship. The *shell* does what the core asks for, and takes no decisions.
//!
//! | core | subject |
//! | --- | --- |
//! | [`base`] | ids, names, time, terms: the words of everything else |
//! | [`ring`] | who is alive (SWIM, by foca) |
//! | [`records`] | what is known (last writer wins, gossiped and repaired) |
//! | [`census`] | the view: groups, members, who leads |
//! | [`election`] | who decides (seats, councils, leases) |
//! | [`rollout`] | who changes next (rolling changes) |
//! | [`node`] | the state machine that composes them |
//! | [`sim`] | a deterministic cluster of nodes on virtual time |
//!
//! | shell | subject |
//! | --- | --- |
//! | [`net`], [`store`] | sockets and disk for the core |
//! | [`blob`] | what is too large for a record: release archives, uploaded files |
//! | [`release`] | a plan, packed, signed, and unpacked elsewhere |
//! | [`plan`], [`template`] | what a service is, and how its files are rendered |
//! | [`service`], [`shim`] | a running service, and the process that holds it |
//! | [`supervisor`] | wires all of it |
//! | [`api`], [`cli`] | how programs and people reach a supervisor |
//! | [`demo`] | the built-in service that `sup dev` shows |
//! | `places` | how many may connect, and how many of them from one address |
//! | [`whole`] | files that are written as a whole or not at all |
//! | [`rfc3339`] | times as people and programs read them |

#![deny(missing_docs)]
#![deny(unsafe_code)]

pub mod api;
pub mod base;
pub mod blob;
pub mod census;
pub mod cli;
pub mod demo;
pub mod election;
pub mod net;
pub mod node;
mod places;
pub mod plan;
pub mod records;
pub mod release;
pub mod rfc3339;
pub mod ring;
pub mod rollout;
pub mod service;
pub mod shim;
pub mod sim;
pub mod store;
pub mod supervisor;
pub mod template;
pub mod whole;
