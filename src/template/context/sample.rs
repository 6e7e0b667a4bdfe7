//! A context that needs no ring: three members, the binds satisfied.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::super::uses::Uses;
use super::{Bind, Inputs, PkgContext, SysContext, context};
use crate::base::{GroupId, Name, NodeId, Term};
use crate::census::{ElectionState, GroupView, Liveness, MemberView, NodeView, SeatView};
use crate::plan::manifest::Need;
use crate::plan::{BindSpec, Plan, ServicePaths};
use crate::records::value::{Health, MemberStatus, NodeFacts, ServiceState, Topology};

/// Who is looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one member of a group that has no leader.
    Single,
    /// The leader of three.
    Leader,
    /// A follower of three.
    Follower,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Single, Self::Leader, Self::Follower];
}

/// A context for `plan` with the config `cfg`, as the member `role` could see it on 127.0.0.2. Binds have two members
/// each, which export what the plan needs; optional ones are not there for a single member.
#[must_use]
pub fn sample(plan: &Plan, cfg: &toml::Table, role: Role) -> Value {
    sample_as_seen(plan, cfg, role, &Uses::everything())
}

/// The same, as far as it is seen.
#[must_use]
pub(crate) fn sample_as_seen(plan: &Plan, cfg: &toml::Table, role: Role, uses: &Uses) -> Value {
    let paths = ServicePaths::new(Path::new("/var/lib/sup"), &plan.manifest.name);
    let status = MemberStatus {
        topology: if role == Role::Single { Topology::Standalone } else { Topology::Leader },
        state: ServiceState::Up,
        health: Health::Ok,
        ident: plan.ident(),
        release: plan.release.to_string(),
        exports: plan.exports(cfg),
        paths: paths.to_map(),
        ..MemberStatus::default()
    };
    let own = GroupId::new(plan.manifest.name.clone(), group_name(plan));
    let count = if role == Role::Single { 1 } else { 3 };
    let mut svc = group(own, 1, count, &Arc::new(status));
    if role != Role::Single {
        let leader = NodeId::from_u128(if role == Role::Leader { 1 } else { 2 });
        svc.topology = Topology::Leader;
        svc.election = ElectionState::Finished;
        svc.leader = Some(SeatView { node: leader, term: Term(3) });
        for member in svc.members.values_mut() {
            member.leader = member.node.id == leader;
        }
    }
    let groups: Vec<(&Name, &BindSpec, GroupView)> = plan
        .manifest
        .all_binds()
        // Whoever is single has what it needs and no more, so that a template which relies on more is found out.
        .filter(|(_, _, need)| *need == Need::Required || role != Role::Single)
        .enumerate()
        .map(|(at, (name, spec, _))| (name, spec, bound(name, spec, at, plan)))
        .collect();
    let binds = groups.iter().map(|(name, spec, group)| ((*name).clone(), Bind { group, spec })).collect();
    let facts = facts(2);
    let sys = SysContext {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        member_id: NodeId::from_u128(1).to_string(),
        ip: facts.ip.clone(),
        hostname: facts.hostname,
        gossip_ip: facts.ip,
        gossip_port: facts.gossip_port,
        http_gateway_ip: facts.http_ip.clone(),
        http_gateway_port: facts.http_port,
        ctl_gateway_ip: facts.http_ip,
        ctl_gateway_port: facts.http_port,
        permanent: false,
    };
    let pkg = PkgContext::new(plan, &paths);
    context(&Inputs { sys: &sys, pkg: &pkg, cfg, me: NodeId::from_u128(1), svc: &svc, binds: &binds, uses })
}

/// A group's name for samples. Every plan's name is a name, and is all that is at hand without a parse that could fail.
fn group_name(plan: &Plan) -> Name {
    "default".parse().unwrap_or_else(|_| plan.manifest.name.clone())
}

/// A group that satisfies a bind.
fn bound(name: &Name, spec: &BindSpec, at: usize, plan: &Plan) -> GroupView {
    let exports: BTreeMap<String, Value> =
        spec.exports.iter().map(|export| (export.clone(), Value::from(8080 + at))).collect();
    let status = MemberStatus { state: ServiceState::Up, health: Health::Ok, exports, ..MemberStatus::default() };
    group(GroupId::new(name.clone(), group_name(plan)), 10, 2, &Arc::new(status))
}

/// `count` members, from the node `from` at 127.0.0.(from + 1).
fn group(id: GroupId, from: u8, count: u8, status: &Arc<MemberStatus>) -> GroupView {
    let mut view = GroupView::empty(id);
    for at in from..from + count {
        let node = NodeView {
            id: NodeId::from_u128(u128::from(at)),
            address: SocketAddr::new(ip(at + 1), 9638),
            liveness: Liveness::Alive,
            facts: Arc::new(facts(at + 1)),
        };
        let member = MemberView { node, status: Arc::clone(status), leader: false, updater: false };
        view.members.insert(member.node.id, member);
    }
    view
}

fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

fn facts(last: u8) -> NodeFacts {
    NodeFacts {
        hostname: format!("host{last}"),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ip: ip(last).to_string(),
        gossip_port: 9638,
        http_ip: ip(last).to_string(),
        http_port: 9631,
        left: false,
    }
}
