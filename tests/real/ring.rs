//! Finding each other, and losing each other.

use crate::harness::{Ring, wait_until};
use crate::netns::Hosts;

fn states(ring: &Ring, of: usize) -> Vec<(usize, String)> {
    let address = ring.nodes[of].ip.to_string();
    let mut states = Vec::new();
    for (number, node) in ring.nodes.iter().enumerate() {
        let Some(members) = node.try_json(&["members"]) else { continue };
        let member = members["members"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|member| member["address"].as_str().is_some_and(|text| text.starts_with(&format!("{address}:"))));
        let state = member.and_then(|member| member["state"].as_str()).unwrap_or("unknown");
        states.push((number, state.to_owned()));
    }
    states
}

fn all_say(ring: &Ring, of: usize, state: &str) -> bool {
    let states = states(ring, of);
    states.len() + 1 >= ring.nodes.len() && states.iter().all(|(_, said)| said == state)
}

#[test]
fn twenty_supervisors_that_start_at_once_with_one_peer_all_see_twenty() {
    let mut ring = Ring::with_profile(20, "lan");
    ring.run();
}

#[test]
fn a_killed_supervisor_is_known_dead_by_all() {
    let mut ring = Ring::with_profile(5, "lan");
    ring.run();
    ring.nodes[3].kill();
    wait_until("all know that node 3 is down", || all_say(&ring, 3, "down"));
}

#[test]
fn a_supervisor_that_is_asked_to_end_has_left_and_is_not_taken_for_dead() {
    let mut ring = Ring::new(3);
    ring.run();
    assert_eq!(ring.nodes[2].terminate(), Some(0));
    wait_until("all know that node 2 left", || all_say(&ring, 2, "left"));
}

#[test]
fn a_supervisor_that_comes_back_finds_the_ring_by_its_memory_alone() {
    let mut ring = Ring::new(3);
    ring.run();
    let id = ring.nodes[0].json(&["members"]).clone();
    ring.nodes[0].kill();
    wait_until("the others know", || all_say(&ring, 0, "down"));
    ring.nodes[0].spawn(&["run", "--profile", "local"]);
    ring.wait_whole();
    let again = ring.nodes[0].json(&["members"]);
    assert_eq!(again["members"].as_array().map(Vec::len), id["members"].as_array().map(Vec::len));
}

#[test]
fn a_second_supervisor_on_the_same_directory_is_refused_and_the_first_goes_on() {
    let mut ring = Ring::new(1);
    ring.run();
    let node = &ring.nodes[0];
    let other = crate::harness::free_ip().to_string();
    let data = node.data.to_string_lossy().into_owned();
    let mut command = std::process::Command::new(crate::harness::SUP);
    command.args(["run", "--data-dir", &data, "--listen-gossip", &other]);
    command.args(["--listen-http", &format!("{other}:9631"), "--insecure-http"]);
    let answer = crate::harness::run(&mut command, "");
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stderr.contains(&data), "{answer:?}");
    assert!(answer.stderr.contains(&node.pid().to_string()), "{answer:?}");
    assert_eq!(node.alive_members(), Some(1));
}

#[test]
fn a_port_that_is_taken_is_named_and_the_supervisor_ends() {
    let mut ring = Ring::new(2);
    ring.spawn(0, &["run"]);
    ring.wait_whole();
    let taken = ring.nodes[0].ip.to_string();
    let data = ring.nodes[1].data.to_string_lossy().into_owned();
    let mut command = std::process::Command::new(crate::harness::SUP);
    command.args(["run", "--data-dir", &data, "--listen-gossip", &taken]);
    command.args(["--listen-http", &format!("{}:9631", ring.nodes[1].ip), "--insecure-http"]);
    let answer = crate::harness::run(&mut command, "");
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stderr.contains(&format!("{taken}:9638")), "{answer:?}");
}

#[test]
fn a_peer_that_does_not_resolve_is_a_warning_and_the_supervisor_goes_on() {
    let mut ring = Ring::new(1);
    ring.nodes[0].spawn(&["run", "--profile", "local", "--peer", "no-such-host.invalid", "--join-timeout", "1s"]);
    ring.wait_whole();
    wait_until("the log names the peer", || ring.nodes[0].log().contains("no-such-host.invalid"));
}

#[test]
fn garbage_and_oversized_datagrams_and_streams_do_no_harm() {
    use std::io::Write;
    let mut ring = Ring::new(3);
    ring.run();
    let to = (ring.nodes[0].ip, 9638);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for size in [0, 1, 2, 3, 100, 1400, 1500, 9_000, 60_000] {
        for fill in [0_u8, 1, 0x7f, 0xff] {
            socket.send_to(&vec![fill; size], to).expect("a datagram can be sent");
        }
    }
    for fill in [0_u8, 1, 0xff] {
        let mut stream = std::net::TcpStream::connect(to).expect("the port accepts");
        // It may close on us in the middle of it: that is the point.
        let _closed = stream.write_all(&vec![fill; 2 * 1024 * 1024]);
    }
    ring.wait_whole();
    assert!(ring.nodes[0].is_running());
}

#[test]
fn a_ring_that_was_cut_in_two_is_whole_again_when_the_cut_is_healed() {
    let Some(mut hosts) = Hosts::new(5) else { return };
    hosts.ring.run();
    hosts.cut(&[3, 4]);
    for (number, side) in [(0, 3), (1, 3), (2, 3), (3, 2), (4, 2)] {
        wait_until(&format!("node {number} sees the {side} of its side alone"), || {
            hosts.ring.nodes[number].alive_members() == Some(side)
        });
    }
    hosts.heal();
    hosts.ring.wait_whole();
}
