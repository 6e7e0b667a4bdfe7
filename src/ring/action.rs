//! What the ring asks of its driver, and what it tells.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::message::{RingDatagram, RingRequest};
use crate::base::NodeId;

/// How a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberState {
    /// It answers.
    Alive,
    /// It did not answer somebody, and has not said yet that it lives. Counts as alive.
    Suspect,
    /// It is gone without a word.
    Down,
    /// It said goodbye.
    Left,
}

impl MemberState {
    /// Whether the member counts: everybody but the dead and the departed.
    #[must_use]
    pub fn is_active(self) -> bool {
        match self {
            Self::Alive | Self::Suspect => true,
            Self::Down | Self::Left => false,
        }
    }
}

/// A member, as this node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who it is.
    pub id: NodeId,
    /// Where it is reached; of its newest life that we heard of.
    pub address: SocketAddr,
    /// Which of its lives this is.
    pub generation: u64,
    /// How it is.
    pub state: MemberState,
}

/// A member to be found again after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Who it was.
    pub id: NodeId,
    /// Where it was.
    pub address: SocketAddr,
}

/// How a member was found to be dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownHow {
    /// Its machine answers that the process is gone: everybody who tried was refused.
    Refused,
    /// It did not answer anybody until its suspicion ran out.
    Timeout,
    /// Another node found out and told us.
    Told,
}

/// Something that the ring wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum RingAction {
    /// Send a datagram.
    Send {
        /// To whom.
        to: SocketAddr,
        /// What.
        msg: RingDatagram,
    },
    /// Open a stream, send one request, await one response, and hand it to [`super::Ring::handle_response`].
    Request {
        /// The number to answer with.
        request: u64,
        /// To whom.
        to: SocketAddr,
        /// What.
        msg: RingRequest,
    },
    /// Try a TCP connect, close it at once, and say to [`super::Ring::handle_probe`] how it went. It should be given
    /// [`super::Profile::probe_timeout`] to answer.
    Probe {
        /// The number to answer with.
        probe: u64,
        /// Whom to try.
        to: SocketAddr,
    },
    /// This node is alone: look the names of its peers up again, and [`super::Ring::join`] what they resolve to.
    ResolvePeers,
    /// Store these instead of what was remembered before. Said at most every few seconds.
    Remember(Vec<Remembered>),
    /// Store this generation: the node began a new life.
    Generation(u64),
    /// Something that others want to know.
    Event(RingEvent),
}

/// Something that happened to a member, or to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingEvent {
    /// A member joined, or is back.
    Up {
        /// The member.
        member: Member,
        /// It was known to be down or to have left.
        from_down: bool,
    },
    /// A member did not answer. It still counts as alive.
    Suspect {
        /// The member.
        id: NodeId,
    },
    /// A suspected member lives.
    Refuted {
        /// The member.
        id: NodeId,
        /// It answered streams, not datagrams: something on the way drops UDP. Not said again before a datagram of it
        /// got through.
        by_tcp: bool,
    },
    /// A member is dead.
    Down {
        /// The member.
        id: NodeId,
        /// How we know.
        how: DownHow,
    },
    /// A member said goodbye.
    Left {
        /// The member.
        id: NodeId,
    },
    /// A member that was down or had left is not kept any more: it has been gone for long, or too many are.
    Forgotten {
        /// The member.
        id: NodeId,
    },
    /// A member has another address.
    Moved {
        /// The member.
        id: NodeId,
        /// Where it is now.
        address: SocketAddr,
    },
    /// The ring took this node for dead (after a partition, usually); it began a new life.
    Renewed {
        /// The new generation of this node.
        generation: u64,
    },
    /// A person said that a member is gone for good; it counts for nothing any more.
    Departed {
        /// The member.
        id: NodeId,
    },
    /// A member that had departed is taken back, and looked for.
    Undeparted {
        /// The member.
        id: NodeId,
    },
    /// A departed member asked to be let in, and was not. Said once a minute.
    TurnedAway {
        /// The member.
        id: NodeId,
        /// Where it is.
        address: SocketAddr,
    },
    /// This node is not let in: a person said that it is gone for good. It keeps asking.
    Banned {
        /// Who said so.
        by: SocketAddr,
    },
    /// This node is let in again.
    LetIn,
    /// This node did not run for about so long: paused, suspended, or starved. It does not hold it against others.
    StoodStill {
        /// How late its timers were.
        length: Duration,
    },
    /// Another living process has this node's id, and is newer: this one must not run on.
    Usurped {
        /// Where the other one is.
        address: SocketAddr,
        /// Its generation.
        generation: u64,
    },
}
