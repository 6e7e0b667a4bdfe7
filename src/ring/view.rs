//! Members as everybody else sees them.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use super::action::{Member, MemberState};
use super::hearsay::Hearsay;
use super::identity::Identity;
use crate::base::{Mono, NodeId};

/// Most members that are known, the dead included: three times the largest ring that is planned for. Each takes some
/// hundred bytes here and in foca, so that whoever makes members up costs a node a few megabytes, and no more.
pub(super) const MEMBERS_MAX: usize = 16_384;
/// Fewest dead and departed members that are kept, however small the ring.
const INACTIVE_MIN: usize = 128;
/// How long the dead and the departed are kept. It has to outlast whatever delays old gossip (a paused machine, a slow
/// partition), so that a life that is over is not taken for alive again; and it is how long a healed partition is found
/// from both sides: a day covers a night's outage. Churn within that day is bounded by number.
pub(super) const INACTIVE_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How a member makes itself heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    /// By datagrams, as far as we know.
    Datagrams,
    /// It accepted a TCP connect at this time, and no datagram came since.
    Streams { answered: Mono },
    /// Its machine accepts connects, but the process answers nothing: stopped, or stuck.
    Frozen,
}

/// A member, and what only the ring wants to know of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// What others see.
    pub(super) member: Member,
    /// When a datagram or a response of this life came last.
    pub(super) heard: Option<Mono>,
    /// How it makes itself heard.
    pub(super) voice: Voice,
    /// The incarnation that a running suspicion of ours is about.
    pub(super) suspected_at: Option<u16>,
    /// A suspicion that is not ours to end, or that ours did not end.
    pub(super) hearsay: Option<Hearsay>,
    /// When its state changed last.
    pub(super) since: Mono,
}

impl Entry {
    /// The life that is known.
    pub(super) fn identity(&self) -> Identity {
        Identity { id: self.member.id, address: self.member.address, generation: self.member.generation }
    }

    /// Whether a datagram or a response came at or after that time.
    pub(super) fn heard_since(&self, at: Mono) -> bool {
        self.heard.is_some_and(|heard| heard >= at)
    }
}

/// All members, this node included.
#[derive(Debug, Default)]
pub(super) struct View {
    entries: BTreeMap<NodeId, Entry>,
}

impl View {
    /// What is known of a member.
    pub(super) fn get(&self, id: NodeId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// Whether a member that is not known can be taken up.
    pub(super) fn has_room_for(&self, id: NodeId) -> bool {
        self.entries.len() < MEMBERS_MAX || self.entries.contains_key(&id)
    }

    /// What is known of a member, if it is that life of it that is known.
    pub(super) fn life(&mut self, identity: &Identity) -> Option<&mut Entry> {
        self.entries.get_mut(&identity.id).filter(|entry| entry.identity() == *identity)
    }

    /// Puts a life in the place of whatever was known, and returns that.
    pub(super) fn put(&mut self, now: Mono, identity: Identity, state: MemberState) -> Option<Entry> {
        let Identity { id, address, generation } = identity;
        let member = Member { id, address, generation, state };
        let entry =
            Entry { member, heard: None, voice: Voice::Datagrams, suspected_at: None, hearsay: None, since: now };
        self.entries.insert(id, entry)
    }

    /// Changes a member's state. Returns the state before if it was another one.
    pub(super) fn set_state(&mut self, now: Mono, id: NodeId, state: MemberState) -> Option<MemberState> {
        let entry = self.entries.get_mut(&id)?;
        if entry.member.state == state {
            return None;
        }
        entry.since = now;
        Some(std::mem::replace(&mut entry.member.state, state))
    }

    /// Forgets that life of a member, if it is over.
    pub(super) fn remove(&mut self, identity: &Identity) {
        if self.life(identity).is_some_and(|entry| !entry.member.state.is_active()) {
            self.entries.remove(&identity.id);
        }
    }

    /// All members, by id.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The members that count, by id.
    pub(super) fn active(&self) -> impl Iterator<Item = &Entry> {
        self.iter().filter(|entry| entry.member.state.is_active())
    }

    /// The members that follow `id` in the order of ids, around the circle: first those above it, then those below.
    pub(super) fn after(&self, id: NodeId) -> impl Iterator<Item = &Entry> {
        let above = self.entries.range((Bound::Excluded(id), Bound::Unbounded));
        above.chain(self.entries.range(..id)).map(|(_, entry)| entry)
    }

    /// The dead and the departed that are to be forgotten: those gone for too long, and those over the bound on their
    /// number: the departed first, since nobody will look for them again, then those gone for longest. Twice as many
    /// as live may be kept, so that a ring that lost half of itself to a partition remembers the other half.
    pub(super) fn surplus(&self, now: Mono) -> Vec<Identity> {
        let mut inactive: Vec<&Entry> = self.iter().filter(|entry| !entry.member.state.is_active()).collect();
        let bound = INACTIVE_MIN.max(2 * (self.entries.len() - inactive.len()));
        let over = inactive.len().saturating_sub(bound);
        inactive.sort_by_key(|entry| (entry.member.state != MemberState::Left, entry.since, entry.member.id));
        let (over, rest) = inactive.split_at(over);
        let old = rest.iter().filter(|entry| now.since(entry.since) > INACTIVE_FOR);
        over.iter().chain(old).map(|entry| entry.identity()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{INACTIVE_FOR, INACTIVE_MIN, View};
    use crate::base::{Mono, NodeId};
    use crate::ring::{Identity, MemberState};

    fn identity(id: usize) -> Identity {
        Identity { id: NodeId::from_u128(id as u128), address: ([10, 0, 0, 1], 1).into(), generation: 1 }
    }

    #[test]
    fn the_dead_are_forgotten_one_beyond_the_bound_the_departed_first() {
        let mut view = View::default();
        for id in 0..INACTIVE_MIN {
            view.put(Mono(id as u64), identity(id), MemberState::Down);
        }
        assert!(view.surplus(Mono(10_000)).is_empty());
        view.put(Mono(9_999), identity(INACTIVE_MIN), MemberState::Left);
        assert_eq!(view.surplus(Mono(10_000)), [identity(INACTIVE_MIN)]);
        view.put(Mono(9_999), identity(INACTIVE_MIN), MemberState::Down);
        assert_eq!(view.surplus(Mono(10_000)), [identity(0)]);
    }

    #[test]
    fn the_dead_are_forgotten_after_a_day_and_the_living_never() {
        let mut view = View::default();
        view.put(Mono(0), identity(1), MemberState::Down);
        view.put(Mono(0), identity(2), MemberState::Suspect);
        assert!(view.surplus(Mono(0) + INACTIVE_FOR).is_empty());
        assert_eq!(view.surplus(Mono(0) + INACTIVE_FOR + Duration::from_micros(1)), [identity(1)]);
    }

    #[test]
    fn the_successor_of_the_last_is_the_first() {
        let mut view = View::default();
        for id in 1..=3 {
            view.put(Mono(0), identity(id), MemberState::Alive);
        }
        let after = |id: usize| view.after(identity(id).id).map(|e| e.member.id.as_u128()).collect::<Vec<_>>();
        assert_eq!(after(2), [3, 1]);
        assert_eq!(after(3), [1, 2]);
    }
}
