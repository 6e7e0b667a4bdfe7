//! What survives a restart: one redb file per data directory, and the lock that keeps a second supervisor out.
//!
//! | file of the directory | holds |
//! | --- | --- |
//! | `lock` | the process id of the supervisor that runs here; locked while it does |
//! | `node-id` | who this node is, once more, so that a lost state is told from a first start |
//! | `state.redb` | all of [`crate::records::Restored`] |
//!
//! A write that failed was not acknowledged, and is tried again by whoever asked for it; before that all of the state is
//! written anew, since nobody knows what a failed sync left in memory and not on the disk.
//!
//! What was acknowledged is there after a power cut at any moment; the tests cut it at each. A state that is lost all the
//! same takes the node's id with it: see [`Lost`].

mod content;
mod error;
mod file;
mod lock;
mod node_id;
#[cfg(test)]
mod power;
mod state;
pub mod worker;

pub use error::StoreError;
pub use file::{Loaded, Lost, LostHow, Store};
