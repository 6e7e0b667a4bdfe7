//! Whose turn is next.

use std::collections::BTreeSet;

use crate::base::NodeId;
use crate::census::{GroupView, Liveness, MemberView};
use crate::records::value::{Aftermath, Failure, Rollout, Target, Topology};

/// Most members that have turns at once, whatever the batch: the record names each of them, and must stay small.
pub const TURNS_MAX: usize = 200;

/// The members that wait for a turn forward, by node id: alive, something else than what they are to be, and neither in
/// turn nor done with by a failure. One that never was anything has not started yet, and starts with what it is told. Of
/// those that are to have another turn after a failure, only one that could not be put back has it as it is.
pub(super) fn waiting<'a>(view: &'a GroupView, rollout: &'a Rollout) -> impl Iterator<Item = NodeId> + 'a {
    let in_turn = rollout.in_turn.iter().map(|grant| grant.member);
    let failed = rollout.failed.iter().filter(|failure| !is_next_remedy(failure)).map(|failure| failure.member);
    let settled: BTreeSet<NodeId> = in_turn.chain(failed).collect();
    alive(view).filter(|member| is_off(member, rollout)).map(id).filter(move |member| !settled.contains(member))
}

/// The members that go by the new state and have to go back, by node id.
fn forward<'a>(view: &'a GroupView, rollout: &'a Rollout) -> impl Iterator<Item = NodeId> + 'a {
    let goes_by_it = |member: &&MemberView| member.status.target.as_ref() == Some(&rollout.to);
    alive(view).filter(goes_by_it).filter(|member| rollout.turn_of(member.node.id).is_none()).map(id)
}

/// Whether there is somebody to go back.
pub(super) fn has_forward(view: &GroupView, rollout: &Rollout) -> bool {
    rollout.from != rollout.to && forward(view, rollout).next().is_some()
}

/// Who begins next, of those who wait: the updater `me` first and alone, since if the new state breaks it, the one who
/// decides knows it first-hand; then the others by node id, as many at a time as the batch; the leader last and alone.
pub(super) fn next_forward(view: &GroupView, rollout: &Rollout, me: NodeId) -> Vec<NodeId> {
    let leader = leader(view);
    let (mut canary, mut others) = (false, Vec::new());
    let mut leader_waits = false;
    for member in waiting(view, rollout) {
        if Some(member) == leader {
            leader_waits = true;
        } else if member == me {
            canary = true;
        } else {
            others.push(member);
        }
    }
    let limit = limit(view, rollout);
    let out = out(rollout);
    // Whoever is broken already takes nothing from the others when it begins.
    let is_broken = |member: &&NodeId| rollout.failed.iter().any(|f| f.member == **member && is_next_remedy(f));
    if let Some(broken) = others.iter().find(is_broken).filter(|_| rollout.in_turn.is_empty() && out.len() < limit) {
        return vec![*broken];
    }
    let others_out = |but: NodeId| out.iter().filter(|member| **member != but).count();
    if canary {
        let alone = rollout.in_turn.is_empty() && others_out(me) < limit;
        return if alone { vec![me] } else { Vec::new() };
    }
    if rollout.turn_of(me).is_some() && leader != Some(me) {
        return Vec::new();
    }
    if others.is_empty() {
        let alone = |leader: &NodeId| leader_waits && rollout.in_turn.is_empty() && others_out(*leader) < limit;
        return leader.filter(alone).into_iter().collect();
    }
    let turns = TURNS_MAX.saturating_sub(rollout.in_turn.len());
    others.into_iter().take(limit.saturating_sub(out.len()).min(turns)).collect()
}

/// Who goes back next, one at a time, in the reverse order: the leader, the others, the updater.
pub(super) fn next_back(view: &GroupView, rollout: &Rollout, me: NodeId) -> Option<NodeId> {
    if !rollout.in_turn.is_empty() {
        return None;
    }
    let leader = leader(view);
    let mut last = None;
    let mut canary = None;
    for member in forward(view, rollout) {
        if Some(member) == leader {
            return Some(member);
        }
        if member == me {
            canary = Some(member);
        } else {
            last = Some(member);
        }
    }
    last.or(canary)
}

/// Whether the leader may be changed now: nobody else waits.
pub(super) fn leader_may(view: &GroupView, rollout: &Rollout, member: NodeId) -> bool {
    waiting(view, rollout).all(|other| other == member) && rollout.in_turn.iter().all(|grant| grant.member == member)
}

/// What the members that answer go by.
pub(super) fn targets(view: &GroupView) -> impl Iterator<Item = &Target> {
    alive(view).filter_map(|member| member.status.target.as_ref())
}

/// Whether a member that answers goes by this.
pub(super) fn has_any_at(view: &GroupView, target: &Target) -> bool {
    targets(view).any(|other| other == target)
}

/// Whether a member is there and answers.
pub(super) fn answers(view: &GroupView, member: NodeId) -> bool {
    view.members.get(&member).is_some_and(|member| member.node.liveness == Liveness::Alive)
}

/// Who leads the group, as far as it is known.
pub(super) fn leader(view: &GroupView) -> Option<NodeId> {
    match view.topology {
        Topology::Leader => view.leader.map(|leader| leader.node),
        Topology::Standalone => None,
    }
}

/// How many members may be out at once.
pub(super) fn limit(view: &GroupView, rollout: &Rollout) -> usize {
    let there = view
        .members
        .values()
        .filter(|member| !matches!(member.node.liveness, Liveness::Left | Liveness::Departed))
        .count();
    rollout.options.batch.of(there).min(TURNS_MAX)
}

/// The members that are out because of the rollout.
pub(super) fn out(rollout: &Rollout) -> BTreeSet<NodeId> {
    let in_turn = rollout.in_turn.iter().map(|grant| grant.member);
    let failed = rollout.failed.iter().filter(|failure| is_out(rollout, failure)).map(|failure| failure.member);
    in_turn.chain(failed).collect()
}

/// Whether a member that failed is out as far as the others have to wait for it. Where it is not to be put back, or could
/// not be, nothing goes on before a person has seen it; and who then goes on accepts that it is out.
fn is_out(rollout: &Rollout, failure: &Failure) -> bool {
    rollout.options.restore_failed && failure.aftermath == Aftermath::Waits
}

/// Whether another turn forward is all that is left to try with a member.
fn is_next_remedy(failure: &Failure) -> bool {
    failure.again && failure.aftermath == Aftermath::Stuck
}

fn is_off(member: &MemberView, rollout: &Rollout) -> bool {
    member.status.target.as_ref().is_some_and(|target| *target != rollout.to)
}

fn alive(view: &GroupView) -> impl Iterator<Item = &MemberView> {
    view.members.values().filter(|member| member.node.liveness == Liveness::Alive)
}

fn id(member: &MemberView) -> NodeId {
    member.node.id
}

#[cfg(test)]
mod tests;
