//! A member of a group, as templates see it.

use serde_json::{Map, Value, json};

use crate::census::{ElectionState, GroupView, Liveness, MemberView};
use crate::records::value::MemberStatus;

/// The member `member` of `group`.
pub fn member(group: &GroupView, member: &MemberView) -> Value {
    let MemberView { node, status, leader, updater } = member;
    let ip = if node.facts.ip.is_empty() { node.address.ip().to_string() } else { node.facts.ip.clone() };
    let gossip_port = if node.facts.gossip_port == 0 { node.address.port() } else { node.facts.gossip_port };
    let mut value = json!({
        "member_id": node.id,
        "pkg": pkg(status),
        "package": package(status),
        "service": group.group.service,
        "group": group.group.group,
        "org": null,
        "leader": leader,
        "follower": !leader && group.members.values().any(|member| member.leader),
        "update_leader": updater,
        "update_follower": !updater && group.members.values().any(|member| member.updater),
        "alive": node.liveness == Liveness::Alive,
        "suspect": node.liveness == Liveness::Suspect,
        "confirmed": node.liveness == Liveness::Down,
        "departed": matches!(node.liveness, Liveness::Left | Liveness::Departed),
        "persistent": false,
        "sys": {
            "ip": ip,
            "hostname": node.facts.hostname,
            "gossip_ip": ip,
            "gossip_port": gossip_port,
            "http_gateway_ip": node.facts.http_ip,
            "http_gateway_port": node.facts.http_port,
            "ctl_gateway_ip": node.facts.http_ip,
            "ctl_gateway_port": node.facts.http_port,
        },
        "cfg": status.exports,
        "health": status.health,
        "state": status.state,
        "term": term(group, member),
        "release": status.release,
    });
    if let Some(object) = value.as_object_mut() {
        object.extend(elections(group));
        // The old shorthand: `{{ip}} {{port}}` within `{{#with svc.leader}}`. It hides none of the names above.
        for (name, value) in [("ip", &Value::from(ip))].into_iter().chain(exports(status)) {
            if !object.contains_key(name) {
                object.insert(name.to_owned(), value.clone());
            }
        }
    }
    value
}

fn exports(status: &MemberStatus) -> impl Iterator<Item = (&str, &Value)> {
    status.exports.iter().map(|(name, value)| (name.as_str(), value))
}

/// The term that the member leads in; null if it does not lead.
fn term(group: &GroupView, member: &MemberView) -> Option<u64> {
    let seat = group.leader.as_ref().filter(|seat| member.leader && seat.node == member.node.id);
    seat.map(|seat| seat.term.0)
}

/// The flags of the group's elections, which every member has, too.
pub fn elections(group: &GroupView) -> Map<String, Value> {
    let mut flags = Map::new();
    for (prefix, state) in [("election", group.election), ("update_election", group.update_election)] {
        for (suffix, is) in [
            ("running", ElectionState::Running),
            ("no_quorum", ElectionState::NoQuorum),
            ("finished", ElectionState::Finished),
        ] {
            flags.insert(format!("{prefix}_is_{suffix}"), Value::Bool(state == is));
        }
    }
    flags
}

/// The plan of a member: the parts of its ident, and its paths.
fn pkg(status: &MemberStatus) -> Value {
    let mut parts = status.ident.splitn(3, '/');
    let mut part = || parts.next().unwrap_or_default();
    let mut pkg = json!({ "origin": part(), "name": part(), "version": part(), "release": status.release });
    if let Some(object) = pkg.as_object_mut() {
        object.insert("ident".to_owned(), package(status).into());
        object.extend(status.paths.iter().map(|(name, path)| (name.clone(), Value::from(path.as_str()))));
    }
    pkg
}

fn package(status: &MemberStatus) -> String {
    if status.release.is_empty() { status.ident.clone() } else { format!("{}/{}", status.ident, status.release) }
}
