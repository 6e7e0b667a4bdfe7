//! Nodes that stand still now and then, and what the others have to suffer from that.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::ring::machine::Cause;
use crate::ring::testing::{Net, Process, Standstill, id};
use crate::ring::{Awareness, DownHow, RingEvent};

const NODES: usize = 50;
const STARVED: usize = 5;
/// For how long, where the test is one of many.
const TWO_MINUTES: Duration = Duration::from_secs(120);
const TEN_MINUTES: Duration = Duration::from_secs(600);

/// How often somebody was declared dead: one of those that never stood still, one of those that did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Deaths {
    healthy: usize,
    starved: usize,
}

/// Fifty nodes, of which five stand still for 0.5 to 3 s again and again, for so long.
fn deaths(awareness: Awareness, standstill: Standstill, seed: u64, length: Duration) -> Deaths {
    let mut net = Net::joined_with(awareness, seed, NODES);
    net.standstill = standstill;
    net.run(Duration::from_secs(10));
    let mut rng = StdRng::seed_from_u64(seed);
    let starved: Vec<usize> = (0..STARVED).map(|number| number * NODES / STARVED + 3).collect();
    let millis = |rng: &mut StdRng, range| Duration::from_millis(rng.random_range(range));
    // When each of them stops, or goes on.
    let mut turns: BTreeSet<(Duration, usize)> =
        starved.iter().map(|index| (millis(&mut rng, 0..3_000), *index)).collect();
    let mut passed = Duration::ZERO;
    while let Some((at, index)) = turns.pop_first().filter(|(at, _)| *at < length) {
        net.run(at - passed);
        passed = at;
        if net.nodes[index].process == Process::Running {
            net.set_process(index, Process::Frozen);
            turns.insert((at + millis(&mut rng, 500..3_000), index));
        } else {
            net.wake(index);
            turns.insert((at + millis(&mut rng, 500..5_000), index));
        }
    }
    let mut deaths = Deaths::default();
    for (_, _, event) in &net.events {
        if let RingEvent::Down { id: dead, how: DownHow::Timeout | DownHow::Refused } = event {
            if starved.iter().any(|index| id(*index) == *dead) {
                deaths.starved += 1;
            } else {
                deaths.healthy += 1;
            }
        }
    }
    deaths
}

fn measure(awareness: Awareness, standstill: Standstill, seeds: RangeInclusive<u64>, length: Duration) -> Deaths {
    let all: Vec<Deaths> = seeds.map(|seed| deaths(awareness, standstill, seed, length)).collect();
    println!("{standstill:?} stands still, awareness {awareness:?}: {all:?}");
    let count = |of: fn(&Deaths) -> usize| all.iter().map(of).sum();
    Deaths { healthy: count(|deaths| deaths.healthy), starved: count(|deaths| deaths.starved) }
}

#[test]
fn nodes_that_stand_still_again_and_again_declare_nobody_dead_who_is_well() {
    assert_eq!(measure(Awareness::On, Standstill::Machine, 1..=1, TWO_MINUTES).healthy, 0);
}

#[test]
#[ignore = "an hour and more of virtual time: cargo nextest run --release --lib starved --run-ignored all --no-capture"]
fn in_ten_minutes_local_health_keeps_those_alive_who_are_declared_dead_without_it() {
    let (mut off, mut on) = (0, 0);
    for standstill in [Standstill::Machine, Standstill::Process] {
        let without = measure(Awareness::Off, standstill, 1..=4, TEN_MINUTES);
        let with = measure(Awareness::On, standstill, 1..=4, TEN_MINUTES);
        assert_eq!(with.healthy, 0, "{standstill:?}");
        off += without.healthy + without.starved;
        on += with.healthy + with.starved;
    }
    assert!(on < off, "all of them were alive: {on} were declared dead with it, {off} without");
}

/// The one scenario in which it is plain: a suspicion that runs out while its owner stands still, and a suspect that
/// spoke up meanwhile.
fn suspect_of_a_sleeper(awareness: Awareness) -> usize {
    let mut net = Net::joined_with(awareness, 7, 10);
    net.run(Duration::from_secs(5));
    let (sleeper, suspect) = (0, 4);
    net.with(sleeper, |ring, now| {
        let about = ring.member(id(suspect)).map(|member| crate::ring::Identity {
            id: member.id,
            address: member.address,
            generation: member.generation,
        });
        let about = about.expect("it is known");
        // As if neither datagrams nor streams had been answered just now.
        ring.apply(now.mono, vec![foca::Member::new(about, 0, foca::State::Suspect)], Cause::Dead(DownHow::Told));
        ring.begin_suspicion(now.mono, about, 0);
    });
    net.set_process(sleeper, Process::Frozen);
    net.run(Duration::from_secs(5));
    net.wake(sleeper);
    net.run(Duration::from_secs(20));
    net.count(|event| matches!(event, RingEvent::Down { id: dead, .. } if *dead == id(suspect)))
}

#[test]
fn a_suspicion_that_ran_out_while_its_owner_stood_still_is_listened_about_first() {
    assert!(suspect_of_a_sleeper(Awareness::Off) > 0, "without local health the suspect, which is well, is dead");
    assert_eq!(suspect_of_a_sleeper(Awareness::On), 0);
}
