//! Services of this node as the API shows them.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::api::shape::{
    Bind, FileHash, GroupMember, HealthReport, HookReport, MemberServiceState, MemberState, Service,
};
use crate::base::{Name, NodeId};
use crate::records::value::{Health, Strategy, Topology};
use crate::service::{ServiceSpec, ServiceStatus};
use crate::supervisor::clock;

/// The hook whose output is that of the health check.
const HEALTH_CHECK: &str = "health-check";

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// What the list of services shows.
    Summary,
    /// Hooks and files, too.
    Full,
}

/// What the ring knows that the service does not.
pub(super) struct Here {
    pub me: NodeId,
    pub address: SocketAddr,
    pub leads: bool,
    /// For each bind of the spec, whether its group has a member that serves.
    pub served: Vec<bool>,
}

pub(super) fn service(status: &ServiceStatus, here: &Here, detail: Detail) -> Service {
    let spec = &status.spec;
    let member = &status.member;
    let goes_by_dir = member.target.as_ref().is_none_or(|target| target.release.is_none());
    let (hooks, files) = match detail {
        Detail::Summary => (Vec::new(), Vec::new()),
        Detail::Full => (hooks(status), files(status)),
    };
    Service {
        service: spec.service.clone(),
        group: spec.group_id(),
        ident: member.ident.clone(),
        plan: goes_by_dir.then(|| spec.plan.display().to_string()),
        topology: spec.topology,
        strategy: spec.strategy,
        member: GroupMember {
            node_id: here.me,
            address: here.address.to_string(),
            state: member.state.into(),
            why: member.why.clone(),
            health: member.health,
            leader: here.leads,
            suitability: member.suitability,
            release: member.release.clone(),
            config_revision: member.config_revision.clone(),
            files_revision: member.files_revision.clone(),
            pid: member.pid,
            since: member.since.into(),
            restarts: member.restarts,
            node_state: MemberState::Alive,
        },
        problems: status.problems.clone(),
        binds: binds(spec, &here.served),
        hooks,
        files,
    }
}

fn binds(spec: &ServiceSpec, served: &[bool]) -> Vec<Bind> {
    let served = served.iter().copied().chain(std::iter::repeat(false));
    let bind = |(bind, satisfied): (&crate::service::Bind, bool)| Bind {
        name: bind.name.clone(),
        group: bind.group.clone(),
        satisfied,
    };
    spec.binds.iter().zip(served).map(bind).collect()
}

fn hooks(status: &ServiceStatus) -> Vec<HookReport> {
    let mut hooks: Vec<HookReport> = status
        .hooks
        .iter()
        .map(|(hook, report)| HookReport {
            hook: hook.clone(),
            at: report.at.into(),
            took_ms: report.took_ms,
            outcome: report.outcome.clone(),
            output: report.output.clone(),
        })
        .collect();
    hooks.sort_by_key(|report| std::cmp::Reverse(report.at));
    hooks
}

fn files(status: &ServiceStatus) -> Vec<FileHash> {
    let file = |(path, hash): (&PathBuf, &String)| FileHash { path: path.display().to_string(), hash: hash.clone() };
    status.files.iter().map(file).collect()
}

pub(super) fn health(status: &ServiceStatus) -> HealthReport {
    let report = status.hooks.get(HEALTH_CHECK);
    HealthReport {
        health: status.member.health,
        checked_at: report.map(|report| report.at.into()),
        output: report.map(|report| report.output.clone()).unwrap_or_default(),
    }
}

/// A service whose spec cannot be loaded: shown, so that nobody wonders where it went.
pub(super) fn broken(me: NodeId, address: SocketAddr, service: &Name, why: String) -> Service {
    Service {
        service: service.clone(),
        // Whichever it was to be a member of, nobody can tell now.
        group: ServiceSpec::new(service.clone(), PathBuf::new()).group_id(),
        ident: String::new(),
        plan: None,
        topology: Topology::Standalone,
        strategy: Strategy::None,
        member: GroupMember {
            node_id: me,
            address: address.to_string(),
            state: MemberServiceState::Failed,
            why,
            health: Health::Unknown,
            leader: false,
            suitability: None,
            release: String::new(),
            config_revision: None,
            files_revision: None,
            pid: None,
            since: clock::now().wall.into(),
            restarts: 0,
            node_state: MemberState::Alive,
        },
        problems: Vec::new(),
        binds: Vec::new(),
        hooks: Vec::new(),
        files: Vec::new(),
    }
}
