//! Elections of a few nodes on virtual time, with everything that goes wrong.

mod councils;
mod geneses;
mod recovery;
mod world;

use rand::RngExt;

use self::world::{MS, World};
use crate::base::Seat;
use crate::census::ElectionState;

/// The lease of these elections.
const TTL_MS: u64 = 2000;

fn median(mut times: Vec<u64>) -> u64 {
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn three_members_seat_a_leader_and_keep_it() {
    let mut world = World::started(1, 3);
    let took = world.until_led(None, 5_000).unwrap_or_else(|| panic!("nobody leads:\n{}", world.why()));
    assert!(took < 2_000, "the first leader took {took} ms");
    let first = world.leader().unwrap();
    world.run_for(60_000);
    let holdings = &world.holdings[&Seat::Leader];
    assert_eq!(holdings.len(), 1, "nothing went wrong, and yet the seat changed: {holdings:?}");
    assert_eq!(world.leader().unwrap().term, first.term);
}

#[test]
fn two_of_three_wait_for_the_third_and_say_so() {
    let mut world = World::new(1, 3, 3);
    world.start(0);
    world.start(1);
    world.run_for(10_000);
    assert!(world.leader().is_none());
    let status = &world.hosts[0].election.as_ref().unwrap().status().seats[&Seat::Leader];
    assert_eq!(status.state, ElectionState::NoQuorum);
    assert_eq!(status.why, "waiting for 1 more member (2 of 3 alive)");
    world.start(2);
    assert!(world.until_led(None, 3_000).is_some(), "{}", world.why());
}

#[test]
fn of_two_sides_of_a_ring_that_is_cut_before_it_has_a_council_at_most_one_founds_one() {
    // The council of more than half of 7 has 5 voters: an odd number.
    for (size, smaller, founders) in [(9, 4, 5), (8, 4, 5), (8, 3, 5), (7, 3, 5), (7, 2, 5), (5, 2, 3)] {
        let mut world = World::started(4, size);
        for one in 0..smaller {
            for other in smaller..size {
                world.cut.extend([(one, other), (other, one)]);
            }
        }
        world.run_for(10_000);
        let status = |world: &World, host: usize| world.hosts[host].election.as_ref().unwrap().status();
        let larger_founds = size - smaller >= founders;
        for host in 0..size {
            let founded = status(&world, host).council.is_some();
            assert_eq!(founded, larger_founds && host >= smaller, "node {host} of {size}, cut at {smaller}");
        }
        let why = &status(&world, 0).seats[&Seat::Leader].why;
        let more = founders - smaller;
        assert!(why.starts_with(&format!("waiting for {more} more ")), "{why}");
        world.cut.clear();
        world.look_all();
        assert!(world.until_led(None, 5_000).is_some(), "{}", world.why());
        world.run_for(2_000);
        let council = status(&world, 0).council;
        assert!(council.is_some() && (1..size).all(|host| status(&world, host).council == council));
    }
}

#[test]
fn the_most_suitable_member_is_seated() {
    let mut world = World::new(3, 5, 3);
    for (host, suitability) in [3, 9, 1, 12, 5].into_iter().enumerate() {
        world.hosts[host].suitability = Some(suitability);
        world.start(host);
    }
    world.until_led(None, 5_000).unwrap();
    assert_eq!(world.leader().unwrap().host, 3);
}

#[test]
fn a_killed_leader_is_replaced_in_about_one_lease() {
    let mut times = Vec::new();
    for seed in 0..40 {
        let mut world = World::started(seed, if seed % 2 == 0 { 3 } else { 7 });
        world.until_led(None, 6_000).unwrap_or_else(|| panic!("seed {seed}: nobody leads:\n{}", world.why()));
        world.run_for(3_000 + seed * 37);
        let leader = world.leader().unwrap().host;
        world.crash(leader, 0);
        let took = world.until_led(Some(leader), 10_000);
        times.push(took.unwrap_or_else(|| panic!("seed {seed}: nobody leads:\n{}", world.why())));
    }
    let (most, median) = (times.iter().max().copied().unwrap(), median(times));
    println!("failover: median {median} ms, most {most} ms");
    assert!(median < 1_900, "median {median} ms");
    assert!(most < 2_200, "most {most} ms");
}

#[test]
fn a_leader_that_resigns_is_replaced_in_a_few_round_trips() {
    let mut times = Vec::new();
    for seed in 0..40 {
        let mut world = World::started(seed, if seed % 2 == 0 { 3 } else { 7 });
        world.until_led(None, 6_000).unwrap();
        world.run_for(3_000 + seed * 37);
        let leader = world.leader().unwrap().host;
        world.resign_all(leader);
        if seed % 3 == 0 {
            // Its process ends before it could say so twice.
            world.crash(leader, 1);
        }
        let took = world.until_led(Some(leader), 10_000);
        times.push(took.unwrap_or_else(|| panic!("seed {seed}: nobody leads:\n{}", world.why())));
    }
    let (most, median) = (times.iter().max().copied().unwrap(), median(times));
    println!("resignation: median {median} ms, most {most} ms");
    assert!(most < 100, "most {most} ms");
}

#[test]
fn who_resigned_lets_others_lead_though_it_is_the_most_suitable() {
    let mut world = World::new(5, 3, 3);
    for host in 0..3 {
        world.hosts[host].suitability = Some(if host == 1 { 100 } else { 1 });
        world.start(host);
    }
    world.until_led(None, 5_000).unwrap();
    world.run_for(1_000);
    assert_eq!(world.leader().unwrap().host, 1);
    world.resign(1);
    assert!(world.until_led(Some(1), 300).is_some(), "{}", world.why());
    world.run_for(10_000);
    assert_ne!(world.leader().unwrap().host, 1, "a seat is not taken from who holds it");
}

#[test]
fn a_leader_in_the_minority_steps_down_before_the_majority_seats_another() {
    for seed in 0..20 {
        let mut world = World::started(seed, 5);
        world.until_led(None, 6_000).unwrap();
        world.run_for(2_000);
        let leader = world.leader().unwrap().host;
        let minority = [leader, (leader + 1) % 5];
        for one in minority {
            for other in (0..5).filter(|other| !minority.contains(other)) {
                world.cut.extend([(one, other), (other, one)]);
            }
        }
        world.look_all();
        world.run_for(6_000);
        let holdings = &world.holdings[&Seat::Leader];
        let [.., old, new] = holdings.as_slice() else { panic!("no successor: {holdings:?}\n{}", world.why()) };
        assert!(old.host == leader && !minority.contains(&new.host) && old.until <= new.since);
        let status = &world.hosts[leader].election.as_ref().unwrap().status().seats[&Seat::Leader];
        assert_eq!(status.state, ElectionState::NoQuorum, "{status:?}");
        assert!(status.why.starts_with("no quorum: voters "), "{}", status.why);
    }
}

#[test]
fn a_leader_that_is_restarted_at_once_leads_again_in_a_higher_term() {
    let mut world = World::started(7, 3);
    world.until_led(None, 6_000).unwrap();
    world.run_for(2_000);
    let old = world.leader().unwrap();
    world.crash(old.host, 0);
    world.run_for(50);
    world.start(old.host);
    assert!(world.until_led(None, 3_000).is_some(), "{}", world.why());
    assert!(world.leader().unwrap().term > old.term);
}

#[test]
fn a_voter_whose_disk_fails_grants_nothing_until_it_writes_again() {
    let mut world = World::started(8, 3);
    world.until_led(None, 6_000).unwrap();
    world.run_for(1_000);
    let leader = world.leader().unwrap().host;
    for host in (0..3).filter(|host| *host != leader) {
        world.hosts[host].disk_fails = true;
    }
    world.crash(leader, 0);
    world.run_for(10_000);
    assert!(world.leader().is_none(), "promises that are on no disk were counted");
    for host in 0..3 {
        world.hosts[host].disk_fails = false;
    }
    assert!(world.until_led(None, 3 * TTL_MS).is_some(), "{}", world.why());
}

#[test]
fn an_election_decides_the_same_given_the_same_seed() {
    let run = |seed| {
        let mut world = World::started(seed, 5);
        world.loss = 10;
        world.run_for(20_000);
        format!("{:?} {}", world.holdings, world.why())
    };
    assert_eq!(run(11), run(11));
}

/// Draws faults for a while, heals, and wants a leader within three leases.
fn torment(seed: u64) {
    let size = 3 + usize::try_from(seed % 5).unwrap();
    let mut world = World::started(seed, size);
    world.loss = world.rng.random_range(0..25);
    world.duplication = world.rng.random_range(0..25);
    world.slow = world.rng.random_range(0..200 * MS);
    for host in 0..size {
        world.hosts[host].suitability = Some(world.rng.random_range(0..3));
    }
    for _ in 0..25 {
        let host = world.rng.random_range(0..size);
        match world.rng.random_range(0..9) {
            0 | 1 => {
                let survivors = world.rng.random_range(0..3);
                world.crash(host, survivors);
            }
            2..=4 => {
                if world.hosts[host].election.is_none() {
                    world.start(host);
                }
            }
            5 => world.resign(host),
            6 => {
                for from in 0..size {
                    for to in 0..size {
                        if world.rng.random_range(0..4) == 0 {
                            world.cut.insert((from, to));
                        }
                    }
                }
                world.look_all();
            }
            7 => {
                world.cut.clear();
                world.look_all();
            }
            _ => world.hosts[host].disk_fails = !world.hosts[host].disk_fails,
        }
        let ms = world.rng.random_range(1..1500);
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
    world.run_for(700); // by now the ring shows that it is whole
    let limit = 3 * TTL_MS;
    assert!(world.leads_within(limit), "seed {seed}: no leader {limit} ms after healing:\n{}", world.why());
}

#[test]
fn no_two_hold_a_seat_and_terms_grow_whatever_fails_and_a_healed_ring_has_a_leader() {
    for seed in 0..300 {
        torment(seed);
    }
}
