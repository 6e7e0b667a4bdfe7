//! A group of the demo service under strategy `rolling`, and releases of it to roll out: good ones, and ones that fail in
//! ways of their own.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Answer, Node, Ring, wait_for, wait_until, write_plan};
use crate::http;

pub const GROUP: &str = "demo.default";
/// The port of the demo service.
const PORT: u16 = 8080;
/// The pause between two rounds of [`Outages`].
const PAUSE: Duration = Duration::from_millis(2);

const PLAN: &str = r#"
name = "demo"
version = "VERSION"
origin = "sup"

[service]
run = 'echo VERSION >>{{pkg.svc_var_path}}/starts; exec "$SUP_BIN" demo-service --config {{pkg.svc_config_path}}/demo.toml'
shutdown-timeout = "3s"

[exports]
port = "port"
exposes = ["port"]

[health]
http = "http://{{sys.ip}}:{{cfg.port}}/health"
interval = "2s"
timeout = "1s"
failures = 2
"#;

const CONFIG: &str = r#"
node = "{{sys.member_id}}"
version = "{{pkg.version}}"
ip = "{{sys.ip}}"
port = {{cfg.port}}
message = {{toJson cfg.message}}
fail_health = FAILS
"#;

const DEFAULTS: &str = "port = 8080\nmessage = \"hello\"\npoison = false\n";

/// How a release behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It works.
    Good,
    /// It starts, and its health check fails.
    Unhealthy,
    /// The same, on nodes whose `user.toml` says `poison = true`.
    Poisonous,
    /// Its `init` hook does not end before the node's file `go` is there.
    SlowToStart,
    /// Its health check fails until the node's file `well` is there.
    SlowToBeWell,
    /// It goes on running, when it is to stop, for as long as the node has the file `stay`.
    SlowToStop,
}

/// Writes a release of the demo service, and returns its directory.
pub fn release(ring: &Ring, version: &str, kind: Kind) -> String {
    let dir = ring.dir().join("releases").join(version);
    let fails = match kind {
        Kind::Unhealthy => "true",
        Kind::Poisonous => "{{cfg.poison}}",
        Kind::Good | Kind::SlowToStart | Kind::SlowToBeWell | Kind::SlowToStop => "false",
    };
    let plan = match kind {
        Kind::SlowToBeWell => PLAN.replace(
            "http = \"http://{{sys.ip}}:{{cfg.port}}/health\"",
            "exec = \"test -e {{pkg.svc_var_path}}/well || { echo not well; exit 2; }\"",
        ),
        Kind::Good | Kind::Unhealthy | Kind::Poisonous | Kind::SlowToStart | Kind::SlowToStop => PLAN.to_owned(),
    };
    let plan = plan.replace("VERSION", version);
    let config = CONFIG.replace("FAILS", fails);
    let mut files = vec![
        ("plan.toml", plan.as_str()),
        ("default.toml", DEFAULTS),
        ("config/demo.toml", config.as_str()),
        ("hooks/reconfigure", "#!/bin/sh\nexec kill -HUP \"$SUP_PID\"\n"),
    ];
    if kind == Kind::SlowToStart {
        files.push(("hooks/init", "#!/bin/sh\nuntil [ -e {{pkg.svc_var_path}}/go ]; do sleep 0.02; done\n"));
    }
    if kind == Kind::SlowToStop {
        files.push(("hooks/pre-stop", "#!/bin/sh\nwhile [ -e {{pkg.svc_var_path}}/stay ]; do sleep 0.02; done\n"));
    }
    write_plan(&dir, &files)
}

/// `count` nodes whose demo service rolls, up and healthy with release 1.0.0.
pub fn fleet(count: usize) -> Ring {
    let mut ring = Ring::new(count);
    settle(&mut ring);
    ring
}

/// Has release 1.0.0 run on all nodes of a ring.
pub fn settle(ring: &mut Ring) {
    let first = release(ring, "1.0.0", Kind::Good);
    for number in 0..ring.nodes.len() {
        spawn(ring, number, &first);
    }
    ring.wait_whole();
    for node in &ring.nodes {
        node.wait_healthy(GROUP);
    }
    wait_updater(ring);
}

/// Starts the demo service on one node, in a supervisor of its own.
pub fn spawn(ring: &mut Ring, number: usize, plan: &str) {
    ring.spawn(number, &["start", plan, "--strategy", "rolling"]);
}

/// The number of the node that all running ones take for the updater.
pub fn wait_updater(ring: &Ring) -> usize {
    wait_for("all nodes agree on an updater", || {
        let mut agreed = None;
        for node in ring.nodes.iter().filter(|node| node.has_supervisor()) {
            let view = node.try_json(&["group", "show", GROUP])?;
            let address = view["updater"]["address"].as_str()?.to_owned();
            if agreed.get_or_insert_with(|| address.clone()) != &address {
                return None;
            }
        }
        let address = agreed?;
        ring.nodes.iter().position(|node| node.has_supervisor() && address == format!("{}:9638", node.ip))
    })
}

/// Everybody in the order of their turns: the updater, then the others by their ids.
pub fn order(ring: &Ring) -> Vec<usize> {
    let updater = wait_updater(ring);
    let mut others: Vec<(String, usize)> = (0..ring.nodes.len())
        .filter(|number| *number != updater)
        .map(|number| (node_id(&ring.nodes[number]), number))
        .collect();
    others.sort();
    std::iter::once(updater).chain(others.into_iter().map(|(_, number)| number)).collect()
}

pub fn node_id(node: &Node) -> String {
    node.json(&["status", "demo"])["node_id"].as_str().expect("a status names its node").to_owned()
}

/// `sup update` with these options, to the end.
pub fn update(node: &Node, release: &str, options: &[&str]) -> Answer {
    node.sup(&[&["update", GROUP, release], options].concat())
}

/// The group's rollout, as this node sees it.
pub fn rollout(node: &Node) -> Option<Value> {
    node.try_json(&["group", "show", GROUP]).map(|view| view["rollout"].clone()).filter(|rollout| !rollout.is_null())
}

/// Waits until this node says that the rollout stands so.
pub fn wait_rollout(node: &Node, status: &str) -> Value {
    wait_for(&format!("{} says that the rollout is {status}", node.ip), || {
        rollout(node).filter(|rollout| rollout["status"] == status)
    })
}

/// Waits until a member's turn is in this phase, as seen from another node.
pub fn wait_phase(observer: &Node, member: &str, phase: &str) {
    wait_until(&format!("the turn of {member} is in phase {phase}"), || {
        phase_of(observer, member) == Some(phase.into())
    });
}

pub fn phase_of(observer: &Node, member: &str) -> Option<String> {
    let report = observer.try_json(&["rollout", "status", GROUP])?;
    let member = report["members"].as_array()?.iter().find(|known| known["node_id"] == member)?.clone();
    member["turn"]["phase"].as_str().map(str::to_owned)
}

/// The version that answers on this node.
pub fn version(node: &Node) -> Option<String> {
    let answer = http::get((node.ip, PORT), "/").ok()?;
    answer.json()["version"].as_str().map(str::to_owned)
}

/// The versions that were started on this node, in their order.
pub fn starts(node: &Node) -> Vec<String> {
    let text = std::fs::read_to_string(var(node).join("starts")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The directory in which the demo service keeps what it likes.
pub fn var(node: &Node) -> PathBuf {
    node.data.join("svc/demo/var")
}

/// Makes an empty file of this name for the service of a node.
pub fn touch(node: &Node, name: &str) {
    let path = var(node).join(name);
    std::fs::write(&path, "").unwrap_or_else(|error| panic!("{} is written: {error}", path.display()));
}

/// Waits until this version answers on all these nodes, healthy.
pub fn wait_version(nodes: &[&Node], wanted: &str) {
    for node in nodes {
        wait_until(&format!("{} answers as {wanted}", node.ip), || version(node).as_deref() == Some(wanted));
        node.wait_healthy(GROUP);
    }
}

/// Puts a `user.toml` on a node.
pub fn write_user(data: &Path, text: &str) {
    write_user_of(data, "demo", text);
}

/// The same, of another service.
pub fn write_user_of(data: &Path, service: &str, text: &str) {
    let dir = data.join("user").join(service).join("config");
    std::fs::create_dir_all(&dir).expect("the directory is made");
    std::fs::write(dir.join("user.toml"), text).expect("user.toml is written");
}

/// Watches how many services are out at once, from outside.
pub struct Outages {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Outages {
    pub fn watch(ring: &Ring) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, ips) = (Arc::clone(&stop), ring.nodes.iter().map(|node| node.ip).collect::<Vec<_>>());
        let thread = std::thread::spawn(move || {
            let mut most = 0;
            while !stopped.load(Ordering::Relaxed) {
                most = most.max(out_at_once(&ips));
                std::thread::park_timeout(PAUSE);
            }
            most
        });
        Self { stop, thread }
    }

    /// The most that were ever seen out at once.
    pub fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the watch ends")
    }
}

/// How many do not answer. One that did not, and does when it is asked again after all the others, may have been back
/// before another one went: it is not counted.
fn out_at_once(ips: &[Ipv4Addr]) -> usize {
    let is_out = |ip: &&Ipv4Addr| !http::get((**ip, PORT), "/health").is_ok_and(|answer| answer.status == 200);
    let first: Vec<&Ipv4Addr> = ips.iter().filter(is_out).collect();
    if first.len() < 2 {
        return first.len();
    }
    first.into_iter().filter(is_out).count()
}
