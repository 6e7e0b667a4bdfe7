//! What is rendered: the views of the ring, as they concern one service.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::{Name, NodeId, Term};
use crate::census::{ElectionState, GroupView, SeatView};
use crate::plan::BindSpec;
use crate::records::value::{MemberStatus, Topology};
use crate::service::machine::Role;
use crate::template::Bind;

/// The group as this member has to see it: its own lease and its own status are known here sooner than anywhere, and
/// a member must never take itself for the leader beyond its lease.
pub(super) fn own(view: &GroupView, me: NodeId, leads: Option<Term>, status: &MemberStatus) -> GroupView {
    let mut view = view.clone();
    match leads {
        Some(term) => {
            view.leader = Some(SeatView { node: me, term });
            view.election = ElectionState::Finished;
            view.election_why.clear();
        }
        None if view.leader.is_some_and(|seat| seat.node == me) => {
            view.leader = None;
            if view.election == ElectionState::Finished {
                view.election = ElectionState::Running;
            }
        }
        None => {}
    }
    for (id, member) in &mut view.members {
        if *id == me {
            member.leader = leads.is_some();
            member.status = Arc::new(status.clone());
        } else if leads.is_some() {
            member.leader = false;
        }
    }
    view
}

/// What this member is in a group that it sees like this.
pub(super) fn role(view: &GroupView, me: NodeId, topology: Topology) -> Role {
    if topology == Topology::Standalone {
        return Role::Standalone;
    }
    match (view.leader, view.election) {
        (Some(seat), _) if seat.node == me => Role::Leader(seat.term),
        (Some(_), ElectionState::Finished) => Role::Follower,
        _ if view.election_why.is_empty() => Role::Leaderless("none is known yet".to_owned()),
        _ => Role::Leaderless(view.election_why.clone()),
    }
}

/// Which binds are not met, and why.
pub(super) fn unmet(binds: &BTreeMap<Name, BindSpec>, views: &BTreeMap<Name, Arc<GroupView>>) -> Vec<String> {
    let mut unmet = Vec::new();
    for (name, spec) in binds {
        let Some(group) = views.get(name) else { continue };
        let bind = Bind { group, spec };
        if bind.is_satisfied() {
            continue;
        }
        let why = if group.serving().next().is_some() {
            format!("has no member that exports {}", spec.exports.join(" and "))
        } else {
            "has no member that is up".to_owned()
        };
        unmet.push(format!("bind {name}: group {} {why}", group.group));
    }
    unmet
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::{own, role, unmet};
    use crate::base::{GroupId, NodeId, Term};
    use crate::census::{ElectionState, GroupView, Liveness, MemberView, NodeView, SeatView};
    use crate::plan::BindSpec;
    use crate::records::value::{Health, MemberStatus, NodeFacts, ServiceState, Topology};
    use crate::service::machine::Role;

    const ME: NodeId = NodeId::from_u128(1);
    const OTHER: NodeId = NodeId::from_u128(2);

    fn member(id: NodeId, status: MemberStatus) -> MemberView {
        MemberView {
            node: NodeView {
                id,
                address: "127.0.0.1:9638".parse().unwrap(),
                liveness: Liveness::Alive,
                facts: Arc::new(NodeFacts::default()),
            },
            status: Arc::new(status),
            leader: false,
            updater: false,
        }
    }

    fn group(leader: Option<NodeId>) -> GroupView {
        let mut view = GroupView::empty("redis.default".parse::<GroupId>().unwrap());
        view.members = [ME, OTHER].map(|id| (id, member(id, MemberStatus::default()))).into();
        view.topology = Topology::Leader;
        view.election = if leader.is_some() { ElectionState::Finished } else { ElectionState::Running };
        view.leader = leader.map(|node| SeatView { node, term: Term(3) });
        if let Some(leader) = leader.and_then(|id| view.members.get_mut(&id)) {
            leader.leader = true;
        }
        view
    }

    #[test]
    fn a_member_whose_lease_ended_is_no_leader_whatever_the_ring_still_says() {
        let view = own(&group(Some(ME)), ME, None, &MemberStatus::default());
        assert!(!view.members[&ME].leader);
        assert_eq!((view.leader, view.election), (None, ElectionState::Running));
        assert!(matches!(role(&view, ME, Topology::Leader), Role::Leaderless(_)));
    }

    #[test]
    fn a_member_that_holds_the_lease_leads_before_the_ring_knows() {
        let view = own(&group(Some(OTHER)), ME, Some(Term(4)), &MemberStatus::default());
        assert!(view.members[&ME].leader && !view.members[&OTHER].leader);
        assert_eq!(role(&view, ME, Topology::Leader), Role::Leader(Term(4)));
    }

    #[test]
    fn a_member_follows_a_leader_that_is_known_and_waits_for_one_that_is_not() {
        let status = MemberStatus::default();
        let known = own(&group(Some(OTHER)), ME, None, &status);
        assert_eq!(role(&known, ME, Topology::Leader), Role::Follower);
        assert_eq!(role(&known, ME, Topology::Standalone), Role::Standalone);
        let mut lost = known;
        lost.election = ElectionState::NoQuorum;
        lost.election_why = "2 of 3 voters do not answer".to_owned();
        assert_eq!(role(&lost, ME, Topology::Leader), Role::Leaderless("2 of 3 voters do not answer".to_owned()));
    }

    #[test]
    fn ones_own_status_is_the_newest_that_there_is() {
        let status = MemberStatus { state: ServiceState::Up, ..MemberStatus::default() };
        assert_eq!(*own(&group(None), ME, None, &status).members[&ME].status, status);
    }

    #[test]
    fn a_bind_is_met_by_a_member_that_is_up_not_critical_and_exports_what_is_needed() {
        let spec = BindSpec { exports: vec!["port".to_owned()] };
        let binds = BTreeMap::from([("backend".parse().unwrap(), spec)]);
        let why = |status: MemberStatus| {
            let mut view = GroupView::empty("web.default".parse().unwrap());
            view.members.insert(OTHER, member(OTHER, status));
            unmet(&binds, &BTreeMap::from([("backend".parse().unwrap(), Arc::new(view))]))
        };
        let exports = BTreeMap::from([("port".to_owned(), 80.into())]);
        let up = MemberStatus { state: ServiceState::Up, health: Health::Ok, exports, ..MemberStatus::default() };
        assert!(why(up.clone()).is_empty());
        let down = "bind backend: group web.default has no member that is up";
        assert_eq!(why(MemberStatus { health: Health::Critical, ..up.clone() }), [down]);
        assert_eq!(why(MemberStatus { state: ServiceState::Backoff, ..up.clone() }), [down]);
        let silent = "bind backend: group web.default has no member that exports port";
        assert_eq!(why(MemberStatus { exports: BTreeMap::new(), ..up }), [silent]);
    }
}
