//! The view: a pure function of membership and records. Groups, their members, who leads, health and config.
//!
//! Everything that people and templates see of the ring comes from here. It is kept incrementally: a change of one
//! record rebuilds the views of the groups that it belongs to, and no other.

mod view;

pub use view::{ConfigView, CouncilView, ElectionState, GroupView, Liveness, MemberView, NodeView, SeatView};
