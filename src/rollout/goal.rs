//! What a member is to be now: a pure function of what its node knows.
//!
//! # What the member's shell does with it, and what it has to publish
//!
//! The function rests on what the shell says in [`MemberStatus`]:
//!
//! - `target`: what the member goes by. Set from the first status of a run on, from the value that the shell persisted;
//!   none for a member that never went by any. It changes (is persisted, then published) in two ways only. *Outside of a
//!   turn*: when nothing runs, it is the goal's target at once, so that this is what the next start makes; when something
//!   runs, the goal asks for something else only under the strategies `none` and `at-once` (and to make good a turn that
//!   failed), and `target` follows when that is in force. *In a turn* it changes when the turn is done, in the very
//!   status that says [`TurnPhase::Done`]; until then the member counts as what it was.
//! - `pid`: whether a process runs. Set from the first status of a run on also when the process is one that an earlier
//!   run of the supervisor left behind: else a member that serves would be told what one that starts is told.
//! - `state`: `Loaded`, `WaitingForRing`, `WaitingForBinds`, `WaitingForLeader` and `Down` without a `pid` mean that the
//!   next thing to happen is a start. In all other states something runs, or ran and is started again on what it was.
//! - `turn`: how far the turn is that [`Goal::turn`] names, with its number. It stays after the turn, and need not survive
//!   a restart of the supervisor.
//!
//! In a turn, the shell makes the process what the target says and verifies it; a turn whose target is what runs already
//! is verified only. A member that a person stopped on its node has nothing to make: it goes by the target from then on,
//! and its turn is done. When the goal's turn vanishes or its number changes, the turn before it is over, and must not be
//! pursued: the target that is there then is to be in force, at once.
//!
//! A turn that failed is over as soon as the shell says so: with `restore-failed` the goal is what the member was before,
//! without waiting for the updater, so that it is whole again even if it is cut off. The updater then gives it a turn of
//! the kind `restore`, in which it shows that it is.
//!
//! No goal at all means that it is not known yet: whatever is, stays.

use crate::base::NodeId;
use crate::census::{ConfigView, Goal, GroupView, Turn, When};
use crate::records::value::{
    DesiredState, Grant, MemberStatus, Rollout, RolloutStatus, ServiceState, Strategy, Target, TurnKind, TurnPhase,
};

/// This node's own member, as far as its goal rests on it.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    /// Who it is.
    pub me: NodeId,
    /// What it says.
    pub status: &'a MemberStatus,
    /// The turn that it was told to begin, while the record grants it.
    pub turn: Option<&'a Grant>,
    /// What it is told now.
    pub goal: Option<&'a Goal>,
}

/// What the member is to be; `config` knows the texts of revisions.
///
/// None if that cannot be told: then what was told before is given again, or, at the first time, nothing.
pub fn goal(view: &GroupView, own: Own<'_>, config: impl Fn(&str) -> Option<ConfigView>) -> Option<Goal> {
    let (candidates, turn) = match (view.strategy, &view.rollout) {
        (Strategy::None | Strategy::AtOnce, _) => (vec![view.target.clone()], None),
        // Nothing was ever rolled out: a member that has been something stays that, a new one begins with what is wanted.
        (Strategy::Rolling, None) => (vec![own.status.target.clone().unwrap_or_else(|| view.target.clone())], None),
        (Strategy::Rolling, Some((_, rollout))) => rolling(view, rollout, own),
    };
    let release_when = match view.strategy {
        Strategy::None => When::NextStart,
        Strategy::AtOnce | Strategy::Rolling => When::Now,
    };
    // A config that is not known here yet is on its way.
    let known = candidates.into_iter().find_map(|target| match &target.config {
        None => Some((target, None)),
        Some(revision) => config(revision).map(|config| (target, Some(config))),
    });
    match known {
        Some((target, config)) => Some(Goal { target, config, release_when, turn }),
        None => own.goal.cloned(),
    }
}

/// What the member is to be, best first, and in which turn.
fn rolling(view: &GroupView, rollout: &Rollout, own: Own<'_>) -> (Vec<Target>, Option<Turn>) {
    if let Some(grant) = own.turn {
        let target = target_of(rollout, grant.kind, own.status);
        if failed_in(own.status, rollout, grant.turn) {
            return (vec![after_failure(rollout, own.status, target)], None);
        }
        let turn = Turn { rollout: rollout.id, number: grant.turn, kind: grant.kind, options: rollout.options };
        return (vec![target], Some(turn));
    }
    // One that is to be down does not run, and is what it is to be: it does not come up before its turn either.
    let is_down = own.status.target.as_ref().is_some_and(|mine| mine.state == DesiredState::Down);
    if !runs(own.status) && !is_down {
        return (at_start(view, rollout, own), None);
    }
    let failure = rollout.failed.iter().find(|failure| failed_in(own.status, rollout, failure.turn));
    match (&own.status.target, failure) {
        (_, Some(_)) => (vec![after_failure(rollout, own.status, rollout.to.clone())], None),
        (Some(mine), None) => (vec![mine.clone()], None),
        // It runs and never said what: an earlier version of the supervisor started it.
        (None, None) => (vec![rollout.base().clone()], None),
    }
}

/// Where a turn of this kind leads this member.
fn target_of(rollout: &Rollout, kind: TurnKind, own: &MemberStatus) -> Target {
    match kind {
        TurnKind::Forward => rollout.to.clone(),
        // What it was before, which is not `from` if it had missed the rollout before this one. That it goes by `to` is
        // no contradiction: it was cut off, was taken for failed, and came to its end all the same.
        TurnKind::Restore => match &own.target {
            Some(mine) if *mine != rollout.to => mine.clone(),
            Some(_) | None => rollout.from.clone(),
        },
        TurnKind::Back => rollout.from.clone(),
    }
}

/// What a member is to be whose turn to `attempted` failed.
fn after_failure(rollout: &Rollout, own: &MemberStatus, attempted: Target) -> Target {
    match &own.target {
        Some(mine) if rollout.options.restore_failed => mine.clone(),
        // It stays as its failure left it, for a person to look at.
        Some(_) | None => attempted,
    }
}

/// Whether the member itself said that this turn failed.
fn failed_in(own: &MemberStatus, rollout: &Rollout, turn: u64) -> bool {
    own.turn
        .as_ref()
        .is_some_and(|report| report.rollout == rollout.id && report.turn == turn && report.phase == TurnPhase::Failed)
}

/// What a member starts with that does not run: it returned, or is new.
fn at_start(view: &GroupView, rollout: &Rollout, own: Own<'_>) -> Vec<Target> {
    let stays = |mine: &&Target| match rollout.status {
        RolloutStatus::Running | RolloutStatus::Paused | RolloutStatus::Halted | RolloutStatus::Aborted => {
            **mine == rollout.from || **mine == rollout.to
        }
        RolloutStatus::RollingBack | RolloutStatus::RolledBack => **mine == rollout.from,
        // It failed on what the others are: it need not fail again at each start.
        RolloutStatus::Done => rollout.failed.iter().any(|failure| failure.member == own.me),
    };
    let mine = own.status.target.as_ref().filter(stays).cloned();
    mine.into_iter().chain([rollout.base().clone(), view.target.clone()]).collect()
}

/// Whether something runs, or ran and is to run again as it was.
fn runs(own: &MemberStatus) -> bool {
    match own.state {
        ServiceState::Loaded
        | ServiceState::WaitingForRing
        | ServiceState::WaitingForBinds
        | ServiceState::WaitingForLeader
        | ServiceState::Down => own.pid.is_some(),
        ServiceState::Initializing
        | ServiceState::Starting
        | ServiceState::Up
        | ServiceState::Stopping
        | ServiceState::Backoff
        | ServiceState::Failed => true,
    }
}

#[cfg(test)]
mod tests;
