use super::*;
use crate::election::council::{FIRST, GenesisId};

const fn node(bits: u128) -> NodeId {
    NodeId::from_u128(bits)
}

fn council(version: (u64, u64), voters: &[u128]) -> Council {
    Council {
        genesis: GenesisId(1),
        version: (Term(version.0), version.1),
        voters: voters.iter().copied().map(node).collect(),
        superseded: Vec::new(),
        floor: Term(3),
    }
}

fn base() -> Council {
    council((2, 4), &[1, 2, 3])
}

fn amendment(ballot: u64, voters: &[u128]) -> Amendment {
    Amendment { base: base().id(), ballot: Term(ballot), council: council((ballot, 5), voters) }
}

fn voter() -> Charter {
    Charter { council: Some(base()), ..Charter::default() }
}

#[test]
fn a_step_adds_or_removes_one_voter_and_nothing_else_follows_a_council() {
    for (voters, follows) in [
        (&[1, 2, 3, 4][..], true),
        (&[1, 3], true),
        (&[1, 2, 3], false),
        (&[1, 2, 4], false),
        (&[1, 2, 3, 4, 5], false),
        (&[1], false),
        (&[1, 2, 2, 3], false),
    ] {
        assert_eq!(amendment(7, voters).follows(&base()), follows, "{voters:?}");
    }
    let good = amendment(7, &[1, 2]);
    let stale = |change: &dyn Fn(&mut Amendment)| {
        let mut amendment = good.clone();
        change(&mut amendment);
        assert!(!amendment.follows(&base()), "{amendment:?}");
    };
    stale(&|it| it.council.version.1 = 6);
    stale(&|it| it.council.version.0 = Term(1));
    stale(&|it| it.council.version.0 = Term(8));
    stale(&|it| it.council.floor = Term(2));
    stale(&|it| it.council.genesis = GenesisId(2));
    stale(&|it| it.base.version.1 = 3);
}

#[test]
fn a_voter_accepts_one_change_in_a_ballot_and_another_only_in_a_higher_one() {
    let mut voter = voter();
    assert_eq!(voter.amend(node(1), &amendment(7, &[1, 2, 3, 4])), Ok(Stored::Accepted));
    assert_eq!(voter.amend(node(1), &amendment(7, &[1, 2, 3, 4])), Ok(Stored::Again));
    let refused = Err(Refusal::StaleTerm { term: Term(7) });
    assert_eq!(voter.amend(node(1), &amendment(7, &[1, 2, 3, 5])), refused);
    assert_eq!(voter.amend(node(1), &amendment(6, &[1, 2, 3, 5])), refused);
    assert_eq!(voter.amend(node(1), &amendment(8, &[1, 2, 3, 5])), Ok(Stored::Accepted));
    assert_eq!(voter.amendment, Some(amendment(8, &[1, 2, 3, 5])));
}

#[test]
fn a_change_of_another_council_is_answered_with_the_one_that_is_known() {
    let mut ahead = Charter { council: Some(council((7, 5), &[1, 2])), ..Charter::default() };
    let known = Err(Refusal::StaleCouncil(council((7, 5), &[1, 2])));
    assert_eq!(ahead.amend(node(1), &amendment(7, &[1, 2])), known);
    assert_eq!(Charter::default().amend(node(1), &amendment(7, &[1, 2])), Err(Refusal::NotVoter));
    assert_eq!(voter().amend(node(9), &amendment(7, &[1, 2])), Err(Refusal::NotVoter), "it has no say in it");
    assert_eq!(voter().amend(node(4), &amendment(7, &[1, 2, 3, 4])), Ok(Stored::Accepted), "it is to vote");
}

#[test]
fn what_was_accepted_is_forgotten_with_the_council_that_it_was_to_change() {
    let mut voter = voter();
    assert_eq!(voter.amend(node(1), &amendment(7, &[1, 2, 3, 4])), Ok(Stored::Accepted));
    assert!(voter.confirmed(node(1), &council((6, 5), &[1, 2])));
    assert_eq!(voter.amendment, None);
    assert!(!voter.confirmed(node(1), &base()), "a council never comes back");
}

#[test]
fn who_is_added_need_not_have_had_a_part_in_the_genesis() {
    let mut stranger = Charter::default();
    assert!(!stranger.confirmed(node(1), &Council { version: FIRST, ..base() }));
    assert!(stranger.confirmed(node(1), &base()));
}

#[test]
fn the_new_voter_accepts_first_and_is_not_enough() {
    let mut motion = Motion::new(amendment(7, &[1, 2, 3, 4]), Origin::Own, &base(), Mono(0), Mono(9));
    assert_eq!(motion.asked(), [node(4)]);
    assert!(motion.accepted(node(4)));
    assert!(!motion.accepted(node(4)), "it says it twice");
    assert!(!motion.accepted(node(9)), "who has no say");
    assert_eq!(motion.asked(), [node(1), node(2), node(3)]);
    assert!(motion.accepted(node(1)));
    assert!(!motion.is_decided(), "one of three voted for it");
    assert!(motion.accepted(node(2)));
    assert!(motion.is_decided());
}

#[test]
fn what_may_have_been_decided_is_put_to_all_at_once() {
    let mut motion = Motion::new(amendment(7, &[1, 2, 3, 4]), Origin::TakenUp, &base(), Mono(0), Mono(9));
    assert_eq!(motion.asked().len(), 4);
    for voter in [1, 2] {
        assert!(motion.accepted(node(voter)));
    }
    assert!(!motion.is_decided(), "two of four could seat nobody");
    assert!(motion.accepted(node(3)));
    assert!(motion.is_decided());
}

#[test]
fn who_is_removed_is_asked_only_where_its_consent_is_needed() {
    let mut motion = Motion::new(amendment(7, &[1, 2]), Origin::Own, &base(), Mono(0), Mono(9));
    assert_eq!(motion.asked(), [node(1), node(2)]);
    assert!(motion.accepted(node(1)));
    assert!(!motion.is_decided());
    assert!(motion.accepted(node(2)));
    assert!(motion.is_decided());
    let two = council((2, 4), &[1, 2]);
    let one = Amendment { council: council((7, 5), &[1]), ..amendment(7, &[1, 2]) };
    let motion = Motion::new(one, Origin::Own, &two, Mono(0), Mono(9));
    assert_eq!(motion.asked(), [node(1), node(2)]);
}

#[test]
fn majorities_of_a_council_and_of_its_successor_share_a_voter() {
    // All that safety rests on: every subset of the larger one, and of the smaller one.
    for larger in 2..=crate::base::limits::COUNCIL_MAX {
        for one in 0_u32..1 << larger {
            for other in 0_u32..1 << (larger - 1) {
                let is_majority = |set: u32, of: usize| set.count_ones() as usize >= majority(of);
                if is_majority(one, larger) && is_majority(other, larger - 1) {
                    assert_ne!(one & other, 0, "{one:b} of {larger} and {other:b} of {}", larger - 1);
                }
            }
        }
    }
}
