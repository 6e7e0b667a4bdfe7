//! The releases of this node, for people and for the groups that need them.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use tracing::info;

use super::{Supervisor, clock};
use crate::api::shape::{Release, ReleaseAdded, ReleaseFile, Releases, ReleasesRemoved};
use crate::api::{Problem, ProblemKind, Upload};
use crate::base::ReleaseRef;
use crate::blob::{BlobError, BlobStore};
use crate::release::{Kept, PackError, Query, ReleaseStore, SecretKey, StoreError, UnpackError};
use crate::supervisor::releases::{CollectError, Needed};
use crate::supervisor::services::Places;

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
        let release = kept.id.manifest;
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
    let gone = supervisor.0.services.releases().collect().await.map_err(|error| match error {
        CollectError::Store(error) => problem(&error),
        CollectError::Ended => ended(),
    })?;
    let archive = |kept: &Kept| kept.blob().map_or(0, |blob| blob.bytes);
    Ok(ReleasesRemoved {
        removed: gone.iter().map(|kept| kept.id.to_string()).collect(),
        bytes: gone.iter().map(|kept| kept.bytes.saturating_add(archive(kept))).fold(0, u64::saturating_add),
    })
}

/// Takes an archive. Before that, what nobody needs goes: this is when room is needed.
pub(super) async fn add(supervisor: &Supervisor, upload: Upload) -> Result<ReleaseAdded, Problem> {
    let releases = supervisor.0.services.releases();
    releases.make_room().await;
    // Whoever sends it may take long, and nothing waits for that.
    let (scratch, archive) = blocking(supervisor, move |store, _| {
        let scratch = store.unfinished().map_err(|error| problem(&error))?;
        let archive = scratch.path().join("upload");
        save(upload, &archive).map(|()| (scratch, archive))
    })
    .await?;
    let now = clock::now().wall;
    let importing = blocking(supervisor, move |store, blobs| {
        let kept = store.import(&archive, blobs, now).map_err(|error| problem(&error));
        drop(scratch);
        kept
    });
    let kept = releases.hold(importing, |kept| kept.id.manifest).await?;
    let bytes = kept.blob().map_or(0, |blob| blob.bytes);
    info!(release = %kept.id, bytes, "a release was handed over");
    Ok(ReleaseAdded { release: kept.id.to_string(), manifest: kept.id.manifest, bytes })
}

/// The one release of this node that is meant, as the members of its group can fetch it. It stays until it is asked for.
pub(super) async fn find(supervisor: &Supervisor, query: Query) -> Result<ReleaseRef, Problem> {
    let key = supervisor.0.settings.signing_key.clone();
    let finding = blocking(supervisor, move |store, blobs| {
        let kept = find_in(store, &query)?;
        if let Some(release) = kept.release() {
            return Ok(release);
        }
        let key = key.as_deref().map(SecretKey::read).transpose().map_err(|error| {
            Problem::caused(ProblemKind::InvalidRelease, &error).next("see to the signing-key of this node")
        })?;
        let now = clock::now().wall;
        store.offer(kept.id.manifest, key.as_ref(), blobs, now).map_err(|error| problem(&error))
    });
    supervisor.0.services.releases().hold(finding, |release| release.manifest).await
}

fn find_in(store: &ReleaseStore, query: &Query) -> Result<Kept, Problem> {
    let mut meant = store.list().into_iter().filter(|kept| query.means(&kept.id));
    let problem = |detail| {
        Problem::new(ProblemKind::UnknownRelease, detail)
            .next("see which there are: sup release list; bring another: sup update GROUP FILE.sup")
    };
    match (meant.next(), meant.next()) {
        (Some(kept), None) => Ok(kept),
        (Some(one), Some(other)) => {
            Err(problem(format!("{query} may be {} or {}: name more of its hash", one.id, other.id)))
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

/// Which groups need each release of this node.
async fn needed(supervisor: &Supervisor) -> Result<Needed, Problem> {
    supervisor.0.services.releases().needed().await.ok_or_else(ended)
}

fn ended() -> Problem {
    Problem::new(ProblemKind::ShuttingDown, "this supervisor is shutting down")
}

fn shape(kept: &Kept, needed: &Needed) -> Release {
    let groups = needed.get(&kept.id.manifest).into_iter().flatten().cloned().collect();
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
        Err(_) => Err(ended()),
    }
}

/// What the API calls a failure of the store.
pub(super) fn problem(error: &StoreError) -> Problem {
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
