//! Releases and options set, and orders given to a rollout.

use super::standing::standing;
use super::{Supervisor, clock, releases};
use crate::api::shape::{Acted, DesiredRequest, RolloutReport, status_word};
use crate::api::{Problem, ProblemKind};
use crate::base::{GroupId, ReleaseRef};
use crate::census::GroupView;
use crate::node::Command;
use crate::records::value::{OrderKind, RolloutOptions, RolloutStatus};
use crate::release::QueryError;

/// The longest time that an option takes, in milliseconds: a day. Anything longer is a slip of the finger.
const OPTION_MS_MAX: u64 = 24 * 3600 * 1000;

pub(super) async fn set_desired(
    supervisor: &Supervisor,
    group: &GroupId,
    request: &DesiredRequest,
) -> Result<Acted, Problem> {
    let view = supervisor.view(group).await?;
    let known = view.options.unwrap_or_default();
    let options = request.options.over(known);
    check_options(&options)?;
    let release = match &request.release {
        Some(named) => Some(find(supervisor, group, named).await?),
        None => None,
    };
    let wanted = release.as_ref().map(|release| release.manifest);
    let mut changed = false;
    // First, so that what is asked for besides is carried out like this.
    if !request.options.is_empty() {
        changed |= supervisor.execute(Command::SetOptions { group: group.clone(), options }).await?.changed;
    }
    if let Some(release) = release.filter(|release| is_news(&view, release)) {
        changed |= supervisor.execute(Command::SetRelease { group: group.clone(), release }).await?.changed;
    }
    if let Some(release) = wanted {
        supervisor.0.services.releases().asked_for(release);
    }
    if let Some(state) = request.state {
        changed |= supervisor.execute(Command::SetDesired { group: group.clone(), state }).await?.changed;
    }
    accepted(supervisor, group, changed).await
}

fn check_options(options: &RolloutOptions) -> Result<(), Problem> {
    for (name, ms) in [("min_healthy_ms", options.min_healthy_ms), ("deadline_ms", options.deadline_ms)] {
        if ms > OPTION_MS_MAX {
            let detail = format!("{name} is {ms}, and at most {OPTION_MS_MAX} (a day) is possible");
            return Err(Problem::new(ProblemKind::BadRequest, detail));
        }
    }
    if options.deadline_ms == 0 {
        let detail = "deadline_ms is 0: no member could ever be ok within it";
        return Err(Problem::new(ProblemKind::BadRequest, detail));
    }
    Ok(())
}

/// Whether to ask for a release changes anything: it is another one, or its rollout ended otherwise and is tried again.
fn is_news(view: &GroupView, release: &ReleaseRef) -> bool {
    let is_wanted = view.target.release == Some(release.manifest);
    let came_to_nothing = view.rollout.as_ref().is_some_and(|(_, rollout)| {
        rollout.to == view.target
            && matches!(rollout.status, RolloutStatus::Halted | RolloutStatus::RolledBack | RolloutStatus::Aborted)
    });
    !is_wanted || came_to_nothing
}

/// The release of this node that is meant.
async fn find(supervisor: &Supervisor, group: &GroupId, named: &str) -> Result<ReleaseRef, Problem> {
    let query = named.parse().map_err(|error: QueryError| Problem::caused(ProblemKind::BadRequest, &error))?;
    let release = releases::find(supervisor, query).await?;
    if release.name != group.service {
        let detail = format!("{release} is a release of {}, and {group} runs {}", release.name, group.service);
        return Err(Problem::new(ProblemKind::InvalidRelease, detail)
            .next(format!("sup update {}.{} FILE.sup", release.name, group.group)));
    }
    Ok(release)
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
        // Members that were passed over get another turn, whatever became of the others.
        (OrderKind::Retry, _) if !rollout.failed.is_empty() => Ok(()),
        (OrderKind::Pause, RolloutStatus::Running)
        | (OrderKind::Resume, RolloutStatus::Paused)
        | (OrderKind::Retry, RolloutStatus::Halted | RolloutStatus::RolledBack | RolloutStatus::Aborted)
        | (
            OrderKind::Abort,
            RolloutStatus::Running | RolloutStatus::Paused | RolloutStatus::Halted | RolloutStatus::RollingBack,
        ) => Ok(()),
        (OrderKind::Pause, RolloutStatus::Paused | RolloutStatus::Halted) => {
            refused("nobody begins a turn as it is", command("status"))
        }
        (OrderKind::Pause, RolloutStatus::RollingBack) => {
            refused("what goes back is not paused, but ended where it is", command("abort"))
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
    let view = supervisor.view(group).await?;
    Ok(RolloutReport { standing: standing(&view, supervisor.0.me), ..RolloutReport::of(&view) })
}

async fn accepted(supervisor: &Supervisor, group: &GroupId, changed: bool) -> Result<Acted, Problem> {
    let asked = supervisor.known(group).await?.view.asked;
    Ok(Acted { group: group.clone(), at: clock::now().wall.into(), asked, changed })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{GroupView, OrderKind, RolloutStatus, check_order};
    use crate::base::Term;
    use crate::records::value::Rollout;

    fn view(status: RolloutStatus) -> GroupView {
        let mut view = GroupView::empty("redis.default".parse().unwrap());
        let rollout = Rollout { id: 3, status, ..Rollout::default() };
        view.rollout = Some((Term(1), Arc::new(rollout)));
        view
    }

    #[test]
    fn an_order_that_does_not_apply_is_refused_with_the_one_that_does() {
        for (status, order, expected) in [
            (RolloutStatus::Halted, OrderKind::Resume, "sup rollout retry redis.default"),
            (RolloutStatus::Aborted, OrderKind::Resume, "sup rollout retry redis.default"),
            (RolloutStatus::Paused, OrderKind::Retry, "sup rollout resume redis.default"),
            (RolloutStatus::Running, OrderKind::Resume, "sup rollout status redis.default"),
            (RolloutStatus::RollingBack, OrderKind::Pause, "sup rollout abort redis.default"),
        ] {
            let problem = check_order(&view(status), order).unwrap_err();
            assert_eq!(problem.next.as_deref(), Some(expected), "{order:?} of one that is {status:?}");
            assert!(problem.detail.contains("rollout 3 of redis.default is"), "{}", problem.detail);
        }
        assert!(check_order(&view(RolloutStatus::Halted), OrderKind::Retry).is_ok());
        assert!(check_order(&view(RolloutStatus::Paused), OrderKind::Resume).is_ok());
    }
}
