//! The demo service, which needs nothing installed: what is typed and what is asked over HTTP, on five nodes and on one.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::{Node, Ring, is_alive, wait_for, wait_until, write_plan};
use crate::http::{Response, get, post, request};

const GROUP: &str = "demo.default";

/// Some nodes that serve.
fn start(count: usize, topology: &str) -> Ring {
    let mut ring = Ring::new(count);
    ring.start("demo", &["--topology", topology]);
    ring.wait_whole();
    for node in &ring.nodes {
        node.wait_healthy(GROUP);
    }
    ring
}

/// Some nodes that serve, and the leader's number and term.
fn led(count: usize) -> (Ring, usize, u64) {
    let ring = start(count, "leader");
    let (leader, term) = ring.wait_leader(GROUP);
    (ring, leader, term)
}

/// One node that serves.
fn one() -> Ring {
    start(1, "standalone")
}

/// What the demo service of a node says of itself.
fn about(node: &Node) -> Option<Value> {
    get((node.ip, 8080), "/").ok().filter(|response| response.status == 200).map(|response| response.json())
}

fn api(node: &Node, path: &str) -> Response {
    get((node.ip, 9631), path).expect("the supervisor answers")
}

/// Runs a command that is to succeed, and returns what it printed.
fn ok(node: &Node, args: &[&str]) -> String {
    let answer = node.sup(args);
    assert_eq!(answer.code, 0, "sup {args:?}: {answer:?}");
    answer.stdout
}

fn apply(node: &Node, toml: &str) {
    let answer = node.sup_with_input(&["config", "apply", GROUP, "-"], toml);
    assert_eq!(answer.code, 0, "{answer:?}");
}

fn wait_message(ring: &Ring, message: &str) {
    for node in &ring.nodes {
        wait_until(&format!("{} says {message}", node.ip), || {
            about(node).is_some_and(|about| about["message"] == message)
        });
    }
}

fn state(node: &Node) -> Option<String> {
    node.member(GROUP)?["state"].as_str().map(str::to_owned)
}

#[test]
fn five_nodes_say_who_they_are_and_exactly_one_leads() {
    let (ring, leader, term) = led(5);
    for (number, node) in ring.nodes.iter().enumerate() {
        let role = if number == leader { "leader" } else { "follower" };
        let id = api(node, "/v1/node").json()["node_id"].clone();
        wait_until(&format!("{} is {role} in term {term}", node.ip), || {
            about(node).is_some_and(|about| about["node"] == id && about["role"] == role && about["term"] == term)
        });
    }
    let seen: Vec<Value> = ring.nodes.iter().map(|node| api(node, "/v1/groups/demo.default").json()).collect();
    for view in &seen {
        assert_eq!(view["leader"], seen[0]["leader"]);
        let members = view["members"].as_array().expect("members");
        assert_eq!(members.iter().filter(|member| member["leader"] == true).count(), 1);
    }
}

#[test]
fn a_config_reaches_all_nodes_and_can_be_taken_back() {
    let (ring, _, _) = led(5);
    let pids: Vec<_> = ring.nodes.iter().map(|node| node.service_pid(GROUP)).collect();
    apply(&ring.nodes[0], "message = \"one\"\n");
    wait_message(&ring, "one");
    apply(&ring.nodes[4], "message = \"two\"\n");
    wait_message(&ring, "two");
    assert_eq!(ok(&ring.nodes[2], &["config", "show", GROUP]), "message = \"two\"\n");
    ok(&ring.nodes[1], &["config", "rollback", GROUP]);
    wait_message(&ring, "one");
    ok(&ring.nodes[3], &["config", "unset", GROUP]);
    wait_message(&ring, "hello");
    let history = ring.nodes[0].json(&["config", "history", GROUP]);
    let revisions = history["revisions"].as_array().expect("revisions");
    let actions: Vec<&str> = revisions.iter().filter_map(|revision| revision["action"].as_str()).collect();
    assert_eq!(actions.len(), 4, "{history}");
    assert_eq!((actions[0], actions[2], actions[3]), ("unset", "apply", "apply"));
    assert!(actions[1].starts_with("rollback to 1-"), "{history}");
    let statuses: Vec<_> = revisions.iter().map(|revision| revision["status"].clone()).collect();
    assert_eq!(statuses, ["in-force", "replaced", "replaced", "replaced"]);
    let second = revisions[2]["revision"].as_str().expect("a revision");
    assert_eq!(ok(&ring.nodes[0], &["config", "show", GROUP, second]), "message = \"two\"\n");
    let stale = ring.nodes[0].sup_with_input(&["config", "apply", GROUP, "-", "--expect", second], "message = \"x\"\n");
    assert_eq!(stale.code, 4, "{stale:?}");
    assert_eq!(pids, ring.nodes.iter().map(|node| node.service_pid(GROUP)).collect::<Vec<_>>());
}

#[test]
fn a_process_that_crashes_is_started_again() {
    let ring = one();
    let node = &ring.nodes[0];
    let before = node.service_pid(GROUP).expect("it has a process");
    // It ends before it has answered.
    assert!(post((node.ip, 8080), "/crash").is_err());
    wait_until("it answers again", || about(node).is_some());
    wait_until("another process is up", || {
        node.member(GROUP).is_some_and(|member| {
            member["state"] == "up" && member["restarts"] == 1 && member["pid"].as_i64() != Some(before.into())
        })
    });
    assert!(ok(node, &["logs", "demo"]).contains("told to crash"));
}

#[test]
fn a_leader_that_fails_its_health_check_resigns_and_another_leads() {
    let mut ring = Ring::new(3);
    let shipped = |file: &str| std::fs::read_to_string(crate::harness::plan(file)).expect("a shipped file");
    let manifest = shipped("demo/plan.toml").replace("interval = \"2s\"", "interval = \"200ms\"");
    let plan = write_plan(
        &ring.dir().join("demo"),
        &[
            ("plan.toml", &format!("{manifest}\n[election]\nresign-after-critical = \"500ms\"\n")),
            ("default.toml", &shipped("demo/default.toml")),
            ("config/demo.toml", &shipped("demo/config/demo.toml")),
            ("hooks/reconfigure", &shipped("demo/hooks/reconfigure")),
        ],
    );
    ring.start(&plan, &["--topology", "leader"]);
    ring.wait_whole();
    let (leader, term) = ring.wait_leader(GROUP);
    let node = &ring.nodes[leader];
    node.wait_healthy(GROUP);
    assert_eq!(api(node, "/services/demo/default/health").status, 200);
    assert_eq!(post((node.ip, 8080), "/fail").expect("it answers").status, 204);
    wait_until("its health is critical", || {
        let health = api(node, "/services/demo/default/health");
        health.status == 503 && health.json()["health"] == "critical"
    });
    let explained = ok(node, &["explain", "demo"]);
    assert!(explained.contains("health check says critical") && explained.contains("503"), "{explained}");
    let (successor, new_term) =
        wait_for("another leads", || ring.leader(GROUP).filter(|(number, _)| *number != leader));
    assert!(new_term > term);
    wait_until("the successor knows", || {
        about(&ring.nodes[successor]).is_some_and(|about| about["role"] == "leader" && about["term"] == new_term)
    });
    assert_eq!(post((node.ip, 8080), "/recover").expect("it answers").status, 204);
    node.wait_healthy(GROUP);
    assert_eq!(ring.leader(GROUP), Some((successor, new_term)), "whoever recovers does not take the seat back");
}

#[test]
fn the_api_answers_in_its_documented_shapes() {
    let (ring, _, _) = led(3);
    let node = &ring.nodes[0];
    let has = |path: &str, value: &Value, fields: &[&str]| {
        for field in fields {
            assert!(value.get(field).is_some(), "{path} has no {field}: {value}");
        }
    };
    let about_node = api(node, "/v1/node").json();
    has("node", &about_node, &["node_id", "address", "hostname", "ring", "version", "started_at", "encrypted"]);
    let members = api(node, "/v1/members").json();
    has("members", &members["members"][0], &["node_id", "address", "hostname", "state", "version"]);
    let group_fields =
        ["group", "topology", "strategy", "election", "leader", "updater", "council", "desired", "rollout"];
    has("groups", &api(node, "/v1/groups").json()["groups"][0], &group_fields);
    let group = api(node, "/v1/groups/demo.default").json();
    has("group", &group, &group_fields);
    has("leader", &group["leader"], &["node_id", "address", "term"]);
    has("council", &group["council"], &["voters", "version"]);
    has("desired", &group["desired"], &["release", "config_revision", "state"]);
    let member_fields = [
        "node_id",
        "address",
        "state",
        "why",
        "health",
        "leader",
        "suitability",
        "release",
        "config_revision",
        "pid",
        "since",
        "restarts",
    ];
    has("group", &group["members"][0], &member_fields);
    has("members", &api(node, "/v1/groups/demo.default/members").json()["members"][0], &member_fields);
    has("services", &api(node, "/v1/services").json()["services"][0], &member_fields);
    let service = api(node, "/v1/services/demo").json();
    has("service", &service, &member_fields);
    has("hook", &service["hooks"][0], &["hook", "at", "took_ms", "outcome", "output"]);
    has("file", &service["files"][0], &["path", "hash"]);
    has("config", &api(node, "/v1/groups/demo.default/config").json(), &["group", "revision", "toml"]);
    has("history", &api(node, "/v1/groups/demo.default/config/history").json(), &["group", "revisions"]);
    assert_eq!(api(node, "/healthz").status, 200);
    let metrics = api(node, "/metrics");
    assert!(metrics.body.contains("sup_members{state=\"alive\"} 3"), "{metrics:?}");
    assert!(metrics.body.contains("sup_service_state{group=\"demo.default\",state=\"up\"} 1"), "{metrics:?}");
}

#[test]
fn what_does_not_exist_is_a_problem_of_a_stable_type() {
    let ring = one();
    let node = &ring.nodes[0];
    let cases = [
        ("GET", "/v1/nothing", 404, "unknown-route"),
        ("GET", "/nothing", 404, "unknown-route"),
        ("DELETE", "/v1/node", 405, "wrong-method"),
        ("GET", "/v1/groups/none.default", 404, "unknown-group"),
        ("GET", "/v1/groups/none.default/config", 404, "unknown-group"),
        ("GET", "/v1/groups/nonsense", 400, "bad-request"),
        ("GET", "/v1/services/none", 404, "unknown-service"),
        ("GET", "/services/none/default/health", 404, "unknown-service"),
        ("GET", "/services/demo/other/health", 404, "unknown-service"),
        // Whoever may load a plan may run anything: not over the network.
        ("POST", "/v1/services", 403, "forbidden"),
    ];
    for (method, path, status, kind) in cases {
        let answer = request((node.ip, 9631), method, path, "").expect("it answers");
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert!(answer.has("content-type", "application/problem+json"), "{method} {path}: {answer:?}");
        let problem = answer.json();
        assert_eq!(problem["type"], format!("urn:sup:problem:{kind}"), "{method} {path}");
        assert_eq!(problem["status"], status, "{method} {path}");
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{method} {path}: {problem}");
    }
}

#[test]
fn commands_show_and_explain_a_service() {
    let (ring, _, _) = led(3);
    let node = &ring.nodes[0];
    ok(node, &["wait", GROUP, "--for", "leader"]);
    ok(node, &["wait", GROUP, "--for", "healthy"]);
    ok(node, &["wait", GROUP, "--for", "members=3"]);
    let late = node.sup(&["wait", GROUP, "--for", "members=4", "--timeout", "100ms"]);
    assert_eq!(late.code, 3, "{late:?}");
    assert!(late.stderr.contains("3 of 4 members serve") && late.stderr.contains("next: "), "{late:?}");
    let status = node.json(&["status"]);
    assert_eq!(status["services"][0]["service"], "demo");
    assert_eq!(node.json(&["status", "demo"])["group"], GROUP);
    assert_eq!(node.json(&["groups"])["groups"][0]["group"], GROUP);
    assert!(ok(node, &["explain", "demo"]).contains("demo is up here and healthy"));
    assert!(ok(node, &["explain", GROUP]).contains("in term "));
    assert!(ok(node, &["logs", "demo"]).contains("listens on"));
    for args in [&["status", "dmeo"][..], &["stop", "dmeo"], &["group", "show", "dmeo.default"], &["explain", "dmeo"]] {
        let unknown = node.sup(args);
        assert_eq!(unknown.code, 1, "{args:?}: {unknown:?}");
        assert!(unknown.stderr.contains("dmeo") && unknown.stderr.contains("next: "), "{args:?}: {unknown:?}");
    }
}

#[test]
fn a_service_is_stopped_started_restarted_and_unloaded_by_its_name() {
    let ring = one();
    let node = &ring.nodes[0];
    let first = node.service_pid(GROUP).expect("it has a process");
    ok(node, &["restart", "demo"]);
    let second = node.service_pid(GROUP).expect("it has a process");
    assert!(first != second && !is_alive(first));
    ok(node, &["stop", "demo"]);
    assert!(!is_alive(second) && about(node).is_none());
    assert_eq!(state(node).as_deref(), Some("down"));
    let explained = node.json(&["explain", "demo"]);
    assert_eq!(explained["next"], "sup start demo");
    ok(node, &["start", "demo"]);
    assert!(about(node).is_some());
    ok(node, &["unload", "demo"]);
    assert!(about(node).is_none());
    assert_eq!(node.json(&["status"])["services"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_service_that_was_stopped_stays_so_when_its_supervisor_starts_again() {
    let mut ring = one();
    ok(&ring.nodes[0], &["stop", "demo"]);
    assert_eq!(ring.nodes[0].terminate(), Some(0));
    ring.nodes[0].spawn(&["run", "--profile", "local"]);
    wait_until("it is there, and down", || state(&ring.nodes[0]).as_deref() == Some("down"));
    ok(&ring.nodes[0], &["start", "demo"]);
    ring.nodes[0].wait_healthy(GROUP);
}

#[test]
fn a_group_that_was_stopped_everywhere_stays_so_for_a_member_that_comes_later() {
    let mut ring = Ring::new(3);
    for number in 0..2 {
        ring.spawn(number, &["start", "demo"]);
    }
    ring.wait_whole();
    for number in 0..2 {
        ring.nodes[number].wait_healthy(GROUP);
    }
    ok(&ring.nodes[1], &["stop", "demo", "--everywhere"]);
    for number in 0..2 {
        assert_eq!(state(&ring.nodes[number]).as_deref(), Some("down"));
    }
    ring.spawn(2, &["run"]);
    ring.wait_whole();
    let refused = ring.nodes[2].sup(&["start", "demo"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.stderr.contains("stopped everywhere"), "{refused:?}");
    assert!(refused.stderr.contains("sup start demo --everywhere"), "{refused:?}");
    assert_eq!(state(&ring.nodes[2]).as_deref(), Some("down"));
    assert_eq!(ring.nodes[0].json(&["explain", "demo"])["next"], "sup start demo --everywhere");
    ok(&ring.nodes[0], &["start", "demo", "--everywhere"]);
    for node in &ring.nodes {
        node.wait_healthy(GROUP);
    }
}

#[test]
fn shutdown_leaves_the_ring_and_stops_the_service() {
    let mut ring = start(2, "standalone");
    let pid = ring.nodes[1].service_pid(GROUP).expect("it has a process");
    ok(&ring.nodes[1], &["shutdown"]);
    assert!(!is_alive(pid));
    assert_eq!(ring.nodes[1].wait_exit(), Some(0));
    let members = ring.nodes[0].json(&["members"]);
    let states: Vec<_> = members["members"].as_array().into_iter().flatten().map(|member| &member["state"]).collect();
    assert!(states.contains(&&Value::from("left")), "{members}");
    let gone = ring.nodes[1].sup(&["status"]);
    assert_eq!(gone.code, 1, "{gone:?}");
    assert!(gone.stderr.contains("next: "), "{gone:?}");
}

#[test]
fn start_loads_the_service_where_a_supervisor_runs_already() {
    let mut ring = Ring::new(1);
    ring.run();
    let node = &mut ring.nodes[0];
    let supervisor = node.pid();
    let started = ok(node, &["start", "demo"]);
    assert!(started.contains("demo.default is up"), "{started}");
    assert!(about(node).is_some());
    // Once more is not an error, and changes nothing.
    let pid = node.service_pid(GROUP);
    ok(node, &["start", "demo"]);
    assert_eq!(node.service_pid(GROUP), pid);
    let otherwise = node.sup(&["start", "demo", "--group", "other"]);
    assert_eq!(otherwise.code, 4, "{otherwise:?}");
    assert!(otherwise.stderr.contains("group default instead of other"), "{otherwise:?}");
    assert!(node.is_running() && node.pid() == supervisor);
    node.signal(Signal::SIGINT);
    assert_eq!(node.wait_exit(), Some(0));
}
