use super::*;
use crate::election::council::GenesisId;
use crate::election::view::Candidacy;

const TTL: Duration = Duration::from_secs(2);

const fn node(bits: u128) -> NodeId {
    NodeId::from_u128(bits)
}

fn at(ms: u64) -> Mono {
    Mono(ms * 1000)
}

fn holding(term: u64, holder: u128) -> Holding {
    Holding { term: Term(term), holder: node(holder), incarnation: 1 }
}

/// The voter is node 1 of a council of three.
struct Booth {
    voter: Voter,
    council: Option<Council>,
    view: View,
}

impl Booth {
    fn new() -> Self {
        let council = Council {
            genesis: GenesisId(1),
            version: (Term(0), 0),
            voters: [1, 2, 3].map(node).to_vec(),
            superseded: Vec::new(),
            floor: Term(0),
        };
        Self { voter: Voter::default(), council: Some(council), view: View::default() }
    }

    fn with_members(mut self, members: &[(u128, Option<u64>)]) -> Self {
        let member = |suitability| Candidacy { alive: true, present: true, eligible: true, suitability };
        self.view.members = members.iter().map(|(id, suitability)| (node(*id), member(*suitability))).collect();
        self
    }

    fn restarted(mut self, ms: u64) -> Self {
        self.voter = Voter::restore(self.voter.promises(), at(ms), TTL);
        self
    }

    fn claim_with(&mut self, ms: u64, holding: Holding, suitability: Option<u64>) -> Result<Granted, Refusal> {
        let council = Booth::new().council.unwrap().id();
        let rules = Rules { me: node(1), council: self.council.as_ref(), view: &self.view, ttl: TTL, longest_ttl: TTL };
        let ask = Ask { seat: &Seat::Leader, claimant: holding.holder, council, suitability };
        self.voter.claimed(at(ms), &rules, &ask, (holding, Claimant::Candidate), TTL)
    }

    fn claim(&mut self, ms: u64, holding: Holding) -> Result<Granted, Refusal> {
        self.claim_with(ms, holding, None)
    }

    fn canvass(&mut self, ms: u64, claimant: u128, term: u64) -> Result<(), Refusal> {
        let council = Booth::new().council.unwrap().id();
        let rules = Rules { me: node(1), council: self.council.as_ref(), view: &self.view, ttl: TTL, longest_ttl: TTL };
        let ask = Ask { seat: &Seat::Leader, claimant: node(claimant), council, suitability: None };
        self.voter.canvassed(at(ms), &rules, &ask, Term(term))
    }

    fn give_back(&mut self, ms: u64, holding: Holding) -> bool {
        self.voter.given_back(at(ms), &Seat::Leader, holding)
    }
}

#[test]
fn only_a_voter_of_the_very_council_that_is_asked_grants() {
    let mut unaware = Booth::new();
    unaware.council = None;
    assert_eq!(unaware.claim(0, holding(1, 2)), Err(Refusal::NotVoter));

    let mut other = Booth::new();
    let known = Council { version: (Term(1), 0), ..other.council.take().unwrap() };
    other.council = Some(known.clone());
    assert_eq!(other.claim(0, holding(1, 2)), Err(Refusal::StaleCouncil(known)));
}

#[test]
fn a_term_is_promised_once_and_to_one() {
    let mut booth = Booth::new();
    assert_eq!(booth.claim(0, holding(5, 2)), Ok(Granted::Promised));
    assert_eq!(booth.claim(500, holding(5, 2)), Ok(Granted::Again));
    for stale in [holding(5, 3), holding(4, 3), holding(4, 2)] {
        assert_eq!(booth.claim(9_000, stale), Err(Refusal::StaleTerm { term: Term(5) }), "{stale:?}");
    }
    assert_eq!(booth.claim(9_000, holding(6, 3)), Ok(Granted::Promised));
    assert_eq!(booth.claim(99_000, holding(5, 2)), Err(Refusal::StaleTerm { term: Term(6) }), "a late renewal");
}

#[test]
fn a_restarted_holder_cannot_pass_for_what_it_was() {
    let mut booth = Booth::new();
    assert_eq!(booth.claim(0, holding(5, 2)), Ok(Granted::Promised));
    let reborn = Holding { incarnation: 2, ..holding(5, 2) };
    assert_eq!(booth.claim(100, reborn), Err(Refusal::StaleTerm { term: Term(5) }));
    assert_eq!(
        booth.claim(100, Holding { term: Term(6), ..reborn }),
        Ok(Granted::Promised),
        "but it is somebody it knows"
    );
}

/// The simulator's seed 1121: the new life of a killed holder could not finish its claim.
#[test]
fn a_reborn_holder_that_gives_up_a_claim_does_not_free_what_it_was_lent_before() {
    let reborn = Holding { incarnation: 2, ..holding(6, 2) };
    for claim_arrives in [true, false] {
        let mut booth = Booth::new();
        assert_eq!(booth.claim(0, holding(5, 2)), Ok(Granted::Promised));
        if claim_arrives {
            assert_eq!(booth.claim(100, reborn), Ok(Granted::Promised));
        }
        assert!(booth.give_back(200, reborn));
        assert!(matches!(booth.claim(1_999, holding(7, 3)), Err(Refusal::Held { .. })));
        assert_eq!(booth.claim(2_000, holding(7, 3)), Ok(Granted::Promised));
    }
}

/// The same, when the voter restarts, before or after the claim is given up.
#[test]
fn a_restarted_voter_still_lends_what_a_holder_had_before_its_next_life_gave_up_a_claim() {
    let reborn = Holding { incarnation: 2, ..holding(6, 2) };
    for claim_arrives in [true, false] {
        for restarts_before in [true, false] {
            let mut booth = Booth::new();
            assert_eq!(booth.claim(0, holding(5, 2)), Ok(Granted::Promised));
            if claim_arrives {
                assert_eq!(booth.claim(100, reborn), Ok(Granted::Promised));
            }
            if restarts_before {
                booth = booth.restarted(150);
            }
            assert!(booth.give_back(200, reborn));
            let mut booth = booth.restarted(1_000);
            let told = (claim_arrives, restarts_before);
            assert!(
                matches!(booth.claim(2_999, holding(7, 3)), Err(Refusal::Settling { remaining_ms: 1 })),
                "{told:?}"
            );
            assert_eq!(booth.claim(3_000, holding(7, 3)), Ok(Granted::Promised), "{told:?}");
        }
    }
}

/// And when it restarts in between only: the promise that it kept is given back, and not what was lent before it.
#[test]
fn a_claim_that_is_given_up_after_a_restart_frees_nothing_that_was_lent_before_it() {
    let mut booth = Booth::new();
    assert_eq!(booth.claim(0, holding(5, 2)), Ok(Granted::Promised));
    let reborn = Holding { incarnation: 2, ..holding(6, 2) };
    assert_eq!(booth.claim(100, reborn), Ok(Granted::Promised));
    let mut booth = booth.restarted(1_000);
    assert!(booth.give_back(1_100, reborn));
    assert_eq!(booth.claim(2_999, holding(7, 3)), Err(Refusal::Settling { remaining_ms: 1 }));
    assert_eq!(booth.claim(3_000, holding(7, 3)), Ok(Granted::Promised));
}

#[test]
fn a_restarted_voter_need_not_wait_for_what_its_only_holder_gave_back() {
    let mut booth = Booth::new();
    assert_eq!(booth.claim(0, holding(5, 2)), Ok(Granted::Promised));
    assert!(booth.give_back(100, holding(5, 2)));
    assert_eq!(booth.restarted(200).claim(200, holding(6, 3)), Ok(Granted::Promised));
    // Nor when the voter had to trust its disk for what it lent.
    let mut booth = Booth::new();
    assert_eq!(booth.claim(0, holding(5, 2)), Ok(Granted::Promised));
    let mut booth = booth.restarted(100);
    assert!(booth.give_back(200, holding(5, 2)));
    assert_eq!(booth.restarted(300).claim(300, holding(6, 3)), Ok(Granted::Promised));
}

#[test]
fn a_shorter_claim_of_the_same_holder_does_not_shorten_what_it_was_lent() {
    let mut booth = Booth::new();
    assert_eq!(booth.claim(0, holding(5, 2)), Ok(Granted::Promised));
    let reborn = Holding { incarnation: 2, ..holding(6, 2) };
    let rules = Rules { me: node(1), council: booth.council.as_ref(), view: &booth.view, ttl: TTL, longest_ttl: TTL };
    let council = booth.council.as_ref().unwrap().id();
    let ask = Ask { seat: &Seat::Leader, claimant: node(2), council, suitability: None };
    assert_eq!(
        booth.voter.claimed(at(100), &rules, &ask, (reborn, Claimant::Candidate), TTL / 4),
        Ok(Granted::Promised)
    );
    assert!(matches!(booth.claim(1_999, holding(7, 3)), Err(Refusal::Held { remaining_ms: 1, .. })));
    assert_eq!(booth.claim(2_000, holding(7, 3)), Ok(Granted::Promised));
}

#[test]
fn nothing_is_granted_while_it_is_lent_to_somebody_else() {
    let mut booth = Booth::new();
    assert_eq!(booth.claim(0, holding(1, 2)), Ok(Granted::Promised));
    assert_eq!(booth.claim(1_000, holding(1, 2)), Ok(Granted::Again));
    let held = Refusal::Held { holding: holding(1, 2), remaining_ms: 1 };
    assert_eq!(booth.claim(2_999, holding(2, 3)), Err(held.clone()));
    assert_eq!(booth.canvass(2_999, 3, 2), Err(held));
    assert_eq!(booth.claim(3_000, holding(2, 3)), Ok(Granted::Promised));
}

#[test]
fn a_canvass_binds_nobody() {
    let mut booth = Booth::new();
    assert_eq!(booth.canvass(0, 2, 7), Ok(()));
    assert!(booth.voter.promises().is_empty());
    assert_eq!(booth.claim(0, holding(1, 3)), Ok(Granted::Promised));
}

#[test]
fn a_resigned_seat_is_free_at_once_and_its_term_is_never_granted_again() {
    let mut booth = Booth::new();
    assert_eq!(booth.claim(0, holding(1, 2)), Ok(Granted::Promised));
    assert!(booth.give_back(100, holding(1, 2)));
    assert!(!booth.give_back(101, holding(1, 2)), "the second time there is nothing to write");
    assert_eq!(booth.claim(102, holding(1, 2)), Err(Refusal::StaleTerm { term: Term(1) }), "a late renewal");
    assert_eq!(booth.claim(103, holding(2, 3)), Ok(Granted::Promised));
    let mut booth = booth.restarted(200);
    assert!(!booth.give_back(200, holding(1, 2)), "nor does it free what somebody else holds");
    assert!(matches!(booth.claim(300, holding(3, 2)), Err(Refusal::Settling { .. })));
}

#[test]
fn a_claim_that_comes_after_its_resignation_is_not_granted() {
    let mut booth = Booth::new();
    assert!(booth.give_back(0, holding(4, 2)));
    assert_eq!(booth.claim(1, holding(4, 2)), Err(Refusal::StaleTerm { term: Term(4) }));
}

#[test]
fn who_gives_up_a_higher_term_does_not_disturb_the_holder() {
    let mut booth = Booth::new();
    assert_eq!(booth.claim(0, holding(1, 2)), Ok(Granted::Promised));
    assert!(!booth.give_back(100, holding(2, 3)));
    assert_eq!(booth.claim(500, holding(1, 2)), Ok(Granted::Again));
}

#[test]
fn a_restarted_voter_waits_for_what_it_may_have_lent_but_lets_the_holder_renew() {
    let mut booth = Booth::new();
    assert_eq!(booth.claim(0, holding(1, 2)), Ok(Granted::Promised));
    let mut booth = booth.restarted(500);
    assert_eq!(booth.claim(2_499, holding(2, 3)), Err(Refusal::Settling { remaining_ms: 1 }));
    let mut waited = Booth { voter: booth.voter.clone(), ..Booth::new() };
    assert_eq!(waited.claim(2_500, holding(2, 3)), Ok(Granted::Promised));
    assert_eq!(booth.claim(2_499, holding(1, 2)), Ok(Granted::Again));
    assert!(matches!(booth.claim(2_500, holding(2, 3)), Err(Refusal::Held { .. })));
}

#[test]
fn a_voter_that_never_promised_the_seat_need_not_settle() {
    let mut booth = Booth::new().restarted(100);
    assert_eq!(booth.claim(100, holding(1, 2)), Ok(Granted::Promised));
}

#[test]
fn the_more_suitable_come_first_for_one_ttl_and_no_longer() {
    let mut booth = Booth::new().with_members(&[(2, Some(1)), (3, Some(9))]);
    booth.view.seats.insert(Seat::Leader);
    let view = booth.view.clone();
    booth.voter.know(at(0), &view);
    let outranked = Err(Refusal::Outranked { by: node(3), remaining_ms: 1 });
    assert_eq!(booth.claim_with(1_999, holding(1, 2), Some(1)), outranked);
    assert_eq!(booth.claim_with(1_999, holding(1, 3), Some(9)), Ok(Granted::Promised));
    // Its loan runs out at 3,999: the seat falls vacant then.
    assert_eq!(
        booth.claim_with(5_998, holding(2, 2), Some(1)),
        Err(Refusal::Outranked { by: node(3), remaining_ms: 1 })
    );
    assert_eq!(booth.claim_with(5_999, holding(2, 2), Some(1)), Ok(Granted::Promised));
    assert_eq!(booth.claim_with(6_100, holding(2, 2), Some(1)), Ok(Granted::Again), "a renewal is not outranked");
}

#[test]
fn who_resigned_outranks_nobody() {
    let mut booth = Booth::new().with_members(&[(2, Some(1)), (3, Some(9))]);
    assert_eq!(booth.claim_with(0, holding(1, 3), Some(9)), Ok(Granted::Promised));
    assert!(booth.give_back(10, holding(1, 3)));
    assert_eq!(booth.claim_with(11, holding(2, 2), Some(1)), Ok(Granted::Promised));
}

#[test]
fn nobody_is_lent_a_seat_for_longer_than_a_restart_waits() {
    let mut booth = Booth::new();
    let id = booth.council.as_ref().unwrap().id();
    let rules = Rules { me: node(1), council: booth.council.as_ref(), view: &booth.view, ttl: TTL, longest_ttl: TTL };
    let ask = Ask { seat: &Seat::Leader, claimant: node(2), council: id, suitability: None };
    let longer = TTL + Duration::from_millis(1);
    let refused = booth.voter.claimed(at(0), &rules, &ask, (holding(1, 2), Claimant::Candidate), longer);
    assert_eq!(refused, Err(Refusal::TooLong { longest_ms: 2000 }));
}

#[test]
fn promises_are_kept_for_the_most_seats_and_not_for_one_more() {
    let mut booth = Booth::new();
    for number in 0..=SEATS_MAX {
        let seat: Seat = format!("lock/a{number}").parse().unwrap();
        let id = booth.council.as_ref().unwrap().id();
        let rules =
            Rules { me: node(1), council: booth.council.as_ref(), view: &booth.view, ttl: TTL, longest_ttl: TTL };
        let ask = Ask { seat: &seat, claimant: node(2), council: id, suitability: None };
        let answer = booth.voter.claimed(at(0), &rules, &ask, (holding(1, 2), Claimant::Candidate), TTL);
        let expected = if number < SEATS_MAX { Ok(Granted::Promised) } else { Err(Refusal::TooManySeats) };
        assert_eq!(answer, expected, "seat {number}");
    }
}
