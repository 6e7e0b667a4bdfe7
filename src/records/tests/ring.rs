//! Many nodes on a network that loses things.

use std::time::Duration;

use super::cluster::{Cluster, restart, wall_before};
use super::node;
use crate::records::{Key, RecordsDatagram};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn a_small_ring_hears_news_in_one_hop() {
    let mut ring = Cluster::new(10, 1);
    ring.put(3, "shared/x", "x");
    assert!(ring.run_until(Duration::from_millis(5), |ring| ring.readers("shared/x", b"x") == 10));
}

#[test]
fn a_large_ring_hears_news_in_a_few_hops_and_repair_tells_the_rest() {
    let mut ring = Cluster::new(200, 2);
    ring.run_for(7 * SECOND);
    ring.put(3, "shared/x", "x");
    ring.run_for(Duration::from_millis(40));
    let heard = ring.readers("shared/x", b"x");
    assert!(heard >= 190, "{heard} of 200 heard it in 40 ms");
    assert!(ring.run_until(30 * SECOND, Cluster::is_converged));
    assert_eq!(ring.readers("shared/x", b"x"), 200);
}

#[test]
fn who_waits_for_a_record_in_a_large_ring_hears_it_in_one_hop() {
    let mut ring = Cluster::new(200, 2);
    for number in 0..100 {
        let (key, reader) = (format!("shared/{number}"), 100 + number);
        ring.put_for(3, &key, "x", reader);
        let has_it = |ring: &Cluster| ring.nodes[reader].get(&key.parse().unwrap()).is_some();
        assert!(ring.run_until(Duration::from_millis(5), has_it), "{reader} did not hear of {key}");
    }
}

#[test]
fn large_records_travel_once_to_each() {
    let mut ring = Cluster::new(10, 3);
    let large = vec![b'x'; 60 * 1024];
    ring.put(0, "shared/x", large.clone());
    assert!(ring.run_until(Duration::from_millis(50), |ring| ring.readers("shared/x", &large) == 10));
    ring.run_for(Duration::from_millis(50));
    let sent: usize = ring.seen.iter().map(|seen| seen.stream_bytes + seen.datagram_bytes).sum();
    assert!(sent < 10 * large.len(), "{sent} bytes for 9 copies of {}", large.len());
}

#[test]
fn a_very_lossy_ring_knows_the_same_in_the_end() {
    for seed in 0..5 {
        let mut ring = Cluster::new(20, seed);
        ring.loss = 0.4;
        for n in 0..60 {
            let size = if n % 10 == 0 { 20_000 } else { 20 };
            ring.put(n % 20, &format!("shared/{}", n % 45), vec![u8::try_from(n).unwrap(); size]);
            ring.run_for(Duration::from_millis(100));
            if n % 7 == 0 {
                ring.delete(n % 20, &format!("shared/{}", (n + 3) % 45));
            }
        }
        assert!(ring.run_until(90 * SECOND, Cluster::is_converged), "seed {seed} did not converge");
    }
}

#[test]
fn two_sides_of_a_partition_agree_within_seconds_of_its_healing() {
    let mut ring = Cluster::new(20, 4);
    for n in 0..20 {
        ring.side[n] = u8::from(n >= 12);
    }
    for n in 0..40_usize {
        ring.put(n % 12, &format!("shared/left/{n}"), "left");
        ring.put(12 + n % 8, &format!("shared/right/{n}"), "right");
    }
    ring.put(0, "shared/both", "earlier");
    ring.run_for(SECOND);
    ring.put(15, "shared/both", "later");
    ring.run_for(60 * SECOND);
    assert!(!ring.is_converged());
    ring.side.fill(0);
    let healed = ring.after;
    assert!(ring.run_until(30 * SECOND, Cluster::is_converged));
    let took = ring.after - healed;
    assert!(took < 15 * SECOND, "{took:?}");
    assert_eq!(ring.readers("shared/both", b"later"), 20);
}

#[test]
fn a_joiner_gets_all_in_pages_and_gives_what_it_has() {
    let mut ring = Cluster::new(2, 5);
    ring.side[1] = 1;
    for n in 0..3_000 {
        ring.put(0, &format!("shared/{n}"), vec![b'x'; 700]);
    }
    for n in 0..20 {
        ring.put(0, &format!("shared/large/{n}"), vec![b'x'; 60 * 1024]);
        ring.put(1, &format!("shared/joiner/{n}"), vec![b'y'; 60 * 1024]);
    }
    ring.side[1] = 0;
    ring.sync(1, 0);
    assert!(ring.run_until(2 * SECOND, |ring| ring.seen[1].synced == 1));
    assert!(ring.is_converged());
    assert_eq!(ring.nodes[1].len(), 3_040);
    let questions = ring.seen[1].questions;
    assert!((5..40).contains(&questions), "{questions} questions");
}

#[test]
fn a_sync_with_nobody_there_fails() {
    let mut ring = Cluster::new(2, 6);
    ring.side[1] = 1;
    ring.sync(1, 0);
    assert!(ring.run_until(SECOND, |ring| ring.seen[1].sync_failed == 1));
}

#[test]
fn an_idle_ring_costs_a_few_bytes_a_second() {
    let mut ring = Cluster::new(20, 7);
    for n in 0..20 {
        let own = Key::node(node(n as u128 + 1));
        ring.put(n, own.as_str(), vec![b'x'; 600]);
    }
    assert!(ring.run_until(30 * SECOND, Cluster::is_converged));
    ring.seen.iter_mut().for_each(|seen| *seen = Default::default());
    ring.run_for(100 * SECOND);
    for seen in &ring.seen {
        assert!(seen.stream_bytes == 0 && seen.datagram_bytes < 100 * 10, "{seen:?}");
    }
}

#[test]
fn one_lost_record_in_a_large_table_is_repaired_for_a_few_kilobytes() {
    let mut ring = Cluster::new(2, 8);
    for n in 0..5_000 {
        ring.put(0, &format!("shared/{n}"), vec![b'x'; 100]);
    }
    ring.sync(1, 0);
    assert!(ring.run_until(10 * SECOND, |ring| ring.seen[1].synced == 1 && ring.is_converged()));
    ring.side[1] = 1;
    ring.put(0, "shared/lost", "x");
    ring.side[1] = 0;
    ring.seen.iter_mut().for_each(|seen| *seen = Default::default());
    assert!(ring.run_until(10 * SECOND, Cluster::is_converged));
    let bytes: usize = ring.seen.iter().map(|seen| seen.stream_bytes + seen.datagram_bytes).sum();
    assert!(bytes < 4_000, "{bytes} bytes");
}

#[test]
fn a_deleted_record_stays_deleted_when_a_node_returns_after_longer_than_deletions_last() {
    let mut ring = Cluster::new(3, 9);
    ring.put(0, "shared/gone", "x");
    ring.put(0, "shared/kept", "x");
    assert!(ring.run_until(SECOND, Cluster::is_converged));
    ring.side[2] = 1;
    ring.delete(0, "shared/gone");
    ring.run_for(10 * SECOND);
    // The first two stay; they were in a ring of their own all along.
    for at in [0, 1] {
        restart(&mut ring, at, Duration::ZERO);
    }
    ring.skip(2 * DAY);
    ring.run_for(20 * SECOND);
    assert_eq!(ring.nodes[0].len(), 1, "the deletion is forgotten");
    restart(&mut ring, 2, 2 * DAY);
    assert_eq!(ring.readers("shared/gone", b"x"), 1, "until it has met somebody, it goes by what it has");
    ring.side[2] = 0;
    ring.sync(2, 1);
    assert!(ring.run_until(20 * SECOND, |ring| ring.seen[2].synced == 1 && ring.is_converged()));
    assert_eq!((ring.readers("shared/gone", b"x"), ring.readers("shared/kept", b"x")), (0, 3));
}

#[test]
fn what_everybody_had_when_all_were_switched_off_for_a_weekend_is_kept() {
    let mut ring = Cluster::new(4, 10);
    ring.put(0, "shared/config", "x");
    assert!(ring.run_until(SECOND, Cluster::is_converged));
    ring.skip(3 * DAY);
    for at in 0..3 {
        restart(&mut ring, at, 3 * DAY);
    }
    // The last one is new, and has nothing: that proves nothing.
    ring.nodes[3] = crate::records::Records::new(node(4), Default::default(), 5);
    ring.nodes[3].set_peers(super::at_start(), &[node(1), node(2), node(3)]);
    for at in 0..4 {
        ring.sync(at, (at + 3) % 4);
    }
    assert!(ring.run_until(20 * SECOND, Cluster::is_converged));
    ring.run_for(20 * 60 * SECOND);
    assert_eq!(ring.readers("shared/config", b"x"), 4);
}

#[test]
fn a_restarted_node_whose_clock_was_set_back_is_believed_again() {
    let mut ring = Cluster::new(3, 11);
    let own = Key::node(node(1));
    ring.put(0, own.as_str(), "before");
    assert!(ring.run_until(SECOND, Cluster::is_converged));
    restart(&mut ring, 0, Duration::ZERO);
    let mut earlier = ring.now();
    earlier.wall = wall_before(earlier, 60 * SECOND);
    ring.nodes[0].put(earlier, own.clone(), "after".into(), 0).unwrap();
    assert!(ring.run_until(20 * SECOND, |ring| ring.readers(own.as_str(), b"after") == 3));
}

#[test]
fn a_record_that_one_side_refuses_is_not_asked_for_without_end() {
    let mut ring = Cluster::new(2, 12);
    let mut future = super::record("shared/x", 2, super::START + 60 * 10 * SECOND, Some("x"));
    future.stamp.node = node(2);
    // Node 2's clock is ten minutes ahead.
    let mut ahead = ring.now();
    ahead.wall = ahead.wall + 60 * 10 * SECOND;
    ring.nodes[1].handle_datagram(ahead, node(2), RecordsDatagram::New(vec![future]));
    ring.run_for(60 * SECOND);
    assert_eq!(ring.seen[0].refused, 1);
    assert!(ring.seen[0].questions < 60, "{:?}", ring.seen[0]);
}
