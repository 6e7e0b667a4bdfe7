//! The words that everything else is written in: ids, names, time, terms and the limits of all of them.
//!
//! Nothing here has behaviour beyond parsing, printing and ordering. All of it is plain data that is the same on
//! every node; nothing here may look at a clock, an environment or a random source.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod file_name;
mod group;
mod hash;
mod id;
pub mod limits;
mod name;
mod quote;
mod release;
mod ring_name;
mod role;
mod seat;
mod time;
mod token_id;

pub use file_name::{FileName, FileNameError};
pub use group::{GroupId, GroupIdError};
pub use hash::{Hash, HashError};
pub use id::{NodeId, NodeIdError};
pub use name::{Name, NameError};
pub use quote::{quote, without_quotations};
pub use release::{BlobRef, ReleaseId, ReleaseRef, Version, VersionError};
pub use ring_name::{RingName, RingNameError};
pub use role::{Role, RoleError};
pub use seat::{Seat, SeatError, Term};
pub use time::{Mono, Now, Wall};
pub use token_id::{TOKEN_ENV, TokenId, TokenIdError};
