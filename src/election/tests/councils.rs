//! Councils that grow, replace voters and shrink while members come and go.

use rand::RngExt;

use super::TTL_MS;
use super::world::{MS, World};
use crate::base::{Seat, Term};

/// What one step may take: a lease that runs out, and the renewal and the messages that it takes beside.
const STEP_MS: u64 = TTL_MS + 1_500;

fn grown(seed: u64, size: usize) -> World {
    let mut world = World::of_latecomers(seed, size);
    for host in 0..size {
        world.start(host);
        // The first one founds a council of itself before the others come.
        world.run_for(if host == 0 { 2_000 } else { 300 });
    }
    let voters: Vec<usize> = (0..size.min(5) - usize::from(size.min(5).is_multiple_of(2))).collect();
    let steps = u64::try_from(voters.len()).unwrap() + 2;
    assert!(world.until_vote(&voters, steps * STEP_MS).is_some(), "seed {seed}: {}", world.why());
    world
}

#[test]
fn a_council_of_one_grows_by_two_as_members_come_and_its_leader_stays_seated() {
    let mut world = World::of_latecomers(1, 6);
    world.start(0);
    assert!(world.until_vote(&[0], 3_000).is_some(), "{}", world.why());
    world.until_led(None, 3_000).unwrap();
    world.start(1);
    world.run_for(20_000);
    assert_eq!(world.voters(), Some(vec![0]), "a council of two members stands still when either is lost");
    world.start(2);
    let took = world.until_vote(&[0, 1, 2], 3 * STEP_MS).unwrap_or_else(|| panic!("{}", world.why()));
    println!("1 to 3 voters: {took} ms");
    world.start(3);
    world.run_for(20_000);
    assert_eq!(world.voters(), Some(vec![0, 1, 2]));
    world.start(4);
    assert!(world.until_vote(&[0, 1, 2, 3, 4], 3 * STEP_MS).is_some(), "{}", world.why());
    world.start(5);
    world.run_for(20_000);
    assert_eq!(world.voters(), Some(vec![0, 1, 2, 3, 4]), "five are enough");
    assert_eq!(world.holdings[&Seat::Leader].len(), 1, "a change of the council cost the leader its seat");
}

#[test]
fn nobody_is_steward_of_a_council_that_is_as_it_should_be() {
    let mut world = grown(2, 5);
    let stewards = world.holdings[&Seat::Steward].len();
    world.run_for(120_000);
    assert_eq!(world.holdings[&Seat::Steward].len(), stewards);
    assert!(world.holdings[&Seat::Steward].last().is_some_and(|last| last.until < world.at));
}

#[test]
fn the_death_of_the_founder_does_not_end_a_group_that_has_grown() {
    let mut world = grown(3, 3);
    world.crash(0, 0);
    assert!(world.until_led(Some(0), 3 * TTL_MS).is_some(), "{}", world.why());
    world.run_for(200_000);
    assert_eq!(world.voters(), Some(vec![0, 1, 2]), "there is nobody else, and it may come back");
    world.start(0);
    world.run_for(3_000);
    world.crash(1, 0);
    assert!(world.until_led(Some(1), 3 * TTL_MS).is_some(), "{}", world.why());
}

#[test]
fn a_silent_voter_is_replaced_after_a_minute_and_not_before() {
    let mut world = grown(4, 6);
    world.crash(2, 0);
    world.run_for(58_000);
    assert_eq!(world.voters(), Some(vec![0, 1, 2, 3, 4]));
    let took = world.until_vote(&[0, 1, 3, 4, 5], 4 * STEP_MS);
    assert!(took.is_some(), "{}", world.why());
    world.start(2);
    world.run_for(20_000);
    assert_eq!(world.voters(), Some(vec![0, 1, 3, 4, 5]), "it is back, and the council is full");
}

#[test]
fn a_voter_that_departed_is_replaced_at_once_and_without_a_successor_after_a_minute() {
    let mut world = grown(5, 4);
    world.leave(1);
    assert!(world.until_vote(&[0, 2, 3], 4 * STEP_MS).is_some(), "{}", world.why());
    world.leave(2);
    world.run_for(55_000);
    assert_eq!(world.voters(), Some(vec![0, 2, 3]), "it may be back in a moment");
    assert!(world.until_vote(&[0], 10_000 + 3 * STEP_MS).is_some(), "{}", world.why());
    assert!(world.until_led(None, 3 * TTL_MS).is_some(), "{}", world.why());
}

#[test]
fn a_council_shrinks_to_the_wanted_size_one_voter_at_a_time() {
    let mut world = grown(6, 5);
    world.rules.council_size = 3;
    for host in 0..5 {
        world.crash(host, usize::MAX);
        world.start(host);
    }
    assert!(world.until_vote(&[0, 1, 2], 6 * STEP_MS).is_some(), "{}", world.why());
}

#[test]
fn no_voter_is_struck_while_too_few_are_there() {
    let mut world = grown(7, 6);
    for host in [1, 2, 3] {
        world.crash(host, 0);
    }
    world.run_for(200_000);
    assert_eq!(world.voters(), Some(vec![0, 1, 2, 3, 4]));
    world.start(1);
    assert!(world.until_led(None, 4 * TTL_MS).is_some(), "{}", world.why());
    // Two of them are replaced by the one member that is left, and by nobody.
    world.run_for(100_000);
    assert!(world.voters().is_some_and(|voters| voters.len() == 5 && voters.contains(&5)), "{:?}", world.voters());
}

#[test]
fn terms_grow_though_nobody_who_votes_remembers_the_last_holder() {
    let mut world = World::of_latecomers(8, 4);
    world.seats.insert(Seat::Updater);
    world.start(0);
    for _ in 0..9 {
        // It gives both seats back, and takes them again.
        world.resign_all(0);
        world.hosts[0].eligible = false;
        world.show(0);
        world.hosts[0].eligible = true;
        world.show(0);
        world.run_for(1_000);
    }
    let highest = world.holdings[&Seat::Updater].last().unwrap().term;
    assert!(highest > Term(5), "{highest:?}");
    // Nobody updates while the founder hands the group over to three others.
    world.seats.remove(&Seat::Updater);
    for host in 1..4 {
        world.start(host);
    }
    assert!(world.until_vote(&[0, 1, 2], 5 * STEP_MS).is_some(), "{}", world.why());
    world.leave(0);
    assert!(world.until_vote(&[1, 2, 3], 5 * STEP_MS).is_some(), "{}", world.why());
    world.forget(&Seat::Updater);
    world.seats.insert(Seat::Updater);
    world.look_all();
    world.run_for(3_000);
    assert!(world.holdings[&Seat::Updater].last().unwrap().term > highest);
}

/// Members come, go, crash and are cut off while their council changes; then all is well for a while.
fn torment(seed: u64) {
    let size = 3 + usize::try_from(seed % 5).unwrap();
    let mut world = World::of_latecomers(seed, size);
    world.rules.replace_voter_after = std::time::Duration::from_secs(3);
    // All hear of the first council: who does not would found another.
    world.start(0);
    world.run_for(2_000);
    for host in 1..size {
        world.start(host);
    }
    world.run_for(1_500);
    world.loss = world.rng.random_range(0..20);
    world.duplication = world.rng.random_range(0..20);
    world.slow = world.rng.random_range(0..100 * MS);
    for _ in 0..40 {
        let host = world.rng.random_range(0..size);
        match world.rng.random_range(0..12) {
            0 | 1 => {
                let survivors = world.rng.random_range(0..3);
                world.crash(host, survivors);
            }
            2..=6 => {
                if world.hosts[host].election.is_none() {
                    world.start(host);
                }
            }
            7 => world.resign(host),
            8 => {
                for from in 0..size {
                    for to in 0..size {
                        if world.rng.random_range(0..4) == 0 {
                            world.cut.insert((from, to));
                        }
                    }
                }
                world.look_all();
            }
            9 => {
                world.cut.clear();
                world.look_all();
            }
            10 => {
                if world.hosts[host].election.is_some() {
                    world.leave(host);
                }
            }
            _ => world.hosts[host].disk_fails = !world.hosts[host].disk_fails,
        }
        let ms = world.rng.random_range(1..3000);
        world.run_for(ms);
    }
    world.cut.clear();
    (world.loss, world.duplication, world.slow) = (0, 0, MS);
    for host in 0..size {
        world.hosts[host].disk_fails = false;
        if world.hosts[host].election.is_none() {
            world.start(host);
        }
    }
    world.look_all();
    world.run_for(700);
    let limit = 3 * TTL_MS;
    assert!(world.leads_within(limit), "seed {seed}: no leader {limit} ms after healing:\n{}", world.why());
    let wanted = (size.min(5) - 1) | 1;
    let ends = world.at + 60_000 * MS;
    while world.at < ends && world.voters().is_none_or(|voters| voters.len() != wanted) {
        world.run_for(100);
    }
    let voters = world.voters();
    assert_eq!(voters.map(|voters| voters.len()), Some(wanted), "seed {seed}: {}", world.why());
}

#[test]
fn no_two_hold_a_seat_while_councils_change_and_a_healed_ring_has_the_council_that_it_wants() {
    for seed in 0..100 {
        torment(seed);
    }
}

#[test]
fn a_newcomer_that_no_record_has_reached_asks_the_ring_and_follows_the_council_that_there_is() {
    let mut world = World::of_latecomers(11, 2);
    // It has the lowest id, so that as far as it knows it is the one to found a council.
    world.unread.insert(0);
    world.start(1);
    assert!(world.until_vote(&[1], 3_000).is_some(), "{}", world.why());
    world.until_led(None, 3_000).unwrap();
    world.start(0);
    world.run_for(20_000);
    let council = |host: usize| world.hosts[host].election.as_ref().unwrap().status().council;
    assert!(council(1).is_some() && council(0) == council(1), "{:?}", council(0));
    let holdings = &world.holdings[&Seat::Leader];
    assert!(holdings.iter().all(|holding| holding.host == 1), "{holdings:?}");
}

#[test]
fn of_two_members_that_no_record_of_the_other_has_reached_neither_founds_a_council_alone() {
    let mut world = World::of_latecomers(12, 2);
    world.unread.extend([0, 1]);
    world.start(0);
    world.start(1);
    world.run_for(20_000);
    let status = |world: &World, host: usize| world.hosts[host].election.as_ref().unwrap().status();
    assert!((0..2).all(|host| status(&world, host).council.is_none()));
    let why = &status(&world, 0).seats[&Seat::Leader].why;
    assert!(why.ends_with("joined the group, and the records of that are on their way"), "{why}");
    world.unread.clear();
    world.look_all();
    assert!(world.until_led(None, 5_000).is_some(), "{}", world.why());
}

#[test]
fn nobody_founds_a_council_while_a_node_that_the_ring_shows_alive_does_not_answer() {
    let mut world = World::of_latecomers(13, 2);
    world.unread.insert(0);
    world.start(1);
    world.until_led(None, 5_000).unwrap();
    // Its questions are lost, and the ring shows the other alive all the same.
    world.loss = 1_000;
    world.start(0);
    world.run_for(5_000);
    assert!(world.hosts[0].election.as_ref().unwrap().status().council.is_none());
}
