//! Councils of which a majority is lost for good, and voters that are gone for good.

use super::TTL_MS;
use super::world::{MS, World};
use crate::base::Seat;
use crate::election::RecoverError;

/// Three members that were led for a while, of which the two with the highest ids were killed.
fn of_one_survivor(seed: u64) -> World {
    let mut world = World::started(seed, 3);
    world.until_led(None, 5_000).unwrap_or_else(|| panic!("{}", world.why()));
    world.run_for(5_000);
    world.crash(1, usize::MAX);
    world.crash(2, usize::MAX);
    world.run_for(10_000);
    assert!(world.leader().is_none());
    world
}

#[test]
fn a_lost_council_is_given_up_and_the_survivor_leads_in_a_term_that_was_never_used() {
    for seed in 1..16 {
        let mut world = of_one_survivor(seed);
        let before = world.holdings[&Seat::Leader].iter().map(|holding| holding.term).max().unwrap();
        let old = world.council().unwrap();
        world.recover(0).unwrap();
        assert!(world.leads_within(3 * TTL_MS), "seed {seed}: {}", world.why());
        let leader = world.leader().unwrap();
        assert!(leader.host == 0 && leader.term.0 > 1_000_000 && leader.term > before, "{leader:?}");
        let council = world.council().unwrap();
        assert!(council.supersedes(old.genesis) && council.voters == [world.hosts[0].id], "{council:?}");
        world.run_for(60_000);
        assert_eq!(world.leader().map(|leader| leader.term), Some(council.floor.next()), "it keeps the seat");
    }
}

#[test]
fn nobody_is_seated_before_what_the_lost_council_may_have_lent_has_run_out() {
    let mut world = of_one_survivor(3);
    world.recover(0).unwrap();
    let begun = world.at;
    world.run_for(TTL_MS - 100);
    assert!(world.leader().is_none(), "{:?}", world.leader());
    assert!(world.leads_within(2 * TTL_MS), "{}", world.why());
    assert!(world.leader().unwrap().since - begun >= (TTL_MS - 100) * MS);
}

#[test]
fn a_council_is_not_given_up_while_a_majority_of_it_answers() {
    let mut world = World::started(4, 3);
    world.until_led(None, 5_000).unwrap();
    let refused = world.recover(0).unwrap_err();
    assert_eq!(refused.to_string(), "3 of its 3 voters answer, or are only suspected not to: that is a majority");
    world.crash(2, usize::MAX);
    world.run_for(5_000);
    assert!(matches!(world.recover(0), Err(RecoverError::NotLost { voters: 3, .. })));
    let council = world.council().unwrap();
    world.run_for(20_000);
    assert_eq!(world.council().unwrap().genesis, council.genesis, "a refusal changes nothing");
}

#[test]
fn a_group_without_a_council_has_none_to_give_up() {
    let mut world = World::new(5, 3, 3);
    world.start(0);
    world.run_for(5_000);
    assert_eq!(world.recover(0), Err(RecoverError::NoCouncil));
}

#[test]
fn lost_voters_that_come_back_with_their_disks_give_way_and_vote_again_some_day() {
    for seed in 1..16 {
        let mut world = of_one_survivor(seed);
        world.recover(0).unwrap();
        assert!(world.leads_within(3 * TTL_MS), "seed {seed}: {}", world.why());
        let leader = world.leader().unwrap();
        // The world asserts that nobody ever holds the seat beside another, and that terms grow.
        world.start(1);
        world.start(2);
        world.run_for(30_000);
        let now = world.leader().unwrap_or_else(|| panic!("seed {seed}: {}", world.why()));
        assert_eq!((now.host, now.term), (leader.host, leader.term), "seed {seed}");
        assert_eq!(world.voters(), Some(vec![0, 1, 2]), "seed {seed}: {}", world.why());
    }
}

#[test]
fn a_survivor_of_five_founds_a_council_with_another_survivor_that_never_voted() {
    let mut world = World::started(7, 6);
    world.until_led(None, 5_000).unwrap();
    world.run_for(5_000);
    for host in [1, 2, 3] {
        world.crash(host, usize::MAX);
    }
    world.run_for(5_000);
    world.recover(5).unwrap();
    assert!(world.leads_within(3 * TTL_MS), "{}", world.why());
    assert_eq!(world.voters(), Some(vec![0, 4, 5]), "{}", world.why());
}

#[test]
fn a_voter_that_is_gone_for_good_is_replaced_at_once() {
    let mut world = World::started(8, 4);
    world.until_led(None, 5_000).unwrap();
    world.until_vote(&[0, 1, 2], 20_000).unwrap();
    world.crash(1, usize::MAX);
    world.run_for(3_000);
    world.departed.insert(1);
    world.look_all();
    assert!(world.until_vote(&[0, 2, 3], 12_000).is_some(), "{}", world.why());
}

#[test]
fn a_voter_that_is_gone_for_good_counts_for_no_quorum_even_if_nobody_takes_its_place() {
    let mut world = World::started(9, 3);
    world.until_led(None, 5_000).unwrap();
    world.crash(2, usize::MAX);
    world.run_for(3_000);
    world.departed.insert(2);
    world.look_all();
    assert!(world.until_vote(&[0], 15_000).is_some(), "{}", world.why());
    world.crash(1, usize::MAX);
    world.run_for(5_000);
    assert!(world.leads_within(3 * TTL_MS), "{}", world.why());
}
