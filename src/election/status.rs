//! Where an election stands, in words.

use std::collections::BTreeMap;

use crate::base::{NodeId, Seat, Term};
use crate::census::ElectionState;

use super::council::Council;

/// Where the election of one seat stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct SeatStatus {
    /// The state.
    pub state: ElectionState,
    /// Why there is no holder, for a person; empty while there is one.
    pub why: String,
}

/// Where the elections of a group stand, as this node sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ElectionStatus {
    /// Each seat of the group.
    pub seats: BTreeMap<Seat, SeatStatus>,
    /// The newest council that is known.
    pub council: Option<Council>,
    /// How the council is being changed, or why not yet, for a person; empty if it is as it should be.
    pub change: String,
    /// What this node holds.
    pub held: BTreeMap<Seat, Term>,
}

/// Most members that are named one by one.
const NAMED_MAX: usize = 5;

/// What a group without a council waits for: `least` members alive, and `founders`, which is more if it knows so many
/// that more than half of them are.
pub(super) fn without_council(alive: usize, least: usize, founders: usize, silent: &[NodeId]) -> SeatStatus {
    let waiting = |why| SeatStatus { state: ElectionState::NoQuorum, why };
    match founders.saturating_sub(alive) {
        0 => SeatStatus { state: ElectionState::Running, why: "a council is being formed".to_owned() },
        more if founders > least => {
            let known = alive + silent.len();
            let verb = if silent.len() == 1 { "does" } else { "do" };
            waiting(format!("waiting for {more} more of {known} known members ({} {verb} not answer)", names(silent)))
        }
        1 => waiting(format!("waiting for 1 more member ({alive} of {least} alive)")),
        more => waiting(format!("waiting for {more} more members ({alive} of {least} alive)")),
    }
}

/// Nodes of the ring are still to say whether they know of a council.
pub(super) fn inquiring(unheard: &[NodeId]) -> SeatStatus {
    let nodes = if unheard.len() == 1 { "node" } else { "nodes" };
    let why = format!("asking the ring for a council, and waiting for the {nodes} {}", names(unheard));
    SeatStatus { state: ElectionState::Running, why }
}

/// Nodes said that they are members, and nothing else is known of them yet.
pub(super) fn unintroduced(kin: &[NodeId]) -> SeatStatus {
    let nodes = if kin.len() == 1 { "the node" } else { "the nodes" };
    let why = format!("{nodes} {} joined the group, and the records of that are on their way", names(kin));
    SeatStatus { state: ElectionState::NoQuorum, why }
}

/// The first few by name, the others by number.
fn names(ids: &[NodeId]) -> String {
    let named: Vec<String> = ids.iter().take(NAMED_MAX).map(|id| id.short()).collect();
    match ids.len().saturating_sub(NAMED_MAX) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// Too few voters answer.
pub(super) fn without_quorum(missing: &[NodeId]) -> SeatStatus {
    let (voters, verb) = voters(missing);
    SeatStatus {
        state: ElectionState::NoQuorum,
        why: format!("no quorum: {voters} {} {verb} not answer", names(missing)),
    }
}

fn voters(ids: &[NodeId]) -> (&'static str, &'static str) {
    if ids.len() == 1 { ("voter", "does") } else { ("voters", "do") }
}

/// The council is being changed, or about to be.
pub(super) fn changing(added: Option<NodeId>, removed: Option<NodeId>) -> String {
    match (added, removed) {
        (Some(node), _) => format!("the council is being changed: {} is to vote", node.short()),
        (None, Some(node)) => format!("the council is being changed: {} is to vote no more", node.short()),
        (None, None) => "the council is being changed".to_owned(),
    }
}

/// Others will vote for those that do not answer.
pub(super) fn replaced_later(missing: &[NodeId], after_seconds: u64) -> String {
    let (voters, verb) = voters(missing);
    format!("{voters} {} {verb} not answer, and others vote instead after {after_seconds} s of that", names(missing))
}

/// Nobody can vote for those that do not answer.
pub(super) fn no_substitute(missing: &[NodeId]) -> String {
    let (voters, verb) = voters(missing);
    format!("{voters} {} {verb} not answer, and there is no other member to vote instead", names(missing))
}

pub(super) fn running(why: &str) -> SeatStatus {
    SeatStatus { state: ElectionState::Running, why: why.to_owned() }
}

pub(super) fn finished() -> SeatStatus {
    SeatStatus { state: ElectionState::Finished, why: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_without_council_says_for_how_many_members_it_waits() {
        assert_eq!(without_council(1, 3, 3, &[]).why, "waiting for 2 more members (1 of 3 alive)");
        assert_eq!(without_council(2, 3, 3, &[]).why, "waiting for 1 more member (2 of 3 alive)");
        assert_eq!(without_council(3, 3, 3, &[]).state, ElectionState::Running);
    }

    #[test]
    fn a_group_that_knows_more_members_than_answer_says_whom_it_waits_for() {
        let ids: Vec<NodeId> = (1..=6_u128).map(|bits| NodeId::from_u128(bits << 96)).collect();
        let status = without_council(3, 3, 5, &ids);
        assert_eq!(
            status.why,
            "waiting for 2 more of 9 known members \
             (00000001, 00000002, 00000003, 00000004, 00000005 and 1 more do not answer)"
        );
        assert_eq!(status.state, ElectionState::NoQuorum);
        let status = without_council(1, 1, 2, &ids[..1]);
        assert_eq!(status.why, "waiting for 1 more of 2 known members (00000001 does not answer)");
        assert_eq!(without_council(5, 3, 5, &ids[..4]).state, ElectionState::Running);
    }

    #[test]
    fn a_group_whose_ring_is_asked_says_whom_it_waits_for() {
        let ids = [0xa1b2_c3d4, 0x0102_0304].map(|bits: u128| NodeId::from_u128(bits << 96));
        let why = "asking the ring for a council, and waiting for the nodes a1b2c3d4, 01020304";
        assert_eq!(inquiring(&ids).why, why);
        let why = "the node a1b2c3d4 joined the group, and the records of that are on their way";
        assert_eq!(unintroduced(&ids[..1]).why, why);
    }

    #[test]
    fn a_lost_quorum_names_the_voters_that_are_missing() {
        let ids = [0xa1b2_c3d4, 0x0102_0304].map(|bits: u128| NodeId::from_u128(bits << 96));
        assert_eq!(without_quorum(&ids).why, "no quorum: voters a1b2c3d4, 01020304 do not answer");
        assert_eq!(without_quorum(&ids[..1]).why, "no quorum: voter a1b2c3d4 does not answer");
    }
}
