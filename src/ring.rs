//! Who is alive.
//!
//! [`Ring`] is [foca](https://docs.rs/foca) (SWIM with suspicion) as one pure state machine, and what foca leaves out.
//! In go datagrams, requests and responses of streams, outcomes of TCP probes and time; out come [`RingAction`]s:
//! things to send, to ask and to store, and [`RingEvent`]s for whoever keeps the view.
//!
//! | file | subject |
//! | --- | --- |
//! | [`identity`](Identity) | who a member is on the wire: node id, address, generation |
//! | [`profile`](Profile) | every number that depends on the network: periods, timeouts, the lease |
//! | `message` | what travels: datagrams, requests, responses, and their limits |
//! | `action` | what the ring asks of its driver, and what it tells |
//! | `machine` | [`Ring`] itself: inputs to the parts below, time, the queue of actions |
//! | `swim` | foca in its cage: calls go in, packets, timers and notices come out |
//! | `packet` | reading foca's packets before foca does, to keep talk about our own id away from it |
//! | `alarm` | the one heap of timers, foca's and ours |
//! | `view` | members as everybody else sees them |
//! | `watch` | each node pings its successor, so that every member is looked at once a period |
//! | `opinion` | the second opinion before a death sentence: who was asked, what they said, the verdict |
//! | `suspicion` | driving opinions and suspicions to withdrawal or death |
//! | `health` | how well this node keeps up itself: a starved one doubts itself before others |
//! | `hearsay` | suspicions that nobody here drives to an end: the suspect is asked |
//! | `news` | deaths and departures, told directly and passed on |
//! | `exchange` | push/pull of the membership over streams: at join, periodically, with the dead |
//! | `rejoin` | finding the ring again when alone |
//! | `departed` | members that are gone for good, as a person said: nobody lets them in |
//! | `usurp` | two processes with one id |
//!
//! What it does not do: it opens no socket, reads no clock, stores nothing, and knows nothing of records, services or
//! elections. A member's generation is never a node id, a lease holder or a fencing token: it changes whenever the
//! ring took the node for dead.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod action;
mod alarm;
mod departed;
mod exchange;
mod health;
mod hearsay;
mod identity;
mod machine;
mod message;
mod news;
mod opinion;
mod packet;
mod profile;
mod rejoin;
mod suspicion;
mod swim;
mod usurp;
mod view;
mod watch;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use action::{DownHow, Member, MemberState, Remembered, RingAction, RingEvent};
pub use health::Awareness;
pub use identity::Identity;
pub use machine::{Ring, RingConfig};
pub use message::{
    ActiveMember, EXCHANGE_MEMBERS_MAX, News, NewsKind, ProbeOutcome, RingDatagram, RingRequest, RingResponse,
    StreamError,
};
pub use profile::{Profile, ProfileError};
