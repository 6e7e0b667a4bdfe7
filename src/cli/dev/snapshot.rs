//! How the ring is, as its nodes say.

use std::net::IpAddr;

use serde::Serialize;

use super::super::group::rollout_in_words;
use super::super::wait::{self, Condition};
use super::nodes::{Nodes, Process, Spec};
use crate::api::shape::{Group, MemberServiceState, Service};
use crate::base::Term;
use crate::records::value::{Health, RolloutStatus, Topology};

/// All of it, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Snapshot {
    /// The nodes, in the order of their addresses.
    pub nodes: Vec<NodeShot>,
    /// Who leads, where somebody does.
    pub leader: Option<LeaderShot>,
    /// What is on its way through the group, where something is or did not arrive.
    pub rollout: Option<String>,
    /// What keeps the ring from being healthy; none if it is.
    pub missing: Option<String>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct NodeShot {
    /// Its address.
    pub address: IpAddr,
    /// Whether its supervisor answers.
    pub supervisor: SupervisorShot,
    /// Its service; none while it is not loaded, or not known.
    pub service: Option<ServiceShot>,
}

/// A supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SupervisorShot {
    /// It runs and does not answer yet.
    Starting,
    /// It answers.
    Up,
    /// Its process has ended; how.
    Gone(String),
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ServiceShot {
    pub state: MemberServiceState,
    pub why: String,
    pub health: Health,
    /// Empty where there is no leader.
    pub role: &'static str,
    pub pid: Option<u32>,
    pub restarts: u32,
}

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct LeaderShot {
    pub address: String,
    pub term: Term,
}

impl Snapshot {
    /// Asks all nodes.
    pub(super) async fn take(spec: &Spec, nodes: &mut Nodes) -> Self {
        nodes.look();
        let mut shots = Vec::with_capacity(nodes.nodes.len());
        let mut group = None;
        for node in &mut nodes.nodes {
            let mut service = None;
            let supervisor = match &node.process {
                Process::Ended(how) => SupervisorShot::Gone(how.clone()),
                Process::Running(_) => match node.client().service(&spec.group.service).await {
                    Ok(found) => {
                        service = Some(ServiceShot::from(&found));
                        SupervisorShot::Up
                    }
                    Err(problem) if problem.kind == crate::api::ProblemKind::UnknownService => SupervisorShot::Up,
                    Err(_) => SupervisorShot::Starting,
                },
            };
            if supervisor == SupervisorShot::Up {
                node.answered = true;
                group = match group {
                    None => node.client().group(&spec.group).await.ok(),
                    Some(group) => Some(group),
                };
            }
            shots.push(NodeShot { address: node.ip, supervisor, service });
        }
        Self::of(shots, group.as_ref())
    }

    fn of(nodes: Vec<NodeShot>, group: Option<&Group>) -> Self {
        let leader = group.and_then(|group| group.leader.as_ref()).map(|holder| LeaderShot {
            address: holder.address.rsplit_once(':').map_or(holder.address.as_str(), |(ip, _)| ip).to_owned(),
            term: holder.term,
        });
        let absent = nodes.iter().filter(|node| node.service.is_none()).count();
        let missing = match group {
            _ if absent > 0 => Some(format!("{absent} of {} nodes do not run the service yet", nodes.len())),
            None => Some("the group is not known yet".to_owned()),
            Some(group) => {
                let few = wait::missing(group, &Condition::Members(nodes.len()));
                few.or_else(|| wait::missing(group, &Condition::Healthy))
            }
        };
        let rollout = group.and_then(|group| group.rollout.as_ref()).filter(|rollout| {
            rollout.status != RolloutStatus::Done || !rollout.failed.is_empty() || !rollout.in_turn.is_empty()
        });
        let rollout = rollout.map(|rollout| rollout_in_words(rollout).1);
        Self { nodes, leader, rollout, missing }
    }
}

impl From<&Service> for ServiceShot {
    fn from(service: &Service) -> Self {
        let role = match (service.topology, service.member.leader) {
            (Topology::Leader, true) => "leader",
            (Topology::Leader, false) => "follower",
            (Topology::Standalone, _) => "",
        };
        Self {
            state: service.member.state,
            why: service.member.why.clone(),
            health: service.member.health,
            role,
            pid: service.member.pid,
            restarts: service.member.restarts,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{LeaderShot, NodeShot, ServiceShot, Snapshot, SupervisorShot};
    use crate::api::shape::MemberServiceState;
    use crate::base::Term;
    use crate::records::value::Health;

    /// Three nodes; `up` of them have a healthy service, and the second leads once all have.
    pub(in crate::cli::dev) fn ring(up: u8) -> Snapshot {
        let nodes = (0..3).map(|at| NodeShot {
            address: format!("127.0.0.{}", at + 2).parse().unwrap(),
            supervisor: if at < up { SupervisorShot::Up } else { SupervisorShot::Starting },
            service: (at < up).then(|| ServiceShot {
                state: MemberServiceState::Up,
                why: String::new(),
                health: Health::Ok,
                role: if at == 1 && up == 3 { "leader" } else { "follower" },
                pid: Some(100 + u32::from(at)),
                restarts: 0,
            }),
        });
        let leader = (up == 3).then(|| LeaderShot { address: "127.0.0.3".into(), term: Term(1) });
        let missing = (up < 3).then(|| format!("{} of 3 nodes do not run the service yet", 3 - up));
        Snapshot { nodes: nodes.collect(), leader, rollout: None, missing }
    }

    #[test]
    fn a_ring_is_not_healthy_before_every_node_runs_the_service() {
        let shots = ring(2).nodes;
        assert_eq!(Snapshot::of(shots, None).missing.as_deref(), Some("1 of 3 nodes do not run the service yet"));
        assert_eq!(Snapshot::of(ring(3).nodes, None).missing.as_deref(), Some("the group is not known yet"));
    }
}
