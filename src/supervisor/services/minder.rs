//! One task per service: it tells the ring how the service is doing, and people what became of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::{Loaded, Services};
use crate::api::shape::EventKind;
use crate::base::{GroupId, Seat};
use crate::node::{Command, GroupRules};
use crate::records::value::{Health, MemberStatus, ServiceState};
use crate::service::ServiceStatus;
use crate::supervisor::ringloop::{AskError, RingHandle};

/// How long a leader has been critical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fitness {
    /// It is not.
    Fit,
    /// It is, and has until then to recover.
    Critical { until: Instant },
    /// For too long: it does not stand for election until it has recovered.
    Unfit,
}

/// Minds a service until it is unloaded.
pub(super) async fn mind(
    services: &Services,
    loaded: &Arc<Loaded>,
    rules: GroupRules,
    resign_after_critical: Option<Duration>,
) {
    let common = &services.0.common;
    let group = loaded.group();
    let mut status = loaded.handle.status();
    let mut fitness = Fitness::Fit;
    let mut said = None;
    loop {
        let now = Arc::clone(&status.borrow_and_update());
        if now.unloaded {
            break;
        }
        tell(services, &group, &mut said, &now);
        fitness = judge(fitness, now.member.health, resign_after_critical);
        publish(&common.ring, &group, &now.member, rules, fitness).await;
        tokio::select! {
            changed = status.changed() => if changed.is_err() { break },
            () = too_long(fitness) => {
                fitness = Fitness::Unfit;
                give_up_seat(services, &group).await;
            }
        }
    }
    // Refused only when the node is leaving, which takes the member away as well.
    common.ring.execute(Command::Withdraw { group: group.clone() }).await.ok();
    if status.borrow().unloaded {
        services.forget(&loaded.spec.service).await;
        info!(service = %loaded.spec.service, "service unloaded");
        common.feed.tell(EventKind::Service, Some(&group), Some(common.me), "unloaded".to_owned());
    }
}

fn judge(before: Fitness, health: Health, resign_after_critical: Option<Duration>) -> Fitness {
    match (before, health, resign_after_critical) {
        (Fitness::Fit, Health::Critical, Some(limit)) => Fitness::Critical { until: Instant::now() + limit },
        (before, Health::Critical | Health::Unknown, _) => before,
        (_, Health::Ok | Health::Warning, _) => Fitness::Fit,
    }
}

async fn too_long(fitness: Fitness) {
    match fitness {
        Fitness::Critical { until } => sleep_until(until).await,
        Fitness::Fit | Fitness::Unfit => std::future::pending().await,
    }
}

async fn give_up_seat(services: &Services, group: &GroupId) {
    let common = &services.0.common;
    let resigned = common.ring.execute(Command::Resign { group: group.clone(), seat: Seat::Leader }).await;
    // One that does not lead has nothing to give up.
    if resigned.is_ok() {
        warn!(%group, "critical for too long: the leader's seat is given up");
        let message = "critical for too long: gives up the leader's seat".to_owned();
        common.feed.tell(EventKind::Service, Some(group), Some(common.me), message);
    }
}

async fn publish(ring: &RingHandle, group: &GroupId, member: &MemberStatus, rules: GroupRules, fitness: Fitness) {
    let mut status = Box::new(member.clone());
    status.eligible &= fitness != Fitness::Unfit;
    match ring.execute(Command::Publish { group: group.clone(), status, rules }).await {
        // What the ring knows of this node is not kept on its disk; a node that is leaving tells nothing more.
        Ok(_) | Err(AskError::NotDurable | AskError::Ended) => {}
        Err(AskError::Refused(crate::node::CommandError::Leaving)) => {}
        Err(AskError::Refused(cause)) => warn!(%group, %cause, "the ring cannot be told of the service"),
    }
}

/// What was said last of a service.
type Said = Option<(ServiceState, Health, Option<u32>, Vec<String>)>;

/// Notices for people; the log has them from the service's own task.
fn tell(services: &Services, group: &GroupId, said: &mut Said, status: &ServiceStatus) {
    let common = &services.0.common;
    let member = &status.member;
    let current = (member.state, member.health, member.pid, status.problems.clone());
    let tell = |message: String| common.feed.tell(EventKind::Service, Some(group), Some(common.me), message);
    let before = said.replace(current);
    let (state, health, _, problems) = match &before {
        Some((state, health, pid, problems)) => (Some(*state), Some(*health), *pid, problems.as_slice()),
        None => (None, None, None, &[][..]),
    };
    if state != Some(member.state) {
        let name = word(member.state);
        let why = if member.why.is_empty() { String::new() } else { format!(": {}", member.why) };
        tell(format!("{name}{why}"));
    }
    if health.is_some_and(|before| before != member.health) {
        let name = health_word(member.health);
        tell(format!("health {name}"));
    }
    for problem in &status.problems {
        if !problems.contains(problem) {
            warn!(%group, problem, "something is wrong with the service");
            tell(problem.clone());
        }
    }
    if before.as_ref() == said.as_ref() {
        // Only some detail changed: whoever looks closely looks again.
        tell(String::new());
    }
}

/// A state as people read it.
const fn word(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Loaded => "loaded",
        ServiceState::WaitingForRing => "waiting for the ring",
        ServiceState::WaitingForBinds => "waiting for binds",
        ServiceState::WaitingForLeader => "waiting for a leader",
        ServiceState::Initializing => "initializing",
        ServiceState::Starting => "starting",
        ServiceState::Up => "up",
        ServiceState::Stopping => "stopping",
        ServiceState::Down => "down",
        ServiceState::Backoff => "waiting to be restarted",
        ServiceState::Failed => "failed",
    }
}

const fn health_word(health: Health) -> &'static str {
    match health {
        Health::Ok => "ok",
        Health::Warning => "warning",
        Health::Critical => "critical",
        Health::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Fitness, judge};
    use crate::records::value::Health;

    const LIMIT: Option<Duration> = Some(Duration::from_secs(5));

    #[test]
    fn the_time_to_recover_runs_from_the_first_critical_check() {
        let first = judge(Fitness::Fit, Health::Critical, LIMIT);
        assert!(matches!(first, Fitness::Critical { .. }));
        assert_eq!(judge(first, Health::Critical, LIMIT), first);
        assert_eq!(judge(first, Health::Unknown, LIMIT), first);
        assert_eq!(judge(first, Health::Warning, LIMIT), Fitness::Fit);
    }

    #[test]
    fn one_that_was_critical_for_too_long_stands_again_only_when_it_has_recovered() {
        assert_eq!(judge(Fitness::Unfit, Health::Critical, LIMIT), Fitness::Unfit);
        assert_eq!(judge(Fitness::Unfit, Health::Unknown, LIMIT), Fitness::Unfit);
        assert_eq!(judge(Fitness::Unfit, Health::Ok, LIMIT), Fitness::Fit);
    }

    #[test]
    fn without_a_limit_a_critical_leader_stays() {
        assert_eq!(judge(Fitness::Fit, Health::Critical, None), Fitness::Fit);
    }
}
