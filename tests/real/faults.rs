//! What a network and a machine can do to five nodes, and that no two of them ever lead at once: see [`crate::history`].

use std::fmt::Display;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::{plan, wait_until};
use crate::history::History;
use crate::http;
use crate::netns::Hosts;

const GROUP: &str = "demo.default";
const HOSTS: usize = 5;
/// How long a fault lasts: longer than a lease of this profile, and than it takes to elect another leader.
const FAULT: Duration = Duration::from_secs(3);
/// In which a healed ring is whole.
const WHOLE_WITHIN: Duration = Duration::from_secs(5);

/// Five hosts whose demo service has a leader.
struct Five {
    hosts: Hosts,
    history: History,
}

impl Five {
    fn new() -> Option<Self> {
        Self::with_profile("local")
    }

    /// None where the tests may not make hosts.
    fn with_profile(profile: &'static str) -> Option<Self> {
        Some(Self::on(Hosts::with_profile(HOSTS, profile)?))
    }

    fn on(mut hosts: Hosts) -> Self {
        hosts.ring.start(&plan("demo"), &["--topology", "leader"]);
        hosts.ring.wait_whole();
        let history = History::begin(&hosts);
        let five = Self { hosts, history };
        five.leader();
        for node in &five.hosts.ring.nodes {
            node.wait_healthy(GROUP);
        }
        five
    }

    /// Who leads; all agree.
    fn leader(&self) -> usize {
        self.hosts.ring.wait_leader(GROUP).0
    }

    /// The hosts in an order that begins with the leader.
    fn leader_first(&self) -> Vec<usize> {
        let leader = self.leader();
        (0..HOSTS).map(|offset| (leader + offset) % HOSTS).collect()
    }

    /// Heals the network, and waits until all is as it should be: each sees all, and all see one leader who says so
    /// himself. Returns how long it took until each saw all.
    fn heal(&self) -> Duration {
        self.hosts.heal();
        let healed = Instant::now();
        self.hosts.ring.wait_whole();
        let whole = healed.elapsed();
        let (_, term) = self.hosts.ring.wait_leader(GROUP);
        wait_until("the leader leads", || self.history.since(term - 1) > 0 && self.history.term() == term);
        whole
    }

    /// No two led at once, whatever was done to them.
    fn check(&self, what: impl Display) {
        if let Err(overlap) = self.history.check() {
            panic!("{what}: {overlap}");
        }
    }
}

/// Lets a fault last.
fn last(duration: Duration) {
    let begun = Instant::now();
    wait_until("the fault has lasted", || begun.elapsed() >= duration);
}

/// Parts the ring, so many hosts in each part, and heals it again; the first part has the leader.
fn part(five: &Five, sizes: &[usize]) {
    let order = five.leader_first();
    let term = five.history.term();
    let mut rest = order.as_slice();
    for size in sizes {
        let (part, others) = rest.split_at(*size);
        five.hosts.cut(part);
        rest = others;
    }
    let is_majority = |size: &usize| *size > HOSTS / 2;
    if sizes.iter().any(is_majority) && !is_majority(&sizes[0]) {
        wait_until("the larger side has another leader", || five.history.since(term) > 0);
    }
    last(FAULT);
    let whole = five.heal();
    println!("parted {sizes:?} for {FAULT:?}: whole {whole:?} after it was healed");
    assert!(whole < WHOLE_WITHIN, "it was whole after {whole:?}");
    five.check(format!("parted {sizes:?}"));
}

#[test]
fn a_leader_on_the_smaller_side() {
    let Some(five) = Five::new() else { return };
    for sizes in [&[1, 4], &[2, 3], &[1, 4]] {
        part(&five, sizes);
    }
}

#[test]
fn a_leader_on_the_larger_side() {
    let Some(five) = Five::new() else { return };
    for sizes in [&[3, 2], &[4, 1]] {
        part(&five, sizes);
    }
}

#[test]
fn three_sides_of_which_one_is_a_majority() {
    let Some(five) = Five::new() else { return };
    for sizes in [&[1, 1, 3], &[3, 1, 1]] {
        part(&five, sizes);
    }
}

#[test]
fn no_side_that_is_a_majority() {
    let Some(five) = Five::new() else { return };
    for sizes in [&[2, 2, 1][..], &[1, 2, 2], &[1, 1, 1, 2], &[1, 1, 1, 1, 1]] {
        part(&five, sizes);
    }
}

/// A checker that cannot fail proves nothing: with voters that forget to whom they lent a seat, a plain cut is enough.
#[cfg(feature = "forgetful-voters")]
#[test]
fn voters_that_forget_their_promises_are_found_out() {
    let Some(five) = Five::new() else { return };
    let begun = Instant::now();
    let found = loop {
        let order = five.leader_first();
        let term = five.history.term();
        five.hosts.cut(&order[..2]);
        wait_until("the larger side has another leader", || five.history.since(term) > 0);
        last(FAULT);
        five.hosts.heal();
        five.hosts.ring.wait_whole();
        if let Err(overlap) = five.history.check() {
            break overlap;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing was found within a minute");
    };
    println!("found after {:?}: {found}", begun.elapsed());
}

#[test]
fn a_leader_that_is_heard_by_nobody_and_one_that_hears_nobody() {
    let Some(five) = Five::new() else { return };
    let order = five.leader_first();
    five.hosts.mute(&order[..1]);
    last(FAULT);
    five.heal();
    five.check("nobody hears the leader");
    let order = five.leader_first();
    five.hosts.mute(&order[1..]);
    last(FAULT);
    five.heal();
    five.check("the leader hears nobody");
}

/// A leader that two of its voters do not hear, and the others do.
#[test]
fn a_leader_that_only_some_hear() {
    let Some(five) = Five::new() else { return };
    for _ in 0..2 {
        let order = five.leader_first();
        five.hosts.cut_between(&order[..1], &order[3..]);
        last(FAULT);
        five.heal();
        five.check("two do not hear the leader");
    }
}

#[test]
fn a_tenth_and_then_a_third_of_all_packets_are_lost() {
    let Some(five) = Five::new() else { return };
    for percent in [10, 30] {
        five.hosts.lose(percent);
        last(FAULT);
        let five_healed = five.heal();
        println!("{percent} % lost for {FAULT:?}: whole {five_healed:?} after");
        five.check(format!("{percent} % of all packets are lost"));
    }
}

#[test]
fn packets_that_take_a_fifth_of_a_second_give_or_take_a_tenth() {
    // What this network is: the profile of one machine has round trips of less.
    let Some(five) = Five::with_profile("wan") else { return };
    let term = five.history.term();
    five.hosts.delay(Duration::from_millis(200), Duration::from_millis(100));
    last(4 * FAULT);
    five.check("slow packets");
    assert_eq!(five.history.term(), term, "slow packets moved the leader");
    five.heal();
}

#[test]
fn packets_that_are_slower_than_the_profile_allows_for() {
    let Some(five) = Five::new() else { return };
    five.hosts.delay(Duration::from_millis(200), Duration::from_millis(100));
    last(2 * FAULT);
    five.heal();
    five.check("packets slower than the profile");
}

#[test]
fn a_supervisor_of_a_leader_that_is_paused() {
    let Some(five) = Five::new() else { return };
    let leader = five.leader();
    let term = five.history.term();
    five.hosts.ring.nodes[leader].signal(Signal::SIGSTOP);
    wait_until("another leads", || five.history.since(term) > 0);
    last(FAULT);
    five.hosts.ring.nodes[leader].signal(Signal::SIGCONT);
    five.heal();
    // Its shim was not paused, and has ended what led.
    five.check("a paused supervisor");
}

/// The process of a leader that is paused, its shim with it, may say that it leads as it wakes: no lease helps against
/// that, only a store that looks at the term, which no two share.
#[test]
fn whole_nodes_that_are_paused_the_leader_among_them() {
    let Some(five) = Five::new() else { return };
    for paused in [1, 2] {
        let order = five.leader_first();
        let term = five.history.term();
        let nodes: Vec<_> = order[..paused].iter().map(|host| &five.hosts.ring.nodes[*host]).collect();
        for node in &nodes {
            node.signal_all(Signal::SIGSTOP);
        }
        wait_until("another leads", || five.history.since(term) > 0);
        last(FAULT);
        for node in &nodes {
            node.signal_all(Signal::SIGCONT);
        }
        five.heal();
        five.history.check_terms().unwrap_or_else(|overlap| panic!("{paused} paused nodes: {overlap}"));
        println!("{paused} paused: {} writes refused by a store that looks at the term", five.history.refused());
    }
}

#[test]
fn all_nodes_that_lose_power_at_once() {
    let Some(mut five) = Five::new() else { return };
    let term = five.history.term();
    for node in &mut five.hosts.ring.nodes {
        node.crash();
    }
    for number in 0..HOSTS {
        five.hosts.ring.spawn(number, &["run"]);
    }
    five.heal();
    assert!(five.history.term() > term, "a term came twice");
    five.check("power lost");
}

#[test]
fn a_link_of_the_leader_that_flaps() {
    let Some(five) = Five::new() else { return };
    let order = five.leader_first();
    for (down, up) in [(100, 300), (400, 200), (700, 700), (1_100, 300), (1_500, 900), (300, 100), (900, 1_500)] {
        five.hosts.cut(&order[..1]);
        last(Duration::from_millis(down));
        five.hosts.heal();
        last(Duration::from_millis(up));
    }
    five.heal();
    five.check("a flapping link");
}

/// The clocks of five hosts, as far as their supervisors can see.
struct Clocks<'a>(&'a Hosts);

impl Clocks<'_> {
    fn file(&self, host: usize) -> PathBuf {
        self.0.ring.dir().join(format!("clock{host}"))
    }

    /// Has the supervisors look at these clocks, once they are started.
    fn install(hosts: &mut Hosts) {
        let library = hosts.ring.dir().join("clock.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/clock.c");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
        assert!(built.is_ok_and(|status| status.success()), "{source} is compiled by cc");
        for host in 0..HOSTS {
            let clocks = Clocks(hosts);
            clocks.set(host, 0);
            let file = clocks.file(host).display().to_string();
            hosts.ring.nodes[host].environment =
                vec![("LD_PRELOAD", library.display().to_string()), ("SUP_TEST_CLOCK", file)];
        }
    }

    /// Sets a clock so many seconds forward or back.
    fn set(&self, host: usize, offset: i64) {
        let (file, new) = (self.file(host), self.file(host).with_extension("new"));
        std::fs::write(&new, format!("{offset}\n"))
            .and_then(|()| std::fs::rename(&new, &file))
            .expect("a clock is set");
    }
}

/// Applies a message to the group on one host, and waits until all say it.
fn say_everywhere(five: &Five, host: usize, message: &str) {
    let nodes = &five.hosts.ring.nodes;
    let toml = format!("message = \"{message}\"\n");
    let answer = nodes[host].sup_with_input(&["config", "apply", GROUP, "-"], &toml);
    assert_eq!(answer.code, 0, "{answer:?}");
    for node in nodes {
        wait_until(&format!("{} says {message:?}", node.ip), || {
            http::get((node.ip, 8080), "/").is_ok_and(|answer| answer.json()["message"] == message)
        });
    }
}

#[test]
fn clocks_that_jump_move_no_leader_and_what_was_applied_last_is_in_force() {
    let Some(mut hosts) = Hosts::with_profile(HOSTS, "local") else { return };
    Clocks::install(&mut hosts);
    let five = Five::on(hosts);
    let clocks = Clocks(&five.hosts);
    let order = five.leader_first();
    let term = five.history.term();
    // Less than what is tolerated between two clocks.
    clocks.set(order[0], -100);
    say_everywhere(&five, order[0], "behind");
    clocks.set(order[1], 100);
    say_everywhere(&five, order[1], "ahead");
    say_everywhere(&five, order[2], "after what was ahead");
    say_everywhere(&five, order[0], "behind again");
    // More than that. What such a node writes is refused, and it says so, until its clock is right again.
    for (host, offset) in order.iter().zip([-3_600, 3_600, 86_400]) {
        clocks.set(*host, offset);
    }
    last(FAULT);
    for host in &order {
        clocks.set(*host, 0);
    }
    say_everywhere(&five, order[1], "right again");
    say_everywhere(&five, order[0], "right again, too");
    assert_eq!(five.history.term(), term, "a clock moved the leader");
    five.heal();
    five.check("clocks that jump");
}
