use super::*;

const fn node(bits: u128) -> NodeId {
    NodeId::from_u128(bits)
}

const fn ballot(attempt: u64, proposer: u128) -> Ballot {
    Ballot { attempt, proposer: node(proposer) }
}

fn proposal(attempt: u64, voters: [u128; 3]) -> Proposal {
    Proposal { ballot: ballot(attempt, voters[0]), voters: voters.map(node).to_vec(), superseded: Vec::new() }
}

#[test]
fn two_overlapping_proposals_collide_at_a_shared_voter() {
    let mut shared = Charter::default();
    let (first, second) = (proposal(1, [1, 2, 3]), proposal(2, [3, 4, 5]));
    assert_eq!(shared.proposed(node(3), &first), Answer::Accepted);
    assert_eq!(shared.proposed(node(3), &first), Answer::Again);
    assert_eq!(shared.proposed(node(3), &second), Answer::Collides(first));
}

#[test]
fn that_one_voter_abandoned_a_proposal_does_not_free_it_for_another() {
    let mut voter = Charter::default();
    let (first, second) = (proposal(1, [1, 2, 3]), proposal(2, [3, 4, 5]));
    assert_eq!(voter.proposed(node(3), &first), Answer::Accepted);
    assert_eq!(voter.abandon(second.ballot, first.ballot), Yielded::Promised);
    assert_eq!(voter.abandon(second.ballot, first.ballot), Yielded::Again);
    assert_eq!(voter.proposed(node(3), &second), Answer::Collides(first.clone()));
    let taking_over = Proposal { superseded: vec![first.genesis()], ..second };
    assert_eq!(voter.proposed(node(3), &taking_over), Answer::Accepted);
    assert!(!voter.confirmed(node(3), &first.confirmed()), "it had promised never to confirm it");
    assert!(voter.confirmed(node(3), &taking_over.confirmed()));
}

#[test]
fn a_lower_ballot_never_takes_over() {
    let mut voter = Charter::default();
    assert_eq!(voter.proposed(node(3), &proposal(2, [1, 2, 3])), Answer::Accepted);
    for lower in [ballot(1, 9), ballot(2, 0), ballot(2, 1)] {
        assert_eq!(voter.abandon(lower, ballot(2, 1)), Yielded::Ignored, "{lower:?}");
    }
}

#[test]
fn whoever_has_the_confirmation_spreads_it_instead_of_abandoning_it() {
    let mut voter = Charter::default();
    let first = proposal(1, [1, 2, 3]);
    assert_eq!(voter.proposed(node(3), &first), Answer::Accepted);
    assert!(voter.confirmed(node(3), &first.confirmed()));
    assert_eq!(voter.abandon(ballot(9, 9), first.ballot), Yielded::Council(first.confirmed()));
    assert_eq!(voter.proposed(node(3), &proposal(9, [3, 4, 5])), Answer::Council(first.confirmed()));
}

#[test]
fn a_voter_that_slept_through_a_take_over_gives_way() {
    let mut slept = Charter::default();
    let first = proposal(1, [1, 2, 3]);
    assert_eq!(slept.proposed(node(1), &first), Answer::Accepted);
    assert!(slept.confirmed(node(1), &first.confirmed()));
    let other = proposal(2, [2, 3, 4]).confirmed();
    assert!(!slept.confirmed(node(1), &other), "another council that does not say so is no reason");
    let council = Council { superseded: vec![first.genesis()], ..other };
    assert!(slept.confirmed(node(1), &council));
    assert!(!slept.confirmed(node(1), &first.confirmed()), "and not back again");
}

#[test]
fn nobody_votes_in_a_council_that_it_did_not_accept() {
    let mut stranger = Charter::default();
    assert!(!stranger.confirmed(node(3), &proposal(1, [1, 2, 3]).confirmed()));
    assert!(stranger.confirmed(node(4), &proposal(1, [1, 2, 3]).confirmed()), "it may observe it");
}

#[test]
fn a_proposal_needs_all_of_its_voters() {
    let mut bid = Bid::new(proposal(1, [1, 2, 3]), Mono(0), Mono(0));
    assert!(!bid.accepted(node(1)));
    assert!(!bid.accepted(node(2)));
    assert!(!bid.accepted(node(9)), "who is not proposed has no say");
    assert_eq!(bid.missing(), [node(3)]);
    assert!(bid.accepted(node(3)));
}

#[test]
fn a_rival_is_superseded_by_a_majority_of_its_voters_or_by_its_proposer() {
    let rival = proposal(1, [1, 2, 3]);
    let mut bid = Bid::new(proposal(2, [2, 3, 4]), Mono(0), Mono(0));
    bid.collides(Mono(0), rival.clone());
    assert!(!bid.abandoned(node(2), rival.ballot));
    assert!(!bid.abandoned(node(2), rival.ballot), "one voter that says it twice");
    assert!(!bid.abandoned(node(4), rival.ballot), "who does not vote there has no say");
    assert!(bid.abandoned(node(3), rival.ballot));
    assert_eq!(bid.proposal.superseded, [rival.genesis()]);

    let mut bid = Bid::new(proposal(2, [2, 3, 4]), Mono(0), Mono(0));
    bid.collides(Mono(0), rival.clone());
    assert!(bid.abandoned(node(1), rival.ballot));
}

#[test]
fn promises_to_abandon_are_taken_at_the_limit_and_not_one_beyond() {
    let mut voter = Charter::default();
    let most = u64::try_from(ABANDONED_MAX).unwrap();
    for attempt in 1..=most {
        assert_eq!(voter.abandon(ballot(1000, 9), ballot(attempt, 1)), Yielded::Promised);
    }
    assert_eq!(voter.abandon(ballot(1000, 9), ballot(most + 1, 1)), Yielded::Ignored);
    assert!(voter.is_well_formed());
}
