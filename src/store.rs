//! What survives a restart: one redb file per data directory, and the lock that keeps a second supervisor out.
//!
//! | file of the directory | holds |
//! | --- | --- |
//! | `lock` | the process id of the supervisor that runs here; locked while it does |
//! | `node-id` | who this node is, once more, so that a lost state does not make it another node |
//! | `state.redb` | everything else of [`crate::records::Restored`] |

mod error;
mod file;
mod lock;
mod node_id;
pub mod worker;

pub use error::StoreError;
pub use file::{Loaded, MovedAside, Store};
