//! The ring as lines, one per change: for files, pipes and programs.

use std::io;

use super::super::out::{Out, Reader, health_word};
use super::nodes::{Nodes, Spec};
use super::snapshot::{NodeShot, Snapshot, SupervisorShot};

/// Says what is about to come.
pub(super) fn begin(spec: &Spec, nodes: &Nodes, out: &mut Out<'_>) -> io::Result<()> {
    match out.reader {
        Reader::Program => Ok(()),
        Reader::Person => {
            let count = spec.addresses.len();
            out.line(format_args!("{count} nodes run {} below {}", spec.group, nodes.dir().display()))
        }
    }
}

/// Says what changed since the last look.
pub(super) fn changes(spec: &Spec, before: Option<&Snapshot>, now: &Snapshot, out: &mut Out<'_>) -> io::Result<()> {
    if before == Some(now) {
        return Ok(());
    }
    match out.reader {
        Reader::Program => out.json(now),
        Reader::Person => {
            for line in lines(spec, before, now) {
                out.line(line)?;
            }
            Ok(())
        }
    }
}

fn lines(spec: &Spec, before: Option<&Snapshot>, now: &Snapshot) -> Vec<String> {
    let mut lines = Vec::new();
    for (at, node) in now.nodes.iter().enumerate() {
        let shown = show(node);
        if before.and_then(|before| before.nodes.get(at)).map(show).as_deref() != Some(shown.as_str()) {
            lines.push(format!("{}: {shown}", node.address));
        }
    }
    let changed_leader = before.map(|before| &before.leader) != Some(&now.leader);
    if let (true, Some(leader)) = (changed_leader, &now.leader) {
        lines.push(format!("{} is led by {}, term {}", spec.group, leader.address, leader.term));
    }
    let was_on_its_way = before.and_then(|before| before.rollout.as_ref());
    if was_on_its_way != now.rollout.as_ref() {
        let rollout = now.rollout.as_deref().unwrap_or("done, with all members");
        lines.push(format!("rollout of {}: {rollout}", spec.group));
    }
    let was_healthy = before.is_some_and(|before| before.missing.is_none());
    match &now.missing {
        None if !was_healthy || changed_leader => {
            let count = now.nodes.len();
            let led = now.leader.as_ref().map(|leader| format!(": leader {}, term {}", leader.address, leader.term));
            lines.push(format!("ring of {count} is healthy{}", led.unwrap_or_default()));
        }
        Some(missing) if was_healthy => lines.push(format!("not healthy: {missing}")),
        None | Some(_) => {}
    }
    lines
}

/// A node in a few words.
fn show(node: &NodeShot) -> String {
    match (&node.supervisor, &node.service) {
        (SupervisorShot::Starting, _) => "supervisor starts".to_owned(),
        (SupervisorShot::Gone(how), _) => format!("supervisor gone ({how})"),
        (SupervisorShot::Up, None) => "supervisor up, service not loaded yet".to_owned(),
        (SupervisorShot::Up, Some(service)) => {
            let pid = service.pid.map_or_else(String::new, |pid| format!(", pid {pid}"));
            let role = if service.role.is_empty() { String::new() } else { format!(", {}", service.role) };
            let why = if service.why.is_empty() { String::new() } else { format!(": {}", service.why) };
            format!("{}, {}{role}{pid}{why}", service.state.as_str(), health_word(service.health))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::nodes::Spec;
    use super::super::snapshot::SupervisorShot;
    use super::super::snapshot::tests::ring;
    use super::lines;
    use crate::cli::args::TopologyArg;
    use crate::ring::Profile;

    fn spec() -> Spec {
        Spec {
            plan: "demo".into(),
            group: "demo.default".parse().unwrap(),
            topology: TopologyArg::Leader,
            profile: Profile::Local,
            binds: Vec::new(),
            addresses: Vec::new(),
            min_members: 3,
        }
    }

    #[test]
    fn a_rollout_is_one_line_per_step_and_so_is_its_end() {
        let mut under_way = ring(3);
        under_way.rollout = Some("7 running: 1 done, 1 in turn, 1 waiting".into());
        let expected = ["rollout of demo.default: 7 running: 1 done, 1 in turn, 1 waiting"];
        assert_eq!(lines(&spec(), Some(&ring(3)), &under_way), expected);
        let expected = ["rollout of demo.default: done, with all members"];
        assert_eq!(lines(&spec(), Some(&under_way), &ring(3)), expected);
    }

    #[test]
    fn each_change_is_one_line_and_health_is_said_once() {
        let first = lines(&spec(), None, &ring(2));
        let expected = [
            "127.0.0.2: up, ok, follower, pid 100",
            "127.0.0.3: up, ok, follower, pid 101",
            "127.0.0.4: supervisor starts",
        ];
        assert_eq!(first, expected);
        let second = lines(&spec(), Some(&ring(2)), &ring(3));
        let expected = [
            "127.0.0.3: up, ok, leader, pid 101",
            "127.0.0.4: up, ok, follower, pid 102",
            "demo.default is led by 127.0.0.3, term 1",
            "ring of 3 is healthy: leader 127.0.0.3, term 1",
        ];
        assert_eq!(second, expected);
        assert_eq!(lines(&spec(), Some(&ring(3)), &ring(3)), Vec::<String>::new());
        let mut ill = ring(3);
        ill.missing = Some("127.0.0.4 is gone".into());
        ill.nodes[2].supervisor = SupervisorShot::Gone("signal: 9 (SIGKILL)".into());
        let expected = ["127.0.0.4: supervisor gone (signal: 9 (SIGKILL))", "not healthy: 127.0.0.4 is gone"];
        assert_eq!(lines(&spec(), Some(&ring(3)), &ill), expected);
    }
}
