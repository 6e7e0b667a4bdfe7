//! Releases and options set, orders given, and why a rollout stands still.

use super::{Supervisor, clock, unsupported};
use crate::api::shape::{Acted, DesiredRequest, ReleaseAdded, RolloutReport, status_word};
use crate::api::{Problem, ProblemKind, Upload};
use crate::base::GroupId;
use crate::census::GroupView;
use crate::node::Command;
use crate::records::value::{OrderKind, RolloutStatus};

pub(super) async fn set_desired(
    supervisor: &Supervisor,
    group: &GroupId,
    request: &DesiredRequest,
) -> Result<Acted, Problem> {
    let before = supervisor.view(group).await?;
    if request.release.is_some() {
        return Err(unsupported("releases cannot be set yet", format!("sup config apply {group}")));
    }
    let mut changed = false;
    if !request.options.is_empty() {
        let known = before.desired.as_ref().map(|desired| desired.options).unwrap_or_default();
        let command = Command::SetOptions { group: group.clone(), options: request.options.over(known) };
        changed |= supervisor.execute(command).await?.changed;
    }
    if let Some(state) = request.state {
        changed |= supervisor.execute(Command::SetDesired { group: group.clone(), state }).await?.changed;
    }
    accepted(supervisor, group, changed).await
}

pub(super) async fn order(supervisor: &Supervisor, group: &GroupId, what: OrderKind) -> Result<Acted, Problem> {
    let view = supervisor.view(group).await?;
    check_order(&view, what)?;
    let done = supervisor.execute(Command::Order { group: group.clone(), what }).await?;
    let given = supervisor.known(group).await?.view.order.as_ref().map(|(time, _)| *time).unwrap_or_default();
    Ok(Acted { group: group.clone(), at: clock::now().wall.into(), asked: given, changed: done.changed })
}

/// Whether an order can be obeyed as the rollout stands.
fn check_order(view: &GroupView, what: OrderKind) -> Result<(), Problem> {
    let group = &view.group;
    let Some((_, rollout)) = &view.rollout else {
        let detail = format!("{group} has no rollout, and never had one");
        return Err(Problem::new(ProblemKind::NoRollout, detail).next(format!("begin one: sup update {group} DIR")));
    };
    let refused = |why: &str, next: String| {
        let detail = format!("rollout {} of {group} is {}: {why}", rollout.id, status_word(rollout.status));
        Err(Problem::new(ProblemKind::Conflict, detail).next(next))
    };
    let command = |word: &str| format!("sup rollout {word} {group}");
    match (what, rollout.status) {
        (OrderKind::Pause, RolloutStatus::Running | RolloutStatus::RollingBack)
        | (OrderKind::Resume, RolloutStatus::Paused)
        | (OrderKind::Retry, RolloutStatus::Halted | RolloutStatus::RolledBack | RolloutStatus::Aborted)
        | (
            OrderKind::Abort,
            RolloutStatus::Running | RolloutStatus::Paused | RolloutStatus::Halted | RolloutStatus::RollingBack,
        ) => Ok(()),
        (OrderKind::Pause, RolloutStatus::Paused | RolloutStatus::Halted) => {
            refused("nobody begins a turn as it is", command("status"))
        }
        (OrderKind::Pause, _) => refused("there is nothing to pause", command("status")),
        (OrderKind::Resume, RolloutStatus::Halted | RolloutStatus::RolledBack | RolloutStatus::Aborted) => {
            refused("only a paused one is resumed", command("retry"))
        }
        (OrderKind::Resume, _) => refused("only a paused one is resumed", command("status")),
        (OrderKind::Retry, RolloutStatus::Paused) => refused("nothing failed that would stop it", command("resume")),
        (OrderKind::Retry, _) => refused("nothing failed that would stop it", command("status")),
        (OrderKind::Rollback, RolloutStatus::RollingBack | RolloutStatus::RolledBack) => {
            refused("it goes back already, or has", command("status"))
        }
        (OrderKind::Rollback, _) if rollout.from == rollout.to => {
            refused("it changed nothing that could be taken back", command("status"))
        }
        (OrderKind::Rollback, _) => Ok(()),
        (OrderKind::Abort, _) => refused("there is nothing to abort", command("status")),
    }
}

pub(super) async fn report(supervisor: &Supervisor, group: &GroupId) -> Result<RolloutReport, Problem> {
    Ok(RolloutReport::of(&*supervisor.view(group).await?))
}

pub(super) async fn add_release(_: &Supervisor, _: Upload) -> Result<ReleaseAdded, Problem> {
    Err(unsupported("releases cannot be handed over yet", "sup plan check DIR".to_owned()))
}

async fn accepted(supervisor: &Supervisor, group: &GroupId, changed: bool) -> Result<Acted, Problem> {
    let asked = supervisor.known(group).await?.view.asked;
    Ok(Acted { group: group.clone(), at: clock::now().wall.into(), asked, changed })
}
