//! A node that takes the address of one that has just died: what listens there answers connects.

use std::time::Duration;

use super::SECOND;
use crate::ring::testing::{Net, Process, address, id};
use crate::ring::{Identity, Profile};

/// Whether anybody counts the first of eight among the living.
fn is_missed(net: &Net) -> bool {
    net.running().any(|node| node.ring.alive().any(|member| member.id == id(1)))
}

#[test]
fn one_whose_address_another_has_is_dead_to_all_and_stays_so() {
    for after_ms in [0, 50, 300, 1500] {
        for seed in 0..10 {
            let mut net = Net::joined(seed, 8);
            net.set_process(1, Process::Killed);
            net.run(Duration::from_millis(after_ms));
            let me = Identity { id: id(100), address: address(1), generation: 1_900_000_001_000 };
            net.add(Profile::Lan, me, Vec::new(), true);
            let gone = net.run_until(10 * SECOND, |net| net.all_see(8) && !is_missed(net));
            assert!(gone, "seed {seed}, taken after {after_ms} ms");
            net.run(30 * SECOND);
            assert!(net.all_see(8) && !is_missed(&net), "seed {seed}, taken after {after_ms} ms");
        }
    }
}
