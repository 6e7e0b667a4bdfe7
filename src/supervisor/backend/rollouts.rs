//! Releases and options set, orders given, and why a rollout stands still.

use super::{Supervisor, clock, unsupported};
use crate::api::shape::{Acted, DesiredRequest, ReleaseAdded, RolloutReport};
use crate::api::{Problem, Upload};
use crate::base::GroupId;
use crate::node::Command;
use crate::records::value::OrderKind;

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
    supervisor.view(group).await?;
    let done = supervisor.execute(Command::Order { group: group.clone(), what }).await?;
    accepted(supervisor, group, done.changed).await
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
