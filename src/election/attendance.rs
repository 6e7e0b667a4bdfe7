//! Who of the members and voters is there, and since when, as this node saw it with its own eyes.

use std::collections::BTreeMap;

use crate::base::{Mono, NodeId};

use super::view::View;

/// Whether somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Presence {
    /// It is gone for good, as a person said.
    Gone,
    /// It said goodbye.
    Departed,
    /// It does not answer, or nothing is known of it: a node that was just started has not heard of everybody.
    Silent,
    /// It answers.
    Alive,
}

/// A register of presences. It begins anew when this node is started: what happened before it did not see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Attendance {
    since: BTreeMap<NodeId, (Presence, Mono)>,
}

impl Attendance {
    /// Takes in what the ring shows of its members and of the `voters`.
    pub(super) fn see(&mut self, now: Mono, me: NodeId, view: &View, voters: &[NodeId]) {
        let shown = |id: NodeId| view.members.contains_key(&id) || view.departed.contains(&id);
        self.since.retain(|id, _| shown(*id) || voters.contains(id));
        let others = view.members.keys().chain(&view.departed).chain(voters);
        for id in others.copied() {
            let known = self.since.get(&id).map(|(presence, _)| *presence);
            let presence = if id == me || (view.is_alive(id) && !view.gone.contains(&id)) {
                Presence::Alive
            } else if view.gone.contains(&id) {
                Presence::Gone
            } else if view.departed.contains(&id) || (known == Some(Presence::Departed) && !shown(id)) {
                // Who departed is forgotten by the ring some day, and is gone all the same.
                Presence::Departed
            } else {
                Presence::Silent
            };
            if known != Some(presence) {
                self.since.insert(id, (presence, now));
            }
        }
    }

    /// Whether `id` is there, and since when. Nothing is known of a voter that was never seen: it is silent.
    pub(super) fn of(&self, id: NodeId) -> (Presence, Mono) {
        self.since.get(&id).copied().unwrap_or((Presence::Silent, Mono(u64::MAX)))
    }

    pub(super) fn is_alive(&self, id: NodeId) -> bool {
        self.of(id).0 == Presence::Alive
    }

    /// Who is alive, in the order of their ids.
    pub(super) fn alive(&self) -> impl Iterator<Item = (NodeId, Mono)> {
        let alive = |(id, (presence, since)): (&NodeId, &(Presence, Mono))| {
            (*presence == Presence::Alive).then_some((*id, *since))
        };
        self.since.iter().filter_map(alive)
    }

    /// It seems alive, and yet does not do what is asked of it: it counts as alive from `from` on only.
    pub(super) fn distrust(&mut self, id: NodeId, from: Mono) {
        if let Some((Presence::Alive, since)) = self.since.get_mut(&id) {
            *since = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::election::view::Candidacy;

    const ME: NodeId = NodeId::from_u128(1);
    const OTHER: NodeId = NodeId::from_u128(2);

    fn view(alive: bool) -> View {
        let member = |alive| Candidacy { alive, present: true, eligible: true, suitability: None };
        View { members: [(ME, member(true)), (OTHER, member(alive))].into(), ..View::default() }
    }

    #[test]
    fn silence_counts_from_when_it_began_and_ends_with_the_first_sign_of_life() {
        let mut attendance = Attendance::default();
        attendance.see(Mono(1), ME, &view(true), &[]);
        attendance.see(Mono(2), ME, &view(false), &[]);
        attendance.see(Mono(3), ME, &view(false), &[]);
        assert_eq!(attendance.of(OTHER), (Presence::Silent, Mono(2)));
        attendance.see(Mono(4), ME, &view(true), &[]);
        assert_eq!(attendance.of(OTHER), (Presence::Alive, Mono(4)));
        assert_eq!(attendance.of(ME), (Presence::Alive, Mono(1)));
    }

    #[test]
    fn a_voter_that_was_never_heard_of_is_silent_and_not_departed() {
        let mut attendance = Attendance::default();
        attendance.see(Mono(1), ME, &View::default(), &[OTHER]);
        assert_eq!(attendance.of(OTHER), (Presence::Silent, Mono(1)));
    }

    #[test]
    fn who_is_gone_for_good_is_so_whatever_the_ring_shows_until_it_is_taken_back() {
        let mut attendance = Attendance::default();
        let gone = View { gone: [OTHER].into(), ..view(true) };
        attendance.see(Mono(1), ME, &gone, &[OTHER]);
        assert_eq!(attendance.of(OTHER), (Presence::Gone, Mono(1)));
        attendance.see(Mono(2), ME, &view(true), &[OTHER]);
        assert_eq!(attendance.of(OTHER), (Presence::Alive, Mono(2)));
    }

    #[test]
    fn who_departed_stays_so_when_the_ring_forgets_it_and_not_when_it_comes_back() {
        let mut attendance = Attendance::default();
        let gone = View { members: BTreeMap::new(), departed: [OTHER].into(), ..View::default() };
        attendance.see(Mono(1), ME, &gone, &[OTHER]);
        attendance.see(Mono(2), ME, &View::default(), &[OTHER]);
        assert_eq!(attendance.of(OTHER), (Presence::Departed, Mono(1)));
        attendance.see(Mono(3), ME, &view(false), &[OTHER]);
        assert_eq!(attendance.of(OTHER), (Presence::Silent, Mono(3)));
    }
}
