//! Who changes next: how a group goes from one release, config or state to another, a few members at a time.
//!
//! One member of the group holds the `updater` seat. It alone writes the group's rollout record, fenced by its term, and
//! gives members their turns in it. A turn begins only once a majority of the council has the record that grants it on
//! disk, and only on the updater's word given while its lease runs; so whoever takes the seat next knows every turn that
//! may have begun, and a deposed updater begins none.
//!
//! In: the group's view ([`crate::census::GroupView`]), messages of other members, the seat, time. Out: [`RolloutAction`]s
//! and, for this node's own member, its [`goal`].
//!
//! | file | subject | runs on |
//! | --- | --- | --- |
//! | `goal` | what a member is to be now: a pure function of the view | every member |
//! | `member` | asks the updater whether a granted turn may begin | every member |
//! | `voter` | tells the updater which version of the record is on disk | every voter |
//! | `updater` | gives turns, judges them, obeys orders | the holder of the seat |
//! | `order` | whose turn is next | the holder of the seat |
//! | `news` | what the record tells those who did not write it | every member |
//! | `message` | what they say to each other |  |
//! | `action` | what is to be done, and remarks for people |  |
//!
//! What this does not do: it fetches, stops and starts nothing (the member's shell does, and reports in its status), it
//! elects nobody, and it knows a member's state only from what the member says.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod action;
mod goal;
mod member;
mod message;
mod news;
mod order;
mod updater;
mod voter;

pub use action::{RolloutAction, RolloutNote};
pub use goal::{Own, goal};
pub use member::{Leads, Member};
pub use message::{RolloutMessage, Version};
pub use news::news;
pub use order::TURNS_MAX;
pub use updater::{Facts, Lease, Updater};
pub use voter::Voter;
