//! Members that a person said are gone for good, and this node if somebody said so of it.
//!
//! They count for nothing here, whatever others say of them: they are taken out of the view of the living, nobody looks
//! for them, and what they say is answered with one thing, that they are not let in. Which ones they are is told by
//! whoever owns the ring, who has it from the records.
//!
//! A node that is told so keeps asking, as a node does that is alone: when it is taken back it finds its ring by itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use foca::State;

use super::action::{MemberState, RingEvent};
use super::identity::Identity;
use super::machine::{Cause, Ring, Standing};
use super::message::RingDatagram;
use crate::base::{Mono, NodeId, Now};

/// How often it is told to people that a departed member asks to be let in.
const REPORTED_EVERY: Duration = Duration::from_secs(60);

/// Who is not let in, and who does not let this node in.
#[derive(Debug, Default)]
pub(super) struct Departed {
    /// With when it was last told that one of them asks.
    members: BTreeMap<NodeId, Option<Mono>>,
    /// Whether this node was told that it is one of them, and nobody has let it in since.
    told: bool,
}

impl Departed {
    /// Whether such an update of a member is not taken up: it lives, for others, and departed.
    pub(super) fn is_over(&self, id: NodeId, state: State) -> bool {
        state != State::Down && self.members.contains_key(&id)
    }
}

impl Ring {
    /// A person said that a member is gone for good: from now on it counts for nothing here.
    pub fn depart(&mut self, now: Now, id: NodeId) {
        if id == self.me.id || self.departed.members.contains_key(&id) {
            return;
        }
        self.departed.members.insert(id, None);
        self.expel(now.mono, id);
        // It may live, and should hear of it.
        if let Some(address) = self.address(id) {
            self.send(address, RingDatagram::Departed { who: id });
        }
        self.event(RingEvent::Departed { id });
    }

    /// A member that had departed is taken back. It is looked for as if it had been down.
    pub fn undepart(&mut self, now: Now, id: NodeId) {
        if self.departed.members.remove(&id).is_some() && self.view.get(id).is_some() {
            self.view.set_state(now.mono, id, MemberState::Down);
            self.event(RingEvent::Undeparted { id });
        }
    }

    pub(super) fn has_departed(&self, id: NodeId) -> bool {
        self.departed.members.contains_key(&id)
    }

    /// Whether a departed member is at that address, as far as we know.
    pub(super) fn is_departed_address(&self, address: SocketAddr) -> bool {
        self.departed.members.keys().any(|id| self.address(*id) == Some(address))
    }

    /// A departed member says something. Returns whether it is one; then it was told so.
    pub(super) fn turn_away(&mut self, now: Mono, from: SocketAddr, id: NodeId) -> bool {
        if !self.note_knock(now, from, id) {
            return false;
        }
        self.send(from, RingDatagram::Departed { who: id });
        true
    }

    /// As [`Self::turn_away`], without saying anything to it.
    pub(super) fn note_knock(&mut self, now: Mono, from: SocketAddr, id: NodeId) -> bool {
        let Some(reported) = self.departed.members.get_mut(&id) else { return false };
        if reported.is_none_or(|at| now.since(at) >= REPORTED_EVERY) {
            *reported = Some(now);
            self.event(RingEvent::TurnedAway { id, address: from });
        }
        true
    }

    /// Somebody says that this node has departed.
    pub(super) fn hear_departed(&mut self, from: SocketAddr, who: NodeId) {
        let known = || self.view.iter().any(|entry| entry.member.address == from) || self.search.knows(from);
        if who == self.me.id && self.standing == Standing::Member && !self.departed.told && known() {
            self.departed.told = true;
            self.event(RingEvent::Banned { by: from });
        }
    }

    /// Somebody lets this node in.
    pub(super) fn let_in(&mut self) {
        if std::mem::take(&mut self.departed.told) {
            self.event(RingEvent::LetIn);
        }
    }

    /// Takes those out again whom gossip of others, who do not know yet, brought in.
    pub(super) fn expel_all(&mut self, now: Mono) {
        let ids: Vec<NodeId> = self.departed.members.keys().copied().collect();
        for id in ids {
            self.expel(now, id);
        }
    }

    fn expel(&mut self, now: Mono, id: NodeId) {
        self.opinions.remove(&id);
        let Some(entry) = self.view.get(id).copied() else { return };
        if entry.member.state.is_active() {
            let identity: Identity = entry.identity();
            let incarnation = self.swim.standing(&identity).map_or(0, |(incarnation, _)| incarnation);
            self.apply(now, vec![foca::Member::new(identity, incarnation, State::Down)], Cause::Goodbye);
        }
        self.view.set_state(now, id, MemberState::Left);
    }
}
