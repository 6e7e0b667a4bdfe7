//! What the ring promises, on virtual time.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::machine::Cause;
use super::testing::{Net, Process, address, id, identity};
use super::view::MEMBERS_MAX;
use super::{
    Awareness, DownHow, MemberState, News, NewsKind, Profile, Remembered, Ring, RingAction, RingConfig, RingDatagram,
    RingEvent, RingRequest,
};
use crate::base::{Mono, Now, Wall};

const SECOND: Duration = Duration::from_secs(1);

fn config(seed: u64) -> RingConfig {
    let (me, profile, awareness) = (identity(0, 1), Profile::Lan, Awareness::On);
    RingConfig { me, profile, seed, remembered: Vec::new(), has_peers: false, awareness }
}

fn is_down(event: &RingEvent) -> bool {
    matches!(event, RingEvent::Down { .. })
}

fn is_renewed(event: &RingEvent) -> bool {
    matches!(event, RingEvent::Renewed { .. })
}

mod departed;
mod starved;
mod successor;

#[test]
fn twenty_nodes_that_start_at_once_by_one_seed_see_one_another_within_three_seconds() {
    let mut net = Net::start(Profile::Lan, 1, 20);
    assert!(net.run_until(3 * SECOND, |net| net.all_see(20)));
    assert!(net.nodes.iter().all(|node| node.ring.is_joined()));
    assert_eq!(net.count(is_down), 0);
}

#[test]
fn a_storm_of_a_hundred_joins_leaves_no_tail() {
    let mut net = Net::start(Profile::Lan, 2, 100);
    assert!(net.run_until(10 * SECOND, |net| net.all_see(100)));
    assert_eq!(net.count(is_down), 0);
}

/// How long it takes until all know of a killed process, in twenty rings, sorted.
fn times_to_know_of_a_kill(profile: Profile, count: usize) -> Vec<Duration> {
    let mut times: Vec<Duration> = (0..20)
        .map(|seed| {
            let mut net = Net::joined_as(profile, seed, count);
            net.run(Duration::from_millis(StdRng::seed_from_u64(seed).random_range(3_000..6_000)));
            let killed = net.now;
            net.set_process(1, Process::Killed);
            assert!(net.run_until(10 * SECOND, |net| net.all_know(1, MemberState::Down)));
            assert_eq!(net.count(|event| matches!(event, RingEvent::Down { id: dead, .. } if *dead != id(1))), 0);
            net.now.since(killed)
        })
        .collect();
    times.sort();
    times
}

#[test]
fn a_killed_process_is_known_to_all_of_twenty_within_two_seconds() {
    let times = times_to_know_of_a_kill(Profile::Lan, 20);
    assert!(times[10] < SECOND, "median of {times:?}");
    assert!(times[19] < 2 * SECOND, "worst of {times:?}");
}

#[test]
fn on_one_machine_a_killed_process_is_known_within_a_second() {
    for count in [2, 3, 7] {
        let times = times_to_know_of_a_kill(Profile::Local, count);
        assert!(times[19] < SECOND, "worst of {count} nodes, {times:?}");
    }
}

#[test]
fn a_death_crosses_a_ring_in_a_few_hops_that_is_too_large_to_be_told_directly() {
    let mut net = Net::joined(3, 90);
    net.run(3 * SECOND);
    net.set_process(7, Process::Killed);
    assert!(net.run_until(3 * SECOND, |net| {
        net.nodes.iter().any(|node| node.ring.member(id(7)).is_some_and(|member| member.state == MemberState::Down))
    }));
    assert!(net.run_until(SECOND / 2, |net| net.all_know(7, MemberState::Down)));
}

#[test]
fn of_three_nodes_two_that_are_killed_at_once_are_known_within_three_seconds() {
    let mut net = Net::joined(4, 3);
    net.run(5 * SECOND);
    net.set_process(1, Process::Killed);
    net.set_process(2, Process::Killed);
    assert!(net.run_until(3 * SECOND, |net| net.all_see(1)));
}

#[test]
fn a_machine_without_power_is_found_by_timeout() {
    let mut net = Net::joined(5, 20);
    net.run(5 * SECOND);
    net.set_process(3, Process::PoweredOff);
    assert!(net.run_until(12 * SECOND, |net| net.all_know(3, MemberState::Down)));
    assert_eq!(net.count(|event| matches!(event, RingEvent::Down { how: DownHow::Refused, .. })), 0);
    assert!(net.count(|event| matches!(event, RingEvent::Down { how: DownHow::Timeout, .. })) >= 1);
}

#[test]
fn a_process_that_is_stopped_is_found_although_its_machine_accepts_connects() {
    let mut net = Net::joined(6, 20);
    net.run(5 * SECOND);
    net.set_process(3, Process::Frozen);
    assert!(net.run_until(60 * SECOND, |net| net.all_know(3, MemberState::Down)));
}

#[test]
fn a_pause_that_is_shorter_than_a_suspicion_harms_nobody() {
    for seed in 30..40 {
        let mut net = Net::joined(seed, 10);
        net.run(5 * SECOND);
        net.set_process(3, Process::Frozen);
        net.run(3 * SECOND);
        net.set_process(3, Process::Running);
        net.run(30 * SECOND);
        assert!(net.all_see(10), "seed {seed}");
        assert_eq!(net.count(is_down) + net.count(is_renewed), 0, "seed {seed}: {:?}", net.events);
    }
}

#[test]
fn a_lossy_ring_without_faults_never_renews_an_identity() {
    let mut net = Net::joined(7, 40);
    net.loss = 0.1;
    net.run(40 * SECOND);
    assert_eq!(net.count(is_renewed), 0);
    assert_eq!(net.count(is_down), 0);
    assert!(net.all_see(40));
    assert!(net.count(|event| matches!(event, RingEvent::Suspect { .. })) > 0, "the loss tested nothing");
}

#[test]
fn a_ring_that_lost_its_datagrams_stays_together_by_streams_and_says_so_once() {
    let mut net = Net::joined(8, 3);
    net.udp = false;
    net.run(60 * SECOND);
    assert!(net.all_see(3));
    assert_eq!(net.count(is_down), 0);
    for observer in 0..3 {
        for other in 0..3 {
            let told = net.events.iter().filter(|(_, at, event)| {
                *at == observer
                    && matches!(event, RingEvent::Refuted { id: about, by_tcp: true } if *about == id(other))
            });
            assert!(told.count() <= 1, "{observer} says of {other} again and again that datagrams are lost");
        }
    }
    assert!(net.count(|event| matches!(event, RingEvent::Refuted { by_tcp: true, .. })) >= 3);
}

#[test]
fn a_partition_of_forty_heals_within_ten_seconds() {
    let mut net = Net::joined(9, 40);
    net.cut(20);
    assert!(net.run_until(60 * SECOND, |net| net.all_see(20)), "the halves did not part");
    net.run(10 * SECOND);
    net.cut(0);
    assert!(net.run_until(10 * SECOND, |net| net.all_see(40)));
    net.run(5 * SECOND);
    assert!(net.all_see(40), "it did not stay healed");
}

/// While a cut is shorter than a suspicion, what is gossiped of the suspicions does not reach those who could refute them.
#[test]
fn a_cut_that_was_shorter_than_a_suspicion_is_forgotten_before_the_suspicions_are_over() {
    for seed in 1..=12 {
        let mut net = Net::joined(seed, 5);
        net.run(Duration::from_secs(10));
        net.cut(2);
        net.run(Duration::from_secs(3));
        assert!(net.count(|event| matches!(event, RingEvent::Suspect { .. })) > 0);
        net.cut(0);
        let all_alive = |net: &Net| (0..5).all(|index| net.all_know(index, MemberState::Alive));
        assert!(net.run_until(Duration::from_millis(3_500), all_alive), "seed {seed}: somebody is suspect still");
    }
}

#[test]
fn a_goodbye_is_known_at_once_and_is_not_a_death() {
    for (seed, count) in [(10, 5), (11, 80)] {
        let mut net = Net::joined(seed, count);
        net.run(5 * SECOND);
        net.with(2, Ring::leave);
        assert!(net.run_until(SECOND / 2, |net| net.all_know(2, MemberState::Left)), "{count}");
        net.run(8 * SECOND);
        assert_eq!(net.count(is_down), 0, "{count}");
        assert_eq!(net.count(is_renewed), 0, "{count}");
        assert!(net.all_know(2, MemberState::Left), "{count}");
    }
}

#[test]
fn a_node_that_comes_back_at_another_address_is_followed() {
    let mut net = Net::joined(12, 5);
    net.run(10 * SECOND);
    net.set_process(3, Process::Killed);
    let remembered = net.nodes[3].remembered.clone();
    assert_eq!(remembered.len(), 4);
    let mut moved = identity(3, 1_900_000_000_001);
    moved.address = address(77);
    net.add(Profile::Lan, moved, remembered, false);
    assert!(net.run_until(5 * SECOND, |net| {
        net.running().all(|node| {
            node.ring.member(id(3)).is_some_and(|m| m.state == MemberState::Alive && m.address == address(77))
        })
    }));
    assert!(
        net.count(|e| matches!(e, RingEvent::Moved { id: who, address: to } if *who == id(3) && *to == address(77)))
            >= 4
    );
}

#[test]
fn a_quick_restart_at_the_same_address_is_no_death() {
    let mut net = Net::joined(13, 5);
    net.run(10 * SECOND);
    net.set_process(3, Process::Killed);
    let remembered = net.nodes[3].remembered.clone();
    net.add(Profile::Lan, identity(3, 1_900_000_000_500), remembered, false);
    net.run(10 * SECOND);
    assert_eq!(net.count(is_down), 0);
    assert!(net.running().all(|node| node.ring.member(id(3)).is_some_and(|m| m.generation == 1_900_000_000_500)));
}

#[test]
fn a_lone_node_finds_its_ring_by_what_it_remembers_however_late() {
    let mut net = Net::new(14);
    let remembered = vec![Remembered { id: id(1), address: address(1) }];
    net.add(Profile::Lan, identity(0, 5), remembered, false);
    net.run(600 * SECOND);
    net.add(Profile::Lan, identity(1, 5), Vec::new(), false);
    assert!(net.run_until(40 * SECOND, |net| net.all_see(2)));
}

#[test]
fn rings_that_started_apart_become_one_when_a_named_peer_appears() {
    let mut net = Net::new(15);
    for index in 1..=4 {
        net.add(Profile::Lan, identity(index, 5), Vec::new(), false);
    }
    // 2 finds 1, and 4 finds 3; nobody finds 0 yet.
    net.with(1, |ring, now| ring.join(now, &[address(1), address(0)]));
    net.with(3, |ring, now| ring.join(now, &[address(3), address(0)]));
    net.run(20 * SECOND);
    assert!(net.all_see(2));
    net.add(Profile::Lan, identity(0, 5), Vec::new(), false);
    assert!(net.run_until(60 * SECOND, |net| net.all_see(5)));
}

#[test]
fn of_two_processes_with_one_id_the_older_is_told_to_stop_and_the_newer_stays() {
    let mut net = Net::joined(16, 5);
    net.run(5 * SECOND);
    let mut copy = identity(3, 1_900_000_000_777);
    copy.address = address(99);
    net.add(Profile::Lan, copy, Vec::new(), true);
    assert!(net.run_until(10 * SECOND, |net| {
        net.count(|e| matches!(e, RingEvent::Usurped { generation: 1_900_000_000_777, .. })) == 1
    }));
    net.run(10 * SECOND);
    let usurped: Vec<_> =
        net.events.iter().filter(|(_, _, e)| matches!(e, RingEvent::Usurped { .. })).map(|(_, at, _)| *at).collect();
    assert_eq!(usurped, [3], "the older process, once");
    assert_eq!(net.count(is_renewed), 0);
    let others = [0, 1, 2, 4, 5].map(|at| net.nodes[at].ring.member(id(3)).map(|m| (m.generation, m.state)));
    assert!(others.iter().all(|seen| *seen == Some((1_900_000_000_777, MemberState::Alive))), "{others:?}");
}

#[test]
fn a_node_whose_clock_was_set_back_outlives_its_own_past() {
    let mut net = Net::joined(17, 5);
    net.run(5 * SECOND);
    net.set_process(3, Process::Killed);
    net.run(5 * SECOND);
    net.add(Profile::Lan, identity(3, 1_000), Vec::new(), true);
    assert!(net.run_until(10 * SECOND, |net| net.all_see(5)));
    assert_eq!(net.count(|e| matches!(e, RingEvent::Usurped { .. })), 0);
    assert!(net.nodes[5].ring.me().generation > 1_900_000_000_000);
}

#[test]
fn garbage_and_lies_about_strangers_change_nothing() {
    let mut net = Net::joined(18, 5);
    let mut rng = StdRng::seed_from_u64(18);
    let mut junk = 0;
    for size in [0, 1, 2, 40, 64, 200, 1_332, 1_333, 9_000] {
        for _ in 0..20 {
            let bytes: Vec<u8> = (0..size).map(|_| rng.random()).collect();
            net.with(1, |ring, now| ring.handle_datagram(now, address(200), RingDatagram::Foca(bytes)));
            junk += 1;
        }
    }
    let stranger = identity(50, 9);
    for msg in [
        RingDatagram::News(News { about: stranger, kind: NewsKind::Dead }),
        RingDatagram::ProbeRequest { about: stranger, from: id(51) },
        RingDatagram::Pong { from: id(50), generation: 3 },
        RingDatagram::Ping { to: id(50) },
    ] {
        net.with(1, |ring, now| ring.handle_datagram(now, address(200), msg));
    }
    assert!(net.nodes[1].ring.rejected() > junk * 3 / 4);
    net.run(30 * SECOND);
    assert!(net.all_see(5));
    assert_eq!(net.count(is_down) + net.count(is_renewed), 0);
}

#[test]
fn an_idle_node_sends_less_than_four_hundred_bytes_a_second() {
    let mut net = Net::joined(19, 20);
    net.run(120 * SECOND);
    let before: usize = net.nodes.iter().map(|node| node.bytes_sent).sum();
    net.run(60 * SECOND);
    let after: usize = net.nodes.iter().map(|node| node.bytes_sent).sum();
    let per_second = (after - before) / 60 / 20;
    assert!(per_second < 400, "{per_second} B/s, envelopes included");
}

#[test]
fn the_same_seed_gives_the_same_events() {
    let run = || {
        let mut net = Net::joined(20, 10);
        net.loss = 0.2;
        net.run(10 * SECOND);
        net.set_process(4, Process::Killed);
        net.run(10 * SECOND);
        net.events
    };
    assert_eq!(run(), run());
}

#[test]
fn a_ring_of_one_without_peers_is_joined_and_one_with_peers_is_not() {
    let mut net = Net::new(21);
    net.add(Profile::Lan, identity(0, 1), Vec::new(), false);
    assert!(net.nodes[0].ring.is_joined());
    net.add(Profile::Lan, identity(1, 1), Vec::new(), true);
    assert!(!net.nodes[1].ring.is_joined());
    net.run(SECOND);
    assert!(net.nodes[1].ring.is_joined());
}

/// Foca 2.0.0 tells a member that refuted a suspicion that it is dead when the suspicion's timer fires all the same.
/// The timer never reaches it here.
#[test]
fn a_refuted_suspicion_never_renews_the_identity() {
    let mut net = Net::joined(22, 3);
    net.run(5 * SECOND);
    let suspect = net.nodes[1].ring.me();
    // The observer suspects, the suspect hears of it over a stream and refutes, the suspicion's time passes.
    net.with(0, |ring, now| ring.suspect(now.mono, suspect, 0));
    let asker = net.nodes[0].ring.myself();
    net.with(1, |ring, now| {
        let request = RingRequest::Exchange { from: asker, suspected_at: Some(0), members: Vec::new() };
        ring.handle_request(now, address(0), request);
    });
    net.run(30 * SECOND);
    assert_eq!(net.nodes[1].ring.me(), suspect);
    assert!(net.nodes[1].ring.myself().incarnation > 0);
    assert_eq!(net.count(is_down) + net.count(is_renewed), 0);
    assert!(net.all_see(3));
}

/// The simulator's seeds 4 and 20: the accuser was gone or had dropped its suspicion, and the suspect never heard of it.
#[test]
fn a_suspicion_that_only_a_bystander_remembers_comes_to_an_end() {
    let mut net = Net::joined(27, 3);
    net.run(5 * SECOND);
    net.gossip = false;
    let suspect = foca::Member::new(net.nodes[1].ring.me(), 0, foca::State::Suspect);
    net.with(0, |ring, now| ring.apply(now.mono, vec![suspect], Cause::Dead(DownHow::Told)));
    let is_suspect = |net: &Net| net.nodes[0].ring.member(id(1)).is_some_and(|m| m.state == MemberState::Suspect);
    assert!(net.run_until(2 * SECOND, is_suspect));
    assert!(net.run_until(8 * SECOND, |net| !is_suspect(net)));
    assert!(net.nodes[1].ring.myself().incarnation > 0, "the suspect refuted it itself");
    assert_eq!(net.count(is_down) + net.count(is_renewed), 0);
}

#[test]
fn members_are_remembered_at_most_every_five_seconds() {
    let at = |tenths: u64| Now { mono: Mono(tenths * 100_000), wall: Wall(tenths * 100) };
    let config = config(23);
    let mut ring = Ring::new(config, at(0));
    let mut stored = Vec::new();
    for tenths in 1..300 {
        let me = identity(usize::try_from(tenths).unwrap(), 1);
        ring.handle_datagram(at(tenths), me.address, RingDatagram::Hello { me });
        ring.tick(at(tenths));
        if ring.drain().iter().any(|action| matches!(action, RingAction::Remember(_))) {
            stored.push(at(tenths).mono);
        }
    }
    assert!(stored.len() >= 4, "{stored:?}");
    assert!(stored.windows(2).all(|pair| pair[1].since(pair[0]) >= 5 * SECOND), "{stored:?}");
}

#[test]
fn churn_leaves_no_more_behind_than_the_bound() {
    let at = |tenths: u64| Now { mono: Mono(tenths * 100_000), wall: Wall(tenths * 100) };
    let config = config(24);
    let mut ring = Ring::new(config, at(0));
    let mut most = (0, 0);
    for round in 1..2_000 {
        let me = identity(usize::try_from(round).unwrap(), 1);
        ring.handle_datagram(at(round), me.address, RingDatagram::Hello { me });
        let kind = if round % 2 == 0 { NewsKind::Left } else { NewsKind::Dead };
        ring.handle_datagram(at(round), me.address, RingDatagram::News(News { about: me, kind }));
        ring.tick(at(round));
        drop(ring.drain());
        most = (most.0.max(ring.members().count()), most.1.max(ring.swim.down().count()));
    }
    // Between two house-keepings, which are a second apart, ten more come.
    assert!(most.0 <= 128 + 1 + 12 && most.1 <= 128 + 12, "{most:?}");
}

#[test]
fn doubts_probes_and_requests_are_bounded() {
    let mut net = Net::joined(25, 20);
    let ring = &mut net.nodes[0].ring;
    for index in 1..20 {
        let about = ring.view.get(id(index)).unwrap().identity();
        ring.open_opinion(Mono(0), about);
    }
    assert_eq!(ring.opinions.len(), 16);
    for _ in 0..100 {
        ring.handle_probe_request(id(1), address(1), identity(2, 1_900_000_000_000));
    }
    assert_eq!(ring.inquiries.len(), 64);
    let before = ring.errands.len();
    for _ in before..256 {
        ring.knock(address(500));
    }
    let oldest = *ring.errands.keys().next().unwrap();
    assert_eq!(ring.errands.len(), 256);
    ring.knock(address(500));
    assert_eq!(ring.errands.len(), 256);
    assert!(!ring.errands.contains_key(&oldest));
}

#[test]
fn of_too_many_peers_the_last_ones_are_waited_for() {
    let now = Now { mono: Mono(0), wall: Wall(0) };
    let config = config(26);
    let mut ring = Ring::new(config, now);
    let peers: Vec<_> = (1..=65).map(address).collect();
    ring.join(now, &peers);
    drop(ring.drain());
    ring.rejoin(Mono(1));
    let tried: Vec<_> = ring
        .drain()
        .into_iter()
        .filter_map(|action| if let RingAction::Request { to, .. } = action { Some(to) } else { None })
        .collect();
    assert_eq!(tried, peers[1..]);
}

/// Hears of a node that is new to it.
fn hello(ring: &mut Ring, number: usize) {
    let me = identity(number, 7);
    ring.handle_datagram(Now { mono: Mono(1), wall: Wall(0) }, me.address, RingDatagram::Hello { me });
}

#[test]
fn so_many_members_are_known_and_one_beyond_is_refused() {
    let mut ring = Ring::new(config(1), Now { mono: Mono(0), wall: Wall(0) });
    for number in 1..MEMBERS_MAX - 1 {
        ring.view.put(Mono(0), identity(number, 1), MemberState::Down);
    }
    hello(&mut ring, MEMBERS_MAX);
    assert_eq!((ring.members().count(), ring.rejected()), (MEMBERS_MAX, 0));
    hello(&mut ring, MEMBERS_MAX + 1);
    assert_eq!((ring.members().count(), ring.rejected()), (MEMBERS_MAX, 1));
    // One that is known may come back.
    hello(&mut ring, 1);
    assert!(ring.member(id(1)).is_some_and(|member| member.state.is_active()));
}
