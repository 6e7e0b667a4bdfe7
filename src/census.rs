//! The view: a pure function of membership and records. Groups, their members, who leads, health and config.
//!
//! Everything that people and templates see of the ring comes from here. It is kept incrementally: a change of one
//! record marks the groups that it belongs to, and [`Census::refresh`] rebuilds the views of those that somebody
//! watches, and no other. A group that nobody watches costs the index entry of its records, and is built when it is
//! asked for.
//!
//! In: what the ring says of nodes ([`Census::set_node`]), records ([`Census::apply`]), and what this node's own
//! elections say ([`Census::set_election`], [`Census::set_held`]): of itself a node believes its lease, not gossip.
//! Out: [`NodeView`]s, [`GroupView`]s, and the history of configs.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod build;
mod departed;
mod goal;
mod history;
mod index;
mod view;

#[cfg(test)]
mod tests;

pub use goal::{Goal, Turn, When};
pub use history::{ConfigEntry, Entry, FileEntry, Revision, Standing};
pub use index::{Census, Changes, Superseded, Unreadable};
pub use view::{ConfigView, CouncilView, ElectionState, FileView, GroupView, Liveness, MemberView, NodeView, SeatView};
