//! What members of a ring come to agree on after something kept them apart, or made them disagree.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Node, Ring, is_alive, plan, wait_for, wait_until, write_plan};
use crate::http::get;
use crate::netns::Hosts;

const GROUP: &str = "demo.default";
/// For how long a member is cut off.
const CUT: Duration = Duration::from_secs(6);
/// Within what time all are to agree again.
const AGREED: Duration = Duration::from_secs(5);

/// What the service of a node says.
fn message(node: &Node) -> Option<String> {
    let about: Value = get((node.ip, 8080), "/").ok().filter(|response| response.status == 200)?.json();
    about["message"].as_str().map(str::to_owned)
}

fn config(message: &str) -> String {
    format!("message = \"{message}\"\n")
}

fn apply(node: &Node, message: &str) {
    let answer = node.sup_with_input(&["config", "apply", GROUP, "-", "--no-wait"], &config(message));
    assert_eq!(answer.code, 0, "{answer:?}");
}

#[test]
fn a_member_that_was_cut_off_while_config_was_applied_has_it_soon_after() {
    let Some(mut hosts) = Hosts::new(3) else { return };
    hosts.ring.start("demo", &["--topology", "leader"]);
    hosts.ring.wait_whole();
    for node in &hosts.ring.nodes {
        node.wait_healthy(GROUP);
    }
    let (leader, _) = hosts.ring.wait_leader(GROUP);
    let (lost, writer) = ((leader + 1) % 3, (leader + 2) % 3);
    let began = Instant::now();
    hosts.cut(&[lost]);
    apply(&hosts.ring.nodes[writer], "applied meanwhile");
    for number in [leader, writer] {
        let node = &hosts.ring.nodes[number];
        wait_until("those that are connected say it", || message(node).as_deref() == Some("applied meanwhile"));
    }
    wait_until("the cut has lasted", || began.elapsed() >= CUT);
    let node = &hosts.ring.nodes[lost];
    assert_eq!(message(node).as_deref(), Some("hello"), "it was not cut off");
    hosts.heal();
    let healed = Instant::now();
    wait_until("who was cut off says it", || message(node).as_deref() == Some("applied meanwhile"));
    let took = healed.elapsed();
    println!("in force {took:?} after the healing");
    assert!(took < AGREED, "{took:?}");
}

#[test]
fn of_two_configs_that_are_applied_at_once_all_have_the_same_and_the_other_is_in_the_history() {
    let mut ring = Ring::new(3);
    ring.start("demo", &[]);
    ring.wait_whole();
    for node in &ring.nodes {
        node.wait_healthy(GROUP);
    }
    for race in 0..5 {
        let messages = [format!("{race} by the first"), format!("{race} by the last")];
        std::thread::scope(|scope| {
            scope.spawn(|| apply(&ring.nodes[0], &messages[0]));
            scope.spawn(|| apply(&ring.nodes[2], &messages[1]));
        });
        let applied = Instant::now();
        // One is in force on all nodes, and it is what all of their services say.
        let winner = wait_for("all agree", || {
            let winner = messages.iter().find(|message| in_force(&ring.nodes[0]) == config(message))?;
            let agrees = |node: &Node| in_force(node) == config(winner) && self::message(node).as_ref() == Some(winner);
            ring.nodes.iter().all(agrees).then_some(winner)
        });
        let took = applied.elapsed();
        println!("all say {winner:?} after {took:?}");
        assert!(took < AGREED, "{took:?}");
        for node in &ring.nodes {
            let texts = history(node);
            assert_eq!(texts.first(), Some(&config(winner)), "{texts:?}");
            for message in &messages {
                assert!(texts.contains(&config(message)), "{message:?} is lost: {texts:?}");
            }
        }
    }
}

/// The config that is in force, as a node sees it.
fn in_force(node: &Node) -> String {
    node.sup(&["config", "show", GROUP]).stdout
}

/// The texts of all revisions that a node knows, the latest first.
fn history(node: &Node) -> Vec<String> {
    let history = node.json(&["config", "history", GROUP]);
    let revisions = history["revisions"].as_array().expect("revisions");
    let names = revisions.iter().filter_map(|revision| revision["revision"].as_str());
    names.map(|name| node.sup(&["config", "show", GROUP, name]).stdout).collect()
}

#[test]
fn a_reconfigure_hook_that_hangs_delays_neither_an_election_nor_the_restart_of_another_service() {
    let mut ring = Ring::new(3);
    let shipped = |file: &str| std::fs::read_to_string(plan(file)).expect("a shipped file");
    let hang = "#!/bin/sh\necho about to hang\nexec sleep 1000\n";
    let plan = write_plan(
        &ring.dir().join("demo"),
        &[
            ("plan.toml", &format!("{}\n[hooks.reconfigure]\ntimeout = \"10m\"\n", shipped("demo/plan.toml"))),
            ("default.toml", &shipped("demo/default.toml")),
            ("config/demo.toml", &shipped("demo/config/demo.toml")),
            ("hooks/reconfigure", hang),
        ],
    );
    let idle = "name = \"idle\"\nversion = \"1\"\n[service]\nrun = \"exec sleep 1000\"\n";
    let idle = write_plan(&ring.dir().join("idle"), &[("plan.toml", idle)]);
    ring.start(&plan, &["--topology", "leader"]);
    ring.wait_whole();
    for node in &ring.nodes {
        node.wait_healthy(GROUP);
        assert_eq!(node.sup(&["start", &idle]).code, 0);
    }
    let (leader, term) = ring.wait_leader(GROUP);
    apply(&ring.nodes[leader], "never read");
    for node in &ring.nodes {
        wait_until("its hook hangs", || node.sup(&["logs", "demo"]).stdout.contains("about to hang"));
    }
    ring.nodes[leader].crash();
    let (successor, next) = ring.wait_leader(GROUP);
    assert!(successor != leader && next > term, "{successor} leads in term {next}");
    let node = &ring.nodes[successor];
    let pid = wait_for("the other service runs", || node.service_pid("idle.default"));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).expect("it runs");
    let again = wait_for("it runs again", || node.service_pid("idle.default").filter(|again| *again != pid));
    assert!(is_alive(again));
    assert_eq!(message(node).as_deref(), Some("hello"), "the hook has not hung all the while");
}

#[test]
fn a_lone_node_of_three_says_for_whom_it_waits() {
    let mut ring = Ring::new(3);
    // The others are not born yet.
    ring.nodes[0].spawn(&["start", "demo", "--topology", "leader", "--profile", "local"]);
    let explained = |node: &Node| node.sup(&["explain", "demo"]).stdout;
    wait_until("it says how many it waits for", || {
        explained(&ring.nodes[0]).contains("waiting for 2 more members (1 of 3 alive)")
    });
    for number in [1, 2] {
        ring.spawn(number, &["start", "demo", "--topology", "leader"]);
    }
    ring.wait_whole();
    for node in &ring.nodes {
        node.wait_healthy(GROUP);
    }
    wait_until("all three vote", || {
        let view = ring.nodes[0].try_json(&["group", "show", GROUP]);
        view.is_some_and(|view| view["council"]["voters"].as_array().is_some_and(|voters| voters.len() == 3))
    });
    // And then they are lost.
    for number in [1, 2] {
        ring.nodes[number].crash();
    }
    wait_until("it says whom it waits for", || {
        let text = explained(&ring.nodes[0]);
        [1, 2].iter().all(|number| text.contains(&format!("{}:", ring.nodes[*number].ip))) && text.contains("quorum")
    });
    println!("{}", explained(&ring.nodes[0]));
}
