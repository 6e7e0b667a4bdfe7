//! The service's own group, and the groups that it is bound to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::{Value, json};

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
    group(bind.group, leader, &members)
}

/// `svc`: the service's own group. Its members are the nodes that answer, whatever their service does; its leader is
/// the last one known, until another one is.
pub fn svc(view: &GroupView, me: NodeId, sys: &SysContext) -> Value {
    let answers = |member: &&MemberView| matches!(member.node.liveness, Liveness::Alive | Liveness::Suspect);
    let members: Vec<&MemberView> = view.members.values().filter(answers).collect();
    let leader = view.members.values().find(|member| member.leader);
    let updater = view.members.values().find(|member| member.updater);
    let mine = match view.members.get(&me) {
        Some(mine) => member(view, mine),
        // Rendered before the node's own record came around.
        None => member(view, &newcomer(me, sys)),
    };
    let mut value = json!({ "service": view.group.service, "group": view.group.group, "org": null });
    let more = json!({ "me": mine, "update_leader": updater.map(|updater| member(view, updater)) });
    if let Some(object) = value.as_object_mut() {
        object.extend(elections(view));
        for part in [group(view, leader, &members), more] {
            object.extend(part.as_object().cloned().unwrap_or_default());
        }
    }
    value
}

/// What `svc` and `bind.NAME` have in common. The first is the leader, or else the first of the members.
fn group(view: &GroupView, leader: Option<&MemberView>, members: &[&MemberView]) -> Value {
    let first = leader.or_else(|| members.first().copied());
    json!({
        "first": first.map(|first| member(view, first)),
        "leader": leader.map(|leader| member(view, leader)),
        "members": members.iter().map(|each| member(view, each)).collect::<Vec<_>>(),
    })
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
