//! Two groups of one name, each with its council, that meet.

use super::TTL_MS;
use super::world::{Holding, Host, World};
use crate::base::Seat;
use crate::records::value::SeatHolder;

/// The first `one` hosts are a ring, and the others another one. Each has a leader.
fn apart(seed: u64, one: usize, other: usize) -> World {
    let mut world = World::new(seed, one + other, 1);
    world.apart = true;
    let side = |host: usize| host < one;
    for from in 0..one + other {
        for to in (0..one + other).filter(|to| side(*to) != side(from)) {
            world.cut.insert((from, to));
            world.strangers.insert((from, to));
        }
    }
    for host in 0..one + other {
        world.start(host);
    }
    world.run_for(30_000);
    for hosts in [0..one, one..one + other] {
        let leads = |holding: &Holding| hosts.contains(&holding.host) && holding.until > world.at;
        assert!(world.holdings[&Seat::Leader].iter().any(leads), "seed {seed}: {}", world.why());
    }
    world
}

fn meet(world: &mut World) {
    world.cut.clear();
    world.strangers.clear();
    world.look_all();
}

/// Who leads now, in truth.
fn holdings(world: &World) -> Vec<Holding> {
    world.holdings[&Seat::Leader].iter().filter(|holding| holding.until > world.at).copied().collect()
}

fn leaders(world: &World) -> Vec<usize> {
    holdings(world).iter().map(|holding| holding.host).collect()
}

#[test]
fn when_two_geneses_meet_the_one_with_more_voters_goes_on_and_the_others_follow_it() {
    for seed in 1..8 {
        let mut world = apart(seed, 3, 1);
        let larger = world.hosts[0].election.as_ref().unwrap().status().council.unwrap().genesis;
        meet(&mut world);
        world.run_for(5_000 + 2 * TTL_MS);
        let council = world.council().unwrap_or_else(|| panic!("seed {seed}: {}", world.why()));
        assert_eq!(council.genesis, larger, "seed {seed}");
        assert_eq!(leaders(&world).len(), 1, "seed {seed}: {}", world.why());
    }
}

#[test]
fn of_two_geneses_of_one_size_one_goes_on_and_its_leader_has_a_term_that_neither_had() {
    for seed in 1..8 {
        let mut world = apart(seed, 3, 3);
        // The side that is to give way has had more leaders.
        for _ in 0..3 {
            for host in leaders(&world) {
                world.resign(host);
            }
            world.run_for(3_000);
        }
        let highest = world.holdings[&Seat::Leader].iter().map(|holding| holding.term).max().unwrap();
        let geneses: Vec<_> = [0, 3]
            .map(|host: usize| world.hosts[host].election.as_ref().unwrap().status().council.unwrap().genesis)
            .into();
        meet(&mut world);
        world.run_for(5_000 + 3 * TTL_MS);
        let council = world.council().unwrap_or_else(|| panic!("seed {seed}: {}", world.why()));
        assert_eq!(Some(&council.genesis), geneses.iter().min(), "seed {seed}");
        let [leader] = holdings(&world)[..] else { panic!("seed {seed}: {}", world.why()) };
        assert!(leader.term >= highest, "seed {seed}: {leader:?} after {highest:?}");
        let id = world.hosts[leader.host].id;
        let published = |host: &Host| host.published[&Seat::Leader].0.clone();
        let all_know =
            world.hosts.iter().all(|host| published(host) == SeatHolder { node: Some(id), term: leader.term });
        assert!(all_know, "seed {seed}: {}", world.why());
        // From here on it is one group, and everything holds again that holds of one.
        world.apart = false;
        world.run_for(60_000);
        assert_eq!(leaders(&world).len(), 1, "seed {seed}");
    }
}

#[test]
fn geneses_that_meet_while_their_councils_change_become_one() {
    for seed in 1..8 {
        let mut world = apart(seed, 4, 4);
        world.crash(2, usize::MAX);
        world.crash(6, usize::MAX);
        world.run_for(61_000);
        meet(&mut world);
        world.run_for(500);
        world.start(2);
        world.start(6);
        world.run_for(60_000);
        assert!(world.council().is_some(), "seed {seed}: {}", world.why());
        assert_eq!(leaders(&world).len(), 1, "seed {seed}: {}", world.why());
    }
}
