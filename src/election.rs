//! Who decides: seats, councils and leases. At any instant at most one member of a group holds a seat.
//!
//! One [`Election`] per group and node, a pure state machine: it is told the time, the view of the ring, the messages of
//! other members and the end of its writes, and says what to send, what to write, and what it holds. No promise rests on
//! the view: it says who should stand, never who may hold.
//!
//! | file | what |
//! | --- | --- |
//! | `machine` | the state, what comes in and what goes out |
//! | `voter` | promises and loans: whether a claim is granted |
//! | `vote` | answers to canvasses, claims and resignations |
//! | `candidate` | what a candidate knows of a seat, and how far it got |
//! | `stand` | when it stands, canvasses, claims, renews and resigns |
//! | `holder` | until when a seat is held: the arithmetic of leases |
//! | `council` | who votes |
//! | `genesis` | how the first council is agreed on |
//! | `found` | when a council is proposed, and to whom |
//! | `recover` | a council of which too many are lost, given up by a person |
//! | `inquiry` | what the ring is asked before |
//! | `change` | how a council is changed later on, and why that is safe |
//! | `wish`, `attendance` | which change is wanted, and what that goes by |
//! | `steward` | when a change is made, and what is said about it |
//! | `disk`, `durable` | what is written, and what may be told before it is |
//! | `rules`, `message`, `view`, `action`, `status` | what goes in and out |
//!
//! Not here: who is alive (the ring), how the result is told (records), what a holder does with its seat (services).

mod action;
mod attendance;
mod candidate;
mod change;
mod council;
mod disk;
mod durable;
mod found;
mod genesis;
mod holder;
mod inquiry;
mod machine;
mod message;
mod recover;
mod rules;
mod stand;
mod status;
mod steward;
#[cfg(test)]
mod tests;
mod view;
mod vote;
mod voter;
mod wish;

pub use action::{ElectionAction, LostWhy};
pub use change::{Amendment, Minutes};
pub use council::{Ballot, Council, CouncilId, GenesisId, Proposal, SUPERSEDED_MAX};
pub use durable::{Damage, ElectionError};
pub use machine::{Election, ElectionConfig};
pub use message::{Claimant, ElectionMessage, Holding, Part, Refusal};
pub use recover::RecoverError;
pub use rules::GroupRules;
pub use status::{ElectionStatus, SeatStatus};
pub use view::{Attends, Candidacy, News, View};
