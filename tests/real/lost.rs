//! Nodes that never come back, or come back after a person said so: departures, and councils that are given up.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Node, Ring, wait_until};
use crate::http::get;

const GROUP: &str = "demo.default";
const RECOVER: [&str; 4] = ["group", "recover", GROUP, "--accept-split-brain-risk"];

/// Three nodes of a led group, its leader and the term.
fn led() -> (Ring, usize, u64) {
    let mut ring = Ring::new(3);
    ring.start("demo", &["--topology", "leader"]);
    ring.wait_whole();
    for node in &ring.nodes {
        node.wait_healthy(GROUP);
    }
    let (leader, term) = ring.wait_leader(GROUP);
    wait_until("all three vote", || {
        let view = ring.nodes[0].try_json(&["group", "show", GROUP]);
        view.is_some_and(|view| view["council"]["voters"].as_array().is_some_and(|voters| voters.len() == 3))
    });
    (ring, leader, term)
}

fn crash_all_but(ring: &mut Ring, survivor: usize) {
    for number in (0..3).filter(|number| *number != survivor) {
        ring.nodes[number].crash();
    }
    wait_until("the survivor says that there is no quorum", || {
        let view = ring.nodes[survivor].try_json(&["group", "show", GROUP]);
        view.is_some_and(|view| view["election"] == "no-quorum")
    });
}

/// What the service of a node says of itself.
fn about(node: &Node) -> Option<Value> {
    get((node.ip, 8080), "/").ok().filter(|response| response.status == 200).map(|response| response.json())
}

fn state_of(ring: &Ring, at: usize, whom: usize) -> Option<String> {
    let members = ring.nodes[at].try_json(&["members"])?;
    let address = format!("{}:", ring.nodes[whom].ip);
    let is_it = |member: &&Value| member["address"].as_str().is_some_and(|text| text.starts_with(&address));
    members["members"].as_array()?.iter().find(is_it)?["state"].as_str().map(str::to_owned)
}

#[test]
fn a_group_whose_majority_is_lost_with_its_data_is_led_again_by_the_survivor_in_a_higher_term() {
    let (mut ring, leader, term) = led();
    let survivor = (leader + 1) % 3;
    let refused = ring.nodes[survivor].sup(&RECOVER);
    assert_eq!(refused.code, 4, "all three answer: {refused:?}");
    assert!(refused.stderr.contains("that is a majority"), "{refused:?}");
    crash_all_but(&mut ring, survivor);
    for number in (0..3).filter(|number| *number != survivor) {
        std::fs::remove_dir_all(&ring.nodes[number].data).expect("the data can be removed");
    }
    let warned = ring.nodes[survivor].sup(&["group", "recover", GROUP]);
    assert_eq!(warned.code, 4, "{warned:?}");
    assert!(warned.stderr.contains("two members lead"), "{warned:?}");
    let recovered = ring.nodes[survivor].sup(&RECOVER);
    assert_eq!(recovered.code, 0, "{recovered:?}");
    let (now, higher) = ring.wait_leader(GROUP);
    assert_eq!(now, survivor);
    assert!(higher > term, "{higher} after {term}");
    wait_until("its service leads", || about(&ring.nodes[survivor]).is_some_and(|about| about["role"] == "leader"));
    // A new node on each of the machines that were lost: the council grows again.
    for number in (0..3).filter(|number| *number != survivor) {
        let peer = ring.nodes[survivor].ip.to_string();
        let args = ["start", "demo", "--topology", "leader", "--profile", "local", "--peer", &peer];
        ring.nodes[number].spawn(&args);
    }
    wait_until("three vote again", || {
        let view = ring.nodes[survivor].try_json(&["group", "show", GROUP]);
        view.is_some_and(|view| view["council"]["voters"].as_array().is_some_and(|voters| voters.len() == 3))
    });
    assert_eq!(ring.wait_leader(GROUP), (survivor, higher), "the council grew under its leader");
}

#[test]
fn lost_voters_that_come_back_with_their_data_never_lead_beside_the_survivor() {
    let (mut ring, leader, term) = led();
    let survivor = (leader + 1) % 3;
    crash_all_but(&mut ring, survivor);
    let recovered = ring.nodes[survivor].sup(&RECOVER);
    assert_eq!(recovered.code, 0, "{recovered:?}");
    let (now, higher) = ring.wait_leader(GROUP);
    assert!(now == survivor && higher > term, "{now}, {higher} after {term}");
    for number in (0..3).filter(|number| *number != survivor) {
        ring.spawn(number, &["run"]);
    }
    let began = Instant::now();
    let mut back = false;
    while !back || began.elapsed() < Duration::from_secs(10) {
        for number in (0..3).filter(|number| *number != survivor) {
            if let Some(about) = about(&ring.nodes[number]) {
                assert_ne!(about["role"], "leader", "{number} leads, and so does {survivor}: {about}");
            }
        }
        back = back || ring.leader(GROUP) == Some((survivor, higher));
        assert!(began.elapsed() < Duration::from_secs(60), "they do not follow the survivor");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    assert_eq!(ring.wait_leader(GROUP), (survivor, higher));
}

#[test]
fn a_departed_node_that_comes_back_is_not_let_in_before_it_is_taken_back() {
    let mut ring = Ring::new(3);
    ring.run();
    let id = ring.nodes[2].json(&["members"])["members"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|member| member["address"].as_str().is_some_and(|text| text.starts_with(&ring.nodes[2].ip.to_string())))
        .and_then(|member| member["node_id"].as_str())
        .map(str::to_owned)
        .expect("the node has an id");
    let short = &id[..8];
    let refused = ring.nodes[0].sup(&["depart", short]);
    assert_eq!(refused.code, 4, "it answers: {refused:?}");
    assert!(refused.stderr.contains("sup shutdown"), "{refused:?}");
    let itself = ring.nodes[2].sup(&["depart", short]);
    assert_ne!(itself.code, 0, "{itself:?}");
    ring.nodes[2].kill();
    wait_until("the others know that it is down", || {
        (0..2).all(|at| state_of(&ring, at, 2).as_deref() == Some("down"))
    });
    let departed = ring.nodes[0].sup(&["depart", short]);
    assert_eq!(departed.code, 0, "{departed:?}");
    let departed = |ring: &Ring| (0..2).all(|at| state_of(ring, at, 2).as_deref() == Some("departed"));
    wait_until("both others say that it departed", || departed(&ring));
    ring.spawn(2, &["run"]);
    wait_until("it says that it is not let in", || {
        ring.nodes[2].sup(&["status"]).stdout.contains("is not let into its ring")
    });
    assert!(ring.nodes[2].log().contains("this node is not let into its ring"));
    wait_until("the others say that it asks", || {
        ring.nodes[..2].iter().any(|node| node.log().contains("a departed member asks to be let in"))
    });
    assert!(departed(&ring));
    // What they know of it outlives a restart.
    assert_eq!(ring.nodes[1].terminate(), Some(0));
    ring.spawn(1, &["run"]);
    wait_until("the restarted one knows it still", || state_of(&ring, 1, 2).as_deref() == Some("departed"));
    let taken_back = ring.nodes[1].sup(&["undepart", short]);
    assert_eq!(taken_back.code, 0, "{taken_back:?}");
    ring.wait_whole();
    wait_until("it says nothing of that any more", || {
        !ring.nodes[2].sup(&["status"]).stdout.contains("is not let into its ring")
    });
}
