//! The service's own group, and the groups that it is bound to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::uses::Uses;
use super::member::{elections, member};
use super::sys::SysContext;
use crate::base::NodeId;
use crate::census::{GroupView, Liveness, MemberView, NodeView};
use crate::plan::BindSpec;
use crate::records::value::MemberStatus;

/// A group that the service is bound to.
#[derive(Debug, Clone, Copy)]
pub struct Bind<'a> {
    /// The group.
    pub group: &'a GroupView,
    /// What its members must export.
    pub spec: &'a BindSpec,
}

impl<'a> Bind<'a> {
    /// The members of the group that may be used: they serve, and export what the bind needs. By node id.
    pub fn members(self) -> impl Iterator<Item = &'a MemberView> {
        let Self { group, spec } = self;
        group.serving().filter(|member| spec.exports.iter().all(|name| member.status.exports.contains_key(name)))
    }

    /// Whether there is such a member.
    #[must_use]
    pub fn is_satisfied(self) -> bool {
        self.members().next().is_some()
    }
}

/// `bind.NAME`.
pub fn bind(bind: Bind<'_>) -> Value {
    let members: Vec<&MemberView> = bind.members().collect();
    // A leader that does not serve is not shown: nobody is sent to a dead service.
    let leader = members.iter().copied().find(|member| member.leader);
    group(bind.group, leader, &members, |_| true).into()
}

/// `svc`: the service's own group. Its members are the nodes that answer, whatever their service does; its leader is
/// the last one known, until another one is.
pub fn svc(view: &GroupView, me: NodeId, sys: &SysContext, uses: &Uses) -> Value {
    let answers = |member: &&MemberView| matches!(member.node.liveness, Liveness::Alive | Liveness::Suspect);
    let members: Vec<&MemberView> = view.members.values().filter(answers).collect();
    let leader = view.members.values().find(|member| member.leader);
    let updater = view.members.values().find(|member| member.updater);
    let mine = || match view.members.get(&me) {
        Some(mine) => member(view, mine),
        // Rendered before the node's own record came around.
        None => member(view, &newcomer(me, sys)),
    };
    let mut value = json!({ "service": view.group.service, "group": view.group.group, "org": null });
    if let Some(object) = value.as_object_mut() {
        object.extend(elections(view));
        object.extend(group(view, leader, &members, |part| uses.svc(part)));
        if uses.svc("me") {
            object.insert("me".to_owned(), mine());
        }
        if uses.svc("update_leader") {
            object.insert("update_leader".to_owned(), updater.map(|updater| member(view, updater)).into());
        }
    }
    value
}

/// What `svc` and `bind.NAME` have in common, as far as it is seen. The first is the leader, or else the first of the
/// members.
fn group(
    view: &GroupView,
    leader: Option<&MemberView>,
    members: &[&MemberView],
    is_seen: impl Fn(&str) -> bool,
) -> Map<String, Value> {
    let first = || leader.or_else(|| members.first().copied()).map(|first| member(view, first));
    let mut parts = Map::new();
    if is_seen("first") {
        parts.insert("first".to_owned(), first().into());
    }
    if is_seen("leader") {
        parts.insert("leader".to_owned(), leader.map(|leader| member(view, leader)).into());
    }
    if is_seen("members") {
        parts.insert("members".to_owned(), members.iter().map(|each| member(view, each)).collect());
    }
    parts
}

/// This node as a member that nobody has heard of yet.
fn newcomer(me: NodeId, sys: &SysContext) -> MemberView {
    let ip = sys.ip.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    MemberView {
        node: NodeView {
            id: me,
            address: SocketAddr::new(ip, sys.gossip_port),
            liveness: Liveness::Alive,
            facts: Arc::new(sys.facts()),
        },
        status: Arc::new(MemberStatus::default()),
        leader: false,
        updater: false,
    }
}
