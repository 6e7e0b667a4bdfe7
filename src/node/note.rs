//! Remarks of the core for people: what happened on the ring and to the records.

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::{FileName, GroupId, NodeId};
use crate::rollout::RolloutNote;

/// A remark for the log and the list of events. One per change of state, none per packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A member joined or came back.
    MemberUp {
        /// Who.
        node: NodeId,
        /// Where.
        address: SocketAddr,
    },
    /// A member missed a probe.
    MemberSuspect {
        /// Who.
        node: NodeId,
        /// Where it was last reached, if that is known.
        address: Option<SocketAddr>,
    },
    /// A suspected member answered.
    MemberRefuted {
        /// Who.
        node: NodeId,
        /// Where it was last reached, if that is known.
        address: Option<SocketAddr>,
        /// By TCP only: datagrams to or from it are lost, which is a misconfigured network.
        by_tcp: bool,
    },
    /// A member is dead.
    MemberDown {
        /// Who.
        node: NodeId,
        /// Where it was last reached, if that is known.
        address: Option<SocketAddr>,
        /// How that is known.
        how: &'static str,
    },
    /// A member left in good order.
    MemberLeft {
        /// Who.
        node: NodeId,
        /// Where it was last reached, if that is known.
        address: Option<SocketAddr>,
    },
    /// A member answers at another address.
    MemberMoved {
        /// Who.
        node: NodeId,
        /// Where it is now.
        address: SocketAddr,
    },
    /// A member is gone for good, as a person said.
    MemberDeparted {
        /// Who.
        node: NodeId,
    },
    /// A member that was gone for good is taken back.
    MemberUndeparted {
        /// Who.
        node: NodeId,
    },
    /// A departed member asks to be let in, and is not.
    TurnedAway {
        /// Who.
        node: NodeId,
        /// Where it is.
        address: SocketAddr,
    },
    /// This node is not let in: a person said that it is gone for good.
    Banned {
        /// This node.
        node: NodeId,
        /// Who said so.
        by: SocketAddr,
    },
    /// This node is let in again.
    LetIn,
    /// The others took this node for dead; it told them otherwise.
    Renewed,
    /// This node did not run for about so long; it listens before it takes others for dead.
    StoodStill {
        /// How late its timers were.
        length: Duration,
    },
    /// Another live process has this node's id, and is newer: this one must end.
    Usurped {
        /// Where the other one is.
        by: SocketAddr,
    },
    /// A record from another node was refused.
    RecordRefused {
        /// Which.
        key: String,
        /// From whom.
        from: NodeId,
        /// Why.
        why: String,
    },
    /// A record says something that cannot be read; it is carried along and otherwise ignored.
    RecordUnreadable {
        /// Which.
        key: String,
        /// Why.
        why: String,
    },
    /// What was stored of a group's election cannot be read: this node does not vote in it.
    ElectionUnreadable {
        /// Which group.
        group: GroupId,
        /// Why.
        why: String,
    },
    /// A write failed: what depends on it does not happen, and this node grants no seat until a write succeeds.
    WriteFailed,
    /// Writes succeed again.
    WriteRecovered,
    /// Another node replaced a config that was applied at the same time: it is in the history as superseded.
    ConfigSuperseded {
        /// Of which group.
        group: GroupId,
        /// The revision that lost.
        revision: String,
        /// The one in force.
        by: String,
    },
    /// Another node replaced a file that was uploaded at the same time: it is in the history as superseded.
    FileSuperseded {
        /// Of which group.
        group: GroupId,
        /// Which file.
        file: FileName,
        /// The revision that lost.
        revision: String,
        /// The one in force.
        by: String,
    },
    /// A rollout that this node drives came further, or did not.
    Rollout {
        /// Of which group.
        group: GroupId,
        /// What happened.
        note: RolloutNote,
    },
}
