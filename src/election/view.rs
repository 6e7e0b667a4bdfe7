//! What an election is told of the ring. Hints only: no promise rests on any of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{NodeId, Seat};
use crate::records::value::{CouncilFacts, SeatHolder};

/// One member of the group, as the ring sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Candidacy {
    /// Whether its node answers.
    pub alive: bool,
    /// Whether its service is loaded, running or not: enough to decide for others, as the updater and the steward do. A
    /// group whose services are all stopped has to be started again.
    pub present: bool,
    /// Whether it may hold the seats of those whose services run: the leader's, and locks.
    pub eligible: bool,
    /// How suited it is; none while not known, which is less than any.
    pub suitability: Option<u64>,
}

impl Candidacy {
    /// Whether it is fit for a seat, should it be free.
    #[must_use]
    pub const fn is_fit(self, seat: &Seat) -> bool {
        match seat {
            Seat::Leader | Seat::Lock(_) => self.eligible,
            Seat::Updater | Seat::Steward => self.present,
        }
    }
}

/// Whether somebody is to be counted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attends {
    /// A member.
    Stays(Candidacy),
    /// It said goodbye, and is not back.
    Left,
    /// No member.
    Unknown,
}

/// How much a view differs from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum News {
    /// Not at all.
    Nothing,
    /// In members that neither vote nor hold a seat: nobody waits for them.
    Bystanders,
    /// In something that may make a seat vacant, or fill it.
    Matters,
}

/// The group, as the ring sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct View {
    /// Its members that are known, and have not left: who is down and may come back is one of them, since a council is
    /// founded by more than half of them only.
    pub members: BTreeMap<NodeId, Candidacy>,
    /// Who said goodbye, and is not back.
    pub departed: BTreeSet<NodeId>,
    /// Who is gone for good, as a person said, member of the group or not.
    pub gone: BTreeSet<NodeId>,
    /// The seats that it has, from its topology, its strategy and the locks that were asked for.
    pub seats: BTreeSet<Seat>,
    /// Whether this node has joined and synced, or given up waiting for it: only then may it propose a council, lest
    /// it founds a second one beside that of the ring which it is about to join.
    pub ready: bool,
    /// Who holds the seats, as last heard.
    pub published: BTreeMap<Seat, SeatHolder>,
    /// The council, as last heard.
    pub published_council: Option<CouncilFacts>,
    /// The other nodes of the ring that answer, members or not: who founds a council asks all of them first. Needs to be
    /// told only to a member that knows of no council.
    pub ring: BTreeSet<NodeId>,
}

impl View {
    /// Whether `node` is a member that answers.
    #[must_use]
    pub fn is_alive(&self, node: NodeId) -> bool {
        self.members.get(&node).is_some_and(|member| member.alive)
    }

    /// Whether all but the members is as in `head`.
    pub(super) fn has_head(&self, head: &Self) -> bool {
        // The steward's seat is added to what is told.
        let seats = self.seats.iter().filter(|seat| **seat != Seat::Steward);
        self.ready == head.ready
            && self.published == head.published
            && self.published_council == head.published_council
            && self.gone == head.gone
            && seats.eq(&head.seats)
    }

    /// Whether a member is another than it was.
    pub(super) fn is_news(&self, node: NodeId, attends: Attends) -> bool {
        let known = match self.members.get(&node) {
            Some(candidacy) => Attends::Stays(*candidacy),
            None if self.departed.contains(&node) => Attends::Left,
            None => Attends::Unknown,
        };
        known != attends
    }

    /// Whether a node holds one of the seats, as last heard.
    pub(super) fn holds(&self, node: NodeId) -> bool {
        self.published.values().any(|holder| holder.node == Some(node))
    }

    /// The members that answer, in the order of their ids; `me` answers itself, if it is a member.
    pub(super) fn alive(&self, me: NodeId) -> Vec<NodeId> {
        self.members.iter().filter(|(id, member)| member.alive || **id == me).map(|(id, _)| *id).collect()
    }

    /// The members that do not answer.
    pub(super) fn silent(&self, me: NodeId) -> Vec<NodeId> {
        self.members.iter().filter(|(id, member)| !member.alive && **id != me).map(|(id, _)| *id).collect()
    }

    /// Whether `node` may stand for `seat`. The updater takes members down one by one, the leader last; so the leader
    /// updates only when nobody else can.
    pub(super) fn may_stand(&self, node: NodeId, seat: &Seat) -> bool {
        let Some(member) = self.members.get(&node) else { return false };
        member.is_fit(seat) && (*seat != Seat::Updater || self.leader() != Some(node) || self.is_alone(node))
    }

    fn leader(&self) -> Option<NodeId> {
        self.published.get(&Seat::Leader).and_then(|holder| holder.node)
    }

    fn is_alone(&self, node: NodeId) -> bool {
        !self.members.iter().any(|(id, member)| *id != node && member.alive && member.is_fit(&Seat::Updater))
    }

    /// The members other than `me` and `except` that may stand for `seat` and answer.
    fn rivals(&self, me: NodeId, seat: &Seat, except: Option<NodeId>) -> impl Iterator<Item = (NodeId, Option<u64>)> {
        // Anybody makes a good steward; who goes first is not a matter of suitability.
        let ranks = *seat != Seat::Steward;
        self.members
            .iter()
            .filter(move |(id, member)| {
                **id != me && Some(**id) != except && member.alive && self.may_stand(**id, seat) && ranks
            })
            .map(|(id, member)| (*id, member.suitability))
    }

    /// How many members are to have a chance at `seat` before `me`: the more suitable ones, then those of lower id.
    pub(super) fn rank(&self, me: NodeId, seat: &Seat, except: Option<NodeId>) -> u32 {
        let mine = self.suitability(me);
        let before = |(id, theirs): &(NodeId, Option<u64>)| *theirs > mine || (*theirs == mine && *id < me);
        u32::try_from(self.rivals(me, seat, except).filter(before).count()).unwrap_or(u32::MAX)
    }

    /// The most suitable member other than `me`: whom a holder that resigns proposes.
    pub(super) fn successor(&self, me: NodeId, seat: &Seat) -> Option<NodeId> {
        let best = self.rivals(me, seat, None).max_by(|one, other| one.1.cmp(&other.1).then(other.0.cmp(&one.0)));
        best.map(|(id, _)| id)
    }

    /// A member that is more suitable for `seat` than `claimant` with `suitability`.
    pub(super) fn outranking(
        &self,
        claimant: NodeId,
        suitability: Option<u64>,
        seat: &Seat,
        except: Option<NodeId>,
    ) -> Option<NodeId> {
        let better = self.rivals(claimant, seat, except).filter(|(_, theirs)| *theirs > suitability);
        better.max_by_key(|(_, theirs)| *theirs).map(|(id, _)| id)
    }

    pub(super) fn suitability(&self, node: NodeId) -> Option<u64> {
        self.members.get(&node).and_then(|member| member.suitability)
    }

    /// Whether everything that says that a seat fell vacant is the same in both.
    pub(super) fn same_prospects(&self, other: &Self) -> bool {
        let alive = |view: &Self| -> Vec<(NodeId, bool, bool)> {
            let fit = |member: &Candidacy| (member.alive && member.present, member.alive && member.eligible);
            view.members.iter().map(|(id, member)| (*id, fit(member).0, fit(member).1)).collect()
        };
        self.published == other.published && self.seats == other.seats && alive(self) == alive(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Term;

    const fn node(bits: u128) -> NodeId {
        NodeId::from_u128(bits)
    }

    fn view(members: &[(u128, Option<u64>)]) -> View {
        let member = |suitability| Candidacy { alive: true, present: true, eligible: true, suitability };
        View { members: members.iter().map(|(id, s)| (node(*id), member(*s))).collect(), ..View::default() }
    }

    #[test]
    fn rank_goes_by_suitability_and_then_by_the_lower_id() {
        let view = view(&[(1, None), (2, Some(5)), (3, Some(9)), (4, Some(5))]);
        let rank = |id| view.rank(node(id), &Seat::Leader, None);
        assert_eq!((rank(3), rank(2), rank(4), rank(1)), (0, 1, 2, 3));
        assert_eq!(view.rank(node(2), &Seat::Leader, Some(node(3))), 0, "who resigned is not waited for");
        assert_eq!(view.successor(node(3), &Seat::Leader), Some(node(2)));
    }

    #[test]
    fn the_dead_and_the_ineligible_have_no_rank() {
        let mut view = view(&[(1, Some(9)), (2, Some(9)), (3, Some(1))]);
        view.members.entry(node(1)).and_modify(|member| member.alive = false);
        view.members.entry(node(2)).and_modify(|member| member.eligible = false);
        assert_eq!(view.rank(node(3), &Seat::Leader, None), 0);
        assert_eq!(view.outranking(node(3), Some(1), &Seat::Leader, None), None);
    }

    #[test]
    fn the_leader_updates_only_when_it_is_alone() {
        let mut view = view(&[(1, None), (2, None)]);
        view.published.insert(Seat::Leader, SeatHolder { node: Some(node(1)), term: Term(1) });
        assert!(!view.may_stand(node(1), &Seat::Updater));
        assert!(view.may_stand(node(1), &Seat::Leader));
        assert!(view.may_stand(node(2), &Seat::Updater));
        assert_eq!(view.rank(node(2), &Seat::Updater, None), 0, "the leader is not waited for");
        view.members.remove(&node(2));
        assert!(view.may_stand(node(1), &Seat::Updater));
    }

    #[test]
    fn a_member_whose_service_is_stopped_decides_for_others_and_does_not_lead() {
        let mut view = view(&[(1, None), (2, None)]);
        view.members.values_mut().for_each(|member| member.eligible = false);
        assert!(!view.may_stand(node(1), &Seat::Leader));
        assert!(view.may_stand(node(1), &Seat::Updater) && view.may_stand(node(1), &Seat::Steward));
        view.members.values_mut().for_each(|member| member.present = false);
        assert!(!view.may_stand(node(1), &Seat::Updater));
    }

    #[test]
    fn an_equal_does_not_outrank() {
        let view = view(&[(1, Some(5)), (2, Some(5)), (3, Some(6))]);
        assert_eq!(view.outranking(node(2), Some(6), &Seat::Leader, None), None);
        assert_eq!(view.outranking(node(2), Some(5), &Seat::Leader, None), Some(node(3)));
        assert_eq!(view.outranking(node(2), Some(5), &Seat::Leader, Some(node(3))), None);
    }
}
