//! Releases that roll through a group: one member after the other, no further than the first that fails, and whoever
//! dies meanwhile.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fleet::{
    GROUP, Kind, Outages, fleet, node_id, order, release, rollout, settle, spawn, starts, touch, update, version,
    wait_phase, wait_rollout, wait_updater, wait_version, write_user,
};
use crate::harness::{Node, Ring, wait_for, wait_until};
use crate::netns::Hosts;

/// Long enough to see that a member stays ok, short enough for a test.
const QUICK: [&str; 2] = ["--min-healthy", "200ms"];
/// In which a member whose turn failed has to be what it was before.
const RESTORED_WITHIN: Duration = Duration::from_secs(10);

fn all(ring: &Ring) -> Vec<&Node> {
    ring.nodes.iter().collect()
}

fn names(list: &Value) -> Vec<String> {
    let name = |entry: &Value| entry["node_id"].as_str().or(entry.as_str()).map(str::to_owned);
    list.as_array().into_iter().flatten().filter_map(name).collect()
}

#[test]
fn a_good_release_goes_round_one_member_at_a_time_and_each_starts_it_once() {
    let ring = fleet(4);
    let second = release(&ring, "1.1.0", Kind::Good);
    let outages = Outages::watch(&ring);
    let answer = update(&ring.nodes[2], &second, &QUICK);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(outages.end() <= 1, "more than one member was out at once");
    for node in &ring.nodes {
        assert_eq!(version(node).as_deref(), Some("1.1.0"));
        assert_eq!(starts(node), ["1.0.0", "1.1.0"]);
        let status = wait_rollout(node, "done");
        assert_eq!(names(&status["done"]).len(), 4, "{status}");
        assert!(names(&status["waiting"]).is_empty() && names(&status["in_turn"]).is_empty(), "{status}");
    }
}

#[test]
fn a_batch_goes_at_once_and_no_more_than_the_batch() {
    let ring = fleet(6);
    let second = release(&ring, "1.1.0", Kind::Good);
    let outages = Outages::watch(&ring);
    let answer = update(&ring.nodes[0], &second, &["--batch", "2", "--min-healthy", "0s"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(outages.end() <= 2, "more members were out at once than the batch has");
    wait_version(&all(&ring), "1.1.0");
}

/// Rolls out a release that fails on the member that has this place in the order, and looks at everything that a person
/// would.
fn fails_at(place: usize, count: usize) {
    let ring = fleet(count);
    let order = order(&ring);
    for number in &order[place..] {
        write_user(&ring.nodes[*number].data, "poison = true\n");
    }
    let bad = release(&ring, "1.1.0", Kind::Poisonous);
    let victim = &ring.nodes[order[place]];
    let victim_id = node_id(victim);
    let untouched: Vec<(usize, Option<i32>)> =
        order[place + 1..].iter().map(|number| (*number, ring.nodes[*number].service_pid(GROUP))).collect();

    let answer = update(&ring.nodes[order[count - 1]], &bad, &["--min-healthy", "200ms", "--deadline", "2s"]);
    let failed_at = Instant::now();
    assert_eq!(answer.code, 1, "{answer:?}");
    let said = format!("{}{}", answer.stdout, answer.stderr);
    assert!(said.contains("503"), "it does not say what the check said: {said}");
    assert!(said.contains("sup rollout"), "it does not say what to type next: {said}");

    wait_version(&[victim], "1.0.0");
    assert!(failed_at.elapsed() < RESTORED_WITHIN, "restored only after {:?}", failed_at.elapsed());
    for (number, pid) in &untouched {
        assert_eq!(ring.nodes[*number].service_pid(GROUP), *pid, "a member that had not begun was changed");
        assert_eq!(starts(&ring.nodes[*number]), ["1.0.0"]);
    }
    for number in &order[..place] {
        assert_eq!(version(&ring.nodes[*number]).as_deref(), Some("1.1.0"), "one that was done stays");
    }
    for node in [&ring.nodes[order[0]], victim, &ring.nodes[order[count - 1]]] {
        let status = wait_rollout(node, "halted");
        assert_eq!(names(&status["failed"]), std::slice::from_ref(&victim_id), "{status}");
        for command in [["rollout", "status", GROUP].as_slice(), &["explain", GROUP]] {
            let answer = node.sup(command);
            assert_eq!(answer.code, 0, "{answer:?}");
            let names_it = answer.stdout.contains(&victim_id[..8]) || answer.stdout.contains(&victim.ip.to_string());
            assert!(names_it, "{command:?} does not name the member: {answer:?}");
            assert!(answer.stdout.contains("503"), "{command:?} does not say what the check said: {answer:?}");
            assert!(answer.stdout.contains("sup rollout"), "{command:?} does not say what to type: {answer:?}");
        }
    }

    let answer = ring.nodes[order[1]].sup(&["rollout", "rollback", GROUP]);
    assert_eq!(answer.code, 0, "{answer:?}");
    wait_version(&all(&ring), "1.0.0");
    wait_rollout(victim, "rolled-back");
}

#[test]
fn a_release_that_fails_on_the_first_member_stops_there() {
    fails_at(0, 4);
}

#[test]
fn a_release_that_fails_on_the_fifth_of_ten_members_stops_there() {
    fails_at(4, 10);
}

#[test]
fn on_failure_rollback_brings_all_back_by_itself() {
    let ring = fleet(4);
    let order = order(&ring);
    write_user(&ring.nodes[order[2]].data, "poison = true\n");
    let bad = release(&ring, "1.1.0", Kind::Poisonous);
    let options = ["--min-healthy", "200ms", "--deadline", "2s", "--on-failure", "rollback"];
    let answer = update(&ring.nodes[0], &bad, &options);
    assert_eq!(answer.code, 1, "{answer:?}");
    wait_rollout(&ring.nodes[0], "rolled-back");
    wait_version(&all(&ring), "1.0.0");
    assert_eq!(starts(&ring.nodes[order[3]]), ["1.0.0"]);
}

/// What holds up a turn until a test lets it go on, and the phase in which it does.
#[derive(Debug, Clone, Copy)]
enum Hold {
    Applying,
    Verifying,
}

impl Hold {
    const fn phase(self) -> &'static str {
        match self {
            Self::Applying => "applying",
            Self::Verifying => "verifying",
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Applying => Kind::SlowToStart,
            Self::Verifying => Kind::SlowToBeWell,
        }
    }

    fn let_go(self, node: &Node) {
        match self {
            Self::Applying => touch(node, "go"),
            Self::Verifying => touch(node, "well"),
        }
    }
}

/// The updater's supervisor is killed while the member with this place in the order is in its turn.
fn updater_dies(place: usize, hold: Hold) {
    let mut ring = fleet(4);
    let order = order(&ring);
    let second = release(&ring, "1.1.0", hold.kind());
    for number in &order[..place] {
        hold.let_go(&ring.nodes[*number]);
    }
    let observer = order[3];
    let answer = update(&ring.nodes[observer], &second, &["--no-wait", "--min-healthy", "100ms"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let member = node_id(&ring.nodes[order[place]]);
    wait_phase(&ring.nodes[observer], &member, hold.phase());
    let outages = Outages::watch(&ring);
    ring.nodes[order[0]].kill();
    let successor = wait_updater(&ring);
    assert_ne!(successor, order[0]);
    // Another decides now, and waits for the same member.
    let in_turn = rollout(&ring.nodes[observer]).map(|rollout| names(&rollout["in_turn"])).unwrap_or_default();
    assert_eq!(in_turn, [member], "the turn of the member is still its own");
    for number in &order {
        hold.let_go(&ring.nodes[*number]);
    }
    ring.spawn(order[0], &["run"]);
    ring.wait_whole();
    wait_version(&all(&ring), "1.1.0");
    wait_rollout(&ring.nodes[observer], "done");
    for node in &ring.nodes {
        assert_eq!(starts(node), ["1.0.0", "1.1.0"], "each starts the release once");
    }
    assert!(outages.end() <= 1, "more than one member was out at once");
}

#[test]
fn an_updater_that_dies_in_its_own_turn_before_its_service_runs_is_continued() {
    updater_dies(0, Hold::Applying);
}

#[test]
fn an_updater_that_dies_in_its_own_turn_while_its_service_is_verified_is_continued() {
    updater_dies(0, Hold::Verifying);
}

#[test]
fn an_updater_that_dies_while_another_member_applies_is_continued() {
    updater_dies(1, Hold::Applying);
}

#[test]
fn an_updater_that_dies_while_another_member_is_verified_is_continued() {
    updater_dies(2, Hold::Verifying);
}

#[test]
fn an_updater_that_dies_as_it_grants_a_turn_is_continued() {
    let mut ring = fleet(4);
    let updater = wait_updater(&ring);
    let observer = (updater + 1) % 4;
    let second = release(&ring, "1.1.0", Kind::Good);
    assert_eq!(update(&ring.nodes[observer], &second, &["--no-wait", "--min-healthy", "100ms"]).code, 0);
    // Whatever it has done of its first turn by now.
    wait_until("the rollout has begun", || rollout(&ring.nodes[observer]).is_some());
    ring.nodes[updater].kill();
    ring.spawn(updater, &["run"]);
    wait_rollout(&ring.nodes[observer], "done");
    wait_version(&all(&ring), "1.1.0");
    for node in &ring.nodes {
        assert_eq!(starts(node), ["1.0.0", "1.1.0"], "each starts the release once");
    }
}

#[test]
fn a_member_that_was_down_while_the_group_moved_on_starts_with_the_newest_release_at_once() {
    let mut ring = fleet(5);
    let absent = order(&ring)[3];
    let present = (absent + 1) % 5;
    ring.nodes[absent].crash();
    wait_until("the others know", || ring.nodes[present].alive_members() == Some(4));
    for version in ["1.1.0", "1.2.0"] {
        let next = release(&ring, version, Kind::Good);
        let answer = update(&ring.nodes[present], &next, &QUICK);
        assert_eq!(answer.code, 0, "{answer:?}");
    }
    ring.spawn(absent, &["run"]);
    wait_version(&all(&ring), "1.2.0");
    assert_eq!(starts(&ring.nodes[absent]), ["1.0.0", "1.2.0"], "it serves no release in between");
}

#[test]
fn a_member_that_is_born_while_a_rollout_is_halted_runs_the_last_good_release() {
    let mut ring = Ring::new(5);
    let first = release(&ring, "1.0.0", Kind::Good);
    for number in 0..4 {
        spawn(&mut ring, number, &first);
    }
    ring.wait_whole();
    for node in &ring.nodes[..4] {
        node.wait_healthy(GROUP);
    }
    // So that the last good release is one that the ring knows, not what somebody has in a directory.
    let second = release(&ring, "1.1.0", Kind::Good);
    assert_eq!(update(&ring.nodes[1], &second, &QUICK).code, 0);
    let bad = release(&ring, "1.2.0", Kind::Unhealthy);
    assert_eq!(update(&ring.nodes[1], &bad, &["--min-healthy", "200ms", "--deadline", "2s"]).code, 1);
    spawn(&mut ring, 4, &first);
    wait_version(&all(&ring), "1.1.0");
    assert_eq!(starts(&ring.nodes[4]), ["1.1.0"], "neither what it was started with nor what failed");
    wait_rollout(&ring.nodes[4], "halted");
}

#[test]
fn a_rollout_is_paused_resumed_and_aborted_from_any_node() {
    let ring = fleet(4);
    let order = order(&ring);
    let second = release(&ring, "1.1.0", Kind::SlowToBeWell);
    assert_eq!(update(&ring.nodes[order[2]], &second, &["--no-wait", "--min-healthy", "0s"]).code, 0);
    let canary = node_id(&ring.nodes[order[0]]);
    wait_phase(&ring.nodes[order[3]], &canary, "verifying");
    assert_eq!(ring.nodes[order[3]].sup(&["rollout", "pause", GROUP]).code, 0);
    wait_rollout(&ring.nodes[order[1]], "paused");
    touch(&ring.nodes[order[0]], "well");
    wait_until("the turn under way ends", || {
        rollout(&ring.nodes[order[3]]).is_some_and(|rollout| names(&rollout["done"]) == [canary.clone()])
    });
    let explained = ring.nodes[order[1]].sup(&["explain", GROUP]);
    assert!(explained.stdout.contains("paused") && explained.stdout.contains("sup rollout resume"), "{explained:?}");
    assert_eq!(starts(&ring.nodes[order[1]]), ["1.0.0"], "nobody begins while it is paused");
    assert_eq!(ring.nodes[order[1]].sup(&["rollout", "resume", GROUP, "--no-wait"]).code, 0);
    let next = node_id(&ring.nodes[order[1]]);
    wait_phase(&ring.nodes[order[3]], &next, "verifying");
    assert_eq!(ring.nodes[order[2]].sup(&["rollout", "abort", GROUP]).code, 0);
    wait_rollout(&ring.nodes[order[3]], "aborted");
    assert_eq!(starts(&ring.nodes[order[2]]), ["1.0.0"]);
    assert_eq!(starts(&ring.nodes[order[3]]), ["1.0.0"]);
}

#[test]
fn a_release_that_is_mended_supersedes_the_one_that_failed() {
    let ring = fleet(3);
    let bad = release(&ring, "1.1.0", Kind::Unhealthy);
    assert_eq!(update(&ring.nodes[0], &bad, &["--min-healthy", "200ms", "--deadline", "2s"]).code, 1);
    let good = release(&ring, "1.1.1", Kind::Good);
    let answer = update(&ring.nodes[1], &good, &QUICK);
    assert_eq!(answer.code, 0, "{answer:?}");
    wait_version(&all(&ring), "1.1.1");
}

/// Rolls out a release that is never well, with minutes to become so, and waits until its first member says critical.
fn critical_with_time_to_spare(ring: &Ring) {
    let bad = release(ring, "1.1.0", Kind::Unhealthy);
    let observer = &ring.nodes[1];
    assert_eq!(update(observer, &bad, &["--no-wait", "--min-healthy", "200ms", "--deadline", "10m"]).code, 0);
    let canary = &ring.nodes[order(ring)[0]];
    wait_phase(observer, &node_id(canary), "verifying");
    wait_until("the canary is critical", || {
        let view = observer.try_json(&["group", "show", GROUP]);
        let members = view.as_ref().and_then(|view| view["members"].as_array()).into_iter().flatten();
        members.into_iter().any(|member| member["health"] == "critical")
    });
}

#[test]
fn a_rollback_does_not_wait_until_a_critical_member_has_had_its_time() {
    let ring = fleet(3);
    critical_with_time_to_spare(&ring);
    let answer = ring.nodes[2].sup(&["rollout", "rollback", GROUP]);
    assert_eq!(answer.code, 0, "{answer:?}");
    wait_version(&all(&ring), "1.0.0");
    wait_rollout(&ring.nodes[0], "rolled-back");
}

#[test]
fn a_mended_release_does_not_wait_until_a_critical_member_has_had_its_time() {
    let ring = fleet(3);
    critical_with_time_to_spare(&ring);
    let good = release(&ring, "1.1.1", Kind::Good);
    let answer = update(&ring.nodes[2], &good, &QUICK);
    assert_eq!(answer.code, 0, "{answer:?}");
    wait_version(&all(&ring), "1.1.1");
}

#[test]
fn a_release_that_was_rolled_back_stays_away_until_it_is_asked_for_again() {
    let ring = fleet(3);
    let observer = &ring.nodes[1];
    let second = release(&ring, "1.1.0", Kind::Good);
    assert_eq!(update(observer, &second, &QUICK).code, 0);
    assert_eq!(observer.sup(&["rollout", "rollback", GROUP]).code, 0);
    let answer =
        observer.sup_with_input(&["config", "apply", GROUP, "-", "--min-healthy", "200ms"], "message = \"hi\"\n");
    assert_eq!(answer.code, 0, "{answer:?}");
    wait_version(&all(&ring), "1.0.0");
    for node in &ring.nodes {
        assert_eq!(starts(node), ["1.0.0", "1.1.0", "1.0.0"], "the config brought the release back");
    }
    assert_eq!(update(&ring.nodes[2], &second, &QUICK).code, 0);
    wait_version(&all(&ring), "1.1.0");
}

#[test]
fn a_config_rolls_too_and_stops_where_it_fails() {
    let ring = fleet(3);
    // The port is what the check goes to, and what the service listens on when it is started next: it fails at once.
    let answer = ring.nodes[1].sup_with_input(
        &["config", "apply", GROUP, "-", "--min-healthy", "200ms", "--deadline", "2s"],
        "port = 8081\n",
    );
    assert_eq!(answer.code, 1, "{answer:?}");
    let status = wait_rollout(&ring.nodes[0], "halted");
    assert_eq!(names(&status["failed"]).len(), 1, "{status}");
    wait_version(&all(&ring), "1.0.0");
    let answer = ring.nodes[2].sup_with_input(&["config", "apply", GROUP, "-"], "message = \"mended\"\n");
    assert_eq!(answer.code, 0, "{answer:?}");
    for node in &ring.nodes {
        let said = crate::http::get((node.ip, 8080), "/").expect("it answers").json();
        assert_eq!(said["message"], "mended");
    }
}

#[test]
fn a_group_is_stopped_and_started_member_by_member() {
    let ring = fleet(3);
    let answer = ring.nodes[0].sup(&["stop", "demo", "--everywhere"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    for node in &ring.nodes {
        wait_until("it is down", || node.member(GROUP).is_some_and(|member| member["state"] == "down"));
    }
    let answer = ring.nodes[1].sup(&["start", "demo", "--everywhere"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    wait_version(&all(&ring), "1.0.0");
}

#[test]
fn a_member_that_was_paused_while_the_group_moved_on_takes_its_turn_later() {
    let ring = fleet(4);
    let order = order(&ring);
    let absent = &ring.nodes[order[3]];
    let second = release(&ring, "1.1.0", Kind::Good);
    absent.signal(nix::sys::signal::Signal::SIGSTOP);
    wait_until("the others take it for dead", || ring.nodes[order[0]].alive_members() == Some(3));
    assert_eq!(update(&ring.nodes[order[1]], &second, &QUICK).code, 0);
    assert_eq!(version(absent).as_deref(), Some("1.0.0"), "its service runs on");
    absent.signal(nix::sys::signal::Signal::SIGCONT);
    wait_version(&all(&ring), "1.1.0");
    assert_eq!(starts(absent), ["1.0.0", "1.1.0"]);
    wait_for("the rollout has all of them", || {
        rollout(absent).filter(|rollout| rollout["status"] == "done" && names(&rollout["done"]).len() == 4)
    });
}

#[test]
fn a_member_that_was_cut_off_while_the_group_moved_on_takes_its_turn_when_it_is_back() {
    let Some(mut hosts) = Hosts::new(4) else { return };
    settle(&mut hosts.ring);
    let order = order(&hosts.ring);
    let absent = order[3];
    let second = release(&hosts.ring, "1.1.0", Kind::Good);
    hosts.cut(&[absent]);
    wait_until("the others take it for dead", || hosts.ring.nodes[order[0]].alive_members() == Some(3));
    assert_eq!(update(&hosts.ring.nodes[order[1]], &second, &QUICK).code, 0);
    assert_eq!(starts(&hosts.ring.nodes[absent]), ["1.0.0"], "its service runs on");
    hosts.heal();
    wait_version(&all(&hosts.ring), "1.1.0");
    assert_eq!(starts(&hosts.ring.nodes[absent]), ["1.0.0", "1.1.0"]);
}

#[test]
fn an_updater_that_is_cut_off_in_its_own_turn_leaves_the_group_to_another() {
    let Some(mut hosts) = Hosts::new(5) else { return };
    settle(&mut hosts.ring);
    let order = order(&hosts.ring);
    let second = release(&hosts.ring, "1.1.0", Kind::SlowToBeWell);
    assert_eq!(update(&hosts.ring.nodes[order[1]], &second, &["--no-wait", "--min-healthy", "100ms"]).code, 0);
    wait_phase(&hosts.ring.nodes[order[1]], &node_id(&hosts.ring.nodes[order[0]]), "verifying");
    hosts.cut(&[order[0]]);
    wait_until("another is the updater", || {
        let view = hosts.ring.nodes[order[1]].try_json(&["group", "show", GROUP]);
        view.is_some_and(|view| {
            view["updater"].is_object() && view["updater"]["node_id"] != node_id(&hosts.ring.nodes[order[0]])
        })
    });
    // The turn of the one that is cut off may still be under way, as far as anybody can tell: nobody else begins.
    for number in &order {
        touch(&hosts.ring.nodes[*number], "well");
    }
    assert_eq!(starts(&hosts.ring.nodes[order[2]]), ["1.0.0"], "a second member is out");
    hosts.heal();
    wait_rollout(&hosts.ring.nodes[order[1]], "done");
    wait_version(&all(&hosts.ring), "1.1.0");
    for node in &hosts.ring.nodes {
        assert_eq!(starts(node), ["1.0.0", "1.1.0"], "each starts the release once");
    }
}

#[test]
fn stopping_and_starting_everywhere_rolls_with_a_line_for_each_step_and_every_node_hears_of_it() {
    let ring = fleet(3);
    let options = ring.nodes[0].sup(&["stop", GROUP, "--everywhere"]);
    assert_eq!(options.code, 0, "{options:?}");
    for node in &ring.nodes {
        assert_eq!(node.member(GROUP).expect("it is known")["state"], "down");
        assert!(options.stderr.contains(&node.ip.to_string()), "{} is not told of: {options:?}", node.ip);
        wait_until("the log tells of all turns", || {
            let log = node.log();
            log.contains("rollout began") && log.matches("turn granted").count() == 3 && log.contains("status=Done")
        });
    }
    let started = ring.nodes[1].sup(&["start", "demo", "--everywhere"]);
    assert_eq!(started.code, 0, "{started:?}");
    wait_version(&all(&ring), "1.0.0");
}
