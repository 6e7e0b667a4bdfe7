//! What a user gets wrong, and what the world does: one clear error each, and everything else goes on.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use nix::unistd::Pid;

use crate::harness::{Answer, Node, Ring, SUP, free_ip, run, wait_until, write_plan};
use crate::http;

const DEMO: &str = "demo.default";
/// A service that needs nothing and does nothing.
const IDLE: &str = "name = \"idle\"\nversion = \"1\"\n[service]\nrun = \"exec sleep 1000\"\n";
const IDLE_GROUP: &str = "idle.default";

/// One node on which the demo service is well.
fn well() -> Ring {
    let mut ring = Ring::new(1);
    ring.start("demo", &[]);
    ring.nodes[0].wait_healthy(DEMO);
    ring
}

/// The demo service is as it was.
fn goes_on(node: &Node, pid: Option<i32>) {
    assert_eq!(node.service_pid(DEMO), pid);
    assert_eq!(http::get((node.ip, 8080), "/").expect("demo answers").status, 200);
}

/// Starts a plan of the test's own beside the demo service, which is to fail. Returns what `sup start` said.
fn start_bad(ring: &Ring, files: &[(&str, &str)]) -> Answer {
    let node = &ring.nodes[0];
    let pid = node.service_pid(DEMO);
    let plan = write_plan(&ring.dir().join("idle"), files);
    let answer = node.sup(&["start", &plan, "--timeout", "10s"]);
    println!("{}", answer.stderr);
    goes_on(node, pid);
    answer
}

fn why(node: &Node, group: &str) -> String {
    node.member(group).and_then(|member| member["why"].as_str().map(str::to_owned)).unwrap_or_default()
}

fn apply(node: &Node, toml: &str) -> Answer {
    let answer = node.sup_with_input(&["config", "apply", DEMO, "-"], toml);
    println!("{}", answer.stderr);
    answer
}

#[test]
fn a_config_that_is_malformed_unknown_or_oversized_is_refused_and_nothing_changes() {
    let ring = well();
    let node = &ring.nodes[0];
    let oversized = format!("message = \"{}\"\n", "x".repeat(64 * 1024));
    let cases = [
        ("message = = 1\n", "1:11"),
        ("message = \"unclosed\n", "1:"),
        ("mesage = \"x\"\n", "message"),
        ("port = \"many\"\n", "1:8"),
        (&oversized, "larger than 61440 bytes"),
    ];
    for (toml, told) in cases {
        let answer = apply(node, toml);
        assert_eq!(answer.code, 4, "{answer:?}");
        assert!(answer.stderr.contains(told), "{answer:?}");
    }
    let answer = http::request((node.ip, 9631), "PUT", "/v1/groups/demo.default/config", &oversized);
    let answer = answer.expect("it answers");
    assert_eq!(answer.status, 413, "{answer:?}");
    assert_eq!(answer.json()["type"], "urn:sup:problem:too-large");
    let missing = node.sup(&["config", "apply", DEMO, "no-such-file.toml"]);
    assert_eq!(missing.code, 2, "{missing:?}");
    assert!(missing.stderr.contains("no-such-file.toml"), "{missing:?}");
    assert_eq!(node.json(&["config", "history", DEMO])["revisions"].as_array().map(Vec::len), Some(0));
    goes_on(node, node.service_pid(DEMO));
}

#[test]
fn a_template_that_does_not_compile_fails_its_service_alone_with_file_and_line() {
    let ring = well();
    let answer = start_bad(&ring, &[("plan.toml", IDLE), ("config/idle.conf", "one\n{{#if cfg.x}}\n")]);
    assert!(answer.code == 1 || answer.code == 4, "{answer:?}");
    assert!(answer.stderr.contains("config/idle.conf:3:1") && answer.stderr.contains("not closed"), "{answer:?}");
    assert!(answer.stderr.contains("next: "), "{answer:?}");
}

#[test]
fn a_template_that_does_not_render_fails_its_service_alone_with_file_and_line() {
    let ring = well();
    let strict = format!("strict-templates = true\n{IDLE}");
    let answer = start_bad(&ring, &[("plan.toml", &strict), ("config/idle.conf", "one\ntwo {{cfg.missing}}\n")]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stderr.contains("config/idle.conf:2"), "{answer:?}");
    let node = &ring.nodes[0];
    assert_eq!(node.member(IDLE_GROUP).expect("it is loaded")["state"], "failed");
    let status = node.sup(&["status"]);
    assert!(status.stdout.contains("config/idle.conf:2"), "{status:?}");
    let explained = node.sup(&["explain", "idle"]);
    assert!(explained.stdout.contains("config/idle.conf:2"), "{explained:?}");
    assert_eq!(node.log().matches("config/idle.conf:2").count(), 1, "it is told once");
}

#[test]
fn a_plan_with_an_unknown_key_is_refused_with_its_place_and_the_key_that_was_meant() {
    let ring = well();
    let answer = start_bad(&ring, &[("plan.toml", &IDLE.replace("version", "versoin"))]);
    assert_eq!(answer.code, 4, "{answer:?}");
    assert!(answer.stderr.contains("plan.toml:2:1") && answer.stderr.contains("version"), "{answer:?}");
}

#[test]
fn a_command_that_is_not_installed_is_named_with_how_to_get_it() {
    let ring = well();
    let plan = format!("{IDLE}[requires]\ncommands = {{ no-such-command = \"apt-get install it\" }}\n");
    let answer = start_bad(&ring, &[("plan.toml", &plan)]);
    assert!(answer.code == 1 || answer.code == 4, "{answer:?}");
    assert!(answer.stderr.contains("no-such-command"), "{answer:?}");
    assert!(answer.stderr.contains("apt-get install it"), "{answer:?}");
}

#[test]
fn a_port_that_something_else_has_is_told_and_the_service_starts_once_it_is_free() {
    let mut ring = Ring::new(1);
    let taken = TcpListener::bind((ring.nodes[0].ip, 8080)).expect("the port is free");
    ring.start("demo", &[]);
    let node = &ring.nodes[0];
    wait_until("the status says why", || {
        let status = node.sup(&["status"]).stdout;
        status.contains("cannot listen on") && status.contains("8080")
    });
    let explained = node.sup(&["explain", "demo"]);
    println!("{}", explained.stdout);
    assert!(explained.stdout.contains("8080"), "{explained:?}");
    drop(taken);
    node.wait_healthy(DEMO);
}

#[test]
fn an_http_port_that_something_else_has_is_named_and_the_supervisor_ends() {
    let ip = free_ip();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let _taken = TcpListener::bind((ip, 9631)).expect("the port is free");
    let mut command = Command::new(SUP);
    command.args(["run", "--insecure-http", "--data-dir"]).arg(dir.path());
    command.args(["--listen-gossip", &ip.to_string(), "--listen-http", &format!("{ip}:9631")]);
    let answer = run(&mut command, "");
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stderr.contains(&format!("{ip}:9631")), "{answer:?}");
    assert!(answer.stderr.contains("--listen-http"), "{answer:?}");
}

#[test]
fn a_hook_that_hangs_is_killed_and_told_and_delays_nobody_else() {
    let mut ring = Ring::new(3);
    ring.start("demo", &["--topology", "leader"]);
    ring.wait_whole();
    let (leader, term) = ring.wait_leader(DEMO);
    let node = &ring.nodes[leader];
    node.wait_healthy(DEMO);
    let plan = format!("{IDLE}[hooks.init]\ntimeout = \"2s\"\n");
    let hang = "#!/bin/sh\necho about to hang\nsleep 1000\n";
    let plan = write_plan(&ring.dir().join("idle"), &[("plan.toml", &plan), ("hooks/init", hang)]);
    assert_eq!(node.sup(&["start", &plan, "--no-wait"]).code, 0);
    wait_until("its init runs", || node.sup(&["logs", "idle"]).stdout.contains("about to hang"));
    // Meanwhile the node answers, and does what it is told for the other service.
    assert_eq!(apply(node, "message = \"meanwhile\"\n").code, 0);
    wait_until("it is told", || why(node, IDLE_GROUP).contains("had not ended after 2s"));
    let explained = node.sup(&["explain", "idle"]);
    println!("{}", explained.stdout);
    assert!(explained.stdout.contains("init hook was killed"), "{explained:?}");
    assert_eq!(ring.leader(DEMO), Some((leader, term)), "no lease was missed");
}

#[test]
fn a_hook_that_floods_its_output_fills_neither_the_memory_nor_the_log() {
    let ring = well();
    let node = &ring.nodes[0];
    let flood =
        "#!/bin/sh\nhead -c 100000000 /dev/zero | tr '\\0' 'x' >&2\nyes flood | head -c 100000000 >&2\nexit 0\n";
    let plan = write_plan(&ring.dir().join("idle"), &[("plan.toml", IDLE), ("hooks/init", flood)]);
    let answer = node.sup(&["start", &plan]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let kilobytes = peak_kilobytes(node.pid());
    println!("peak of the supervisor: {kilobytes} KiB");
    assert!(kilobytes < 64 * 1024, "{kilobytes} KiB");
    let bytes = size_of(&node.data.join("svc/idle/logs"));
    println!("its logs: {bytes} bytes");
    assert!(bytes < 2 * 1024 * 1024, "{bytes} bytes");
    goes_on(node, node.service_pid(DEMO));
}

fn peak_kilobytes(pid: Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak is known");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn size_of(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("a directory").flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

#[test]
fn a_broken_spec_file_keeps_only_its_own_service_from_loading() {
    let mut ring = well();
    let node = &mut ring.nodes[0];
    let pid = node.service_pid(DEMO);
    node.kill();
    std::fs::write(node.data.join("specs/broken.toml"), "service = \"broken\"\ngroup = 7\n").expect("it is written");
    node.spawn(&["run", "--profile", "local"]);
    node.wait_healthy(DEMO);
    goes_on(node, pid);
    let status = node.sup(&["status"]);
    println!("{}{}", status.stdout, status.stderr);
    let told = format!("{}{}", status.stdout, status.stderr);
    assert!(told.contains("specs/broken.toml:2:9"), "{status:?}");
    let explained = node.sup(&["explain", "broken"]);
    println!("{}{}", explained.stdout, explained.stderr);
    assert!(explained.stderr.contains("specs/broken.toml:2:9"), "{explained:?}");
}

#[test]
fn a_broken_user_toml_keeps_the_previous_one_in_force_and_is_told() {
    let ring = well();
    let node = &ring.nodes[0];
    let message = || http::get((node.ip, 8080), "/").ok().map(|response| response.json()["message"].clone());
    let user = node.data.join("user/demo/config/user.toml");
    std::fs::create_dir_all(user.parent().expect("it is in a directory")).expect("the directory is made");
    std::fs::write(&user, "message = \"mine\"\n").expect("it is written");
    wait_until("it is in force", || message().is_some_and(|message| message == "mine"));
    let pid = node.service_pid(DEMO);
    std::fs::write(&user, "message = \"mine\nport = 1\n").expect("it is written");
    wait_until("the status says so", || node.sup(&["status", "demo"]).stdout.contains("user.toml:1:"));
    println!("{}", node.sup(&["status", "demo"]).stdout);
    let explained = node.sup(&["explain", "demo"]);
    println!("{}", explained.stdout);
    assert!(explained.stdout.contains("user.toml:1:"), "{explained:?}");
    assert_eq!(message().expect("demo answers"), "mine");
    goes_on(node, pid);
    std::fs::write(&user, "message = \"mended\"\n").expect("it is written");
    wait_until("the mended one is in force", || message().is_some_and(|message| message == "mended"));
    wait_until("nothing is told any more", || !node.sup(&["status", "demo"]).stdout.contains("user.toml:1:"));
}
