//! The releases of this node, for people and for the groups that need them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use tracing::{info, warn};

use super::{Supervisor, clock};
use crate::api::shape::{Release, ReleaseAdded, ReleaseFile, Releases, ReleasesRemoved};
use crate::api::{Problem, ProblemKind, Upload};
use crate::base::{GroupId, Hash};
use crate::blob::{BlobError, BlobStore};
use crate::census::GroupView;
use crate::release::{Kept, PackError, Query, ReleaseStore, StoreError, UnpackError};
use crate::supervisor::services::Places;

/// Which groups need each release.
type Needed = BTreeMap<Hash, BTreeSet<GroupId>>;

pub(super) async fn list(supervisor: &Supervisor) -> Result<Releases, Problem> {
    let needed = needed(supervisor).await?;
    let kept = blocking(supervisor, |store, _| Ok(store.list())).await?;
    Ok(Releases { releases: kept.iter().map(|kept| shape(kept, &needed)).collect() })
}

pub(super) async fn show(supervisor: &Supervisor, query: &Query) -> Result<Release, Problem> {
    let needed = needed(supervisor).await?;
    let query = query.clone();
    let (kept, content) = blocking(supervisor, move |store, _| {
        let kept = find_in(store, &query)?;
        let release = kept.release.manifest;
        store
            .verify(release)
            .and_then(|()| store.content(release))
            .map_err(|error| problem(&error))
            .map(|it| (kept, it))
    })
    .await?;
    let files = content.files().iter().map(ReleaseFile::from).collect();
    Ok(Release { files: Some(files), ..shape(&kept, &needed) })
}

pub(super) async fn gc(supervisor: &Supervisor) -> Result<ReleasesRemoved, Problem> {
    let needed = needed(supervisor).await?;
    let keep = supervisor.0.settings.keep_releases;
    blocking(supervisor, move |store, blobs| remove_unneeded(store, blobs, keep, &needed)).await
}

/// Takes an archive. Before that, what nobody needs goes: this is when room is needed.
pub(super) async fn add(supervisor: &Supervisor, upload: Upload) -> Result<ReleaseAdded, Problem> {
    let needed = needed(supervisor).await?;
    let keep = supervisor.0.settings.keep_releases;
    let now = clock::now().wall;
    blocking(supervisor, move |store, blobs| {
        if let Err(problem) = remove_unneeded(store, blobs, keep, &needed) {
            warn!(why = %problem, "cannot remove releases that nobody needs");
        }
        let scratch = store.unfinished().map_err(|error| problem(&error))?;
        let archive = scratch.path().join("upload");
        save(upload, &archive)?;
        let kept = store.import(&archive, blobs, now).map_err(|error| problem(&error))?;
        info!(release = %kept.release, bytes = kept.release.blob.bytes, "a release was handed over");
        let (release, manifest) = (kept.release.to_string(), kept.release.manifest);
        Ok(ReleaseAdded { release, manifest, bytes: kept.release.blob.bytes })
    })
    .await
}

/// The one release of this node that is meant.
pub(super) async fn find(supervisor: &Supervisor, query: Query) -> Result<Kept, Problem> {
    blocking(supervisor, move |store, _| find_in(store, &query)).await
}

fn find_in(store: &ReleaseStore, query: &Query) -> Result<Kept, Problem> {
    let mut meant = store.list().into_iter().filter(|kept| query.means(&kept.release.id()));
    let problem = |detail| {
        Problem::new(ProblemKind::UnknownRelease, detail)
            .next("see which there are: sup release list; bring another: sup update GROUP FILE.sup")
    };
    match (meant.next(), meant.next()) {
        (Some(kept), None) => Ok(kept),
        (Some(one), Some(other)) => {
            Err(problem(format!("{query} may be {} or {}: name more of its hash", one.release, other.release)))
        }
        (None, _) => Err(problem(format!("this node has no release {query}"))),
    }
}

/// Writes an archive to a file, as it comes.
fn save(mut upload: Upload, path: &Path) -> Result<(), Problem> {
    let failed = |error: io::Error| problem(&StoreError::Io { what: "write", path: path.to_owned(), source: error });
    let mut file = File::create_new(path).map_err(failed)?;
    while let Some(piece) = upload.blocking_recv() {
        file.write_all(&piece?).map_err(failed)?;
    }
    Ok(())
}

fn remove_unneeded(
    store: &ReleaseStore,
    blobs: &BlobStore,
    keep: usize,
    needed: &Needed,
) -> Result<ReleasesRemoved, Problem> {
    let gone = store.gc(keep, &needed.keys().copied().collect()).map_err(|error| problem(&error))?;
    let mut removed = ReleasesRemoved::default();
    for kept in gone {
        blobs.remove(kept.release.blob.id).map_err(|error| problem(&StoreError::Blob(error)))?;
        info!(release = %kept.release, "a release that nobody needs was removed");
        removed.removed.push(kept.release.to_string());
        removed.bytes = removed.bytes.saturating_add(kept.bytes).saturating_add(kept.release.blob.bytes);
    }
    Ok(removed)
}

/// The releases that groups run, are to run, or may have to go back to.
async fn needed(supervisor: &Supervisor) -> Result<Needed, Problem> {
    let asked = supervisor.look(|node| {
        let census = node.census();
        let views = census.group_ids().map(|group| census.group(group));
        views.flat_map(|view| asked_for(&view).into_iter().map(move |release| (release, view.group.clone()))).collect()
    });
    let mut needed = Needed::new();
    let asked: Vec<(Hash, GroupId)> = asked.await?;
    for (release, group) in asked {
        needed.entry(release).or_default().insert(group);
    }
    // What runs here may be neither: a member waits for its turn, or nobody asks for a release any more.
    let releases = supervisor.0.releases.dir();
    for loaded in supervisor.0.services.all() {
        if let Some(release) = release_of(releases, &loaded.spec.plan) {
            needed.entry(release).or_default().insert(loaded.group());
        }
    }
    Ok(needed)
}

/// The releases that a group asks for.
fn asked_for(view: &GroupView) -> BTreeSet<Hash> {
    let desired = view.release.iter().map(|desired| desired.release.manifest);
    let rollout = view.rollout.iter().flat_map(|(_, rollout)| [rollout.from.release, rollout.to.release]);
    let targets = [view.target.release].into_iter().chain(rollout).flatten();
    desired.chain(targets).collect()
}

/// The release that a plan's directory is of, if it is one of the store.
fn release_of(releases: &Path, plan: &Path) -> Option<Hash> {
    plan.strip_prefix(releases).ok()?.iter().next()?.to_str()?.parse().ok()
}

fn shape(kept: &Kept, needed: &Needed) -> Release {
    let groups = needed.get(&kept.release.manifest).into_iter().flatten().cloned().collect();
    Release::of(kept, groups)
}

/// Does what waits for the disk elsewhere.
async fn blocking<T: Send + 'static>(
    supervisor: &Supervisor,
    work: impl FnOnce(&ReleaseStore, &Arc<BlobStore>) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let (store, blobs) = (Arc::clone(&supervisor.0.releases), Arc::clone(supervisor.0.blobs.store()));
    match tokio::task::spawn_blocking(move || work(&store, &blobs)).await {
        Ok(done) => done,
        Err(_) => Err(Problem::new(ProblemKind::ShuttingDown, "this supervisor is shutting down")),
    }
}

/// What the API calls a failure of the store.
fn problem(error: &StoreError) -> Problem {
    let caused = |kind| Problem::caused(kind, error);
    match error {
        StoreError::Refused(UnpackError::Write { .. } | UnpackError::Read(_)) | StoreError::Io { .. } => {
            caused(ProblemKind::StoreUnavailable).next("look after the disk of the data directory")
        }
        StoreError::Refused(UnpackError::TooLarge { .. }) => caused(ProblemKind::TooLarge),
        StoreError::Refused(UnpackError::Trust(_)) => caused(ProblemKind::InvalidRelease)
            .next("sign it with a key that this node trusts: sup plan pack DIR --sign KEY"),
        StoreError::Refused(_) | StoreError::Other { .. } => {
            caused(ProblemKind::InvalidRelease).next("pack it again: sup plan pack DIR")
        }
        StoreError::Pack(PackError::Check(complaints)) => {
            let problem = Problem::new(ProblemKind::InvalidPlan, "cannot pack the release: its plan is not valid");
            Problem { places: Places::of(complaints), ..problem }
        }
        StoreError::Pack(_) => caused(ProblemKind::InvalidPlan),
        StoreError::Blob(BlobError::TooLarge { .. }) => caused(ProblemKind::TooLarge),
        StoreError::Blob(_) => {
            caused(ProblemKind::StoreUnavailable).next("let go of releases that nobody needs: sup release gc")
        }
        StoreError::Missing(_) => caused(ProblemKind::UnknownRelease).next("see which there are: sup release list"),
        StoreError::Altered { .. } => {
            caused(ProblemKind::InvalidRelease).next("hand it over again: sup update GROUP FILE.sup")
        }
    }
}
