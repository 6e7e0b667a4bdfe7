//! Releases and options set, orders given, and why a rollout stands still.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use super::{Supervisor, clock};
use crate::api::shape::{Acted, DesiredRequest, ReleaseAdded, RolloutReport, status_word};
use crate::api::{Problem, ProblemKind, Upload};
use crate::base::{GroupId, ReleaseId, ReleaseRef};
use crate::census::GroupView;
use crate::node::Command;
use crate::records::value::{OrderKind, RolloutOptions, RolloutStatus};
use crate::release::{Query, QueryError, StoreError};

/// The longest time that an option takes, in milliseconds: a day. Anything longer is a slip of the finger.
const OPTION_MS_MAX: u64 = 24 * 3600 * 1000;

pub(super) async fn set_desired(
    supervisor: &Supervisor,
    group: &GroupId,
    request: &DesiredRequest,
) -> Result<Acted, Problem> {
    let view = supervisor.view(group).await?;
    let known = view.desired.as_ref().map(|desired| desired.options).unwrap_or_default();
    let options = request.options.over(known);
    check_options(&options)?;
    let release = match &request.release {
        Some(named) => Some(find(supervisor, group, named).await?),
        None => None,
    };
    let mut changed = false;
    // First, so that what is asked for besides is carried out like this.
    if !request.options.is_empty() {
        changed |= supervisor.execute(Command::SetOptions { group: group.clone(), options }).await?.changed;
    }
    if let Some(release) = release.filter(|release| is_news(&view, release)) {
        changed |= supervisor.execute(Command::SetRelease { group: group.clone(), release }).await?.changed;
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
    let is_wanted = view.release.as_ref().is_some_and(|desired| desired.release.manifest == release.manifest);
    let came_to_nothing = view.rollout.as_ref().is_some_and(|(_, rollout)| {
        rollout.to == view.target
            && matches!(rollout.status, RolloutStatus::Halted | RolloutStatus::RolledBack | RolloutStatus::Aborted)
    });
    !is_wanted || came_to_nothing
}

/// The release of this node that is meant.
async fn find(supervisor: &Supervisor, group: &GroupId, named: &str) -> Result<ReleaseRef, Problem> {
    let query: Query = named.parse().map_err(|error: QueryError| Problem::caused(ProblemKind::BadRequest, &error))?;
    let store = Arc::clone(&supervisor.0.releases);
    let all = blocking(move || store.list()).await?;
    let mut meant = all.into_iter().map(|kept| kept.release).filter(|release| query.means(&id_of(release)));
    let Some(release) = meant.next() else {
        let detail = format!("this node has no release {named}");
        return Err(Problem::new(ProblemKind::UnknownRelease, detail)
            .next(format!("hand it over: sup update {group} FILE.sup")));
    };
    if let Some(other) = meant.next() {
        let detail = format!("{named} may be {release} or {other}");
        return Err(Problem::new(ProblemKind::BadRequest, detail).next("name more digits of its hash"));
    }
    if release.name != group.service {
        let detail = format!("{release} is a release of {}, and {group} runs {}", release.name, group.service);
        return Err(Problem::new(ProblemKind::InvalidRelease, detail)
            .next(format!("sup update {}.{} FILE.sup", release.name, group.group)));
    }
    Ok(release)
}

fn id_of(release: &ReleaseRef) -> ReleaseId {
    let ReleaseRef { origin, name, version, manifest, .. } = release.clone();
    ReleaseId { origin, name, version, manifest }
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
    Ok(RolloutReport::of(&*supervisor.view(group).await?))
}

/// Takes an archive: to the disk as it comes, then verified like one that came from another node.
pub(super) async fn add_release(supervisor: &Supervisor, mut archive: Upload) -> Result<ReleaseAdded, Problem> {
    let (store, blobs) = (Arc::clone(&supervisor.0.releases), Arc::clone(supervisor.0.blobs.store()));
    let now = clock::now().wall;
    blocking(move || {
        let dir = store.unfinished().map_err(|error| refused(&error))?;
        let path = dir.path().join(UPLOAD);
        let unwritable = |source| refused(&StoreError::Io { what: "write", path: path.clone(), source });
        let mut file = File::create(&path).map_err(unwritable)?;
        while let Some(piece) = archive.blocking_recv() {
            file.write_all(&piece?).map_err(unwritable)?;
        }
        let kept = store.import(&path, &blobs, now).map_err(|error| refused(&error))?;
        let release = kept.release;
        Ok(ReleaseAdded { release: release.to_string(), manifest: release.manifest, bytes: release.blob.bytes })
    })
    .await?
}

/// What an archive on its way in is called.
const UPLOAD: &str = "upload";

fn refused(error: &StoreError) -> Problem {
    match error {
        StoreError::Refused(_) | StoreError::Other { .. } | StoreError::Pack(_) | StoreError::Altered { .. } => {
            Problem::caused(ProblemKind::InvalidRelease, error).next("pack it again: sup plan pack DIR")
        }
        StoreError::Missing(_) => Problem::caused(ProblemKind::UnknownRelease, error),
        StoreError::Blob(_) | StoreError::Io { .. } => Problem::caused(ProblemKind::StoreUnavailable, error)
            .next("make room on the disk of the data directory, and repeat the command"),
    }
}

/// Runs something that reads or writes the disk on another thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let ended = |_| Problem::new(ProblemKind::ShuttingDown, "this supervisor is shutting down");
    tokio::task::spawn_blocking(work).await.map_err(ended)
}

async fn accepted(supervisor: &Supervisor, group: &GroupId, changed: bool) -> Result<Acted, Problem> {
    let asked = supervisor.known(group).await?.view.asked;
    Ok(Acted { group: group.clone(), at: clock::now().wall.into(), asked, changed })
}
