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
    /// What this node holds.
    pub held: BTreeMap<Seat, Term>,
}

/// What a group without a council waits for.
pub(super) fn without_council(alive: usize, needed: usize) -> SeatStatus {
    let missing = needed.saturating_sub(alive);
    let (state, why) = match missing {
        0 => (ElectionState::Running, "a council is being formed".to_owned()),
        1 => (ElectionState::NoQuorum, format!("waiting for 1 more member ({alive} of {needed} alive)")),
        more => (ElectionState::NoQuorum, format!("waiting for {more} more members ({alive} of {needed} alive)")),
    };
    SeatStatus { state, why }
}

/// Too few voters answer.
pub(super) fn without_quorum(missing: &[NodeId]) -> SeatStatus {
    let names: Vec<String> = missing.iter().map(|id| id.short()).collect();
    let (voters, verb) = if names.len() == 1 { ("voter", "does") } else { ("voters", "do") };
    SeatStatus {
        state: ElectionState::NoQuorum,
        why: format!("no quorum: {voters} {} {verb} not answer", names.join(", ")),
    }
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
        assert_eq!(without_council(1, 3).why, "waiting for 2 more members (1 of 3 alive)");
        assert_eq!(without_council(2, 3).why, "waiting for 1 more member (2 of 3 alive)");
        assert_eq!(without_council(3, 3).state, ElectionState::Running);
    }

    #[test]
    fn a_lost_quorum_names_the_voters_that_are_missing() {
        let ids = [0xa1b2_c3d4, 0x0102_0304].map(|bits: u128| NodeId::from_u128(bits << 96));
        assert_eq!(without_quorum(&ids).why, "no quorum: voters a1b2c3d4, 01020304 do not answer");
        assert_eq!(without_quorum(&ids[..1]).why, "no quorum: voter a1b2c3d4 does not answer");
    }
}
